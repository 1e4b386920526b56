//! Situations in which the response of the cloud was lost.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, Outcome};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::build::{Seen, attempt, effective, evidence, in_doubt, jobs, minute, no_effect, ready};
use super::tell::{Row, check, row};

mod settlement;

#[test]
fn the_reads_of_an_evidence_check() {
    check(&evidence_reads());
}

#[test]
fn nothing_is_settled_before_the_call_has_expired() {
    check(&early_evidence_reads());
    check(&early());
}

#[test]
fn an_effect_that_becomes_visible_late_still_belongs_to_the_request() {
    check(&late());
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let tables = [evidence_reads(), early_evidence_reads(), early(), late()];
    tables.into_iter().flatten().chain(settlement::rows())
}

/// An attempt for `a b` with unknown outcome.
fn unknown_outcome() -> Seen {
    in_doubt("a b", attempt("a b"))
}

/// The same, both desktops idle, no job.
fn nothing_happened() -> Seen {
    unknown_outcome().all(DesktopView::Idle).sub_job_list("")
}

#[test]
fn nothing_is_sent_while_an_attempt_has_an_outcome_of_a_newer_version() {
    let newer = Attempt {
        outcome: Outcome::Other,
        ..attempt("a b")
    };
    let seen = in_doubt("a b", newer);
    check(&[
        row("it waits", seen.clone(), "Undecodable stalled until Change"),
        row(
            "also where nothing happened",
            seen.all(DesktopView::Idle).sub_job_list(""),
            "Undecodable stalled until Change",
        ),
    ]);
}

fn evidence_reads() -> Vec<Row> {
    let mut unknown = in_doubt("a b", attempt("a b")).expired();
    unknown.0.project = None;
    let dead = || unknown_outcome().expired();
    let body = |status: &str, of: &str| in_doubt("a b c", attempt(of)).states(status).expired();
    vec![
        row("nothing is known in this pass", unknown, "read the project"),
        row("the desktops of the body are read", dead(), "list a b"),
        row(
            "those that were gone before are not",
            body("b Absent", "a c"),
            "list a c",
        ),
        row(
            "one that the list lacks is asked for by its id",
            dead().desktop_views("a Idle b Missing"),
            "get b",
        ),
        row(
            "so is one that an incomplete list lacks",
            dead().desktop_views("a Unlisted b Idle"),
            "get a",
        ),
        row(
            "the jobs are read",
            dead().all(DesktopView::Idle),
            "list sub-jobs",
        ),
        row(
            "a new job that names a desktop of the body may be that of another request",
            nothing_happened()
                .expired()
                .sub_job_list("j1/a Running")
                .unasked("j1"),
            "owner of j1",
        ),
        row(
            "of a job that was known before, or of other desktops, that is not asked",
            in_doubt(
                "a b",
                Attempt {
                    baseline_job_ids: jobs("j1"),
                    ..attempt("a b")
                },
            )
            .expired()
            .all(DesktopView::Idle)
            .sub_job_list("j1/a Failed j2/c Running")
            .unasked("j1 j2"),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "suspend comes too late: only the outcome is determined",
            dead().suspended(),
            "list a b",
        ),
        row(
            "so does a suspended project",
            in_doubt("a b", attempt("a b")).project_suspended().expired(),
            "list a b",
        ),
        row("and the deadline", dead().too_late(), "list a b"),
        row("and the end of the process", dead().stopping(), "list a b"),
    ]
}

/// The request carried a token that ends then, if that is known; nothing happened.
fn token(not_after: Option<Time>) -> Seen {
    let attempt = Attempt {
        auth: AuthMethod::Token,
        not_after,
        ..attempt("a b")
    };
    in_doubt("a b", attempt).all(DesktopView::Idle).sub_job_list("")
}

/// The reads of an evidence check before anything can be decided.
fn early_evidence_reads() -> Vec<Row> {
    let wait = "AwaitingEvidence moving until Expiry";
    let mut unknown = in_doubt("a b", attempt("a b"));
    unknown.0.project = None;
    vec![
        row(
            "nothing is known in this pass",
            unknown.clone(),
            "read the project",
        ),
        row("its job need not show yet", unknown.before_initial_poll(), wait),
        row(
            "the jobs are read, and no desktop",
            unknown_outcome(),
            "list sub-jobs",
        ),
        row(
            "where the service's clock is not known, two kinds of calls ask for it",
            unknown_outcome().service_clock_unknown(),
            "list a b",
        ),
        row(
            "and then the jobs are read",
            unknown_outcome().service_clock_unknown().all(DesktopView::Idle),
            "list sub-jobs",
        ),
        row(
            "where it differs, only the desktops are read: the lists of jobs may have the wrong time",
            unknown_outcome().clock_skewed(),
            "list a b",
        ),
        row(
            "and it is waited",
            unknown_outcome().clock_skewed().all(DesktopView::Idle),
            "ClockSkew stalled until Expiry",
        ),
        row(
            "a new job that names a desktop of the body may be that of another request",
            unknown_outcome().sub_job_list("j1/a Running").unasked("j1"),
            "owner of j1",
        ),
        row(
            "it is",
            unknown_outcome().sub_job_list("j1/a Running").of_another("j1"),
            wait,
        ),
    ]
}

