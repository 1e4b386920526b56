//! The metrics, named by the conventions of Prometheus with the prefix `desktop_deletion_`. The page `docs/metrics.md`
//! lists every metric and what to monitor.
//!
//! | file | what |
//! | --- | --- |
//! | `counts` | counters and histograms: counted up where it happens |
//! | `live` | gauges: read from the caches at each scrape |
//! | `labels` | the labels of metrics |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::Store;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::health::Health;
use crate::crd::conditions::{Reason, api_enum};
use crate::crd::deletion::{Outcome, Summary};
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::workspace::error::{BreakerKind, Operation};

mod counts;
mod labels;
mod live;

pub use labels::CallCode;

use counts::{Counts, states};
use live::Live;

/// Media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of the process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    counts: Counts,
    live: Arc<Live>,
}

api_enum! {
    /// Events that require user action, although the object no longer exists or reports something else. The values are
    /// the reasons of these Events.
    Incident {
        /// The outcome of a submission could not be stored.
        JobLost,
        /// A submission that was taken to have had no effect had one.
        LateEffect,
        /// An object was released although an attempt of it was never settled.
        ReleasedUnresolved,
    }
}

impl Metrics {
    /// All counters are zero, and no gauge has a source yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("desktop_deletion");
        let counts = Counts::new(&mut registry);
        let live = Arc::new(Live::default());
        registry.register_collector(Box::new(live.clone()));
        Self {
            registry: Arc::new(registry),
            counts,
            live,
        }
    }

    /// Adds gauges for the requests of this cache, which contains unfinished ones only. `is_submitting`
    /// returns whether this process is submitting the request with a uid right now.
    pub fn watch_requests(
        &self,
        cache: Store<DesktopDeletion>,
        is_submitting: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) {
        self.live.0.lock().requests.push((cache, Arc::new(is_submitting)));
    }

    /// Adds gauges for the projects of this cache.
    pub fn watch_projects(&self, cache: Store<WorkspaceProject>) {
        self.live.0.lock().projects.push(cache);
    }

    /// Adds a gauge for the number of open breakers of each kind, evaluated at every scrape.
    pub fn watch_circuit_breaker(
        &self,
        open: impl Fn() -> Vec<(BreakerKind, usize)> + Send + Sync + 'static,
    ) {
        self.live.0.lock().circuit_breaker = Some(Arc::new(open));
    }

    /// Adds a gauge for the number of deleted requests that still reserve desktops, evaluated at every scrape.
    pub fn watch_claims(&self, count_deleted_requests: impl Fn() -> usize + Send + Sync + 'static) {
        self.live.0.lock().claims = Some(Arc::new(count_deleted_requests));
    }

    /// Shows from now on how many watched namespaces cannot be read; evaluated at every scrape.
    pub fn watch_unreadable(&self, namespaces: impl Fn() -> usize + Send + Sync + 'static) {
        self.live.0.lock().unreadable = Some(Arc::new(namespaces));
    }

    /// Shows from now on how many objects of each kind cannot be decoded; evaluated at every scrape.
    pub fn watch_undecodable(
        &self,
        objects: impl Fn() -> Vec<(&'static str, usize)> + Send + Sync + 'static,
    ) {
        self.live.0.lock().undecodable = Some(Arc::new(objects));
    }

    /// Adds gauges for the time since the last heartbeat of each loop.
    pub fn watch_health(&self, health: Health) {
        self.live.0.lock().health = Some(health);
    }

    /// Sets whether this replica is the leader.
    pub fn set_leader(&self, leads: bool) {
        self.counts.leader.set(i64::from(leads));
    }

    /// An attempt was settled, with an error of this class if it was rejected or not sent.
    pub fn attempt_settled(&self, outcome: Outcome, class: Option<&'static str>) {
        let refused = matches!(outcome, Outcome::Rejected | Outcome::NotSent);
        let class = class.filter(|_| refused).unwrap_or_default();
        let labels = [("outcome", outcome.as_str()), ("class", class)];
        self.counts.submissions.get_or_create(&labels).inc();
    }

    /// The response to a submission was lost, or could not be read.
    pub fn response_lost(&self) {
        self.counts.lost_responses.inc();
    }

    /// Something happened that requires user action.
    pub fn incident(&self, incident: Incident) {
        let labels = [("reason", incident.as_str())];
        self.counts.incidents.get_or_create(&labels).inc();
    }

    /// A request finished with this reason.
    pub fn completed(&self, reason: Reason, desktops: Summary) {
        let labels = [("reason", reason.as_str())];
        self.counts.completed_requests.get_or_create(&labels).inc();
        for (state, number) in states(desktops) {
            let counter = self.counts.completed_desktops.get_or_create(&[("state", state)]);
            counter.inc_by(u64::try_from(number).unwrap_or_default());
        }
    }

    /// The credentials of a project were verified, and the project's `Ready` has this reason for it.
    pub fn credentials_checked(&self, reason: Reason) {
        let labels = [("reason", reason.as_str())];
        self.counts.credential_checks.get_or_create(&labels).inc();
    }

    /// A call of the cloud ended.
    pub fn cloud_call(&self, operation: Operation, code: CallCode) {
        let operation = operation.as_str();
        let labels = labels::CloudCall { operation, code };
        self.counts.cloud_calls.get_or_create(&labels).inc();
    }

    /// A call of the cloud was suppressed, since this circuit breaker was open.
    pub fn suppressed(&self, operation: Operation, breaker: BreakerKind) {
        let labels = [
            ("operation", operation.as_str()),
            ("breaker", breaker_name(breaker)),
        ];
        self.counts.suppressed_requests.get_or_create(&labels).inc();
    }

    /// A circuit breaker opened.
    pub fn breaker_tripped(&self, breaker: BreakerKind) {
        let labels = [("breaker", breaker_name(breaker))];
        self.counts.circuit_breaker.get_or_create(&labels).inc();
    }

    /// A call to the cloud waited this long for a permit; waits of zero are counted too.
    pub fn permit_wait(&self, priority: &'static str, waited: Duration) {
        let histogram = self.counts.permit_waits.get_or_create(&[("priority", priority)]);
        histogram.observe(waited.as_secs_f64());
    }

    /// A run of the controller for `kind` ended after `duration`.
    pub fn reconcile(&self, kind: &'static str, result: &'static str, duration: Duration) {
        let labels = [("kind", kind), ("result", result)];
        self.counts.reconciles.get_or_create(&labels).inc();
        let histogram = self.counts.durations.get_or_create(&[("kind", kind)]);
        histogram.observe(duration.as_secs_f64());
    }

    /// An object of `kind` was written to the API server by this step.
    pub fn api_write(&self, kind: &'static str, step: &'static str) {
        let labels = [("kind", kind), ("step", step)];
        self.counts.api_writes.get_or_create(&labels).inc();
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

fn breaker_name(breaker: BreakerKind) -> &'static str {
    match breaker {
        BreakerKind::Credentials => "credentials",
        BreakerKind::Throttled => "throttled",
        BreakerKind::Unanswered => "unanswered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::error::Failure;

    /// The value of a series.
    pub(super) fn value(metrics: &Metrics, series: &str) -> Option<String> {
        let text = metrics.encode().unwrap();
        let mut values = text
            .lines()
            .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        values.next().map(ToOwned::to_owned)
    }

    pub(super) fn assert_shows(metrics: &Metrics, series: &[(&str, &str)]) {
        for (series, expected) in series {
            let found = value(metrics, &format!("desktop_deletion_{series}"));
            assert_eq!(
                found.as_deref(),
                Some(*expected),
                "{series} in\n{}",
                metrics.encode().unwrap()
            );
        }
    }

    #[test]
    fn counts_are_exported_under_their_names() {
        let metrics = Metrics::new();
        metrics.attempt_settled(Outcome::Accepted, None);
        metrics.attempt_settled(Outcome::Rejected, Some("Throttled"));
        metrics.attempt_settled(Outcome::Adopted, Some("InDoubt"));
        metrics.response_lost();
        metrics.incident(Incident::LateEffect);
        let desktops = Summary {
            total: 3,
            deleted: 2,
            failed: 1,
            ..Summary::default()
        };
        metrics.completed(Reason::PartiallyFailed, desktops);
        metrics.credentials_checked(Reason::SecretNotFound);
        metrics.cloud_call(Operation::BatchDelete, CallCode::Http(202));
        let reason = "reset".to_owned();
        metrics.cloud_call(
            Operation::BatchDelete,
            CallCode::from(&Failure::NoResponse { reason }),
        );
        metrics.suppressed(Operation::ListDesktops, BreakerKind::Credentials);
        metrics.breaker_tripped(BreakerKind::Credentials);
        metrics.permit_wait("poll", Duration::from_millis(200));
        metrics
            .clone()
            .reconcile("DesktopDeletion", "ok", Duration::from_millis(3));
        metrics.api_write("DesktopDeletion", "RecordIntent");
        metrics.set_leader(true);
        let build = format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_shows(
            &metrics,
            &[
                ("submissions_total{outcome=\"Accepted\",class=\"\"}", "1"),
                ("submissions_total{outcome=\"Rejected\",class=\"Throttled\"}", "1"),
                // The error of an attempt in doubt is not the class of its outcome.
                ("submissions_total{outcome=\"Adopted\",class=\"\"}", "1"),
                ("lost_responses_total", "1"),
                ("incidents_total{reason=\"LateEffect\"}", "1"),
                ("completed_requests_total{reason=\"PartiallyFailed\"}", "1"),
                ("completed_desktops_total{state=\"Deleted\"}", "2"),
                ("completed_desktops_total{state=\"Failed\"}", "1"),
                ("credential_checks_total{reason=\"SecretNotFound\"}", "1"),
                ("cloud_calls_total{operation=\"batchDelete\",code=\"202\"}", "1"),
                (
                    "cloud_calls_total{operation=\"batchDelete\",code=\"noResponse\"}",
                    "1",
                ),
                (
                    "suppressed_requests_total{operation=\"listDesktops\",breaker=\"credentials\"}",
                    "1",
                ),
                ("circuit_breaker_trips_total{breaker=\"credentials\"}", "1"),
                (
                    "rate_limiter_wait_seconds_bucket{le=\"0.5\",priority=\"poll\"}",
                    "1",
                ),
                ("reconciles_total{kind=\"DesktopDeletion\",result=\"ok\"}", "1"),
                (
                    "reconcile_duration_seconds_bucket{le=\"0.005\",kind=\"DesktopDeletion\"}",
                    "1",
                ),
                (
                    "api_writes_total{kind=\"DesktopDeletion\",step=\"RecordIntent\"}",
                    "1",
                ),
                ("leader", "1"),
                (&build, "1"),
            ],
        );
        assert!(metrics.encode().unwrap().ends_with("# EOF\n"));
    }

    #[test]
    fn series_that_alerts_query_are_zero_from_the_start() {
        assert_shows(
            &Metrics::new(),
            &[
                ("submissions_total{outcome=\"NoEffect\",class=\"\"}", "0"),
                ("lost_responses_total", "0"),
                ("incidents_total{reason=\"JobLost\"}", "0"),
                ("completed_requests_total{reason=\"AllFailed\"}", "0"),
                ("completed_desktops_total{state=\"Failed\"}", "0"),
                ("credential_checks_total{reason=\"AuthenticationFailed\"}", "0"),
                ("circuit_breaker_trips_total{breaker=\"throttled\"}", "0"),
                ("leader", "0"),
            ],
        );
    }
}
