//! Layer 5, shared by phases: what reads show about an attempt with unknown outcome.

use std::collections::BTreeSet;

use super::blockers;
use super::deadlines;
use super::messages::{desktops, manual_resolution_hint, name_some};
use super::observed::Observed;
use super::progress::{Activity, Progress, Requeue};
use super::step::{OutcomeUpdate, Step};
use super::views::{DesktopView, Evidence, SubJobList};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, DesktopState, DesktopStatus, Outcome};
use crate::ids::{DesktopID, JobID, code};

/// What the reads of this reconciliation show of `attempt`; `None` while a read is missing.
pub fn evidence(observed: &Observed, attempt: &Attempt) -> Option<Evidence> {
    let sub_job_list = observed.sub_job_list.as_ref()?;
    let mut evidence = Evidence {
        complete: sub_job_list.complete && erased_job(attempt, sub_job_list).is_none(),
        ..Evidence::default()
    };
    let mut explained = BTreeSet::new();
    for job in candidates(attempt, sub_job_list) {
        let named = sub_job_list.named_by(&job).filter(|id| names(attempt, id));
        if *observed.owned_by_other_request.get(&job)? {
            explained.extend(named);
        } else {
            evidence.affected.extend(named);
            evidence.jobs.insert(job);
        }
    }
    for id in &attempt.desktop_ids {
        let affected = match observed.desktops.get(&id.folded())?.view {
            DesktopView::Missing | DesktopView::Unlisted => return None,
            DesktopView::Gone | DesktopView::Deleting => true,
            DesktopView::DeleteFailed => !attempt.baseline_failed_ids.contains(id),
            // It may turn out to be a deletion.
            DesktopView::Busy => {
                evidence.complete = false;
                false
            }
            DesktopView::Idle => false,
        };
        if affected && !explained.contains(&id.folded()) {
            evidence.affected.insert(id.folded());
        }
    }
    Some(evidence)
}

/// A job of the baseline that the cloud no longer lists: it was erased, so others may have been erased too.
fn erased_job<'a>(attempt: &'a Attempt, sub_job_list: &SubJobList) -> Option<&'a JobID> {
    let is_erased = |job: &&JobID| sub_job_list.named_by(job).next().is_none();
    attempt.baseline_job_ids.iter().find(is_erased)
}

/// A wait for evidence whose message states why the last reads were not sufficient.
pub fn with_gap(observed: &Observed, attempt: &Attempt, mut progress: Progress) -> Progress {
    let view = |id: &DesktopID| observed.desktops.get(&id.folded()).map(|desktop| desktop.view);
    let is_busy = |id: &&DesktopID| view(id) == Some(DesktopView::Busy);
    let busy: Vec<_> = attempt.desktop_ids.iter().filter(is_busy).collect();
    let sub_job_list = observed.sub_job_list.as_ref();
    let erased = || erased_job(attempt, sub_job_list?);
    let gap = if !busy.is_empty() {
        format!(
            "; waiting until these desktops have no running task and a documented status: {}",
            name_some(busy)
        )
    } else if sub_job_list.is_some_and(|sub_job_list| !sub_job_list.complete) {
        "; the list of deletion jobs could not be read completely".to_owned()
    } else if let Some(job) = erased() {
        format!(
            "; the cloud no longer lists job {job}, which started before the delete request, so other jobs may be missing too"
        )
    } else {
        return progress;
    };
    progress.message.push_str(&gap);
    progress
}

fn names(attempt: &Attempt, folded: &DesktopID) -> bool {
    attempt.desktop_ids.iter().any(|id| id.folded() == *folded)
}

/// Jobs outside the baseline that name a desktop of the body.
pub fn candidates(attempt: &Attempt, sub_job_list: &SubJobList) -> BTreeSet<JobID> {
    let mut jobs = sub_job_list.jobs_naming(&attempt.desktop_ids);
    jobs.retain(|job| !attempt.baseline_job_ids.contains(job));
    jobs
}

/// What the reads of this reconciliation show of `attempt`.
///
/// # Errors
/// The read that is missing, or the wait while it is not possible.
#[allow(clippy::result_large_err)] // the error is the next step
pub fn gather_evidence(observed: &Observed, attempt: &Attempt) -> Result<Evidence, Step> {
    readable(observed, attempt)?;
    let unread = |id: &&DesktopID| !observed.desktops.contains_key(&id.folded());
    let ids: Vec<_> = attempt.desktop_ids.iter().filter(unread).cloned().collect();
    if !ids.is_empty() {
        return Err(Step::ReadDesktops(ids));
    }
    let missing = |id: &&DesktopID| observed.desktops[&id.folded()].view.needs_lookup();
    if let Some(id) = attempt.desktop_ids.iter().find(missing) {
        return Err(Step::ReadDesktop(id.clone()));
    }
    let Some(sub_job_list) = &observed.sub_job_list else {
        return Err(Step::ReadSubJobs);
    };
    if let Some(step) = next_owner_read(observed, attempt, sub_job_list) {
        return Err(step);
    }
    evidence(observed, attempt).ok_or(Step::ReadSubJobs)
}

/// Whether the evidence can be read.
///
/// # Errors
/// The read that is missing, or the wait while it is not possible.
#[allow(clippy::result_large_err)] // the error is the next step
pub fn readable(observed: &Observed, attempt: &Attempt) -> Result<(), Step> {
    if observed.project.is_none() {
        return Err(Step::ReadProject);
    }
    match blockers::unreadable(observed) {
        Some(progress) => Err(Step::Wait(in_doubt_without_evidence(observed, attempt, progress))),
        None => Ok(()),
    }
}

