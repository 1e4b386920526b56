//! Floor 6, phases.
//!
//! Before anything is sent: whether the request may be submitted, and what exactly.

use super::attempts::{count_identical_not_found, was_not_found};
use super::blockers::{
    self, UNREADABLE_LIMIT, after_failed_submission, circuit_open, clock_skew, known_error, unusable,
};
use super::messages::{self, desktops, name_some};
use super::observed::{Circuit, Claim, Deadline, Observed, SendPermit, SingleRead, Start, Window};
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

/// How often the cloud may say "not found" about the same desktops, each of which it shows, before that is its verdict.
const NOT_FOUND_LIMIT: usize = 3;

/// How many GETs of one desktop may fail in a row before user action is required.
const FAILED_READS_LIMIT: u32 = 4;

/// From how many desktops on that must be read one by one the conditions say how far that is.
const MIN_REPORTED_DESKTOPS: usize = 10;

/// How many submissions may prove to have had no effect, before no further one is made.
const NO_EFFECT_LIMIT: usize = 3;

/// The next step of a request of which nothing was submitted.
pub fn next(seen: &Observed) -> Step {
    if seen.facts.deadline == Deadline::Passed {
        return blockers::next_clock_read(seen).unwrap_or_else(|| finalizer::finish(seen, expired(seen)));
    }
    if let Some(step) = blocked_before_reads(seen) {
        return step;
    }
    if seen.facts.deadline == Deadline::ClocksDisagree {
        return blockers::next_clock_read(seen).unwrap_or_else(|| Step::Wait(deadline_unclear(seen)));
    }
    if without_effect(seen).count() >= NO_EFFECT_LIMIT {
        return finalizer::finish(seen, no_effect());
    }
    match read_desktops(seen, Reporting::Progress) {
        Ok(sorted) => submit(seen, sorted),
        Err(step) => step,
    }
}

const UNCLEAR: &str = "the deadline has passed by the clock of the operator or of the cloud service, so the request will not be submitted; it expires once the deadline has passed by both";

/// Nothing is sent any more, and nothing is final yet.
fn deadline_unclear(seen: &Observed) -> Progress {
    if let Some(skew) = seen.facts.clock_skew {
        return clock_skew(skew);
    }
    let message = with_last_message(seen, UNCLEAR);
    Progress {
        error: last_error(seen).cloned(),
        ..Progress::retrying(Reason::Expired, message, Requeue::Retry)
    }
}

/// What blocks the request before anything is read from the cloud.
fn blocked_before_reads(seen: &Observed) -> Option<Step> {
    if seen.request.suspend {
        let message = "spec.suspend is true: set it to false to submit the request".to_owned();
        let progress = Progress::paused(Reason::Suspended, message, Requeue::Plan);
        return Some(wait_with_plan(seen, progress));
    }
    let Some(project) = &seen.project else {
        return Some(Step::ReadProject);
    };
    if let Some(progress) = unusable(seen, project) {
        return Some(Step::Wait(progress));
    }
    if project.suspended {
        let message = format!(
            "WorkspaceProject {} is suspended; the request waits until spec.suspend of the project is false",
            seen.request.project
        );
        let progress = Progress::paused(Reason::ProjectSuspended, message, Requeue::Change);
        return Some(wait_with_plan(seen, progress));
    }
    if let Some(progress) = guardrails::violated(seen) {
        return Some(wait_with_plan(seen, progress));
    }
    if let Some(step) = scheduled(seen).or_else(|| outside_window(seen)) {
        return Some(step);
    }
    if let Some((attempt, error)) = refused(seen).filter(|_| !seen.facts.retry_due) {
        return Some(Step::Wait(after_failed_submission(attempt.outcome, error)));
    }
    if seen.facts.circuit == Circuit::Open {
        return Some(Step::Wait(circuit_open()));
    }
    if (approval::is_missing(seen) || approval::is_invalidated(seen))
        && let Some(step) = approval_step(seen)
    {
        return Some(step);
    }
    match &seen.claim {
        None => return Some(Step::ClaimDesktops),
        Some(Claim::Granted) => {}
        Some(claim) => return Some(overlap::next(seen, claim)),
    }
    let read_failure = seen.read_failure.as_ref()?;
    Some(Step::Wait(blockers::after_read_failure(seen, read_failure)))
}

