//! Counters and histograms: each is counted up where it happens. A series that an alert may ask for stands at zero from
//! the start, so that its first step is seen as one.

use std::hash::Hash;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{
    ApiWrite, BreakerLabel, CloudCall, Kind, Reason, Reconcile, Right, State, Submission, SuppressedRequest,
};
use super::{Incident, breaker_name};
use crate::crd::conditions::{ConditionStatus, ConditionType, DELETION, PROJECT, Statement};
use crate::crd::deletion::Summary;
use crate::workspace::error::BreakerKind;

/// Upper bounds of run times, in seconds: from a run that only looked at the cache to one that timed out.
const RUNS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Upper bounds of waiting times, in seconds: from no wait at all to a queue of many minutes.
const WAITS: [f64; 10] = [0.001, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) submissions: Family<Submission, Counter>,
    pub(super) lost_answers: Counter,
    pub(super) incidents: Family<Reason, Counter>,
    pub(super) completed_requests: Family<Reason, Counter>,
    pub(super) completed_desktops: Family<State, Counter>,
    pub(super) login_checks: Family<Reason, Counter>,
    pub(super) cloud_calls: Family<CloudCall, Counter>,
    pub(super) suppressed_requests: Family<SuppressedRequest, Counter>,
    pub(super) circuit_breaker: Family<BreakerLabel, Counter>,
    pub(super) permit_waits: Histograms<Right>,
    pub(super) reconciles: Family<Reconcile, Counter>,
    pub(super) durations: Histograms<Kind>,
    pub(super) api_writes: Family<ApiWrite, Counter>,
    pub(super) leader: Gauge,
}

impl Counts {
    /// All at zero, shown by `registry`.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counts = Self {
            submissions: Family::default(),
            lost_answers: Counter::default(),
            incidents: Family::default(),
            completed_requests: Family::default(),
            completed_desktops: Family::default(),
            login_checks: Family::default(),
            cloud_calls: Family::default(),
            suppressed_requests: Family::default(),
            circuit_breaker: Family::default(),
            permit_waits: Family::new_with_constructor(|| Histogram::new(WAITS)),
            reconciles: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(RUNS)),
            api_writes: Family::default(),
            leader: Gauge::default(),
        };
        counts.show_work(registry);
        counts.show_process(registry);
        counts.begin();
        counts
    }

    fn show_work(&self, registry: &mut Registry) {
        registry.register(
            "submissions",
            "Attempts to submit a batch that were settled, by outcome and, where the cloud refused or was not reached, class of the error",
            self.submissions.clone(),
        );
        registry.register(
            "lost_responses",
            "Submissions whose response was lost or could not be decoded: the outcome of each is unknown until it is settled",
            self.lost_answers.clone(),
        );
        registry.register(
            "incidents",
            "Incidents that need a user or administrator, by the reason of their Event",
            self.incidents.clone(),
        );
        registry.register(
            "completed_requests",
            "Finished DesktopDeletions, by the reason of the condition Succeeded",
            self.completed_requests.clone(),
        );
        registry.register(
            "completed_desktops",
            "Desktops of finished DesktopDeletions, by final state",
            self.completed_desktops.clone(),
        );
        registry.register(
            "credential_checks",
            "Verifications of WorkspaceProject credentials, by resulting reason of the condition Ready",
            self.login_checks.clone(),
        );
        registry.register(
            "cloud_calls",
            "Calls to the cloud API, by operation and HTTP status, or notSent, or noResponse",
            self.cloud_calls.clone(),
        );
        registry.register(
            "suppressed_requests",
            "Calls to the cloud API that an open circuit breaker suppressed, by operation and breaker",
            self.suppressed_requests.clone(),
        );
        registry.register(
            "circuit_breaker_trips",
            "Times that a circuit breaker opened, by breaker: credentials after rejected credentials, throttled after HTTP 429, unanswered after lost responses to delete requests",
            self.circuit_breaker.clone(),
        );
        registry.register_with_unit(
            "rate_limiter_wait",
            "Time that calls to the cloud API waited for the rate limiter, by priority",
            Unit::Seconds,
            self.permit_waits.clone(),
        );
    }

    fn show_process(&self, registry: &mut Registry) {
        registry.register(
            "reconciles",
            "Reconciliations, by result",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of a reconciliation",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "api_writes",
            "Writes to the API server, by kind of object and step",
            self.api_writes.clone(),
        );
        registry.register(
            "leader",
            "1 for the leader (always, without leader election), 0 for a standby",
            self.leader.clone(),
        );
        registry.register(
            "build",
            "Build information",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    fn begin(&self) {
        for outcome in ["Accepted", "Adopted", "NoEffect", "Abandoned", "NotSent"] {
            let class = "";
            show(&self.submissions, &Submission { outcome, class });
        }
        for incident in Incident::ALL {
            let reason = incident.as_str();
            show(&self.incidents, &Reason { reason });
        }
        for reason in verdicts() {
            show(&self.completed_requests, &Reason { reason });
        }
        for (state, _) in states(Summary::default()) {
            show(&self.completed_desktops, &State { state });
        }
        for reason in reasons(PROJECT, ConditionType::Ready) {
            show(&self.login_checks, &Reason { reason });
        }
        for breaker in [
            BreakerKind::Credentials,
            BreakerKind::Throttled,
            BreakerKind::Unanswered,
        ]
        .map(breaker_name)
        {
            show(&self.circuit_breaker, &BreakerLabel { breaker });
        }
    }
}

/// Shows a series before anything is counted.
fn show<L: Clone + Eq + Hash>(family: &Family<L, Counter>, labels: &L) {
    family.get_or_create_owned(labels);
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

/// How a request can end.
pub(super) fn verdicts() -> impl Iterator<Item = &'static str> {
    DELETION
        .iter()
        .filter(|(kind, status, _)| *kind == ConditionType::Succeeded && *status != ConditionStatus::Unknown)
        .flat_map(|(.., reasons)| reasons.iter().map(|reason| reason.as_str()))
}
