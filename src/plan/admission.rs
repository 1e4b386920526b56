//! Before anything is sent: may it be submitted, and what exactly.

use super::classify::{Class, RetryPolicy, explain};
use super::conditions::{Progress, Requeue, desktops, name_some};
use super::observed::{
    Circuit, Claim, ClockSkew, Deadline, DesktopView, Observed, ProjectView, ReadFailure, SingleRead, Sweep,
};
use super::status::{Ending, desktop, not_found_alike, same_error, was_not_found, would_change};
use super::{Batch, Step, finalizer, overlap, recovery};
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason};
use crate::crd::deletion::{Attempt, CloudError, DesktopState, Outcome};
use crate::ids::{DesktopID, JobID};
use crate::workspace::error::Operation;

/// Most earlier jobs that the record of an attempt holds.
const BASELINE_JOBS: usize = crate::crd::limits::BASELINE_JOBS as usize;

/// How often the cloud may say "not found" about the same desktops, each of which it shows, before that is its verdict.
const NOT_FOUND_LIMIT: usize = 3;

/// How many GETs of one desktop may fail in a row before a person must look.
const FAILED_READS_LIMIT: u32 = 4;

/// How many desktops may fail to be read before no further one is tried: it is the service then.
const UNREADABLE_LIMIT: usize = 10;

/// From how many desktops on that must be read one by one the conditions say how far that is.
const MANY: usize = 10;

/// How many submissions may prove to have had no effect, before no further one is made.
const NO_EFFECT_LIMIT: usize = 3;

/// The next step of a request of which nothing was submitted.
pub fn next(seen: &Observed) -> Step {
    if seen.facts.deadline == Deadline::Passed {
        return ask_the_time(seen).unwrap_or_else(|| end(seen, expired(seen)));
    }
    if let Some(step) = hold_back(seen) {
        return step;
    }
    if seen.facts.deadline == Deadline::Unclear {
        return ask_the_time(seen).unwrap_or_else(|| Step::Wait(deadline_unclear(seen)));
    }
    if without_effect(seen) >= NO_EFFECT_LIMIT {
        return end(seen, no_effect());
    }
    match sight(seen) {
        Ok(sorted) => submit(seen, sorted),
        Err(step) => step,
    }
}

/// What is for good needs the service's clock, so it is asked while it can be: it counts once two answers agree. A clock
/// that differs from ours is asked again, or a false one would never be corrected.
pub fn ask_the_time(seen: &Observed) -> Option<Step> {
    let agreed = seen.facts.service_clock_known && seen.facts.clock_skew.is_none();
    if agreed || seen.read_failure.is_some() {
        return None;
    }
    let Some(project) = &seen.project else {
        return Some(Step::ReadProject);
    };
    if unusable(seen, project).is_some() {
        None
    } else if seen.desktops.is_empty() {
        Some(Step::ReadDesktops(seen.request.desktop_ids.clone()))
    } else {
        seen.sweep.is_none().then_some(Step::ReadSubJobs)
    }
}

const UNCLEAR: &str = "the deadline has passed by this machine's clock or by the service's, so the request will not be submitted; it expires once the deadline has passed by both";

/// Nothing is sent any more, and nothing is final yet.
fn deadline_unclear(seen: &Observed) -> Progress {
    if let Some(skew) = seen.facts.clock_skew {
        return clock_skew(skew);
    }
    let mut message = UNCLEAR.to_owned();
    if let Some(obstacle) = last_obstacle(seen) {
        message.push_str(LAST_OBSTACLE);
        message.push_str(&obstacle);
    }
    Progress {
        error: last_error(seen).cloned(),
        ..Progress::retrying(Reason::Expired, message, Requeue::Retry)
    }
}

/// What keeps the request from being looked at in the cloud at all.
fn hold_back(seen: &Observed) -> Option<Step> {
    if seen.request.suspend {
        let message = "spec.suspend is true: set it to false to submit the request".to_owned();
        return Some(Step::Wait(Progress::held(
            Reason::Suspended,
            message,
            Requeue::Change,
        )));
    }
    let Some(project) = &seen.project else {
        return Some(Step::ReadProject);
    };
    if let Some(hold) = unusable(seen, project) {
        return Some(Step::Wait(hold));
    }
    if project.suspended {
        let message = format!("WorkspaceProject {} has spec.suspend set", seen.request.project);
        return Some(Step::Wait(Progress::held(
            Reason::ProjectSuspended,
            message,
            Requeue::Change,
        )));
    }
    if let Some((attempt, error)) = refused(seen).filter(|_| !seen.facts.retry_due) {
        return Some(Step::Wait(refusal(attempt.outcome, error)));
    }
    if seen.facts.circuit == Circuit::Open {
        return Some(Step::Wait(circuit_open()));
    }
    match &seen.claim {
        None => return Some(Step::Claim),
        Some(Claim::Granted) => {}
        Some(claim) => return Some(overlap::next(seen, claim)),
    }
    let read_failure = seen.read_failure.as_ref()?;
    Some(Step::Wait(failed(seen, read_failure)))
}