/// A wait on purpose, with what the request will do where that is shown.
fn wait_with_plan(seen: &Observed, progress: Progress) -> Step {
    if !preview::must_show_plan(seen) {
        return Step::Wait(progress);
    }
    let Some(project) = &seen.project else {
        return Step::ReadProject;
    };
    let failure = || {
        let failure = seen.read_failure.as_ref()?;
        Some(blockers::after_read_failure(seen, failure))
    };
    if let Some(obstacle) = unusable(seen, project).or_else(failure) {
        return Step::Wait(preview::unread(seen, &obstacle, progress));
    }
    match read_desktops(seen, Reporting::Nothing) {
        Ok(sorted) => {
            let deleting: Vec<_> = sorted.being_deleted.iter().collect();
            Step::Wait(preview::shown(seen, &sorted, &deleting, progress))
        }
        Err(Step::Wait(obstacle)) => Step::Wait(preview::unread(seen, &obstacle, progress)),
        Err(step) => step,
    }
}

/// The next step of a request whose approval is missing or void; `None` if it is not so any more. Meanwhile it claims
/// nothing: another request may delete the desktops first.
fn approval_step(seen: &Observed) -> Option<Step> {
    if let Some(failure) = &seen.read_failure {
        let failed = blockers::after_read_failure(seen, failure);
        return Some(Step::Wait(preview::unread(seen, &failed.clone(), failed)));
    }
    let sorted = match read_desktops(seen, Reporting::Nothing) {
        Ok(sorted) => sorted,
        Err(Step::Wait(progress)) => {
            return Some(Step::Wait(preview::unread(seen, &progress.clone(), progress)));
        }
        Err(step) => return Some(step),
    };
    if let Some(step) = nothing_to_do(seen, &sorted) {
        return Some(step);
    }
    let deleting: Vec<_> = sorted.being_deleted.iter().collect();
    let progress = not_permitted(seen, &sorted)?;
    let moves = progress.reason == Reason::CheckingDesktops;
    let progress = preview::shown(seen, &sorted, &deleting, progress);
    let records = |preview: &Preview| preview.approved.is_some();
    // Nothing is claimed before the approval is recorded.
    Some(
        if moves && approval::is_missing(seen) && progress.preview.as_deref().is_some_and(records) {
            Step::RecordApproval(progress)
        } else {
            Step::Wait(progress)
        },
    )
}

/// Why these desktops are not submitted: they are not what the request expects, the project does not permit it, or their
/// approval is missing.
fn not_permitted(seen: &Observed, sorted: &SortedDesktops) -> Option<Progress> {
    // A plan is made only for who needs it: hashes take time.
    let plan = || {
        approval::is_needed(seen)
            .then(|| Planned::of(seen, sorted))
            .flatten()
    };
    expectations::failed(seen, &sorted.present)
        .or_else(|| guardrails::blocked(seen, &sorted.present))
        .or_else(|| approval::obstacle(seen, &plan()?))
}

/// What the conditions say of desktops whose own GETs fail while other reads succeed.
fn unreadable(seen: &Observed) -> Option<Progress> {
    let (_, read_failure, _) = seen.failed_reads().next()?;
    let error = known_error(seen, read_failure);
    let in_a_row = seen.failed_reads().map(|(.., in_a_row)| in_a_row).max();
    let is_unreadable = |id: &&DesktopID| seen.failed_reads().any(|(failed, ..)| *failed == id.folded());
    let ids: Vec<_> = seen.request.desktop_ids.iter().filter(is_unreadable).collect();
    let remedy = if ids.len() == seen.request.desktop_ids.len() {
        "Check them in the console"
    } else {
        "To delete the other desktops now, delete this request and create one without them"
    };
    let message = format!(
        "the cloud returns an error for these desktops: {}. Nothing is submitted; retrying. {remedy} ({})",
        messages::list(ids),
        messages::answer(error)
    );
    let reason = match read_failure.error.class {
        ErrorClass::InDoubt => Reason::ServiceUnavailable,
        _ => Reason::RequestRefused,
    };
    let lasts = in_a_row >= Some(FAILED_READS_LIMIT);
    let progress = Progress::stalled_or_retrying(lasts, reason, message, Requeue::Backoff);
    Some(progress.with_error(error.clone()))
}

/// The last attempt, if the cloud refused it or it was not sent.
fn refused(seen: &Observed) -> Option<(&Attempt, &CloudError)> {
    let last = seen.request.status.attempts.last()?;
    let refused = matches!(last.outcome, Outcome::Rejected | Outcome::NotSent);
    last.error.as_ref().filter(|_| refused).map(|error| (last, error))
}

