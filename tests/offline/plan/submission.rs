//! Situations between the signature and the record of the outcome.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::plan::observed::NotBefore;
use desktop_deletion_operator::plan::observed::PostResult;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::{plan, status};

use super::build::{Seen, attempt, effective, failure, id, in_doubt, job, jobs, minute, nonce, ready};
use super::tell::{Row, check, row};

#[test]
fn from_the_signature_to_the_intent() {
    check(&intents());
}

#[test]
fn from_the_intent_to_the_request() {
    check(&posts());
}

#[test]
fn from_the_response_to_the_record() {
    check(&answers());
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    [intents(), posts(), answers()].into_iter().flatten()
}

/// Signed, and the intent is not stored yet.
fn intents() -> Vec<Row> {
    let armed = || ready("a b").with_signed_call(attempt("a b"));
    vec![
        row("signed", armed(), "intend a b: Submitting moving until JobChange"),
        row(
            "signed, and some were gone before",
            ready("a b c").with_signed_call(attempt("b")),
            "intend b, absent a c: Submitting moving until JobChange",
        ),
        row(
            "signed after an attempt without effect",
            armed().begun().attempt(no_effect_before()),
            "intend a b: Submitting moving until JobChange",
        ),
        row(
            "the signature is too old",
            ready("a b").with_old_signed_call(attempt("a b")),
            "start over",
        ),
        row("the process stops", armed().stopping(), "start over"),
        row("the object is being deleted", armed().deleting(), "start over"),
        row("the object was suspended", armed().suspended(), "start over"),
        row("the deadline passed", armed().too_late(), "start over"),
        row(
            "a clock was set back before its time",
            armed().scheduled(NotBefore::Ahead),
            "start over",
        ),
        row(
            "it passed by one clock",
            armed().late_by_one_clock(),
            "start over",
        ),
        row("the clocks differ too much", armed().clock_skewed(), "start over"),
        row(
            "a task of this process submits it",
            ready("a b").underway(),
            "rest",
        ),
        row(
            "a task of this process submits it, and the object is being deleted",
            in_doubt("a b", attempt("a b")).deleting().underway(),
            "rest",
        ),
    ]
}

/// The intent is stored.
fn posts() -> Vec<Row> {
    let stored = |outcome| {
        let attempt = Attempt {
            outcome,
            ..attempt("a b")
        };
        in_doubt("a b", attempt)
    };
    let armed = || stored(Outcome::Pending).with_signed_call(attempt("a b"));
    let not_sent = "record NotSent: Queued retrying until Retry";
    vec![
        row("the intent is stored", armed(), "post"),
        row(
            "the signature is too old",
            stored(Outcome::Pending).with_old_signed_call(attempt("a b")),
            not_sent,
        ),
        row("the process stops", armed().stopping(), not_sent),
        row("the object is being deleted", armed().deleting(), not_sent),
        row(
            "the object was suspended",
            armed().suspended(),
            "record NotSent: Suspended retrying until Retry",
        ),
        row(
            "the deadline passed",
            armed().too_late(),
            "record NotSent: Expired retrying until Retry",
        ),
        row(
            "it passed by one clock",
            armed().late_by_one_clock(),
            "record NotSent: Expired retrying until Retry",
        ),
        row(
            "a clock was set back before its time",
            armed().scheduled(NotBefore::Ahead),
            "record NotSent: Scheduled retrying until Retry",
        ),
        row(
            "the clocks differ too much",
            armed().clock_skewed(),
            "record NotSent: ClockSkew retrying until Retry",
        ),
        row(
            "another replica settled the attempt as not sent",
            stored(Outcome::NotSent).with_signed_call(attempt("a b")),
            "start over",
        ),
        row(
            "a user abandoned it meanwhile",
            stored(Outcome::Abandoned).with_signed_call(attempt("a b")),
            "start over",
        ),
        row(
            "evidence settled it meanwhile",
            stored(Outcome::NoEffect).with_signed_call(attempt("a b")),
            "start over",
        ),
    ]
}

