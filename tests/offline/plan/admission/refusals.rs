//! Situations in which the cloud refused something.

use desktop_deletion_operator::crd::deletion::Attempt;
use desktop_deletion_operator::crd::deletion::Outcome::{self, NotSent, Rejected};
use desktop_deletion_operator::plan::classify::Class;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;

use super::super::build::{Seen, effective, nonce, ready, refused, untouched};
use super::super::tell::{Row, check, row, tell};

#[test]
fn after_the_cloud_refused_an_attempt() {
    check(&content());
    check(&mended());
    check(&not_found());
    check(&passing());
}

#[test]
fn after_a_read_failed() {
    check(&troubles());
    check(&unreadable());
}

#[test]
fn desktops_that_cannot_be_read_are_named_with_what_to_do() {
    let told = |seen: Seen| match plan(&seen.0) {
        Step::RecordProgress(hold) => hold.message,
        step => panic!("{step:?}"),
    };
    let some = failing("a Missing b Missing c Idle", 4).unreadable("b", Class::InDoubt, 1);
    assert_eq!(
        told(some),
        "the cloud returns an error for desktop a, b, so nothing is submitted; retrying. To delete the other desktops now, delete this request and create one without it (showDesktop: HTTP 499 X.1: so it is)"
    );
    let all = untouched("a")
        .project()
        .claimed()
        .sights("a Missing")
        .unreadable("a", Class::InDoubt, 1);
    assert!(told(all).contains("retrying. Check it in the console (showDesktop"));
}

#[test]
fn where_no_desktop_can_be_read_not_all_are_tried() {
    let names: Vec<_> = (0..20).map(|n| format!("d{n:02}")).collect();
    let missing: Vec<_> = names.iter().map(|name| format!("{name} Missing")).collect();
    let start = untouched(&names.join(" "))
        .project()
        .claimed()
        .sights(&missing.join(" "));
    let failed = |count: usize| {
        let failed = names[..count].iter();
        failed.fold(start.clone(), |seen, name| {
            seen.unreadable(name, Class::InDoubt, 1)
        })
    };
    assert_eq!(tell(&plan(&failed(9).0)), "get d09");
    assert_eq!(
        tell(&plan(&failed(10).0)),
        "ServiceUnavailable retrying until Backoff, error InDoubt"
    );
}

/// Every situation of the tables, for the conditions.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    [
        content(),
        mended(),
        not_found(),
        passing(),
        troubles(),
        unreadable(),
    ]
    .into_iter()
    .flatten()
}

/// The last attempt was refused or not sent, and the pause is not over.
fn again(outcome: Outcome, class: Class) -> Seen {
    ready("a b")
        .begun()
        .attempt(refused("a b", outcome, class))
        .refusals(1)
}

/// The same, and the pause is over.
fn due(outcome: Outcome, class: Class) -> Seen {
    again(outcome, class).retry_due()
}

/// Refused for what it asks for.
fn content() -> Vec<Row> {
    vec![
        row(
            "refused for its content: looked at once more before that is final",
            again(Rejected, Class::InvalidRequest),
            "InvalidRequest retrying until Retry, error InvalidRequest",
        ),
        row(
            "refused for its content, and the next pass has read nothing yet",
            due(Rejected, Class::InvalidRequest).unread(),
            "list a b",
        ),
        row(
            "the fresh read changes nothing: final (the finalizer goes first)",
            due(Rejected, Class::InvalidRequest),
            "finalizer off",
        ),
        row(
            "the finalizer is off: final",
            due(Rejected, Class::InvalidRequest).no_finalizer(),
            "finish Rejected (submitted: InvalidRequest); a Failed/X.1, b Failed/X.1",
        ),
        row(
            "the fresh read narrows the body: tried again",
            due(Rejected, Class::InvalidRequest).sights("b Gone"),
            "sign a",
        ),
    ]
}

/// Refused, and somebody must mend something or look.
fn mended() -> Vec<Row> {
    vec![
        row(
            "the login was not accepted",
            again(Rejected, Class::Authentication),
            "AuthenticationFailed stalled until Retry, error Authentication",
        ),
        row(
            "the login was not accepted, and may be mended: a read comes before the next try",
            due(Rejected, Class::Authentication).unread(),
            "list a b",
        ),
        row(
            "the login was not accepted, and the read was",
            due(Rejected, Class::Authentication),
            "sign a b",
        ),
        row(
            "refused by a code that is not known",
            again(Rejected, Class::UnknownRefusal),
            "RequestRefused stalled until Retry, error UnknownRefusal",
        ),
        row(
            "refused by a code that is not known, and the pause is over: tried again",
            due(Rejected, Class::UnknownRefusal),
            "sign a b",
        ),
        row(
            "a permission is missing",
            again(Rejected, Class::Permission),
            "PermissionDenied stalled until Retry, error Permission",
        ),
        row(
            "the address is wrong",
            again(Rejected, Class::WrongEndpoint),
            "WrongEndpoint stalled until Retry, error WrongEndpoint",
        ),
        row(
            "the service is disabled",
            again(Rejected, Class::ServiceDisabled),
            "ServiceDisabled stalled until Retry, error ServiceDisabled",
        ),
    ]
}

