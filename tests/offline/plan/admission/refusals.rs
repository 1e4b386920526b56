//! Situations in which the cloud rejected a call.

use desktop_deletion_operator::crd::deletion::Attempt;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::Outcome::{self, NotSent, Rejected};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;

use super::super::build::{Seen, effective, nonce, ready, refused, untouched};
use super::super::tell::{Row, check, describe, row};

#[test]
fn after_the_cloud_rejected_an_attempt() {
    check(&content());
    check(&fixed_by_user());
    check(&not_found());
    check(&passing());
}

#[test]
fn after_a_read_failed() {
    check(&read_failures());
    check(&unreadable());
}

#[test]
fn desktops_that_cannot_be_read_are_named_with_what_to_do() {
    let told = |seen: Seen| match plan(&seen.0) {
        Step::RecordProgress(progress) => progress.message,
        step => panic!("{step:?}"),
    };
    let some = failing("a Missing b Missing c Idle", 4).unreadable("b", ErrorClass::InDoubt, 1);
    assert_eq!(
        told(some),
        "the cloud returns an error for these desktops, so nothing is submitted: a, b. To delete the other desktops now, delete this request and create one without them; retrying (showDesktop: HTTP 499 X.1: so it is)"
    );
    let all = untouched("a")
        .project()
        .claimed()
        .desktop_views("a Missing")
        .unreadable("a", ErrorClass::InDoubt, 1);
    assert!(told(all).contains(": a. Check them in the console; retrying (showDesktop"));
}

#[test]
fn the_number_of_desktops_that_are_tried_in_vain_is_limited() {
    let names: Vec<_> = (0..20).map(|n| format!("d{n:02}")).collect();
    let missing: Vec<_> = names.iter().map(|name| format!("{name} Missing")).collect();
    let start = untouched(&names.join(" "))
        .project()
        .claimed()
        .desktop_views(&missing.join(" "));
    let failed = |count: usize| {
        let failed = names[..count].iter();
        failed.fold(start.clone(), |seen, name| {
            seen.unreadable(name, ErrorClass::InDoubt, 1)
        })
    };
    assert_eq!(describe(&plan(&failed(9).0)), "get d09");
    assert_eq!(
        describe(&plan(&failed(10).0)),
        "ServiceUnavailable retrying until Backoff, error InDoubt"
    );
}

/// Every situation of the tables, for the conditions.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    [
        content(),
        fixed_by_user(),
        not_found(),
        passing(),
        read_failures(),
        unreadable(),
    ]
    .into_iter()
    .flatten()
}

/// The last attempt was refused or not sent, and the pause is not over.
fn again(outcome: Outcome, class: ErrorClass) -> Seen {
    ready("a b")
        .begun()
        .attempt(refused("a b", outcome, class))
        .refusals(1)
}

/// The same, and the pause is over.
fn due(outcome: Outcome, class: ErrorClass) -> Seen {
    again(outcome, class).retry_due()
}

/// Rejected for its content.
fn content() -> Vec<Row> {
    vec![
        row(
            "rejected for its content: read once more before that is final",
            again(Rejected, ErrorClass::InvalidRequest),
            "InvalidRequest retrying until Retry, error InvalidRequest",
        ),
        row(
            "refused for its content, and the next pass has read nothing yet",
            due(Rejected, ErrorClass::InvalidRequest).unread(),
            "list a b",
        ),
        row(
            "the new read changes nothing: final (the finalizer is removed first)",
            due(Rejected, ErrorClass::InvalidRequest),
            "finalizer off",
        ),
        row(
            "the finalizer is removed: final",
            due(Rejected, ErrorClass::InvalidRequest).no_finalizer(),
            "finish Rejected (submitted: InvalidRequest); a Failed/X.1, b Failed/X.1",
        ),
        row(
            "the fresh read narrows the body: tried again",
            due(Rejected, ErrorClass::InvalidRequest).desktop_views("b Gone"),
            "sign a",
        ),
    ]
}

/// Rejected, and a user must fix or check something.
fn fixed_by_user() -> Vec<Row> {
    vec![
        row(
            "the credentials were rejected",
            again(Rejected, ErrorClass::Authentication),
            "AuthenticationFailed stalled until Retry, error Authentication",
        ),
        row(
            "the credentials were rejected, and may be fixed: a read comes before the next try",
            due(Rejected, ErrorClass::Authentication).unread(),
            "list a b",
        ),
        row(
            "the credentials were rejected, and the read succeeded",
            due(Rejected, ErrorClass::Authentication),
            "sign a b",
        ),
        row(
            "refused by a code that is not known",
            again(Rejected, ErrorClass::UnknownRefusal),
            "RequestRefused stalled until Retry, error UnknownRefusal",
        ),
        row(
            "refused by a code that is not known, and the pause is over: tried again",
            due(Rejected, ErrorClass::UnknownRefusal),
            "sign a b",
        ),
        row(
            "a permission is missing",
            again(Rejected, ErrorClass::Permission),
            "PermissionDenied stalled until Retry, error Permission",
        ),
        row(
            "the address is wrong",
            again(Rejected, ErrorClass::WrongEndpoint),
            "WrongEndpoint stalled until Retry, error WrongEndpoint",
        ),
        row(
            "the service is disabled",
            again(Rejected, ErrorClass::ServiceDisabled),
            "ServiceDisabled stalled until Retry, error ServiceDisabled",
        ),
    ]
}

