//! The controllers: they load objects, ask [`plan`](crate::plan) for the next step, carry it out against Kubernetes or the
//! cloud, and report.
//!
//! | file | what |
//! | --- | --- |
//! | [`cache`] | the cache of unfinished requests, filled by the watch |
//! | [`claims`] | which request may submit which desktop |
//! | [`clock_sources`] | every clock that is known |
//! | [`deletion`] | `DesktopDeletion`: the loop that loads, asks [`plan`](crate::plan), executes, reports |
//! | [`events`] | publishes Events |
//! | [`project`] | `WorkspaceProject`: verifies its credentials with a read-only request |
//! | [`project_status`] | projects as they were read, and writes of their status |
//! | [`project_session`] | reads a project and its Secret, and creates a session with the cloud from them |
//! | [`finished`] | finished requests: removes our finalizer, and records that edits were observed |
//! | [`job_poller`] | follows the open jobs of a project with one shared read a tick |
//! | [`raw`] | objects with their JSON, also those that cannot be decoded |
//! | [`undecodable`] | reports objects that cannot be decoded, and releases them when they are deleted |
//! | [`watchdog`] | detects a watch that no longer delivers events |
//! | [`api`] | calls to the API server, with a timeout |

use std::fmt;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Uptime};
use crate::cloud::{batching, circuit_breaker, session};
use crate::config::Config;
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::plan::clocks::Clocks;
use crate::runtime::health::{Check, Health};
use crate::runtime::lease::Leadership;
use crate::runtime::metrics::Metrics;
use crate::workspace::connector::Connector;

pub mod api;
pub mod cache;
pub mod claims;
pub mod clock_sources;
pub mod deletion;
pub mod events;
pub mod finished;
pub mod job_poller;
pub mod project;
pub mod project_session;
pub mod project_status;
pub mod raw;
pub mod undecodable;
pub mod watchdog;

use api::ApiServerClock;
use clock_sources::ClockSources;
use job_poller::Pollers;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher;

/// What every controller works with.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the operator was configured with.
    pub config: Config,
    /// Time of day and chance.
    pub clock: Clock,
    /// Time since the start of the process.
    pub uptime: Uptime,
    /// Makes clients of the cloud.
    pub connector: Connector,
    /// What holds calls of the cloud back.
    pub circuit_breaker: circuit_breaker::CircuitBreaker,
    /// The watch's copies of unfinished requests.
    pub requests: cache::RequestCache,
    /// Which request is reconciled next.
    pub queue: deletion::WorkQueue,
    /// How many reconciliations of requests work at one time.
    pub slots: deletion::Slots,
    /// All clocks at once.
    pub clock_sources: ClockSources,
    /// What is counted.
    pub metrics: Metrics,
    /// Probes.
    pub health: Health,
    /// Publishes Events.
    pub events: events::Events,
    /// Which request may submit which desktop.
    pub claims: claims::Claims,
    /// What cannot be decoded.
    pub undecodable: undecodable::Undecodable,
    /// Looks at projects that requests share.
    pub project_reads: project_session::ProjectReads,
    /// Reads of the cloud that requests share.
    pub shared: batching::DesktopBatcher,
    /// Follows open jobs.
    pub pollers: Pollers,
    /// What is remembered of each request between two reconciliations.
    pub memory: deletion::Memory,
    /// Submissions that are being sent or recorded; exit waits for them.
    pub submissions: deletion::Submissions,
    /// Takes projects of which reservations of desktops may be settled.
    pub unsettled: broadcast::Sender<ObjectRef<WorkspaceProject>>,
    /// Whether this replica still leads.
    pub leadership: Leadership,
    /// Cancelled when the operator is shutting down.
    pub stopping: CancellationToken,
}

/// How many projects may wait to be settled; those that are dropped are settled when they are looked at the next time.
const UNSETTLED: usize = 4096;

/// The process that the controllers run in.
#[derive(Clone)]
pub struct Runtime {
    /// Probes.
    pub health: Health,
    /// What is counted.
    pub metrics: Metrics,
    /// Cancelled when the operator is shutting down.
    pub stopping: CancellationToken,
    /// What the clock of the API server says.
    pub api_server_clock: ApiServerClock,
}

impl Context {
    /// What every clock shows now, for a request that lives at `endpoint`.
    pub fn clocks(&self, endpoint: Option<&str>) -> Clocks {
        self.clock_sources.now(endpoint)
    }

    /// Forgets a request that has ended or is gone.
    pub fn forget(&self, uid: &str) {
        self.memory.forget(uid);
        self.events.forget(uid);
        self.claims.deleted(uid);
        self.pollers.unfollow(uid);
    }

    /// Has the unfinished requests of a project reconciled that changed, those that it concerns.
    pub fn project_changed(&self, project: &WorkspaceProject, concerns: impl Fn(&DesktopDeletion) -> bool) {
        let (namespace, name) = (project.namespace().unwrap_or_default(), project.name_any());
        self.project_reads.changed(&namespace, &name);
        for request in self.requests.of_project(&namespace, &name) {
            if concerns(&request) {
                self.queue.add(deletion::queue::Key::of(&*request));
            }
        }
    }

