//! The durations of the submission protocol.

use std::time::Duration;

use clap::Args;

use super::duration::{parse, text};

/// How long the gateway honours a signature after its `X-Sdk-Date` (vendor's signing guide).
pub const GATEWAY_SIGNATURE_WINDOW: Duration = Duration::from_secs(15 * 60);

/// How long a token lives (vendor's IAM reference).
pub const TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Heading in `--help` of what decides how long a request may take effect.
const SUBMISSION: &str = "Submission";
/// Heading in `--help` for the flags that determine how often services are read.
const FOLLOWING: &str = "Polling and retries";

/// The durations of the submission protocol that can be set. Each is a flag of the same name, and the first line of its
/// comment is what `--help` says.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Timing {
    /// Deadline of a request without spec.notAfter, counted from its creation or spec.notBefore, whichever is later
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_REQUEST_DEADLINE", value_parser = parse, default_value = "168h", help_heading = SUBMISSION)]
    pub request_deadline: Duration,

    /// Maximum age of a signature when the delete request is sent
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_MAX_SIGNATURE_AGE", value_parser = parse, default_value = "60s", help_heading = SUBMISSION)]
    pub max_signature_age: Duration,

    /// Timeout for the response to a delete request, after which its outcome is unknown
    ///
    /// The default is the read timeout of the vendor's SDK. The pod's terminationGracePeriodSeconds must be longer, since a
    /// process that is shutting down waits for the response.
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_SUBMISSION_TIMEOUT", value_parser = parse, default_value = "120s", help_heading = SUBMISSION)]
    pub submission_timeout: Duration,

    /// How long the gateway accepts a signature; shorter than 15m only for testing
    ///
    /// A delete request without a response may take effect until this time, plus --clock-skew and --job-visibility-timeout,
    /// has passed.
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_SIGNATURE_WINDOW", value_parser = parse, default_value = "15m", help_heading = SUBMISSION)]
    pub signature_window: Duration,

    /// Maximum difference between the clocks of operator and cloud service; if it is exceeded, nothing is submitted
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_CLOCK_SKEW", value_parser = parse, default_value = "5m", help_heading = SUBMISSION)]
    pub clock_skew: Duration,

    /// Maximum time until an accepted delete request is visible in the cloud's job list
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_JOB_VISIBILITY_TIMEOUT", value_parser = parse, default_value = "120s", help_heading = SUBMISSION)]
    pub job_visibility_timeout: Duration,

    /// Lifetime of a token whose expiry is not known; shorter than 24h only for testing
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_TOKEN_LIFE", value_parser = parse, default_value = "24h", help_heading = SUBMISSION)]
    pub token_life: Duration,

    /// How long jobs or desktops may be unreadable during recovery before a manual decision is required
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_RECOVERY_TIMEOUT", value_parser = parse, default_value = "30m", help_heading = SUBMISSION)]
    pub recovery_timeout: Duration,

    /// Delay between the acceptance of a job and its first poll
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_INITIAL_POLL_DELAY", value_parser = parse, default_value = "10s", help_heading = FOLLOWING)]
    pub initial_poll_delay: Duration,

    /// How often the open jobs of a project are read, all in one call
    ///
    /// Progress is written at most once per object in this time.
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_POLL_INTERVAL", value_parser = parse, default_value = "15s", help_heading = FOLLOWING)]
    pub poll_interval: Duration,

    /// Time after which an unfinished job is reported as overdue; polling continues
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_JOB_OVERDUE", value_parser = parse, default_value = "60m", help_heading = FOLLOWING)]
    pub job_overdue: Duration,

    /// How often a Secret is read again while a project or a request waits for it
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_SECRET_REFRESH", value_parser = parse, default_value = "30s", help_heading = FOLLOWING)]
    pub secret_refresh: Duration,

    /// How often verified credentials of a project are verified again, with a read-only request
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_PROJECT_REFRESH", value_parser = parse, default_value = "10m", help_heading = FOLLOWING)]
    pub project_refresh: Duration,

    /// How often the cache of a watch is compared with the API server; /livez fails if the watch no longer delivers changes
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_WATCH_CHECK", value_parser = parse, default_value = "5m", help_heading = FOLLOWING)]
    pub watch_check: Duration,

    /// Delay until a queued request gets conditions; eight times as long while many requests wait
    #[arg(long, hide = true, value_name = "TIME", env = "DESKTOP_DELETION_FIRST_REPORT", value_parser = parse, default_value = "6s", help_heading = FOLLOWING)]
    pub first_report: Duration,

    /// First delay after a failure; it doubles with each failure in a row
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_RETRY_MIN", value_parser = parse, default_value = "5s", help_heading = FOLLOWING)]
    pub retry_min: Duration,

    /// Maximum delay between retries
    #[arg(long, value_name = "TIME", env = "DESKTOP_DELETION_RETRY_MAX", value_parser = parse, default_value = "5m", help_heading = FOLLOWING)]
    pub retry_max: Duration,
}

