//! What every status must satisfy: the invariants of the protocol, the other rules of the CRD, which the API server
//! would refuse a write for, and those of the conditions, which it does not check.

use desktop_deletion_operator::crd::deletion::{
    Attempt, DesktopDeletionStatus, DesktopState, Outcome, Summary,
};
use desktop_deletion_operator::crd::limits;
use desktop_deletion_operator::ids::DesktopID;
use desktop_deletion_operator::plan::observed::Request;
use desktop_deletion_operator::plan::status;
use desktop_deletion_operator::plan::step::Step;
use invariants::history::{Object, Status};
use invariants::reading::Frozen;
use invariants::{
    Violation, at_most_once, attempts_stay, intent_for_the_live_object, only_what_was_admitted,
    terminal_is_final,
};
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
) -> Option<Result<DesktopDeletionStatus, status::IllegalTransition>> {
    match step {
        Step::RecordIntent(intent) => Some(status::record_intent(request, intent, now)),
        Step::RecordOutcome(outcome_update) => Some(status::record_outcome(request, outcome_update, now)),
        Step::RefuseResolve(refusal) => Some(Ok(status::refuse_resolve(request, refusal))),
        Step::RecordProgress(progress) | Step::RecordApproval(progress) => {
            Some(Ok(status::with_progress(request, progress, now)))
        }
        Step::Finish(ending) => Some(Ok(status::finish(request, ending, now))),
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

/// The same without the conditions, which depend on their input.
pub(crate) fn transition(old: &Request, new: &DesktopDeletionStatus) -> Vec<String> {
    let mut wrong = Wrong(invariants(old, new));
    let before = &old.status;
    wrong.unless(
        kept(before.start_time.as_ref(), new.start_time.as_ref()),
        "startTime changed",
    );
    wrong.unless(new.refused_attempts >= before.refused_attempts, "refusals shrank");
    let known = |attempt: &Attempt| before.attempts.iter().any(|a| a.id == attempt.id);
    wrong.unless(
        new.attempts
            .iter()
            .all(|a| known(a) || a.outcome == Outcome::Pending),
        "a new attempt is not Pending",
    );
    let listed = |id: &DesktopID| new.desktops.iter().any(|d| d.id == *id);
    wrong.unless(
        before.desktops.iter().all(|d| listed(&d.id)),
        "a desktop vanished",
    );
    wrong.0.extend(stands(old, new));
    wrong.0
}

/// The invariants of a write.
fn invariants(old: &Request, new: &DesktopDeletionStatus) -> Vec<String> {
    let (before, after) = (object(old, &old.status), object(old, new));
    let attempts = (&before.status.attempts, &after.status.attempts);
    let admitted = texts(&old.desktop_ids);
    let begun = attempts
        .1
        .iter()
        .filter(|a| before.status.attempt(&a.id).is_none());
    let mut broken = terminal_is_final::change(&before.status, &after.status);
    broken.extend(attempts_stay::change(attempts.0, attempts.1));
    broken.extend(at_most_once::change(attempts.0, attempts.1));
    broken.extend(intent_for_the_live_object::change(&before, &after));
    broken.extend(begun.filter_map(|new| only_what_was_admitted::body(&new.desktops, &admitted)));
    broken.iter().map(ToString::to_string).collect()
}

/// A request with that status, as the invariants see it.
pub(crate) fn object(request: &Request, status: &DesktopDeletionStatus) -> Object {
    let status = serde_json::to_value(status).unwrap();
    Object {
        deleting: request.deleting,
        suspended: request.suspend,
        approved_plan: request.approved_plan.clone(),
        spec: format!("generation {}", request.generation),
        // A job that is learned after the end is kept: what is final is what the end says.
        status: Status::read(&status, Frozen::Verdict),
    }
}

/// The ids as texts.
pub(crate) fn texts(ids: &[DesktopID]) -> Vec<String> {
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

/// What is broken, as an error.
pub(crate) fn holds(broken: impl IntoIterator<Item = Violation>) -> Result<(), String> {
    let broken = broken.into_iter().next();
    broken.map_or(Ok(()), |what| Err(what.to_string()))
}

/// What is wrong with that status of the request, regardless of the status before.
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
        let length = desktop.name.as_ref().map_or(0, |text| text.chars().count());
        wrong.unless(
            length <= count(limits::DESKTOP_NAME),
            "the name of a desktop is too long",
        );
        wrong.unless(
            match desktop.state {
                DesktopState::Failed | DesktopState::Blocked => {
                    desktop.code.is_some() || desktop.message.is_some()
                }
                // It may say why it is not known.
                DesktopState::Unknown => desktop.code.is_none(),
                _ => desktop.code.is_none() && desktop.message.is_none(),
            },
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
            of(DesktopState::Pending) + of(DesktopState::Blocked)
        },
        unknown: of(DesktopState::Unknown),
    }
}

/// The condition of that type.
pub(crate) fn condition<'a>(status: &'a DesktopDeletionStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == kind)
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
