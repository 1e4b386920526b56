//! Any situation that the status can be in, with anything read and anything remembered.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::ids::DesktopID;
use desktop_deletion_operator::plan::observed::{Observed, Submission};
use desktop_deletion_operator::plan::{Step, plan, record};
use proptest::prelude::*;

use super::arbitrary::situations;
use super::build::{cases, ending, minute};
use super::rules;
use super::tell::tell;

/// What a step must not do in that situation, by the invariants.
pub(crate) fn violations(seen: &Observed, step: &Step) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{what}: {}", tell(step)));
        }
    };
    let request = &seen.request;
    let ours = |ids: &[DesktopID]| !ids.is_empty() && ids.iter().all(|id| request.desktop_ids.contains(id));
    let settled = |a: &Attempt| {
        let over = matches!(
            a.outcome,
            Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect
        );
        over && !a.took_effect()
    };
    if matches!(step, Step::Sign(_) | Step::RecordIntent(_) | Step::Post) {
        must(
            !request.deleting,
            "something is sent for an object that is being deleted",
        );
        must(!request.suspend, "something is sent for a suspended object");
        must(!seen.facts.stopping, "something is sent by a process that stops");
        must(
            !seen.facts.deadline_passed,
            "something is sent after the deadline",
        );
    }
    if request.status.completion_time.is_some() {
        must(matches!(step, Step::DropFinalizer | Step::Rest), "I4");
    }
    match step {
        Step::Sign(batch) => {
            must(ours(&batch.desktop_ids), "I1");
            must(request.status.attempts.iter().all(settled), "I2");
            must(
                request.finalizer && seen.last_look,
                "signed without finalizer or last look",
            );
        }
        Step::RecordIntent(intent) => {
            must(ours(&intent.attempt.desktop_ids), "I1");
            must(request.status.attempts.iter().all(settled), "I2");
        }
        Step::Post => {
            let stored = |id| request.attempt(id).is_some_and(|a| a.outcome == Outcome::Pending);
            let armed =
                matches!(&seen.submission, Submission::Armed { attempt, fresh: true } if stored(&attempt.id));
            must(armed, "I7");
        }
        Step::RecordOutcome(settlement) => {
            let open = request.pending().is_some_and(|a| a.id == settlement.attempt);
            let guessed = open && matches!(settlement.outcome, Outcome::Adopted | Outcome::NoEffect);
            // A person who adopts a job knows that the request arrived.
            let told = settlement.answers.is_some();
            let arrived = told && settlement.outcome == Outcome::Adopted;
            must(
                !guessed || arrived || seen.facts.surely_dead,
                "settled before the request is surely dead",
            );
            let twice = seen.earlier_evidence.is_some() || request.deleting;
            must(!guessed || told || twice, "settled by one look");
        }
        Step::Finish(_) => {
            must(!request.finalizer, "finished with the finalizer on");
            must(request.pending().is_none(), "finished with an open attempt");
        }
        Step::DropFinalizer => {
            let held = request.pending().is_some() && !seen.facts.surely_dead;
            must(!held, "let go while a request may reach the cloud");
        }
        // A read that is there is not read again: else a pass would not end.
        Step::ReadProject => must(seen.project.is_none() || !seen.last_look, "read again"),
        Step::Claim => must(seen.claim.is_none(), "asked again"),
        Step::ReadDesktops(ids) => must(
            !ids.is_empty() && ids.iter().all(|id| !seen.desktops.contains_key(&id.folded())),
            "read again",
        ),
        Step::ReadDesktop(id) => must(
            seen.desktops
                .get(&id.folded())
                .is_some_and(|s| s.sight.needs_lookup()),
            "read again",
        ),
        Step::ReadSubJobs => must(seen.sweep.is_none(), "read again"),
        Step::ReadOwner(job) => must(!seen.owned_elsewhere.contains_key(job), "asked again"),
        Step::ReadJob(job) => must(!seen.jobs.contains_key(job), "read again"),
        _ => {}
    }
    wrong.extend(rules::wrongs(request, step, &minute(90)));
    if let Step::RecordProgress(hold) = step {
        let mut told = seen.clone();
        told.request.status = record::progress(request, hold, &minute(90));
        let news = told.request.status != request.status;
        let again = plan(&told);
        if !news || !matches!(again, Step::Wait(_)) {
            wrong.push(format!("I11: {} and then {}", tell(step), tell(&again)));
        }
    }
    wrong
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn whatever_is_observed_the_invariants_hold(seen in situations()) {
        let step = plan(&seen);
        prop_assert_eq!(&step, &plan(&seen), "not deterministic");
        let wrong = violations(&seen, &step);
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }

    #[test]
    fn a_finished_request_is_left_alone(seen in situations()) {
        let mut seen = seen;
        let end = ending(Reason::Expired);
        seen.request.status = record::finish(&seen.request, &end, &minute(60));
        seen.submission = Submission::None;
        let expected = if seen.request.finalizer { Step::DropFinalizer } else { Step::Rest };
        prop_assert_eq!(plan(&seen), expected, "I4");
    }
}