/// The request was sent and there is a response or a failure.
fn answers() -> Vec<Row> {
    let sent = |result| in_doubt("a b", attempt("a b")).answered(result);
    let refused = |class| sent(PostResult::Rejected(failure(class)));
    vec![
        row(
            "accepted",
            sent(PostResult::Accepted(job("j1"))),
            "record Accepted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "accepted, and the object is being deleted",
            sent(PostResult::Accepted(job("j1"))).deleting(),
            "record Accepted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "accepted, and the process stops",
            sent(PostResult::Accepted(job("j1"))).stopping(),
            "record Accepted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "no byte was sent",
            sent(PostResult::NotSent(failure(ErrorClass::Unreachable))),
            "record NotSent: ServiceUnavailable retrying until Retry, error Unreachable",
        ),
        row(
            "refused: InvalidRequest",
            refused(ErrorClass::InvalidRequest),
            "record Rejected: InvalidRequest retrying until Retry, error InvalidRequest",
        ),
        row(
            "refused: Authentication",
            refused(ErrorClass::Authentication),
            "record Rejected: AuthenticationFailed stalled until Retry, error Authentication",
        ),
        row(
            "refused: Permission",
            refused(ErrorClass::Permission),
            "record Rejected: PermissionDenied stalled until Retry, error Permission",
        ),
        row(
            "refused: WrongEndpoint",
            refused(ErrorClass::WrongEndpoint),
            "record Rejected: WrongEndpoint stalled until Retry, error WrongEndpoint",
        ),
        row(
            "refused: ServiceDisabled",
            refused(ErrorClass::ServiceDisabled),
            "record Rejected: ServiceDisabled stalled until Retry, error ServiceDisabled",
        ),
        row(
            "refused: NotFound",
            refused(ErrorClass::NotFound),
            "record Rejected: NotFound retrying until Retry, error NotFound",
        ),
        row(
            "refused: Conflict",
            refused(ErrorClass::Conflict),
            "record Rejected: Conflict retrying until Retry, error Conflict",
        ),
        row(
            "refused: Throttled",
            refused(ErrorClass::Throttled),
            "record Rejected: Throttled retrying until Retry, error Throttled",
        ),
        row(
            "refused: Unavailable",
            refused(ErrorClass::Unavailable),
            "record Rejected: ServiceUnavailable retrying until Retry, error Unavailable",
        ),
        row(
            "the response was lost: never repeated",
            sent(PostResult::OutcomeUnknown(failure(ErrorClass::InDoubt))),
            "record Pending: AwaitingEvidence moving until Expiry, error InDoubt",
        ),
    ]
}

fn no_effect_before() -> Attempt {
    super::build::no_effect("n0", "a b")
}

/// The situation in which the attempt has that outcome when a response comes.
fn late(outcome: Outcome, result: PostResult) -> Seen {
    in_doubt("a b", effective("a b", outcome, "")).answered(result)
}

const SETTLED: [Outcome; 6] = [
    Outcome::NotSent,
    Outcome::Rejected,
    Outcome::Accepted,
    Outcome::Adopted,
    Outcome::NoEffect,
    Outcome::Abandoned,
];

#[test]
fn a_job_that_comes_after_the_attempt_was_settled_is_kept_and_the_outcome_stays() {
    for outcome in SETTLED {
        let seen = late(outcome, PostResult::Accepted(job("j1")));
        let Step::RecordOutcome(outcome_update) = plan(&seen.0) else {
            panic!("the job of an attempt that is {outcome:?} is lost");
        };
        let status = status::record_outcome(&seen.0.request, &outcome_update, &minute(2)).unwrap();
        assert_eq!(status.attempts[0].outcome, outcome);
        assert_eq!(status.attempts[0].job_ids, jobs("j1"), "{outcome:?}");
        assert_eq!(status.job_id, Some(job("j1")), "{outcome:?}");
    }
}

