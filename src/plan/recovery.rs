//! Layer 6, phases: an attempt whose response was lost.
//!
//! Such an attempt is never repeated without evidence: it stays pending until its delete request has certainly expired,
//! and is then settled by evidence from two reads.

use std::collections::BTreeSet;

use super::blockers;
use super::evidence::{
    adopted, candidates, gather_evidence, in_doubt, is_conclusive, next_owner_read, readable,
    require_manual_resolution, with_gap,
};
use super::messages::{name_some, outcome_of_newer_version};
use super::observed::Observed;
use super::progress::{Activity, Progress, Requeue};
use super::step::{OutcomeUpdate, Step};
use super::views::Evidence;
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, Outcome};
use crate::ids::JobID;

/// The next step for an attempt in doubt.
pub fn next(observed: &Observed, attempt: &Attempt) -> Step {
    if !observed.facts.call_expired {
        return early(observed, attempt).map_or_else(|step| step, Step::Wait);
    }
    match gather_evidence(observed, attempt) {
        Ok(evidence) => decide_outcome(observed, attempt, evidence),
        Err(step) => step,
    }
}

/// The call may still take effect, and no evidence is final before that is over.
pub fn is_early(observed: &Observed) -> bool {
    observed.request.pending().is_some()
        && !observed.facts.call_expired
        && observed.request.unhandled_resolve().is_none()
}

/// While the call may still take effect nothing can be decided. The list of the project's jobs, which requests share,
/// keeps the service's clock known and shows the job that probably belongs to the attempt. While that clock is not
/// known, or differs from the local one, the desktops are read too.
///
/// # Errors
/// The read that is missing, or the wait while it is not possible.
#[allow(clippy::result_large_err)] // the error is the next step
fn early(observed: &Observed, attempt: &Attempt) -> Result<Progress, Step> {
    if observed.facts.before_initial_poll {
        return Ok(in_doubt(attempt));
    }
    readable(observed, attempt)?;
    let skewed = observed.facts.clock_skew.is_some();
    if (skewed || !observed.facts.service_clock_known) && observed.desktops.is_empty() {
        return Err(Step::ReadDesktops(attempt.desktop_ids.clone()));
    }
    let sub_job_list = match &observed.sub_job_list {
        Some(sub_job_list) => sub_job_list,
        // Where one kind of call reports a wrong time, the responses of another one correct it, if none comes in between.
        None if skewed => return Ok(in_doubt(attempt)),
        None => return Err(Step::ReadSubJobs),
    };
    if let Some(step) = next_owner_read(observed, attempt, sub_job_list) {
        return Err(step);
    }
    let mut jobs = candidates(attempt, sub_job_list);
    jobs.retain(|job| observed.owned_by_other_request.get(job) == Some(&false));
    Ok(waiting(attempt, &jobs, Requeue::Expiry))
}

fn decide_outcome(observed: &Observed, attempt: &Attempt, evidence: Evidence) -> Step {
    let wait =
        |jobs: &BTreeSet<JobID>| with_gap(observed, attempt, waiting(attempt, jobs, Requeue::SecondRead));
    let Some(earlier) = &observed.earlier_evidence else {
        return Step::Wait(wait(&evidence.jobs));
    };
    let evidence = evidence.or(earlier);
    if evidence.found() && is_conclusive(observed, attempt, &evidence) {
        return Step::RecordOutcome(adopted(observed, attempt, &evidence));
    }
    if evidence.complete {
        return Step::RecordOutcome(no_effect(attempt));
    }
    let progress = wait(&evidence.jobs);
    Step::Wait(if observed.facts.recovery_timed_out {
        require_manual_resolution(attempt, progress)
    } else {
        progress
    })
}

/// An attempt whose outcome only a newer version of the operator knows: nothing is sent over it.
pub fn of_newer_version(attempt: &Attempt) -> Progress {
    Progress::stalled(
        Reason::Undecodable,
        outcome_of_newer_version(attempt),
        Requeue::Change,
    )
}

fn waiting(attempt: &Attempt, jobs: &BTreeSet<JobID>, requeue: Requeue) -> Progress {
    let mut progress = in_doubt(attempt);
    if !jobs.is_empty() {
        progress.message.push_str(". Probable job: ");
        progress.message.push_str(&name_some(jobs));
    }
    Progress { requeue, ..progress }
}

/// A wait for the end of a call that takes longer since clocks differ: a user must correct one of them.
pub fn delayed_by_clocks(observed: &Observed, mut progress: Progress) -> Progress {
    let open = observed.request.status.attempts.iter().any(Attempt::is_open);
    let Some(skew) = observed.facts.clock_skew.filter(|_| open) else {
        return progress;
    };
    let skew = blockers::clock_skew(skew);
    if !progress.message.contains(&skew.message) {
        progress.message = format!("{}; {}", progress.message, skew.message);
    }
    if progress.activity != Activity::Stalled {
        progress.reason = skew.reason;
        progress.activity = skew.activity;
    }
    progress
}

fn no_effect(attempt: &Attempt) -> OutcomeUpdate {
    let message = format!(
        "the submission at {} had no effect: two reads after its expiry show no effect of it; submitting again",
        attempt.signed_at.0
    );
    let progress = Progress::retrying(Reason::NoEffect, message, Requeue::Retry);
    OutcomeUpdate::of(attempt, Outcome::NoEffect, progress)
}
