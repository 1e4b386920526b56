//! What the conditions say. `Succeeded` is the truth, `Ready` mirrors it, `Submitted` tells about the POST;
//! `Reconciling` and `Stalled` exist only while true, and never both (kstatus).

use super::classify::Class;
use super::observed::Request;
use super::status::Ending;
use crate::crd::conditions::{Claim, ConditionStatus, ConditionType, Reason};
use crate::crd::deletion::{Attempt, CloudError, DesktopDeletionStatus, DesktopStatus, Outcome};
use crate::ids::JobID;

/// Why a request is where it is, and when to look again.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Why.
    pub reason: Reason,
    /// Cause and cure, for people.
    pub message: String,
    /// How it shows to tools.
    pub activity: Activity,
    /// What ends the wait.
    pub wake: Requeue,
    /// What the cloud said, for `status.lastError`; `None` clears it.
    pub error: Option<CloudError>,
    /// Desktops whose state changed.
    pub desktops: Vec<DesktopStatus>,
}

/// How a wait shows to tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It goes on by itself; the reason of the condition `Reconciling`.
    Reconciling(Reason),
    /// Somebody holds it back on purpose.
    Held,
    /// A person must look.
    Stalled,
}

/// What ends a wait. The caller knows the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requeue {
    /// A change of the object or of its project.
    Change,
    /// The poller, when the job moves.
    Poll,
    /// The next tick: nothing else would wake it.
    Tick,
    /// Asking again for a project or Secret that may have been mended.
    Refresh,
    /// The pause after a failed read.
    Backoff,
    /// The pause after a refusal.
    Retry,
    /// The end of the settle time.
    Settle,
    /// The moment at which a request in flight is surely dead.
    Expiry,
    /// The second look for evidence, a settle time after the first.
    SecondLook,
}

impl Progress {
    fn new(reason: Reason, message: String, activity: Activity, wake: Requeue) -> Self {
        Self {
            reason,
            message,
            activity,
            wake,
            error: None,
            desktops: Vec::new(),
        }
    }

    /// It is being worked on.
    pub fn moving(reason: Reason, message: String, wake: Requeue) -> Self {
        Self::new(reason, message, Activity::Reconciling(reason), wake)
    }

    /// It failed and is tried again without anybody's help.
    pub fn retrying(reason: Reason, message: String, wake: Requeue) -> Self {
        Self::new(reason, message, Activity::Reconciling(Reason::Retrying), wake)
    }

    /// Somebody holds it back on purpose.
    pub fn held(reason: Reason, message: String, wake: Requeue) -> Self {
        Self::new(reason, message, Activity::Held, wake)
    }

    /// A person must look.
    pub fn stalled(reason: Reason, message: String, wake: Requeue) -> Self {
        Self::new(reason, message, Activity::Stalled, wake)
    }

    /// With what the cloud said.
    #[must_use]
    pub fn with_error(mut self, error: CloudError) -> Self {
        self.error = Some(error);
        self
    }

    /// With what the cloud said to an attempt.
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
}

/// The conditions of a request that has not ended. `status` is the status after the write.
pub fn holding(request: &Request, status: &DesktopDeletionStatus, hold: &Progress) -> Vec<Claim> {
    let submitted = submitted(request, status, hold);
    let succeeded = match (submitted.status, hold.reason) {
        (ConditionStatus::True, Reason::Verifying) => Reason::Verifying,
        (ConditionStatus::True, _) => Reason::JobRunning,
        _ => Reason::Waiting,
    };
    let message = hold.message.clone();
    let mut claims = vec![
        submitted,
        claim(
            ConditionType::Succeeded,
            ConditionStatus::Unknown,
            succeeded,
            message.clone(),
        ),
    ];
    if hold.reason == Reason::Submitting
        && let Some(stalled) = stalled_by_refusal(status)
    {
        claims.extend(stalled);
        return claims;
    }
    match hold.activity {
        Activity::Reconciling(reason) => {
            claims.push(claim(
                ConditionType::Ready,
                ConditionStatus::Unknown,
                reason,
                message.clone(),
            ));
            claims.push(claim(
                ConditionType::Reconciling,
                ConditionStatus::True,
                reason,
                message,
            ));
        }
        Activity::Held => claims.push(claim(
            ConditionType::Ready,
            ConditionStatus::False,
            hold.reason,
            message,
        )),
        Activity::Stalled => {
            claims.push(claim(
                ConditionType::Ready,
                ConditionStatus::False,
                hold.reason,
                message.clone(),
            ));
            claims.push(claim(
                ConditionType::Stalled,
                ConditionStatus::True,
                hold.reason,
                message,
            ));
        }
    }
    claims
}

