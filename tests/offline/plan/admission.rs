//! Situations before anything was submitted.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::Outcome::Rejected;
use desktop_deletion_operator::plan::observed::{Circuit, SendPermit};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::{DesktopView, SubJobList};
use desktop_deletion_operator::workspace::api::{SubJob, SubJobStatus};

use super::build::{
    Seen, accepted, attempt, id, in_doubt, job, minute, no_effect, ready, refused, untouched,
};
use super::rules;
use super::tell::{Row, check, describe, row};

mod approval;
mod daily_limit;
mod deadline;
mod expectations;
mod guardrails;
mod preview;
mod refusals;
mod start;

#[test]
fn before_anything_is_sent() {
    check(&admission_reads());
    check(&permits());
    check(&blockers());
    check(&unanswered());
    check(&undocumented());
    check(&untimely());
    check(&endings());
}

/// A request for twelve desktops, so many of which must be asked for one by one.
fn long_check(unconfirmed: usize) -> Seen {
    let names: Vec<_> = (0..12).map(|n| format!("d{n:02}")).collect();
    let view = |(n, name)| format!("{name} {}", if n < 12 - unconfirmed { "Gone" } else { "Missing" });
    let sights: Vec<_> = names.iter().enumerate().map(view).collect();
    untouched(&names.join(" "))
        .project()
        .claimed()
        .desktop_views(&sights.join(" "))
}

#[test]
fn a_slow_check_reports_its_progress() {
    let told = |seen: &Seen| describe(&plan(&seen.0));
    assert_eq!(
        told(&long_check(9).progress_due()),
        "get d03",
        "a short one does not"
    );
    assert_eq!(
        told(&long_check(10)),
        "get d02",
        "nor does one that said so lately"
    );
    let mut seen = long_check(10).progress_due();
    let step = plan(&seen.0);
    let Step::RecordProgress(progress) = &step else {
        panic!("{step:?}");
    };
    assert_eq!(
        progress.message,
        "2 of 12 desktops checked; reading the others one by one"
    );
    assert_eq!(describe(&step), "CheckingDesktops moving until PollInterval");
    let wrongs = rules::wrongs(&seen.0.request, &step, &minute(90));
    assert!(wrongs.is_empty(), "{wrongs:#?}");
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(90)).unwrap();
    assert_eq!(told(&seen), "get d02", "nothing new is said");
    let seen = seen.desktop_views("d02 Gone d03 Gone d04 Gone");
    assert_eq!(
        told(&seen),
        "CheckingDesktops moving until PollInterval",
        "to the end, once it is told"
    );
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let tables = [
        admission_reads(),
        blockers(),
        unanswered(),
        undocumented(),
        untimely(),
        endings(),
    ];
    tables
        .into_iter()
        .flatten()
        .chain(deadline::rows())
        .chain(start::rows())
        .chain(expectations::rows())
        .chain(preview::rows())
        .chain(approval::rows())
        .chain(daily_limit::rows())
        .chain(guardrails::rows())
        .chain(refusals::rows())
}

/// A request for `a b`, its project read and its desktops claimed.
fn admitted() -> Seen {
    untouched("a b").project().claimed()
}

/// From nothing known to a signature.
fn permits() -> [Row; 5] {
    [
        row("then a permit to send is waited for", ready("a b"), "permit"),
        row(
            "also by a request that gave one back",
            ready("a b").permit(SendPermit::Returned),
            "permit",
        ),
        row(
            "a wait for the permit can make the last check of the project outdated",
            ready("a b").permit(SendPermit::Held).project_not_rechecked(),
            "read the project",
        ),
        row(
            "a request that must read the cloud again releases its permit",
            ready("a b").permit(SendPermit::Held).desktop_views("b Missing"),
            "permit back",
        ),
        row(
            "so does a request that waits for something else",
            ready("a b").permit(SendPermit::Held).project_suspended(),
            "permit back",
        ),
    ]
}

