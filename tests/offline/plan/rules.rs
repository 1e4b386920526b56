//! What every status must satisfy. The rules of the CRD, which the API server would refuse a write for, and those of
//! the conditions, which it does not check.

use desktop_deletion_operator::crd::deletion::{
    Attempt, DesktopDeletionStatus, DesktopState, Outcome, Summary,
};
use desktop_deletion_operator::crd::limits;
use desktop_deletion_operator::plan::observed::Request;
use desktop_deletion_operator::plan::{Step, record};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

mod conditions;

pub(crate) use conditions::conditions;

/// The status that a step writes, if it is one that writes.
///
/// # Panics
/// The step is no legal move.
pub(crate) fn written(request: &Request, step: &Step, now: &Time) -> Option<DesktopDeletionStatus> {
    write(request, step, now).map(Result::unwrap)
}

fn write(
    request: &Request,
    step: &Step,
    now: &Time,
) -> Option<Result<DesktopDeletionStatus, record::IllegalMove>> {
    match step {
        Step::RecordIntent(intent) => Some(record::intend(request, intent, now)),
        Step::RecordOutcome(settlement) => Some(record::settle(request, settlement, now)),
        Step::RefuseResolve(refusal) => Some(Ok(record::refuse_resolve(request, refusal))),
        Step::RecordProgress(hold) => Some(Ok(record::progress(request, hold, now))),
        Step::Finish(ending) => Some(Ok(record::finish(request, ending, now))),
        _ => None,
    }
}

/// What is wrong with the status that a step writes, if it is one that writes.
pub(crate) fn wrongs(request: &Request, step: &Step, now: &Time) -> Vec<String> {
    let status = match write(request, step, now) {
        None => return vec![],
        Some(Err(illegal)) => return vec![illegal.to_string()],
        Some(Ok(status)) => status,
    };
    if let Step::RefuseResolve(_) = step {
        let same = DesktopDeletionStatus {
            last_handled_resolve: request.status.last_handled_resolve.clone(),
            ..status
        };
        let mut wrong = Wrong::default();
        wrong.unless(same == request.status, "a refusal changes more than it answers");
        return wrong.0;
    }
    moves(request, &status)
}

/// What is wrong with replacing the status of `old` by `new`.
pub(crate) fn moves(old: &Request, new: &DesktopDeletionStatus) -> Vec<String> {
    let mut wrong = transition(old, new);
    wrong.extend(conditions(old, new));
    wrong
}

/// The same without the conditions, which are only as good as what they were told.
pub(crate) fn transition(old: &Request, new: &DesktopDeletionStatus) -> Vec<String> {
    let before = &old.status;
    let mut wrong = Wrong::default();
    wrong.unless(
        kept(before.project.as_ref(), new.project.as_ref()),
        "project changed",
    );
    wrong.unless(kept(before.job_id.as_ref(), new.job_id.as_ref()), "jobID changed");
    wrong.unless(
        kept(before.completion_time.as_ref(), new.completion_time.as_ref()),
        "completionTime changed",
    );
    wrong.unless(
        kept(before.start_time.as_ref(), new.start_time.as_ref()),
        "startTime changed",
    );
    wrong.unless(new.refused_attempts >= before.refused_attempts, "refusals shrank");
    let decided = condition(before, "Succeeded").filter(|c| c.status != "Unknown");
    if let Some(old) = decided {
        let same = |new: &Condition| (&new.status, &new.reason) == (&old.status, &old.reason);
        wrong.unless(condition(new, "Succeeded").is_some_and(same), "Succeeded changed");
    }
    for attempt in &before.attempts {
        match new.attempts.iter().find(|a| a.id == attempt.id) {
            Some(after) => attempt_moves(attempt, after, &mut wrong),
            None => wrong.unless(
                refused(attempt.outcome),
                "I8: an attempt that may have reached the cloud was removed",
            ),
        }
    }
    for attempt in &new.attempts {
        if before.attempts.iter().all(|a| a.id != attempt.id) {
            begins(old, new, attempt, &mut wrong);
        }
    }
    for desktop in &before.desktops {
        let after = new.desktops.iter().find(|d| d.id == desktop.id);
        wrong.unless(after.is_some(), "a desktop vanished");
        wrong.unless(
            desktop.state != DesktopState::Deleted || after.is_none_or(|d| d.state == DesktopState::Deleted),
            "Deleted did not stay Deleted",
        );
    }
    wrong.0.extend(stands(old, new));
    wrong.0
}

