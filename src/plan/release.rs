//! The object is being deleted. That deletes nothing in the cloud and sends nothing. It is held only while a
//! request of it may still reach the cloud: a twin made meanwhile must not post over it.

use super::observed::Observed;
use super::standing::{Hold, Wake};
use super::{Step, follow};
use super::{admission, recovery};
use crate::crd::deletion::Attempt;

/// The next step for an object that is being deleted.
pub fn next(seen: &Observed) -> Step {
    if !seen.request.finalizer {
        return Step::Rest;
    }
    if let Some(attempt) = seen.request.pending() {
        return if seen.facts.surely_dead {
            last_look(seen, attempt)
        } else {
            admission::ask_the_time(seen).unwrap_or_else(|| Step::Wait(held(attempt)))
        };
    }
    if let Some(attempt) = seen
        .request
        .of_newer_version()
        .filter(|_| !seen.facts.surely_dead)
    {
        let hold = held(attempt);
        return admission::ask_the_time(seen).unwrap_or(Step::Wait(hold));
    }
    if follow::submitted(&seen.request.status) && !seen.facts.settled {
        if let Some(step) = admission::ask_the_time(seen) {
            return step;
        }
        let hold = follow::running(seen.request.desktop_ids.len());
        let message = format!(
            "{}; the object is kept for some minutes, until its job must show in the cloud",
            hold.message
        );
        return Step::Wait(Hold {
            message,
            wake: Wake::Settle,
            ..hold
        });
    }
    Step::DropFinalizer
}

fn held(attempt: &Attempt) -> Hold {
    let mut hold = recovery::in_doubt(attempt);
    let end = attempt.not_after.as_ref().map_or_else(
        || "a day after it was sent".to_owned(),
        |end| format!("some minutes after {}", end.0),
    );
    hold.message = format!(
        "{}; the object is kept until the request can no longer take effect, {end}",
        hold.message
    );
    hold
}

/// The request is dead: any job that came of it is stored before the object goes, if it can be read.
fn last_look(seen: &Observed, attempt: &Attempt) -> Step {
    match recovery::look(seen, attempt) {
        // A list that was cut may lack the job.
        Ok(evidence) if !recovery::says_enough(seen, attempt, &evidence) => Step::Wait(Hold {
            wake: Wake::SecondLook,
            ..held(attempt)
        }),
        Ok(evidence) if evidence.found() => Step::RecordOutcome(recovery::adopted(seen, attempt, &evidence)),
        // One failed read is no reason to lose a job; a login that is gone may never come back.
        Err(Step::Wait(hold)) if passing(seen) && !seen.facts.evidence_overdue => Step::Wait(hold),
        Ok(_) | Err(Step::Wait(_)) => Step::DropFinalizer,
        Err(read) => read,
    }
}

/// A read failed for a reason that passes by itself.
fn passing(seen: &Observed) -> bool {
    seen.trouble
        .as_ref()
        .is_some_and(|trouble| !trouble.class.treatment().person)
}
