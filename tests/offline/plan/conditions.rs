//! What the status says in each situation of the tables.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::Outcome;
use desktop_deletion_operator::plan::progress::{Progress, Requeue};
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::plan::{plan, status};

use super::build::{Seen, accepted, attempt, effective, failure, in_doubt, minute, ready, untouched};
use super::rules;
use super::tell::Row;

fn rows() -> impl Iterator<Item = Row> {
    super::admission::rows()
        .chain(super::submission::rows())
        .chain(super::recovery::rows())
        .chain(super::job::rows())
        .chain(super::finalize::rows())
        .chain(super::resolve::rows())
        .chain(super::finalizer::rows())
}

#[test]
fn every_write_obeys_the_rules_of_the_crd_and_of_the_conditions() {
    let mut wrong = Vec::new();
    let mut written = 0;
    for row in rows() {
        let step = plan(&row.seen.0);
        written += usize::from(rules::written(&row.seen.0.request, &step, &minute(90)).is_some());
        for rule in rules::wrongs(&row.seen.0.request, &step, &minute(90)) {
            wrong.push(format!("{}: {rule}", row.name));
        }
    }
    assert!(written > 50, "only {written} rows write anything");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_status_that_was_reported_is_not_written_again() {
    let mut wrong = Vec::new();
    for row in rows() {
        let Step::RecordProgress(progress) = plan(&row.seen.0) else {
            continue;
        };
        let mut seen = row.seen.0.clone();
        seen.request.status =
            rules::written(&seen.request, &Step::RecordProgress(progress), &minute(90)).unwrap();
        if !matches!(plan(&seen), Step::Wait(_)) {
            wrong.push(format!("{}: {:?}", row.name, plan(&seen)));
        }
    }
    assert!(wrong.is_empty(), "I11\n{}", wrong.join("\n"));
}

#[test]
fn the_same_error_with_another_time_and_request_id_causes_no_write() {
    let mut seen = untouched("a b")
        .project()
        .claimed()
        .read_failure(ErrorClass::Throttled);
    seen.0.request.status = rules::written(&seen.0.request, &plan(&seen.0), &minute(90)).unwrap();
    let again = &mut seen.0.read_failure.as_mut().unwrap().error;
    again.time = minute(91);
    again.request_id = Some("r2".to_owned());
    assert!(matches!(plan(&seen.0), Step::Wait(_)));
    let other = &mut seen.0.read_failure.as_mut().unwrap().error;
    other.code = Some("X.2".to_owned());
    assert!(matches!(plan(&seen.0), Step::RecordProgress(_)));
}

#[test]
fn a_call_that_the_circuit_breaker_suppressed_does_not_replace_the_reported_error() {
    let mut seen = untouched("a b")
        .project()
        .claimed()
        .read_failure(ErrorClass::Authentication);
    seen.0.request.status = rules::written(&seen.0.request, &plan(&seen.0), &minute(90)).unwrap();
    let read_failure = seen.0.read_failure.as_mut().unwrap();
    read_failure.suppressed = true;
    read_failure.error.http_status = None;
    read_failure.error.code = None;
    assert!(matches!(plan(&seen.0), Step::Wait(_)), "the same login");

    let of_another_kind = seen.0.read_failure.as_mut().unwrap();
    of_another_kind.error.class = ErrorClass::Throttled;
    let Step::RecordProgress(progress) = plan(&seen.0) else {
        panic!("nothing to say");
    };
    assert_eq!(progress.error.unwrap().class, ErrorClass::Throttled);
}

#[test]
fn an_error_is_cleared_once_things_go_well() {
    let mut seen = accepted().job("j1", "a Open b Open");
    seen.0.request.status.last_error = Some(failure(ErrorClass::Throttled));
    let status = rules::written(&seen.0.request, &plan(&seen.0), &minute(90)).unwrap();
    assert_eq!(status.last_error, None);
}

/// Status and reason of `Submitted`, `Succeeded` and `Ready`, then `Reconciling` or `Stalled` with its reason.
fn said(seen: &Seen) -> [String; 4] {
    let status = rules::written(&seen.0.request, &plan(&seen.0), &minute(90)).unwrap();
    let words = |kind| {
        let condition = rules::condition(&status, kind).unwrap();
        format!("{} {}", condition.status, condition.reason)
    };
    let present = ["Reconciling", "Stalled"].map(|kind| {
        let condition = rules::condition(&status, kind);
        condition.map_or_else(String::new, |c| format!("{kind} {}", c.reason))
    });
    [
        words("Submitted"),
        words("Succeeded"),
        words("Ready"),
        present.concat(),
    ]
}

#[test]
fn the_conditions_from_creation_to_completion() {
    for (what, seen, conditions) in vec![
        (
            "suspended",
            ready("a b").suspended(),
            ["False Suspended", "Unknown Waiting", "False Suspended", ""],
        ),
        (
            "waiting for others",
            ready("a b").desktop_views("a Deleting"),
            [
                "False DeletionInProgress",
                "Unknown Waiting",
                "Unknown Retrying",
                "Reconciling Retrying",
            ],
        ),
        (
            "waiting for a user",
            ready("a b").clock_skewed(),
            [
                "False ClockSkew",
                "Unknown Waiting",
                "False ClockSkew",
                "Stalled ClockSkew",
            ],
        ),
        (
            "submitting",
            ready("a b").with_signed_call(attempt("a b")),
            [
                "Unknown Submitting",
                "Unknown Waiting",
                "Unknown Submitting",
                "Reconciling Submitting",
            ],
        ),
        (
            "in doubt",
            in_doubt("a b", attempt("a b")).deleting(),
            [
                "Unknown AwaitingEvidence",
                "Unknown Waiting",
                "Unknown AwaitingEvidence",
                "Reconciling AwaitingEvidence",
            ],
        ),
        (
            "running",
            accepted().job("j1", ""),
            [
                "True JobAccepted",
                "Unknown JobRunning",
                "Unknown JobRunning",
                "Reconciling JobRunning",
            ],
        ),
        (
            "all deleted",
            accepted()
                .states("a Deleted b Deleted")
                .job("j1", "")
                .no_finalizer(),
            ["True JobAccepted", "True AllDeleted", "True AllDeleted", ""],
        ),
        (
            "all failed",
            accepted()
                .states("a Failed b Failed")
                .job("j1", "")
                .no_finalizer(),
            [
                "True JobAccepted",
                "False AllFailed",
                "False AllFailed",
                "Stalled AllFailed",
            ],
        ),
        (
            "nothing to delete",
            untouched("a").project().claimed().desktop_views("a Gone"),
            [
                "False NothingToDelete",
                "True AlreadyAbsent",
                "True AlreadyAbsent",
                "",
            ],
        ),
        (
            "expired",
            untouched("a").too_late(),
            [
                "False Expired",
                "False Expired",
                "False Expired",
                "Stalled Expired",
            ],
        ),
    ] {
        assert_eq!(said(&seen), conditions, "{what}");
    }
}

#[test]
fn after_the_job_the_status_reports_the_verification_of_the_desktops() {
    let seen = accepted().job("j1", "a Success b Success").all(DesktopView::Idle);
    let conditions = [
        "True JobAccepted",
        "Unknown Verifying",
        "Unknown Verifying",
        "Reconciling Verifying",
    ];
    assert_eq!(said(&seen), conditions);
}

#[test]
fn the_condition_submitted_states_how_the_job_became_known() {
    let recovered = |jobs| {
        in_doubt("a b", effective("a b", Outcome::Adopted, jobs))
            .states("a Deleted b Deleted")
            .no_finalizer()
    };
    let shared = recovered("j1").job("j1", "");
    let own = shared.clone().job_id("j1");
    let accepted = accepted().job("j1", "");
    for (seen, submitted, words) in [
        (accepted, "True JobAccepted", "accepted 2 desktops as job j1"),
        (own, "True JobRecovered", "job j1 was recovered"),
        (shared, "True JobUnknown", "job j1 deletes some of them"),
        (recovered(""), "True JobUnknown", "its job is unknown"),
    ] {
        assert_eq!(said(&seen)[0], submitted);
        let status = rules::written(&seen.0.request, &plan(&seen.0), &minute(90)).unwrap();
        let message = &rules::condition(&status, "Submitted").unwrap().message;
        assert!(message.contains(words), "no {words:?} in {message:?}");
    }
}

#[test]
fn the_condition_submitted_reports_an_open_attempt_regardless_of_other_problems() {
    let request = in_doubt("a b", attempt("a b")).0.request;
    let other = Progress::stalled(Reason::ProjectChanged, "so it is".to_owned(), Requeue::Refresh);
    let status = status::with_progress(&request, &other, &minute(90));
    let submitted = rules::condition(&status, "Submitted").unwrap();
    assert_eq!(
        (&*submitted.status, &*submitted.reason),
        ("Unknown", "AwaitingEvidence")
    );
}

#[test]
fn a_suspension_after_the_submission_is_reported_with_the_time_of_the_submission() {
    let seen = accepted().suspended().job("j1", "");
    let status = rules::written(&seen.0.request, &plan(&seen.0), &minute(90)).unwrap();
    let submitted = rules::condition(&status, "Submitted").unwrap();
    for word in ["2026-01-15T08:00:00Z", "job j1", "has no effect"] {
        assert!(submitted.message.contains(word), "{}", submitted.message);
    }
}
