//! Layer 4, status: the conditions that follow from the state.
//!
//! `Succeeded` is the final result, `Ready` mirrors it, `Submitted` reports
//! whether the delete request took effect; `Reconciling` and `Stalled` are present only while True, and never both
//! (kstatus).

use super::attempts::last_effective;
use super::messages::{desktops, list};
use super::observed::Request;
use super::progress::{Activity, Progress};
use super::step::Completion;
use crate::crd::conditions::{ConditionStatus, ConditionType, ConditionUpdate, Reason, find};
use crate::crd::deletion::{Attempt, DesktopDeletionStatus, Outcome};
use crate::ids::JobID;

/// The conditions of a request that has not ended. `status` is the status after the write.
pub fn unfinished(
    request: &Request,
    status: &DesktopDeletionStatus,
    progress: &Progress,
) -> Vec<ConditionUpdate> {
    let submitted = submitted(request, status, progress);
    let succeeded = match (submitted.status, progress.reason) {
        (ConditionStatus::True, Reason::Verifying) => Reason::Verifying,
        (ConditionStatus::True, _) => Reason::JobRunning,
        _ => Reason::Waiting,
    };
    let update = |kind, status, reason| ConditionUpdate::new(kind, status, reason, &progress.message);
    let mut updates = vec![
        submitted,
        update(ConditionType::Succeeded, ConditionStatus::Unknown, succeeded),
    ];
    if progress.reason == Reason::Submitting
        && let Some(stalled) = stalled_by_refusal(status)
    {
        updates.extend(stalled);
        return updates;
    }
    match progress.activity {
        Activity::Reconciling(reason) => updates.extend([
            update(ConditionType::Ready, ConditionStatus::Unknown, reason),
            update(ConditionType::Reconciling, ConditionStatus::True, reason),
        ]),
        Activity::Paused => updates.push(update(
            ConditionType::Ready,
            ConditionStatus::False,
            progress.reason,
        )),
        Activity::Stalled => updates.extend([
            update(ConditionType::Ready, ConditionStatus::False, progress.reason),
            update(ConditionType::Stalled, ConditionStatus::True, progress.reason),
        ]),
    }
    updates
}

/// `Ready` and `Stalled` as they are, if the cloud rejected the last attempt for a reason that requires user action:
/// the next attempt does not change the cause, and would only make the conditions flap.
fn stalled_by_refusal(status: &DesktopDeletionStatus) -> Option<[ConditionUpdate; 2]> {
    let refused = status.last_error.as_ref()?.class.error_policy().reason;
    let kept = |kind: ConditionType, condition_status: ConditionStatus| {
        let condition = find(&status.conditions, kind)?;
        let same = condition.status == condition_status && condition.reason == refused;
        same.then(|| ConditionUpdate::new(kind, condition_status, refused, &condition.message))
    };
    Some([
        kept(ConditionType::Ready, ConditionStatus::False)?,
        kept(ConditionType::Stalled, ConditionStatus::True)?,
    ])
}

/// The conditions of a finished request.
pub fn finished(
    request: &Request,
    status: &DesktopDeletionStatus,
    ending: &Completion,
) -> Vec<ConditionUpdate> {
    let good = matches!(ending.succeeded, Reason::AllDeleted | Reason::AlreadyAbsent);
    let condition_status = if good {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    let update = |kind, status, reason| ConditionUpdate::new(kind, status, reason, &ending.message);
    let submitted = match last_effective(status) {
        Some(attempt) => took_effect(request, attempt, status.job_id.as_ref()),
        None => update(ConditionType::Submitted, ConditionStatus::False, ending.submitted),
    };
    let mut updates = vec![
        submitted,
        update(ConditionType::Succeeded, condition_status, ending.succeeded),
        update(ConditionType::Ready, condition_status, ending.succeeded),
    ];
    if !good {
        updates.push(update(
            ConditionType::Stalled,
            ConditionStatus::True,
            ending.succeeded,
        ));
    }
    updates
}

fn submitted(request: &Request, status: &DesktopDeletionStatus, progress: &Progress) -> ConditionUpdate {
    if let Some(attempt) = last_effective(status) {
        return took_effect(request, attempt, status.job_id.as_ref());
    }
    let open = status.attempts.iter().any(Attempt::is_open);
    let condition_status = if open {
        ConditionStatus::Unknown
    } else {
        ConditionStatus::False
    };
    let reason = match progress.reason {
        // Regardless of other obstacles, an open attempt is reported as open.
        reason @ (Reason::Submitting | Reason::AwaitingEvidence | Reason::OutcomeUnknown) => reason,
        _ if open => Reason::AwaitingEvidence,
        reason => reason,
    };
    ConditionUpdate::new(
        ConditionType::Submitted,
        condition_status,
        reason,
        &progress.message,
    )
}

fn took_effect(request: &Request, attempt: &Attempt, job: Option<&JobID>) -> ConditionUpdate {
    let when = attempt.signed_at.0;
    let own = job.filter(|job| attempt.job_ids.contains(job));
    let reason = match (attempt.outcome, own) {
        (Outcome::Accepted, _) => Reason::JobAccepted,
        (_, Some(_)) => Reason::JobRecovered,
        (_, None) => Reason::JobUnknown,
    };
    let jobs = list(&attempt.job_ids);
    let count = desktops(attempt.desktop_ids.len());
    let mut message = match reason {
        Reason::JobAccepted => format!("the cloud accepted {count} as job {jobs}, submitted at {when}"),
        Reason::JobRecovered => {
            format!("submitted {count} at {when}; the response was lost and job {jobs} was recovered")
        }
        _ if attempt.job_ids.is_empty() => {
            format!("submitted {count} at {when}; the request took effect, but its job is unknown")
        }
        _ => format!(
            "submitted {count} at {when} and the response was lost; job {jobs} deletes some of them and may belong to another client; nothing is sent again"
        ),
    };
    if request.suspend {
        message.push_str("; spec.suspend was set after the submission and has no effect: a submitted request cannot be recalled");
    }
    ConditionUpdate::new(ConditionType::Submitted, ConditionStatus::True, reason, message)
}
