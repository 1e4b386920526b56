//! One state of the model world: the API server with one object, the operators, the cloud, messages in flight between
//! them, and the ages that the clock gives to things.
//!
//! One tick of the clock is the maximum signature age. Ages stop at [`Config::oldest`](crate::config::Config::oldest), past which
//! nothing depends on them.

use std::hash::{Hash, Hasher};

use desktop_deletion_operator::plan::observed::SendPermit;

use crate::judge::Wrong;
use crate::names::{ATTEMPTS, DESKTOPS, JOBS, Set};
use crate::requests::{PlanNumber, RequestId};
use crate::service_clock::ServiceClock;

/// Age at which a signed request is not sent any more, and reads are not signed upon.
pub const MAX_SIGNATURE_AGE: u8 = 1;
/// Within so many ticks an accepted request shows (assumption A2).
pub const JOB_VISIBILITY_TIMEOUT: u8 = 1;
/// For so many ticks evidence may stay unreadable before a person is asked.
pub const RECOVERY_TIMEOUT: u8 = 2;
/// Age at which a job without an end is said to be overdue.
pub const OVERDUE: u8 = 6;
/// Operators at most.
pub const OPERATORS: usize = 2;

/// One state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// The object, while there is one.
    pub object: Option<Object>,
    /// How often an object of that name was made.
    pub made: u8,
    /// Since when the deadline of the request has passed, if it has.
    pub deadline: Option<i8>,
    /// A client removed the finalizer, and no operator that may restore it has reconciled since. Only kept where the
    /// client that deletes the object leaves it the time.
    pub replaced: bool,
    /// The plan that a person approved last, as it was shown.
    pub noted: Option<Noted>,
    /// A write whose sender has timed out. It still takes effect if nothing else is written before.
    pub delayed_write: Option<DelayedWrite>,
    /// Each signed request.
    pub calls: [Option<SignedCall>; ATTEMPTS],
    /// The cloud.
    pub cloud: Cloud,
    /// By how many ticks the dates of its answers are ahead.
    pub cloud_clock: i8,
    /// The operators; each believes that it leads.
    pub operators: [Operator; OPERATORS],
    /// How many things may still go wrong.
    pub faults: u8,
    /// How often a clock may still go wrong.
    pub clock_faults: u8,
    /// How often people may still do something.
    pub user_actions: u8,
    /// An invariant that was broken.
    pub wrong: Option<Wrong>,
}

/// Which of two operators is which makes no difference to what can happen, so it makes none to the hash.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b] = &self.operators;
        (
            self.object,
            self.made,
            (self.deadline, self.replaced, self.noted),
            self.delayed_write,
            self.calls,
            (self.cloud, self.cloud_clock),
            a.min(b),
            a.max(b),
            (self.faults, self.clock_faults),
            self.user_actions,
            self.wrong,
        )
            .hash(state);
    }
}

/// The object at the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    /// Which of the objects of that name.
    pub uid: u8,
    /// Its content.
    pub request: RequestId,
}

/// A plan as a person saw it who approved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Noted {
    /// Of which object.
    pub uid: u8,
    /// Its hash.
    pub plan: PlanNumber,
    /// Its desktops.
    pub desktops: Set,
    /// Those of them that were shown with another user than in the beginning.
    pub reassigned: Set,
}

/// A write that is still in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DelayedWrite {
    /// What it stores.
    pub request: RequestId,
    /// What kind of write.
    pub kind: WriteKind,
}

/// What a write stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WriteKind {
    /// The finalizer goes on.
    AddFinalizer,
    /// The finalizer goes off.
    DropFinalizer,
    /// An attempt, before it is sent.
    Intent(u8),
    /// The outcome of an attempt.
    Outcome,
    /// An annotation is answered with no.
    Refusal,
    /// What the conditions say meanwhile.
    Progress,
    /// Which desktops were approved.
    Approval,
    /// The final result.
    Finish,
}

/// A signed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignedCall {
    /// Whose.
    pub uid: u8,
    /// The desktops in its body.
    pub body: Set,
    /// Those of them that another user had than in the beginning, when they were read for it.
    pub reassigned: Set,
    /// Since it was signed, by the date that is on record; below zero if that is still to come.
    pub age: i8,
    /// The same by the date that the gateway sees.
    pub gateway_age: i8,
    /// The intent was stored.
    pub stored: bool,
    /// A person gave it up, and with it the wait for its end.
    pub given_up: bool,
    /// Where it is.
    pub state: CallState,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallState {
    /// In memory.
    Unsent,
    /// Somewhere between the operator and the service.
    InFlight,
    /// Carried out, refused or lost.
    Over,
}

/// The cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cloud {
    /// Desktops that are gone.
    pub gone: Set,
    /// Desktops whose last deletion failed.
    pub failed: Set,
    /// Desktops that another user has than in the beginning.
    pub reassigned: Set,
    /// Deletions: of each attempt, and of the console.
    pub jobs: [Option<Job>; JOBS],
}

/// A deletion in the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its desktops.
    pub body: Set,
    /// Reads show it.
    pub visible: bool,
    /// Ticks for which they did not.
    pub lag: u8,
    /// Those that it deleted.
    pub deleted: Set,
    /// Those that it could not delete.
    pub failed: Set,
}