/// The wait for the earliest time of the submission, which both clocks must have passed.
fn scheduled(seen: &Observed) -> Option<Step> {
    let at = seen
        .request
        .not_before
        .filter(|_| seen.facts.start != Start::Reached)?;
    let message = format!("not submitted before {at} (spec.notBefore)");
    let wait = || wait_with_plan(seen, Progress::paused(Reason::Scheduled, message, Requeue::Start));
    match seen.facts.start {
        Start::ClockUnknown => blockers::next_clock_read(seen).or_else(|| Some(wait())),
        Start::Ahead | Start::Reached => Some(wait()),
    }
}

/// The wait for a window in which the project takes submissions, which both clocks must be inside of.
fn outside_window(seen: &Observed) -> Option<Step> {
    let project = &seen.request.project;
    let wait = |until: &str| {
        let message = format!("no submission window of WorkspaceProject {project} is open{until}");
        wait_with_plan(
            seen,
            Progress::paused(Reason::OutsideWindow, message, Requeue::Window),
        )
    };
    match seen.facts.window {
        Window::Open => None,
        Window::ClockUnknown => {
            let wait = || wait("; the clock of the cloud service is not known yet");
            blockers::next_clock_read(seen).or_else(|| Some(wait()))
        }
        Window::Closed { opens: Some(at) } => Some(wait(&format!("; the next one opens at {at}"))),
        Window::Closed { opens: None } => Some(match seen.facts.clock_skew {
            Some(skew) => wait_with_plan(seen, clock_skew(skew)),
            None => wait(" by the clock of the cloud service"),
        }),
        Window::Unknown => {
            let progress = guardrails::unknown_time_zone(project);
            Some(wait_with_plan(seen, progress))
        }
    }
}

/// Whether the conditions say how far a long check is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reporting {
    /// It is what the request waits for.
    Progress,
    /// The request is held by something else, which they go on to say.
    Nothing,
}

