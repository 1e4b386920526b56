//! Layer 6, phases: follow the job until every desktop has a result.
//!
//! The job, and whether the desktops are really gone. `Deleted` needs two sources: the sub-job and a read of
//! the desktop; or one GET that says it is gone. `Failed` needs the desktop idle in two reads a job visibility timeout
//! apart.

use super::blockers::UNREADABLE_LIMIT;
use super::messages::{desktops, hint_not_an_id, name_some};
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use super::step::{Completion, Step};
use super::views::{DesktopObservation, DesktopView, JobView, SubJobResult};
use super::{blockers, evidence, finalizer};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{DesktopDeletionStatus, DesktopState, DesktopStatus};
use crate::crd::limits;
use crate::ids::{DesktopID, JobID, code};
use crate::workspace::error::Operation;

/// The next step of a request whose batch took effect.
pub fn next(observed: &Observed) -> Step {
    let Some(project) = &observed.project else {
        return Step::ReadProject;
    };
    if let Some(progress) = blockers::unusable(observed, project) {
        return Step::Wait(progress);
    }
    if let Some(job) = jobs(&observed.request.status).find(|job| !observed.jobs.contains_key(job)) {
        return Step::ReadJob(job.clone());
    }
    let states: Vec<_> = open(observed)
        .map(|id| (id, desktop_progress(observed, id)))
        .collect();
    // An overdue job that cannot be read does not prevent reads of the desktops, and one desktop does not prevent reads
    // of the others.
    let job_alone = observed.facts.overdue && is_only_about_jobs(observed);
    if let Some(read) =
        missing_read(observed, &states).filter(|_| observed.read_failure.is_none() || job_alone)
    {
        return read;
    }
    let ended: Vec<_> = states
        .iter()
        .filter_map(|(_, desktop_progress)| desktop_progress.ended())
        .cloned()
        .collect();
    if ended.len() == states.len() {
        return finalizer::finish(observed, completion(observed, ended));
    }
    match blockers::read_failure(observed).filter(|_| !job_alone) {
        Some(progress) => Step::Wait(Progress {
            requeue: Requeue::JobChange,
            desktops: ended,
            ..progress
        }),
        None => Step::Wait(wait(observed, &states, ended)),
    }
}

/// Whether only reads of jobs failed, and none of a desktop.
fn is_only_about_jobs(observed: &Observed) -> bool {
    let operation = observed
        .read_failure
        .as_ref()
        .map(|failure| failure.error.operation);
    matches!(operation, Some(Operation::ShowJob | Operation::ListSubJobs))
        && observed.failed_reads().next().is_none()
}

fn jobs(status: &DesktopDeletionStatus) -> impl Iterator<Item = &JobID> {
    status.attempts.iter().flat_map(|attempt| &attempt.job_ids)
}

/// Desktops of the request that have not ended; one that the status does not list has not.
fn open(observed: &Observed) -> impl Iterator<Item = &DesktopID> {
    let listed = &observed.request.status.desktops;
    let has_ended = |id: &DesktopID| listed.iter().any(|d| d.id == *id && d.state.is_final());
    observed
        .request
        .desktop_ids
        .iter()
        .filter(move |id| !has_ended(id))
}

/// The progress of one desktop.
#[derive(Debug, Clone, PartialEq)]
enum DesktopProgress {
    /// Its deletion runs.
    Running,
    /// A list must show whether it still exists.
    Unseen,
    /// A single GET must show whether it is gone.
    Unconfirmed,
    /// The job has ended for it, but its state does not show that yet.
    Verifying,
    /// It is idle, and a second read must confirm that.
    SecondRead,
    /// Decided.
    Ended(DesktopStatus),
}

impl DesktopProgress {
    fn ended(&self) -> Option<&DesktopStatus> {
        if let Self::Ended(status) = self {
            Some(status)
        } else {
            None
        }
    }
}

/// The final result of the job for a desktop.
enum FinalResult<'a> {
    None,
    Success,
    /// Every job of the request has ended, and none names it.
    NotSubmitted,
    Failed {
        code: Option<&'a str>,
        reason: &'a str,
    },
}

fn desktop_progress(observed: &Observed, id: &DesktopID) -> DesktopProgress {
    let observation = observed.desktops.get(&id.folded());
    match (job_result(observed, id), observation.map(|s| s.view)) {
        (FinalResult::None, _) if !observed.facts.overdue => DesktopProgress::Running,
        (_, None) => DesktopProgress::Unseen,
        (_, Some(DesktopView::Gone)) | (FinalResult::Success, Some(DesktopView::Missing)) => {
            DesktopProgress::Ended(DesktopStatus::new(id, DesktopState::Deleted))
        }
        (_, Some(view)) if view.needs_lookup() => DesktopProgress::Unconfirmed,
        // It is overdue, and no read will give more information.
        (FinalResult::None, Some(view)) if view.is_idle() && no_further_information(observed, id) => {
            idle(observation, || undecided(observed, id))
        }
        (FinalResult::None, Some(_)) => DesktopProgress::Running,
        // Right after a success a list may lag, however late the job is.
        (FinalResult::Success, Some(view)) if observed.facts.overdue && view.is_idle() => {
            let text = "the job reports success but the desktop still exists; check it in the console";
            idle(observation, || failed(id, Some(code::STILL_PRESENT), text))
        }
        (FinalResult::Failed { code, reason }, Some(view)) if view.is_idle() => {
            idle(observation, || failed(id, code, reason))
        }
        (FinalResult::NotSubmitted, Some(view)) if view.is_idle() => {
            idle(observation, || evidence::not_submitted(id))
        }
        (_, Some(_)) => DesktopProgress::Verifying,
    }
}

