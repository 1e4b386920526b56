//! Gauges of the current state, read from memory at each scrape: what changes between two scrapes costs
//! nothing, and no call is made for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;

use super::breaker_name;
use super::counts::{final_reasons, reasons};
use crate::crd::conditions::{ConditionType, DELETION, PROJECT, find};
use crate::crd::deletion::Outcome;
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::runtime::health::Health;
use crate::workspace::error::BreakerKind;

/// Reason for an object that the operator has not processed yet.
const NOT_SEEN: &str = "NotSeen";

/// Reason for all reasons that the operator does not know.
const OTHER: &str = "Other";

/// Returns whether this process is submitting the request with a uid right now.
type IsSubmitting = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Called at every scrape.
type ScrapeCallback<T> = Option<Arc<dyn Fn() -> T + Send + Sync>>;

#[derive(Default)]
pub(super) struct Live(pub(super) Mutex<Sources>);

/// The sources of the gauges.
#[derive(Clone, Default)]
pub(super) struct Sources {
    pub(super) requests: Vec<(Store<DesktopDeletion>, IsSubmitting)>,
    pub(super) projects: Vec<Store<WorkspaceProject>>,
    /// Number of open breakers of each kind.
    pub(super) circuit_breaker: ScrapeCallback<Vec<(BreakerKind, usize)>>,
    pub(super) claims: ScrapeCallback<usize>,
    pub(super) unreadable: ScrapeCallback<usize>,
    /// How many objects of each kind cannot be decoded.
    pub(super) undecodable: ScrapeCallback<Vec<(&'static str, usize)>>,
    pub(super) health: Option<Health>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let sources = self.0.lock().clone();
        // A standby replica does not know any object, so it exports no series.
        if !sources.requests.is_empty() {
            requests(&sources, &mut encoder)?;
        }
        if !sources.projects.is_empty() {
            projects(&sources, &mut encoder)?;
        }
        if let Some(circuit_breaker) = sources.circuit_breaker {
            let open = circuit_breaker().into_iter();
            let series = open.map(|(breaker, held)| ([("breaker", breaker_name(breaker))], count(held)));
            let help = "Circuit breakers that are open or half-open, by breaker. Each applies to one set of credentials: credentials to all of their calls, throttled to those in one project, unanswered to their delete requests to one endpoint.";
            gauges(&mut encoder, "circuit_breaker_open", help, series)?;
        }
        if let Some(claims) = sources.claims {
            let help = "Deleted DesktopDeletions whose desktops are still reserved, since their delete request may take effect or its job is not visible yet.";
            gauge(&mut encoder, "claims_of_deleted_requests", help, count(claims()))?;
        }
        if let Some(unreadable) = sources.unreadable {
            let help = "Watched namespaces that cannot be read because permissions are missing.";
            gauge(&mut encoder, "unreadable_namespaces", help, count(unreadable()))?;
        }
        if let Some(undecodable) = sources.undecodable {
            let series = undecodable().into_iter();
            let series = series.map(|(kind, number)| ([("kind", kind)], count(number)));
            let help = "Objects that this version of the operator cannot decode: they are skipped, and their desktops stay reserved.";
            gauges(&mut encoder, "undecodable_objects", help, series)?;
        }
        if let Some(health) = sources.health {
            // Named as in `/livez`; the names contain at most the watched namespace.
            let ages = health.heartbeat_ages().into_iter();
            let ages = ages.map(|(task, silence)| ([("task", task)], silence.as_secs_f64()));
            let help = "Seconds since the last heartbeat of a loop of the operator; for a watch, since its cache was last verified against the API server.";
            gauges(&mut encoder, "heartbeat_age_seconds", help, ages)?;
        }
        Ok(())
    }
}

fn requests(sources: &Sources, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
    let mut submitted = Tally::of(reasons(DELETION, ConditionType::Submitted).chain([NOT_SEEN]));
    // With these reasons the request has finished.
    let ends: Vec<_> = final_reasons().collect();
    let mut stalled =
        Tally::of(reasons(DELETION, ConditionType::Stalled).filter(|reason| !ends.contains(reason)));
    let mut in_doubt = 0;
    for (cache, is_submitting) in &sources.requests {
        for object in cache.state() {
            let status = object.status.as_ref();
            let conditions = status.map_or(&[][..], |status| &status.conditions);
            submitted.add(reason(conditions, ConditionType::Submitted).unwrap_or(NOT_SEEN));
            if let Some(reason) = reason(conditions, ConditionType::Stalled) {
                stalled.add(reason);
            }
            let open = status.is_some_and(|s| s.attempts.iter().any(|a| a.outcome == Outcome::Pending));
            in_doubt += i64::from(open && !is_submitting(&object.uid().unwrap_or_default()));
        }
    }
    let of = |kind: ConditionType, tally: Tally| {
        let condition = ("condition", kind.as_str());
        let labels = move |(reason, number)| ([condition, ("reason", reason)], number);
        tally.0.into_iter().map(labels)
    };
    let series = of(ConditionType::Submitted, submitted).chain(of(ConditionType::Stalled, stalled));
    let help = "Unfinished DesktopDeletions, by condition and reason: each has one for Submitted, and one for Stalled while user action is required.";
    gauges(encoder, "unfinished_requests", help, series)?;
    let help = "Attempts whose delete request may have reached the cloud, whose outcome is unknown, and which are no longer in flight in this process.";
    gauge(encoder, "attempts_in_doubt", help, in_doubt)
}

