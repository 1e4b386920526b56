//! Situations in which the project takes only so many desktops within a day.

use desktop_deletion_operator::crd::project::{DailyUsage, Guardrails, Reservation, SubmittedDesktops};
use desktop_deletion_operator::plan::observed::SendPermit;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;

use super::super::build::{Seen, attempt, minute, nonce, ready};
use super::super::tell::{Row, check, row};

#[test]
fn a_request_uses_the_rest_of_the_daily_limit_or_waits() {
    check(&rows());
}

/// Ten desktops a day, of which these are used.
fn used(submitted: &[(i64, i32)]) -> Seen {
    let guardrails = Guardrails {
        max_desktops_per_day: Some(10),
        ..Guardrails::default()
    };
    let interval = |&(until, desktops): &(i64, i32)| SubmittedDesktops {
        counts_until: minute(until),
        desktops,
    };
    let submitted = submitted.iter().map(interval).collect();
    ready("a b")
        .facts("a", "pc-1", "anna")
        .facts("b", "srv-1", "ben")
        .guarded(guardrails)
        .with(|o| {
            o.project.as_mut().unwrap().usage = DailyUsage {
                submitted,
                reservations: vec![],
            };
        })
}

fn reservation(id: &str, uid: &str, version: &str, desktops: i32) -> Reservation {
    Reservation {
        attempt_id: nonce(id),
        request: "leaver".to_owned(),
        uid: uid.to_owned(),
        resource_version: version.to_owned(),
        desktops,
        reserved_at: minute(0),
    }
}

impl Seen {
    fn holding(self, reservation: Reservation) -> Self {
        self.with(|o| o.project.as_mut().unwrap().usage.reservations.push(reservation))
    }

    /// This reconciliation reserves for the attempt `n2`.
    fn reserving(self) -> Self {
        self.with(|o| o.reserved = Some(nonce("n2")))
    }
}

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    const WAITS: &str =
        "DailyLimitReached held until DailyLimit; a Pending, b Pending [PlanReady, NotRequired]";
    let own = |desktops| reservation("n2", "request-1", "7", desktops);
    let others = |desktops| reservation("n8", "request-2", "3", desktops);
    vec![
        row("nothing is used", used(&[]), "reserve 2"),
        row("the limit is just reached", used(&[(60, 8)]), "reserve 2"),
        row("there is no room", used(&[(60, 9)]), WAITS),
        row(
            "others have reserved the rest",
            used(&[(60, 4)]).holding(others(5)),
            WAITS,
        ),
        row(
            "it has reserved its own",
            used(&[(60, 8)]).reserving().holding(own(2)),
            "sign a b",
        ),
        row(
            "another one has reserved under the same ID",
            used(&[(60, 8)])
                .reserving()
                .holding(reservation("n2", "request-2", "7", 2)),
            WAITS,
        ),
        row(
            "it has reserved for fewer",
            used(&[(60, 8)]).reserving().holding(own(1)),
            "reserve 2",
        ),
        row(
            "it was written since it has reserved, so that this may have been given back",
            used(&[(60, 8)])
                .reserving()
                .holding(own(2))
                .with(|o| "8".clone_into(&mut o.request.resource_version)),
            "reserve 2",
        ),
        row(
            "it has reserved its own, and the limit is less than that now",
            used(&[(60, 9)]).reserving().holding(own(2)),
            WAITS,
        ),
        row(
            "its reservation is missing: the response was lost, or another request was faster",
            used(&[(60, 8)]).reserving(),
            "reserve 2",
        ),
        row(
            "an earlier reconciliation of it has reserved",
            used(&[]).holding(reservation("n1", "request-1", "7", 2)),
            "reserve 2",
        ),
        row(
            "only one desktop is left of it, for which there is room",
            used(&[(60, 9)]).desktop_views("b Gone"),
            "reserve 1",
        ),
        row(
            "it names more desktops than a day has",
            used(&[]).with(|o| {
                let guardrails = o.project.as_mut().unwrap().guardrails.as_mut().unwrap();
                guardrails.max_desktops_per_day = Some(1);
            }),
            "GuardrailViolated stalled until Change; a Pending, b Pending [GuardrailViolated, NotRequired]",
        ),
    ]
}

fn message(seen: &Seen) -> String {
    match plan(&seen.0) {
        Step::Wait(progress) | Step::RecordProgress(progress) => progress.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_message_states_when_the_request_can_be_submitted() {
    let long_ago = used(&[(75, 1), (60, 2), (90, 7)]);
    assert!(
        message(&long_ago).contains("it can be submitted at 2026-01-15T09:00:00Z"),
        "{}",
        message(&long_ago)
    );
    let two_of_three = used(&[(75, 1), (60, 1), (90, 8)]);
    assert!(message(&two_of_three).contains("it can be submitted at 2026-01-15T09:15:00Z"));
    let reserved = used(&[(60, 1)]).holding(reservation("n8", "request-2", "3", 9));
    assert!(
        message(&reserved).contains("in progress"),
        "{}",
        message(&reserved)
    );
}

#[test]
fn a_request_that_is_blocked_by_its_own_reservation_reports_it_until_its_next_write() {
    let left_over = |version: &str| used(&[]).holding(reservation("n1", "request-1", version, 9));
    assert!(message(&left_over("7")).contains("earlier reservation of this request"));
    assert!(!message(&left_over("6")).contains("earlier reservation of this request"));
    let another = used(&[]).holding(reservation("n3", "request-1", "7", 9));
    assert_ne!(
        message(&left_over("7")),
        message(&another),
        "each asks for a write"
    );
}

#[test]
fn the_number_of_reservations_is_limited_by_the_schema_of_the_status() {
    let mut seen = used(&[]);
    for number in 0..128 {
        seen = seen
            .holding(reservation(&format!("m{number}"), "request-2", "3", 1))
            .with(|o| {
                let guardrails = o.project.as_mut().unwrap().guardrails.as_mut().unwrap();
                guardrails.max_desktops_per_day = Some(1000);
            });
    }
    assert!(
        message(&seen).contains("too many submissions"),
        "{}",
        message(&seen)
    );
    // Its own reservation is named here as well: the message asks for the write that releases it.
    let own = seen.holding(reservation("n1", "request-1", "7", 1));
    let text = message(&own);
    assert!(text.contains("too many submissions"), "{text}");
    assert!(
        text.contains("earlier reservation of this request (n1)"),
        "{text}"
    );
}

#[test]
fn nothing_is_stored_or_sent_without_a_reservation() {
    let armed = |seen: Seen| {
        let seen = seen.permit(SendPermit::Held).with_signed_call(attempt("a b"));
        plan(&seen.0)
    };
    let reserved = |desktops| used(&[]).holding(reservation("n1", "request-1", "7", desktops));
    assert!(matches!(armed(reserved(2)), Step::RecordIntent(_)));
    let written_since = reserved(2).with(|o| "8".clone_into(&mut o.request.resource_version));
    for seen in [used(&[]), reserved(1), written_since] {
        assert_eq!(armed(seen), Step::StartOver);
    }
    let stored = |seen: Seen| {
        let seen = seen.attempt(attempt("a b")).begun();
        plan(&seen.permit(SendPermit::Held).with_signed_call(attempt("a b")).0)
    };
    assert_eq!(stored(reserved(2)), Step::Post);
    assert!(!matches!(stored(used(&[])), Step::Post));
}
