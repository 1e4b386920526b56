//! Situations at the end of a job, in time or not.

use desktop_deletion_operator::crd::deletion::{ErrorClass, Outcome};
use desktop_deletion_operator::ids::Operation;

use super::super::build::{accepted, effective, in_doubt, untouched};
use super::super::tell::{Row, check, row};
use super::RUNNING;

#[test]
fn a_job_that_takes_too_long() {
    check(&overdue());
    check(&unreadable());
}

#[test]
fn a_recovered_job_is_followed() {
    check(&recovered());
    check(&perhaps_submitted());
}

#[test]
fn all_desktops_have_a_final_state() {
    check(&verdicts());
}

/// Every situation of the tables, for the conditions.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    [
        overdue(),
        unreadable(),
        recovered(),
        perhaps_submitted(),
        verdicts(),
    ]
    .into_iter()
    .flatten()
}

fn overdue() -> Vec<Row> {
    let late = || accepted().overdue().job("j1", "a Open b Success");
    vec![
        row("the desktops are read regardless of the job", late(), "list a b"),
        row(
            "gone though the job runs: one GET is enough",
            late().desktop_views("a Gone b Missing").no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted); a Deleted, b Deleted",
        ),
        row(
            "missing though the job runs: a GET decides",
            late().desktop_views("a Missing b Missing"),
            "get a",
        ),
        row(
            "the job still runs: user action is required, and it is still followed",
            late().desktop_views("a Deleting b Missing"),
            "JobOverdue stalled until JobChange; b Deleted",
        ),
        row(
            "idle although the job runs: no final state while it may still act",
            late().desktop_views("a Idle b Missing").idle_twice("a"),
            "JobOverdue stalled until JobChange; b Deleted",
        ),
        row(
            "success, but the desktop still exists: a list may lag, so one read is not enough",
            late().desktop_views("a Gone b Idle"),
            "JobOverdue stalled until JobChange; a Deleted",
        ),
        row(
            "success, and still being deleted: no final state",
            late().desktop_views("a Gone b Deleting"),
            "JobOverdue stalled until JobChange; a Deleted",
        ),
        row(
            "the job cannot be read: the desktops are still read",
            accepted()
                .overdue()
                .job("j1", "")
                .read_failure_of(Operation::ShowJob, ErrorClass::InDoubt),
            "list a b",
        ),
        row(
            "the job cannot be read, and one desktop is gone",
            accepted()
                .overdue()
                .job("j1", "")
                .read_failure_of(Operation::ShowJob, ErrorClass::InDoubt)
                .desktop_views("a Gone b Idle")
                .idle_twice("b"),
            "JobOverdue stalled until JobChange, error InDoubt; a Deleted",
        ),
        row(
            "the desktops cannot be read either",
            accepted()
                .overdue()
                .job("j1", "")
                .read_failure(ErrorClass::InDoubt),
            "ServiceUnavailable retrying until JobChange, error InDoubt",
        ),
        row(
            "the job has neither a status nor sub-jobs: the desktops decide",
            accepted()
                .overdue()
                .job("j1", "")
                .parent_unclear("j1")
                .desktop_views("a Gone b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/NoSubJob",
        ),
        row(
            "an undocumented status while the job runs: the desktop decides",
            accepted()
                .overdue()
                .job("j1", "a Other b Success")
                .desktop_views("a Idle b Missing")
                .idle_twice("a")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Failed/SKIPPED, b Deleted",
        ),
        row(
            "success, but the desktop still exists in two reads",
            late()
                .desktop_views("a Gone b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/StillPresent",
        ),
    ]
}

fn unreadable() -> Vec<Row> {
    let late = || accepted().overdue().job("j1", "a Open b Success");
    vec![
        row(
            "one desktop cannot be read: the others are",
            late()
                .desktop_views("a Unlisted b Unlisted")
                .unreadable("a", ErrorClass::InDoubt, 1),
            "get b",
        ),
        row(
            "one desktop cannot be read, and another one is gone",
            late()
                .desktop_views("a Unlisted b Gone")
                .unreadable("a", ErrorClass::InDoubt, 1),
            "ServiceUnavailable retrying until JobChange, error InDoubt; b Deleted",
        ),
    ]
}

fn recovered() -> Vec<Row> {
    let adopted = |jobs| {
        untouched("a b")
            .attempt(effective("a b", Outcome::Adopted, jobs))
            .begun()
            .states("a Deleting b Deleting")
            .project()
            .finalizer()
    };
    let partly = || adopted("j1").states("b Failed");
    vec![
        row("without a job the desktops are read", adopted(""), "list a b"),
        row(
            "without a job: gone by a GET",
            adopted("").desktop_views("a Gone b Gone").no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted); a Deleted, b Deleted",
        ),
        row(
            "without a job: missing is asked for by its id",
            adopted("").desktop_views("a Gone b Missing"),
            "get b",
        ),
        row(
            "without a job: still being deleted",
            adopted("").desktop_views("a Gone b Deleting"),
            "Verifying moving until PollInterval; a Deleted",
        ),
        row(
            "without a job: idle twice",
            adopted("")
                .desktop_views("a Gone b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/NoSubJob",
        ),
        row("both jobs are read: the first", adopted("j1 j2"), "read j1"),
        row(
            "both jobs are read: the second",
            adopted("j1 j2").job("j1", "a Open"),
            "read j2",
        ),
        row(
            "success in either is the first source",
            adopted("j1 j2")
                .job("j1", "a Failed b Open")
                .job("j2", "a Success"),
            "list a",
        ),
        row(
            "failed in one while the other still works on it: no final state",
            adopted("j1 j2")
                .job("j1", "a Failed b Open")
                .job("j2", "a Open")
                .desktop_views("a Idle")
                .idle_twice("a"),
            RUNNING,
        ),
        row(
            "failed in one while the other was not read completely: no final state",
            adopted("j1 j2")
                .job("j1", "a Failed b Failed")
                .job("j2", "")
                .desktop_views("a Idle b Idle")
                .idle_twice("a")
                .idle_twice("b"),
            RUNNING,
        ),
        row(
            "the same, overdue, and the other has ended: the failure counts",
            adopted("j1 j2")
                .overdue()
                .job("j1", "a Failed b Failed")
                .job("j2", "b Failed")
                .parent_ended_cut("j2")
                .desktop_views("a Idle b Idle")
                .idle_twice("a")
                .idle_twice("b")
                .no_finalizer(),
            "finish AllFailed (submitted: AllFailed); a Failed/WKS.1, b Failed/WKS.1",
        ),
        row(
            "the parent has ended and says that a deletion still runs: overdue, the desktop decides",
            adopted("j1")
                .overdue()
                .job("j1", "a Open b Success")
                .parent_ended("j1", None)
                .desktop_views("a Idle b Missing")
                .idle_twice("a")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Failed/StillOpen, b Deleted",
        ),
        row(
            "what was not submitted stays failed",
            partly()
                .job("j1", "a Success")
                .desktop_views("a Missing")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted",
        ),
    ]
}

fn verdicts() -> Vec<Row> {
    let ended = |states| accepted().states(states).job("j1", "");
    let three = || {
        let accepted = effective("a b c", Outcome::Accepted, "j1");
        in_doubt("a b c", accepted).job_id("j1").job("j1", "")
    };
    vec![
        row(
            "the finalizer is removed before the last write, after which no event follows",
            ended("a Deleted b Deleted"),
            "finalizer off",
        ),
        row(
            "all deleted",
            ended("a Deleted b Deleted").no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted)",
        ),
        row(
            "all that were there are deleted",
            ended("a Deleted b Absent").no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted)",
        ),
        row(
            "some failed",
            ended("a Deleted b Failed").no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed)",
        ),
        row(
            "one of three failed",
            three().states("a Deleted b Deleted c Failed").no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed)",
        ),
        row(
            "none was deleted",
            ended("a Failed b Failed").no_finalizer(),
            "finish AllFailed (submitted: AllFailed)",
        ),
    ]
}

