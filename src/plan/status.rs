//! Layer 4, status: the legal transitions of the status.
//!
//! The API server checks them again by the rules of the CRD. The time is a parameter. Only two other files change a
//! status: `controllers::undecodable` (conditions of an object that cannot be decoded) and `controllers::finished` (the
//! observed generation of a finished request).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::attempts::{unsettled, was_not_found};
use super::conditions;
use super::observed::Request;
use super::progress::{Preview, Progress};
use super::step::{Completion, Intent, OutcomeUpdate, RefusedAnnotation};
use crate::crd::conditions::{ConditionType, ConditionUpdate, merge};
use crate::crd::deletion::{
    Attempt, CloudError, DesktopDeletionStatus, DesktopState, DesktopStatus, Outcome, Plan, Summary,
};
use crate::crd::limits::{DESKTOP_NAME, JOBS_PER_ATTEMPT, cut};
use crate::ids::AttemptID;

/// A move that the state of the attempt does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// There is no such attempt.
    #[error("attempt {0} is not in the status")]
    NoSuchAttempt(AttemptID),
    /// Another attempt may still have reached the cloud.
    #[error("attempt {0} is not settled, so no further one may begin")]
    Unsettled(AttemptID),
}

/// The status that stores an intent. Records of rejected attempts are removed, except those that count towards a final
/// rejection; all others are kept.
///
/// # Errors
/// An earlier attempt may have reached the cloud.
pub fn record_intent(
    request: &Request,
    intent: &Intent,
    now: &Time,
) -> Result<DesktopDeletionStatus, IllegalTransition> {
    let mut status = request.status.clone();
    if let Some(unsettled) = unsettled(&status) {
        return Err(IllegalTransition::Unsettled(unsettled.id.clone()));
    }
    // Counted rejections are kept while they are about the same desktops.
    let counts = |a: &Attempt| was_not_found(a) && a.desktop_ids == intent.attempt.desktop_ids;
    status
        .attempts
        .retain(|a| !matches!(a.outcome, Outcome::Rejected | Outcome::NotSent) || counts(a));
    status.attempts.push(intent.attempt.clone());
    status.project.get_or_insert_with(|| intent.project.clone());
    status.start_time.get_or_insert_with(|| now.clone());
    list_all(&mut status, request, &intent.desktops);
    Ok(apply_progress(request, status, &intent.progress, now))
}

/// The status that stores the outcome of an attempt. If the attempt was settled in the meantime, it keeps its outcome
/// and only gains the jobs; the same applies to a finished request, whose result does not change.
///
/// # Errors
/// There is no such attempt.
pub fn record_outcome(
    request: &Request,
    outcome_update: &OutcomeUpdate,
    now: &Time,
) -> Result<DesktopDeletionStatus, IllegalTransition> {
    let mut status = request.status.clone();
    let Some(attempt) = status
        .attempts
        .iter_mut()
        .find(|a| a.id == outcome_update.attempt)
    else {
        return Err(IllegalTransition::NoSuchAttempt(outcome_update.attempt.clone()));
    };
    // One place is kept for the job in a response that may still arrive.
    let kept = usize::from(status.job_id.is_none() && outcome_update.job.is_none());
    for job in &outcome_update.jobs {
        if !attempt.job_ids.contains(job) && attempt.job_ids.len() + kept < JOBS_PER_ATTEMPT as usize {
            attempt.job_ids.push(job.clone());
        }
    }
    if attempt.outcome == Outcome::Pending {
        attempt.outcome = outcome_update.outcome;
        attempt.error.clone_from(&outcome_update.error);
        if matches!(outcome_update.outcome, Outcome::Rejected | Outcome::NotSent) {
            status.refused_attempts = status.refused_attempts.saturating_add(1);
        }
    }
    if status.job_id.is_none() {
        status.job_id.clone_from(&outcome_update.job);
    }
    if outcome_update.handled_annotation.is_some() {
        status
            .last_handled_resolve
            .clone_from(&outcome_update.handled_annotation);
    }
    if status.completion_time.is_some() {
        return Ok(status);
    }
    Ok(apply_progress(request, status, &outcome_update.progress, now))
}

/// The status that stores that an annotation was handled without any other change.
pub fn refuse_resolve(request: &Request, refusal: &RefusedAnnotation) -> DesktopDeletionStatus {
    DesktopDeletionStatus {
        last_handled_resolve: Some(refusal.value.clone()),
        ..request.status.clone()
    }
}

/// The status with the content of `progress`.
pub fn with_progress(request: &Request, progress: &Progress, now: &Time) -> DesktopDeletionStatus {
    apply_progress(request, request.status.clone(), progress, now)
}

/// The last status of the request.
pub fn finish(request: &Request, completion: &Completion, now: &Time) -> DesktopDeletionStatus {
    let mut status = request.status.clone();
    if status.project.is_none() {
        status.project.clone_from(&completion.project);
    }
    status.start_time.get_or_insert_with(|| now.clone());
    list_all(&mut status, request, &completion.desktops);
    status.last_error.clone_from(&completion.error);
    if completion.handled_annotation.is_some() {
        status
            .last_handled_resolve
            .clone_from(&completion.handled_annotation);
    }
    let updates = conditions::finished(request, &status, completion);
    if status.job_id.is_none() {
        status.job_id = status.attempts.iter().find_map(|a| a.job_ids.first().cloned());
    }
    status.completion_time = Some(now.clone());
    apply_conditions(request, status, &updates, now)
}

