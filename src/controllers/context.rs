//! What the controllers share.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::api::ApiServerClock;
use super::cache::RequestCache;
use super::claims::Claims;
use super::clock_sources::ClockSources;
use super::deletion::in_progress::Submissions;
use super::deletion::memory::Memory;
use super::deletion::queue::{self, WorkQueue};
use super::deletion::slots::Slots;
use super::events::Events;
use super::job_poller::{self, Pollers};
use super::project_reads::ProjectReads;
use super::undecodable::table::Undecodable;
use crate::clock::{Clock, Uptime};
use crate::cloud::batching::DesktopBatcher;
use crate::cloud::circuit_breaker::CircuitBreaker;
use crate::cloud::session::ServiceClocks;
use crate::config::Config;
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::plan::clocks::Clocks;
use crate::runtime::health::Health;
use crate::runtime::lease::Leadership;
use crate::runtime::metrics::Metrics;
use crate::workspace::connector::Connector;

/// How many projects may wait for their reservations to be settled; if more wait, the reservations are settled at the
/// next reconciliation of the project.
const RESERVATION_CHECKS_CAPACITY: usize = 4096;

/// Shared state of the controllers.
pub struct Context {
    /// The API server.
    pub kube: Kube,
    /// The cloud.
    pub cloud: Cloud,
    /// The unfinished requests.
    pub requests: Requests,
    /// The process.
    pub process: Process,
}

/// What controllers need of the API server.
pub struct Kube {
    /// The client.
    pub client: Client,
    /// Publishes Events.
    pub events: Events,
}

/// What controllers need of the cloud.
pub struct Cloud {
    /// Makes its clients.
    pub connector: Connector,
    /// Suppresses calls to it.
    pub circuit_breaker: CircuitBreaker,
    /// Reads of desktops that requests share.
    pub desktops: DesktopBatcher,
    /// Reads of projects and their Secrets that requests share.
    pub project_reads: ProjectReads,
    /// Follow open jobs.
    pub pollers: Pollers,
}

/// State of the unfinished requests.
pub struct Requests {
    /// The watch's copies of them.
    pub cache: RequestCache,
    /// Which one is reconciled next.
    pub queue: WorkQueue,
    /// How many reconciliations may run at the same time.
    pub slots: Slots,
    /// Which one may submit which desktop.
    pub claims: Claims,
    /// Those that cannot be decoded.
    pub undecodable: Undecodable,
    /// What is remembered of each between two reconciliations.
    pub memory: Memory,
    /// Submissions that are being sent or recorded; exit waits for them.
    pub submissions: Submissions,
    /// Takes projects whose reservations of desktops may be settled.
    pub reservations_to_check: broadcast::Sender<ObjectRef<WorkspaceProject>>,
}

/// The process that the controllers run in.
pub struct Process {
    /// The configuration of the operator.
    pub config: Config,
    /// Time of day and randomness.
    pub clock: Clock,
    /// Time since the start of the process.
    pub uptime: Uptime,
    /// All clocks at once.
    pub clock_sources: ClockSources,
    /// The metrics.
    pub metrics: Metrics,
    /// Probes.
    pub health: Health,
    /// Whether this replica still leads.
    pub leadership: Leadership,
    /// Cancelled when the operator is shutting down.
    pub stopping: CancellationToken,
}

/// What the process has before it leads.
#[derive(Clone)]
pub struct Runtime {
    /// Probes.
    pub health: Health,
    /// The metrics.
    pub metrics: Metrics,
    /// Cancelled when the operator is shutting down.
    pub stopping: CancellationToken,
    /// The clock of the API server.
    pub api_server_clock: ApiServerClock,
}