/// It has failed if it is idle for the second time.
fn idle(observation: Option<&DesktopObservation>, failed: impl FnOnce() -> DesktopStatus) -> DesktopProgress {
    if observation.is_some_and(|s| s.idle_twice) {
        DesktopProgress::Ended(failed())
    } else {
        DesktopProgress::SecondRead
    }
}

fn job_result<'a>(observed: &'a Observed, id: &DesktopID) -> FinalResult<'a> {
    let folded = id.folded();
    let views = || jobs(&observed.request.status).filter_map(|job| observed.jobs.get(job));
    let results: Vec<_> = views().filter_map(|view| view.results.get(&folded)).collect();
    if results.contains(&&SubJobResult::Success) {
        return FinalResult::Success;
    }
    // Failed in one job, it may yet be deleted by another.
    if views().any(|view| view.may_still_change(&folded)) {
        return FinalResult::None;
    }
    if let Some((code, reason)) = failure(&results) {
        return FinalResult::Failed { code, reason };
    }
    // Without a job it is not known whether it was submitted at all.
    if is_unknown(observed, id) && views().next().is_none() {
        FinalResult::None
    } else if is_unknown(observed, id) {
        FinalResult::NotSubmitted
    } else {
        FinalResult::Failed {
            code: Some(code::NO_SUB_JOB),
            reason: parent_reason(views()),
        }
    }
}

/// Code and reason of the first failure.
fn failure<'a>(results: &[&'a SubJobResult]) -> Option<(Option<&'a str>, &'a str)> {
    results.iter().find_map(|result| match result {
        SubJobResult::Failed { code, reason } => {
            let reason = reason.as_deref().unwrap_or("the cloud reports no reason");
            Some((code.as_deref(), reason))
        }
        SubJobResult::Other { code } => Some((code.as_deref(), UNDOCUMENTED)),
        SubJobResult::Open | SubJobResult::Success => None,
    })
}

const UNDOCUMENTED: &str =
    "the job reports an undocumented status for the desktop, and the desktop still exists";

/// Whether the status shows that it may not have been submitted.
fn is_unknown(observed: &Observed, id: &DesktopID) -> bool {
    let listed = &observed.request.status.desktops;
    listed
        .iter()
        .any(|d| d.id == *id && d.state == DesktopState::Unknown)
}

/// Whether no further information is expected: no job is known, or each job has ended, has a final result for the
/// desktop, or has an undocumented status for it.
fn no_further_information(observed: &Observed, id: &DesktopID) -> bool {
    let folded = id.folded();
    jobs(&observed.request.status).all(|job| {
        observed.jobs.get(job).is_some_and(|view| {
            let undocumented = matches!(view.results.get(&folded), Some(SubJobResult::Other { .. }));
            view.finished || view.end_unknown || undocumented || !view.may_still_change(&folded)
        })
    })
}

/// The status of a desktop that still exists, if the results of its jobs could not be read completely.
fn undecided(observed: &Observed, id: &DesktopID) -> DesktopStatus {
    let folded = id.folded();
    let views: Vec<_> = jobs(&observed.request.status)
        .filter_map(|job| observed.jobs.get(job))
        .collect();
    let results: Vec<_> = views
        .iter()
        .filter_map(|view| view.results.get(&folded))
        .collect();
    if let Some((code, reason)) = failure(&results) {
        return failed(id, code, reason);
    }
    if results.contains(&&SubJobResult::Open) {
        let text = "the job has ended but reports the deletion of the desktop as running, and the desktop still exists; check it in the console";
        return failed(id, Some(code::STILL_OPEN), text);
    }
    if !views.is_empty() {
        let text = "the job has ended, not all of its sub-jobs could be read, and the desktop still exists; check it in the console";
        return failed(id, Some(code::NO_SUB_JOB), text);
    }
    let text = "the delete request took effect for other desktops; whether it took effect for this one is unknown: check it in the console";
    DesktopStatus::with_message(id, DesktopState::Unknown, None, text)
}

fn parent_reason<'a>(views: impl Iterator<Item = &'a JobView>) -> &'a str {
    let mut views = views.peekable();
    if views.peek().is_none() {
        return "the delete request took effect, but its job is not known, and the desktop still exists; check it in the console";
    }
    views
        .find_map(|view| view.parent_reason.as_deref())
        .unwrap_or("the job ended without a sub-job for this desktop")
}