/// Whether storing `progress` would change anything but times.
pub fn would_change(request: &Request, progress: &Progress) -> bool {
    // The time is irrelevant: unchanged conditions keep theirs, and the others are a change anyway.
    let now = Time(jiff::Timestamp::UNIX_EPOCH);
    with_progress(request, progress, &now) != request.status
}

fn apply_progress(
    request: &Request,
    mut status: DesktopDeletionStatus,
    progress: &Progress,
    now: &Time,
) -> DesktopDeletionStatus {
    if let Some(preview) = &progress.preview {
        show_plan(&mut status, preview, now);
        status.refused_plan.clone_from(&preview.refused);
    }
    // If it is removed and set again, it is a new approval.
    if status.refused_plan != request.approved_plan {
        status.refused_plan = None;
    }
    if !progress.desktops.is_empty() {
        list_all(&mut status, request, &progress.desktops);
    }
    // If it is removed and set again, it is a new annotation.
    if request.resolve.is_none() {
        status.last_handled_resolve = None;
    }
    // The same error again is not a change, although its time and request ID differ.
    let known = status
        .last_error
        .as_ref()
        .zip(progress.error.as_ref())
        .is_some_and(|(a, b)| same_error(a, b));
    if !known {
        status.last_error.clone_from(&progress.error);
    }
    let mut updates = conditions::unfinished(request, &status, progress);
    updates.extend(
        progress
            .preview
            .iter()
            .flat_map(|preview| preview.updates.iter().cloned()),
    );
    apply_conditions(request, status, &updates, now)
}

/// Puts the plan into the status. The time changes only with the content.
fn show_plan(status: &mut DesktopDeletionStatus, preview: &Preview, now: &Time) {
    let Some(content) = &preview.summary else {
        return;
    };
    let at = |observed_at: &Time| Plan {
        observed_at: observed_at.clone(),
        hash: content.hash.clone(),
        delete: content.delete,
        absent: content.absent,
        blocked: content.blocked,
    };
    let same = status
        .plan
        .take()
        .filter(|shown| at(&shown.observed_at) == *shown);
    status.plan = Some(same.unwrap_or_else(|| at(now)));
    status.approved.clone_from(&preview.approved);
    // Whether users are shown may have changed.
    for desktop in &mut status.desktops {
        desktop.user = None;
    }
}

/// Whether two errors are the same, although their times, texts and request IDs may differ.
pub fn same_error(a: &CloudError, b: &CloudError) -> bool {
    (&a.operation, &a.class, a.http_status, &a.code) == (&b.operation, &b.class, b.http_status, &b.code)
}

fn apply_conditions(
    request: &Request,
    mut status: DesktopDeletionStatus,
    updates: &[ConditionUpdate],
    now: &Time,
) -> DesktopDeletionStatus {
    let about_the_plan = |c: &&Condition| {
        let kinds = [ConditionType::Planned, ConditionType::Approved];
        let unclaimed = |kind: &ConditionType| updates.iter().all(|update| update.kind != *kind);
        kinds.iter().any(|kind| c.type_ == *kind && unclaimed(kind))
    };
    let kept: Vec<_> = status.conditions.iter().filter(about_the_plan).cloned().collect();
    status.conditions = merge(&status.conditions, updates, request.generation, now);
    status.conditions.extend(kept);
    status.observed_generation = Some(request.generation);
    status.summary = Some(summarise(&status.desktops, request.desktop_ids.len()));
    status
}

/// Puts `changed` into the list of desktops, which names every desktop of the request. `Deleted` stays.
fn list_all(status: &mut DesktopDeletionStatus, request: &Request, changed: &[DesktopStatus]) {
    for id in &request.desktop_ids {
        if !status.desktops.iter().any(|d| d.id == *id) {
            status
                .desktops
                .push(DesktopStatus::new(id, DesktopState::Pending));
        }
    }
    for item in changed {
        let known = status.desktops.iter_mut().find(|d| d.id == item.id);
        if let Some(known) = known.filter(|d| d.state != DesktopState::Deleted) {
            let name = item.name.as_deref().map(|name| cut(name, DESKTOP_NAME));
            *known = DesktopStatus {
                name: name.or(known.name.take()),
                user: item.user.clone().or(known.user.take()),
                ..item.clone()
            };
        }
    }
}

fn summarise(desktops: &[DesktopStatus], total: usize) -> Summary {
    let total = i32::try_from(total).unwrap_or(i32::MAX);
    let mut summary = Summary {
        total,
        ..Summary::default()
    };
    for desktop in desktops {
        let count = match desktop.state {
            DesktopState::Pending | DesktopState::Blocked => &mut summary.pending,
            DesktopState::Absent => &mut summary.absent,
            DesktopState::Deleting => &mut summary.deleting,
            DesktopState::Deleted => &mut summary.deleted,
            DesktopState::Failed => &mut summary.failed,
            DesktopState::Unknown => &mut summary.unknown,
            DesktopState::Other => continue,
        };
        *count += 1;
    }
    if desktops.is_empty() {
        summary.pending = total;
    }
    summary
}