impl Context {
    /// Creates the shared state of the controllers.
    pub fn new(
        client: Client,
        config: Config,
        clock: Clock,
        connector: Connector,
        leadership: Leadership,
        runtime: Runtime,
    ) -> Arc<Self> {
        let process = Process::new(config, clock, leadership, runtime);
        let requests = Requests::new(&process);
        let events = Events::new(
            client.clone(),
            process.clock.clone(),
            process.config.identity.clone(),
        );
        Arc::new(Self {
            kube: Kube { client, events },
            cloud: Cloud::new(connector, &requests.queue, &process),
            requests,
            process,
        })
    }

    /// All clocks now, for a request to `endpoint`.
    pub fn clocks(&self, endpoint: Option<&str>) -> Clocks {
        self.process.clock_sources.now(endpoint)
    }

    /// Forgets a request that has ended or is gone.
    pub fn forget(&self, uid: &str) {
        self.forget_memory(uid);
        self.requests.claims.mark_deleted(uid);
    }

    /// Forgets what is only needed for further reconciliations of a request: not its claims, which also protect a request
    /// that cannot be decoded.
    pub fn forget_memory(&self, uid: &str) {
        self.requests.memory.forget(uid);
        self.kube.events.forget(uid);
        self.cloud.pollers.unfollow(uid);
    }

    /// After a change of a project, requeues those of its unfinished requests that `concerns` selects.
    pub fn project_changed(&self, project: &WorkspaceProject, concerns: impl Fn(&DesktopDeletion) -> bool) {
        let (namespace, name) = (project.namespace().unwrap_or_default(), project.name_any());
        self.cloud.project_reads.changed(&namespace, &name);
        for request in self.requests.cache.of_project(&namespace, &name) {
            if concerns(&request) {
                self.requests.queue.add(queue::Key::of(&*request));
            }
        }
    }
}

impl Cloud {
    fn new(connector: Connector, queue: &WorkQueue, process: &Process) -> Self {
        let timing = &process.config.timing;
        let circuit_breaker = CircuitBreaker::new(
            process.config.requests_per_minute,
            timing.clone(),
            process.stopping.clone(),
        );
        let counted = circuit_breaker.clone();
        process
            .metrics
            .watch_circuit_breaker(move || counted.open_breakers());
        let heartbeat = process
            .health
            .register_heartbeat("pollers", job_poller::HEARTBEAT_TIMEOUT);
        Self {
            connector,
            circuit_breaker,
            desktops: DesktopBatcher::default(),
            project_reads: ProjectReads::default(),
            pollers: Pollers::new(timing.clone(), queue.clone(), heartbeat),
        }
    }
}

impl Requests {
    fn new(process: &Process) -> Self {
        let (config, metrics) = (&process.config, &process.metrics);
        let claims = Claims::new(process.clock_sources.clone(), config.timing.clone());
        let counted = claims.clone();
        metrics.watch_claims(move || counted.count_deleted_requests());
        let unreadable = claims.clone();
        metrics.watch_unreadable(move || unreadable.count_unreadable_namespaces());
        let undecodable = Undecodable::default();
        let counted = undecodable.clone();
        metrics.watch_undecodable(move || counted.count());
        let cache = RequestCache::default();
        let max_concurrent = config.concurrency.get().into();
        Self {
            queue: WorkQueue::new(cache.clone(), max_concurrent),
            cache,
            slots: Slots::new(max_concurrent),
            claims,
            undecodable,
            memory: Memory::default(),
            submissions: Submissions::default(),
            reservations_to_check: broadcast::Sender::new(RESERVATION_CHECKS_CAPACITY),
        }
    }
}

impl Process {
    fn new(config: Config, clock: Clock, leadership: Leadership, runtime: Runtime) -> Self {
        let uptime = runtime.api_server_clock.uptime();
        Self {
            clock_sources: ClockSources {
                uptime,
                local: clock.clone(),
                services: ServiceClocks::new(uptime),
                api_server: runtime.api_server_clock,
            },
            config,
            clock,
            uptime,
            metrics: runtime.metrics,
            health: runtime.health,
            leadership,
            stopping: runtime.stopping,
        }
    }
}
