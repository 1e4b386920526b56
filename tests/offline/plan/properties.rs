//! Any situation that the status can be in, with anything read and anything remembered.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::Outcome;
use desktop_deletion_operator::ids::DesktopID;
use desktop_deletion_operator::plan::observed::{
    Deadline, NotBefore, Observed, SendPermit, SingleRead, Submission, Window,
};
use desktop_deletion_operator::plan::step::{Batch, Step};
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::plan::{guardrails, plan, status};
use invariants::{
    at_most_once, intent_first, intent_for_the_live_object, one_request_per_desktop, only_what_was_admitted,
    terminal_is_final, writes_change,
};
use proptest::prelude::*;

use super::arbitrary::{has_room, is_reserved, may_go, situations};
use super::build::{cases, ending, minute};
use super::rules;
use super::tell::describe;

/// Now is between the earliest time of the submission and its deadline, by clocks that agree.
fn is_timely(seen: &Observed) -> bool {
    let facts = &seen.facts;
    let open = facts.window == Window::Open;
    facts.start == NotBefore::Reached
        && open
        && facts.deadline == Deadline::Ahead
        && facts.clock_skew.is_none()
}

/// What is wrong with signing that, by the approval and the guardrails.
fn unpermitted(seen: &Observed, batch: &Batch) -> Option<&'static str> {
    if !may_go(seen, &batch.desktop_ids, batch.plan_hash.as_ref()) {
        return Some("signed what was not approved");
    }
    let is_free = |id: &DesktopID| guardrails::violation(seen, id).is_none();
    let free = guardrails::violated(seen).is_none() && batch.desktop_ids.iter().all(is_free);
    (!free).then_some("signed what the guardrails do not permit")
}

/// What a step must not do in that situation, by the invariants.
pub(crate) fn violations(seen: &Observed, step: &Step) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{what}: {}", describe(step)));
        }
    };
    let request = &seen.request;
    let admitted = rules::texts(&request.desktop_ids);
    let body = |ids: &[DesktopID]| only_what_was_admitted::body(&rules::texts(ids), &admitted);
    let begin = || {
        let known = rules::object(request, &request.status);
        at_most_once::may_begin(&known.status.attempts, "that is to come")
    };
    if matches!(step, Step::Sign(_) | Step::RecordIntent(_) | Step::Post) {
        broken.extend(intent_for_the_live_object::live(
            request.deleting,
            request.suspend,
            "",
        ));
        must(
            !seen.facts.stopping && is_timely(seen),
            "something is sent by a process that stops, before its time, after the deadline or while clocks differ too much",
        );
    }
    let held = seen.permit == SendPermit::Held;
    let may_hold = matches!(step, Step::ReleasePermit) || step.keeps_permit();
    must(!held || may_hold, "others are kept from sending");
    let leaves_it = matches!(step, Step::DropFinalizer | Step::Done);
    let finished = request.status.completion_time.is_some();
    broken.extend(terminal_is_final::write(finished && !leaves_it, ""));
    match step {
        Step::Sign(batch) => {
            broken.extend(body(&batch.desktop_ids));
            broken.extend(begin());
            must(
                request.finalizer && seen.project_is_fresh,
                "signed without finalizer or last check",
            );
            must(held, "signed without a permit to send");
            let reserved = is_reserved(seen, seen.reserved.as_ref(), batch.desktop_ids.len());
            must(reserved, "signed without a reservation");
            let unpermitted = unpermitted(seen, batch);
            must(unpermitted.is_none(), unpermitted.unwrap_or_default());
        }
        Step::ReserveDesktops(count) => {
            let ready = request.finalizer && seen.project_is_fresh && held;
            must(ready, "reserved without finalizer, last check or permit");
            must(has_room(seen, *count), "more is reserved than there is room for");
        }
        Step::RecordIntent(intent) => {
            let attempt = &intent.attempt;
            let reserved = is_reserved(seen, Some(&attempt.id), attempt.desktop_ids.len());
            must(reserved, "an intent without a reservation");
            broken.extend(body(&intent.attempt.desktop_ids));
            broken.extend(begin());
        }
        Step::Post => {
            let stored = |id| request.attempt(id).is_some_and(|a| a.outcome == Outcome::Pending);
            let armed = matches!(&seen.submission, Submission::Signed { attempt, fresh: true } if stored(&attempt.id));
            broken.extend(intent_first::sent(armed, String::new));
        }
        Step::RecordOutcome(outcome_update) => {
            let open = request.pending().is_some_and(|a| a.id == outcome_update.attempt);
            let guessed = open && matches!(outcome_update.outcome, Outcome::Adopted | Outcome::NoEffect);
            // A person who adopts a job knows that the request arrived.
            let told = outcome_update.handled_annotation.is_some();
            let arrived = told && outcome_update.outcome == Outcome::Adopted;
            let may_settle = !guessed || arrived || seen.facts.call_expired;
            broken.extend(at_most_once::settled(may_settle, outcome_update.attempt.as_str()));
            let twice = seen.earlier_evidence.is_some() || request.deleting;
            must(!guessed || told || twice, "settled by one evidence check");
        }
        Step::Finish(_) => {
            must(!request.finalizer, "finished with the finalizer on");
            let open = request.pending().is_some();
            broken.extend(one_request_per_desktop::finished(open, ""));
        }
        Step::DropFinalizer => {
            let held = request.pending().is_some() && !seen.facts.call_expired;
            broken.extend(one_request_per_desktop::released(held, ""));
        }
        _ => must(repeats_a_read(seen, step), "asked again"),
    }
    wrong.extend(rules::wrongs(request, step, &minute(90)));
    if let Step::RecordProgress(progress) = step {
        let mut told = seen.clone();
        told.request.status = status::with_progress(request, progress, &minute(90));
        let news = told.request.status != request.status;
        let again = plan(&told);
        let once = news && matches!(again, Step::Wait(_));
        broken.extend(writes_change::write(once, || {
            format!("and then {}", describe(&again))
        }));
    }
    let broken = broken
        .into_iter()
        .map(|what| what.of(&describe(step)).to_string());
    wrong.extend(broken);
    wrong
}

