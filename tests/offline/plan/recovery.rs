//! Situations in which the answer of the cloud was lost.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, Outcome};
use desktop_deletion_operator::plan::classify::Class;
use desktop_deletion_operator::plan::observed::Sight;
use desktop_deletion_operator::plan::recovery::Evidence;
use desktop_deletion_operator::plan::{Step, plan};

use super::build::{Seen, attempt, effective, evidence, ids, in_doubt, jobs, no_effect, ready};
use super::tell::{Row, check, row};

#[test]
fn the_reads_of_a_look() {
    check(&looks());
}

#[test]
fn before_the_request_is_surely_dead_nothing_is_settled() {
    check(&early());
}

#[test]
fn two_looks_settle_it() {
    check(&verdicts());
}

#[test]
fn an_effect_that_shows_late_is_ours_all_the_same() {
    check(&late());
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    [looks(), early(), verdicts(), late()].into_iter().flatten()
}

/// An attempt for `a b` in doubt.
fn doubt() -> Seen {
    in_doubt("a b", attempt("a b"))
}

/// The same, both desktops idle, no job.
fn nothing_happened() -> Seen {
    doubt().all(Sight::Idle).sweep("")
}

fn looks() -> Vec<Row> {
    let mut unknown = in_doubt("a b", attempt("a b"));
    unknown.0.project = None;
    vec![
        row("nothing is known in this pass", unknown, "read the project"),
        row("the desktops of the body are read", doubt(), "list a b"),
        row(
            "those that were gone before are not",
            in_doubt("a b c", attempt("a c")).states("b Absent"),
            "list a c",
        ),
        row(
            "one that the list lacks is asked for by its id",
            doubt().sights("a Idle b Missing"),
            "get b",
        ),
        row(
            "so is one that a cut list lacks",
            doubt().sights("a Unlisted b Idle"),
            "get a",
        ),
        row("the jobs are read", doubt().all(Sight::Idle), "sweep"),
        row(
            "a new job that names a desktop of the body may be that of another request",
            nothing_happened().sweep("j1/a Running").unasked("j1"),
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
            .all(Sight::Idle)
            .sweep("j1/a Failed j2/c Running")
            .unasked("j1 j2"),
            "AwaitingEvidence moving until Dead",
        ),
        row(
            "suspend comes too late: it is only found out what happened",
            doubt().suspended(),
            "list a b",
        ),
        row(
            "so does a suspended project",
            in_doubt("a b", attempt("a b")).project_suspended(),
            "list a b",
        ),
        row("and the deadline", doubt().too_late(), "list a b"),
        row("and the end of the process", doubt().stopping(), "list a b"),
    ]
}

fn early() -> Vec<Row> {
    let wait = "AwaitingEvidence moving until Dead";
    vec![
        row("untouched", nothing_happened(), wait),
        row(
            "a job that covers the body",
            nothing_happened().sweep("j1/a Running j1/b Running"),
            wait,
        ),
        row(
            "a job that has ended, and the desktops are gone",
            nothing_happened()
                .sights("a Gone b Gone")
                .sweep("j1/a Success j1/b Success"),
            wait,
        ),
        row(
            "even with an earlier look",
            nothing_happened().sights("a Deleting").earlier(evidence("", "a")),
            wait,
        ),
        row(
            "the project cannot be used",
            doubt().obstacle(Reason::ProjectNotReady, true),
            "AwaitingEvidence moving until Refresh",
        ),
        row(
            "the project points elsewhere: nothing is read there",
            doubt().project_at("another"),
            "AwaitingEvidence moving until Refresh",
        ),
        row(
            "a read failed",
            doubt().trouble(Class::Unavailable),
            "AwaitingEvidence moving until Backoff, error Unavailable",
        ),
        row(
            "the project cannot be used for long",
            doubt().evidence_overdue().obstacle(Reason::ProjectNotReady, true),
            "OutcomeUnknown stalled until Refresh",
        ),
        row(
            "reads fail for long",
            doubt().evidence_overdue().trouble(Class::Permission),
            "OutcomeUnknown stalled until Refresh, error Permission",
        ),
        row(
            "a token whose end is unknown: a person may know more at once",
            in_doubt(
                "a b",
                Attempt {
                    auth: AuthMethod::Token,
                    not_after: None,
                    ..attempt("a b")
                },
            )
            .all(Sight::Idle)
            .sweep(""),
            "OutcomeUnknown stalled until Dead",
        ),
    ]
}