/// Why the project cannot be used for this request, if so.
pub fn unusable(seen: &Observed, project: &ProjectView) -> Option<Progress> {
    let home = seen.request.status.project.as_ref();
    if let (Some(home), Some(now)) = (home, project.coordinates.as_ref())
        && home.key() != now.key()
    {
        let message = format!(
            "WorkspaceProject {} now points to project {} at {}, but this request began in project {} at {}: point it back, or create a new request",
            seen.request.project, now.project_id, now.endpoint, home.project_id, home.endpoint
        );
        return Some(Progress::stalled(
            Reason::ProjectChanged,
            message,
            Requeue::Refresh,
        ));
    }
    let obstacle = project.obstacle.as_ref()?;
    let build = if obstacle.person {
        Progress::stalled
    } else {
        Progress::retrying
    };
    Some(build(obstacle.reason, obstacle.message.clone(), Requeue::Refresh))
}

/// The wait after a read that failed, if one did, be it of one desktop.
pub fn read_failure(seen: &Observed) -> Option<Progress> {
    let of_desktop = || {
        seen.failed_reads()
            .next()
            .map(|(_, read_failure, _)| read_failure)
    };
    let read_failure = seen.read_failure.as_ref().or_else(of_desktop)?;
    Some(failed(seen, read_failure))
}

fn failed(seen: &Observed, read_failure: &ReadFailure) -> Progress {
    let treatment = read_failure.class.treatment();
    let error = known_error(seen, read_failure);
    // The service refuses a signature of a wrong time as it refuses a wrong one.
    if let (Class::Authentication, Some(skew)) = (read_failure.class, seen.facts.clock_skew) {
        return clock_skew(skew).with_error(error.clone());
    }
    let message = said(error);
    let wake = if treatment.pace == RetryPolicy::Slow {
        Requeue::Refresh
    } else {
        Requeue::Backoff
    };
    // What a read asks for is the operator's doing: nobody can correct it in the object.
    let person = treatment.person && read_failure.class != Class::InvalidRequest;
    let build = if person {
        Progress::stalled
    } else {
        Progress::retrying
    };
    build(treatment.reason, message, wake).with_error(error.clone())
}

/// The error as it is stored, if it says the same.
fn known_error<'a>(seen: &'a Observed, read_failure: &'a ReadFailure) -> &'a CloudError {
    let known = seen.request.status.last_error.as_ref();
    let known = known.filter(|known| {
        let withheld = read_failure.withheld && known.class == read_failure.error.class;
        withheld || same_error(known, &read_failure.error)
    });
    known.unwrap_or(&read_failure.error)
}

/// What the conditions say of desktops whose own GETs fail while other reads succeed.
fn unreadable(seen: &Observed) -> Option<Progress> {
    let (_, read_failure, _) = seen.failed_reads().next()?;
    let error = known_error(seen, read_failure);
    let in_a_row = seen.failed_reads().map(|(.., in_a_row)| in_a_row).max();
    let is_unreadable = |id: &&DesktopID| seen.failed_reads().any(|(failed, ..)| *failed == id.folded());
    let ids: Vec<_> = seen.request.desktop_ids.iter().filter(is_unreadable).collect();
    let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let cure = if ids.len() == seen.request.desktop_ids.len() {
        "Check it in the console"
    } else {
        "To delete the other desktops now, delete this request and create one without it"
    };
    let message = format!(
        "the cloud returns an error for desktop {}, so nothing is submitted; retrying. {cure} ({})",
        names.join(", "),
        words(error)
    );
    let reason = match read_failure.class {
        Class::InDoubt => Reason::ServiceUnavailable,
        _ => Reason::RequestRefused,
    };
    let build = if in_a_row >= Some(FAILED_READS_LIMIT) {
        Progress::stalled
    } else {
        Progress::retrying
    };
    Some(build(reason, message, Requeue::Backoff).with_error(error.clone()))
}

