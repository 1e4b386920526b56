//! What counts against the limit of a day, and when a reservation is given back.

use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::crd::project::{DailyUsage, Reservation, SubmittedDesktops};
use desktop_deletion_operator::plan::clocks::Clocks;
use desktop_deletion_operator::plan::daily_usage::{self, ReservationOwner};

use super::build::{attempt, effective, minute, nonce, timing};

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// What both clocks show, in minutes; the service's may be unknown.
fn clocks(ours: i64, service: Option<i64>) -> Clocks {
    Clocks {
        uptime: std::time::Duration::ZERO,
        local: minute(ours).0,
        service: service.map(|minutes| minute(minutes).0),
        api_server: None,
    }
}

fn reservation(id: &str, at: i64) -> Reservation {
    Reservation {
        attempt_id: nonce(id),
        request: "leaver".to_owned(),
        uid: "request-1".to_owned(),
        resource_version: "7".to_owned(),
        desktops: 5,
        reserved_at: minute(at),
    }
}

fn submitted(all: &[(i64, i32)]) -> Vec<SubmittedDesktops> {
    let interval = |&(until, desktops): &(i64, i32)| SubmittedDesktops {
        counts_until: minute(until),
        desktops,
    };
    all.iter().map(interval).collect()
}

#[test]
fn desktops_count_until_both_clocks_are_past_their_time() {
    for (ours, service, left) in [
        (59, Some(59), 7),
        (60, Some(59), 7),
        (59, Some(60), 7),
        (60, Some(60), 4),
        (60, None, 7),
        // Apart by more than is allowed: past it by the difference too.
        (60, Some(90), 7),
        (90, Some(120), 4),
    ] {
        let mut usage = DailyUsage {
            submitted: submitted(&[(60, 3), (600, 4)]),
            reservations: vec![],
        };
        daily_usage::expire(&mut usage, &clocks(ours, service), &timing());
        assert_eq!(usage.desktops(), left, "{ours} {service:?}");
    }
}

#[test]
fn a_reservation_that_is_never_settled_counts_for_a_day() {
    for (now, left) in [(DAY, 5), (DAY + 14, 5), (DAY + 15, 0)] {
        let mut usage = DailyUsage {
            submitted: vec![],
            reservations: vec![reservation("n1", 1)],
        };
        daily_usage::expire(&mut usage, &clocks(now, Some(now)), &timing());
        assert_eq!(usage.desktops(), left, "{now}");
    }
}

/// What a reservation of five desktops becomes: still open, usage of the day, or nothing.
fn settled_as(version: &str, attempts: Vec<Attempt>) -> (usize, i32) {
    settled(&ReservationOwner::Found {
        resource_version: version.to_owned(),
        attempts,
    })
}

fn settled(now: &ReservationOwner) -> (usize, i32) {
    let usage = DailyUsage {
        submitted: vec![],
        reservations: vec![reservation("n1", 0)],
    };
    let usage = daily_usage::settle_reservations(&usage, vec![now.clone()], &timing());
    let until = |interval: &SubmittedDesktops| interval.counts_until == minute(15 + DAY);
    assert!(usage.submitted.iter().all(until), "{usage:?}");
    let desktops = usage.submitted.iter().map(|interval| interval.desktops).sum();
    (usage.reservations.len(), desktops)
}

#[test]
fn a_reservation_is_released_only_if_it_has_and_can_have_no_effect() {
    let ended = |outcome| Attempt {
        outcome,
        ..attempt("a b")
    };
    let other = Attempt {
        id: nonce("n9"),
        ..ended(Outcome::Accepted)
    };
    let late = Attempt {
        outcome: Outcome::NoEffect,
        ..effective("a b", Outcome::Accepted, "j1")
    };
    for (what, version, attempts, expected) in [
        ("the intent can still be stored", "7", vec![], (1, 0)),
        ("it cannot be stored any more", "8", vec![], (0, 0)),
        ("another attempt was made", "8", vec![other], (0, 0)),
        ("it is pending", "8", vec![ended(Outcome::Pending)], (1, 0)),
        ("it was refused", "8", vec![ended(Outcome::Rejected)], (0, 0)),
        ("it was not sent", "8", vec![ended(Outcome::NotSent)], (0, 0)),
        ("it had no effect", "8", vec![ended(Outcome::NoEffect)], (0, 0)),
        ("its job became visible late", "8", vec![late], (0, 2)),
        (
            "it was accepted, for fewer",
            "8",
            vec![ended(Outcome::Accepted)],
            (0, 2),
        ),
        (
            "its job was recovered",
            "8",
            vec![ended(Outcome::Adopted)],
            (0, 2),
        ),
        ("it was abandoned", "8", vec![ended(Outcome::Abandoned)], (0, 2)),
        (
            "only a newer version knows",
            "8",
            vec![ended(Outcome::Other)],
            (0, 2),
        ),
    ] {
        assert_eq!(settled_as(version, attempts), expected, "{what}");
    }
    assert_eq!(settled(&ReservationOwner::Gone), (0, 5), "its outcome is unknown");
    assert_eq!(
        settled(&ReservationOwner::Unknown),
        (1, 0),
        "it could not be read"
    );
}

#[test]
fn the_usage_of_a_day_is_stored_in_intervals_of_a_quarter_of_an_hour() {
    let mut usage = DailyUsage::default();
    for now in 0..3 * DAY {
        let clocks = clocks(now, Some(now));
        daily_usage::expire(&mut usage, &clocks, &timing());
        usage.reservations.push(reservation("n1", now));
        usage = daily_usage::settle_reservations(&usage, vec![ReservationOwner::Gone], &timing());
        let whole_day = 5 * u32::try_from(now.min(DAY)).unwrap();
        let more = usage.desktops() - whole_day;
        assert!((5..=5 * (15 + 4)).contains(&more), "at {now}: {more}");
        assert!(usage.submitted.len() <= 98);
    }
    // A clock that was set back: the first ones count longer, and nothing is lost.
    let before = usage.desktops();
    for now in 0..DAY {
        usage.reservations.push(reservation("n1", now));
        usage = daily_usage::settle_reservations(&usage, vec![ReservationOwner::Gone], &timing());
    }
    assert_eq!(usage.submitted.len(), 98);
    assert_eq!(usage.desktops(), before + 5 * u32::try_from(DAY).unwrap());
}

#[test]
fn a_second_reservation_for_an_attempt_takes_the_place_of_the_first() {
    let usage = daily_usage::reserve(&DailyUsage::default(), reservation("n1", 0));
    let usage = daily_usage::reserve(&usage, reservation("n2", 0));
    let larger = Reservation {
        desktops: 7,
        ..reservation("n1", 1)
    };
    assert_eq!(daily_usage::reserve(&usage, larger).desktops(), 5 + 7);
    let of_another = Reservation {
        uid: "request-2".to_owned(),
        ..reservation("n1", 1)
    };
    assert_eq!(daily_usage::reserve(&usage, of_another).desktops(), 5 + 5 + 5);
}
