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
fn an_object_is_held_only_while_a_request_of_it_may_reach_the_cloud() {
    check(&rows().collect::<Vec<_>>());
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    [nothing_submitted(), in_flight(), submitted()]
        .into_iter()
        .flatten()
}

fn nothing_submitted() -> Vec<Row> {
    vec![
        row("nothing of ours holds it", untouched("a b").deleting(), "rest"),
        row("nothing was submitted", ready("a b").deleting(), "finalizer off"),
        row(
            "the deadline passed meanwhile: no verdict is needed",
            ready("a b").deleting().too_late(),
            "finalizer off",
        ),
        row(
            "a refused attempt holds nothing",
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
            "the outcome is a word of a newer version: held as in doubt",
            newer(),
            held,
        ),
        row(
            "the outcome is a word of a newer version, and no call can take effect any more",
            newer().expired(),
            "finalizer off",
        ),
        row(
            "a request may still arrive: held, also without project and Secret",
            alive,
            held,
        ),
        row(
            "its end is near, and the list was cut: a job may show in the next one",
            expired().all(DesktopView::Idle).sub_job_list("").incomplete(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "for long the list is cut: it does not hang on that",
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
            "a request may still arrive, whatever the reads show",
            doubt()
                .all(DesktopView::Deleting)
                .sub_job_list("j1/a Running j1/b Running"),
            held,
        ),
        row("dead: looked at once more", unknown, "read the project"),
        row("dead: the desktops", expired(), "list a b"),
        row("dead: the jobs", expired().all(DesktopView::Idle), "sweep"),
        row(
            "dead, and nothing happened",
            expired().all(DesktopView::Idle).sub_job_list(""),
            "finalizer off",
        ),
        row(
            "dead, and a job came of it: stored before the object goes",
            expired()
                .all(DesktopView::Deleting)
                .sub_job_list("j1/a Running j1/b Running"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "dead, and the project is gone: it does not hang on that",
            expired().obstacle(Reason::ProjectNotReady, true),
            "finalizer off",
        ),
        row(
            "dead, and the project points elsewhere",
            expired().project_at("another"),
            "finalizer off",
        ),
        row(
            "dead, and a read fails that may succeed next time: a job must not be lost by that",
            expired().read_failure(ErrorClass::Unavailable),
            "AwaitingEvidence moving until Backoff, error Unavailable",
        ),
        row(
            "dead, and such reads fail for long",
            doubt().recovery_timed_out().read_failure(ErrorClass::Unavailable),
            "finalizer off",
        ),
        row(
            "dead, and the login is not accepted any more",
            expired().read_failure(ErrorClass::Authentication),
            "finalizer off",
        ),
    ]
}

fn submitted() -> Vec<Row> {
    vec![
        row(
            "an accepted job is not waited for, but must be visible to a twin",
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
        step => panic!("{}", super::tell::tell(&step)),
    }
}

#[test]
fn a_held_object_says_until_when() {
    let signed = message(&in_doubt("a b", attempt("a b")).deleting());
    assert!(signed.contains("2026-01-15T08:15:00Z"), "{signed}");
    let token = Attempt {
        auth: AuthMethod::Token,
        not_after: None,
        ..attempt("a b")
    };
    let unknown = message(&in_doubt("a b", token).deleting());
    assert!(
        unknown.contains("--token-life of the operator, 24h by default, after 2026-01-15T08:00:00Z"),
        "{unknown}"
    );
}

#[test]
fn an_object_whose_job_must_show_first_says_so() {
    let told = message(&accepted().deleting());
    assert!(told.contains("kept for a few minutes"), "{told}");
}
