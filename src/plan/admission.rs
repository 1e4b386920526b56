//! Layer 6, phases: may the request be submitted, and what exactly, before anything is sent.

use super::attempts::{count_identical_not_found, was_not_found};
use super::blockers::{
    self, UNREADABLE_LIMIT, after_failed_submission, circuit_open, clock_skew, known_error, unusable,
};
use super::messages::{self, desktops, name_some};
use super::observed::{Circuit, Claim, Deadline, NotBefore, Observed, SendPermit, SingleRead, Window};
use super::plan_hash::Planned;
use super::progress::{Preview, Progress, Requeue};
use super::status::would_change;
use super::step::{Batch, Completion, Step};
use super::views::{DesktopView, SortedDesktops, SubJobList};
use super::{approval, daily_limit, evidence, expectations, finalizer, guardrails, overlap, preview};
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason, find};
use crate::crd::deletion::ErrorClass;
use crate::crd::deletion::{Attempt, CloudError, DesktopState, DesktopStatus, Outcome};
use crate::ids::{DesktopID, JobID};

/// Most earlier jobs that the record of an attempt holds.
const BASELINE_JOBS: usize = crate::crd::limits::BASELINE_JOBS as usize;

/// How often the cloud may report "not found" for the same desktops although it shows each of them, before that is
/// final.
const NOT_FOUND_LIMIT: usize = 3;

/// How many GETs of one desktop may fail in a row before user action is required.
const FAILED_READS_LIMIT: u32 = 4;

/// Minimum number of desktops to read one by one for which the conditions report the progress.
const MIN_REPORTED_DESKTOPS: usize = 10;

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
    if without_effect(observed).count() >= NO_EFFECT_LIMIT {
        return finalizer::finish(observed, no_effect());
    }
    match read_desktops(observed, Reporting::Progress) {
        Ok(sorted) => submit(observed, sorted),
        Err(step) => step,
    }
}

const DEADLINE_UNCLEAR: &str = "the deadline has passed by the clock of the operator or of the cloud service, so the request will not be submitted; it expires once the deadline has passed by both";