/// A new attempt.
fn begins(old: &Request, new: &DesktopDeletionStatus, attempt: &Attempt, wrong: &mut Wrong) {
    wrong.unless(
        attempt.outcome == Outcome::Pending,
        "a new attempt is not Pending",
    );
    let settled = |a: &Attempt| refused(a.outcome) || (a.outcome == Outcome::NoEffect && !a.took_effect());
    wrong.unless(
        new.attempts.iter().all(|a| a.id == attempt.id || settled(a)),
        "I2: a new attempt though an earlier one may have had effect",
    );
    wrong.unless(
        attempt.desktop_ids.iter().all(|id| old.desktop_ids.contains(id)),
        "I1: an attempt names a desktop that the request does not",
    );
    wrong.unless(
        !old.deleting && !old.suspend,
        "I6: an intent for a deleted or suspended object",
    );
}

fn attempt_moves(old: &Attempt, new: &Attempt, wrong: &mut Wrong) {
    let later = Attempt {
        outcome: old.outcome,
        job_ids: old.job_ids.clone(),
        error: old.error.clone(),
        ..new.clone()
    };
    wrong.unless(later == *old, "the facts of an attempt changed");
    wrong.unless(
        old.outcome == Outcome::Pending || new.outcome == old.outcome,
        "an outcome changed after it left Pending",
    );
    wrong.unless(new.job_ids.starts_with(&old.job_ids), "jobIDs did not only grow");
}

/// What is wrong with that status of the request, whatever it was before.
fn stands(request: &Request, status: &DesktopDeletionStatus) -> Vec<String> {
    let mut wrong = Wrong::default();
    let count = |bound: u32| bound as usize;
    let pending = status.attempts.iter().filter(|a| a.outcome == Outcome::Pending);
    wrong.unless(pending.count() <= 1, "two attempts are Pending");
    wrong.unless(
        status.attempts.len() <= count(limits::ATTEMPTS),
        "too many attempts",
    );
    for attempt in &status.attempts {
        wrong.unless(
            attempt.job_ids.len() <= count(limits::JOBS_PER_ATTEMPT),
            "too many jobs of an attempt",
        );
        wrong.unless(
            attempt.baseline_job_ids.len() <= count(limits::BASELINE_JOBS),
            "too many jobs in a baseline",
        );
    }
    let listed: Vec<_> = status.desktops.iter().map(|d| &d.id).collect();
    wrong.unless(
        listed.is_empty() || listed == request.desktop_ids.iter().collect::<Vec<_>>(),
        "the desktops are not those of the request",
    );
    for desktop in &status.desktops {
        let length = desktop.message.as_ref().map_or(0, |text| text.chars().count());
        wrong.unless(
            length <= count(limits::DESKTOP_MESSAGE),
            "the message of a desktop is too long",
        );
        wrong.unless(
            (desktop.state == DesktopState::Failed) == (desktop.code.is_some() || desktop.message.is_some()),
            "a desktop that failed does not say why, or another does",
        );
    }
    wrong.unless(
        status.summary == Some(summary(request, status)),
        "the summary does not add up",
    );
    wrong.0
}

fn summary(request: &Request, status: &DesktopDeletionStatus) -> Summary {
    let of = |state| {
        let count = status.desktops.iter().filter(|d| d.state == state).count();
        i32::try_from(count).unwrap()
    };
    let total = i32::try_from(request.desktop_ids.len()).unwrap();
    Summary {
        total,
        absent: of(DesktopState::Absent),
        deleted: of(DesktopState::Deleted),
        deleting: of(DesktopState::Deleting),
        failed: of(DesktopState::Failed),
        pending: if status.desktops.is_empty() {
            total
        } else {
            of(DesktopState::Pending)
        },
        unknown: of(DesktopState::Unknown),
    }
}

/// The condition of that type.
pub(crate) fn condition<'a>(status: &'a DesktopDeletionStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == kind)
}

fn refused(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Rejected | Outcome::NotSent)
}

/// Write-once.
fn kept<T: PartialEq>(old: Option<&T>, new: Option<&T>) -> bool {
    old.is_none() || old == new
}

#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.say(otherwise);
        }
    }

    fn say(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }
}
