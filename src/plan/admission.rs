//! Layer 6, phases: may the request be submitted, and what exactly, before anything is sent.
//!
//! - `desktop_reads`: which reads of desktops are missing;
//! - `results`: the final results of a request without an effect.

use super::attempts::{last_failed_submission, without_effect};
use super::blockers::{self, after_failed_submission, circuit_open, clock_skew, unusable};
use super::messages::{desktops, name_some};
use super::observed::{Circuit, Claim, Deadline, NotBefore, Observed, SendPermit, Window};
use super::plan_hash::Planned;
use super::progress::{Preview, Progress, Requeue};
use super::step::{Batch, Step};
use super::views::{SortedDesktops, SubJobList};
use super::{approval, daily_limit, evidence, expectations, finalizer, guardrails, overlap, preview};
use crate::crd::conditions::Reason;
use crate::ids::{DesktopID, JobID};

mod desktop_reads;
mod results;

use desktop_reads::{Reporting, read_desktops};
use results::{already_absent, deadline_unclear, expired, final_rejection, no_effect};

/// Most earlier jobs that the record of an attempt holds.
const BASELINE_JOBS: usize = crate::crd::limits::BASELINE_JOBS as usize;

/// How many submissions may have had no effect before no further one is made.
const NO_EFFECT_LIMIT: usize = 3;

/// The next step of a request of which nothing was submitted.
pub fn next(observed: &Observed) -> Step {
    if observed.facts.deadline == Deadline::Passed {
        return blockers::next_clock_read(observed)
            .unwrap_or_else(|| finalizer::finish(observed, expired(observed)));
    }
    if let Some(step) = blocked_before_reads(observed) {
        return step;
    }
    if observed.facts.deadline == Deadline::ClocksDisagree {
        return blockers::next_clock_read(observed).unwrap_or_else(|| Step::Wait(deadline_unclear(observed)));
    }
    if without_effect(&observed.request.status).count() >= NO_EFFECT_LIMIT {
        return finalizer::finish(observed, no_effect());
    }
    match read_desktops(observed, Reporting::Progress) {
        Ok(sorted) => submit(observed, sorted),
        Err(step) => step,
    }
}

/// What blocks the request before anything is read from the cloud.
fn blocked_before_reads(observed: &Observed) -> Option<Step> {
    if observed.request.suspend {
        let message = "spec.suspend is true: set it to false to submit the request".to_owned();
        let progress = Progress::paused(Reason::Suspended, message, Requeue::Plan);
        return Some(wait_with_plan(observed, progress));
    }
    let Some(project) = &observed.project else {
        return Some(Step::ReadProject);
    };
    if let Some(progress) = unusable(observed, project) {
        return Some(Step::Wait(progress));
    }
    if project.suspended {
        let message = format!(
            "WorkspaceProject {} is suspended; the request waits until spec.suspend of the project is false",
            observed.request.project
        );
        let progress = Progress::paused(Reason::ProjectSuspended, message, Requeue::Change);
        return Some(wait_with_plan(observed, progress));
    }
    if let Some(progress) = guardrails::violated(observed) {
        return Some(wait_with_plan(observed, progress));
    }
    if let Some(step) = scheduled(observed).or_else(|| outside_window(observed)) {
        return Some(step);
    }
    if let Some((attempt, error)) =
        last_failed_submission(&observed.request.status).filter(|_| !observed.facts.retry_due)
    {
        return Some(Step::Wait(after_failed_submission(attempt.outcome, error)));
    }
    if observed.facts.circuit == Circuit::Open {
        return Some(Step::Wait(circuit_open()));
    }
    if (approval::is_missing(observed) || approval::is_invalidated(observed))
        && let Some(step) = approval_step(observed)
    {
        return Some(step);
    }
    match &observed.claim {
        None => return Some(Step::ClaimDesktops),
        Some(Claim::Granted) => {}
        Some(claim) => return Some(overlap::next(observed, claim)),
    }
    let read_failure = observed.read_failure.as_ref()?;
    Some(Step::Wait(blockers::after_read_failure(observed, read_failure)))
}

/// A deliberate wait, with the plan if it is shown.
fn wait_with_plan(observed: &Observed, progress: Progress) -> Step {
    if !preview::must_show_plan(observed) {
        return Step::Wait(progress);
    }
    let Some(project) = &observed.project else {
        return Step::ReadProject;
    };
    let failure = || {
        let failure = observed.read_failure.as_ref()?;
        Some(blockers::after_read_failure(observed, failure))
    };
    if let Some(obstacle) = unusable(observed, project).or_else(failure) {
        return Step::Wait(preview::with_unknown_plan(observed, &obstacle, progress));
    }
    match read_desktops(observed, Reporting::Nothing) {
        Ok(sorted) => {
            let deleting: Vec<_> = sorted.being_deleted.iter().collect();
            Step::Wait(preview::with_plan(observed, &sorted, &deleting, progress))
        }
        Err(Step::Wait(obstacle)) => Step::Wait(preview::with_unknown_plan(observed, &obstacle, progress)),
        Err(step) => step,
    }
}

