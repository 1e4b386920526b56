//! The time of the simulated world, and what an operator's machine takes it for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use desktop_deletion_operator::clock::TimeSource;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::dice::mix;

/// The time of day at which every world begins: a Monday, at the first second of which nothing happens.
pub const START: Timestamp = Timestamp::constant(1_767_600_000, 0);

/// The paused clock of the runtime, and the time of day that it began at.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedTime {
    began: Instant,
    dawn: Timestamp,
}

impl SimulatedTime {
    /// Begins now. Every world begins at the same time of day.
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            dawn: START,
        }
    }

    /// Milliseconds since it began.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment that is so many milliseconds after its begin.
    pub fn at(&self, millis: u64) -> Instant {
        self.began + Duration::from_millis(millis)
    }

    /// The true time of day.
    pub fn now(&self) -> Timestamp {
        self.time(self.elapsed())
    }

    /// The time of day so many milliseconds after its begin.
    pub fn time(&self, millis: u64) -> Timestamp {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        self.dawn
            .checked_add(SignedDuration::from_millis(millis))
            .unwrap_or(Timestamp::MAX)
    }
}

/// The clock and the random numbers of one process.
#[derive(Debug)]
pub struct ProcessClock {
    /// The world's time.
    pub time: SimulatedTime,
    /// How many seconds the machine's clock is ahead.
    pub ahead: Arc<AtomicI64>,
    /// Makes the numbers of this process its own.
    pub seed: u64,
}

impl TimeSource for ProcessClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        self.time.now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// One number for each millisecond: who asks first within one is up to the order in which hash tables are walked,
    /// which differs from run to run, and must not show.
    fn random(&self) -> u64 {
        mix(self.seed ^ mix(self.time.elapsed()))
    }
}
