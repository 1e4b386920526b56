//! An attempt whose answer was lost. It is never repeated on a guess: it stays pending until its request is
//! surely dead by the service's clock, and is then settled by evidence from two reads.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::admission;
use super::conditions::{Activity, Progress, Requeue, desktops, name_some};
use super::observed::{DesktopView, Observed, Sweep};
use super::resolve;
use super::status::{Settlement, desktop};
use super::{Step, job};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, AuthMethod, DesktopState, DesktopStatus, Outcome};
use crate::ids::{DesktopID, JobID};

/// How long a request may stay in doubt before a person is asked: longer than any signature lives.
const UNASKED: SignedDuration = SignedDuration::from_mins(30);

/// What reads show of a request that may have taken effect, judged against the baseline of its attempt. Times
/// exclude nothing: the service's times may be missing or in an unknown zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Jobs outside the baseline, and of no other request, that name a desktop of the body.
    pub jobs: BTreeSet<JobID>,
    /// Desktops of the body, folded, that such a job names, or that are deleting, failed or gone, were not so
    /// before, and are not explained by another request's job.
    pub touched: BTreeSet<DesktopID>,
    /// The sub-jobs were read to their end.
    pub complete: bool,
}

impl Evidence {
    /// The request, or something like it, took effect.
    pub fn found(&self) -> bool {
        !self.touched.is_empty()
    }

    /// What either of two looks found.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.jobs.extend(other.jobs.iter().cloned());
        self.touched.extend(other.touched.iter().cloned());
        self.complete &= other.complete;
        self
    }
}

/// What the reads of this pass show of `attempt`; `None` while a read is missing.
pub fn evidence(seen: &Observed, attempt: &Attempt) -> Option<Evidence> {
    let sweep = seen.sweep.as_ref()?;
    // A job of the baseline that is missing was erased, and others may be too.
    let whole = attempt
        .baseline_job_ids
        .iter()
        .all(|job| sweep.named_by(job).next().is_some());
    let mut evidence = Evidence {
        complete: sweep.complete && whole,
        ..Evidence::default()
    };
    let mut explained = BTreeSet::new();
    for job in candidates(attempt, sweep) {
        let named = sweep.named_by(&job).filter(|id| names(attempt, id));
        if *seen.owned_elsewhere.get(&job)? {
            explained.extend(named);
        } else {
            evidence.touched.extend(named);
            evidence.jobs.insert(job);
        }
    }
    for id in &attempt.desktop_ids {
        let touched = match seen.desktops.get(&id.folded())?.sight {
            DesktopView::Missing | DesktopView::Unlisted => return None,
            DesktopView::Gone | DesktopView::Deleting => true,
            DesktopView::DeleteFailed => !attempt.baseline_failed_ids.contains(id),
            // Something is being done to it: it may turn out to be a deletion.
            DesktopView::Busy => {
                evidence.complete = false;
                false
            }
            DesktopView::Idle => false,
        };
        if touched && !explained.contains(&id.folded()) {
            evidence.touched.insert(id.folded());
        }
    }
    Some(evidence)
}

fn names(attempt: &Attempt, folded: &DesktopID) -> bool {
    attempt.desktop_ids.iter().any(|id| id.folded() == *folded)
}

/// Jobs outside the baseline that name a desktop of the body.
fn candidates(attempt: &Attempt, sweep: &Sweep) -> BTreeSet<JobID> {
    let mut jobs = sweep.jobs_naming(&attempt.desktop_ids);
    jobs.retain(|job| !attempt.baseline_job_ids.contains(job));
    jobs
}

/// The next step for an attempt in doubt.
pub fn next(seen: &Observed, attempt: &Attempt) -> Step {
    if !seen.facts.expired {
        return early(seen, attempt).unwrap_or_else(|step| step);
    }
    match look(seen, attempt) {
        Ok(evidence) => judge(seen, attempt, evidence),
        Err(step) => step,
    }
}

/// The call may still take effect, and nobody asks for an answer before that is over.
pub fn is_early(seen: &Observed) -> bool {
    seen.request.pending().is_some() && !seen.facts.expired && resolve::unanswered(seen).is_none()
}

/// While the call may still take effect nothing can be decided. The list of the project's jobs, which requests share, keeps
/// the service's clock known and names the job that is probably the attempt's. While that clock is not known, or differs from
/// ours, the desktops are asked for too.
#[allow(clippy::result_large_err)] // the error is the next step
fn early(seen: &Observed, attempt: &Attempt) -> Result<Step, Step> {
    if seen.facts.too_early_to_look {
        return Ok(Step::Wait(in_doubt(attempt)));
    }
    readable(seen, attempt)?;
    let skewed = seen.facts.clock_skew.is_some();
    if (skewed || !seen.facts.service_clock_known) && seen.desktops.is_empty() {
        return Err(Step::ReadDesktops(attempt.desktop_ids.clone()));
    }
    let sweep = match &seen.sweep {
        Some(sweep) => sweep,
        // Where one kind of call tells a false time, the answers of another one correct it, if none comes in between.
        None if skewed => return Ok(Step::Wait(in_doubt(attempt))),
        None => return Err(Step::ReadSubJobs),
    };
    if let Some(step) = ask_for_owner(seen, attempt, sweep) {
        return Err(step);
    }
    let mut jobs = candidates(attempt, sweep);
    jobs.retain(|job| seen.owned_elsewhere.get(job) == Some(&false));
    Ok(Step::Wait(waiting(attempt, &jobs, Requeue::Expiry)))
}

