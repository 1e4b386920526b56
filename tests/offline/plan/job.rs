//! Situations in which a batch took effect.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::DesktopState;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;

use super::build::{Seen, accepted, minute};
use super::rules;
use super::tell::{Row, check, row};

mod ends;

#[test]
fn the_job_is_followed() {
    check(&running());
}

#[test]
fn the_final_state_of_a_desktop_needs_two_sources() {
    check(&successes());
    check(&failures());
    check(&undocumented());
}

/// No operator writes such a status; a client that does gets no final result by it.
#[test]
fn a_desktop_that_the_status_does_not_list_has_no_final_state() {
    let mut seen = accepted().states("a Deleted");
    seen.0.request.status.desktops.truncate(1);
    let step = plan(&seen.clone().job("j1", "a Success b Open").0);
    assert!(matches!(step, Step::RecordProgress(_)), "{step:?}");

    let gone = seen
        .no_finalizer()
        .job("j1", "a Success b Success")
        .desktop_views("b Gone");
    let ended = rules::written(&gone.0.request, &plan(&gone.0), &minute(90)).unwrap();
    let states: Vec<_> = ended.desktops.iter().map(|d| d.state).collect();
    assert_eq!(states, [DesktopState::Deleted; 2], "{ended:#?}");
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let tables = [running(), successes(), failures(), undocumented()];
    tables.into_iter().flatten().chain(ends::rows())
}

const RUNNING: &str = "JobRunning moving until JobChange";

fn running() -> Vec<Row> {
    let mut unknown = accepted();
    unknown.0.project = None;
    let mut unlisted = accepted();
    unlisted.0.request.status.desktops.clear();
    vec![
        row("nothing is known in this pass", unknown, "read the project"),
        row("the poller is asked", accepted(), "read j1"),
        row(
            "no desktop is in the status, which says nothing about their ends",
            unlisted.job("j1", ""),
            RUNNING,
        ),
        row(
            "the poller has not seen it yet",
            accepted().job("j1", ""),
            RUNNING,
        ),
        row("it runs", accepted().job("j1", "a Open b Open"), RUNNING),
        row(
            "a running job needs no read of the desktops",
            accepted().job("j1", "a Open").desktop_views("a Gone"),
            RUNNING,
        ),
        row(
            "suspend comes too late",
            accepted().suspended().job("j1", "a Open b Open"),
            RUNNING,
        ),
        row(
            "the deadline comes too late as well",
            accepted().too_late().job("j1", "a Open b Open"),
            RUNNING,
        ),
        row(
            "a suspended project is followed",
            accepted().project_suspended().job("j1", "a Open b Open"),
            RUNNING,
        ),
        row(
            "the project has changed: no final state from another project",
            accepted().project_at("another"),
            "ProjectChanged stalled until Refresh",
        ),
        row(
            "the project cannot be used",
            accepted().obstacle(Reason::ProjectNotReady, false),
            "ProjectNotReady retrying until Refresh",
        ),
        row(
            "a read failed: a user must fix it",
            accepted().job("j1", "").read_failure(ErrorClass::Permission),
            "PermissionDenied stalled until JobChange, error Permission",
        ),
        row(
            "a read failed: it is temporary",
            accepted().job("j1", "").read_failure(ErrorClass::Throttled),
            "Throttled retrying until JobChange, error Throttled",
        ),
    ]
}

fn successes() -> Vec<Row> {
    let half = || accepted().job("j1", "a Success b Open");
    let both = || accepted().job("j1", "a Success b Success");
    vec![
        row("success is only the first source", half(), "list a"),
        row(
            "missing from a complete list is the second",
            half().desktop_views("a Missing"),
            "JobRunning moving until JobChange; a Deleted",
        ),
        row(
            "missing from an incomplete list is none: a GET decides",
            half().desktop_views("a Unlisted"),
            "get a",
        ),
        row(
            "one GET is enough",
            half().desktop_views("a Gone"),
            "JobRunning moving until JobChange; a Deleted",
        ),
        row(
            "success, but still listed",
            both().desktop_views("a Missing b Idle"),
            "Verifying moving until PollInterval; a Deleted",
        ),
        row(
            "success, but still being deleted",
            both().desktop_views("a Missing b Deleting"),
            "Verifying moving until PollInterval; a Deleted",
        ),
    ]
}

/// The job says of a desktop what is not documented.
fn undocumented() -> Vec<Row> {
    vec![
        row(
            "an undocumented status is open while the parent runs",
            accepted()
                .job("j1", "a Success b Other")
                .desktop_views("a Missing"),
            "JobRunning moving until JobChange; a Deleted",
        ),
        row(
            "an undocumented status after the end of the parent: the desktop decides",
            accepted()
                .job("j1", "a Success b Other")
                .parent_ended("j1", None)
                .desktop_views("a Missing b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/SKIPPED",
        ),
        row(
            "and it may be gone",
            accepted()
                .job("j1", "a Success b Other")
                .parent_ended("j1", None)
                .desktop_views("a Missing b Gone")
                .no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted); a Deleted, b Deleted",
        ),
    ]
}

