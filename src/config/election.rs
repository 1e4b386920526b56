//! The durations of the leader election.

use std::time::Duration;

use clap::Args;

use super::duration::parse;
use super::timing::Mismatch;

/// The durations of the leader election. They must relate as in the Kubernetes client libraries.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Election {
    /// Time after the last renewal until another replica may acquire the Lease; whole seconds
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_LEASE_DURATION", value_parser = whole_seconds, default_value = "15s")]
    pub lease_duration: Duration,

    /// Time after which a leader that cannot renew the Lease stops and exits
    ///
    /// The difference to --lease-duration is the tolerated clock drift between replicas.
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_RENEW_DEADLINE", value_parser = parse, default_value = "10s")]
    pub renew_deadline: Duration,

    /// Interval between attempts to acquire or renew the Lease
    #[arg(long = "lease-retry", value_name = "TIME", env = "DESKTOP_DELETION_LEASE_RETRY", value_parser = parse, default_value = "2s")]
    pub retry: Duration,
}

/// A duration as a Lease stores it.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    match parse(text) {
        Ok(duration) if duration.subsec_nanos() == 0 => Ok(duration),
        Ok(_) => Err(format!(
            "{text:?} is not a whole number of seconds; a Lease stores its duration in seconds"
        )),
        Err(error) => Err(error.to_string()),
    }
}

impl Election {
    /// Checks that the durations go together.
    ///
    /// # Errors
    /// The first pair that does not.
    pub fn check(&self) -> Result<(), Mismatch> {
        Mismatch::check(&[
            (
                ("--renew-deadline", self.renew_deadline),
                ("--lease-duration", self.lease_duration),
                "a leader must have stopped before another replica may acquire the Lease",
            ),
            (
                ("--lease-retry", self.retry),
                ("--renew-deadline", self.renew_deadline),
                "a failed renewal must be retried before the leader stops",
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::tests::{config, try_config};

    #[test]
    fn the_defaults_are_consistent() {
        let election = config(&["--leader-elect"]).election.unwrap();
        assert_eq!(election.check(), Ok(()));
    }

    #[test]
    fn a_holder_stops_before_another_one_starts_and_tries_more_than_once() {
        for (flags, why) in [
            (
                ["--leader-elect", "--renew-deadline=15s"],
                "--renew-deadline (15s) must be shorter than --lease-duration (15s), since a leader must have stopped",
            ),
            (
                ["--leader-elect", "--lease-retry=10s"],
                "--lease-retry (10s) must be shorter than --renew-deadline (10s), since a failed renewal",
            ),
        ] {
            let message = try_config(&flags).unwrap_err();
            assert!(message.starts_with(why), "{message}");
        }
    }
}
