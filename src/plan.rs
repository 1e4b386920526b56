//! The decision: [`plan`] decides the next step from what was observed. It is pure: no clock, no client, no async. Every
//! effect is a separate step, and after each one `plan` is called again, so a crash always happens between two steps or
//! within one. (The plan that users see and approve, `status.plan`, is something else: [`plan_hash`] and [`preview`] make
//! it.)
//!
//! The files form layers; the order in time is in the docs of the crate. Each file imports
//! from its own layer and from those below it, never in a circle, and no phase imports another one:
//!
//! | layer | file | what it decides |
//! | --- | --- | --- |
//! | 6, phases | [`admission`] | before anything is sent: may it be submitted, and what exactly |
//! | | [`submission`] | sign, store the intent, send once, record |
//! | | [`recovery`] | an attempt whose response was lost |
//! | | [`job`] | the job, and whether the desktops are really gone |
//! | | [`resolve`] | manual resolution of an attempt by annotation |
//! | | [`finalize`] | the object is being deleted |
//! | 5, shared by phases | [`overlap`] | another request has reserved one of the desktops |
//! | | [`unreadable`] | a namespace that the operator lacks permission to read |
//! | | [`expectations`] | a desktop does not match `spec.expected` |
//! | | [`approval`] | the desktops are not what was approved |
//! | | [`guardrails`] | the guardrails of the project block the request |
//! | | [`daily_limit`] | the daily limit of the project has no room for the request |
//! | | [`preview`] | the plan that is shown: what the request will do |
//! | | [`evidence`] | what reads show about an attempt with unknown outcome |
//! | | [`blockers`] | what blocks a request from outside: its project, clocks, errors of the cloud |
//! | | [`finalizer`] | that the finalizer is there while a call may take effect |
//! | 4, status | [`status`] | the legal transitions of `status`: what the controllers write for a request |
//! | | [`conditions`] | the conditions that follow from the state |
//! | 3, time | [`deadlines`] | every rule about time, from the [`clocks`] and the [`memory`] of the process |
//! | | [`daily_usage`] | what counts against the daily limit, and until when |
//! | 2, data | [`step`], [`progress`] | the next step, and what the conditions report in the meantime |
//! | | [`observed`], [`views`] | the input of the decision, and what reads of the cloud show |
//! | | [`attempts`], [`in_flight`] | what stored attempts show |
//! | | [`plan_hash`] | the facts that a plan holds, and its hash |
//! | 1, texts and error policy | [`messages`] | messages for users |
//! | | [`error_policy`] | which errors of the cloud are retried, how soon, and with which reason |

pub mod admission;
pub mod approval;
pub mod attempts;
pub mod blockers;
pub mod clocks;
pub mod conditions;
pub mod daily_limit;
pub mod daily_usage;
pub mod deadlines;
pub mod error_policy;
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
pub fn plan(observed: &Observed) -> Step {
    match decide(observed) {
        step if observed.permit == SendPermit::Held && !step.keeps_permit() => Step::ReleasePermit,
        Step::Wait(progress) => {
            let progress =
                finalizer::with_finalizer_note(observed, recovery::delayed_by_clocks(observed, progress));
            if status::would_change(&observed.request, &progress) {
                Step::RecordProgress(progress)
            } else {
                Step::Wait(progress)
            }
        }
        step => step,
    }
}

fn decide(observed: &Observed) -> Step {
    let request = &observed.request;
    if request.status.completion_time.is_some() {
        return match submission::next(observed) {
            // A job that becomes known only now is still added to its attempt. Any other response changes nothing, and
            // the process that received it must start over.
            Some(step @ (Step::RecordOutcome(_) | Step::StartOver)) => step,
            _ if request.finalizer => Step::DropFinalizer,
            _ => Step::Done,
        };
    }
    if let Some(step) = submission::next(observed) {
        return step;
    }
    match by_status(observed) {
        // It was removed before the final result is stored.
        step @ Step::Finish(_) => step,
        step => finalizer::restore(observed).unwrap_or(step),
    }
}

/// The next step of a request for which this process holds no submission in memory; it may have been submitted before.
fn by_status(observed: &Observed) -> Step {
    let request = &observed.request;
    if let Some(step) = resolve::next(observed) {
        return step;
    }
    if request.deleting {
        return finalize::next(observed);
    }
    if let Some(attempt) = request.pending() {
        return recovery::next(observed, attempt);
    }
    if let Some(attempt) = request.of_newer_version() {
        return Step::Wait(recovery::of_newer_version(attempt));
    }
    if let Some(attempt) = request.status.attempts.iter().find(|a| a.is_open()) {
        return resolve::settle_abandoned(observed, attempt);
    }
    if attempts::submitted(&request.status) {
        job::next(observed)
    } else {
        admission::next(observed)
    }
}