fn failures() -> Vec<Row> {
    let failed = || {
        accepted()
            .job("j1", "a Success b Failed")
            .desktop_views("a Missing")
    };
    let silent = || {
        accepted()
            .job("j1", "a Success")
            .parent_ended("j1", Some("quota"))
            .desktop_views("a Missing")
    };
    vec![
        row("failed: the state of the desktop decides", failed(), "list b"),
        row(
            "failed, and idle: a second read must confirm it",
            failed().desktop_views("b Idle"),
            "Verifying moving until SecondRead; a Deleted",
        ),
        row(
            "failed, and the desktop reports it: still a second read",
            failed().desktop_views("b DeleteFailed"),
            "Verifying moving until SecondRead; a Deleted",
        ),
        row(
            "failed, but another client is deleting it",
            failed().desktop_views("b Deleting"),
            "Verifying moving until PollInterval; a Deleted",
        ),
        row(
            "failed, but something is done to it",
            failed().desktop_views("b Busy"),
            "Verifying moving until PollInterval; a Deleted",
        ),
        row(
            "failed, but the list lacks it: a GET decides",
            failed().desktop_views("b Missing"),
            "get b",
        ),
        row(
            "failed, but gone: the desktop overrides the job",
            failed().desktop_views("b Gone").no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted); a Deleted, b Deleted",
        ),
        row(
            "failed, and idle twice",
            failed().desktop_views("b Idle").idle_twice("b").no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/WKS.1",
        ),
        row(
            "failed without a code, and idle twice",
            accepted()
                .job("j1", "a Success b FailedSilently")
                .desktop_views("a Missing b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed",
        ),
        row(
            "no sub-job, and the parent runs",
            accepted().job("j1", "a Success").desktop_views("a Missing"),
            "JobRunning moving until JobChange; a Deleted",
        ),
        row("no sub-job, and the parent has ended", silent(), "list b"),
        row(
            "no sub-job, the parent has ended, idle once",
            silent().desktop_views("b Idle"),
            "Verifying moving until SecondRead; a Deleted",
        ),
        row(
            "no sub-job, the parent has ended, idle twice",
            silent().desktop_views("b Idle").idle_twice("b").no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/NoSubJob",
        ),
        row(
            "no sub-job, the parent has ended, missing: a GET decides",
            silent().desktop_views("b Missing"),
            "get b",
        ),
        row(
            "desktops with a final state are not read again",
            accepted().states("a Deleted").job("j1", "a Open b Open"),
            RUNNING,
        ),
    ]
}

/// The message of the step.
fn message(seen: &Seen) -> String {
    match plan(&seen.0) {
        Step::Wait(progress) | Step::RecordProgress(progress) => progress.message,
        Step::Finish(ending) => ending.message,
        step => panic!("{}", super::tell::describe(&step)),
    }
}

#[test]
fn messages_name_what_failed_and_why() {
    let failed = accepted()
        .job("j1", "a Success b Failed")
        .desktop_views("a Missing b Idle")
        .idle_twice("b")
        .no_finalizer();
    let text = message(&failed);
    for word in ["1 desktop deleted", "1 failed (b)", "so it is"] {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
    assert!(!text.contains("absent"), "{text:?}");
    let for_two_reasons = accepted()
        .overdue()
        .job("j1", "a Success b Failed")
        .desktop_views("a Idle b Idle")
        .idle_twice("a b")
        .no_finalizer();
    let text = message(&for_two_reasons);
    assert!(
        text.contains("2 failed (a, b), the first one: the job reports success"),
        "{text:?}"
    );
    let some_were_gone = accepted()
        .states("a Deleted b Absent")
        .job("j1", "")
        .no_finalizer();
    assert_eq!(
        message(&some_were_gone),
        "1 desktop deleted, 1 already absent; these do not have the form of a desktop ID (a UUID): b; spec.desktopIDs takes IDs, not computer names"
    );
    let late = accepted()
        .overdue()
        .job("j1", "a Open b Success")
        .desktop_views("a Deleting b Missing");
    let text = message(&late);
    for word in ["1 desktop ", "(a)", "console"] {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
    let elsewhere = message(&accepted().project_at("another"));
    assert!(
        elsewhere.contains("or set the annotation cloud-desktops.dev/resolve of this object to ")
            && elsewhere.contains("=abandon"),
        "{elsewhere}"
    );
}

#[test]
fn the_reason_of_the_parent_job_is_reported_for_a_desktop_without_a_sub_job() {
    let seen = accepted()
        .job("j1", "a Success")
        .parent_ended("j1", Some("quota"))
        .desktop_views("a Missing b Idle")
        .idle_twice("b")
        .no_finalizer();
    assert!(message(&seen).contains("quota"));
}
