//! Layer 6, phases: manual resolution by annotation.
//!
//! It is for an attempt that the operator cannot settle. A value of the annotation `cloud-desktops.dev/resolve` is
//! handled once.

use super::messages::{expiry_of, outcome_of_newer_version};
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use super::step::{Completion, OutcomeUpdate, RefusedAnnotation, Step};
use super::{blockers, evidence, finalizer};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, DesktopState, DesktopStatus, Outcome};
use crate::ids::{AttemptID, JobID};

/// The parsed annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// Which attempt.
    pub attempt: AttemptID,
    /// What to do with it.
    pub action: ResolveAction,
}

/// What to do with an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveAction {
    /// It had no effect: submit again.
    Retry,
    /// Abandon the request.
    Abandon,
    /// It took effect as this job.
    Adopt(JobID),
}

/// Format of the annotation.
const FORM: &str = "use <attempt id>=retry, <attempt id>=abandon or <attempt id>=adopt:<job id>";

impl Resolve {
    /// Reads the annotation.
    ///
    /// # Errors
    /// It is invalid; the text describes the format.
    pub fn parse(value: &str) -> Result<Self, String> {
        let (attempt, action) = value.trim().split_once('=').ok_or(FORM)?;
        let attempt = AttemptID::try_from(attempt).map_err(|_| FORM)?;
        let action = match action.split_once(':') {
            None if action == "retry" => ResolveAction::Retry,
            None if action == "abandon" => ResolveAction::Abandon,
            Some(("adopt", job)) => ResolveAction::Adopt(JobID::try_from(job).map_err(|_| FORM)?),
            _ => return Err(FORM.to_owned()),
        };
        Ok(Self { attempt, action })
    }
}

/// The next step for an annotation that was not handled yet, if there is one.
pub fn next(observed: &Observed) -> Option<Step> {
    let value = observed.request.unhandled_resolve()?;
    let refuse = |why: String| {
        Some(Step::RefuseResolve(RefusedAnnotation {
            value: value.clone(),
            reason: why,
        }))
    };
    let resolve = match Resolve::parse(&value) {
        Ok(resolve) => resolve,
        Err(why) => return refuse(why),
    };
    let Some(attempt) = observed.request.attempt(&resolve.attempt) else {
        return refuse(format!(
            "attempt {} is not in the status; {FORM}",
            resolve.attempt
        ));
    };
    if resolve.action == ResolveAction::Abandon && attempt.took_effect() {
        return if !observed.facts.overdue && observed.project.is_none() {
            Some(Step::ReadProject)
        } else if may_abandon(observed) {
            Some(finalizer::finish(
                observed,
                abandoned_completion(observed, Some(value)),
            ))
        } else {
            refuse(format!(
                "attempt {} took effect; it can be abandoned once its job is overdue, or, if its WorkspaceProject now \
                 points elsewhere, a few minutes after the submission. Remove the annotation and set it again then",
                attempt.id
            ))
        };
    }
    if attempt.outcome == Outcome::Other {
        return refuse(outcome_of_newer_version(attempt));
    }
    if attempt.outcome != Outcome::Pending {
        return refuse(format!(
            "attempt {} already has outcome {}, so there is nothing to resolve; remove the annotation",
            attempt.id,
            attempt.outcome.as_str()
        ));
    }
    match resolve.action {
        ResolveAction::Abandon => Some(Step::RecordOutcome(abandoned(attempt, value))),
        ResolveAction::Retry if !observed.facts.call_expired => refuse(format!(
            "the delete request of attempt {} can still take effect, so it must not be repeated yet. Remove the \
             annotation and set it again {}, or abandon the attempt",
            attempt.id,
            expiry_of(attempt)
        )),
        ResolveAction::Retry => Some(Step::RecordOutcome(retried(attempt, value))),
        ResolveAction::Adopt(job) => adopt(observed, attempt, &job, value),
    }
}

/// Whether a submitted request may be abandoned: its job is overdue, or can no longer be followed although it must be
/// visible by now. Its desktops are released then.
fn may_abandon(observed: &Observed) -> bool {
    let stored_project = observed.request.status.project.as_ref();
    let now = observed.project.as_ref().and_then(|p| p.coordinates.as_ref());
    let elsewhere = stored_project
        .zip(now)
        .is_some_and(|(stored_project, now)| stored_project.key() != now.key());
    observed.facts.overdue || (elsewhere && observed.facts.job_visibility_timeout_over)
}