/// What the conditions say while clocks differ by more than is allowed.
pub fn clock_skew(skew: ClockSkew) -> Progress {
    Progress::stalled(Reason::ClockSkew, skew.sentence(), Requeue::Refresh)
}

/// The last attempt, if the cloud refused it or it was not sent.
fn refused(seen: &Observed) -> Option<(&Attempt, &CloudError)> {
    let last = seen.request.status.attempts.last()?;
    let refused = matches!(last.outcome, Outcome::Rejected | Outcome::NotSent);
    last.error.as_ref().filter(|_| refused).map(|error| (last, error))
}

/// The wait after a refusal.
pub fn refusal(outcome: Outcome, error: &CloudError) -> Progress {
    let class = Class::named(&error.class).unwrap_or(Class::InDoubt);
    let treatment = class.treatment();
    // A request that is refused as it stands is looked at once more before that is final.
    let person = treatment.person && class != Class::InvalidRequest && outcome == Outcome::Rejected;
    let build = if person {
        Progress::stalled
    } else {
        Progress::retrying
    };
    build(treatment.reason, said(error), Requeue::Retry).with_error(error.clone())
}

/// Several answers in a row were lost, and a further submission may only leave another request in doubt.
fn circuit_open() -> Progress {
    let message = "the cloud did not answer the last 3 delete requests of these credentials: new ones are held until a read succeeds, then sent one at a time until one is answered. If this persists, check the network path to the cloud";
    Progress::retrying(Reason::ServiceUnavailable, message.to_owned(), Requeue::Refresh)
}

fn said(error: &CloudError) -> String {
    let class = Class::named(&error.class).unwrap_or(Class::InDoubt);
    explain(operation_of(error), class, &words(error))
}

fn operation_of(error: &CloudError) -> Operation {
    Operation::named(&error.operation).unwrap_or(Operation::BatchDelete)
}

/// What the cloud answered to which call.
fn words(error: &CloudError) -> String {
    let operation = operation_of(error);
    let mut words = match (error.http_status, &error.code) {
        (Some(status), Some(code)) => format!("{operation}: HTTP {status} {code}"),
        (Some(status), None) => format!("{operation}: HTTP {status}"),
        _ => operation.to_string(),
    };
    if let Some(message) = &error.message {
        words.push_str(": ");
        words.push_str(message);
    }
    words
}

/// The desktops of a request, sorted by what a read said of each.
struct Sorted {
    present: Vec<DesktopID>,
    absent: Vec<DesktopID>,
    being_deleted: Vec<DesktopID>,
    failed_before: Vec<DesktopID>,
}

