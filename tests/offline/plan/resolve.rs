//! Situations in which a person settles an attempt by the annotation `cloud-desktops.dev/resolve`.

use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::ids::JobID;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::resolve::{Resolve, ResolveAction};
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;

use super::build::{Seen, accepted, attempt, effective, in_doubt, minute, no_effect, nonce, ready, refused};
use super::rules;
use super::tell::{Row, check, describe, row};

#[test]
fn a_user_can_resolve_an_attempt_with_unknown_outcome() {
    check(&resolutions());
    check(&followed());
}

#[test]
fn an_annotation_that_cannot_be_applied_is_refused() {
    check(&refusals());
}

#[test]
fn an_abandoned_attempt_reserves_its_desktops_until_it_has_expired() {
    check(&abandoned());
}

/// Every situation of the tables, for the conditions.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let tables = [resolutions(), followed(), refusals(), abandoned()];
    tables.into_iter().flatten()
}

fn unknown_outcome() -> Seen {
    in_doubt("a b", attempt("a b"))
}

/// Everything was read, and nothing shows.
fn untouched() -> Seen {
    unknown_outcome().all(DesktopView::Idle).sub_job_list("")
}

/// A job runs, and the project was not read in this reconciliation.
fn accepted_somewhere() -> Seen {
    let mut seen = accepted();
    seen.0.project = None;
    seen
}