/// Two durations that are inconsistent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} ({}) must be shorter than {} ({}), since {reason}", .smaller.0, text(.smaller.1), .larger.0, text(.larger.1))]
pub struct Mismatch {
    smaller: Flag,
    larger: Flag,
    reason: &'static str,
}

/// A duration and the flag that sets it.
pub(super) type Flag = (&'static str, Duration);

impl Mismatch {
    /// Checks of each triple that the first is shorter than the second, for the reason that is the third.
    pub(super) fn check(triples: &[(Flag, Flag, &'static str)]) -> Result<(), Self> {
        match triples.iter().find(|(smaller, larger, _)| smaller.1 >= larger.1) {
            None => Ok(()),
            Some(&(smaller, larger, why)) => Err(Self {
                smaller,
                larger,
                reason: why,
            }),
        }
    }
}

impl Timing {
    /// Checks that the durations go together.
    ///
    /// # Errors
    /// The first pair that does not.
    pub fn check(&self) -> Result<(), Mismatch> {
        Mismatch::check(&[
            (
                ("--max-signature-age", self.max_signature_age),
                ("--signature-window", self.signature_window),
                "a request must not be sent with a signature that the gateway no longer accepts",
            ),
            (
                ("--initial-poll-delay", self.initial_poll_delay),
                ("--job-overdue", self.job_overdue),
                "a job must be read before it can be reported as overdue",
            ),
            (
                ("--poll-interval", self.poll_interval),
                ("--job-overdue", self.job_overdue),
                "a job must be read before it can be reported as overdue",
            ),
            (
                ("--job-visibility-timeout", self.job_visibility_timeout),
                ("--job-overdue", self.job_overdue),
                "an accepted job may take up to --job-visibility-timeout to become visible",
            ),
            (
                ("--max-signature-age", self.max_signature_age),
                ("--request-deadline", self.request_deadline),
                "a request must have time to be sent before it expires",
            ),
        ])?;
        if self.retry_min > self.retry_max {
            return Err(Mismatch {
                smaller: ("--retry-min", self.retry_min),
                larger: ("--retry-max", self.retry_max),
                reason: "delays grow from the first value to the second",
            });
        }
        Ok(())
    }

    /// Warnings for the log: values that are allowed for tests, but unsafe with the real cloud.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.signature_window < GATEWAY_SIGNATURE_WINDOW {
            warnings.push(format!(
                "--signature-window ({}) is shorter than the {} for which Huawei Cloud accepts a signature: a request \
                 without a response may be considered expired while it can still take effect; use it for testing only",
                text(self.signature_window),
                text(GATEWAY_SIGNATURE_WINDOW)
            ));
        }
        if self.token_life < TOKEN_LIFE {
            warnings.push(format!(
                "--token-life ({}) is shorter than the {} for which a token of Huawei Cloud is valid: if IAM does not \
                 report when a token expires, a request without a response may be considered expired while it can still \
                 take effect; use it for testing only",
                text(self.token_life),
                text(TOKEN_LIFE)
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::tests::config;

    #[test]
    fn the_defaults_are_consistent() {
        assert_eq!(config(&[]).timing.check(), Ok(()));
        assert!(config(&[]).timing.warnings().is_empty());
    }

    #[test]
    fn the_signature_window_must_be_longer_than_the_maximum_signature_age() {
        let mut timing = config(&[]).timing;
        timing.signature_window = timing.max_signature_age;
        assert_eq!(
            timing.check().unwrap_err().to_string(),
            "--max-signature-age (1m) must be shorter than --signature-window (1m), since a request must not be sent \
             with a signature that the gateway no longer accepts"
        );
    }

    #[test]
    fn delays_may_be_constant_but_not_shrink() {
        let mut timing = config(&[]).timing;
        timing.retry_max = timing.retry_min;
        assert_eq!(timing.check(), Ok(()));
        timing.retry_max /= 2;
        assert!(
            timing
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("--retry-min (5s)")
        );
    }

    #[test]
    fn a_signature_window_for_testing_is_allowed_and_named() {
        let timing = config(&["--signature-window=20s", "--max-signature-age=5s"]).timing;
        assert_eq!(timing.check(), Ok(()));
        assert_eq!(timing.warnings().len(), 1);
    }

    #[test]
    fn a_token_life_below_the_maximum_is_allowed_and_warned_about() {
        let timing = config(&["--token-life=23h"]).timing;
        assert_eq!(timing.check(), Ok(()));
        let warnings = timing.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("--token-life (23h) is shorter than the 24h "),
            "{warnings:?}"
        );
    }
}
