//! Layer 2, data: the input of the decision.
//!
//! What the decision is made of: plain data, no clock, no client. Times enter as facts ("the deadline passed"),
//! so that the same function runs in production, in a model checker and in a simulation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::views::{DesktopObservation, Evidence, JobView, SubJobList};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, CloudError, DesktopDeletionStatus, Expectation, ProjectCoordinates};
use crate::crd::limits;
use crate::crd::project::{DailyUsage, Guardrails};
use crate::ids::{AttemptID, DesktopID, JobID};

/// The input of [`plan`](super::plan); by default nothing was read yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The object: the copy of the watch, or as this reconciliation last read or wrote it.
    pub request: Request,
    /// The project and its Secret; `None`: not read in this reconciliation.
    pub project: Option<ProjectView>,
    /// The project was read live after the last cloud read and the last write, and a moment ago: recent enough for a
    /// signature.
    pub project_is_fresh: bool,
    /// The permit to send.
    pub permit: SendPermit,
    /// The attempt that this reconciliation has reserved desktops for, or has tried to.
    pub reserved: Option<AttemptID>,
    /// Whether the desktops are this request's to submit; `None`: not claimed in this reconciliation.
    pub claim: Option<Claim>,
    /// Desktops read in this reconciliation, by folded id.
    pub desktops: BTreeMap<DesktopID, DesktopObservation>,
    /// Results of single GETs in this reconciliation, by folded ID; kept when the observation is dropped as too old.
    pub single_reads: BTreeMap<DesktopID, SingleRead>,
    /// The project's `deleteDesktops` sub-jobs of every status, read in this reconciliation.
    pub sub_job_list: Option<SubJobList>,
    /// Whether another request has the job, for jobs that were checked in this reconciliation.
    pub owned_by_other_request: BTreeMap<JobID, bool>,
    /// The state of the jobs that were read from the poller in this reconciliation.
    pub jobs: BTreeMap<JobID, JobView>,
    /// A read of the cloud that failed in this reconciliation.
    pub read_failure: Option<ReadFailure>,
    /// What an earlier read of evidence for the pending attempt found, begun after its delete request had expired and
    /// at least the job visibility timeout ago.
    pub earlier_evidence: Option<Evidence>,
    /// What this process holds in memory about a submission.
    pub submission: Submission,
    /// Times and circumstances, as facts.
    pub facts: Facts,
}

impl Observed {
    /// The guardrails of the project, once it was read.
    pub fn guardrails(&self) -> Option<&Guardrails> {
        self.project.as_ref()?.guardrails.as_ref()
    }

    /// The GETs of single desktops that failed, by folded ID: the failure, and the number of consecutive ones.
    pub fn failed_reads(&self) -> impl Iterator<Item = (&DesktopID, &ReadFailure, u32)> {
        self.single_reads.iter().filter_map(|(id, read)| match read {
            SingleRead::Succeeded => None,
            SingleRead::Failed {
                read_failure,
                in_a_row,
            } => Some((id, &**read_failure, *in_a_row)),
        })
    }
}

/// Result of a single GET of a desktop.
#[derive(Debug, Clone, PartialEq)]
pub enum SingleRead {
    /// It showed whether the desktop exists.
    Succeeded,
    /// The service returned an error that may be about this desktop alone.
    Failed {
        /// The error.
        read_failure: Box<ReadFailure>,
        /// Number of consecutive failed GETs of this desktop, including this one.
        in_a_row: u32,
    },
}

/// The permit of the rate limiter to send a batch-delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum SendPermit {
    /// None was acquired.
    #[default]
    None,
    /// This reconciliation has one.
    Held,
    /// It had one, and returned it to read again: it need not queue again.
    Returned,
}

/// When the reads of a reconciliation began, and how long they took. Each has its own age.
#[derive(Debug, Clone, Default)]
pub struct ReadTimes {
    /// The last read of each desktop, by folded id.
    pub desktops: BTreeMap<DesktopID, ReadTime>,
    /// How long the reconciliation has read desktops, all calls together.
    pub desktops_took: Duration,
    /// The read of the sub-jobs.
    pub sub_jobs: Option<ReadTime>,
    /// How long the reconciliation has read sub-jobs, all calls together.
    pub sub_jobs_took: Duration,
}

/// When a read began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadTime {
    /// In time since the start of the process.
    pub began: Duration,
    /// How long the reconciliation had read then: the time that reads take afterwards does not count as age.
    pub took_before: Duration,
}

/// Longest value of the annotation that is read; `status.lastHandledResolve` holds no more.
const MAX_RESOLVE_LENGTH: usize = limits::HANDLED_RESOLVE as usize;