/// Refused because something does not exist.
fn not_found() -> Vec<Row> {
    vec![
        row(
            "something is not found",
            again(Rejected, ErrorClass::NotFound),
            "NotFound retrying until Retry, error NotFound",
        ),
        row(
            "something is not found: regardless of a list, each desktop is read individually",
            due(Rejected, ErrorClass::NotFound),
            "get a",
        ),
        row(
            "something is not found: so is the next one",
            due(Rejected, ErrorClass::NotFound).asked_singly("a"),
            "get b",
        ),
        row(
            "something is not found: so are those that were not read yet",
            due(Rejected, ErrorClass::NotFound).unread(),
            "get a",
        ),
        row(
            "something is not found, though each is there: tried again",
            due(Rejected, ErrorClass::NotFound).asked_singly("a b"),
            "sign a b",
        ),
        row(
            "something is not found, and what was read has grown old meanwhile: a list will do then",
            due(Rejected, ErrorClass::NotFound).asked_singly("a b").unread(),
            "list a b",
        ),
        row(
            "something is not found for the second time, after another refusal: tried again",
            not_found_twice_after(refused("a b", Rejected, ErrorClass::Throttled)),
            "sign a b",
        ),
        row(
            "something is not found for the second time, and before of fewer desktops: tried again",
            not_found_twice_after(refused("a", Rejected, ErrorClass::NotFound)),
            "sign a b",
        ),
        row(
            "something is not found, and one has gone: the body narrows",
            not_found_three_times().desktop_views("a Gone"),
            "sign b",
        ),
        row(
            "something is not found for the third time, and nothing was read since: not final",
            due(Rejected, ErrorClass::NotFound)
                .attempt(refused("a b", Rejected, ErrorClass::NotFound))
                .attempt(refused("a b", Rejected, ErrorClass::NotFound)),
            "get a",
        ),
        row(
            "something is not found for the third time, though each is there: final",
            not_found_three_times().no_finalizer(),
            "finish Rejected (submitted: NotFound); a Failed/X.1, b Failed/X.1",
        ),
        row(
            "refusals of another kind do not count",
            due(Rejected, ErrorClass::NotFound)
                .asked_singly("a b")
                .refusals(1000),
            "sign a b",
        ),
    ]
}

/// Refused or not sent for now.
fn passing() -> Vec<Row> {
    vec![
        row(
            "a state denies it",
            again(Rejected, ErrorClass::Conflict),
            "Conflict retrying until Retry, error Conflict",
        ),
        row(
            "a state denied it, some time ago",
            due(Rejected, ErrorClass::Conflict),
            "sign a b",
        ),
        row(
            "throttled",
            again(Rejected, ErrorClass::Throttled),
            "Throttled retrying until Retry, error Throttled",
        ),
        row(
            "throttled, however often: only the deadline ends it",
            due(Rejected, ErrorClass::Throttled).refusals(1000),
            "sign a b",
        ),
        row(
            "the service could not",
            again(Rejected, ErrorClass::Unavailable),
            "ServiceUnavailable retrying until Retry, error Unavailable",
        ),
        row(
            "it could not be sent",
            again(NotSent, ErrorClass::Unreachable),
            "ServiceUnavailable retrying until Retry, error Unreachable",
        ),
        row(
            "it could not be sent, some time ago",
            due(NotSent, ErrorClass::Unreachable),
            "sign a b",
        ),
        row(
            "it was not sent in time: nothing to wait for",
            ready("a b").begun().attempt(effective("a b", NotSent, "")),
            "sign a b",
        ),
        row(
            "an unknown class of a newer version is no refusal of the content",
            ready("a b")
                .begun()
                .attempt(with_class(ErrorClass::Other))
                .retry_due(),
            "sign a b",
        ),
    ]
}

/// The same desktops were not found three times, and that is some time ago.
fn not_found_three_times() -> Seen {
    not_found_twice_after(refused("a b", Rejected, ErrorClass::NotFound))
}

/// After that attempt the desktops were not found twice.
fn not_found_twice_after(first: Attempt) -> Seen {
    let again = |seen: Seen, name: &str| {
        seen.attempt(Attempt {
            id: nonce(name),
            ..refused("a b", Rejected, ErrorClass::NotFound)
        })
    };
    ["n2", "n3"]
        .into_iter()
        .fold(ready("a b").begun().retry_due().attempt(first), again)
        .asked_singly("a b")
}

fn with_class(class: ErrorClass) -> Attempt {
    let mut attempt = refused("a b", Rejected, ErrorClass::InvalidRequest);
    attempt.error.as_mut().unwrap().class = class;
    attempt
}