/// Looks at every desktop, or names the read that is missing. What must be read one by one comes first: what a list shows
/// grows old meanwhile.
#[allow(clippy::result_large_err)] // the error is the next step
fn read_desktops(seen: &Observed, reporting: Reporting) -> Result<SortedDesktops, Step> {
    let ids = &seen.request.desktop_ids;
    let unconfirmed: Vec<_> = ids.iter().filter(|id| needs_single_read(seen, id)).collect();
    let too_many_failures = seen.failed_reads().count() >= UNREADABLE_LIMIT;
    if let Some(id) = unconfirmed.first().filter(|_| !too_many_failures) {
        let progress = checking(ids.len() - unconfirmed.len(), ids.len());
        let long = unconfirmed.len() >= MIN_REPORTED_DESKTOPS || is_announced(seen);
        return Err(
            if reporting == Reporting::Progress
                && long
                && seen.facts.progress_due
                && would_change(&seen.request, &progress)
            {
                Step::RecordProgress(progress)
            } else {
                Step::ReadDesktop((*id).clone())
            },
        );
    }
    if let Some(progress) = unreadable(seen) {
        return Err(Step::Wait(progress));
    }
    let unread: Vec<_> = ids
        .iter()
        .filter(|id| !seen.desktops.contains_key(&id.folded()))
        .cloned()
        .collect();
    if !unread.is_empty() {
        return Err(Step::ReadDesktops(unread));
    }
    let mut sorted = SortedDesktops::default();
    for id in ids {
        match seen.desktops[&id.folded()].view {
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
    let lacks_details = |id: &&DesktopID| seen.desktops[&id.folded()].details.is_none();
    let undetailed: Vec<_> = sorted.present.iter().filter(lacks_details).cloned().collect();
    if guardrails::need_details(seen) && !undetailed.is_empty() {
        return Err(Step::ReadDetails(undetailed));
    }
    Ok(sorted)
}

/// Whether only a GET of its own says what is to be known of a desktop. After the cloud said that something does not exist
/// no list does: it may lag, and show for a while what is gone.
fn needs_single_read(seen: &Observed, id: &DesktopID) -> bool {
    let read = seen.single_reads.get(&id.folded());
    match seen
        .desktops
        .get(&id.folded())
        .map(|observation| observation.view)
    {
        Some(DesktopView::Gone) => false,
        Some(view) if view.needs_lookup() => !matches!(read, Some(SingleRead::Failed { .. })),
        _ => read.is_none() && seen.request.status.attempts.last().is_some_and(was_not_found),
    }
}

const ONE_BY_ONE: &str = "checked; reading the others one by one";

/// What the conditions say while many desktops are read one by one.
fn checking(checked: usize, all: usize) -> Progress {
    let message = format!("{checked} of {all} desktops {ONE_BY_ONE}");
    Progress::reconciling(Reason::CheckingDesktops, message, Requeue::PollInterval)
}

fn submit(seen: &Observed, sorted: SortedDesktops) -> Step {
    if let Some(step) = nothing_to_do(seen, &sorted) {
        return step;
    }
    let Some(sub_job_list) = &seen.sub_job_list else {
        return Step::ReadSubJobs;
    };
    let unclear = || {
        sorted
            .present
            .iter()
            .flat_map(|id| sub_job_list.jobs_with_undocumented_status(id))
    };
    if let Some(job) = unclear().find(|job| !seen.jobs.contains_key(job)) {
        return Step::ReadJob(job.clone());
    }
    let open = sorted
        .present
        .iter()
        .filter(|id| sub_job_list.open_job_of(id).is_some() || may_be_deleting(seen, sub_job_list, id));
    let foreign: Vec<_> = sorted.being_deleted.iter().chain(open).collect();
    if !foreign.is_empty() {
        let progress = deletion_in_progress(&foreign);
        return Step::Wait(preview::shown(seen, &sorted, &foreign, progress));
    }
    if let Some(progress) = not_permitted(seen, &sorted) {
        return Step::Wait(preview::shown(seen, &sorted, &[], progress));
    }
    if let Some(completion) = final_rejection(seen, &sorted.present) {
        return finalizer::finish(seen, completion);
    }
    let count = sorted.present.len();
    if let Some(progress) = daily_limit::reached(seen, count) {
        return Step::Wait(preview::shown(seen, &sorted, &[], progress));
    }
    ready(seen, count).unwrap_or_else(|| Step::Sign(batch(seen, sub_job_list, sorted)))
}

/// A job says something of the desktop that is not documented. It is no deletion that runs if the job has ended, or if it
/// takes too long, and the desktop is idle in two reads a job visibility timeout apart.
fn may_be_deleting(seen: &Observed, sub_job_list: &SubJobList, id: &DesktopID) -> bool {
    let idle = seen.desktops.get(&id.folded()).is_some_and(|s| s.idle_twice);
    let over = |job: &JobID| {
        seen.facts.undocumented_for_long || seen.jobs.get(job).is_some_and(|view| view.finished)
    };
    sub_job_list
        .jobs_with_undocumented_status(id)
        .any(|job| !(idle && over(job)))
}

/// An earlier submission took effect after all, or no desktop exists.
fn nothing_to_do(seen: &Observed, sorted: &SortedDesktops) -> Option<Step> {
    let nothing_left = sorted.present.is_empty() && sorted.being_deleted.is_empty();
    late_effect(seen)
        .or_else(|| nothing_left.then(|| finalizer::finish(seen, already_absent(seen, &sorted.absent))))
}

/// Of earlier submissions that seemed to have had no effect, one may show only now: then its job is ours.
fn late_effect(seen: &Observed) -> Option<Step> {
    let mut earlier = without_effect(seen).peekable();
    if earlier.peek().is_some() && seen.sub_job_list.is_none() {
        return Some(Step::ReadSubJobs);
    }
    earlier.find_map(|attempt| evidence::late_effect(seen, attempt))
}

fn deletion_in_progress(foreign: &[&DesktopID]) -> Progress {
    let message = format!(
        "another client is deleting {} of this request ({}); waiting until they are gone or idle again",
        desktops(foreign.len()),
        name_some(foreign.iter().copied())
    );
    Progress::retrying(Reason::DeletionInProgress, message, Requeue::PollInterval)
}

/// What is still to be done before so many desktops are signed for.
fn ready(seen: &Observed, count: usize) -> Option<Step> {
    if seen.facts.circuit != Circuit::Closed {
        return Some(Step::Wait(circuit_open()));
    }
    if let Some(skew) = seen.facts.clock_skew {
        return Some(Step::Wait(clock_skew(skew)));
    }
    if !seen.request.finalizer {
        return Some(finalizer::add(seen));
    }
    if !seen.project_is_fresh {
        return Some(Step::ReadProject);
    }
    if seen.facts.stopping {
        return Some(Step::Done);
    }
    let permit = (seen.permit != SendPermit::Held).then_some(Step::AcquirePermit);
    let is_reserved = daily_limit::is_reserved(seen, seen.reserved.as_ref(), count);
    permit.or_else(|| (!is_reserved).then_some(Step::ReserveDesktops(count)))
}

fn batch(seen: &Observed, sub_job_list: &SubJobList, sorted: SortedDesktops) -> Batch {
    let baseline = sub_job_list.jobs_naming(&sorted.present);
    Batch {
        baseline_incomplete: !sub_job_list.complete || baseline.len() > BASELINE_JOBS,
        baseline_job_ids: baseline.into_iter().take(BASELINE_JOBS).collect(),
        baseline_failed_ids: sorted.failed_before,
        plan_hash: approval::recorded(seen).map(|approved| approved.hash.clone()),
        desktop_ids: sorted.present,
    }
}

fn expired(seen: &Observed) -> Completion {
    let message = "the deadline passed before the request was submitted; no delete request took effect. Create a new request if the desktops must still be deleted";
    Completion {
        error: last_error(seen).cloned(),
        ..Completion::new(Reason::Expired, with_last_message(seen, message))
    }
}

fn with_last_message(seen: &Observed, message: &str) -> String {
    match last_message(seen) {
        Some(last) => format!("{message}{LAST_STATUS}{last}"),
        None => message.to_owned(),
    }
}

/// What the message of an expired request says before what it waited for last.
const LAST_STATUS: &str = "; last status: ";

/// The last error of the cloud that kept the request from being submitted.
fn last_error(seen: &Observed) -> Option<&CloudError> {
    let refused = || refused(seen).map(|(_, error)| error);
    seen.request.status.last_error.as_ref().or_else(refused)
}

/// The conditions say how far a long check is.
fn is_announced(seen: &Observed) -> bool {
    let submitted = find(&seen.request.status.conditions, ConditionType::Submitted);
    submitted.is_some_and(|c| c.reason == Reason::CheckingDesktops && c.message.ends_with(ONE_BY_ONE))
}

/// What kept the request from being submitted until its deadline, as the conditions said it.
fn last_message(seen: &Observed) -> Option<String> {
    let submitted = find(&seen.request.status.conditions, ConditionType::Submitted);
    let Some(submitted) = submitted.filter(|c| c.status == ConditionStatus::False) else {
        return last_error(seen).map(|error| without_retry(&messages::of_error(error)));
    };
    let message = finalizer::without_finalizer_note(&submitted.message);
    match message.strip_prefix(UNCLEAR) {
        None => Some(without_retry(message)),
        Some(rest) => rest.strip_prefix(LAST_STATUS).map(ToOwned::to_owned),
    }
}

/// A message without the hint, at its end or before the details, that the operator tries again.
fn without_retry(message: &str) -> String {
    let hint = "; retrying";
    let message = message.strip_suffix(hint).unwrap_or(message);
    message.replacen(&format!("{hint} ("), " (", 1)
}

fn without_effect(seen: &Observed) -> impl Iterator<Item = &Attempt> {
    let attempts = seen.request.status.attempts.iter();
    attempts.filter(|a| a.outcome == Outcome::NoEffect)
}

fn no_effect() -> Completion {
    let message = format!(
        "{NO_EFFECT_LIMIT} submissions had no effect: each was sent, its response was lost, and the desktops stayed unchanged; check the network path between the operator and the cloud, then create a new request"
    );
    Completion::new(Reason::NoEffect, message)
}

fn already_absent(seen: &Observed, absent: &[DesktopID]) -> Completion {
    let project = seen.project.as_ref().and_then(|p| p.coordinates.clone());
    let place = project.as_ref().map_or_else(String::new, |p| {
        format!(
            " in project {} of region {} ({})",
            p.project_id, p.region, p.endpoint
        )
    });
    let who = match seen.request.desktop_ids.len() {
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

/// A rejection that a second read of the desktops did not change.
fn final_rejection(seen: &Observed, body: &[DesktopID]) -> Option<Completion> {
    let (attempt, error) = refused(seen).filter(|(a, _)| a.outcome == Outcome::Rejected)?;
    let final_class = match error.class {
        ErrorClass::InvalidRequest => true,
        ErrorClass::NotFound => count_identical_not_found(&seen.request.status, body) >= NOT_FOUND_LIMIT,
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
