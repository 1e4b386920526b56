//! Layer 2, data: the next step, with everything that is needed to carry it out.

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
    /// Claim the desktops: no other unfinished request may have one of them in flight.
    ClaimDesktops,
    /// Read these desktops in one list.
    ReadDesktops(Vec<DesktopID>),
    /// Read the details of these desktops, which were read before, in the detailed list.
    ReadDetails(Vec<DesktopID>),
    /// Read one desktop by a GET of its own.
    ReadDesktop(DesktopID),
    /// Read the project's `deleteDesktops` sub-jobs of every status.
    ReadSubJobs,
    /// Check whether another request has this job.
    ReadOwner(JobID),
    /// Read a job from the poller, which then follows it.
    ReadJob(JobID),
    /// Put our finalizer on the object.
    AddFinalizer,
    /// Remove our finalizer from the object.
    DropFinalizer,
    /// Wait for a permit of the rate limiter to send a batch-delete.
    AcquirePermit,
    /// Release that permit: the next step may take long, or needs its own permit.
    ReleasePermit,
    /// Reserve this many desktops under the project's daily limit, in the status of the project, for an attempt whose
    /// ID is generated here.
    ReserveDesktops(usize),
    /// Serialise and sign a batch-delete; nothing is sent.
    Sign(Batch),
    /// Store the intent to send it, under compare-and-swap.
    RecordIntent(Intent),
    /// Send it, once.
    Post,
    /// Store its outcome.
    RecordOutcome(OutcomeUpdate),
    /// Store that an annotation was refused.
    RefuseResolve(RefusedAnnotation),
    /// Store the conditions and desktops in the meantime.
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
    /// Whether the permit to send is kept: the step is between the permit and the sending, and needs no permit of its
    /// own; or it ends the reconciliation, which releases all permits. (Two requests that kept their permits while
    /// waiting for another one would deadlock.)
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

/// The desktops of a batch-delete, and what was known about them before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Desktops to delete.
    pub desktop_ids: Vec<DesktopID>,
    /// Earlier jobs that name one of them: they are no evidence later.
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
    /// The cloud project of the request from now on.
    pub project: ProjectCoordinates,
    /// The state and name of every desktop.
    pub desktops: Vec<DesktopStatus>,
    /// The conditions in the meantime.
    pub progress: Progress,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeUpdate {
    /// Which attempt.
    pub attempt: AttemptID,
    /// Its outcome; `Pending` notes an error and leaves the outcome open.
    pub outcome: Outcome,
    /// Jobs that are its own, or may be.
    pub jobs: Vec<JobID>,
    /// The one of them that covers the whole body: certainly its own.
    pub job: Option<JobID>,
    /// The error, if it failed.
    pub error: Option<CloudError>,
    /// The annotation that this handles.
    pub handled_annotation: Option<String>,
    /// The conditions and desktops after it.
    pub progress: Progress,
}

impl OutcomeUpdate {
    /// An outcome without jobs; the error of the attempt is kept.
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
    /// Message for users.
    pub message: String,
    /// Where the desktops were searched, if the request ends before any submission.
    pub project: Option<ProjectCoordinates>,
    /// Final states.
    pub desktops: Vec<DesktopStatus>,
    /// The last error of the cloud, if it is the cause.
    pub error: Option<CloudError>,
    /// The annotation that this handles.
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
    /// The reason, and the correct format.
    pub reason: String,
}