#[test]
fn any_other_late_response_causes_no_write() {
    for outcome in SETTLED {
        for result in [
            PostResult::NotSent(failure(ErrorClass::Unreachable)),
            PostResult::Rejected(failure(ErrorClass::Throttled)),
            PostResult::OutcomeUnknown(failure(ErrorClass::InDoubt)),
        ] {
            let seen = late(outcome, result.clone());
            assert_eq!(plan(&seen.0), Step::StartOver, "{outcome:?} {result:?}");
        }
    }
}

#[test]
fn a_job_that_is_already_recorded_causes_no_write() {
    let accepted = effective("a b", Outcome::Accepted, "j1");
    let seen = in_doubt("a b", accepted).answered(PostResult::Accepted(job("j1")));
    assert_eq!(plan(&seen.0), Step::StartOver);
}

#[test]
fn a_lost_response_that_is_already_recorded_causes_no_write() {
    let doubt = failure(ErrorClass::InDoubt);
    let doubtful = Attempt {
        error: Some(doubt.clone()),
        ..attempt("a b")
    };
    let seen = in_doubt("a b", doubtful).answered(PostResult::OutcomeUnknown(doubt));
    assert_eq!(plan(&seen.0), Step::StartOver);
}

#[test]
fn a_job_that_comes_after_the_end_is_kept_and_the_end_stays() {
    let abandoned = effective("a b", Outcome::Abandoned, "");
    let mut seen = in_doubt("a b", abandoned).no_finalizer();
    let end = super::build::ending(Reason::Abandoned);
    seen.0.request.status = status::finish(&seen.0.request, &end, &minute(1));
    let seen = seen.answered(PostResult::Accepted(job("j1")));
    let Step::RecordOutcome(outcome_update) = plan(&seen.0) else {
        panic!("the job is lost");
    };
    let before = &seen.0.request.status;
    let after = status::record_outcome(&seen.0.request, &outcome_update, &minute(2)).unwrap();
    assert_eq!(after.attempts[0].job_ids, jobs("j1"));
    assert_eq!(after.completion_time, before.completion_time);
    assert_eq!(after.conditions, before.conditions);
    let wrong = super::rules::transition(&seen.0.request, &after);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_late_response_without_new_information_does_not_change_a_finished_request() {
    let answers = [
        PostResult::Accepted(job("j1")),
        PostResult::Rejected(failure(ErrorClass::Throttled)),
        PostResult::OutcomeUnknown(failure(ErrorClass::InDoubt)),
    ];
    for answer in answers {
        let settled = effective("a b", Outcome::Adopted, "j1");
        let ended = in_doubt("a b", settled).finished().answered(answer.clone());
        assert_eq!(plan(&ended.0), Step::StartOver, "{answer:?}");
    }
}

#[test]
fn the_intent_records_the_project_and_the_signed_body() {
    let signed = Attempt {
        baseline_job_ids: jobs("j7"),
        ..attempt("a b")
    };
    let Step::RecordIntent(intent) = plan(&ready("a b").with_signed_call(signed.clone()).0) else {
        panic!("no intent");
    };
    assert_eq!(intent.attempt, signed);
    assert_eq!(intent.project, super::build::here());
    assert_eq!(intent.attempt.id, nonce("n1"));
}

#[test]
fn the_intent_records_the_names_of_the_desktops() {
    let mut seen = ready("a b").with_signed_call(attempt("a b"));
    seen.0.desktops.get_mut(&id("a")).unwrap().name = Some("pc-1".to_owned());
    let Step::RecordIntent(intent) = plan(&seen.0) else {
        panic!("no intent");
    };
    let names: Vec<_> = intent.desktops.iter().map(|d| d.name.as_deref()).collect();
    assert_eq!(names, [Some("pc-1"), None]);
}