/// What the reads of this pass show of `attempt`.
///
/// # Errors
/// The read that is missing, or the wait while it cannot be had.
#[allow(clippy::result_large_err)] // the error is the next step
pub fn look(seen: &Observed, attempt: &Attempt) -> Result<Evidence, Step> {
    readable(seen, attempt)?;
    let unread = |id: &&DesktopID| !seen.desktops.contains_key(&id.folded());
    let ids: Vec<_> = attempt.desktop_ids.iter().filter(unread).cloned().collect();
    if !ids.is_empty() {
        return Err(Step::ReadDesktops(ids));
    }
    let missing = |id: &&DesktopID| seen.desktops[&id.folded()].sight.needs_lookup();
    if let Some(id) = attempt.desktop_ids.iter().find(missing) {
        return Err(Step::ReadDesktop(id.clone()));
    }
    let Some(sweep) = &seen.sweep else {
        return Err(Step::ReadSubJobs);
    };
    if let Some(step) = ask_for_owner(seen, attempt, sweep) {
        return Err(step);
    }
    evidence(seen, attempt).ok_or(Step::ReadSubJobs)
}

/// Whether the evidence can be read.
#[allow(clippy::result_large_err)] // the error is the next step
fn readable(seen: &Observed, attempt: &Attempt) -> Result<(), Step> {
    let project = seen.project.as_ref().ok_or(Step::ReadProject)?;
    match admission::unusable(seen, project).or_else(|| admission::read_failure(seen)) {
        Some(hold) => Err(Step::Wait(unreadable(seen, attempt, hold))),
        None => Ok(()),
    }
}

fn ask_for_owner(seen: &Observed, attempt: &Attempt, sweep: &Sweep) -> Option<Step> {
    let unknown = |job: &JobID| !seen.owned_elsewhere.contains_key(job);
    candidates(attempt, sweep)
        .into_iter()
        .find(unknown)
        .map(Step::ReadOwner)
}

fn judge(seen: &Observed, attempt: &Attempt, evidence: Evidence) -> Step {
    let Some(earlier) = &seen.earlier_evidence else {
        return Step::Wait(waiting(attempt, &evidence.jobs, Requeue::SecondLook));
    };
    let evidence = evidence.or(earlier);
    if evidence.found() && says_enough(seen, attempt, &evidence) {
        return Step::RecordOutcome(adopted(seen, attempt, &evidence));
    }
    if evidence.complete {
        return Step::RecordOutcome(no_effect(attempt));
    }
    let hold = waiting(attempt, &evidence.jobs, Requeue::SecondLook);
    Step::Wait(if seen.facts.evidence_overdue {
        unknown(attempt, hold)
    } else {
        hold
    })
}

/// What was found will not be more. A job that deletes only a part of the body may be somebody else's, and a list that was
/// cut may lack ours.
pub fn says_enough(seen: &Observed, attempt: &Attempt, evidence: &Evidence) -> bool {
    let ours = || evidence.jobs.iter().any(|job| covers(seen, attempt, job));
    evidence.complete || seen.facts.evidence_overdue || ours()
}

/// A submission that seemed to have had no effect shows now: its jobs are added to it, and followed as ours.
pub fn late(seen: &Observed, attempt: &Attempt) -> Option<Step> {
    let sweep = seen.sweep.as_ref()?;
    if let Some(step) = ask_for_owner(seen, attempt, sweep) {
        return Some(step);
    }
    let mut evidence = evidence(seen, attempt)?;
    // Only a job proves it: a desktop may have been deleted by anybody since.
    evidence.touched = evidence.jobs.iter().flat_map(|job| sweep.named_by(job)).collect();
    let settlement = Settlement {
        outcome: Outcome::NoEffect,
        ..adopted(seen, attempt, &evidence)
    };
    evidence.found().then_some(Step::RecordOutcome(settlement))
}

/// An attempt whose outcome only a newer version of the operator knows: nothing is sent over it.
pub fn of_newer_version(attempt: &Attempt) -> Progress {
    let message = format!(
        "attempt {} has an outcome that this version of the operator does not know, so it may have reached the cloud and nothing is sent: run the version of the operator that wrote it",
        attempt.id
    );
    Progress::stalled(Reason::Undecodable, message, Requeue::Change)
}

/// What the conditions say of an attempt in doubt before anything was looked at.
pub fn in_doubt(attempt: &Attempt) -> Progress {
    let message = format!(
        "the answer to the submission of {} at {} was lost; outcome unknown, verifying. The request will not be sent again",
        desktops(attempt.desktop_ids.len()),
        attempt.signed_at.0
    );
    let hold = Progress::moving(Reason::AwaitingEvidence, message, Requeue::Expiry).with_error_of(attempt);
    if outlives_patience(attempt) {
        unknown(attempt, hold)
    } else {
        hold
    }
}