fn projects(sources: &Sources, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
    let mut ready = Tally::of(reasons(PROJECT, ConditionType::Ready).chain([NOT_SEEN]));
    for object in sources.projects.iter().flat_map(Store::state) {
        let conditions = object
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.conditions);
        ready.add(reason(conditions, ConditionType::Ready).unwrap_or(NOT_SEEN));
    }
    let series = ready.0.into_iter();
    let series = series.map(|(reason, number)| ([("reason", reason)], number));
    let help = "WorkspaceProjects, by the reason of their condition Ready: with any reason except CredentialsValid, their requests wait.";
    gauges(encoder, "projects", help, series)
}

fn reason(conditions: &[v1::Condition], kind: ConditionType) -> Option<&str> {
    find(conditions, kind).map(|condition| &*condition.reason)
}

/// Objects by reason: each that can occur is there, at zero if there is none.
struct Tally(BTreeMap<&'static str, i64>);

impl Tally {
    fn of(reasons: impl Iterator<Item = &'static str>) -> Self {
        Self(reasons.chain([OTHER]).map(|reason| (reason, 0)).collect())
    }

    fn add(&mut self, reason: &str) {
        let known = if self.0.contains_key(reason) {
            reason
        } else {
            OTHER
        };
        if let Some(number) = self.0.get_mut(known) {
            *number += 1;
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: i64) -> Result<(), fmt::Error> {
    let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    gauge.encode_gauge(&value)
}

fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (L, V)>,
) -> Result<(), fmt::Error> {
    let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        gauge.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::super::Metrics;
    use super::super::tests::{assert_shows, value};
    use super::*;

    /// A request whose conditions have these reasons, and whose attempt has this outcome.
    fn request(name: &str, conditions: &[(&str, &str)], outcome: Option<&str>) -> DesktopDeletion {
        let condition = |(kind, reason): &(&str, &str)| {
            json!({"type": kind, "reason": reason, "status": "Unknown",
            "message": "", "lastTransitionTime": "2026-12-01T00:00:00Z"})
        };
        let attempt = |outcome| {
            json!({"id": "0000000000000001", "writer": "pod", "auth": "Signature",
            "desktopIDs": ["pc-1"], "bodyDigest": format!("sha256:{}", "0".repeat(64)),
            "signedAt": "2026-12-01T00:00:00Z", "outcome": outcome})
        };
        serde_json::from_value(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": name, "namespace": "vdi", "uid": name},
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1"]},
            "status": {"conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
                "attempts": outcome.map(attempt).into_iter().collect::<Vec<_>>()},
        }))
        .unwrap()
    }

    #[test]
    fn requests_are_shown_as_long_as_the_cache_has_them() {
        let metrics = Metrics::new();
        assert_eq!(value(&metrics, "desktop_deletion_attempts_in_doubt"), None);
        let (cache, mut writer) = reflector::store();
        metrics.watch_requests(cache, |uid| uid == "on-its-way");
        let waiting = &[("Submitted", "AwaitingEvidence")];
        let needs_user = &[("Submitted", "PermissionDenied"), ("Stalled", "PermissionDenied")];
        let objects = [
            request("new", &[], None),
            request("on-its-way", &[("Submitted", "Submitting")], Some("Pending")),
            request("lost", waiting, Some("Pending")),
            request("given-up", &[("Submitted", "Abandoned")], Some("Abandoned")),
            request("denied", needs_user, Some("Rejected")),
            request("forged", &[("Submitted", "Nonsense")], None),
        ];
        for object in &objects {
            writer.apply_watcher_event(&Event::Apply(object.clone()));
        }
        let unfinished = |condition: &str, reason: &str| {
            format!("unfinished_requests{{condition=\"{condition}\",reason=\"{reason}\"}}")
        };
        let shown = [
            ("Submitted", "NotSeen"),
            ("Submitted", "Submitting"),
            ("Submitted", "AwaitingEvidence"),
            ("Submitted", "PermissionDenied"),
            ("Submitted", "Abandoned"),
            ("Submitted", "Other"),
            ("Stalled", "PermissionDenied"),
        ]
        .map(|(condition, reason)| unfinished(condition, reason));
        for series in &shown {
            assert_shows(&metrics, &[(series, "1")]);
        }
        let waiting = unfinished("Submitted", "Overlap");
        assert_shows(&metrics, &[(&waiting, "0"), ("attempts_in_doubt", "1")]);

        for object in objects {
            writer.apply_watcher_event(&Event::Delete(object));
        }
        for series in &shown {
            assert_shows(&metrics, &[(series, "0")]);
        }
        assert_shows(&metrics, &[("attempts_in_doubt", "0")]);
    }

    #[tokio::test(start_paused = true)]
    async fn values_of_other_components_are_read_at_the_time_of_the_scrape() {
        let metrics = Metrics::new();
        let health = Health::default();
        metrics.watch_health(health.clone());
        metrics.watch_circuit_breaker(|| vec![(BreakerKind::Credentials, 2), (BreakerKind::Throttled, 0)]);
        metrics.watch_claims(|| 3);
        metrics.watch_unreadable(|| 1);
        metrics.watch_undecodable(|| vec![("DesktopDeletion", 2), ("WorkspaceProject", 0)]);
        let heartbeat = health.register_heartbeat("watch of vdi/desktopdeletions", Duration::from_secs(90));
        let age = "heartbeat_age_seconds{task=\"watch of vdi/desktopdeletions\"}";
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_shows(
            &metrics,
            &[
                (age, "50.0"),
                ("circuit_breaker_open{breaker=\"credentials\"}", "2"),
                ("circuit_breaker_open{breaker=\"throttled\"}", "0"),
                ("claims_of_deleted_requests", "3"),
                ("unreadable_namespaces", "1"),
                ("undecodable_objects{kind=\"DesktopDeletion\"}", "2"),
                ("undecodable_objects{kind=\"WorkspaceProject\"}", "0"),
            ],
        );
        heartbeat.beat();
        assert_shows(&metrics, &[(age, "0.0")]);
    }
}