/// Nothing is sent any more, but the request has not expired yet.
fn deadline_unclear(observed: &Observed) -> Progress {
    if let Some(skew) = observed.facts.clock_skew {
        return clock_skew(skew);
    }
    let message = with_last_message(observed, DEADLINE_UNCLEAR);
    Progress {
        error: last_error(observed).cloned(),
        ..Progress::retrying(Reason::Expired, message, Requeue::Retry)
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
    if let Some((attempt, error)) = last_failed_submission(observed).filter(|_| !observed.facts.retry_due) {
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

/// The conditions for desktops whose GETs fail while other reads succeed.
fn failing_desktop_reads(observed: &Observed) -> Option<Progress> {
    let (_, read_failure, _) = observed.failed_reads().next()?;
    let error = known_error(observed, read_failure);
    let in_a_row = observed.failed_reads().map(|(.., in_a_row)| in_a_row).max();
    let is_unreadable = |id: &&DesktopID| observed.failed_reads().any(|(failed, ..)| *failed == id.folded());
    let ids: Vec<_> = observed
        .request
        .desktop_ids
        .iter()
        .filter(is_unreadable)
        .collect();
    let remedy = if ids.len() == observed.request.desktop_ids.len() {
        "Check them in the console"
    } else {
        "To delete the other desktops now, delete this request and create one without them"
    };
    let message = format!(
        "the cloud returns an error for these desktops: {}. Nothing is submitted; retrying. {remedy} ({})",
        messages::list(ids),
        messages::describe_error(error)
    );
    let reason = match read_failure.error.class {
        ErrorClass::InDoubt => Reason::ServiceUnavailable,
        _ => Reason::RequestRefused,
    };
    let lasts = in_a_row >= Some(FAILED_READS_LIMIT);
    let progress = Progress::stalled_or_retrying(lasts, reason, message, Requeue::Backoff);
    Some(progress.with_error(error.clone()))
}

/// The last attempt, if the cloud rejected it or it was not sent.
fn last_failed_submission(observed: &Observed) -> Option<(&Attempt, &CloudError)> {
    let last = observed.request.status.attempts.last()?;
    let refused = matches!(last.outcome, Outcome::Rejected | Outcome::NotSent);
    last.error.as_ref().filter(|_| refused).map(|error| (last, error))
}

/// The wait for the earliest time of the submission, which both clocks must have passed.
fn scheduled(observed: &Observed) -> Option<Step> {
    let at = observed
        .request
        .not_before
        .filter(|_| observed.facts.start != NotBefore::Reached)?;
    let message = format!("not submitted before {at} (spec.notBefore)");
    let wait = || {
        wait_with_plan(
            observed,
            Progress::paused(Reason::Scheduled, message, Requeue::Start),
        )
    };
    match observed.facts.start {
        NotBefore::ClockUnknown => blockers::next_clock_read(observed).or_else(|| Some(wait())),
        NotBefore::Ahead | NotBefore::Reached => Some(wait()),
    }
}

/// The wait for a window in which the project takes submissions, which both clocks must be inside of.
fn outside_window(observed: &Observed) -> Option<Step> {
    let project = &observed.request.project;
    let wait = |until: &str| {
        let message = format!("no submission window of WorkspaceProject {project} is open{until}");
        wait_with_plan(
            observed,
            Progress::paused(Reason::OutsideWindow, message, Requeue::Window),
        )
    };
    match observed.facts.window {
        Window::Open => None,
        Window::ClockUnknown => {
            let wait = || wait("; the clock of the cloud service is not known yet");
            blockers::next_clock_read(observed).or_else(|| Some(wait()))
        }
        Window::Closed { opens: Some(at) } => Some(wait(&format!("; the next one opens at {at}"))),
        Window::Closed { opens: None } => Some(match observed.facts.clock_skew {
            Some(skew) => wait_with_plan(observed, clock_skew(skew)),
            None => wait(" by the clock of the cloud service"),
        }),
        Window::Unknown => {
            let progress = guardrails::unknown_time_zone(project);
            Some(wait_with_plan(observed, progress))
        }
    }
}

/// Whether the conditions report the progress of a long check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reporting {
    /// They report it: the request waits for this check.
    Progress,
    /// They do not: the request waits for something else, which they continue to report.
    Nothing,
}

/// Checks every desktop, or returns the read that is missing. Single reads come first, since the result of a list would
/// become outdated in the meantime.
#[allow(clippy::result_large_err)] // the error is the next step
fn read_desktops(observed: &Observed, reporting: Reporting) -> Result<SortedDesktops, Step> {
    let ids = &observed.request.desktop_ids;
    let unconfirmed: Vec<_> = ids.iter().filter(|id| needs_single_read(observed, id)).collect();
    let too_many_failures = observed.failed_reads().count() >= UNREADABLE_LIMIT;
    if let Some(id) = unconfirmed.first().filter(|_| !too_many_failures) {
        let progress = checking(ids.len() - unconfirmed.len(), ids.len());
        let long = unconfirmed.len() >= MIN_REPORTED_DESKTOPS || is_announced(observed);
        return Err(
            if reporting == Reporting::Progress
                && long
                && observed.facts.progress_due
                && would_change(&observed.request, &progress)
            {
                Step::RecordProgress(progress)
            } else {
                Step::ReadDesktop((*id).clone())
            },
        );
    }
    if let Some(progress) = failing_desktop_reads(observed) {
        return Err(Step::Wait(progress));
    }
    let unread: Vec<_> = ids
        .iter()
        .filter(|id| !observed.desktops.contains_key(&id.folded()))
        .cloned()
        .collect();
    if !unread.is_empty() {
        return Err(Step::ReadDesktops(unread));
    }
    let mut sorted = SortedDesktops::default();
    for id in ids {
        match observed.desktops[&id.folded()].view {
            DesktopView::Missing | DesktopView::Unlisted => return Err(Step::ReadDesktop(id.clone())),
            DesktopView::Gone => sorted.absent.push(id.clone()),
            DesktopView::Deleting => sorted.being_deleted.push(id.clone()),
            DesktopView::Idle | DesktopView::Busy => sorted.present.push(id.clone()),
            DesktopView::DeleteFailed => {
                sorted.failed_before.push(id.clone());
                sorted.present.push(id.clone());
            }
        }
    }
    let lacks_details = |id: &&DesktopID| observed.desktops[&id.folded()].details.is_none();
    let undetailed: Vec<_> = sorted.present.iter().filter(lacks_details).cloned().collect();
    if guardrails::need_details(observed) && !undetailed.is_empty() {
        return Err(Step::ReadDetails(undetailed));
    }
    Ok(sorted)
}

/// Whether a desktop must be read by a single GET. After the cloud has reported that something does not exist, a list
/// is not sufficient: it may lag and still show a desktop that is gone.
fn needs_single_read(observed: &Observed, id: &DesktopID) -> bool {
    let read = observed.single_reads.get(&id.folded());
    match observed
        .desktops
        .get(&id.folded())
        .map(|observation| observation.view)
    {
        Some(DesktopView::Gone) => false,
        Some(view) if view.needs_lookup() => !matches!(read, Some(SingleRead::Failed { .. })),
        _ => read.is_none() && observed.request.status.attempts.last().is_some_and(was_not_found),
    }
}

const CHECKING_SUFFIX: &str = "checked; reading the others one by one";

/// The conditions while many desktops are read one by one.
fn checking(checked: usize, all: usize) -> Progress {
    let message = format!("{checked} of {all} desktops {CHECKING_SUFFIX}");
    Progress::reconciling(Reason::CheckingDesktops, message, Requeue::PollInterval)
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
    let mut earlier = without_effect(observed).peekable();
    if earlier.peek().is_some() && observed.sub_job_list.is_none() {
        return Some(Step::ReadSubJobs);
    }
    earlier.find_map(|attempt| evidence::late_effect(observed, attempt))
}

fn deletion_in_progress(foreign: &[&DesktopID]) -> Progress {
    let message = format!(
        "another client is deleting {} of this request ({}); waiting until that deletion has ended",
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

fn expired(observed: &Observed) -> Completion {
    let message = "the deadline passed before the request was submitted; no delete request took effect. Create a new request if the desktops must still be deleted";
    Completion {
        error: last_error(observed).cloned(),
        ..Completion::new(Reason::Expired, with_last_message(observed, message))
    }
}

fn with_last_message(observed: &Observed, message: &str) -> String {
    match last_message(observed) {
        Some(last) => format!("{message}{LAST_STATUS}{last}"),
        None => message.to_owned(),
    }
}

/// Separator in the message of an expired request, before the last thing that it waited for.
const LAST_STATUS: &str = "; last status: ";

/// The last error of the cloud that kept the request from being submitted.
fn last_error(observed: &Observed) -> Option<&CloudError> {
    let refused = || last_failed_submission(observed).map(|(_, error)| error);
    observed.request.status.last_error.as_ref().or_else(refused)
}

/// Whether the conditions report the progress of a long check.
fn is_announced(observed: &Observed) -> bool {
    let submitted = find(&observed.request.status.conditions, ConditionType::Submitted);
    submitted.is_some_and(|c| c.reason == Reason::CheckingDesktops && c.message.ends_with(CHECKING_SUFFIX))
}

/// What prevented the submission until the deadline, according to the conditions.
fn last_message(observed: &Observed) -> Option<String> {
    let submitted = find(&observed.request.status.conditions, ConditionType::Submitted);
    let Some(submitted) = submitted.filter(|c| c.status == ConditionStatus::False) else {
        return last_error(observed).map(|error| without_retry(&messages::of_error(error)));
    };
    let message = finalizer::without_finalizer_note(&submitted.message);
    match message.strip_prefix(DEADLINE_UNCLEAR) {
        None => Some(without_retry(message)),
        Some(rest) => rest.strip_prefix(LAST_STATUS).map(ToOwned::to_owned),
    }
}

/// A message without the note that the operator is retrying, which is at its end or before the details.
fn without_retry(message: &str) -> String {
    let hint = "; retrying";
    let message = message.strip_suffix(hint).unwrap_or(message);
    message.replacen(&format!("{hint} ("), " (", 1)
}

fn without_effect(observed: &Observed) -> impl Iterator<Item = &Attempt> {
    let attempts = observed.request.status.attempts.iter();
    attempts.filter(|a| a.outcome == Outcome::NoEffect)
}

fn no_effect() -> Completion {
    let message = format!(
        "{NO_EFFECT_LIMIT} submissions had no effect: each was sent, its response was lost, and the desktops stayed unchanged; check the network path between the operator and the cloud, then create a new request"
    );
    Completion::new(Reason::NoEffect, message)
}

fn already_absent(observed: &Observed, absent: &[DesktopID]) -> Completion {
    let project = observed.project.as_ref().and_then(|p| p.coordinates.clone());
    let place = project.as_ref().map_or_else(String::new, |p| {
        format!(
            " in project {} of region {} ({})",
            p.project_id, p.region, p.endpoint
        )
    });
    let who = match observed.request.desktop_ids.len() {
        1 => "the desktop does not exist".to_owned(),
        many => format!("none of the {many} desktops exists"),
    };
    let mut message =
        format!("{who}{place}: nothing was submitted; if that is unexpected, check the project");
    message.push_str(&messages::hint_not_an_id(absent));
    Completion {
        submitted: Reason::NothingToDelete,
        project,
        desktops: absent
            .iter()
            .map(|id| DesktopStatus::new(id, DesktopState::Absent))
            .collect(),
        ..Completion::new(Reason::AlreadyAbsent, message)
    }
}

/// The final result, if the last rejection is still about the same desktops after they were read again.
fn final_rejection(observed: &Observed, body: &[DesktopID]) -> Option<Completion> {
    let (attempt, error) =
        last_failed_submission(observed).filter(|(a, _)| a.outcome == Outcome::Rejected)?;
    let final_class = match error.class {
        ErrorClass::InvalidRequest => true,
        ErrorClass::NotFound => count_identical_not_found(&observed.request.status, body) >= NOT_FOUND_LIMIT,
        _ => false,
    };
    if !final_class || attempt.desktop_ids != body {
        return None;
    }
    Some(Completion {
        submitted: error.class.error_policy().reason,
        desktops: body
            .iter()
            .map(|id| {
                let mut failed = DesktopStatus::new(id, DesktopState::Failed);
                failed.code.clone_from(&error.code);
                failed
            })
            .collect(),
        error: Some(error.clone()),
        ..Completion::new(Reason::Rejected, messages::of_error(error))
    })
}