fn admission_reads() -> Vec<Row> {
    vec![
        row("nothing is known", untouched("a b"), "read the project"),
        row(
            "the project may be used: the desktops are claimed",
            untouched("a b").project(),
            "claim",
        ),
        row("they are claimed: they are read", admitted(), "list a b"),
        row(
            "only those that are not known are read",
            admitted().desktop_views("a Idle"),
            "list b",
        ),
        row(
            "a desktop that the list lacks is asked for by its id",
            admitted().desktop_views("a Idle b Missing"),
            "get b",
        ),
        row(
            "what a list shows would grow old meanwhile, so it is read after that",
            admitted().desktop_views("b Missing"),
            "get b",
        ),
        row(
            "so is one that an incomplete list lacks",
            admitted().desktop_views("a Unlisted b Missing"),
            "get a",
        ),
        row(
            "something is left to delete: the jobs of others are read",
            admitted().desktop_views("a Gone b Idle"),
            "list sub-jobs",
        ),
        row(
            "nothing blocks it: the object must not disappear while a call is in flight",
            ready("a b").no_finalizer(),
            "finalizer on",
        ),
        row(
            "the last check is that of the project",
            ready("a b").project_not_rechecked(),
            "read the project",
        ),
        row(
            "all is in place",
            ready("a b").permit(SendPermit::Held),
            "sign a b",
        ),
        row(
            "a busy desktop is submitted: the cloud decides",
            ready("a b").desktop_views("b Busy"),
            "sign a b",
        ),
        row(
            "desktops that are gone are not submitted",
            ready("a b c").desktop_views("a Gone c Gone"),
            "sign b",
        ),
        row(
            "ended jobs that name a desktop of the body become the baseline, others do not",
            ready("a b c")
                .desktop_views("c Gone")
                .sub_job_list("j1/a Failed j2/b Success j3/c Success j4/z Failed"),
            "sign a b, known j1 j2",
        ),
        row(
            "neither does a deletion that failed before",
            ready("a b").desktop_views("b DeleteFailed"),
            "sign a b, failed before b",
        ),
        row(
            "jobs that could not be read to their end are noted as such",
            ready("a b").sub_job_list("j1/a Failed").incomplete(),
            "sign a b, known j1, baseline incomplete",
        ),
        row(
            "letter case does not matter",
            ready("A b").sub_job_list("j1/a Failed j2/B Failed"),
            "sign A b, known j1 j2",
        ),
        row(
            "a process that shuts down starts nothing",
            ready("a b").stopping(),
            "rest",
        ),
    ]
}

/// What holds it back.
fn blockers() -> Vec<Row> {
    vec![
        row(
            "suspended: what it will do is shown",
            ready("a b").suspended(),
            "Suspended held until Plan; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "suspended before anything is known",
            untouched("a b").suspended(),
            "read the project",
        ),
        row(
            "the project is missing, and may come with the next sync",
            untouched("a b").obstacle(Reason::ProjectNotReady, false),
            "ProjectNotReady retrying until Refresh",
        ),
        row(
            "the project is missing, and should have come by now",
            untouched("a b").obstacle(Reason::ProjectNotReady, true),
            "ProjectNotReady stalled until Refresh",
        ),
        row(
            "the project's credentials are not accepted",
            untouched("a b").obstacle(Reason::AuthenticationFailed, true),
            "AuthenticationFailed stalled until Refresh",
        ),
        row(
            "the project is suspended",
            untouched("a b").project_suspended(),
            "ProjectSuspended held until Change",
        ),
        row(
            "the project was suspended at the last check",
            ready("a b").project_suspended(),
            "ProjectSuspended held until Change",
        ),
        row(
            "the project differs from the one where the request began",
            ready("a b").begun().project_at("another"),
            "ProjectChanged stalled until Refresh",
        ),
        row(
            "a project that was created again with the same coordinates continues",
            ready("a b").begun(),
            "sign a b",
        ),
        row(
            "another request holds a desktop",
            untouched("a b").project().conflicting_request(Some("older")),
            "Overlap retrying until PollInterval",
        ),
        row(
            "so does one of another namespace",
            untouched("a b").project().conflicting_request(None),
            "Overlap retrying until PollInterval",
        ),
        row(
            "another client is deleting a desktop, by its state",
            ready("a b").desktop_views("a Deleting"),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "another client is deleting every desktop",
            ready("a b").desktop_views("a Deleting b Deleting"),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "another client is deleting a desktop, by an open job",
            ready("a b").sub_job_list("j1/b Running"),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "also if the job has not begun, and spells it otherwise",
            ready("a b").sub_job_list("j1/B Waiting"),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "an open job of a desktop that is gone holds nothing",
            ready("a b").desktop_views("b Gone").sub_job_list("j1/b Running"),
            "sign a",
        ),
        row(
            "the clocks are too far apart to sign",
            ready("a b").clock_skewed(),
            "ClockSkew stalled until Refresh",
        ),
    ]
}

/// The circuit breaker for submissions is not closed.
fn unanswered() -> Vec<Row> {
    vec![
        row(
            "the responses to other submissions were lost: nothing is read",
            untouched("a b").project().circuit(Circuit::Open),
            "ServiceUnavailable retrying until Refresh",
        ),
        row(
            "also if everything was read before",
            ready("a b").circuit(Circuit::Open),
            "ServiceUnavailable retrying until Refresh",
        ),
        row(
            "later a read must show that the cloud responds",
            admitted().circuit(Circuit::NeedsRead),
            "list a b",
        ),
        row(
            "reads of before do not show it",
            ready("a b").circuit(Circuit::NeedsRead),
            "ServiceUnavailable retrying until Refresh",
        ),
        row(
            "unknown outcomes are still resolved",
            in_doubt("a b", attempt("a b")).expired().circuit(Circuit::Open),
            "list a b",
        ),
        row(
            "and accepted jobs are followed",
            accepted().circuit(Circuit::Open),
            "read j1",
        ),
    ]
}