/// A read failed.
fn read_failures() -> Vec<Row> {
    let failed = |class| untouched("a b").project().claimed().read_failure(class);
    vec![
        row(
            "a read failed: Authentication",
            failed(ErrorClass::Authentication),
            "AuthenticationFailed stalled until Refresh, error Authentication",
        ),
        row(
            "a read failed: Authentication, by a clock that is wrong",
            failed(ErrorClass::Authentication).clock_skewed(),
            "ClockSkew stalled until Refresh, error Authentication",
        ),
        row(
            "a read failed: Permission",
            failed(ErrorClass::Permission),
            "PermissionDenied stalled until Refresh, error Permission",
        ),
        row(
            "a read failed: WrongEndpoint",
            failed(ErrorClass::WrongEndpoint),
            "WrongEndpoint stalled until Refresh, error WrongEndpoint",
        ),
        row(
            "a read failed: ServiceDisabled",
            failed(ErrorClass::ServiceDisabled),
            "ServiceDisabled stalled until Refresh, error ServiceDisabled",
        ),
        row(
            "a read failed: UnknownRefusal",
            failed(ErrorClass::UnknownRefusal),
            "RequestRefused stalled until Refresh, error UnknownRefusal",
        ),
        row(
            "a read failed: NotFound",
            failed(ErrorClass::NotFound),
            "NotFound retrying until Backoff, error NotFound",
        ),
        row(
            "a read failed: Conflict",
            failed(ErrorClass::Conflict),
            "Conflict retrying until Backoff, error Conflict",
        ),
        row(
            "a read failed: Throttled",
            failed(ErrorClass::Throttled),
            "Throttled retrying until Backoff, error Throttled",
        ),
        row(
            "a read failed: Unavailable",
            failed(ErrorClass::Unavailable),
            "ServiceUnavailable retrying until Backoff, error Unavailable",
        ),
        row(
            "a read failed: Unreachable",
            failed(ErrorClass::Unreachable),
            "ServiceUnavailable retrying until Backoff, error Unreachable",
        ),
        row(
            "a read failed: InDoubt (a read has no effect)",
            failed(ErrorClass::InDoubt),
            "ServiceUnavailable retrying until Backoff, error InDoubt",
        ),
    ]
}

/// Of three desktops `a` was asked for by itself, and the response was an error, so often in a row.
fn failing(sights: &str, in_a_row: u32) -> Seen {
    untouched("a b c")
        .project()
        .claimed()
        .desktop_views(sights)
        .unreadable("a", ErrorClass::InDoubt, in_a_row)
}

/// The GET of one desktop fails.
fn unreadable() -> Vec<Row> {
    vec![
        row(
            "one desktop cannot be read: the others are asked for first",
            failing("a Missing b Idle c Missing", 1),
            "get c",
        ),
        row(
            "one desktop cannot be read, and all is known of the others",
            failing("a Missing b Idle c Gone", 1),
            "ServiceUnavailable retrying until Backoff, error InDoubt",
        ),
        row(
            "one desktop could not be read three times",
            failing("a Unlisted b Idle c Gone", 3),
            "ServiceUnavailable retrying until Backoff, error InDoubt",
        ),
        row(
            "one desktop could not be read for the fourth time: user action is required",
            failing("a Unlisted b Idle c Gone", 4),
            "ServiceUnavailable stalled until Backoff, error InDoubt",
        ),
        row(
            "the service refuses to show one desktop",
            failing("a Unlisted b Idle c Gone", 0).unreadable("a", ErrorClass::UnknownRefusal, 4),
            "RequestRefused stalled until Backoff, error UnknownRefusal",
        ),
        row(
            "the service refuses to show one desktop, by a code that is known",
            failing("a Unlisted b Idle c Gone", 0).unreadable("a", ErrorClass::InvalidRequest, 4),
            "RequestRefused stalled until Backoff, error InvalidRequest",
        ),
        row(
            "one desktop cannot be read after the cloud said that something does not exist",
            due(Rejected, ErrorClass::NotFound)
                .asked_singly("a")
                .unreadable("b", ErrorClass::InDoubt, 4),
            "ServiceUnavailable stalled until Backoff, error InDoubt",
        ),
    ]
}

#[test]
fn an_error_response_is_reported_with_its_status_code_and_message() {
    for (status, code, words, told) in [
        (
            Some(499),
            Some("X.1"),
            Some("no"),
            "(batchDelete: HTTP 499 X.1: no)",
        ),
        (Some(499), Some("X.1"), None, "(batchDelete: HTTP 499 X.1)"),
        (Some(499), None, Some("no"), "(batchDelete: HTTP 499: no)"),
        (None, None, Some("reset"), "(batchDelete: reset)"),
    ] {
        let mut attempt = refused("a b", Rejected, ErrorClass::Throttled);
        let error = attempt.error.as_mut().unwrap();
        error.http_status = status;
        error.code = code.map(ToOwned::to_owned);
        error.message = words.map(ToOwned::to_owned);
        let Step::RecordProgress(progress) = plan(&ready("a b").begun().attempt(attempt).0) else {
            panic!("nothing to say");
        };
        assert!(
            progress.message.ends_with(told),
            "no {told:?} in {:?}",
            progress.message
        );
    }
}
