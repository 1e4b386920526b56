//! Layer 3, time: the clocks of this machine and of the services.
//!
//! Two clocks are used: that of this machine, and that of the service, known from the `Date` of its responses. If the
//! service has not responded, the clock of the API server is used instead. A clock that is known from responses
//! advances with the monotonic time of this process, so that a step of this machine's clock affects only that clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::observed::ClockSkew;

/// How far two correct responses may disagree: as long as a call may take.
const MAX_DISAGREEMENT: SignedDuration = SignedDuration::from_secs(30);

/// The `Date` of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateSample {
    /// The date.
    pub date: Timestamp,
    /// When it came, in time since the start of this process.
    pub at: Duration,
}

impl DateSample {
    /// What that clock shows at `uptime`.
    fn carried_to(self, uptime: Duration) -> Timestamp {
        shifted(self.date, self.at, uptime)
    }

    fn agrees_with(self, other: Self) -> bool {
        let expected = other.carried_to(self.at);
        self.date.duration_since(expected).abs() <= MAX_DISAGREEMENT
    }
}

/// This many consecutive responses must agree with each other before they correct a known clock. One list may take two
/// calls, so two responses may come from the same faulty server.
const SAMPLES_TO_CORRECT: u8 = 3;

/// A clock that is known only from responses. It is known once two consecutive responses agree. Responses that disagree
/// with the known clock are ignored until three consecutive ones agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RemoteClock {
    known: Option<DateSample>,
    /// The last response that disagreed, and how many have agreed with it in a row.
    doubtful: Option<(DateSample, u8)>,
}

impl RemoteClock {
    /// Records the `Date` of a response.
    pub fn observe_date(&mut self, sample: DateSample) {
        let agreed = match self.doubtful {
            Some((doubtful, count)) if sample.agrees_with(doubtful) => count + 1,
            _ => 1,
        };
        let enough = if self.known.is_some() {
            SAMPLES_TO_CORRECT
        } else {
            2
        };
        if self.known.is_some_and(|known| sample.agrees_with(known)) || agreed >= enough {
            self.known = Some(sample);
            self.doubtful = None;
        } else {
            self.doubtful = Some((sample, agreed));
        }
    }

    /// Its time at `uptime`; `None` until two responses agree.
    pub fn at(&self, uptime: Duration) -> Option<Timestamp> {
        self.known.map(|known| known.carried_to(uptime))
    }
}

/// All clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Clocks {
    /// Time since the start of this process; it never steps.
    pub uptime: Duration,
    /// This machine's clock.
    pub local: Timestamp,
    /// The service's clock, where it is known.
    pub service: Option<Timestamp>,
    /// The API server's clock, where it is known.
    pub api_server: Option<Timestamp>,
}

impl Clocks {
    /// The clock that is compared with the local one: the service's, or else the API server's.
    pub fn other(&self) -> Option<Timestamp> {
        self.service.or(self.api_server)
    }

    /// How far that clock is ahead of the local one; negative if it is behind.
    pub fn difference(&self) -> Option<SignedDuration> {
        self.other().map(|other| other.duration_since(self.local))
    }

    /// The difference, if it is more than is allowed.
    pub fn skew(&self, allowed: Duration) -> Option<ClockSkew> {
        let ahead = self.difference()?;
        let of_service = self.service.is_some();
        (ahead.unsigned_abs() > allowed).then_some(ClockSkew { ahead, of_service })
    }

    /// How long until both clocks are past `at`, if each continues at its present offset. If they differ by more than
    /// `allowed`, the time must be exceeded by their difference as well, since it is not known which one is right.
    /// `None` if only the local clock is known.
    pub fn until(&self, at: Timestamp, allowed: Duration) -> Option<Duration> {
        let apart = Duration::try_from(self.difference()?.abs()).unwrap_or(Duration::MAX);
        let margin = if apart > allowed { apart } else { Duration::ZERO };
        let behind = self.other()?.min(self.local);
        Some(between(behind, after(at, margin)))
    }

    /// What they showed at an earlier moment of this process.
    #[must_use]
    pub fn at(&self, uptime: Duration) -> Self {
        let then = |now: Timestamp| shifted(now, self.uptime, uptime);
        Self {
            uptime,
            local: then(self.local),
            service: self.service.map(then),
            api_server: self.api_server.map(then),
        }
    }
}

/// `at` and so much later; the latest representable time if that is exceeded.
pub fn after(at: Timestamp, later: Duration) -> Timestamp {
    at.checked_add(later).unwrap_or(Timestamp::MAX)
}

