//! Two evidence checks, after the call has expired.

use desktop_deletion_operator::crd::deletion::{Attempt, DesktopState};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::OutcomeUpdate;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::plan::views::Evidence;

use super::super::build::{Seen, attempt, evidence, ids, in_doubt, jobs};
use super::super::tell::{Row, check, row};
use super::nothing_happened;

#[test]
fn two_evidence_checks_settle_an_attempt() {
    check(&clear());
    check(&partial());
    check(&before());
    check(&unsure());
}

/// Every situation of the tables, for the conditions.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    [clear(), partial(), before(), unsure()].into_iter().flatten()
}

/// The call has expired, both desktops are idle, no job is visible; this is the first evidence check.
fn expired_call() -> Seen {
    nothing_happened().expired()
}

/// The same, and an earlier evidence check had found nothing.
fn two_checks() -> Seen {
    expired_call().earlier(evidence("", ""))
}

/// The same, of an attempt that knew more.
fn knowing(attempt: Attempt) -> Seen {
    let seen = in_doubt("a b", attempt).all(DesktopView::Idle).sub_job_list("");
    seen.expired().earlier(evidence("", ""))
}

/// Two evidence checks of a request for `a` alone.
fn one_desktop() -> Seen {
    let seen = in_doubt("a", attempt("a")).all(DesktopView::Idle);
    seen.expired().earlier(evidence("", ""))
}

/// What is stored of the attempt.
fn outcome_update(seen: &Seen) -> OutcomeUpdate {
    match plan(&seen.0) {
        Step::RecordOutcome(outcome_update) => outcome_update,
        step => panic!("{}", super::super::tell::describe(&step)),
    }
}

#[test]
fn only_a_job_that_names_every_desktop_certainly_belongs_to_the_request() {
    for (sub_job_list, own) in [
        ("j1/a Running j1/b Running", Some("j1")),
        ("j1/a Running j2/a Failed j2/b Running", Some("j2")),
        ("j1/a Running", None),
        ("j1/a Running j2/b Running", None),
    ] {
        let outcome_update = outcome_update(&two_checks().sub_job_list(sub_job_list));
        assert_eq!(
            outcome_update.job.as_ref().map(ToString::to_string).as_deref(),
            own,
            "{sub_job_list}"
        );
    }
}

#[test]
fn only_desktops_of_the_attempt_are_reported() {
    let told = outcome_update(&one_desktop().sub_job_list("j1/a Running j1/z Running")).progress;
    assert!(told.message.contains("1 desktop"), "{}", told.message);
}

#[test]
fn without_a_job_incomplete_lists_do_not_mark_a_desktop_as_not_submitted() {
    let seen = two_checks().incomplete().recovery_timed_out();
    let desktops = outcome_update(&seen.desktop_views("a Deleting"))
        .progress
        .desktops;
    let states: Vec<_> = desktops.iter().map(|d| d.state).collect();
    assert_eq!(states, [DesktopState::Deleting, DesktopState::Unknown]);
}

#[test]
fn a_desktop_that_was_not_submitted_is_reported_with_the_action_to_take() {
    let desktops = outcome_update(&two_checks().desktop_views("a Deleting"))
        .progress
        .desktops;
    let untouched = desktops.iter().find(|d| d.state == DesktopState::Failed).unwrap();
    let message = untouched.message.as_ref().unwrap();
    assert!(message.contains("create a new request"), "{message}");
}