fn verdicts() -> Vec<Row> {
    let dead = || nothing_happened().surely_dead();
    let twice = || dead().earlier(evidence("", ""));
    let knowing = |attempt: Attempt| in_doubt("a b", attempt).all(Sight::Idle).sweep("").surely_dead();
    vec![
        row(
            "the first look after it is dead settles nothing",
            dead(),
            "AwaitingEvidence moving until SecondLook",
        ),
        row(
            "not even with evidence",
            dead().sights("a Deleting").sweep("j1/a Running"),
            "AwaitingEvidence moving until SecondLook",
        ),
        row(
            "two looks show every desktop untouched: no effect",
            twice(),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a desktop that is only busy is untouched",
            twice().sights("a Busy"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a new job that covers the body",
            twice().sweep("j1/a Running j1/b Waiting"),
            "record Adopted, job j1: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "a new job, spelled otherwise",
            twice().sweep("j1/A Running j1/B Failed"),
            "record Adopted, job j1: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "two new jobs: both are followed",
            twice().sweep("j1/a Success j2/b Failed"),
            "record Adopted, job j1 j2: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "a job of other desktops is no evidence",
            twice().sweep("j1/c Running"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "mixed evidence: what was not touched was not submitted, and is never sent again",
            twice().sweep("j1/a Running"),
            "record Adopted, job j1: JobRunning moving until Poll; a Deleting, b Failed/NotSubmitted",
        ),
        row(
            "desktops are gone without a job: it took effect, the job is unknown",
            twice().sights("a Gone b Gone"),
            "record Adopted: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "one is being deleted without a job",
            twice().sights("a Deleting"),
            "record Adopted: JobRunning moving until Poll; a Deleting, b Failed/NotSubmitted",
        ),
        row(
            "one failed to be deleted and had not before",
            twice().sights("b DeleteFailed"),
            "record Adopted: JobRunning moving until Poll; a Failed/NotSubmitted, b Deleting",
        ),
        row(
            "one failed to be deleted, as it had before",
            knowing(Attempt {
                baseline_failed_ids: ids("b"),
                ..attempt("a b")
            })
            .sights("b DeleteFailed")
            .earlier(evidence("", "")),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "a job that was known before proves nothing",
            knowing(Attempt {
                baseline_job_ids: jobs("j1"),
                ..attempt("a b")
            })
            .sweep("j1/a Failed")
            .earlier(evidence("", "")),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "what the first look found counts though the second does not",
            dead().earlier(evidence("j1", "a b")),
            "record Adopted, job j1: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "what either look found counts",
            dead().sweep("j2/b Running").earlier(evidence("j1", "a")),
            "record Adopted, job j1 j2: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "a job of another request explains what happened to its desktop",
            twice()
                .sights("a Deleting")
                .sweep("j1/a Running")
                .of_another("j1"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "but not to another one",
            twice()
                .sights("a Deleting b Deleting")
                .sweep("j1/a Running")
                .of_another("j1"),
            "record Adopted: JobRunning moving until Poll; a Failed/NotSubmitted, b Deleting",
        ),
        row(
            "a job of another request and one of ours",
            twice()
                .sweep("j1/a Failed j2/a Running j2/b Running")
                .of_another("j1"),
            "record Adopted, job j2: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "no evidence, but the jobs could not be read to their end: looked at again",
            twice().incomplete(),
            "AwaitingEvidence moving until SecondLook",
        ),
        row(
            "no evidence, but the first look had not read the jobs to their end",
            dead().earlier(Evidence::default()),
            "AwaitingEvidence moving until SecondLook",
        ),
        row(
            "the jobs cannot be read to their end for long",
            twice().incomplete().evidence_overdue(),
            "OutcomeUnknown stalled until SecondLook",
        ),
        row(
            "a job of the baseline is gone from the records: others may be too",
            knowing(Attempt {
                baseline_job_ids: jobs("j1"),
                ..attempt("a b")
            })
            .earlier(evidence("", "")),
            "AwaitingEvidence moving until SecondLook",
        ),
        row(
            "an incomplete baseline errs only towards evidence",
            knowing(Attempt {
                baseline_incomplete: true,
                ..attempt("a b")
            })
            .earlier(evidence("", "")),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "evidence counts also in an incomplete list",
            twice().sweep("j1/a Running j1/b Running").incomplete(),
            "record Adopted, job j1: JobRunning moving until Poll; a Deleting, b Deleting",
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
        row("the jobs are read first", again().no_sweep(), "sweep"),
        row(
            "also if nothing is left to delete",
            again().sights("a Gone b Gone").no_sweep(),
            "sweep",
        ),
        row(
            "a new job may be that of another request",
            again().sweep("j1/a Failed").unasked("j1"),
            "owner of j1",
        ),
        row(
            "a job shows: it is that attempt's, whose outcome stays",
            again().sweep("j1/a Running j1/b Running"),
            "record NoEffect, job j1: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "a job that has ended shows",
            again().sights("a Gone b Gone").sweep("j1/a Success j1/b Success"),
            "record NoEffect, job j1: JobRunning moving until Poll; a Deleting, b Deleting",
        ),
        row(
            "a job of another request does not hold it",
            again().sweep("j1/a Failed").of_another("j1"),
            "sign a b, known j1",
        ),
        row(
            "a desktop that is gone proves nothing by now",
            again().sights("a Gone"),
            "sign b",
        ),
        row("what has shown is followed", followed(), "read j1"),
        row(
            "and nothing is sent any more",
            followed().job("j1", "a Failed b Failed").sights("a Idle b Idle"),
            "Verifying moving until SecondLook",
        ),
    ]
}

#[test]
fn a_job_that_may_be_ours_is_named_at_once() {
    let seen = nothing_happened().sweep("j1/a Running j1/b Running");
    let Step::RecordProgress(hold) = plan(&seen.0) else {
        panic!("nothing to say");
    };
    assert!(hold.message.contains("job j1"), "{}", hold.message);
    assert!(hold.message.contains("2 desktops"), "{}", hold.message);
}

#[test]
fn what_keeps_the_evidence_from_being_read_is_said() {
    let seen = doubt().obstacle(Reason::ProjectNotReady, true);
    let Step::RecordProgress(hold) = plan(&seen.0) else {
        panic!("nothing to say");
    };
    assert!(hold.message.contains("the project says why"), "{}", hold.message);
}