/// A job is adopted only if it names desktops of the attempt.
fn adopt(observed: &Observed, attempt: &Attempt, job: &JobID, value: String) -> Option<Step> {
    match evidence::gather_evidence(observed, attempt) {
        // While the evidence cannot be read to its end, the annotation waits.
        Err(Step::Wait(_)) => None,
        Err(read) => Some(read),
        Ok(mut evidence) => {
            let named = observed
                .sub_job_list
                .as_ref()
                .is_some_and(|s| s.jobs_naming(&attempt.desktop_ids).contains(job));
            let earlier = attempt.baseline_job_ids.contains(job);
            if !named && !earlier && !evidence.complete && !observed.facts.recovery_timed_out {
                return None;
            }
            if !named || earlier {
                let why = format!(
                    "job {job} names no desktop of attempt {}, or existed before its delete request; check the job in the console",
                    attempt.id
                );
                return Some(Step::RefuseResolve(RefusedAnnotation { value, reason: why }));
            }
            evidence.jobs = [job.clone()].into();
            let affected = observed
                .sub_job_list
                .iter()
                .flat_map(|sub_job_list| sub_job_list.named_by(job));
            evidence.affected.extend(affected);
            let outcome_update = OutcomeUpdate {
                handled_annotation: Some(value),
                ..evidence::adopted(observed, attempt, &evidence)
            };
            Some(Step::RecordOutcome(outcome_update))
        }
    }
}

fn abandoned(attempt: &Attempt, value: String) -> OutcomeUpdate {
    OutcomeUpdate {
        handled_annotation: Some(value),
        ..OutcomeUpdate::of(attempt, Outcome::Abandoned, awaiting_expiry(attempt))
    }
}

fn retried(attempt: &Attempt, value: String) -> OutcomeUpdate {
    let message = format!(
        "attempt {} was marked as NoEffect by annotation; submitting again",
        attempt.id
    );
    let progress = Progress::retrying(Reason::NoEffect, message, Requeue::Retry);
    OutcomeUpdate {
        handled_annotation: Some(value),
        ..OutcomeUpdate::of(attempt, Outcome::NoEffect, progress)
    }
}

/// The conditions after a user abandoned an attempt that may still take effect.
fn awaiting_expiry(attempt: &Attempt) -> Progress {
    let end = expiry_of(attempt);
    let message = format!(
        "attempt {} was abandoned by annotation; its delete request can still take effect; its desktops stay reserved until it has expired ({end})",
        attempt.id
    );
    Progress::reconciling(Reason::AwaitingEvidence, message, Requeue::Expiry)
}

/// The conditions after the delete request of an abandoned attempt has expired.
fn checking_for_job(attempt: &Attempt) -> Progress {
    let message = format!(
        "attempt {} was abandoned by annotation, and its delete request has expired; if its job is found, it is followed; otherwise the request ends, at the latest after --recovery-timeout",
        attempt.id
    );
    Progress::reconciling(Reason::AwaitingEvidence, message, Requeue::SecondRead)
}

/// The next step of a request whose open attempt a user abandoned.
pub fn settle_abandoned(observed: &Observed, attempt: &Attempt) -> Step {
    if !observed.facts.call_expired {
        return blockers::next_clock_read(observed).unwrap_or_else(|| Step::Wait(awaiting_expiry(attempt)));
    }
    match evidence::gather_evidence(observed, attempt) {
        // Evidence that cannot be read completely now may show a job later.
        Ok(evidence) if !evidence::is_conclusive(observed, attempt, &evidence) => {
            Step::Wait(evidence::with_gap(observed, attempt, checking_for_job(attempt)))
        }
        Ok(evidence) if !evidence.jobs.is_empty() => {
            Step::RecordOutcome(evidence::adopted(observed, attempt, &evidence))
        }
        Err(Step::Wait(progress)) if !observed.facts.recovery_timed_out => {
            let wait = checking_for_job(attempt);
            let obstacle = blockers::unreadable(observed).unwrap_or(progress);
            Step::Wait(Progress {
                message: format!(
                    "{}. Jobs or desktops cannot be read at the moment: {}",
                    wait.message, obstacle.message
                ),
                requeue: obstacle.requeue,
                error: obstacle.error,
                ..wait
            })
        }
        Ok(_) | Err(Step::Wait(_)) => finalizer::finish(observed, abandoned_completion(observed, None)),
        Err(read) => read,
    }
}

/// The end of a request that a user abandoned.
fn abandoned_completion(observed: &Observed, handled_annotation: Option<String>) -> Completion {
    let open = observed
        .request
        .status
        .desktops
        .iter()
        .filter(|d| !d.state.is_final());
    let message = "abandoned by annotation; the state of the desktops is unknown. Check them in the console";
    Completion {
        desktops: open
            .map(|d| DesktopStatus::new(&d.id, DesktopState::Unknown))
            .collect(),
        handled_annotation,
        ..Completion::new(Reason::Abandoned, message.to_owned())
    }
}