/// From `from` to `to`; zero if that is in the past.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// What a clock that shows `shown` at uptime `from` shows at uptime `to`.
fn shifted(shown: Timestamp, from: Duration, to: Duration) -> Timestamp {
    match to.checked_sub(from) {
        Some(later) => after(shown, later),
        None => shown
            .checked_sub(from.saturating_sub(to))
            .unwrap_or(Timestamp::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_600_000 + seconds).unwrap()
    }

    /// Answers as pairs of what they said and when they came, in seconds.
    fn known_from(answers: &[(i64, u64)]) -> RemoteClock {
        let mut clock = RemoteClock::default();
        for (date, came) in answers {
            clock.observe_date(DateSample {
                date: at(*date),
                at: Duration::from_secs(*came),
            });
        }
        clock
    }

    fn clocks(ours: i64, service: Option<i64>) -> Clocks {
        Clocks {
            uptime: Duration::from_secs(1000),
            local: at(ours),
            service: service.map(at),
            api_server: None,
        }
    }

    #[test]
    fn the_date_of_a_first_response_counts_once_a_second_one_agrees() {
        let shown = |answers: &[(i64, u64)]| known_from(answers).at(Duration::from_secs(100));
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[(0, 0)]), None);
        assert_eq!(shown(&[(0, 0), (10, 10)]), Some(at(100)));
        assert_eq!(
            shown(&[(0, 0), (40, 10)]),
            Some(at(130)),
            "as far as a call takes"
        );
        assert_eq!(shown(&[(0, 0), (41, 10)]), None, "further than a call takes");
        assert_eq!(shown(&[(9999, 0), (10, 10)]), None);
        assert_eq!(shown(&[(9999, 0), (10, 10), (11, 11)]), Some(at(100)));
    }

    #[test]
    fn responses_with_another_date_change_the_clock_only_if_three_in_a_row_agree() {
        let true_answers = [(0, 0), (1, 1)];
        let shown = |more: &[(i64, u64)]| {
            known_from(&[&true_answers, more].concat())
                .at(Duration::from_secs(100))
                .unwrap()
        };
        assert_eq!(shown(&[(9999, 2)]), at(100));
        assert_eq!(
            shown(&[(9999, 2), (3, 3), (10_001, 4)]),
            at(100),
            "a true one between"
        );
        assert_eq!(
            shown(&[(9999, 2), (77, 3), (-5000, 4)]),
            at(100),
            "each has another date"
        );
        assert_eq!(
            shown(&[(10_002, 2), (10_003, 3)]),
            at(100),
            "two calls of one list"
        );
        assert_eq!(
            shown(&[(9_002, 2), (9_003, 3), (4, 4), (9_005, 5), (9_006, 6)]),
            at(100),
            "a true one between"
        );
        assert_eq!(
            shown(&[(10_002, 2), (10_003, 3), (10_004, 4)]),
            at(10_100),
            "that clock was set"
        );
    }

    #[test]
    fn both_clocks_must_be_past_a_moment() {
        for (ours, service, left) in [
            (0, Some(0), Some(100)),
            (100, Some(100), Some(0)),
            (150, Some(100), Some(0)),
            (150, Some(99), Some(1)),
            (99, Some(400 - 1), Some(1)),
            // Apart by more than is allowed: past it by the difference too.
            (100, Some(401), Some(301)),
            (100 + 301, Some(100 + 602), Some(0)),
            (100_000, Some(99), Some(1 + 99_901)),
            (100, None, None),
        ] {
            let seconds = |left: Duration| left.as_secs();
            assert_eq!(
                clocks(ours, service).until(at(100), SKEW).map(seconds),
                left,
                "{ours} {service:?}"
            );
        }
    }

    #[test]
    fn the_clock_of_the_service_is_preferred_to_that_of_the_api_server() {
        let both = Clocks {
            api_server: Some(at(7)),
            ..clocks(0, Some(5))
        };
        assert_eq!(both.difference(), Some(SignedDuration::from_secs(5)));
        let one = Clocks {
            service: None,
            ..both
        };
        assert_eq!(one.difference(), Some(SignedDuration::from_secs(7)));
    }

    #[test]
    fn earlier_readings_are_computed_from_the_present_ones() {
        let then = clocks(50, Some(60)).at(Duration::from_secs(990));
        assert_eq!((then.local, then.service), (at(40), Some(at(50))));
    }
}
