//! Floor 6, phases.
//!
//! The object is being deleted. That deletes nothing in the cloud and sends nothing. The object is kept only while its
//! delete request may still take effect: otherwise, a new object of the same name could send a second one.

use super::attempts::submitted;
use super::messages::expiry_of;
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use super::step::Step;
use super::{blockers, evidence};
use crate::crd::deletion::Attempt;

/// The next step for an object that is being deleted.
pub fn next(seen: &Observed) -> Step {
    if !seen.request.finalizer {
        return Step::Done;
    }
    if let Some(attempt) = seen.request.pending() {
        return if seen.facts.expired {
            final_read(seen, attempt)
        } else {
            blockers::next_clock_read(seen).unwrap_or_else(|| Step::Wait(waiting_for_expiry(attempt)))
        };
    }
    if let Some(attempt) = seen.request.of_newer_version().filter(|_| !seen.facts.expired) {
        let progress = waiting_for_expiry(attempt);
        return blockers::next_clock_read(seen).unwrap_or(Step::Wait(progress));
    }
    if submitted(&seen.request.status) && !seen.facts.job_visibility_timeout_over {
        if let Some(step) = blockers::next_clock_read(seen) {
            return step;
        }
        let progress = Progress::job_running(seen.request.desktop_ids.len());
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

/// The delete request has expired: any job that came of it is stored before the object goes, if it can be read.
fn final_read(seen: &Observed, attempt: &Attempt) -> Step {
    match evidence::look(seen, attempt) {
        // A list that was cut may lack the job.
        Ok(evidence) if !evidence::is_conclusive(seen, attempt, &evidence) => Step::Wait(Progress {
            requeue: Requeue::SecondRead,
            ..waiting_for_expiry(attempt)
        }),
        Ok(evidence) if evidence.found() => Step::RecordOutcome(evidence::adopted(seen, attempt, &evidence)),
        // One failed read is no reason to lose a job; a login that is gone may never come back.
        Err(Step::Wait(progress)) if is_transient(seen) && !seen.facts.recovery_timed_out => {
            Step::Wait(progress)
        }
        Ok(_) | Err(Step::Wait(_)) => Step::DropFinalizer,
        Err(read) => read,
    }
}

/// A read failed for a reason that passes by itself.
fn is_transient(seen: &Observed) -> bool {
    seen.read_failure
        .as_ref()
        .is_some_and(|read_failure| !read_failure.error.class.error_policy().needs_user)
}