/// The next step of a request whose approval is missing or void; `None` if it is not so any more. Meanwhile it claims
/// nothing: another request may delete the desktops first.
fn approval_step(observed: &Observed) -> Option<Step> {
    if let Some(failure) = &observed.read_failure {
        let failed = blockers::after_read_failure(observed, failure);
        return Some(Step::Wait(preview::with_unknown_plan(
            observed,
            &failed.clone(),
            failed,
        )));
    }
    let sorted = match read_desktops(observed, Reporting::Nothing) {
        Ok(sorted) => sorted,
        Err(Step::Wait(progress)) => {
            return Some(Step::Wait(preview::with_unknown_plan(
                observed,
                &progress.clone(),
                progress,
            )));
        }
        Err(step) => return Some(step),
    };
    if let Some(step) = nothing_to_do(observed, &sorted) {
        return Some(step);
    }
    let deleting: Vec<_> = sorted.being_deleted.iter().collect();
    let progress = not_permitted(observed, &sorted)?;
    let moves = progress.reason == Reason::CheckingDesktops;
    let progress = preview::with_plan(observed, &sorted, &deleting, progress);
    let records = |preview: &Preview| preview.approved.is_some();
    // Nothing is claimed before the approval is recorded.
    Some(
        if moves && approval::is_missing(observed) && progress.preview.as_deref().is_some_and(records) {
            Step::RecordApproval(progress)
        } else {
            Step::Wait(progress)
        },
    )
}

/// Why these desktops are not submitted: they are not what the request expects, the project does not permit it, or their
/// approval is missing.
fn not_permitted(observed: &Observed, sorted: &SortedDesktops) -> Option<Progress> {
    // The plan is computed only if it is needed, since hashes take time.
    let plan = || {
        approval::is_needed(observed)
            .then(|| Planned::of(observed, sorted))
            .flatten()
    };
    expectations::failed(observed, &sorted.present)
        .or_else(|| guardrails::blocked(observed, &sorted.present))
        .or_else(|| approval::obstacle(observed, &plan()?))
}

/// The wait for the earliest time of the submission, which both clocks must have passed.
fn scheduled(observed: &Observed) -> Option<Step> {
    let at = observed
        .request
        .not_before
        .filter(|_| observed.facts.start != NotBefore::Reached)?;
    let wait = |message, requeue| {
        let progress = Progress::paused(Reason::Scheduled, message, requeue);
        wait_with_plan(observed, progress)
    };
    if observed.facts.start == NotBefore::ClockUnknown {
        let message = || format!("spec.notBefore ({at}) has passed by the operator's clock{CLOCK_UNKNOWN}");
        return blockers::next_clock_read(observed).or_else(|| Some(wait(message(), Requeue::Backoff)));
    }
    let mut message = format!("not submitted before {at} (spec.notBefore)");
    if let Some(skew) = observed.facts.clock_skew {
        message = format!("{message}; {}", skew.sentence());
    }
    Some(wait(message, Requeue::Start))
}

/// The operator's clock alone does not permit a submission.
const CLOCK_UNKNOWN: &str = "; waiting for the clock of the cloud service, which its next response shows";

/// The wait for a window in which the project takes submissions, which both clocks must be inside of.
fn outside_window(observed: &Observed) -> Option<Step> {
    let project = &observed.request.project;
    let wait = |message, requeue| {
        let progress = Progress::paused(Reason::OutsideWindow, message, requeue);
        wait_with_plan(observed, progress)
    };
    let closed = |until: &str| {
        let message = format!("no submission window of WorkspaceProject {project} is open{until}");
        wait(message, Requeue::Window)
    };
    match observed.facts.window {
        Window::Open => None,
        Window::ClockUnknown => {
            let message = || {
                format!(
                    "a submission window of WorkspaceProject {project} is open by the operator's clock{CLOCK_UNKNOWN}"
                )
            };
            blockers::next_clock_read(observed).or_else(|| Some(wait(message(), Requeue::Backoff)))
        }
        Window::Closed { opens: Some(at) } => Some(closed(&format!("; the next one opens at {at}"))),
        Window::Closed { opens: None } => Some(match observed.facts.clock_skew {
            Some(skew) => wait_with_plan(observed, clock_skew(skew)),
            None => closed(" by the clock of the cloud service or of the API server"),
        }),
        Window::Unknown => {
            let progress = guardrails::unknown_time_zone(project);
            Some(wait_with_plan(observed, progress))
        }
    }
}

