//! Events and log lines. Events are best effort: they never fail a reconciliation.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};

use super::super::Context;
use super::super::events::{EventType, NewEvent};
use super::reconciliation::Reconciliation;
use crate::crd::RESOLVE_ANNOTATION;
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason, find};
use crate::crd::deletion::DesktopDeletionStatus;
use crate::plan::messages::list;
use crate::plan::observed::{PostResult, Request, Submission};
use crate::plan::step::OutcomeUpdate;
use crate::plan::step::RefusedAnnotation;
use crate::runtime::metrics::Incident;

/// Reports what a status write changed.
pub async fn changed(before: &DesktopDeletionStatus, reconciliation: &Reconciliation, context: &Context) {
    let after = &reconciliation.observed.request.status;
    let (name, namespace) = (reconciliation.object.name_any(), reconciliation.namespace());
    if let Some(submitted) = suspended_too_late(before, &reconciliation.observed.request) {
        warn(reconciliation, "SuspendedTooLate", &submitted.message, context).await;
    }
    // No Event for `Queued`: many queued requests would cause as many Events.
    let is_reported = |change: &&Condition| change.reason != Reason::Queued;
    let Some(change) = main_change(before, after).filter(is_reported) else {
        return;
    };
    let (reason, message) = (&change.reason, &change.message);
    let warning = change.type_ == ConditionType::Stalled
        || (change.type_ == ConditionType::Succeeded && change.status == ConditionStatus::False);
    let kind = if warning {
        tracing::warn!(namespace, name, reason, "{message}");
        EventType::Warning
    } else {
        tracing::info!(namespace, name, reason, "{message}");
        EventType::Normal
    };
    publish(reconciliation, kind, reason, message, context).await;
}

/// The condition `Submitted`, if a change of the object has just set `suspend` after the submission.
fn suspended_too_late<'a>(before: &'a DesktopDeletionStatus, request: &'a Request) -> Option<&'a Condition> {
    let took_effect = |status: &'a DesktopDeletionStatus| {
        find(&status.conditions, ConditionType::Submitted).filter(|c| c.status == ConditionStatus::True)
    };
    let edited = before.observed_generation != request.status.observed_generation;
    // The request was already submitted before the edit; otherwise the edit was not too late.
    took_effect(before)?;
    took_effect(&request.status).filter(|_| edited && request.suspend)
}

/// The most important changed condition: the final result, else `Stalled`, else the submission.
fn main_change<'a>(
    before: &DesktopDeletionStatus,
    after: &'a DesktopDeletionStatus,
) -> Option<&'a Condition> {
    [
        ConditionType::Succeeded,
        ConditionType::Stalled,
        ConditionType::Submitted,
    ]
    .into_iter()
    .find_map(|kind| {
        let now = find(&after.conditions, kind)?;
        let then = find(&before.conditions, kind);
        let undecided = kind == ConditionType::Succeeded && now.status == ConditionStatus::Unknown;
        // An imminent submission is not reported; its result is.
        let undecided = undecided || now.reason == Reason::Submitting;
        let same = then.is_some_and(|then| (&then.status, &then.reason) == (&now.status, &now.reason));
        (!undecided && !same).then_some(now)
    })
}

/// Logs a warning, and publishes it.
async fn warn(reconciliation: &Reconciliation, reason: &str, note: &str, context: &Context) {
    tracing::warn!(
        namespace = reconciliation.namespace(),
        name = reconciliation.object.name_any(),
        "{note}"
    );
    publish(reconciliation, EventType::Warning, reason, note, context).await;
}

async fn publish(
    reconciliation: &Reconciliation,
    kind: EventType,
    reason: &str,
    note: &str,
    context: &Context,
) {
    publish_about(reconciliation, None, kind, reason, note, context).await;
}