/// A token may live for a day, or for years: nobody should have to wait for its end unasked.
fn outlives_patience(attempt: &Attempt) -> bool {
    let life = |end: &Time| end.0.duration_since(attempt.signed_at.0);
    attempt.auth == AuthMethod::Token && attempt.not_after.as_ref().is_none_or(|end| life(end) > UNASKED)
}

/// A person must look.
fn unknown(attempt: &Attempt, mut hold: Progress) -> Progress {
    if hold.reason != Reason::OutcomeUnknown {
        hold.message = format!("{}; {}", hold.message, resolve::advice(attempt));
    }
    Progress {
        reason: Reason::OutcomeUnknown,
        activity: Activity::Stalled,
        ..hold
    }
}

fn waiting(attempt: &Attempt, jobs: &BTreeSet<JobID>, wake: Requeue) -> Progress {
    let mut hold = in_doubt(attempt);
    if !jobs.is_empty() {
        hold.message.push_str("; it is probably job ");
        hold.message.push_str(&name_some(jobs));
    }
    Progress { wake, ..hold }
}

/// A wait for the end of a call that takes longer since clocks differ: a person must correct one of them.
pub fn delayed_by_clocks(seen: &Observed, mut hold: Progress) -> Progress {
    let open = seen.request.status.attempts.iter().any(Attempt::is_open);
    let Some(skew) = seen.facts.clock_skew.filter(|_| open) else {
        return hold;
    };
    let skew = admission::clock_skew(skew);
    if !hold.message.contains(&skew.message) {
        hold.message = format!("{}; {}", hold.message, skew.message);
    }
    if hold.activity != Activity::Stalled {
        hold.reason = skew.reason;
        hold.activity = skew.activity;
    }
    hold
}

fn unreadable(seen: &Observed, attempt: &Attempt, obstacle: Progress) -> Progress {
    let mut hold = in_doubt(attempt);
    hold.message = format!(
        "{}; the evidence cannot be read at the moment: {}",
        hold.message, obstacle.message
    );
    hold.wake = obstacle.wake;
    hold.error = obstacle.error.or(hold.error);
    if seen.facts.evidence_overdue {
        unknown(attempt, hold)
    } else {
        hold
    }
}

/// The attempt took effect. What it did not touch was perhaps not submitted: where no job is known, two complete looks say
/// so. Else it is open until the job has shown all of its sub-jobs, since a list may have lacked a row.
pub fn adopted(seen: &Observed, attempt: &Attempt, evidence: &Evidence) -> Settlement {
    let mut jobs: Vec<_> = evidence.jobs.iter().cloned().collect();
    // The first one is the request's job: rather the one that covers the whole body than one of somebody else.
    jobs.sort_by_key(|job| !covers(seen, attempt, job));
    let states = attempt.desktop_ids.iter().map(|id| {
        if evidence.touched.contains(&id.folded()) {
            desktop(id, DesktopState::Deleting)
        } else if jobs.is_empty() && evidence.complete {
            not_submitted(id)
        } else {
            perhaps_submitted(id)
        }
    });
    let states: Vec<_> = states.collect();
    Settlement {
        attempt: attempt.id.clone(),
        outcome: Outcome::Adopted,
        job: jobs.first().filter(|job| covers(seen, attempt, job)).cloned(),
        jobs,
        error: attempt.error.clone(),
        answers: None,
        hold: job::running(evidence.touched.len()).with_desktops(states),
    }
}

/// Whether a job names every desktop of the body, as far as this pass has seen.
fn covers(seen: &Observed, attempt: &Attempt, job: &JobID) -> bool {
    let named: BTreeSet<_> = seen.sweep.iter().flat_map(|sweep| sweep.named_by(job)).collect();
    attempt.desktop_ids.iter().all(|id| named.contains(&id.folded()))
}

/// The submission reached others but not this one.
pub fn not_submitted(id: &DesktopID) -> DesktopStatus {
    let message = "the submission reached other desktops but not this one: create a new request for it";
    DesktopStatus {
        code: Some("NotSubmitted".to_owned()),
        message: Some(message.to_owned()),
        ..desktop(id, DesktopState::Failed)
    }
}

fn perhaps_submitted(id: &DesktopID) -> DesktopStatus {
    let message = "the submission reached other desktops; whether it reached this one is not known yet";
    DesktopStatus {
        message: Some(message.to_owned()),
        ..desktop(id, DesktopState::Unknown)
    }
}

fn no_effect(attempt: &Attempt) -> Settlement {
    let message = format!(
        "the submission at {} had no effect: two reads after its expiry show every desktop unchanged; submitting again",
        attempt.signed_at.0
    );
    Settlement {
        attempt: attempt.id.clone(),
        outcome: Outcome::NoEffect,
        jobs: vec![],
        job: None,
        error: attempt.error.clone(),
        answers: None,
        hold: Progress::retrying(Reason::NoEffect, message, Requeue::Retry),
    }
}