fn early() -> Vec<Row> {
    let wait = "AwaitingEvidence moving until Expiry";
    vec![
        row("untouched", nothing_happened(), wait),
        row(
            "clocks that differ too much delay it, and user action is required",
            nothing_happened().clock_skewed(),
            "ClockSkew stalled until Expiry",
        ),
        row(
            "a job that covers the body",
            nothing_happened().sub_job_list("j1/a Running j1/b Running"),
            wait,
        ),
        row(
            "a job that has ended, and the desktops are gone",
            nothing_happened()
                .desktop_views("a Gone b Gone")
                .sub_job_list("j1/a Success j1/b Success"),
            wait,
        ),
        row(
            "even with an earlier evidence check",
            nothing_happened()
                .desktop_views("a Deleting")
                .earlier(evidence("", "a")),
            wait,
        ),
        row(
            "the project cannot be used",
            unknown_outcome().obstacle(Reason::ProjectNotReady, true),
            "AwaitingEvidence moving until Refresh",
        ),
        row(
            "the project points elsewhere: nothing is read there",
            unknown_outcome().project_at("another"),
            "AwaitingEvidence moving until Refresh",
        ),
        row(
            "a read failed",
            unknown_outcome().read_failure(ErrorClass::Unavailable),
            "AwaitingEvidence moving until Backoff, error Unavailable",
        ),
        row(
            "the project cannot be used for long",
            unknown_outcome()
                .recovery_timed_out()
                .obstacle(Reason::ProjectNotReady, true),
            "OutcomeUnknown stalled until Refresh",
        ),
        row(
            "reads fail for long",
            unknown_outcome()
                .recovery_timed_out()
                .read_failure(ErrorClass::Permission),
            "OutcomeUnknown stalled until Refresh, error Permission",
        ),
        row(
            "a token with unknown expiry: a user may know the outcome at once",
            token(None),
            "OutcomeUnknown stalled until Expiry",
        ),
        row(
            "a token that lives for a day: user action is requested at once",
            token(Some(minute(24 * 60))),
            "OutcomeUnknown stalled until Expiry",
        ),
        row(
            "a token that expires just before user action is requested",
            token(Some(minute(30))),
            "AwaitingEvidence moving until Expiry",
        ),
        row(
            "a token that ends soon",
            token(Some(minute(15))),
            "AwaitingEvidence moving until Expiry",
        ),
    ]
}

/// An attempt was taken to have had no effect, and before the next one its job shows.
fn late() -> Vec<Row> {
    let again = || ready("a b").begun().attempt(no_effect("n1", "a b"));
    let followed = || {
        let shown = effective("a b", Outcome::NoEffect, "j1");
        in_doubt("a b", shown).states("a Deleting b Deleting")
    };
    vec![
        row("nothing shows", again(), "sign a b"),
        row(
            "the jobs are read first",
            again().no_sub_job_list(),
            "list sub-jobs",
        ),
        row(
            "also if nothing is left to delete",
            again().desktop_views("a Gone b Gone").no_sub_job_list(),
            "list sub-jobs",
        ),
        row(
            "a new job may be that of another request",
            again().sub_job_list("j1/a Failed").unasked("j1"),
            "owner of j1",
        ),
        row(
            "a job is visible: it belongs to that attempt, whose outcome stays",
            again().sub_job_list("j1/a Running j1/b Running"),
            "record NoEffect, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "a job that has ended is visible",
            again()
                .desktop_views("a Gone b Gone")
                .sub_job_list("j1/a Success j1/b Success"),
            "record NoEffect, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "a job of another request does not block it",
            again().sub_job_list("j1/a Failed").of_another("j1"),
            "sign a b, known j1",
        ),
        row(
            "a desktop that is gone proves nothing by now",
            again().desktop_views("a Gone"),
            "sign b",
        ),
        row("a job that became visible is followed", followed(), "read j1"),
        row(
            "and nothing is sent any more",
            followed()
                .job("j1", "a Failed b Failed")
                .desktop_views("a Idle b Idle"),
            "Verifying moving until SecondRead",
        ),
    ]
}

#[test]
fn a_job_that_may_be_ours_is_named_at_once() {
    let seen = nothing_happened().sub_job_list("j1/a Running j1/b Running");
    let Step::RecordProgress(progress) = plan(&seen.0) else {
        panic!("nothing to say");
    };
    assert!(progress.message.contains("job: j1"), "{}", progress.message);
    assert!(progress.message.contains("2 desktops"), "{}", progress.message);
}

#[test]
fn a_job_of_another_request_is_not_named() {
    let seen = nothing_happened().sub_job_list("j1/a Running").of_another("j1");
    let Step::RecordProgress(progress) = plan(&seen.0) else {
        panic!("nothing to say");
    };
    assert!(!progress.message.contains("job: j1"), "{}", progress.message);
}

#[test]
fn a_desktop_with_a_task_or_an_undocumented_status_is_named() {
    let message = |states: &str| {
        let seen = unknown_outcome().expired().desktop_views(states).sub_job_list("");
        let Step::RecordProgress(progress) = plan(&seen.0) else {
            panic!("nothing to say");
        };
        progress.message
    };
    let busy = message("a Busy b Idle");
    assert!(
        busy.ends_with("no running task and a documented status: a"),
        "{busy}"
    );
    let idle = message("a Idle b Idle");
    assert!(!idle.contains("documented status"), "{idle}");
}

#[test]
fn the_reason_why_evidence_cannot_be_read_is_reported() {
    let seen = unknown_outcome().obstacle(Reason::ProjectNotReady, true);
    let Step::RecordProgress(progress) = plan(&seen.0) else {
        panic!("nothing to say");
    };
    assert!(
        progress.message.contains("the project says why"),
        "{}",
        progress.message
    );
}
