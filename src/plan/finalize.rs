//! Layer 6, phases: the object is being deleted.
//!
//! Deleting the object deletes nothing in the cloud and sends nothing. The object is kept only while its delete request
//! may still take effect or its job may not be visible yet: otherwise, a new object of the same name could send a
//! second one. An abandoned request is released immediately; then only this process keeps its claim on the desktops.

use super::attempts::{last_effective, submitted};
use super::messages::expiry_of;
use super::observed::Observed;
use super::progress::{Activity, Progress, Requeue};
use super::step::Step;
use super::{blockers, evidence};
use crate::crd::deletion::Attempt;

/// The next step for an object that is being deleted.
pub fn next(observed: &Observed) -> Step {
    if !observed.request.finalizer {
        return Step::Done;
    }
    if let Some(attempt) = observed.request.pending() {
        return if observed.facts.call_expired {
            final_read(observed, attempt)
        } else {
            blockers::next_clock_read(observed).unwrap_or_else(|| Step::Wait(waiting_for_expiry(attempt)))
        };
    }
    if let Some(attempt) = observed
        .request
        .of_newer_version()
        .filter(|_| !observed.facts.call_expired)
    {
        let progress = waiting_for_expiry(attempt);
        return blockers::next_clock_read(observed).unwrap_or(Step::Wait(progress));
    }
    if submitted(&observed.request.status) && !observed.facts.job_visibility_timeout_over {
        if let Some(step) = blockers::next_clock_read(observed) {
            return step;
        }
        let effective = last_effective(&observed.request.status);
        let progress = Progress::job_running(effective.map_or(0, |attempt| attempt.desktop_ids.len()));
        let message = format!(
            "{}; the object is kept for a few minutes, until its job is visible in the cloud",
            progress.message
        );
        return Step::Wait(Progress {
            message,
            requeue: Requeue::JobVisibility,
            ..progress
        });
    }
    Step::DropFinalizer
}

fn waiting_for_expiry(attempt: &Attempt) -> Progress {
    let mut progress = evidence::in_doubt(attempt);
    let end = expiry_of(attempt);
    progress.message = format!(
        "{}; the object is kept until the delete request has expired ({end})",
        progress.message
    );
    progress
}

fn checking_for_job(attempt: &Attempt) -> Progress {
    let mut progress = evidence::in_doubt(attempt);
    progress.message.push_str(
        "; the delete request has expired, and the object is kept until its job is found or --recovery-timeout has passed",
    );
    progress
}

/// The delete request has expired: if it started a job that can be read, the job is stored before the object is
/// removed.
fn final_read(observed: &Observed, attempt: &Attempt) -> Step {
    match evidence::gather_evidence(observed, attempt) {
        // A truncated list may lack the job.
        Ok(evidence) if !evidence::is_conclusive(observed, attempt, &evidence) => Step::Wait(Progress {
            requeue: Requeue::SecondRead,
            ..evidence::with_gap(observed, attempt, checking_for_job(attempt))
        }),
        Ok(evidence) if evidence.found() => {
            Step::RecordOutcome(evidence::adopted(observed, attempt, &evidence))
        }
        // A single failed read must not lose a job; deleted credentials may never be restored.
        Err(Step::Wait(progress)) if is_transient(observed) && !observed.facts.recovery_timed_out => {
            Step::Wait(progress)
        }
        Ok(_) | Err(Step::Wait(_)) => Step::DropFinalizer,
        Err(read) => read,
    }
}

/// Whether the evidence cannot be read for a reason that may pass without user action.
fn is_transient(observed: &Observed) -> bool {
    blockers::unreadable(observed).is_some_and(|obstacle| obstacle.activity != Activity::Stalled)
}