/// Refused because something does not exist.
fn not_found() -> Vec<Row> {
    vec![
        row(
            "something is not found",
            again(Rejected, Class::NotFound),
            "NotFound retrying until Retry, error NotFound",
        ),
        row(
            "something is not found: whatever a list says, each desktop is asked for by itself",
            due(Rejected, Class::NotFound),
            "get a",
        ),
        row(
            "something is not found: so is the next one",
            due(Rejected, Class::NotFound).asked_singly("a"),
            "get b",
        ),
        row(
            "something is not found: so are those that nothing was read of yet",
            due(Rejected, Class::NotFound).unread(),
            "get a",
        ),
        row(
            "something is not found, though each is there: tried again",
            due(Rejected, Class::NotFound).asked_singly("a b"),
            "sign a b",
        ),
        row(
            "something is not found, and what was read has grown old meanwhile: a list will do then",
            due(Rejected, Class::NotFound).asked_singly("a b").unread(),
            "list a b",
        ),
        row(
            "something is not found for the second time, after another refusal: tried again",
            not_found_twice_after(refused("a b", Rejected, Class::Throttled)),
            "sign a b",
        ),
        row(
            "something is not found for the second time, and before of fewer desktops: tried again",
            not_found_twice_after(refused("a", Rejected, Class::NotFound)),
            "sign a b",
        ),
        row(
            "something is not found, and one has gone: the body narrows",
            not_found_three_times().sights("a Gone"),
            "sign b",
        ),
        row(
            "something is not found for the third time, and nobody has looked again: not final",
            due(Rejected, Class::NotFound)
                .attempt(refused("a b", Rejected, Class::NotFound))
                .attempt(refused("a b", Rejected, Class::NotFound)),
            "get a",
        ),
        row(
            "something is not found for the third time, though each is there: final",
            not_found_three_times().no_finalizer(),
            "finish Rejected (submitted: NotFound); a Failed/X.1, b Failed/X.1",
        ),
        row(
            "refusals of another kind do not count",
            due(Rejected, Class::NotFound).asked_singly("a b").refusals(1000),
            "sign a b",
        ),
    ]
}

/// Refused or not sent for now.
fn passing() -> Vec<Row> {
    vec![
        row(
            "a state denies it",
            again(Rejected, Class::Conflict),
            "Conflict retrying until Retry, error Conflict",
        ),
        row(
            "a state denied it, some time ago",
            due(Rejected, Class::Conflict),
            "sign a b",
        ),
        row(
            "throttled",
            again(Rejected, Class::Throttled),
            "Throttled retrying until Retry, error Throttled",
        ),
        row(
            "throttled, however often: only the deadline ends it",
            due(Rejected, Class::Throttled).refusals(1000),
            "sign a b",
        ),
        row(
            "the service could not",
            again(Rejected, Class::Unavailable),
            "ServiceUnavailable retrying until Retry, error Unavailable",
        ),
        row(
            "it could not be sent",
            again(NotSent, Class::Unreachable),
            "ServiceUnavailable retrying until Retry, error Unreachable",
        ),
        row(
            "it could not be sent, some time ago",
            due(NotSent, Class::Unreachable),
            "sign a b",
        ),
        row(
            "it was not sent in time: nothing to wait for",
            ready("a b").begun().attempt(effective("a b", NotSent, "")),
            "sign a b",
        ),
        row(
            "an unknown class of a newer version is no refusal of the content",
            ready("a b").begun().attempt(with_class("Unheard")).retry_due(),
            "sign a b",
        ),
    ]
}

/// The same desktops were not found three times, and that is some time ago.
fn not_found_three_times() -> Seen {
    not_found_twice_after(refused("a b", Rejected, Class::NotFound))
}

