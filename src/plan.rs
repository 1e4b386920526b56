//! The decision: [`plan`] looks at what was observed and names the next step. It is pure: no clock, no client,
//! no async. Every effect is a step of its own, and after each one `plan` is asked again, so each place where the
//! process can die is the gap between two steps.
//!
//! | file | what it decides |
//! | --- | --- |
//! | [`admission`] | before anything is sent: may it be submitted, and what exactly |
//! | [`submission`] | sign, store the intent, send once, record |
//! | [`recovery`] | an attempt whose answer was lost |
//! | [`job`] | the job, and whether the desktops are really gone |
//! | [`finalize`] | the object is being deleted |
//! | [`resolve`] | a person settles an attempt by annotation |
//! | [`status`] | the legal moves of `status`, and nothing else writes it |
//! | [`conditions`] | what the conditions say |
//! | [`classify`] | from an error of the cloud to what is done about it |
//! | [`deadlines`] | every rule about time, from the [`clocks`] and the [`memory`] of the process |
//! | [`finalizer`] | that the finalizer is there while a call may take effect |
//! | [`in_flight`] | an attempt that may have reached the cloud |
//! | [`overlap`] | another request holds one of the desktops |
//! | [`unreadable`] | a namespace that the operator may not read |

pub mod admission;
pub mod classify;
pub mod clocks;
pub mod conditions;
pub mod deadlines;
pub mod finalize;
pub mod finalizer;
pub mod in_flight;
pub mod job;
pub mod memory;
pub mod observed;
pub mod overlap;
pub mod recovery;
pub mod resolve;
pub mod status;
pub mod submission;
pub mod unreadable;

use conditions::Progress;
use observed::Observed;
use status::{Ending, Intent, Settlement};

use crate::ids::{DesktopID, JobID};

/// The next thing to do: at most one effect, or one read.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // one lives at a time
pub enum Step {
    /// Read the `WorkspaceProject` and its Secret, live.
    ReadProject,
    /// Ask for the desktops: no other unfinished request may have one of them in flight.
    Claim,
    /// Read these desktops in one list.
    ReadDesktops(Vec<DesktopID>),
    /// Read one desktop by a GET of its own.
    ReadDesktop(DesktopID),
    /// Read the project's `deleteDesktops` sub-jobs of every status.
    ReadSubJobs,
    /// Ask whether another request has this job.
    ReadOwner(JobID),
    /// Ask the poller about a job, which then follows it.
    ReadJob(JobID),
    /// Put our finalizer on the object.
    AddFinalizer,
    /// Take our finalizer off the object.
    DropFinalizer,
    /// Serialise and sign a batch-delete; nothing is sent.
    Sign(Batch),
    /// Store the intent to send it, under compare-and-swap.
    RecordIntent(Intent),
    /// Send it, once.
    Post,
    /// Store what came of it.
    RecordOutcome(Settlement),
    /// Store that an annotation was refused.
    RefuseResolve(resolve::Refusal),
    /// Store what the conditions and desktops should say meanwhile.
    RecordProgress(Progress),
    /// Store the verdict.
    Finish(Ending),
    /// Nothing to do before something happens.
    Wait(Progress),
    /// What is in memory no longer fits: forget it and look anew.
    StartOver,
    /// Nothing to do at all.
    Done,
}

/// What a batch-delete is to name, and what was known of these desktops before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Desktops to delete.
    pub desktop_ids: Vec<DesktopID>,
    /// Jobs that name one of them already: they prove nothing later.
    pub baseline_job_ids: Vec<JobID>,
    /// Those whose earlier deletion had failed.
    pub baseline_failed_ids: Vec<DesktopID>,
    /// Not every earlier job could be read.
    pub baseline_incomplete: bool,
}

/// The next step for what was observed.
#[must_use]
pub fn plan(seen: &Observed) -> Step {
    match decide(seen) {
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
        return job::land(seen, attempt);
    }
    if job::submitted(&request.status) {
        job::next(seen)
    } else {
        admission::next(seen)
    }
}