/// A job says of a desktop what is not documented.
fn undocumented() -> Vec<Row> {
    vec![
        row(
            "a job reports an undocumented status of a desktop: the job is read",
            ready("a b").sub_job_list("j1/b Other"),
            "read j1",
        ),
        row(
            "and while it runs the desktop may be in its deletion",
            ready("a b")
                .sub_job_list("j1/b Other")
                .job("j1", "b Other")
                .desktop_views("b Idle")
                .idle_twice("b"),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "once it has ended, the desktop must be idle in two reads",
            ready("a b")
                .sub_job_list("j1/b Other")
                .job("j1", "b Other")
                .parent_ended("j1", None),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "then it is no deletion that runs",
            ready("a b")
                .sub_job_list("j1/b Other")
                .job("j1", "b Other")
                .parent_ended("j1", None)
                .desktop_views("b Idle")
                .idle_twice("b"),
            "sign a b, known j1",
        ),
        row(
            "one that cannot be read counts as one that runs",
            ready("a b")
                .sub_job_list("j1/b Other")
                .job("j1", "")
                .desktop_views("b Idle")
                .idle_twice("b"),
            "DeletionInProgress retrying until PollInterval",
        ),
        row(
            "nor is one that never ends",
            ready("a b")
                .sub_job_list("j1/b Other")
                .job("j1", "b Other")
                .undocumented_for_long()
                .desktop_views("b Idle")
                .idle_twice("b"),
            "sign a b, known j1",
        ),
    ]
}

/// Clocks that differ, and clients that remove the finalizer.
fn untimely() -> Vec<Row> {
    vec![
        row(
            "the deadline passed by one clock: nothing is sent, and nothing is final",
            ready("a b").late_by_one_clock(),
            "Expired retrying until Retry",
        ),
        row(
            "by clocks that differ too much: the same, with that reason",
            ready("a b").late_by_one_clock().clock_skewed(),
            "ClockSkew stalled until Refresh",
        ),
        row(
            "a client keeps removing the finalizer: it is not restored at once",
            ready("a b").no_finalizer().finalizer_not_due(),
            "FinalizerRemoved stalled until PollInterval",
        ),
    ]
}

#[test]
fn only_an_absent_id_that_is_no_desktop_id_is_reported_with_a_hint() {
    let service = "34e25501-fd50-42b5-97ca-f4c5bb7b09b0";
    for (desktops, odd) in [
        ("DESKTOP-01", Some("DESKTOP-01")),
        (service, None),
        ("34e25501-fd50-42b5-97ca-f4c5bb7b09b0 PC-7", Some("PC-7")),
    ] {
        let sights: Vec<_> = desktops.split(' ').map(|id| format!("{id} Gone")).collect();
        let gone = ready(desktops).desktop_views(&sights.join(" ")).no_finalizer();
        let step = plan(&gone.0);
        let Step::Finish(ending) = &step else {
            panic!("{step:?}")
        };
        assert_eq!(ending.succeeded, Reason::AlreadyAbsent);
        let hint = odd.map(|id| format!("; these do not have the form of a desktop ID (a UUID): {id}"));
        match hint {
            Some(hint) => assert!(ending.message.contains(&hint), "{}", ending.message),
            None => assert!(!ending.message.contains("the form of"), "{}", ending.message),
        }
    }
}

#[test]
fn an_absent_desktop_was_not_submitted_or_its_delete_request_had_no_effect() {
    let message = |seen: &Seen| match plan(&seen.0) {
        Step::Finish(ending) => ending.message,
        step => panic!("{step:?}"),
    };
    let gone = || ready("a b").desktop_views("a Gone b Gone").no_finalizer();
    assert!(message(&gone()).contains(": nothing was submitted;"));
    let rejected = refused("a b", Rejected, ErrorClass::NotFound);
    let sent = gone().begun().retry_due().attempt(rejected);
    assert!(message(&sent).contains(": no delete request took effect;"));
}