/// Events that differ only in their notes are counted as one, with the first note. `related` distinguishes Events that
/// must not be merged.
async fn publish_about(
    reconciliation: &Reconciliation,
    related: Option<ObjectReference>,
    kind: EventType,
    reason: &str,
    note: &str,
    context: &Context,
) {
    let event = NewEvent {
        kind,
        reason,
        note,
        related,
    };
    context
        .kube
        .events
        .publish(&reconciliation.object.object_ref(&()), event)
        .await;
}

/// The outcome of a submission cannot be stored, usually because the object was removed: it is logged, counted and
/// published.
pub async fn outcome_not_recorded(reconciliation: &Reconciliation, context: &Context) {
    let Submission::Responded { attempt, result } = &reconciliation.observed.submission else {
        return;
    };
    let (name, namespace) = (reconciliation.object.name_any(), reconciliation.namespace());
    let text = match result {
        PostResult::Accepted(job) => format!("the cloud accepted attempt {attempt} as job {job}"),
        PostResult::OutcomeUnknown(_) => format!("the outcome of attempt {attempt} is unknown"),
        PostResult::NotSent(_) | PostResult::Rejected(_) => return,
    };
    let message = format!(
        "{text}, but this could not be recorded, because the object was removed or could not be updated; check the desktops in the console"
    );
    tracing::error!(namespace, name, %attempt, "{message}");
    context.process.metrics.incident(Incident::JobLost);
    publish(reconciliation, EventType::Warning, "JobLost", &message, context).await;
}

/// An annotation was refused.
pub async fn resolve_refused(
    reconciliation: &Reconciliation,
    refusal: &RefusedAnnotation,
    context: &Context,
) {
    let (name, namespace) = (reconciliation.object.name_any(), reconciliation.namespace());
    // Escaped, so that the author of the annotation cannot write into the log.
    let value = refusal.value.escape_debug();
    let note = format!("annotation {RESOLVE_ANNOTATION}={value}: {}", refusal.reason);
    tracing::warn!(namespace, name, "{note}");
    // Each refused annotation belongs to one resourceVersion.
    let object_version = ObjectReference {
        resource_version: reconciliation.object.resource_version(),
        ..reconciliation.object.object_ref(&())
    };
    let (type_, reason) = (EventType::Warning, "ResolveRefused");
    publish_about(
        reconciliation,
        Some(object_version),
        type_,
        reason,
        &note,
        context,
    )
    .await;
}

/// A submission that was taken to have had no effect shows one: the cloud let it be seen later than assumed.
pub async fn late_effect(reconciliation: &Reconciliation, outcome_update: &OutcomeUpdate, context: &Context) {
    let (name, namespace) = (reconciliation.object.name_any(), reconciliation.namespace());
    let jobs = list(&outcome_update.jobs);
    let note = format!(
        "attempt {} was recorded as NoEffect, but now has job {jobs}: unless another client started that job, the \
         cloud accepted the delete request later than --signature-window, or showed the job later than \
         --job-visibility-timeout. Increase these flags. The operator follows the job",
        outcome_update.attempt
    );
    tracing::error!(namespace, name, "{note}");
    context.process.metrics.incident(Incident::LateEffect);
    publish(reconciliation, EventType::Warning, "LateEffect", &note, context).await;
}

/// The finalizer was removed while a call may take effect, and is there again.
pub async fn finalizer_restored(reconciliation: &Reconciliation, context: &Context) {
    let note = "another client removed the operator's finalizer while a delete request may still take effect; the operator restored it. Update the object without replacing it (Argo CD: no Replace=true), or install the policy keep-finalizer";
    warn(reconciliation, "FinalizerRestored", note, context).await;
}

/// The object is released although an attempt of it was never settled.
pub async fn released_unresolved(reconciliation: &Reconciliation, context: &Context) {
    let request = &reconciliation.observed.request;
    let Some(attempt) = request.pending().or(request.of_newer_version()) else {
        return;
    };
    let note = format!(
        "the operator removed its finalizer although the outcome of attempt {} is unknown; check its desktops in the console",
        attempt.id
    );
    context.process.metrics.incident(Incident::ReleasedUnresolved);
    warn(reconciliation, "ReleasedUnresolved", &note, context).await;
}