/// `Ready` and `Stalled` as they are, where the cloud refused the last attempt for a reason that a person must remove: the
/// next attempt does not remove it, and would only make them flap.
fn stalled_by_refusal(status: &DesktopDeletionStatus) -> Option<[Claim; 2]> {
    let refused = Class::named(&status.last_error.as_ref()?.class)?
        .treatment()
        .reason;
    let kept = |kind: ConditionType, truth: ConditionStatus| {
        let condition = status.conditions.iter().find(|c| c.type_ == kind.as_str())?;
        let same = condition.status == truth.as_str() && condition.reason == refused.as_str();
        same.then(|| claim(kind, truth, refused, condition.message.clone()))
    };
    Some([
        kept(ConditionType::Ready, ConditionStatus::False)?,
        kept(ConditionType::Stalled, ConditionStatus::True)?,
    ])
}

/// The conditions of a request that has ended.
pub fn ended(request: &Request, status: &DesktopDeletionStatus, ending: &Ending) -> Vec<Claim> {
    let good = matches!(ending.verdict, Reason::AllDeleted | Reason::AlreadyAbsent);
    let truth = if good {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    let message = ending.message.clone();
    let submitted = match effective(status) {
        Some(attempt) => took_effect(request, attempt, status.job_id.as_ref()),
        None => claim(
            ConditionType::Submitted,
            ConditionStatus::False,
            ending.submitted,
            message.clone(),
        ),
    };
    let mut claims = vec![
        submitted,
        claim(ConditionType::Succeeded, truth, ending.verdict, message.clone()),
        claim(ConditionType::Ready, truth, ending.verdict, message.clone()),
    ];
    if !good {
        claims.push(claim(
            ConditionType::Stalled,
            ConditionStatus::True,
            ending.verdict,
            message,
        ));
    }
    claims
}

fn submitted(request: &Request, status: &DesktopDeletionStatus, hold: &Progress) -> Claim {
    if let Some(attempt) = effective(status) {
        return took_effect(request, attempt, status.job_id.as_ref());
    }
    let open = status.attempts.iter().any(Attempt::is_open);
    let truth = if open {
        ConditionStatus::Unknown
    } else {
        ConditionStatus::False
    };
    let reason = match hold.reason {
        // Whatever else is in the way, of an open attempt it is only known that it is open.
        reason @ (Reason::Submitting | Reason::AwaitingEvidence | Reason::OutcomeUnknown) => reason,
        _ if open => Reason::AwaitingEvidence,
        reason => reason,
    };
    claim(ConditionType::Submitted, truth, reason, hold.message.clone())
}

/// The attempt that took effect for some desktop.
fn effective(status: &DesktopDeletionStatus) -> Option<&Attempt> {
    status.attempts.iter().find(|attempt| attempt.took_effect())
}

fn took_effect(request: &Request, attempt: &Attempt, job: Option<&JobID>) -> Claim {
    let when = attempt.signed_at.0;
    let own = job.filter(|job| attempt.job_ids.contains(job));
    let reason = match (attempt.outcome, own) {
        (Outcome::Accepted, _) => Reason::JobAccepted,
        (_, Some(_)) => Reason::JobRecovered,
        (_, None) => Reason::JobUnknown,
    };
    let jobs = attempt
        .job_ids
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let count = desktops(attempt.desktop_ids.len());
    let mut message = match reason {
        Reason::JobAccepted => format!("the cloud accepted {count} as job {jobs}, submitted at {when}"),
        Reason::JobRecovered => {
            format!("submitted {count} at {when}; the answer was lost and job {jobs} was recovered")
        }
        _ if attempt.job_ids.is_empty() => {
            format!("submitted {count} at {when}; the request took effect, but its job is unknown")
        }
        _ => format!(
            "submitted {count} at {when} and the answer was lost; job {jobs} deletes some of them and may belong to another request; nothing is sent again"
        ),
    };
    if request.suspend {
        message.push_str("; suspend came too late: the submitted request cannot be recalled");
    }
    claim(ConditionType::Submitted, ConditionStatus::True, reason, message)
}

fn claim(kind: ConditionType, status: ConditionStatus, reason: Reason, message: String) -> Claim {
    Claim {
        kind,
        status,
        reason,
        message,
    }
}

/// "1 desktop", "7 desktops".
pub fn desktops(count: usize) -> String {
    if count == 1 {
        "1 desktop".to_owned()
    } else {
        format!("{count} desktops")
    }
}

/// At most three ids by name, the rest by number.
pub fn name_some<'a, T: ToString + 'a>(ids: impl IntoIterator<Item = &'a T>) -> String {
    let ids: Vec<_> = ids.into_iter().map(ToString::to_string).collect();
    match ids.len() {
        0..=3 => ids.join(", "),
        more => format!("{} and {} more", ids[..3].join(", "), more - 3),
    }
}
