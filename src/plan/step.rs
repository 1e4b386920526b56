//! Layer 2, data: the next step, and its arguments.
//!
//! The next step, with everything that is needed to carry it out.

use super::progress::Progress;
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, CloudError, DesktopStatus, Outcome, ProjectCoordinates};
use crate::ids::{AttemptID, DesktopID, JobID};

/// The next thing to do: at most one effect, or one read.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // one lives at a time
pub enum Step {
    /// Read the `WorkspaceProject` and its Secret, live.
    ReadProject,
    /// Ask for the desktops: no other unfinished request may have one of them in flight.
    ClaimDesktops,
    /// Read these desktops in one list.
    ReadDesktops(Vec<DesktopID>),
    /// Read what only the detailed form of these desktops says, which were read before.
    ReadDetails(Vec<DesktopID>),
    /// Read one desktop by a GET of its own.
    ReadDesktop(DesktopID),
    /// Read the project's `deleteDesktops` sub-jobs of every status.
    ReadSubJobs,
    /// Ask whether another request has this job.
    ReadOwner(JobID),
    /// Ask the poller about a job, which then follows it.
    ReadJob(JobID),
    /// Put our finalizer on the object.
    AddFinalizer,
    /// Take our finalizer off the object.
    DropFinalizer,
    /// Wait for a permit of the rate limiter to send a batch-delete.
    AcquirePermit,
    /// Give that permit back: what comes next may take long, or take a permit of its own.
    ReleasePermit,
    /// Reserve so many desktops of the project's limit of a day, in its status, for an attempt that gets its ID by that.
    ReserveDesktops(usize),
    /// Serialise and sign a batch-delete; nothing is sent.
    Sign(Batch),
    /// Store the intent to send it, under compare-and-swap.
    RecordIntent(Intent),
    /// Send it, once.
    Post,
    /// Store what came of it.
    RecordOutcome(OutcomeUpdate),
    /// Store that an annotation was refused.
    RefuseResolve(RefusedAnnotation),
    /// Store what the conditions and desktops should say meanwhile.
    RecordProgress(Progress),
    /// Store which desktops were approved.
    RecordApproval(Progress),
    /// Store the final result.
    Finish(Completion),
    /// Nothing to do before something happens.
    Wait(Progress),
    /// What is in memory is outdated: drop it and read again.
    StartOver,
    /// Nothing to do at all.
    Done,
}

impl Step {
    /// It comes between the permit to send and the sending, and takes no permit of its own; or it is the end, which gives
    /// all back. (Two that kept theirs while they waited for another one would deadlock.)
    pub fn keeps_permit(&self) -> bool {
        let sends = matches!(self, Self::Sign(_) | Self::RecordIntent(_) | Self::Post);
        let comes_before = matches!(
            self,
            Self::ReadProject | Self::AcquirePermit | Self::ReserveDesktops(_)
        );
        sends || comes_before || matches!(self, Self::StartOver | Self::Done)
    }

    /// It may wait long: for the cloud, for its rate limit, or for the watches of all namespaces.
    pub fn may_wait_long(&self) -> bool {
        matches!(
            self,
            Self::ClaimDesktops
                | Self::ReadDesktops(_)
                | Self::ReadDesktop(_)
                | Self::ReadDetails(_)
                | Self::ReadSubJobs
                | Self::AcquirePermit
        )
    }
}

/// What a batch-delete is to name, and what was known of these desktops before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Desktops to delete.
    pub desktop_ids: Vec<DesktopID>,
    /// Jobs that name one of them already: they prove nothing later.
    pub baseline_job_ids: Vec<JobID>,
    /// Those whose earlier deletion had failed.
    pub baseline_failed_ids: Vec<DesktopID>,
    /// Not every earlier job could be read.
    pub baseline_incomplete: bool,
    /// The approved plan that these desktops were compared with.
    pub plan_hash: Option<String>,
}

/// An attempt to be stored before its request is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The record, outcome `Pending`.
    pub attempt: Attempt,
    /// Where the request lives from now on.
    pub project: ProjectCoordinates,
    /// Every desktop: gone before, or not yet, and what it is called.
    pub desktops: Vec<DesktopStatus>,
    /// What the conditions say meanwhile.
    pub progress: Progress,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeUpdate {
    /// Which attempt.
    pub attempt: AttemptID,
    /// Its outcome; `Pending` notes an error and leaves the outcome open.
    pub outcome: Outcome,
    /// Jobs that are its own, or may be.
    pub jobs: Vec<JobID>,
    /// The one of them that covers the whole body: surely its own.
    pub job: Option<JobID>,
    /// Why, if it was no success.
    pub error: Option<CloudError>,
    /// The annotation that this answers.
    pub handled_annotation: Option<String>,
    /// What the conditions and desktops say then.
    pub progress: Progress,
}

impl OutcomeUpdate {
    /// Of an attempt whose error stays, without a job.
    pub fn of(attempt: &Attempt, outcome: Outcome, progress: Progress) -> Self {
        Self {
            attempt: attempt.id.clone(),
            outcome,
            jobs: vec![],
            job: None,
            error: attempt.error.clone(),
            handled_annotation: None,
            progress,
        }
    }
}

/// The end of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Reason of `Succeeded`.
    pub succeeded: Reason,
    /// Reason of `Submitted` if nothing was submitted.
    pub submitted: Reason,
    /// For people.
    pub message: String,
    /// Where it was looked for, if it ends before any submission.
    pub project: Option<ProjectCoordinates>,
    /// Final states.
    pub desktops: Vec<DesktopStatus>,
    /// What the cloud said last, if that is why.
    pub error: Option<CloudError>,
    /// The annotation that this answers.
    pub handled_annotation: Option<String>,
}

impl Completion {
    /// With this reason of `Succeeded`, and of `Submitted` if nothing was submitted.
    pub fn new(reason: Reason, message: String) -> Self {
        Self {
            succeeded: reason,
            submitted: reason,
            message,
            project: None,
            desktops: vec![],
            error: None,
            handled_annotation: None,
        }
    }
}

/// A refused annotation.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedAnnotation {
    /// The annotation's value.
    pub value: String,
    /// Why, and what would be right.
    pub why: String,
}
