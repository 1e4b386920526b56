//! Layer 2, data: what the conditions report about an unfinished request.
//!
//! It also says when the request is reconciled again, and is the argument of most steps.

use super::messages::desktops;
use crate::crd::conditions::{ConditionUpdate, Reason};
use crate::crd::deletion::{ApprovedPlan, Attempt, CloudError, DesktopStatus};

/// Why a request waits, and when it is reconciled again.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Reason of the conditions.
    pub reason: Reason,
    /// Cause and remedy, for users.
    pub message: String,
    /// How it is shown to tools: reconciling, paused or stalled.
    pub activity: Activity,
    /// What ends the wait.
    pub requeue: Requeue,
    /// The error of the cloud, for `status.lastError`; `None` clears it.
    pub error: Option<CloudError>,
    /// Desktops whose state changed.
    pub desktops: Vec<DesktopStatus>,
    /// What the conditions report about the plan; `None` leaves that as it is.
    pub preview: Option<Box<Preview>>,
}

/// What the conditions report about the plan of a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// Conditions `Planned` and `Approved`; one that is missing stays as it is.
    pub updates: Vec<ConditionUpdate>,
    /// The plan; `None` if it is not known yet.
    pub summary: Option<PlanSummary>,
    /// The approved plan, if the plan is known.
    pub approved: Option<ApprovedPlan>,
    /// The value of `spec.approvedPlan`, if it is not accepted as an approval.
    pub refused: Option<String>,
    /// The read lacks facts that the shown plan has.
    pub lacks_facts: bool,
}

/// Content of `status.plan`, without the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSummary {
    /// Hash of the plan.
    pub hash: String,
    /// Desktops that will be deleted.
    pub delete: i32,
    /// Desktops that do not exist.
    pub absent: i32,
    /// Desktops that cannot be deleted at the moment.
    pub blocked: i32,
}

/// Whether a waiting request is reconciling, paused or stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It continues automatically; the reason of the condition `Reconciling`.
    Reconciling(Reason),
    /// It is deliberately paused.
    Paused,
    /// User action is required.
    Stalled,
}

/// What ends a wait. The caller knows the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requeue {
    /// A change of the object or of its project.
    Change,
    /// The job poller, when the job changes.
    JobChange,
    /// The next tick: nothing else would wake it.
    PollInterval,
    /// The earliest time of the submission.
    Start,
    /// The next opening of a window in which the project takes submissions.
    Window,
    /// Room under the daily limit of the project.
    DailyLimit,
    /// The next refresh of the plan of a request that waits for a user.
    Plan,
    /// The next read of a project or Secret that may have been corrected.
    Refresh,
    /// The pause after a failed read.
    Backoff,
    /// The pause after a failed submission.
    Retry,
    /// The end of the job visibility timeout.
    JobVisibility,
    /// The moment at which a request in flight can no longer take effect.
    Expiry,
    /// The second read of evidence, a job visibility timeout after the first.
    SecondRead,
}

impl Progress {
    fn new(reason: Reason, message: String, activity: Activity, requeue: Requeue) -> Self {
        Self {
            reason,
            message,
            activity,
            requeue,
            error: None,
            desktops: Vec::new(),
            preview: None,
        }
    }

    /// The request is being processed.
    pub fn reconciling(reason: Reason, message: String, requeue: Requeue) -> Self {
        Self::new(reason, message, Activity::Reconciling(reason), requeue)
    }

    /// It failed and is retried automatically.
    pub fn retrying(reason: Reason, message: String, requeue: Requeue) -> Self {
        Self::new(reason, message, Activity::Reconciling(Reason::Retrying), requeue)
    }

    /// It is deliberately paused.
    pub fn paused(reason: Reason, message: String, requeue: Requeue) -> Self {
        Self::new(reason, message, Activity::Paused, requeue)
    }

    /// User action is required.
    pub fn stalled(reason: Reason, message: String, requeue: Requeue) -> Self {
        Self::new(reason, message, Activity::Stalled, requeue)
    }

    /// Stalled if user action is required, else retried.
    pub fn stalled_or_retrying(needs_user: bool, reason: Reason, message: String, requeue: Requeue) -> Self {
        if needs_user {
            Self::stalled(reason, message, requeue)
        } else {
            Self::retrying(reason, message, requeue)
        }
    }

    /// With an error of the cloud.
    #[must_use]
    pub fn with_error(mut self, error: CloudError) -> Self {
        self.error = Some(error);
        self
    }

    /// With the error of an attempt.
    #[must_use]
    pub fn with_error_of(mut self, attempt: &Attempt) -> Self {
        self.error.clone_from(&attempt.error);
        self
    }

    /// With desktops whose state changed.
    #[must_use]
    pub fn with_desktops(mut self, desktops: Vec<DesktopStatus>) -> Self {
        self.desktops = desktops;
        self
    }

    /// The request has not been processed yet.
    pub fn queued() -> Self {
        let message = "queued: many requests are due, or the cloud API responds slowly";
        Self::reconciling(Reason::Queued, message.to_owned(), Requeue::PollInterval)
    }

    /// The cloud is deleting this many desktops.
    pub fn job_running(count: usize) -> Self {
        let message = format!("the cloud is deleting {}", desktops(count));
        Self::reconciling(Reason::JobRunning, message, Requeue::JobChange)
    }
}