/// What is known is not asked for again: else a reconciliation would not end.
fn repeats_a_read(seen: &Observed, step: &Step) -> bool {
    match step {
        Step::ReadProject => seen.project.is_none() || !seen.project_is_fresh,
        Step::AcquirePermit => seen.permit != SendPermit::Held,
        Step::ReleasePermit => seen.permit == SendPermit::Held,
        Step::ClaimDesktops => seen.claim.is_none(),
        Step::ReadDesktops(ids) => {
            let unread = |id: &DesktopID| !seen.desktops.contains_key(&id.folded());
            !ids.is_empty() && ids.iter().all(unread)
        }
        Step::ReadDetails(ids) => {
            let unread = |id: &DesktopID| seen.desktops[&id.folded()].details.is_none();
            !ids.is_empty() && ids.iter().all(unread)
        }
        Step::ReadDesktop(id) => may_be_asked_for(seen, id),
        Step::ReadSubJobs => seen.sub_job_list.is_none(),
        Step::ReadOwner(job) => !seen.owned_by_other_request.contains_key(job),
        Step::ReadJob(job) => !seen.jobs.contains_key(job),
        _ => true,
    }
}

/// A GET of one desktop can provide more: no list has shown it, or after a rejection it was not read individually yet.
fn may_be_asked_for(seen: &Observed, id: &DesktopID) -> bool {
    let view = seen
        .desktops
        .get(&id.folded())
        .map(|observation| observation.view);
    let read = seen.single_reads.get(&id.folded());
    let failed = matches!(read, Some(SingleRead::Failed { .. }));
    let unsure = view.is_some_and(DesktopView::needs_lookup) && !failed;
    unsure || (read.is_none() && view != Some(DesktopView::Gone))
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn the_invariants_hold_in_every_generated_situation(seen in situations()) {
        let step = plan(&seen);
        prop_assert_eq!(&step, &plan(&seen), "not deterministic");
        let wrong = violations(&seen, &step);
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }

    #[test]
    fn a_finished_request_is_left_alone(seen in situations()) {
        let mut seen = seen;
        let end = ending(Reason::Expired);
        seen.request.status = status::finish(&seen.request, &end, &minute(60));
        seen.submission = Submission::None;
        if plan(&seen) == Step::ReleasePermit {
            seen.permit = SendPermit::Returned;
        }
        let expected = if seen.request.finalizer { Step::DropFinalizer } else { Step::Done };
        prop_assert_eq!(plan(&seen), expected, "I4");
    }
}