/// The object.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // as the object has them
pub struct Request {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Name of the `WorkspaceProject`.
    pub project: String,
    /// `spec.desktopIDs`.
    pub desktop_ids: Vec<DesktopID>,
    /// `spec.expected`.
    pub expected: Vec<Expectation>,
    /// `spec.deleteUsers`.
    pub delete_users: bool,
    /// `spec.emailNotification`.
    pub email_notification: bool,
    /// `spec.force`.
    pub force: bool,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.approvedPlan`.
    pub approved_plan: Option<String>,
    /// The annotation by which a user resolves an attempt.
    pub resolve: Option<String>,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `spec.notBefore`.
    pub not_before: Option<Timestamp>,
    /// `spec.notAfter`.
    pub not_after: Option<Timestamp>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Our finalizer is on it.
    pub finalizer: bool,
    /// `status`.
    pub status: DesktopDeletionStatus,
}

impl Request {
    /// The attempt whose outcome is open; the API server admits one at most.
    pub fn pending(&self) -> Option<&Attempt> {
        use crate::crd::deletion::Outcome::Pending;
        self.status
            .attempts
            .iter()
            .find(|attempt| attempt.outcome == Pending)
    }

    /// An attempt that may have reached the cloud, and whose outcome is a value of a newer version.
    pub fn of_newer_version(&self) -> Option<&Attempt> {
        use crate::crd::deletion::Outcome::Other;
        let attempts = &self.status.attempts;
        attempts.iter().find(|a| a.outcome == Other && a.is_open())
    }

    /// The value of the annotation that was not handled yet, as the status would store it.
    pub fn unhandled_resolve(&self) -> Option<String> {
        let value: String = self.resolve.as_ref()?.chars().take(MAX_RESOLVE_LENGTH).collect();
        (self.status.last_handled_resolve.as_ref() != Some(&value)).then_some(value)
    }

    /// The attempt of that id.
    pub fn attempt(&self, id: &AttemptID) -> Option<&Attempt> {
        self.status.attempts.iter().find(|attempt| attempt.id == *id)
    }
}

/// The `WorkspaceProject` and its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectView {
    /// Where it points; `None` if it does not exist or cannot be used.
    pub coordinates: Option<ProjectCoordinates>,
    /// Why it cannot be used, if so.
    pub obstacle: Option<ProjectUnavailable>,
    /// `spec.suspend` of the project.
    pub suspended: bool,
    /// `spec.guardrails` of the project.
    pub guardrails: Option<Guardrails>,
    /// `status.dailyUsage` of the project: what counts now.
    pub usage: DailyUsage,
}

/// Why a project cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectUnavailable {
    /// Reason for the conditions.
    pub reason: Reason,
    /// Cause and remedy.
    pub message: String,
    /// User action is required (not yet for a project that may still come with the next sync).
    pub needs_user: bool,
}

/// The result of claiming the desktops of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No other request takes precedence.
    Granted,
    /// Another request has reserved one of the desktops.
    Reserved(ConflictingRequest),
    /// A request that cannot be decoded has reserved one of them: it cannot be known whether it has reached the cloud.
    ReservedByUndecodable(ConflictingRequest),
    /// A deleted request has reserved one of them, since its call may still take effect, or its job may not be visible
    /// yet.
    ReservedByDeleted(DeletedRequest),
    /// An older request may take precedence, which is known after the first check of its project.
    OlderProjectUnchecked(ConflictingRequest),
    /// Not every watch has listed its requests, so it is not known yet.
    WatchesNotSynced,
    /// The API server refuses to list the requests of a namespace, and a call of one of them may still take effect.
    Unreadable(UnreadableNamespace),
}

/// A watched namespace whose requests cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableNamespace {
    /// Its name.
    pub name: String,
    /// The missing permission, such as `list desktopdeletions`.
    pub permission: String,
    /// The minute by which no call of an earlier process can take effect any more.
    pub until: Timestamp,
}

/// A request that takes precedence for one of the desktops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictingRequest {
    /// One of the desktops that both name.
    pub desktop: DesktopID,
    /// Its name, if it is in the same namespace.
    pub name: Option<String>,
}

/// A request that was deleted while its call could still take effect, or its job did not show yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedRequest {
    /// Its uid.
    pub uid: String,
    /// One of the desktops that its call names, in the spelling of the request that waits.
    pub desktop: DesktopID,
    /// Its name, if it is in the same namespace.
    pub name: Option<String>,
    /// When this process learned that it is gone, in time since its start.
    pub gone_since: Duration,
    /// The minute by which it will no longer reserve anything.
    pub until: Timestamp,
    /// The jobs of its call, if the cloud accepted it.
    pub jobs: BTreeSet<JobID>,
}

/// A read of the cloud that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadFailure {
    /// The error for `status.lastError`.
    pub error: CloudError,
    /// The call was suppressed because of an earlier failure of that class, so the error is not new.
    pub suppressed: bool,
}

/// What this process holds in memory about a submission of the object.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::large_enum_variant)] // one lives at a time
pub enum Submission {
    /// Nothing.
    #[default]
    None,
    /// A signed request and the intent that goes with it.
    Signed {
        /// The record to store, outcome `Pending`.
        attempt: Attempt,
        /// The signature is younger than the maximum signature age.
        fresh: bool,
    },
    /// The request was sent; its result is not recorded yet.
    Responded {
        /// The attempt.
        attempt: AttemptID,
        /// The result.
        result: PostResult,
    },
    /// A task of this process is sending or recording.
    InProgress,
}

/// The result of sending a batch-delete.
#[derive(Debug, Clone, PartialEq)]
pub enum PostResult {
    /// 202 with a job.
    Accepted(JobID),
    /// No byte was sent.
    NotSent(CloudError),
    /// It was definitely rejected.
    Rejected(CloudError),
    /// Anything else: it may have taken effect.
    OutcomeUnknown(CloudError),
}

/// Times and conditions of the process, reduced to what the decision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::struct_excessive_bools)] // facts are independent of each other
pub struct Facts {
    /// The process is shutting down or has lost leadership: no new work is started.
    pub stopping: bool,
    /// Users of desktops are not to be shown.
    pub hide_users: bool,
    /// State of the earliest time of the submission, by both clocks.
    pub start: NotBefore,
    /// State of the submission windows of the project, by both clocks.
    pub window: Window,
    /// The deadline of the request, by both clocks.
    pub deadline: Deadline,
    /// The service's clock is known to this process.
    pub service_clock_known: bool,
    /// After a failed submission: the pause is over, or the cause may have been corrected.
    pub retry_due: bool,
    /// This machine's clock and the other one differ by more than is allowed: nothing is submitted, and no request expires
    /// at its deadline.
    pub clock_skew: Option<ClockSkew>,
    /// Facts of the shown plan have been missing from reads for so long that they are not expected to be reported
    /// again.
    pub facts_missing_for_long: bool,
    /// The job visibility timeout since the last acceptance is over.
    pub job_visibility_timeout_over: bool,
    /// The job runs longer than deletions should take.
    pub overdue: bool,
    /// Each sub-job with a status that is not documented has been known for longer than deletions should take.
    pub undocumented_for_long: bool,
    /// The request of an attempt in doubt can no longer be accepted, nor an accepted one be still invisible: its
    /// expiry, the clock allowance and the job visibility timeout are over by both clocks.
    pub call_expired: bool,
    /// The recovery timeout has passed since then, so user action is required.
    pub recovery_timed_out: bool,
    /// The newest attempt is so young that its job need not show yet.
    pub before_initial_poll: bool,
    /// The finalizer was removed although an attempt may still take effect or become visible.
    pub finalizer_missing: bool,
    /// The finalizer may be added now.
    pub finalizer_due: bool,
    /// State of the circuit breaker for submissions.
    pub circuit: Circuit,
    /// The progress of a long check was not recorded lately.
    pub progress_due: bool,
}

/// State of the circuit breaker for submissions with one set of credentials to one endpoint. Several consecutive lost
/// responses open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Circuit {
    /// A submission may be made; if the circuit is half-open, one at a time.
    #[default]
    Closed,
    /// None may be made before a read has succeeded.
    NeedsRead,
    /// None may be made, and reads for one would be suppressed too.
    Open,
}

/// State of the earliest time of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NotBefore {
    /// It has passed by both clocks, or there is none.
    #[default]
    Reached,
    /// It has passed by the local clock, and the other clock is not known.
    ClockUnknown,
    /// It is ahead by one clock at least.
    Ahead,
}

/// State of the submission windows of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Window {
    /// One of them is open by both clocks, or there is none.
    #[default]
    Open,
    /// One of them is open by the local clock, and the other clock is not known.
    ClockUnknown,
    /// By at least one clock, none of them is open.
    Closed {
        /// When the next one opens, by the local clock.
        opens: Option<Timestamp>,
    },
    /// They cannot be evaluated: a time zone is not known.
    Unknown,
}

/// State of the deadline of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Deadline {
    /// It has passed by neither clock.
    #[default]
    Ahead,
    /// It has passed by one clock, or by clocks that differ too much: nothing is submitted, and the request does not expire.
    ClocksDisagree,
    /// It has passed by both.
    Passed,
}

/// Two clocks that differ by more than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockSkew {
    /// How far the other clock is ahead of this machine's; negative if it is behind.
    pub ahead: SignedDuration,
    /// The other clock is the service's; else it is the API server's.
    pub of_service: bool,
}

impl ClockSkew {
    /// By how much, in which direction, and what to do.
    pub fn sentence(&self) -> String {
        let other = if self.of_service {
            "the cloud service's clock"
        } else {
            "the API server's clock"
        };
        let apart = approximately(self.ahead.unsigned_abs());
        let direction = if self.ahead.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        format!(
            "{other} is {apart} {direction} the clock of the operator's node; nothing is submitted, and no request expires at its deadline, until they agree. Fix the clock that is wrong (NTP)"
        )
    }
}

/// A duration in its largest unit.
fn approximately(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
