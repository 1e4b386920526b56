//! The legal moves of the status.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, DesktopState, DesktopStatus, Outcome};
use desktop_deletion_operator::plan::blockers::after_failed_submission;
use desktop_deletion_operator::plan::observed::Request;
use desktop_deletion_operator::plan::progress::{Progress, Requeue};
use desktop_deletion_operator::plan::status::{
    IllegalTransition, finish, record_intent, record_outcome, with_progress, would_change,
};
use desktop_deletion_operator::plan::step::{Completion, Intent, OutcomeUpdate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use proptest::prelude::*;

use super::arbitrary::{outcomes, requests};
use super::build::{
    accepted, attempt, cases, effective, ending, failure, here, id, in_doubt, job, jobs, minute, no_effect,
    nonce, outcome_update, ready, refused,
};
use super::rules;

fn waiting() -> Progress {
    Progress::reconciling(Reason::Submitting, "so it is".to_owned(), Requeue::JobChange)
}

fn intent(body: &str) -> Intent {
    Intent {
        attempt: Attempt {
            id: nonce("n9"),
            ..attempt(body)
        },
        project: here(),
        desktops: vec![],
        progress: waiting(),
    }
}

#[test]
fn an_intent_records_the_project_and_lists_the_desktops() {
    let request = ready("a b c").0.request;
    let intent = Intent {
        desktops: vec![DesktopStatus::new(&id("b"), DesktopState::Absent)],
        ..intent("a c")
    };
    let status = record_intent(&request, &intent, &minute(5)).unwrap();
    assert_eq!(status.project, Some(here()));
    assert_eq!(status.start_time, Some(minute(5)));
    assert_eq!(status.attempts, [intent.attempt]);
    let told: Vec<_> = status.desktops.iter().map(|d| d.state).collect();
    assert_eq!(
        told,
        [DesktopState::Pending, DesktopState::Absent, DesktopState::Pending]
    );
}

#[test]
fn a_second_intent_keeps_project_and_start_time() {
    let request = ready("a b").begun().attempt(no_effect("n1", "a b")).0.request;
    let elsewhere = Intent {
        project: super::build::coordinates("another"),
        ..intent("a b")
    };
    let status = record_intent(&request, &elsewhere, &minute(5)).unwrap();
    assert_eq!(status.project, Some(here()));
    assert_eq!(status.start_time, Some(minute(0)));
}

#[test]
fn only_rejected_and_unsent_attempts_are_replaced() {
    for outcome in [Outcome::Rejected, Outcome::NotSent] {
        let request = ready("a")
            .begun()
            .attempt(no_effect("n0", "a"))
            .attempt(refused("a", outcome, ErrorClass::Throttled))
            .refusals(4)
            .0
            .request;
        let status = record_intent(&request, &intent("a"), &minute(5)).unwrap();
        let names: Vec<_> = status.attempts.iter().map(|a| a.id.as_str()).collect();
        assert_eq!(names, ["n0", "n9"], "{outcome:?}");
        assert_eq!(status.refused_attempts, 4);
    }
    for outcome in [
        Outcome::Pending,
        Outcome::Accepted,
        Outcome::Adopted,
        Outcome::Abandoned,
    ] {
        let request = ready("a").attempt(effective("a", outcome, "")).0.request;
        assert_eq!(
            record_intent(&request, &intent("a"), &minute(5)),
            Err(IllegalTransition::Unsettled(nonce("n1"))),
            "I2: {outcome:?}"
        );
    }
}

#[test]
fn counted_rejections_are_kept_while_they_concern_the_same_desktops() {
    let mut request = ready("a b")
        .begun()
        .attempt(refused("a b", Outcome::Rejected, ErrorClass::NotFound))
        .0
        .request;
    request.status = record_intent(&request, &intent("a b"), &minute(5)).unwrap();
    assert_eq!(request.status.attempts.len(), 2);
    let not_found = OutcomeUpdate {
        attempt: nonce("n9"),
        error: Some(failure(ErrorClass::NotFound)),
        ..outcome_update(Outcome::Rejected, "")
    };
    request.status = record_outcome(&request, &not_found, &minute(6)).unwrap();
    let narrower = Intent {
        attempt: Attempt {
            id: nonce("n10"),
            ..attempt("a")
        },
        ..intent("a")
    };
    let status = record_intent(&request, &narrower, &minute(7)).unwrap();
    assert_eq!(status.attempts.len(), 1);
}

#[test]
fn an_outcome_is_stored_once() {
    for first in outcomes() {
        for second in outcomes() {
            let mut request = in_doubt("a", attempt("a")).0.request;
            request.status = record_outcome(&request, &outcome_update(first, ""), &minute(1)).unwrap();
            let status = record_outcome(&request, &outcome_update(second, "j1"), &minute(2)).unwrap();
            let expected = if first == Outcome::Pending { second } else { first };
            assert_eq!(status.attempts[0].outcome, expected, "{first:?}, then {second:?}");
            assert_eq!(
                status.attempts[0].job_ids,
                jobs("j1"),
                "{first:?}, then {second:?}"
            );
        }
    }
}

#[test]
fn each_rejection_is_counted_once() {
    let mut request = in_doubt("a", attempt("a")).0.request;
    for (outcome, count) in [
        (Outcome::Pending, 0),
        (Outcome::Rejected, 1),
        (Outcome::Rejected, 1),
        (Outcome::NotSent, 1),
    ] {
        request.status = record_outcome(&request, &outcome_update(outcome, ""), &minute(1)).unwrap();
        assert_eq!(request.status.refused_attempts, count, "{outcome:?}");
    }
}

#[test]
fn one_job_of_an_effective_attempt_is_the_requests_job_and_stays_so() {
    let mut request = in_doubt("a", attempt("a")).0.request;
    request.status = record_outcome(&request, &outcome_update(Outcome::Accepted, "j1"), &minute(1)).unwrap();
    assert_eq!(request.status.job_id, Some(job("j1")));
    let status = record_outcome(&request, &outcome_update(Outcome::Accepted, "j2"), &minute(2)).unwrap();
    assert_eq!(status.job_id, Some(job("j1")));
    assert_eq!(status.attempts[0].job_ids, jobs("j1 j2"));
}

#[test]
fn of_several_jobs_none_is_the_requests_until_the_end() {
    let mut request = in_doubt("a b", attempt("a b")).0.request;
    request.status =
        record_outcome(&request, &outcome_update(Outcome::Adopted, "j1 j2"), &minute(1)).unwrap();
    assert_eq!(request.status.job_id, None);
    let status = finish(&request, &ending(Reason::AllDeleted), &minute(2));
    assert_eq!(status.job_id, Some(job("j1")));
}

#[test]
fn the_size_of_an_attempt_is_bounded() {
    let request = in_doubt("a", attempt("a")).0.request;
    let status = record_outcome(
        &request,
        &outcome_update(Outcome::Adopted, "j1 j2 j3 j4 j5"),
        &minute(1),
    )
    .unwrap();
    // One place is left for the job in a late response.
    assert_eq!(status.attempts[0].job_ids, jobs("j1 j2 j3"));
    let request = Request { status, ..request };
    let status = record_outcome(&request, &outcome_update(Outcome::Accepted, "j6"), &minute(2)).unwrap();
    assert_eq!(status.attempts[0].job_ids, jobs("j1 j2 j3 j6"));
    let request = Request { status, ..request };
    let status = record_outcome(&request, &outcome_update(Outcome::Accepted, "j7"), &minute(3)).unwrap();
    assert_eq!(status.attempts[0].job_ids.len(), 4);
}

#[test]
fn an_update_of_a_missing_attempt_is_illegal() {
    let request = ready("a").0.request;
    assert_eq!(
        record_outcome(&request, &outcome_update(Outcome::Accepted, "j1"), &minute(1)),
        Err(IllegalTransition::NoSuchAttempt(nonce("n1")))
    );
}

#[test]
fn deleted_stays_deleted() {
    let request = accepted().states("a Deleted").0.request;
    let news = |state| {
        vec![
            DesktopStatus::new(&id("a"), state),
            DesktopStatus::new(&id("b"), state),
        ]
    };
    for state in [
        DesktopState::Failed,
        DesktopState::Deleting,
        DesktopState::Pending,
    ] {
        let told = with_progress(&request, &waiting().with_desktops(news(state)), &minute(1));
        assert_eq!(told.desktops[0].state, DesktopState::Deleted);
        assert_eq!(told.desktops[1].state, state);
        let ended = finish(
            &request,
            &Completion {
                desktops: news(state),
                ..ending(Reason::AllDeleted)
            },
            &minute(1),
        );
        assert_eq!(ended.desktops[0].state, DesktopState::Deleted);
    }
}

#[test]
fn a_desktop_keeps_its_name_until_another_is_known() {
    let mut request = accepted().0.request;
    let named = |name: &str| DesktopStatus {
        name: Some(name.to_owned()),
        ..DesktopStatus::new(&id("a"), DesktopState::Deleting)
    };
    let nameless = DesktopStatus::new(&id("a"), DesktopState::Deleting);
    for (news, name) in [
        (nameless.clone(), None),
        (named("pc-1"), Some("pc-1")),
        (nameless, Some("pc-1")),
        (named("pc-2"), Some("pc-2")),
    ] {
        request.status = with_progress(&request, &waiting().with_desktops(vec![news]), &minute(1));
        assert_eq!(request.status.desktops[0].name.as_deref(), name);
    }
}

#[test]
fn a_name_is_truncated_to_the_limit_of_the_api_server() {
    let request = accepted().0.request;
    let named = DesktopStatus {
        name: Some("\u{e9}".repeat(65)),
        ..DesktopStatus::new(&id("a"), DesktopState::Deleting)
    };
    let status = with_progress(&request, &waiting().with_desktops(vec![named]), &minute(1));
    let name = status.desktops[0].name.as_deref().unwrap();
    assert_eq!(name, format!("{}\u{2026}", "\u{e9}".repeat(63)));
}

#[test]
fn a_desktop_of_another_request_is_not_listed() {
    let request = accepted().0.request;
    let stranger = waiting().with_desktops(vec![DesktopStatus::new(&id("z"), DesktopState::Deleted)]);
    assert_eq!(with_progress(&request, &stranger, &minute(1)).desktops.len(), 2);
}

#[test]
fn completion_without_a_submission_records_the_project() {
    let request = ready("a").0.request;
    let end = Completion {
        project: Some(here()),
        ..ending(Reason::AllDeleted)
    };
    let status = finish(&request, &end, &minute(7));
    assert_eq!(status.project, Some(here()));
    assert_eq!(
        (status.start_time, status.completion_time),
        (Some(minute(7)), Some(minute(7)))
    );
}

#[test]
fn a_new_generation_causes_a_write() {
    let mut request = ready("a").0.request;
    request.status = with_progress(&request, &waiting(), &minute(1));
    assert!(!would_change(&request, &waiting()));
    request.generation += 1;
    assert!(would_change(&request, &waiting()));
}

/// Anything that a settlement can say about the attempt of that name.
fn settlements(request: &Request) -> BoxedStrategy<OutcomeUpdate> {
    let names: Vec<_> = request.status.attempts.iter().map(|a| a.id.clone()).collect();
    let desktop_ids = request.desktop_ids.clone();
    let states = proptest::sample::select(vec![
        DesktopState::Pending,
        DesktopState::Absent,
        DesktopState::Deleting,
        DesktopState::Deleted,
        DesktopState::Unknown,
    ]);
    (
        proptest::sample::select(names),
        proptest::sample::select(outcomes().to_vec()),
        proptest::sample::subsequence(jobs("j1 j2 j3 j4 j5 j6"), 0..=6),
        proptest::collection::vec(states, desktop_ids.len()),
        any::<bool>(),
    )
        .prop_map(move |(attempt, outcome, jobs, states, failed)| {
            let told = desktop_ids
                .iter()
                .zip(states)
                .map(|(id, s)| DesktopStatus::new(id, s));
            OutcomeUpdate {
                attempt,
                jobs,
                error: failed.then(|| failure(ErrorClass::Throttled)),
                progress: waiting().with_desktops(told.collect()),
                ..outcome_update(outcome, "")
            }
        })
        .boxed()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_generated_outcome_update_is_a_legal_transition(
        (request, outcome_update) in requests()
            .prop_filter("an attempt", |r| !r.status.attempts.is_empty())
            .prop_flat_map(|request| {
                let outcome_update = settlements(&request);
                (Just(request), outcome_update)
            })
    ) {
        let status = record_outcome(&request, &outcome_update, &minute(90)).unwrap();
        let wrong = rules::transition(&request, &status);
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// `Ready`, `Reconciling` and `Stalled` of a request whose first attempt was refused, as the next attempt is recorded.
fn tried_again_after(class: ErrorClass) -> (Vec<Condition>, Vec<Condition>) {
    let mut request = ready("a").begun().attempt(attempt("a")).0.request;
    let refused = OutcomeUpdate {
        progress: after_failed_submission(Outcome::Rejected, &failure(class)),
        error: Some(failure(class)),
        ..outcome_update(Outcome::Rejected, "")
    };
    request.status = record_outcome(&request, &refused, &minute(5)).unwrap();
    let again = Intent {
        progress: waiting().with_error(failure(class)),
        ..intent("a")
    };
    let status = record_intent(&request, &again, &minute(10)).unwrap();
    assert_eq!(status.last_error.map(|error| error.class), Some(class));
    let shown = |conditions: Vec<Condition>| -> Vec<Condition> {
        let shown = ["Ready", "Reconciling", "Stalled"];
        conditions
            .into_iter()
            .filter(|c| shown.contains(&&*c.type_))
            .collect()
    };
    (shown(request.status.conditions), shown(status.conditions))
}

#[test]
fn the_next_attempt_does_not_clear_a_problem_that_a_user_must_fix() {
    let (before, after) = tried_again_after(ErrorClass::Permission);
    assert_eq!(before.len(), 2, "{before:#?}");
    assert_eq!(after, before);
    let (before, after) = tried_again_after(ErrorClass::Throttled);
    let reasons = |conditions: &[Condition]| -> Vec<String> {
        conditions
            .iter()
            .map(|c| format!("{}={}", c.type_, c.reason))
            .collect()
    };
    assert_eq!(reasons(&before), ["Ready=Retrying", "Reconciling=Retrying"]);
    assert_eq!(reasons(&after), ["Ready=Submitting", "Reconciling=Submitting"]);
}