/// Ends without an effective submission.
fn endings() -> Vec<Row> {
    let gone = || ready("a b").desktop_views("a Gone b Gone");
    vec![
        row("nothing is left", gone(), "finalizer off"),
        row(
            "nothing is left, and nothing holds the object: no job list is read for it",
            gone().no_finalizer().no_sub_job_list(),
            "finish AlreadyAbsent (submitted: NothingToDelete); a Absent, b Absent",
        ),
        row("the deadline passed", ready("a b").too_late(), "finalizer off"),
        row(
            "the deadline passed, regardless of what is unknown",
            untouched("a b").too_late(),
            "finish Expired (submitted: Expired)",
        ),
        row(
            "the deadline passed while suspended",
            untouched("a b").suspended().too_late(),
            "finish Expired (submitted: Expired)",
        ),
        row(
            "the deadline passed during a pause",
            ready("a b")
                .no_finalizer()
                .begun()
                .attempt(refused("a b", Rejected, ErrorClass::Permission))
                .too_late(),
            "finish Expired (submitted: Expired)",
        ),
        row(
            "two submissions had no effect: a third is made",
            ready("a b")
                .begun()
                .attempt(no_effect("n1", "a b"))
                .attempt(no_effect("n2", "a b")),
            "sign a b",
        ),
        row(
            "three submissions had no effect",
            ready("a b")
                .no_finalizer()
                .begun()
                .attempt(no_effect("n1", "a b"))
                .attempt(no_effect("n2", "a b"))
                .attempt(no_effect("n3", "a b")),
            "finish NoEffect (submitted: NoEffect)",
        ),
        row(
            "finished, and the operator's finalizer still present: released",
            ready("a b").finished(),
            "finalizer off",
        ),
        row("finished", untouched("a b").finished(), "rest"),
        row(
            "finished and being deleted",
            untouched("a b").finished().deleting(),
            "rest",
        ),
    ]
}

#[test]
fn messages_name_the_cause() {
    for (seen, words) in vec![
        (
            untouched("a b").project_suspended(),
            &["prod", "spec.suspend"][..],
        ),
        (
            ready("a b").begun().project_at("another"),
            &["prod", "another", "project project", "delete this request"],
        ),
        (
            ready("a b").conflicting_request(Some("older")),
            &["desktop a", "DesktopDeletion older"],
        ),
        (
            ready("a b").conflicting_request(None),
            &["desktop a", "another namespace"],
        ),
        (ready("a b").desktop_views("b Deleting"), &["1 desktop ", "(b)"]),
        (
            untouched("a b")
                .project()
                .claimed()
                .read_failure(ErrorClass::Permission),
            &["workspace:desktops:list", "HTTP 499 X.1", "so it is"],
        ),
        (
            ready("a b")
                .begun()
                .attempt(refused("a b", Rejected, ErrorClass::Permission)),
            &["workspace:desktops:batchDelete"],
        ),
        (
            ready("a b")
                .no_finalizer()
                .begun()
                .attempt(refused("a b", Rejected, ErrorClass::Permission))
                .too_late(),
            &["deadline", "workspace:desktops:batchDelete"],
        ),
        (
            untouched("a b").project().claimed().all(DesktopView::Gone),
            &[
                "2 desktops",
                "project project",
                "ap-southeast-1",
                "myhuaweicloud.com",
            ],
        ),
    ] {
        let step = plan(&seen.0);
        let message = match &step {
            Step::Wait(progress) | Step::RecordProgress(progress) => &progress.message,
            Step::Finish(ending) => &ending.message,
            _ => panic!("{}", describe(&step)),
        };
        for word in words {
            assert!(message.contains(word), "no {word:?} in {message:?}");
        }
    }
}

#[test]
fn a_conflicting_request_of_another_namespace_is_not_named() {
    let Step::RecordProgress(progress) = plan(&ready("a b").conflicting_request(None).0) else {
        panic!("nothing to say");
    };
    let holder = "reserved by a DesktopDeletion in another namespace;";
    assert!(progress.message.contains(holder), "{}", progress.message);
}

#[test]
fn a_baseline_is_truncated_to_the_limit_of_the_status_and_marked_as_incomplete() {
    for (jobs, kept, incomplete) in [(49, 49, false), (50, 50, false), (51, 50, true)] {
        let mut seen = ready("a");
        let rows = (0..jobs).map(|number| SubJob {
            id: format!("sub-{number}"),
            job: job(&format!("j{number}")),
            desktop: id("a"),
            status: SubJobStatus::Failed,
            code: None,
            reason: None,
        });
        seen.0.sub_job_list = Some(SubJobList {
            sub_jobs: rows.collect(),
            complete: true,
        });
        seen.0.permit = SendPermit::Held;
        let Step::Sign(batch) = plan(&seen.0) else {
            panic!("not signed");
        };
        assert_eq!(batch.baseline_job_ids.len(), kept);
        assert_eq!(batch.baseline_incomplete, incomplete, "{jobs} jobs");
    }
}