fn resolutions() -> Vec<Row> {
    let adopt = |seen: Seen| seen.resolve("n1=adopt:j1");
    vec![
        row(
            "retry, once the call has expired",
            unknown_outcome().expired().resolve("n1=retry"),
            "record NoEffect: NoEffect retrying until Retry",
        ),
        row(
            "abandon, at any time",
            unknown_outcome().resolve("n1=abandon"),
            "record Abandoned: AwaitingEvidence moving until Expiry",
        ),
        row(
            "abandon, without a project",
            unknown_outcome()
                .obstacle(
                    desktop_deletion_operator::crd::conditions::Reason::ProjectNotReady,
                    true,
                )
                .resolve("n1=abandon"),
            "record Abandoned: AwaitingEvidence moving until Expiry",
        ),
        row(
            "abandon, while the object is being deleted",
            unknown_outcome().deleting().resolve("n1=abandon"),
            "record Abandoned: AwaitingEvidence moving until Expiry",
        ),
        row(
            "adopt: the job is read first",
            adopt(unknown_outcome().all(DesktopView::Idle)),
            "list sub-jobs",
        ),
        row(
            "adopt a job that covers the body, at any time",
            adopt(untouched().sub_job_list("j1/a Running j1/b Running")),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "adopt a job that another request has: the user decides",
            adopt(
                untouched()
                    .sub_job_list("j1/a Running j1/b Running")
                    .of_another("j1"),
            ),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "adopt one of two jobs: the other is not ours",
            adopt(untouched().sub_job_list("j1/a Running j2/a Failed j1/b Running")),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
        row(
            "adopt a job that names only one",
            adopt(untouched().sub_job_list("j1/a Running")),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Unknown",
        ),
        row(
            "adopt, while the evidence cannot be read: the annotation waits",
            adopt(unknown_outcome().read_failure(ErrorClass::Throttled)),
            "AwaitingEvidence moving until Backoff, error Throttled",
        ),
        row(
            "adopt a job that a list which was cut does not show: the annotation waits",
            adopt(untouched().sub_job_list("").incomplete()),
            "AwaitingEvidence moving until Expiry",
        ),
        row(
            "what is finished is not resolved",
            accepted().finished().no_finalizer().resolve("n1=abandon"),
            "rest",
        ),
        row(
            "a response that is not recorded yet comes first",
            unknown_outcome()
                .answered(desktop_deletion_operator::plan::observed::PostResult::Accepted(
                    super::build::job("j1"),
                ))
                .resolve("n1=abandon"),
            "record Accepted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
    ]
}

/// A job that is followed, and perhaps need not be.
fn followed() -> Vec<Row> {
    vec![
        row(
            "an overdue job may be abandoned (the finalizer is removed first)",
            accepted().overdue().resolve("n1=abandon"),
            "finalizer off",
        ),
        row(
            "an overdue job may be abandoned",
            accepted()
                .overdue()
                .no_finalizer()
                .states("a Deleted")
                .resolve("n1=abandon"),
            "finish Abandoned (submitted: Abandoned); b Unknown",
        ),
        row(
            "an overdue job may be abandoned, regardless of the project",
            accepted_somewhere().overdue().resolve("n1=abandon"),
            "finalizer off",
        ),
        row(
            "before a job that is not overdue is abandoned, its project is read",
            accepted_somewhere().resolve("n1=abandon"),
            "read the project",
        ),
        row(
            "so may a job whose project has changed, once the job must be visible",
            accepted()
                .project_at("another")
                .settled()
                .no_finalizer()
                .resolve("n1=abandon"),
            "finish Abandoned (submitted: Abandoned); a Unknown, b Unknown",
        ),
    ]
}

fn refusals() -> Vec<Row> {
    vec![
        row("no form", unknown_outcome().resolve("please"), "refuse please"),
        row(
            "no such attempt",
            unknown_outcome().resolve("n7=retry"),
            "refuse n7=retry",
        ),
        row(
            "retry, while the request may still take effect",
            unknown_outcome().resolve("n1=retry"),
            "refuse n1=retry",
        ),
        row(
            "stale: the attempt is settled",
            ready("a b")
                .begun()
                .attempt(no_effect("n1", "a b"))
                .resolve("n1=retry"),
            "refuse n1=retry",
        ),
        row(
            "stale: the attempt was refused",
            ready("a b")
                .begun()
                .attempt(refused("a b", Outcome::Rejected, ErrorClass::Throttled))
                .resolve("n1=abandon"),
            "refuse n1=abandon",
        ),
        row(
            "what took effect is never repeated",
            accepted_somewhere().resolve("n1=retry"),
            "refuse n1=retry",
        ),
        row(
            "a job that is not overdue cannot be abandoned",
            accepted().resolve("n1=abandon"),
            "refuse n1=abandon",
        ),
        row(
            "adopt a job of other desktops",
            untouched().sub_job_list("j1/c Running").resolve("n1=adopt:j1"),
            "refuse n1=adopt:j1",
        ),
        row(
            "adopt a job that does not exist",
            untouched().resolve("n1=adopt:j1"),
            "refuse n1=adopt:j1",
        ),
    ]
}

fn abandoned() -> Vec<Row> {
    let gave_up = || in_doubt("a b", effective("a b", Outcome::Abandoned, ""));
    vec![
        row(
            "the request may still arrive",
            gave_up(),
            "AwaitingEvidence moving until Expiry",
        ),
        row(
            "it has expired: evidence is read once more",
            gave_up().expired(),
            "list a b",
        ),
        row(
            "expired, and nothing is visible (the finalizer is removed first)",
            gave_up().expired().all(DesktopView::Idle).sub_job_list(""),
            "finalizer off",
        ),
        row(
            "expired, and nothing is visible",
            gave_up()
                .expired()
                .all(DesktopView::Idle)
                .sub_job_list("")
                .no_finalizer(),
            "finish Abandoned (submitted: Abandoned); a Unknown, b Unknown",
        ),
        row(
            "expired, and one read fails: a job may be visible in the next one",
            gave_up().expired().read_failure(ErrorClass::Unavailable),
            "AwaitingEvidence moving until Backoff, error Unavailable",
        ),
        row(
            "expired, and the list was incomplete: the same",
            gave_up()
                .expired()
                .all(DesktopView::Idle)
                .sub_job_list("")
                .incomplete(),
            "AwaitingEvidence moving until SecondRead",
        ),
        row(
            "expired, and the evidence cannot be read for a long time: that does not block the request",
            gave_up()
                .recovery_timed_out()
                .read_failure(ErrorClass::Permission)
                .no_finalizer(),
            "finish Abandoned (submitted: Abandoned); a Unknown, b Unknown",
        ),
        row(
            "expired, and a job is visible: it is followed",
            gave_up()
                .expired()
                .all(DesktopView::Deleting)
                .sub_job_list("j1/a Running j1/b Running"),
            "record Adopted, job j1: JobRunning moving until JobChange; a Deleting, b Deleting",
        ),
    ]
}

#[test]
fn the_annotation_has_three_forms() {
    let read = |text: &str| Resolve::parse(text);
    let action = |action| {
        Ok(Resolve {
            attempt: nonce("n1"),
            action,
        })
    };
    assert_eq!(read("n1=retry"), action(ResolveAction::Retry));
    assert_eq!(read(" n1=abandon\n"), action(ResolveAction::Abandon));
    let job = JobID::try_from("j-1").unwrap();
    assert_eq!(read("n1=adopt:j-1"), action(ResolveAction::Adopt(job)));
    for text in [
        "",
        "n1",
        "n1=",
        "=retry",
        "n1=Retry",
        "n1=retry:j1",
        "n1=abandon:",
        "n1=adopt",
        "n1=adopt:",
        "n1=adopt:j/1",
        "n/1=retry",
        "n1 =retry",
        "n1=retry n2=retry",
    ] {
        let why = read(text).unwrap_err();
        assert!(
            why.contains("=retry") && why.contains("=adopt:"),
            "{text:?}: {why}"
        );
    }
}

#[test]
fn a_write_that_settles_an_attempt_records_the_annotation_as_handled() {
    let covered = || untouched().sub_job_list("j1/a Running j1/b Running");
    for (seen, value) in [
        (unknown_outcome().expired(), "n1=retry"),
        (unknown_outcome(), "n1=abandon"),
        (covered(), "n1=adopt:j1"),
    ] {
        let Step::RecordOutcome(outcome_update) = plan(&seen.resolve(value).0) else {
            panic!("{value} settles nothing");
        };
        assert_eq!(outcome_update.handled_annotation.as_deref(), Some(value));
    }
}

#[test]
fn a_refused_annotation_is_reported_with_the_reason() {
    for (seen, value, why) in [
        (unknown_outcome(), "n7=retry", "not in the status"),
        (unknown_outcome(), "n1=retry", "can still take effect"),
        (accepted(), "n1=retry", "already has outcome Accepted"),
        (accepted(), "n1=adopt:j1", "already has outcome Accepted"),
        (accepted(), "n1=abandon", "once its job is overdue"),
        (untouched(), "n1=adopt:j1", "names no desktop"),
    ] {
        let Step::RefuseResolve(refusal) = plan(&seen.resolve(value).0) else {
            panic!("{value} is not refused");
        };
        assert!(refusal.reason.contains(why), "no {why:?} in {:?}", refusal.reason);
    }
}

#[test]
fn an_annotation_is_handled_once() {
    for row in resolutions().into_iter().chain(followed()).chain(refusals()) {
        let step = plan(&row.seen.0);
        let Some(status) = rules::written(&row.seen.0.request, &step, &minute(90)) else {
            continue;
        };
        if status.last_handled_resolve.is_none() {
            continue;
        }
        let mut seen = row.seen.0.clone();
        assert_eq!(status.last_handled_resolve, seen.request.resolve, "{}", row.name);
        seen.request.status = status;
        let again = plan(&seen);
        let answered = match &again {
            Step::RefuseResolve(_) => false,
            Step::RecordOutcome(outcome_update) => outcome_update.handled_annotation.is_none(),
            Step::Finish(ending) => ending.handled_annotation.is_none(),
            _ => true,
        };
        assert!(answered, "{}: {}", row.name, describe(&again));
    }
}

#[test]
fn an_annotation_that_is_too_long_for_the_status_is_also_handled_once() {
    let long = "x".repeat(3000);
    let mut seen = unknown_outcome().resolve(&long).0;
    let step = plan(&seen);
    seen.request.status = rules::written(&seen.request, &step, &minute(90)).unwrap();
    let length = seen.request.status.last_handled_resolve.as_ref().unwrap().len();
    assert_eq!(length, 1024);
    assert!(!matches!(plan(&seen), Step::RefuseResolve(_)));
}

#[test]
fn an_attempt_with_unknown_outcome_is_reported_with_the_possible_resolutions() {
    let token = Attempt {
        auth: desktop_deletion_operator::crd::deletion::AuthMethod::Token,
        not_after: None,
        ..attempt("a b")
    };
    for seen in [
        untouched()
            .incomplete()
            .earlier(super::build::evidence("", ""))
            .recovery_timed_out(),
        unknown_outcome()
            .read_failure(ErrorClass::Permission)
            .recovery_timed_out(),
        in_doubt("a b", token).all(DesktopView::Idle).sub_job_list(""),
    ] {
        let Step::RecordProgress(progress) = plan(&seen.0) else {
            panic!("nothing to say");
        };
        for word in [
            "cloud-desktops.dev/resolve",
            "n1=ACTION, where ACTION is adopt:<job id> if a job deletes them, retry only if they are untouched",
        ] {
            assert!(
                progress.message.contains(word),
                "no {word:?} in {:?}",
                progress.message
            );
        }
    }
}
