//! Counters and histograms: each is counted up where it happens. A series that an alert uses exists with value zero
//! from the start, so that its first increase is visible.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::{CloudCall, Labels};
use super::{Incident, breaker_name};
use crate::crd::conditions::{ConditionStatus, ConditionType, DELETION, PROJECT, Statement};
use crate::crd::deletion::Summary;
use crate::workspace::error::BreakerKind;

/// Upper bounds of run times, in seconds: from a run that only read the cache to one that timed out.
const RUNS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Upper bounds of waiting times, in seconds: from no wait at all to a queue of many minutes.
const WAITS: [f64; 10] = [0.001, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) submissions: Counters<2>,
    pub(super) lost_responses: Counter,
    pub(super) incidents: Counters<1>,
    pub(super) completed_requests: Counters<1>,
    pub(super) completed_desktops: Counters<1>,
    pub(super) credential_checks: Counters<1>,
    pub(super) cloud_calls: Family<CloudCall, Counter>,
    pub(super) suppressed_requests: Counters<2>,
    pub(super) circuit_breaker: Counters<1>,
    pub(super) permit_waits: Histograms<1>,
    pub(super) reconciles: Counters<2>,
    pub(super) durations: Histograms<1>,
    pub(super) api_writes: Counters<2>,
    pub(super) leader: Gauge,
}

impl Counts {
    /// All metrics at zero, registered in `registry`.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut new = New(registry);
        let counts = Self {
            submissions: new.metric(
                "submissions",
                "Settled attempts to submit a batch, by outcome and, for Rejected and NotSent, by class of the error",
            ),
            lost_responses: new.metric(
                "lost_responses",
                "Submissions without a conclusive response: lost, not decodable or such as HTTP 500; the outcome of \
                 each is unknown until it is settled",
            ),
            incidents: new.metric(
                "incidents",
                "Incidents that a user must investigate, by the reason of their Event",
            ),
            completed_requests: new.metric(
                "completed_requests",
                "Finished DesktopDeletions, by the reason of the condition Succeeded",
            ),
            completed_desktops: new.metric(
                "completed_desktops",
                "Desktops of finished DesktopDeletions, by final state",
            ),
            credential_checks: new.metric(
                "credential_checks",
                "Verifications of WorkspaceProject credentials, by resulting reason of the condition Ready",
            ),
            cloud_calls: new.metric(
                "cloud_calls",
                "Calls to the cloud API, by operation and code: the HTTP status, notSent or noResponse",
            ),
            suppressed_requests: new.metric(
                "suppressed_requests",
                "Calls to the cloud API that an open circuit breaker suppressed, by operation and breaker",
            ),
            circuit_breaker: new.metric(
                "circuit_breaker_trips",
                "Times that a circuit breaker opened, by breaker: credentials after rejected credentials, throttled after HTTP 429, unanswered after lost responses to delete requests",
            ),
            permit_waits: new.seconds(
                "rate_limiter_wait",
                "Time that calls to the cloud API waited for the rate limiter, by priority",
                || Histogram::new(WAITS),
            ),
            reconciles: new.metric("reconciles", "Reconciliations, by kind of object and result"),
            durations: new.seconds("reconcile_duration", "Duration of reconciliations, by kind of object", || {
                Histogram::new(RUNS)
            }),
            api_writes: new.metric(
                "api_writes",
                "Writes to the API server, by kind of object and step",
            ),
            leader: new.metric(
                "leader",
                "1 for the leader (always, without leader election), 0 for a standby",
            ),
        };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Build information", version);
        counts.begin();
        counts
    }

    /// Shows series before anything is counted.
    fn begin(&self) {
        for outcome in ["Accepted", "Adopted", "NoEffect", "Abandoned", "NotSent"] {
            let labels = [("outcome", outcome), ("class", "")];
            self.submissions.get_or_create_owned(&labels);
        }
        let incidents = Incident::ALL.iter().map(|incident| incident.as_str());
        show(&self.incidents, "reason", incidents);
        show(&self.completed_requests, "reason", final_reasons());
        let states = states(Summary::default()).map(|(state, _)| state);
        show(&self.completed_desktops, "state", states);
        show(
            &self.credential_checks,
            "reason",
            reasons(PROJECT, ConditionType::Ready),
        );
        let breakers = [
            BreakerKind::Credentials,
            BreakerKind::Throttled,
            BreakerKind::Unanswered,
        ];
        show(&self.circuit_breaker, "breaker", breakers.map(breaker_name));
    }
}

fn show(family: &Counters<1>, label: &'static str, values: impl IntoIterator<Item = &'static str>) {
    for value in values {
        family.get_or_create_owned(&[(label, value)]);
    }
}

/// Creates metrics and registers them.
struct New<'a>(&'a mut Registry);

impl New<'_> {
    fn metric<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn seconds(&mut self, name: &str, help: &str, histogram: fn() -> Histogram) -> Histograms<1> {
        let family = Family::new_with_constructor(histogram);
        self.0
            .register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }
}

/// The reasons that a condition can have.
pub(super) fn reasons(
    table: &'static [Statement],
    condition: ConditionType,
) -> impl Iterator<Item = &'static str> {
    table
        .iter()
        .filter(move |(kind, ..)| *kind == condition)
        .flat_map(|(.., reasons)| reasons.iter().map(|reason| reason.as_str()))
}

/// Desktops by state, as `status.desktops` spells it.
pub(super) fn states(desktops: Summary) -> [(&'static str, i32); 6] {
    [
        ("Absent", desktops.absent),
        ("Deleted", desktops.deleted),
        ("Deleting", desktops.deleting),
        ("Failed", desktops.failed),
        ("Pending", desktops.pending),
        ("Unknown", desktops.unknown),
    ]
}

/// The final reasons of a request.
pub(super) fn final_reasons() -> impl Iterator<Item = &'static str> {
    DELETION
        .iter()
        .filter(|(kind, status, _)| *kind == ConditionType::Succeeded && *status != ConditionStatus::Unknown)
        .flat_map(|(.., reasons)| reasons.iter().map(|reason| reason.as_str()))
}
