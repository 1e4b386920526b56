//! The only source of time and randomness, so that tests and simulations can set both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

/// Where the time of day and random bytes come from. Waiting is `tokio::time`, which tests pause.
pub trait TimeSource: Send + Sync + fmt::Debug {
    /// The time of day by this machine's clock.
    fn now(&self) -> Timestamp;

    /// An unpredictable number, for nonces and jitter.
    fn random(&self) -> u64;
}

/// A shared [`TimeSource`].
pub type Clock = Arc<dyn TimeSource>;

/// Time since the start of the process, which clock changes do not affect.
#[derive(Debug, Clone, Copy)]
pub struct Uptime(Instant);

impl Uptime {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// What it was at that moment.
    pub fn at(self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.0)
    }

    /// The moment at which it reaches `uptime`.
    pub fn moment(self, uptime: Duration) -> Instant {
        self.0 + uptime
    }
}

/// The machine's clock and random generator.
#[derive(Debug, Default)]
pub struct SystemClock;

impl TimeSource for SystemClock {
    #[allow(clippy::disallowed_methods)] // the only place that reads the clock
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        // A machine without randomness still has a clock, whose microseconds are different enough.
        if SystemRandom::new().fill(&mut bytes).is_err() {
            return self.now().as_microsecond().unsigned_abs();
        }
        u64::from_ne_bytes(bytes)
    }
}
