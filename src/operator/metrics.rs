//! What is counted, by the naming conventions of Prometheus, each name beginning with `desktop_deletion_`.
//!
//! | metric | labels | says |
//! | --- | --- | --- |
//! | `submissions_total` | `outcome` | attempts that were settled |
//! | `cloud_calls_total` | `operation`, `code` | calls of the cloud |
//! | `reconciles_total` | `kind`, `result` | runs of a controller |
//! | `reconcile_duration_seconds` | `kind` | how long they took |
//! | `api_writes_total` | `kind`, `step` | writes to the API server |
//! | `leader` | | 1 while this replica works, 0 while it stands by |
//! | `build_info` | `version` | which build this is |
//!
//! The values of every label come from this program, never from an object, a Secret or an answer: the number of
//! series stays bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::workspace::error::{Failure, Operation};

/// Media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the histogram, in seconds: from a run that only looked at the cache to one that timed out.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// The counters of the process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    submissions: Family<Submission, Counter>,
    cloud_calls: Family<CloudCall, Counter>,
    reconciles: Family<Reconcile, Counter>,
    durations: Family<Kind, Histogram>,
    api_writes: Family<ApiWrite, Counter>,
    leader: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Submission {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloudCall {
    operation: &'static str,
    code: CallCode,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiWrite {
    kind: &'static str,
    step: &'static str,
}

/// How a call of the cloud ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallCode {
    /// With an answer of this HTTP status.
    Http(u16),
    /// No byte was sent.
    NotSent,
    /// Sent, or perhaps sent, but without a whole answer.
    NoAnswer,
}

impl From<&Failure> for CallCode {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::NotSent { .. } | Failure::Withheld { .. } => Self::NotSent,
            Failure::NoAnswer { .. } => Self::NoAnswer,
            Failure::Refused(refusal) => Self::Http(refusal.status),
            Failure::Unreadable { status, .. } => Self::Http(*status),
        }
    }
}

impl EncodeLabelValue for CallCode {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
        match self {
            Self::Http(status) => EncodeLabelValue::encode(status, encoder),
            Self::NotSent => EncodeLabelValue::encode(&"notSent", encoder),
            Self::NoAnswer => EncodeLabelValue::encode(&"noAnswer", encoder),
        }
    }
}

impl Metrics {
    /// All counters at zero.
    #[must_use]
    pub fn new() -> Self {
        let submissions = Family::default();
        let cloud_calls = Family::default();
        let reconciles = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let api_writes = Family::default();
        let leader = Gauge::default();

        let mut registry = Registry::with_prefix("desktop_deletion");
        registry.register(
            "submissions",
            "Attempts to submit a batch, by what became of them",
            submissions.clone(),
        );
        registry.register(
            "cloud_calls",
            "Calls of the cloud, by operation and HTTP status, or notSent, or noAnswer",
            cloud_calls.clone(),
        );
        registry.register(
            "reconciles",
            "Runs of a controller over an object, by result",
            reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time that a run of a controller over an object took",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(
            "api_writes",
            "Writes to the API server, by kind of object and step",
            api_writes.clone(),
        );
        registry.register(
            "leader",
            "1 while this replica works (always, without leader election), 0 while it stands by",
            leader.clone(),
        );
        registry.register(
            "build",
            "Which build this is",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            registry: Arc::new(registry),
            submissions,
            cloud_calls,
            reconciles,
            durations,
            api_writes,
            leader,
        }
    }

    /// This replica works now, or does so no longer.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// An attempt was settled with this outcome.
    pub fn submission(&self, outcome: &'static str) {
        self.submissions.get_or_create(&Submission { outcome }).inc();
    }

    /// A call of the cloud ended.
    pub fn cloud_call(&self, operation: Operation, code: CallCode) {
        self.cloud_calls
            .get_or_create(&CloudCall {
                operation: operation.as_str(),
                code,
            })
            .inc();
    }

    /// A run of the controller for `kind` ended after `duration`.
    pub fn reconcile(&self, kind: &'static str, result: &'static str, duration: Duration) {
        self.reconciles.get_or_create(&Reconcile { kind, result }).inc();
        self.durations
            .get_or_create(&Kind { kind })
            .observe(duration.as_secs_f64());
    }

    /// An object of `kind` was written to the API server by this step.
    pub fn api_write(&self, kind: &'static str, step: &'static str) {
        self.api_writes.get_or_create(&ApiWrite { kind, step }).inc();
    }

    /// Everything in the text format of [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// None in practice: the text is written to memory.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown_under_its_name() {
        let metrics = Metrics::new();
        metrics.submission("Accepted");
        metrics.cloud_call(Operation::BatchDelete, CallCode::Http(202));
        metrics.cloud_call(
            Operation::BatchDelete,
            CallCode::from(&Failure::NoAnswer {
                reason: "reset".to_owned(),
            }),
        );
        metrics
            .clone()
            .reconcile("DesktopDeletion", "ok", Duration::from_millis(3));
        metrics.api_write("DesktopDeletion", "RecordIntent");
        metrics.leads(true);
        let text = metrics.encode().unwrap();
        for line in [
            "desktop_deletion_submissions_total{outcome=\"Accepted\"} 1",
            "desktop_deletion_cloud_calls_total{operation=\"batchDelete\",code=\"202\"} 1",
            "desktop_deletion_cloud_calls_total{operation=\"batchDelete\",code=\"noAnswer\"} 1",
            "desktop_deletion_reconciles_total{kind=\"DesktopDeletion\",result=\"ok\"} 1",
            "desktop_deletion_reconcile_duration_seconds_bucket{le=\"0.005\",kind=\"DesktopDeletion\"} 1",
            "desktop_deletion_api_writes_total{kind=\"DesktopDeletion\",step=\"RecordIntent\"} 1",
            "desktop_deletion_leader 1",
            &format!(
                "desktop_deletion_build_info{{version=\"{}\"}} 1",
                env!("CARGO_PKG_VERSION")
            ),
            "# EOF",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