/// No effect, or a job that names every desktop.
fn clear() -> Vec<Row> {
    vec![
        row(
            "two evidence checks show every desktop untouched: no effect",
            two_checks(),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a desktop that is busy may turn out to be in a deletion: not settled yet",
            two_checks().desktop_views("a Busy"),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "a new job that covers the body",
            two_checks().sub_job_list("j1/a Running j1/b Waiting"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "a new job, spelled otherwise",
            two_checks().sub_job_list("j1/A Running j1/B Failed"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "two new jobs: both are followed",
            two_checks().sub_job_list("j1/a Success j2/b Failed"),
            "record Adopted, job j1 j2: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "two new jobs, and the later one names every desktop: it comes first",
            two_checks().sub_job_list("j1/a Running j2/a Failed j2/b Running"),
            "record Adopted, job j2 j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "a new job that also names a desktop of another request",
            one_desktop().sub_job_list("j1/a Running j1/z Running"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting",
        ),
        row(
            "a job of other desktops is no evidence",
            two_checks().sub_job_list("j1/c Running"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
    ]
}

/// It is visible for some desktops, or in one of the two checks.
fn partial() -> Vec<Row> {
    vec![
        row(
            "the first evidence check after the expiry settles nothing",
            expired_call(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "not even with evidence",
            expired_call()
                .desktop_views("a Deleting")
                .sub_job_list("j1/a Running"),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "mixed evidence: what the job has not shown yet stays open, and is never sent again",
            two_checks().sub_job_list("j1/a Running"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Unknown",
        ),
        row(
            "desktops are gone without a job: it took effect, the job is unknown",
            two_checks().desktop_views("a Gone b Gone"),
            "record Adopted: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "one is being deleted without a job",
            two_checks().desktop_views("a Deleting"),
            "record Adopted: JobRunning moving until JobChange; a Deleting, b Failed/NotSubmitted",
        ),
        row(
            "evidence of the first check counts even if the second does not find it",
            expired_call().earlier(evidence("j1", "a b")),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "evidence of either check counts",
            expired_call()
                .sub_job_list("j2/b Running")
                .earlier(evidence("j1", "a")),
            "record Adopted, job j1 j2: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "no evidence, but the list of jobs of the first check was incomplete",
            expired_call().earlier(Evidence::default()),
            "AwaitingEvidence moving until SecondRead",
        ),
    ]
}

/// What was so before, or is the doing of another request.
fn before() -> Vec<Row> {
    vec![
        row(
            "one failed to be deleted and had not before",
            two_checks().desktop_views("b DeleteFailed"),
            "record Adopted: JobRunning moving until JobChange; a Failed/NotSubmitted, b Deleting",
        ),
        row(
            "one failed to be deleted, as it had before",
            knowing(Attempt {
                baseline_failed_ids: ids("b"),
                ..attempt("a b")
            })
            .desktop_views("b DeleteFailed"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a job that was known before proves nothing",
            knowing(Attempt {
                baseline_job_ids: jobs("j1"),
                ..attempt("a b")
            })
            .sub_job_list("j1/a Failed"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a job of another request explains what happened to its desktop",
            two_checks()
                .desktop_views("a Deleting")
                .sub_job_list("j1/a Running")
                .of_another("j1"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "but not to another one",
            two_checks()
                .desktop_views("a Deleting b Deleting")
                .sub_job_list("j1/a Running")
                .of_another("j1"),
            "record Adopted: JobRunning moving until JobChange; a Failed/NotSubmitted, b Deleting",
        ),
        row(
            "a job of another request and one of ours",
            two_checks()
                .sub_job_list("j1/a Failed j2/a Running j2/b Running")
                .of_another("j1"),
            "record Adopted, job j2: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
    ]
}

/// The evidence may have gaps.
fn unsure() -> Vec<Row> {
    vec![
        row(
            "no evidence, but the list of jobs was incomplete: checked again",
            two_checks().incomplete(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "the jobs cannot be read to their end for long",
            two_checks().incomplete().recovery_timed_out(),
            "OutcomeUnknown stalled until SecondRead",
        ),
        row(
            "a job of the baseline is no longer recorded: others may be missing too",
            knowing(Attempt {
                baseline_job_ids: jobs("j1"),
                ..attempt("a b")
            }),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "an incomplete baseline errs only towards evidence",
            knowing(Attempt {
                baseline_incomplete: true,
                ..attempt("a b")
            }),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a job for the whole batch counts also in an incomplete list",
            two_checks()
                .sub_job_list("j1/a Running j1/b Running")
                .incomplete(),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "a job for a part of it may belong to another client: a complete list must show that there is no other",
            two_checks().sub_job_list("j1/a Running").incomplete(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "and so may the state of a desktop",
            two_checks().desktop_views("a Deleting").incomplete(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "a call that may have taken effect is never repeated: the job counts after the recovery timeout",
            two_checks()
                .sub_job_list("j1/a Running")
                .incomplete()
                .recovery_timed_out(),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Unknown",
        ),
    ]
}
