//! Layer 6, phases: sign, store the intent, send once, record.
//!
//! From the signature to the record of the outcome. Safety depends on the order: the request is signed before the
//! intent is stored, so that the gateway rejects a request that is sent late; the intent is stored before the request
//! is sent, so that no request is ever unknown.

use super::attempts::unsettled;
use super::messages::desktops;
use super::observed::{Deadline, NotBefore, Observed, PostResult, Submission, Window};
use super::progress::{Progress, Requeue};
use super::step::{Intent, OutcomeUpdate, Step};
use super::views::SortedDesktops;
use super::{blockers, daily_limit, evidence, preview};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, CloudError, DesktopState, DesktopStatus, Outcome};
use crate::ids::{AttemptID, DesktopID, JobID};
use crate::workspace::error::Operation;

/// The next step of a submission that this process holds in memory; `None` if it holds none.
pub fn next(observed: &Observed) -> Option<Step> {
    match &observed.submission {
        Submission::None => None,
        // The task that sends and records requeues the object when it is done.
        Submission::InProgress => Some(Step::Done),
        Submission::Signed { attempt, fresh } => Some(signed(observed, attempt, *fresh)),
        Submission::Responded { attempt, result } => Some(responded(observed, attempt, result)),
    }
}

fn signed(observed: &Observed, attempt: &Attempt, fresh: bool) -> Step {
    let stored = observed.request.attempt(&attempt.id).map(|stored| stored.outcome);
    match (stored, obstacle(observed, attempt, fresh)) {
        (None, None) if unsettled(&observed.request.status).is_none() => intent(observed, attempt),
        (Some(Outcome::Pending), None) => Step::Post,
        (Some(Outcome::Pending), Some((reason, cause))) => not_sent(attempt, reason, cause),
        _ => Step::StartOver,
    }
}

/// Why the signed request must not be sent, if so, and the reason of the condition for it.
fn obstacle(observed: &Observed, attempt: &Attempt, fresh: bool) -> Option<(Reason, &'static str)> {
    let (request, facts) = (&observed.request, &observed.facts);
    let unreserved = !daily_limit::is_reserved(observed, Some(&attempt.id), attempt.desktop_ids.len());
    let obstacles = [
        (request.deleting, Reason::Queued, "the object is being deleted"),
        (request.suspend, Reason::Suspended, "spec.suspend is true"),
        // Until the call is made, an approval can be given to another plan, or taken back.
        (
            attempt.plan_hash != request.approved_plan,
            Reason::PlanChanged,
            "spec.approvedPlan has changed",
        ),
        (
            facts.start != NotBefore::Reached,
            Reason::Scheduled,
            "spec.notBefore is not reached",
        ),
        (
            facts.window != Window::Open,
            Reason::OutsideWindow,
            "no submission window of the project is open",
        ),
        (
            facts.deadline != Deadline::Ahead,
            Reason::Expired,
            "the deadline has passed",
        ),
        (
            facts.clock_skew.is_some(),
            Reason::ClockSkew,
            "the clocks differ too much",
        ),
        (
            unreserved,
            Reason::DailyLimitReached,
            "its desktops are no longer counted for the daily limit",
        ),
        (
            facts.stopping,
            Reason::Queued,
            "the operator is stopping or has lost leadership",
        ),
        (!fresh, Reason::Queued, "its signature had become too old"),
    ];
    let first = obstacles.into_iter().find(|(applies, ..)| *applies);
    first.map(|(_, reason, cause)| (reason, cause))
}

fn intent(observed: &Observed, attempt: &Attempt) -> Step {
    let Some(project) = observed.project.as_ref().and_then(|p| p.coordinates.clone()) else {
        return Step::StartOver;
    };
    let state = |id: &DesktopID| {
        let state = if attempt.desktop_ids.contains(id) {
            DesktopState::Pending
        } else {
            DesktopState::Absent
        };
        let name = observed
            .desktops
            .get(&id.folded())
            .and_then(|observation| observation.name.clone());
        DesktopStatus {
            name,
            ..DesktopStatus::new(id, state)
        }
    };
    let desktops_now = observed.request.desktop_ids.iter().map(state).collect();
    let (present, absent) = observed
        .request
        .desktop_ids
        .iter()
        .cloned()
        .partition(|id| attempt.desktop_ids.contains(id));
    let sorted = SortedDesktops {
        present,
        absent,
        ..SortedDesktops::default()
    };
    let message = format!("submitting {}", desktops(attempt.desktop_ids.len()));
    let mut progress = Progress::reconciling(Reason::Submitting, message, Requeue::JobChange);
    // The error of an earlier rejection is cleared by the response, not by the next try.
    let refused = |error: &&CloudError| error.operation == Operation::BatchDelete;
    progress.error = observed
        .request
        .status
        .last_error
        .as_ref()
        .filter(refused)
        .cloned();
    let progress = preview::with_plan(observed, &sorted, &[], progress);
    Step::RecordIntent(Intent {
        attempt: attempt.clone(),
        project,
        desktops: desktops_now,
        progress,
    })
}

/// The guard failed between the intent and the request.
fn not_sent(attempt: &Attempt, reason: Reason, cause: &str) -> Step {
    let message = format!("the delete request was signed but not sent, so it had no effect: {cause}");
    let progress = Progress::retrying(reason, message, Requeue::Retry);
    Step::RecordOutcome(OutcomeUpdate::of(attempt, Outcome::NotSent, progress))
}

fn responded(observed: &Observed, id: &AttemptID, result: &PostResult) -> Step {
    let Some(attempt) = observed.request.attempt(id) else {
        return Step::Done;
    };
    // The outcome may already be stored, and only the response to that write was lost. For an attempt that was settled
    // in the meantime, only a job that it does not have yet is new.
    let is_new = match result {
        PostResult::Accepted(job) => !attempt.job_ids.contains(job),
        PostResult::OutcomeUnknown(_) => attempt.outcome == Outcome::Pending && attempt.error.is_none(),
        PostResult::NotSent(_) | PostResult::Rejected(_) => attempt.outcome == Outcome::Pending,
    };
    if !is_new {
        return Step::StartOver;
    }
    let outcome_update = |outcome, jobs: Vec<JobID>, error: Option<&CloudError>, progress| {
        Step::RecordOutcome(OutcomeUpdate {
            job: jobs.first().cloned(),
            jobs,
            error: error.cloned(),
            ..OutcomeUpdate::of(attempt, outcome, progress)
        })
    };
    match result {
        PostResult::Accepted(job) => {
            let deleting = attempt
                .desktop_ids
                .iter()
                .map(|id| DesktopStatus::new(id, DesktopState::Deleting));
            let progress = Progress::job_running(attempt.desktop_ids.len()).with_desktops(deleting.collect());
            outcome_update(Outcome::Accepted, vec![job.clone()], None, progress)
        }
        PostResult::NotSent(error) => {
            let progress = blockers::after_failed_submission(Outcome::NotSent, error);
            outcome_update(Outcome::NotSent, vec![], Some(error), progress)
        }
        PostResult::Rejected(error) => {
            let progress = blockers::after_failed_submission(Outcome::Rejected, error);
            outcome_update(Outcome::Rejected, vec![], Some(error), progress)
        }
        PostResult::OutcomeUnknown(error) => {
            let progress = evidence::in_doubt(attempt).with_error(error.clone());
            outcome_update(Outcome::Pending, vec![], Some(error), progress)
        }
    }
}