fn submit(observed: &Observed, sorted: SortedDesktops) -> Step {
    if let Some(step) = nothing_to_do(observed, &sorted) {
        return step;
    }
    let Some(sub_job_list) = &observed.sub_job_list else {
        return Step::ReadSubJobs;
    };
    let unclear = || {
        sorted
            .present
            .iter()
            .flat_map(|id| sub_job_list.jobs_with_undocumented_status(id))
    };
    if let Some(job) = unclear().find(|job| !observed.jobs.contains_key(job)) {
        return Step::ReadJob(job.clone());
    }
    let open = sorted
        .present
        .iter()
        .filter(|id| sub_job_list.open_job_of(id).is_some() || may_be_deleting(observed, sub_job_list, id));
    let foreign: Vec<_> = sorted.being_deleted.iter().chain(open).collect();
    if !foreign.is_empty() {
        let progress = deletion_in_progress(&foreign);
        return Step::Wait(preview::with_plan(observed, &sorted, &foreign, progress));
    }
    if let Some(progress) = not_permitted(observed, &sorted) {
        return Step::Wait(preview::with_plan(observed, &sorted, &[], progress));
    }
    if let Some(completion) = final_rejection(observed, &sorted.present) {
        return finalizer::finish(observed, completion);
    }
    let count = sorted.present.len();
    if let Some(progress) = daily_limit::reached(observed, count) {
        return Step::Wait(preview::with_plan(observed, &sorted, &[], progress));
    }
    ready(observed, count).unwrap_or_else(|| Step::Sign(batch(observed, sub_job_list, sorted)))
}

/// A sub-job of the desktop has an undocumented status. It does not count as a running deletion if the desktop is idle
/// in two reads a job visibility timeout apart, and if the job has ended or takes too long.
fn may_be_deleting(observed: &Observed, sub_job_list: &SubJobList, id: &DesktopID) -> bool {
    let idle = observed.desktops.get(&id.folded()).is_some_and(|s| s.idle_twice);
    let over = |job: &JobID| {
        observed.facts.undocumented_for_long || observed.jobs.get(job).is_some_and(|view| view.finished)
    };
    sub_job_list
        .jobs_with_undocumented_status(id)
        .any(|job| !(idle && over(job)))
}

/// An earlier submission took effect after all, or no desktop exists.
fn nothing_to_do(observed: &Observed, sorted: &SortedDesktops) -> Option<Step> {
    let nothing_left = sorted.present.is_empty() && sorted.being_deleted.is_empty();
    late_effect(observed).or_else(|| {
        nothing_left.then(|| finalizer::finish(observed, already_absent(observed, &sorted.absent)))
    })
}

/// An earlier submission that seemed to have had no effect may become visible only now: then its job belongs to this
/// request.
fn late_effect(observed: &Observed) -> Option<Step> {
    let mut earlier = without_effect(&observed.request.status).peekable();
    if earlier.peek().is_some() && observed.sub_job_list.is_none() {
        return Some(Step::ReadSubJobs);
    }
    earlier.find_map(|attempt| evidence::late_effect(observed, attempt))
}

fn deletion_in_progress(foreign: &[&DesktopID]) -> Progress {
    let message = format!(
        "another client or another request is deleting {} of this request ({}); waiting until that deletion has ended",
        desktops(foreign.len()),
        name_some(foreign.iter().copied())
    );
    Progress::retrying(Reason::DeletionInProgress, message, Requeue::PollInterval)
}

/// The next step that is needed before a submission of this many desktops is signed.
fn ready(observed: &Observed, count: usize) -> Option<Step> {
    if observed.facts.circuit != Circuit::Closed {
        return Some(Step::Wait(circuit_open()));
    }
    if let Some(skew) = observed.facts.clock_skew {
        return Some(Step::Wait(clock_skew(skew)));
    }
    if !observed.request.finalizer {
        return Some(finalizer::add(observed));
    }
    if !observed.project_is_fresh {
        return Some(Step::ReadProject);
    }
    if observed.facts.stopping {
        return Some(Step::Done);
    }
    let permit = (observed.permit != SendPermit::Held).then_some(Step::AcquirePermit);
    let is_reserved = daily_limit::is_reserved(observed, observed.reserved.as_ref(), count);
    permit.or_else(|| (!is_reserved).then_some(Step::ReserveDesktops(count)))
}

fn batch(observed: &Observed, sub_job_list: &SubJobList, sorted: SortedDesktops) -> Batch {
    let baseline = sub_job_list.jobs_naming(&sorted.present);
    Batch {
        baseline_incomplete: !sub_job_list.complete || baseline.len() > BASELINE_JOBS,
        baseline_job_ids: baseline.into_iter().take(BASELINE_JOBS).collect(),
        baseline_failed_ids: sorted.failed_before,
        plan_hash: approval::recorded(observed).map(|approved| approved.hash.clone()),
        desktop_ids: sorted.present,
    }
}
