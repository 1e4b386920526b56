//! The decision: [`plan`] looks at what was observed and names the next step. It is pure: no clock, no client,
//! no async. Every effect is a step of its own, and after each one `plan` is asked again, so each place where the
//! process can die is the gap between two steps.
//!
//! The files stand in floors. Each imports from its own floor and from those below it, never in a circle, and no phase
//! imports another one:
//!
//! | floor | file | what it decides |
//! | --- | --- | --- |
//! | 6, phases | [`admission`] | before anything is sent: may it be submitted, and what exactly |
//! | | [`submission`] | sign, store the intent, send once, record |
//! | | [`recovery`] | an attempt whose answer was lost |
//! | | [`job`] | the job, and whether the desktops are really gone |
//! | | [`resolve`] | a person settles an attempt by annotation |
//! | | [`finalize`] | the object is being deleted |
//! | 5, shared by phases | [`overlap`] | another request holds one of the desktops |
//! | | [`unreadable`] | a namespace that the operator may not read |
//! | | [`expectations`] | a desktop is not what its request says |
//! | | [`approval`] | the desktops are not what was approved |
//! | | [`daily_limit`] | the project takes only so many desktops within a day |
//! | | [`preview`] | what the request will do, for people |
//! | | [`evidence`] | what reads show of an attempt in doubt |
//! | | [`blockers`] | what holds a request up: its project, clocks, answers of the cloud |
//! | | [`finalizer`] | that the finalizer is there while a call may take effect |
//! | 4, status | [`status`] | the legal transitions of `status`, and nothing else writes it |
//! | | [`conditions`] | what the conditions say |
//! | 3, time | [`deadlines`] | every rule about time, from the [`clocks`] and the [`memory`] of the process |
//! | | [`daily_usage`] | what counts against the limit of a day, and until when |
//! | 2, data | [`step`], [`progress`] | what is to be done, and what is said meanwhile |
//! | | [`observed`], [`views`] | what the decision looks at, and what reads of the cloud show |
//! | | [`attempts`], [`in_flight`] | what stored attempts say |
//! | | [`plan_hash`] | the facts that a plan holds, and its hash |
//! | 1, words | [`messages`] | sentences for people |
//! | | [`classify`] | from an error of the cloud to what is done about it |

pub mod admission;
pub mod approval;
pub mod attempts;
pub mod blockers;
pub mod classify;
pub mod clocks;
pub mod conditions;
pub mod daily_limit;
pub mod daily_usage;
pub mod deadlines;
pub mod evidence;
pub mod expectations;
pub mod finalize;
pub mod finalizer;
pub mod guardrails;
pub mod in_flight;
pub mod job;
pub mod memory;
pub mod messages;
pub mod observed;
pub mod overlap;
pub mod plan_hash;
pub mod preview;
pub mod progress;
pub mod recovery;
pub mod resolve;
pub mod status;
pub mod step;
pub mod submission;
pub mod unreadable;
pub mod views;

use observed::{Observed, SendPermit};
use step::Step;

/// The next step for what was observed.
#[must_use]
pub fn plan(seen: &Observed) -> Step {
    match decide(seen) {
        step if seen.permit == SendPermit::Held && !step.keeps_permit() => Step::ReleasePermit,
        Step::Wait(hold) => {
            let hold = finalizer::mentioned(seen, recovery::delayed_by_clocks(seen, hold));
            if status::would_change(&seen.request, &hold) {
                Step::RecordProgress(hold)
            } else {
                Step::Wait(hold)
            }
        }
        step => step,
    }
}

fn decide(seen: &Observed) -> Step {
    let request = &seen.request;
    if request.status.completion_time.is_some() {
        return match submission::next(seen) {
            // A job that becomes known only now is still added to its attempt. Any other answer is no news, and whoever
            // holds it must not go on as if it were.
            Some(step @ (Step::RecordOutcome(_) | Step::StartOver)) => step,
            _ if request.finalizer => Step::DropFinalizer,
            _ => Step::Done,
        };
    }
    if let Some(step) = submission::next(seen) {
        return step;
    }
    match unsubmitted(seen) {
        // It was taken off for the verdict.
        step @ Step::Finish(_) => step,
        step => finalizer::restored(seen).unwrap_or(step),
    }
}

/// The next step of a request of which this process holds no submission in memory.
fn unsubmitted(seen: &Observed) -> Step {
    let request = &seen.request;
    if let Some(step) = resolve::next(seen) {
        return step;
    }
    if request.deleting {
        return finalize::next(seen);
    }
    if let Some(attempt) = request.pending() {
        return recovery::next(seen, attempt);
    }
    if let Some(attempt) = request.of_newer_version() {
        return Step::Wait(recovery::of_newer_version(attempt));
    }
    if let Some(attempt) = request.status.attempts.iter().find(|a| a.is_open()) {
        return resolve::settle_abandoned(seen, attempt);
    }
    if attempts::submitted(&request.status) {
        job::next(seen)
    } else {
        admission::next(seen)
    }
}
