//! The submission windows of a project (`spec.guardrails.windows`).

use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp, Zoned};

use super::Clocks;
use crate::crd::project::{SubmissionWindow, Weekday};
use crate::plan::observed::Window;

/// Number of days that are searched for the next opening: two weeks, since the clocks may skip the only window of one
/// of them, and one day more whose opening is past already.
const MAX_SEARCH_DAYS: i32 = 15;

/// State of the windows: open while both clocks are inside of one of them.
pub fn window(windows: &[SubmissionWindow], clocks: &Clocks) -> Window {
    if windows.is_empty() {
        return Window::Open;
    }
    let Some(hours) = windows.iter().map(Hours::of).collect::<Option<Vec<_>>>() else {
        return Window::Unknown;
    };
    let inside = |now: Timestamp| hours.iter().any(|hours| hours.contains(now));
    if !inside(clocks.local) {
        let opens = hours.iter().filter_map(|hours| hours.next(clocks.local)).min();
        return Window::Closed { opens };
    }
    match clocks.other() {
        None => Window::ClockUnknown,
        Some(other) if inside(other) => Window::Open,
        Some(_) => Window::Closed { opens: None },
    }
}

/// A window with parsed times and time zone.
struct Hours<'a> {
    days: &'a [Weekday],
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl<'a> Hours<'a> {
    /// `None` if the time zone is not known. (The API server validates the times.)
    fn of(window: &'a SubmissionWindow) -> Option<Self> {
        Some(Self {
            days: &window.days,
            from: Time::strptime("%H:%M", &window.from).ok()?,
            to: Time::strptime("%H:%M", &window.to).ok()?,
            // The compiled-in database, so that every replica decides the same, regardless of its image.
            zone: TimeZoneDatabase::bundled().get(&window.time_zone).ok()?,
        })
    }

    fn contains(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.zone.clone()).date();
        // One that crosses midnight began the day before.
        [today, today.yesterday().unwrap_or(today)]
            .into_iter()
            .filter_map(|day| self.on(day))
            .any(|(from, to)| from.timestamp() <= now && now < to.timestamp())
    }

    /// The next opening after `now`.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        (0..MAX_SEARCH_DAYS)
            .filter_map(|days| self.on(today.checked_add(Span::new().days(days)).ok()?))
            .map(|(from, _)| from.timestamp())
            .find(|from| *from > now)
    }

    /// Begin and end of the window of that day. A local time that is skipped on that day (daylight saving time) is used
    /// as if it existed, and of a repeated one the first is used; a window that becomes empty is ignored.
    fn on(&self, day: Date) -> Option<(Zoned, Zoned)> {
        if !self.days.is_empty() && !self.days.iter().any(|own| own.is(day.weekday())) {
            return None;
        }
        let last = if self.from < self.to {
            day
        } else {
            day.tomorrow().ok()?
        };
        let from = day.to_datetime(self.from).to_zoned(self.zone.clone()).ok()?;
        let to = last.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?;
        (from < to).then_some((from, to))
    }
}