/// A recovered job may not have shown every desktop of the body yet.
fn perhaps_submitted() -> Vec<Row> {
    let perhaps = |jobs| {
        untouched("a b")
            .attempt(effective("a b", Outcome::Adopted, jobs))
            .begun()
            .states("a Deleting b Unknown")
            .project()
            .finalizer()
    };
    let shown = || perhaps("j1").job("j1", "a Success").parent_ended("j1", None);
    let cut = || perhaps("j1").job("j1", "a Success").parent_ended_cut("j1");
    vec![
        row(
            "what the job has not shown yet is open while it runs",
            perhaps("j1").job("j1", "a Open"),
            "JobRunning moving until JobChange",
        ),
        row(
            "the job ended and showed every sub-job: the desktop is read",
            shown().desktop_views("a Missing"),
            "list b",
        ),
        row(
            "and was not submitted if it is idle twice",
            shown()
                .desktop_views("a Missing b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/NotSubmitted",
        ),
        row(
            "the job ended and not every sub-job was read: no state is reported",
            cut().desktop_views("a Missing b Idle").idle_twice("b"),
            "JobRunning moving until JobChange; a Deleted",
        ),
        row(
            "until it is overdue: the desktop decides",
            cut()
                .overdue()
                .desktop_views("a Missing b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Failed/NoSubJob",
        ),
        row(
            "which may be gone",
            cut().overdue().desktop_views("a Missing b Gone").no_finalizer(),
            "finish AllDeleted (submitted: AllDeleted); a Deleted, b Deleted",
        ),
        row(
            "where no job is known it is open too",
            perhaps("").desktop_views("a Gone b Idle").idle_twice("b"),
            "JobRunning moving until JobChange; a Deleted",
        ),
        row(
            "and stays unknown once it is overdue",
            perhaps("")
                .overdue()
                .desktop_views("a Gone b Idle")
                .idle_twice("b")
                .no_finalizer(),
            "finish PartiallyFailed (submitted: PartiallyFailed); a Deleted, b Unknown",
        ),
        row(
            "a deletion that runs longer than that has no final state",
            perhaps("j1")
                .overdue()
                .job("j1", "a Open")
                .desktop_views("a Deleting b Idle")
                .idle_twice("b"),
            "JobOverdue stalled until JobChange",
        ),
    ]
}