/// Looks at every desktop, or names the read that is missing. What must be read one by one comes first: what a list shows
/// grows old meanwhile.
#[allow(clippy::result_large_err)] // the error is the next step
fn sight(seen: &Observed) -> Result<Sorted, Step> {
    let ids = &seen.request.desktop_ids;
    let unconfirmed: Vec<_> = ids.iter().filter(|id| needs_single_read(seen, id)).collect();
    let tired = seen.failed_reads().count() >= UNREADABLE_LIMIT;
    if let Some(id) = unconfirmed.first().filter(|_| !tired) {
        let hold = checking(ids.len() - unconfirmed.len(), ids.len());
        let long = unconfirmed.len() >= MANY || says(seen, Reason::CheckingDesktops);
        return Err(
            if long && seen.facts.progress_due && would_change(&seen.request, &hold) {
                Step::RecordProgress(hold)
            } else {
                Step::ReadDesktop((*id).clone())
            },
        );
    }
    if let Some(hold) = unreadable(seen) {
        return Err(Step::Wait(hold));
    }
    let unread: Vec<_> = ids
        .iter()
        .filter(|id| !seen.desktops.contains_key(&id.folded()))
        .cloned()
        .collect();
    if !unread.is_empty() {
        return Err(Step::ReadDesktops(unread));
    }
    let mut sorted = Sorted {
        present: vec![],
        absent: vec![],
        being_deleted: vec![],
        failed_before: vec![],
    };
    for id in ids {
        match seen.desktops[&id.folded()].sight {
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
    Ok(sorted)
}

/// Whether only a GET of its own says what is to be known of a desktop. After the cloud said that something does not exist no
/// list does: it may lag, and show for a while what is gone.
fn needs_single_read(seen: &Observed, id: &DesktopID) -> bool {
    let read = seen.single_reads.get(&id.folded());
    match seen.desktops.get(&id.folded()).map(|sighting| sighting.sight) {
        Some(DesktopView::Gone) => false,
        Some(sight) if sight.needs_lookup() => !matches!(read, Some(SingleRead::Failed { .. })),
        _ => read.is_none() && seen.request.status.attempts.last().is_some_and(was_not_found),
    }
}

/// What the conditions say while many desktops are read one by one.
fn checking(checked: usize, all: usize) -> Progress {
    let message = format!("{checked} of {all} desktops checked: the others are read one by one");
    Progress::moving(Reason::CheckingDesktops, message, Requeue::Tick)
}

fn submit(seen: &Observed, sorted: Sorted) -> Step {
    if let Some(step) = late_effect(seen) {
        return step;
    }
    if sorted.present.is_empty() && sorted.being_deleted.is_empty() {
        return end(seen, nothing_left(seen, &sorted.absent));
    }
    let Some(sweep) = &seen.sweep else {
        return Step::ReadSubJobs;
    };
    let unclear = || sorted.present.iter().flat_map(|id| sweep.unclear_jobs_of(id));
    if let Some(job) = unclear().find(|job| !seen.jobs.contains_key(job)) {
        return Step::ReadJob(job.clone());
    }
    let open = sorted
        .present
        .iter()
        .filter(|id| sweep.open_job_of(id).is_some() || may_be_deleting(seen, sweep, id));
    let foreign: Vec<_> = sorted.being_deleted.iter().chain(open).collect();
    if !foreign.is_empty() {
        return Step::Wait(deletion_in_progress(&foreign));
    }
    if let Some(ending) = refused_for_good(seen, &sorted.present) {
        return end(seen, ending);
    }
    ready(seen).unwrap_or_else(|| Step::Sign(batch(sweep, sorted)))
}

/// A job says something of the desktop that is not documented. It is no deletion that runs if the job has ended, or if it
/// takes too long, and the desktop is idle in two reads a settle time apart.
fn may_be_deleting(seen: &Observed, sweep: &Sweep, id: &DesktopID) -> bool {
    let idle = seen.desktops.get(&id.folded()).is_some_and(|s| s.idle_twice);
    let over =
        |job: &JobID| seen.facts.known_for_long || seen.jobs.get(job).is_some_and(|view| view.finished);
    sweep.unclear_jobs_of(id).any(|job| !(idle && over(job)))
}

/// Of earlier submissions that seemed to have had no effect, one may show only now: then its job is ours.
fn late_effect(seen: &Observed) -> Option<Step> {
    let mut earlier = seen
        .request
        .status
        .attempts
        .iter()
        .filter(|a| a.outcome == Outcome::NoEffect)
        .peekable();
    if earlier.peek().is_some() && seen.sweep.is_none() {
        return Some(Step::ReadSubJobs);
    }
    earlier.find_map(|attempt| recovery::late(seen, attempt))
}

fn deletion_in_progress(foreign: &[&DesktopID]) -> Progress {
    let message = format!(
        "another client is deleting {} of this request ({}); waiting until they are gone or idle again",
        desktops(foreign.len()),
        name_some(foreign.iter().copied())
    );
    Progress::retrying(Reason::DeletionInProgress, message, Requeue::Tick)
}

/// What is still to be done before signing.
fn ready(seen: &Observed) -> Option<Step> {
    if seen.facts.circuit != Circuit::Closed {
        return Some(Step::Wait(circuit_open()));
    }
    if let Some(skew) = seen.facts.clock_skew {
        return Some(Step::Wait(clock_skew(skew)));
    }
    if !seen.request.finalizer {
        return Some(finalizer::added(seen));
    }
    if !seen.last_look {
        return Some(Step::ReadProject);
    }
    seen.facts.stopping.then_some(Step::Done)
}

fn batch(sweep: &Sweep, sorted: Sorted) -> Batch {
    let baseline = sweep.jobs_naming(&sorted.present);
    Batch {
        baseline_incomplete: !sweep.complete || baseline.len() > BASELINE_JOBS,
        baseline_job_ids: baseline.into_iter().take(BASELINE_JOBS).collect(),
        baseline_failed_ids: sorted.failed_before,
        desktop_ids: sorted.present,
    }
}

/// Ends a request of which nothing was submitted. The finalizer goes first: after the last write no event comes.
pub fn end(seen: &Observed, ending: Ending) -> Step {
    if seen.request.finalizer {
        Step::DropFinalizer
    } else {
        Step::Finish(ending)
    }
}

fn expired(seen: &Observed) -> Ending {
    let mut message = "the deadline passed before the request was submitted; nothing was sent that had an effect: create a new request if the desktops are still to be deleted".to_owned();
    if let Some(obstacle) = last_obstacle(seen) {
        message.push_str(LAST_OBSTACLE);
        message.push_str(&obstacle);
    }
    Ending {
        verdict: Reason::Expired,
        submitted: Reason::Expired,
        message,
        project: None,
        desktops: vec![],
        error: last_error(seen).cloned(),
        answers: None,
    }
}

/// What the message of a request that has expired says before the last obstacle.
const LAST_OBSTACLE: &str = "; the last obstacle was: ";

/// The last error of the cloud that kept the request from being submitted.
fn last_error(seen: &Observed) -> Option<&CloudError> {
    let refused = || refused(seen).map(|(_, error)| error);
    seen.request.status.last_error.as_ref().or_else(refused)
}

/// The conditions give this reason for why nothing is submitted.
fn says(seen: &Observed, reason: Reason) -> bool {
    let conditions = &seen.request.status.conditions;
    let kind = ConditionType::Submitted.as_str();
    conditions
        .iter()
        .any(|c| c.type_ == kind && c.reason == reason.as_str())
}

/// What kept the request from being submitted until its deadline, as the conditions said it.
fn last_obstacle(seen: &Observed) -> Option<String> {
    let conditions = &seen.request.status.conditions;
    let submitted = conditions.iter().find(|c| {
        c.type_ == ConditionType::Submitted.as_str() && c.status == ConditionStatus::False.as_str()
    });
    let Some(submitted) = submitted else {
        return last_error(seen).map(said);
    };
    let message = finalizer::unmentioned(&submitted.message);
    match message.strip_prefix(UNCLEAR) {
        None => Some(message.to_owned()),
        Some(rest) => rest.strip_prefix(LAST_OBSTACLE).map(ToOwned::to_owned),
    }
}

fn without_effect(seen: &Observed) -> usize {
    seen.request
        .status
        .attempts
        .iter()
        .filter(|a| a.outcome == Outcome::NoEffect)
        .count()
}

fn no_effect() -> Ending {
    let message = format!(
        "{NO_EFFECT_LIMIT} submissions had no effect: each was sent, its answer was lost, and the desktops stayed unchanged; check the network path between the operator and the cloud, then create a new request"
    );
    Ending {
        verdict: Reason::NoEffect,
        submitted: Reason::NoEffect,
        message,
        project: None,
        desktops: vec![],
        error: None,
        answers: None,
    }
}

fn nothing_left(seen: &Observed, absent: &[DesktopID]) -> Ending {
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
    message.push_str(&no_ids(absent));
    Ending {
        verdict: Reason::AlreadyAbsent,
        submitted: Reason::NothingToDelete,
        message,
        project,
        desktops: absent
            .iter()
            .map(|id| desktop(id, DesktopState::Absent))
            .collect(),
        error: None,
        answers: None,
    }
}

/// A hint about absent desktops whose IDs do not look like those of the service.
pub fn no_ids<'a>(absent: impl IntoIterator<Item = &'a DesktopID>) -> String {
    let odd: Vec<_> = absent.into_iter().filter(|id| !looks_like_an_id(id)).collect();
    if odd.is_empty() {
        return String::new();
    }
    format!(
        "; {} does not look like a desktop ID of the service: spec.desktopIDs takes IDs, not computer names",
        name_some(odd)
    )
}

/// The service's IDs are UUIDs (vendor's API reference).
fn looks_like_an_id(id: &DesktopID) -> bool {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<_> = id.as_str().split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| digits(part))
}

/// A refusal that another look at the desktops did not change.
fn refused_for_good(seen: &Observed, body: &[DesktopID]) -> Option<Ending> {
    let (attempt, error) = refused(seen).filter(|(a, _)| a.outcome == Outcome::Rejected)?;
    let final_class = match Class::named(&error.class)? {
        Class::InvalidRequest => true,
        Class::NotFound => not_found_alike(&seen.request.status, body) >= NOT_FOUND_LIMIT,
        _ => false,
    };
    if !final_class || attempt.desktop_ids != body {
        return None;
    }
    let class = Class::named(&error.class)?;
    Some(Ending {
        verdict: Reason::Rejected,
        submitted: class.treatment().reason,
        message: said(error),
        project: None,
        desktops: body
            .iter()
            .map(|id| {
                let mut failed = desktop(id, DesktopState::Failed);
                failed.code.clone_from(&error.code);
                failed
            })
            .collect(),
        error: Some(error.clone()),
        answers: None,
    })
}