impl Job {
    /// Desktops that it is still deleting.
    pub fn open(self) -> Set {
        self.body & !self.deleted & !self.failed
    }
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Operator {
    /// By how many ticks the clock of its machine is ahead.
    pub wall: i8,
    /// The clock of the cloud as it knows it.
    pub service: ServiceClock,
    /// The claim of a deleted object: a call of it may still take effect, or its job not show yet.
    pub claim: Option<DeletedObject>,
    /// It lost its lease or is shutting down: nothing new is started.
    pub stopping: bool,
    /// Its run over the object, if one is going on.
    pub reconciliation: Option<Reconciliation>,
    /// What it remembers from one reconciliation to the next.
    pub memory: Memory,
}

/// Since when an operator has known each attempt.
pub type FirstSaw = [Option<u8>; ATTEMPTS];

/// What an operator remembers of an object that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeletedObject {
    /// Its content in the end.
    pub request: RequestId,
    /// Since when the operator has known each attempt.
    pub first_saw: FirstSaw,
}

/// What an operator remembers of the object, and loses with a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Memory {
    /// Of which object.
    pub uid: u8,
    /// Since when it has known each attempt. Only kept where the clock of the cloud may be unknown: otherwise nothing
    /// asks for it.
    pub first_saw: FirstSaw,
    /// The first evidence check of an attempt that had expired.
    pub first_evidence: Option<FirstEvidence>,
    /// For how long each desktop was idle in every read.
    pub idle: [Option<u8>; DESKTOPS],
    /// When it last put the finalizer on.
    pub finalizer: Option<u8>,
}

/// An evidence check that may be followed by a second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FirstEvidence {
    /// Of which attempt.
    pub attempt: u8,
    /// What it found.
    pub found: Evidence,
    /// How long ago it began.
    pub age: u8,
}

/// The result of an evidence check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Evidence {
    /// Jobs that may be the attempt's.
    pub jobs: Set,
    /// Desktops on which something had an effect.
    pub affected: Set,
    /// Everything was read.
    pub complete: bool,
}

/// One reconciliation of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // independent of each other
pub struct Reconciliation {
    /// Of which object.
    pub uid: u8,
    /// Its copy of the object.
    pub request: RequestId,
    /// Nothing was written since: its resourceVersion is the current one.
    pub current: bool,
    /// It is in the task that submits, which nothing cancels.
    pub task: bool,
    /// A write failed in that task, and the object is to be read again.
    pub reload: Option<WriteKind>,
    /// The project was read.
    pub project: bool,
    /// The project was read after everything else.
    pub project_is_fresh: bool,
    /// The permit to send.
    pub permit: SendPermit,
    /// Whether it may have the desktops.
    pub claim: Option<Claim>,
    /// Reads of desktops.
    pub desktops: [Option<DesktopRead>; DESKTOPS],
    /// The read of the sub-jobs.
    pub sub_job_list: Option<SubJobList>,
    /// How long ago the oldest of these reads was made.
    pub read: Option<u8>,
    /// Jobs that it asked for an owner.
    pub asked: Set,
    /// What is known of jobs that are followed; an empty row: nothing yet.
    pub jobs: [Option<Row>; JOBS],
    /// A read failed.
    pub read_failure: bool,
    /// The first evidence check, as it was when this reconciliation began.
    pub first_evidence: Option<FirstEvidence>,
    /// How long ago it began, as far as an attempt with unknown outcome depends on it.
    pub began: u8,
    /// What it holds of a submission.
    pub held: Held,
}

/// The result of the claim of a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// It may have them.
    Granted,
    /// A deleted object holds them.
    Reserved,
}

/// A read of a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DesktopRead {
    /// What it showed.
    pub state: ReadState,
    /// It was idle a job visibility timeout before, and ever since.
    pub idle_twice: bool,
    /// Another user has it than in the beginning.
    pub reassigned: bool,
}

/// What a read shows of a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReadState {
    /// Idle.
    Idle,
    /// Being deleted.
    Deleting,
    /// Idle after a deletion that failed.
    DeleteFailed,
    /// Not in a complete list.
    Missing,
    /// Gone by a read of its own.
    Gone,
}

/// A read of the sub-jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubJobList {
    /// The sub-jobs of each job.
    pub rows: [Row; JOBS],
    /// Every row was read.
    pub complete: bool,
}

/// The sub-jobs of one job, by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Row {
    /// Waiting or running.
    pub open: Set,
    /// Success.
    pub deleted: Set,
    /// Failed.
    pub failed: Set,
}

/// What an operator holds of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// A signed request.
    Armed(Draft),
    /// It was sent, and the response is awaited.
    Waiting(u8),
    /// It was answered.
    Answered(u8, Answer),
}

/// A signed request and what was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Draft {
    /// Number of the attempt.
    pub attempt: u8,
    /// How long ago it was signed.
    pub age: u8,
    /// What is in it.
    pub batch: Batch,
}

/// What a request names, and what was known of these desktops before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Batch {
    /// Desktops to delete.
    pub body: Set,
    /// Jobs that named one of them already.
    pub baseline_jobs: Set,
    /// Those whose earlier deletion had failed.
    pub baseline_failed: Set,
    /// Not every earlier job could be read.
    pub baseline_incomplete: bool,
    /// The approved plan that the desktops were compared with.
    pub plan: Option<PlanNumber>,
}

/// The result of sending a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// 202 with a job.
    Accepted,
    /// No byte left the operator.
    NotSent,
    /// Too many requests.
    Throttled,
    /// The request is refused as it stands.
    Invalid,
    /// The signature or token is too old.
    Expired,
    /// Anything else: it may have taken effect.
    Doubt,
}
