//! How long things take in the simulated cloud.

use serde::{Deserialize, Serialize};

use super::Span;

/// Lengths of time of the world, each with a default for quick tests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timings {
    /// From the accepted call until its job and sub-jobs can be seen. Default 0s.
    pub job_visible_after: Span,

    /// From the accepted call until its desktops read as being deleted. Default 0s.
    pub desktop_visible_after: Span,

    /// How long a sub-job stays WAITING. Default 1s.
    pub waiting: Span,

    /// How long a sub-job stays RUNNING. Default 2s.
    pub running: Span,

    /// How much later than the one before it each further desktop of a batch starts. Default 0s.
    pub stagger: Span,

    /// How long before its sub-job ends a desktop that is being deleted has an empty status. Default 500ms.
    pub empty_status: Span,

    /// From the end of the sub-job until the desktop is gone. Default 0s.
    pub gone_after: Span,

    /// How old the two lists of desktops are. Default 0s.
    pub list_lag: Span,

    /// From the end of a job until its records are removed automatically. Default: never.
    pub job_retention: Option<Span>,

    /// Greatest difference between `X-Sdk-Date` and the service's clock, either way. Default 15m.
    pub signature_window: Span,

    /// How far the service's clock runs ahead. Default 0s.
    pub clock_ahead: Span,

    /// How far the service's clock runs behind. Default 0s.
    pub clock_behind: Span,

    /// Life of a token made by `POST /v3/auth/tokens`. Default 24h.
    pub token_lifetime: Span,

    /// How long an access key stays locked after too many failures in a row. Default 5m.
    pub key_lock: Span,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            job_visible_after: Span::ZERO,
            desktop_visible_after: Span::ZERO,
            waiting: Span::from_secs(1),
            running: Span::from_secs(2),
            stagger: Span::ZERO,
            empty_status: Span::from_millis(500),
            gone_after: Span::ZERO,
            list_lag: Span::ZERO,
            job_retention: None,
            signature_window: Span::from_secs(15 * 60),
            clock_ahead: Span::ZERO,
            clock_behind: Span::ZERO,
            token_lifetime: Span::from_secs(24 * 3600),
            key_lock: Span::from_secs(5 * 60),
        }
    }
}