/// After that attempt the desktops were not found twice.
fn not_found_twice_after(first: Attempt) -> Seen {
    let again = |seen: Seen, name: &str| {
        seen.attempt(Attempt {
            id: nonce(name),
            ..refused("a b", Rejected, Class::NotFound)
        })
    };
    ["n2", "n3"]
        .into_iter()
        .fold(ready("a b").begun().retry_due().attempt(first), again)
        .asked_singly("a b")
}

fn with_class(name: &str) -> Attempt {
    let mut attempt = refused("a b", Rejected, Class::InvalidRequest);
    attempt.error.as_mut().unwrap().class = name.into();
    attempt
}

/// A read failed.
fn troubles() -> Vec<Row> {
    let failed = |class| untouched("a b").project().claimed().read_failure(class);
    vec![
        row(
            "a read failed: Authentication",
            failed(Class::Authentication),
            "AuthenticationFailed stalled until Refresh, error Authentication",
        ),
        row(
            "a read failed: Authentication, by a clock that is wrong",
            failed(Class::Authentication).clock_skewed(),
            "ClockSkew stalled until Refresh, error Authentication",
        ),
        row(
            "a read failed: Permission",
            failed(Class::Permission),
            "PermissionDenied stalled until Refresh, error Permission",
        ),
        row(
            "a read failed: WrongEndpoint",
            failed(Class::WrongEndpoint),
            "WrongEndpoint stalled until Refresh, error WrongEndpoint",
        ),
        row(
            "a read failed: ServiceDisabled",
            failed(Class::ServiceDisabled),
            "ServiceDisabled stalled until Refresh, error ServiceDisabled",
        ),
        row(
            "a read failed: InvalidRequest (no person can mend a read)",
            failed(Class::InvalidRequest),
            "InvalidRequest retrying until Backoff, error InvalidRequest",
        ),
        row(
            "a read failed: NotFound",
            failed(Class::NotFound),
            "NotFound retrying until Backoff, error NotFound",
        ),
        row(
            "a read failed: Conflict",
            failed(Class::Conflict),
            "Conflict retrying until Backoff, error Conflict",
        ),
        row(
            "a read failed: Throttled",
            failed(Class::Throttled),
            "Throttled retrying until Backoff, error Throttled",
        ),
        row(
            "a read failed: Unavailable",
            failed(Class::Unavailable),
            "ServiceUnavailable retrying until Backoff, error Unavailable",
        ),
        row(
            "a read failed: Unreachable",
            failed(Class::Unreachable),
            "ServiceUnavailable retrying until Backoff, error Unreachable",
        ),
        row(
            "a read failed: InDoubt (a read has no effect)",
            failed(Class::InDoubt),
            "ServiceUnavailable retrying until Backoff, error InDoubt",
        ),
    ]
}

/// Of three desktops `a` was asked for by itself, and the answer was an error, so often in a row.
fn failing(sights: &str, in_a_row: u32) -> Seen {
    untouched("a b c")
        .project()
        .claimed()
        .sights(sights)
        .unreadable("a", Class::InDoubt, in_a_row)
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
            "one desktop could not be read for the fourth time: a person must look",
            failing("a Unlisted b Idle c Gone", 4),
            "ServiceUnavailable stalled until Backoff, error InDoubt",
        ),
        row(
            "the service refuses to show one desktop",
            failing("a Unlisted b Idle c Gone", 0).unreadable("a", Class::UnknownRefusal, 4),
            "RequestRefused stalled until Backoff, error UnknownRefusal",
        ),
        row(
            "the service refuses to show one desktop, by a code that is known",
            failing("a Unlisted b Idle c Gone", 0).unreadable("a", Class::InvalidRequest, 4),
            "RequestRefused stalled until Backoff, error InvalidRequest",
        ),
        row(
            "one desktop cannot be read after the cloud said that something does not exist",
            due(Rejected, Class::NotFound)
                .asked_singly("a")
                .unreadable("b", Class::InDoubt, 4),
            "ServiceUnavailable stalled until Backoff, error InDoubt",
        ),
    ]
}

#[test]
fn a_refusal_is_told_by_what_the_cloud_gave_of_status_code_and_words() {
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
        let mut attempt = refused("a b", Rejected, Class::Throttled);
        let error = attempt.error.as_mut().unwrap();
        error.http_status = status;
        error.code = code.map(ToOwned::to_owned);
        error.message = words.map(ToOwned::to_owned);
        let Step::RecordProgress(hold) = plan(&ready("a b").begun().attempt(attempt).0) else {
            panic!("nothing to say");
        };
        assert!(hold.message.ends_with(told), "no {told:?} in {:?}", hold.message);
    }
}