    /// Everything that the controllers share.
    pub fn new(
        client: Client,
        config: Config,
        clock: Clock,
        connector: Connector,
        leadership: Leadership,
        process: Runtime,
    ) -> Arc<Self> {
        let (health, metrics, stopping) = (process.health, process.metrics, process.stopping);
        let uptime = process.api_server_clock.uptime();
        let pulse = health.pulse("pollers", job_poller::SIGN_OF_LIFE);
        let circuit_breaker = circuit_breaker::CircuitBreaker::new(
            config.requests_per_minute,
            config.timing.clone(),
            stopping.clone(),
        );
        let asked = circuit_breaker.clone();
        metrics.watch_circuit_breaker(move || asked.held());
        let clock_sources = ClockSources {
            uptime,
            ours: clock.clone(),
            services: session::ServiceClocks::new(uptime),
            api_server: process.api_server_clock,
        };
        let claims = claims::Claims::new(clock_sources.clone(), config.timing.clone());
        let counted = claims.clone();
        metrics.watch_claims(move || counted.of_deleted_requests());
        let unreadable = claims.clone();
        metrics.watch_unreadable(move || unreadable.unreadable());
        let undecodable = undecodable::Undecodable::default();
        let shown = undecodable.clone();
        metrics.watch_undecodable(move || shown.count());
        let requests = cache::RequestCache::default();
        let at_once = config.concurrency.get().into();
        let queue = deletion::WorkQueue::new(requests.clone(), at_once);
        let context = Self {
            events: events::Events::new(client.clone(), clock.clone(), config.identity.clone()),
            pollers: Pollers::new(config.timing.clone(), queue.clone(), pulse),
            claims,
            undecodable,
            project_reads: project_session::ProjectReads::default(),
            shared: batching::DesktopBatcher::default(),
            memory: deletion::Memory::default(),
            submissions: deletion::Submissions::default(),
            client,
            config,
            clock,
            connector,
            circuit_breaker,
            requests,
            queue,
            slots: deletion::Slots::new(at_once),
            unsettled: broadcast::Sender::new(UNSETTLED),
            clock_sources,
            uptime,
            metrics,
            health,
            leadership,
            stopping,
        };
        Arc::new(context)
    }
}

/// Runs the controllers until they are to stop, and then until the last submission is recorded. `namespaces`
/// are watched one by one; `None` is the whole cluster.
pub async fn run(context: Arc<Context>, namespaces: Option<Vec<String>>) {
    let scopes = match namespaces {
        Some(names) => names.into_iter().map(Scope::Namespace).collect(),
        None => vec![Scope::All],
    };
    // No claim is granted before all watches have listed: all of them are known before the first begins.
    let mut watched = Vec::new();
    for scope in scopes {
        let (projects, writer) = reflector::store();
        context.claims.expect(scope.clone(), projects.clone());
        context.metrics.watch_projects(projects.clone());
        watched.push((scope, projects, writer));
    }
    let mut loops = JoinSet::new();
    for (scope, projects, writer) in watched {
        loops.spawn(deletion::watch::run(context.clone(), scope.clone()));
        loops.spawn(finished::run(
            context.client.clone(),
            scope.clone(),
            context.stopping.clone(),
        ));
        loops.spawn(project::run(context.clone(), scope, projects, writer));
    }
    loops.spawn(deletion::run(context.clone()));
    loops.spawn(deletion::first_report::run(context.clone()));
    loops.spawn(undecodable::run(context.clone()));
    loops.spawn(context.pollers.attest(context.stopping.clone()));
    loops.join_all().await;
    context.submissions.finished().await;
}

/// What one watch covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole cluster.
    All,
    /// One namespace.
    Namespace(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "*",
            Self::Namespace(name) => name,
        })
    }
}

impl Scope {
    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
            Self::All => Api::all(client.clone()),
        }
    }

    /// The name of its readiness check for a kind.
    fn check(&self, kind: &str) -> String {
        match self {
            Self::Namespace(namespace) => format!("{namespace}/{kind}"),
            Self::All => kind.to_owned(),
        }
    }
}

/// Why the first list of a watch is not there yet, in one line for `/readyz`.
fn not_listed<K: Resource<DynamicType = ()>>(error: &watcher::Error) -> String {
    match claims::missing_right::<K>(error) {
        Some(right) => format!("grant the operator the permission to {right}"),
        None => format!("cannot list {}: {}", K::plural(&()), answer(error)),
    }
}

fn answer(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let answer = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => match error {
            kube::Error::Api(status) => status.message.clone(),
            error => error.to_string(),
        },
        WatchError(status) => status.message.clone(),
        NoResourceVersion => error.to_string(),
    };
    answer.replace(char::is_control, " ")
}

/// Passes the check once the first list of a watch is there. Ends only if the operator stops before that: a controller
/// waits for its first list even then, and it may never come.
async fn stopped_unsynced<K>(store: reflector::Store<K>, ready: Check, stopping: CancellationToken)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    tokio::select! {
        biased;
        synced = store.wait_until_ready() => if synced.is_ok() {
            ready.pass();
        },
        () = stopping.cancelled() => return,
    }
    std::future::pending::<()>().await;
}