fn failed(id: &DesktopID, code: Option<&str>, reason: &str) -> DesktopStatus {
    let cut = |text: &str, most: u32| text.chars().take(most as usize).collect::<String>();
    let code = code.map(|code| cut(code, limits::ERROR_CODE));
    let reason = cut(reason, limits::DESKTOP_MESSAGE);
    DesktopStatus::with_message(id, DesktopState::Failed, code.as_deref(), &reason)
}

/// The next read of a desktop. A desktop whose GET failed is not read again in this reconciliation. After several
/// failures, the service is considered to be the cause.
fn missing_read(observed: &Observed, states: &[(&DesktopID, DesktopProgress)]) -> Option<Step> {
    let unseen: Vec<_> = of(states, DesktopProgress::Unseen).cloned().collect();
    if !unseen.is_empty() {
        return Some(Step::ReadDesktops(unseen));
    }
    if observed.failed_reads().count() >= UNREADABLE_LIMIT {
        return None;
    }
    let failed = |id: &DesktopID| observed.failed_reads().any(|(failed, ..)| *failed == id.folded());
    let unread = of(states, DesktopProgress::Unconfirmed).find(|id| !failed(id));
    unread.cloned().map(Step::ReadDesktop)
}

/// The desktops in the state `wanted`.
fn of<'a>(
    states: &'a [(&'a DesktopID, DesktopProgress)],
    wanted: DesktopProgress,
) -> impl Iterator<Item = &'a DesktopID> {
    states
        .iter()
        .filter(move |(_, desktop_progress)| *desktop_progress == wanted)
        .map(|(id, _)| *id)
}

fn wait(
    observed: &Observed,
    states: &[(&DesktopID, DesktopProgress)],
    ended: Vec<DesktopStatus>,
) -> Progress {
    let running = of(states, DesktopProgress::Running).count();
    let second = of(states, DesktopProgress::SecondRead).count();
    let progress = if observed.facts.overdue {
        let late: Vec<_> = states
            .iter()
            .filter(|(_, desktop_progress)| desktop_progress.ended().is_none())
            .map(|(id, _)| *id)
            .collect();
        let mut message = format!(
            "the deletion is taking longer than expected; {} not finished ({}). Check the desktops and their job in \
             the console; the operator continues to follow them",
            desktops(late.len()),
            name_some(late)
        );
        let read_failure = blockers::read_failure(observed);
        if let Some(read_failure) = &read_failure {
            message.push_str("; the job cannot be read: ");
            message.push_str(&read_failure.message);
        }
        Progress {
            error: read_failure.and_then(|read_failure| read_failure.error),
            ..Progress::stalled(Reason::JobOverdue, message, Requeue::JobChange)
        }
    } else if running > 0 {
        Progress::job_running(running)
    } else {
        let left = desktops(states.len() - ended.len());
        let message = format!("the job has ended; verifying the state of {left}");
        let requeue = if second > 0 {
            Requeue::SecondRead
        } else {
            Requeue::PollInterval
        };
        Progress::reconciling(Reason::Verifying, message, requeue)
    };
    progress.with_desktops(ended)
}

fn completion(observed: &Observed, ended: Vec<DesktopStatus>) -> Completion {
    let decided = |id: &DesktopID| {
        let known = ended.iter().chain(&observed.request.status.desktops);
        known.into_iter().find(|d| d.id == *id)
    };
    let all: Vec<_> = observed.request.desktop_ids.iter().filter_map(decided).collect();
    let of = |state: DesktopState| all.iter().filter(|d| d.state == state).collect::<Vec<_>>();
    let (deleted, absent) = (of(DesktopState::Deleted).len(), of(DesktopState::Absent));
    let (failed, unknown) = (of(DesktopState::Failed), of(DesktopState::Unknown));
    let reason = match (failed.len() + unknown.len(), deleted) {
        (0, _) => Reason::AllDeleted,
        (_, 0) => Reason::AllFailed,
        _ => Reason::PartiallyFailed,
    };
    let mut parts = vec![format!("{} deleted", desktops(deleted))];
    if !absent.is_empty() {
        parts.push(format!("{} already absent", absent.len()));
    }
    if let Some(first) = failed.first() {
        let why = first.message.as_deref().unwrap_or("no reason given");
        let names = name_some(failed.iter().map(|d| &d.id));
        let of_first = if failed.iter().all(|d| d.message == first.message) {
            ""
        } else {
            ", the first one"
        };
        parts.push(format!("{} failed ({names}){of_first}: {why}", failed.len()));
    }
    if !unknown.is_empty() {
        let names = name_some(unknown.iter().map(|d| &d.id));
        parts.push(format!(
            "{} unknown ({names}); check them in the console",
            unknown.len()
        ));
    }
    let message = parts.join(", ") + &hint_not_an_id(absent.iter().map(|d| &d.id));
    Completion {
        desktops: ended,
        ..Completion::new(reason, message)
    }
}
