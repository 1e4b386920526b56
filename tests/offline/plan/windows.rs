//! When a project takes submissions, by the clocks of its time zones.

use std::time::Duration;

use desktop_deletion_operator::crd::project::{SubmissionWindow, Weekday};
use desktop_deletion_operator::plan::clocks::Clocks;
use desktop_deletion_operator::plan::deadlines::window;
use desktop_deletion_operator::plan::observed::Window;
use jiff::Timestamp;

fn hours(days: &[Weekday], from: &str, to: &str, time_zone: &str) -> SubmissionWindow {
    SubmissionWindow {
        days: days.to_vec(),
        from: from.to_owned(),
        to: to.to_owned(),
        time_zone: time_zone.to_owned(),
    }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn clocks(ours: &str, service: Option<&str>) -> Clocks {
    Clocks {
        uptime: Duration::from_secs(1000),
        local: at(ours),
        service: service.map(at),
        api_server: None,
    }
}

/// How these windows stand when both clocks show that time.
fn both(windows: &[SubmissionWindow], now: &str) -> Window {
    window(windows, &clocks(now, Some(now)))
}

fn opens(time: &str) -> Window {
    Window::Closed {
        opens: Some(at(time)),
    }
}

#[test]
fn a_window_begins_on_its_days_and_may_cross_midnight() {
    use Weekday::{Friday, Saturday};
    // 2026-12-04 is a Friday.
    let nights = [hours(&[Friday, Saturday], "22:00", "06:00", "UTC")];
    for (now, expected) in [
        ("2026-12-04T21:59:59Z", opens("2026-12-04T22:00:00Z")),
        ("2026-12-04T22:00:00Z", Window::Open),
        ("2026-12-05T05:59:59Z", Window::Open),
        ("2026-12-05T06:00:00Z", opens("2026-12-05T22:00:00Z")),
        ("2026-12-06T05:59:59Z", Window::Open),
        ("2026-12-06T22:00:00Z", opens("2026-12-11T22:00:00Z")),
        ("2026-12-11T05:00:00Z", opens("2026-12-11T22:00:00Z")),
    ] {
        assert_eq!(both(&nights, now), expected, "{now}");
    }
}

#[test]
fn without_days_a_window_begins_every_day_and_equal_times_are_a_whole_day() {
    let noon = [hours(&[], "12:00", "13:00", "UTC")];
    assert_eq!(both(&noon, "2026-12-02T12:30:00Z"), Window::Open);
    assert_eq!(both(&noon, "2026-12-02T13:00:00Z"), opens("2026-12-03T12:00:00Z"));
    let sunday = [hours(&[Weekday::Sunday], "00:00", "00:00", "UTC")];
    assert_eq!(
        both(&sunday, "2026-12-05T23:59:59Z"),
        opens("2026-12-06T00:00:00Z")
    );
    assert_eq!(both(&sunday, "2026-12-06T23:59:59Z"), Window::Open);
    assert_eq!(
        both(&sunday, "2026-12-07T00:00:00Z"),
        opens("2026-12-13T00:00:00Z")
    );
}

#[test]
fn of_several_windows_one_is_enough_and_the_next_one_is_named() {
    let several = [
        hours(&[], "22:00", "23:00", "UTC"),
        hours(&[], "04:00", "05:00", "Asia/Hong_Kong"),
    ];
    assert_eq!(both(&several, "2026-12-02T20:30:00Z"), Window::Open);
    assert_eq!(
        both(&several, "2026-12-02T21:00:00Z"),
        opens("2026-12-02T22:00:00Z")
    );
    assert_eq!(
        both(&several, "2026-12-02T23:00:00Z"),
        opens("2026-12-03T20:00:00Z")
    );
    assert_eq!(both(&[], "2026-12-02T23:00:00Z"), Window::Open);
}

#[test]
fn a_window_follows_the_summer_time_of_its_zone() {
    // In Berlin the clocks go back on 2026-10-25 and forward on 2027-03-28.
    let evening = [hours(&[], "22:00", "23:00", "Europe/Berlin")];
    for (now, expected) in [
        ("2026-10-24T20:30:00Z", Window::Open),
        ("2026-10-24T21:30:00Z", opens("2026-10-25T21:00:00Z")),
        ("2026-10-25T20:30:00Z", opens("2026-10-25T21:00:00Z")),
        ("2026-10-25T21:30:00Z", Window::Open),
        ("2027-03-28T20:30:00Z", Window::Open),
    ] {
        assert_eq!(both(&evening, now), expected, "{now}");
    }
    // On that day the hour from two to three is skipped, so nothing is left of this one.
    let skipped = [hours(&[], "02:30", "03:30", "Europe/Berlin")];
    assert_eq!(
        both(&skipped, "2027-03-28T01:15:00Z"),
        opens("2027-03-29T00:30:00Z")
    );
    let weekly = [hours(&[Weekday::Sunday], "02:30", "03:15", "Europe/Berlin")];
    assert_eq!(
        both(&weekly, "2027-03-27T12:00:00Z"),
        opens("2027-04-04T00:30:00Z"),
        "on 2027-03-28 it would begin at 03:30, after its end"
    );
}

#[test]
fn both_clocks_must_be_inside_of_a_window() {
    let evening = [hours(&[], "22:00", "23:00", "UTC")];
    let (inside, outside) = ("2026-12-02T22:30:00Z", "2026-12-02T23:00:10Z");
    let state = |ours, service| window(&evening, &clocks(ours, service));
    assert_eq!(state(inside, Some(inside)), Window::Open);
    assert_eq!(state(inside, None), Window::ClockUnknown);
    assert_eq!(state(inside, Some(outside)), Window::Closed { opens: None });
    let next = opens("2026-12-03T22:00:00Z");
    assert_eq!(state(outside, Some(inside)), next);
    assert_eq!(state(outside, None), next);
}

#[test]
fn a_time_zone_that_is_not_known_opens_nothing() {
    let windows = [
        hours(&[], "00:00", "00:00", "UTC"),
        hours(&[], "00:00", "00:00", "Europe/Atlantis"),
    ];
    assert_eq!(both(&windows, "2026-12-02T22:30:00Z"), Window::Unknown);
}