/// The step that checks whether another request has the job, for the first job outside the baseline for which this is
/// not known yet.
pub fn next_owner_read(observed: &Observed, attempt: &Attempt, sub_job_list: &SubJobList) -> Option<Step> {
    let unknown = |job: &JobID| !observed.owned_by_other_request.contains_key(job);
    candidates(attempt, sub_job_list)
        .into_iter()
        .find(unknown)
        .map(Step::ReadOwner)
}

/// No further evidence is expected. A job that deletes only a part of the body may be another client's, and a truncated
/// list may lack the job of this request.
pub fn is_conclusive(observed: &Observed, attempt: &Attempt, evidence: &Evidence) -> bool {
    let ours = || evidence.jobs.iter().any(|job| covers(observed, attempt, job));
    evidence.complete || observed.facts.recovery_timed_out || ours()
}

/// A submission that seemed to have had no effect is visible now: its jobs are added to it and followed.
pub fn late_effect(observed: &Observed, attempt: &Attempt) -> Option<Step> {
    let sub_job_list = observed.sub_job_list.as_ref()?;
    if let Some(step) = next_owner_read(observed, attempt, sub_job_list) {
        return Some(step);
    }
    let mut evidence = evidence(observed, attempt)?;
    // Only a job is evidence: any client may have deleted a desktop since.
    evidence.affected = evidence
        .jobs
        .iter()
        .flat_map(|job| sub_job_list.named_by(job))
        .collect();
    let outcome_update = OutcomeUpdate {
        outcome: Outcome::NoEffect,
        ..adopted(observed, attempt, &evidence)
    };
    evidence.found().then_some(Step::RecordOutcome(outcome_update))
}

/// The conditions for an attempt with unknown outcome before anything was read.
pub fn in_doubt(attempt: &Attempt) -> Progress {
    let message = format!(
        "no conclusive response to the delete request for {} at {}; outcome unknown, verifying. The request is not \
         sent again until the outcome is known",
        desktops(attempt.desktop_ids.len()),
        attempt.signed_at.0
    );
    let progress =
        Progress::reconciling(Reason::AwaitingEvidence, message, Requeue::Expiry).with_error_of(attempt);
    if deadlines::needs_user_before_expiry(attempt) {
        require_manual_resolution(attempt, progress)
    } else {
        progress
    }
}

/// User action is required.
pub fn require_manual_resolution(attempt: &Attempt, mut progress: Progress) -> Progress {
    if progress.reason != Reason::OutcomeUnknown {
        progress.message = format!("{}; {}", progress.message, manual_resolution_hint(attempt));
    }
    Progress {
        reason: Reason::OutcomeUnknown,
        activity: Activity::Stalled,
        ..progress
    }
}

fn in_doubt_without_evidence(observed: &Observed, attempt: &Attempt, obstacle: Progress) -> Progress {
    let mut progress = in_doubt(attempt);
    progress.message = format!(
        "{}. Jobs or desktops cannot be read at the moment: {}",
        progress.message, obstacle.message
    );
    progress.requeue = obstacle.requeue;
    progress.error = obstacle.error.or(progress.error);
    if observed.facts.recovery_timed_out {
        require_manual_resolution(attempt, progress)
    } else {
        progress
    }
}

/// The attempt took effect. Unaffected desktops may not have been submitted: if no job is known, two complete reads
/// show that. Otherwise this is open until all sub-jobs of the job were read, since a list may have lacked a row.
pub fn adopted(observed: &Observed, attempt: &Attempt, evidence: &Evidence) -> OutcomeUpdate {
    let mut jobs: Vec<_> = evidence.jobs.iter().cloned().collect();
    // The first one is the request's job: one that covers the whole body is preferred, since others may belong to
    // another client.
    jobs.sort_by_key(|job| !covers(observed, attempt, job));
    let states = attempt.desktop_ids.iter().map(|id| {
        if evidence.affected.contains(&id.folded()) {
            DesktopStatus::new(id, DesktopState::Deleting)
        } else if jobs.is_empty() && evidence.complete {
            not_submitted(id)
        } else {
            perhaps_submitted(id)
        }
    });
    let states: Vec<_> = states.collect();
    let progress = Progress::job_running(evidence.affected.len()).with_desktops(states);
    OutcomeUpdate {
        job: jobs.first().filter(|job| covers(observed, attempt, job)).cloned(),
        jobs,
        ..OutcomeUpdate::of(attempt, Outcome::Adopted, progress)
    }
}

/// Whether a job names every desktop of the body, as far as this reconciliation has seen.
fn covers(observed: &Observed, attempt: &Attempt, job: &JobID) -> bool {
    let named: BTreeSet<_> = observed
        .sub_job_list
        .iter()
        .flat_map(|sub_job_list| sub_job_list.named_by(job))
        .collect();
    attempt.desktop_ids.iter().all(|id| named.contains(&id.folded()))
}

/// The status of a desktop that was not part of the submission.
pub fn not_submitted(id: &DesktopID) -> DesktopStatus {
    let message =
        "the delete request took effect for other desktops but not for this one; create a new request for it";
    DesktopStatus::with_message(id, DesktopState::Failed, Some(code::NOT_SUBMITTED), message)
}

fn perhaps_submitted(id: &DesktopID) -> DesktopStatus {
    let message = "the delete request took effect for other desktops; whether it took effect for this one is not known yet";
    DesktopStatus::with_message(id, DesktopState::Unknown, None, message)
}
