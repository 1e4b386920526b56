//! Situations in which the object is being deleted. That deletes nothing in the cloud and sends nothing.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, Outcome};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;

use super::build::{Seen, accepted, attempt, in_doubt, no_effect, ready, refused, untouched};
use super::tell::{Row, check, row};

#[test]
fn a_deleted_object_is_kept_only_while_a_call_of_it_can_take_effect() {
    check(&rows().collect::<Vec<_>>());
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    [nothing_submitted(), in_flight(), unreadable(), submitted()]
        .into_iter()
        .flatten()
}

fn nothing_submitted() -> Vec<Row> {
    vec![
        row(
            "the operator's finalizer is absent",
            untouched("a b").deleting(),
            "rest",
        ),
        row("nothing was submitted", ready("a b").deleting(), "finalizer off"),
        row(
            "the deadline passed meanwhile: no final result is needed",
            ready("a b").deleting().too_late(),
            "finalizer off",
        ),
        row(
            "a rejected attempt does not keep the object",
            ready("a b")
                .begun()
                .attempt(refused("a b", Outcome::Rejected, ErrorClass::Throttled))
                .deleting(),
            "finalizer off",
        ),
        row(
            "nor does one without effect",
            ready("a b").begun().attempt(no_effect("n1", "a b")).deleting(),
            "finalizer off",
        ),
        row(
            "suspended, deleted",
            ready("a b").suspended().deleting(),
            "finalizer off",
        ),
    ]
}

/// An attempt whose outcome only a newer version knows.
fn other_word() -> Attempt {
    Attempt {
        outcome: Outcome::Other,
        ..attempt("a b")
    }
}

fn in_flight() -> Vec<Row> {
    let doubt = || in_doubt("a b", attempt("a b")).deleting();
    let expired = || doubt().expired();
    let mut unknown = expired();
    unknown.0.project = None;
    let mut alive = doubt();
    alive.0.project = None;
    let held = "AwaitingEvidence moving until Expiry";
    let newer = || in_doubt("a b", other_word()).deleting();
    vec![
        row(
            "the outcome is a value of a newer version: kept like an unknown outcome",
            newer(),
            held,
        ),
        row(
            "the outcome is a value of a newer version, and no call can take effect any more",
            newer().expired(),
            "finalizer off",
        ),
        row(
            "a call may still arrive: the object is kept, also without project and Secret",
            alive,
            held,
        ),
        row(
            "its expiry is near, and the list was incomplete: a job may be visible in the next one",
            expired().all(DesktopView::Idle).sub_job_list("").incomplete(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "the list is incomplete for a long time: that does not keep the object",
            doubt()
                .recovery_timed_out()
                .all(DesktopView::Idle)
                .sub_job_list("")
                .incomplete(),
            "finalizer off",
        ),
        row(
            "the service's clock is asked for before ours is taken alone",
            doubt().service_clock_unknown(),
            "list a b",
        ),
        row(
            "the finalizer was removed: it cannot be put back any more",
            doubt().no_finalizer(),
            "rest",
        ),
        row(
            "a call may still arrive, regardless of the reads",
            doubt()
                .all(DesktopView::Deleting)
                .sub_job_list("j1/a Running j1/b Running"),
            held,
        ),
        row("expired: evidence is read once more", unknown, "read the project"),
        row("expired: the desktops", expired(), "list a b"),
        row(
            "expired: the jobs",
            expired().all(DesktopView::Idle),
            "list sub-jobs",
        ),
        row(
            "expired, without effect",
            expired().all(DesktopView::Idle).sub_job_list(""),
            "finalizer off",
        ),
        row(
            "expired, with a job: it is stored before the object is released",
            expired()
                .all(DesktopView::Deleting)
                .sub_job_list("j1/a Running j1/b Running"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "expired, and the project is gone: that does not keep the object",
            expired().obstacle(Reason::ProjectNotReady, true),
            "finalizer off",
        ),
        row(
            "expired, and the project is another one",
            expired().project_at("another"),
            "finalizer off",
        ),
    ]
}

/// The delete request has expired, and the reads that must show its job fail.
fn unreadable() -> Vec<Row> {
    let doubt = || in_doubt("a b", attempt("a b")).deleting();
    let expired = || doubt().expired();
    vec![
        row(
            "expired, and a read fails that may succeed next time: no job must be lost",
            expired().read_failure(ErrorClass::Unavailable),
            "AwaitingEvidence moving until Backoff, error Unavailable",
        ),
        row(
            "expired, and a read of one desktop fails that may succeed next time",
            expired()
                .desktop_views("a Deleting b Unlisted")
                .unreadable("b", ErrorClass::InDoubt, 1),
            "AwaitingEvidence moving until Backoff, error InDoubt",
        ),
        row(
            "expired, and the project is not ready for the moment",
            expired().obstacle(Reason::ProjectNotReady, false),
            "AwaitingEvidence moving until Refresh",
        ),
        row(
            "expired, and the project is not ready for a long time",
            doubt()
                .recovery_timed_out()
                .obstacle(Reason::ProjectNotReady, false),
            "finalizer off",
        ),
        row(
            "expired, and such reads fail for a long time",
            doubt().recovery_timed_out().read_failure(ErrorClass::Unavailable),
            "finalizer off",
        ),
        row(
            "expired, and the credentials are no longer accepted",
            expired().read_failure(ErrorClass::Authentication),
            "finalizer off",
        ),
    ]
}

fn submitted() -> Vec<Row> {
    vec![
        row(
            "the end of an accepted job is not waited for, but the job must be visible to other requests",
            accepted().deleting(),
            "JobRunning moving until JobVisibility",
        ),
        row(
            "the job visibility timeout is over",
            accepted().deleting().settled(),
            "finalizer off",
        ),
        row(
            "the job visibility timeout is over, and the job is overdue",
            accepted().deleting().settled().overdue(),
            "finalizer off",
        ),
    ]
}

/// What the object says while it is held.
fn message(seen: &Seen) -> String {
    match plan(&seen.0) {
        Step::Wait(progress) | Step::RecordProgress(progress) => progress.message,
        step => panic!("{}", super::tell::describe(&step)),
    }
}

#[test]
fn a_kept_object_reports_until_when() {
    let signed = message(&in_doubt("a b", attempt("a b")).deleting());
    assert!(signed.contains("2026-01-15T08:15:00Z"), "{signed}");
    let token = Attempt {
        auth: AuthMethod::Token,
        not_after: None,
        ..attempt("a b")
    };
    let unknown = message(&in_doubt("a b", token).deleting());
    assert!(
        unknown.contains("a few minutes after --token-life of the operator, 24h by default, has passed since 2026-01-15T08:00:00Z"),
        "{unknown}"
    );
}

#[test]
fn an_object_that_is_kept_until_its_job_is_visible_reports_it() {
    let told = message(&accepted().deleting());
    assert!(told.contains("kept for a few minutes"), "{told}");
}
