//! The life of `desktop-deletion-operator run`: connect, check the server, lead, run the controllers, stop in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::version::Info;
use kube::Client;
use kube::client::ClientBuilder;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::util::MapResponseLayer;

use self::server::{Server, ServerError};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::controllers;
use crate::controllers::api::ApiServerClock;
use crate::controllers::context::{Context, Runtime};
use crate::runtime::health::Health;
use crate::runtime::lease::{Elector, Leadership, LeadershipLost};
use crate::runtime::metrics::Metrics;
use crate::workspace::connector::Connector;
use crate::workspace::error::root_cause;
use crate::workspace::transport::Options;

pub mod api_proxy;
pub mod server;
pub mod shutdown;

/// Oldest Kubernetes minor version that has selectable fields of custom resources, which the watch needs.
const MIN_VERSION: (u32, u32) = (1, 32);

/// How long a connection to the API server may be silent during a call or a watch before it counts as broken. A watch
/// is never silent for that long: the server sends bookmarks every minute, and ends it after 290 s.
pub const API_READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Timeout for reading the version of the API server.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Delay before it is read again.
const VERSION_RETRY: Duration = Duration::from_secs(2);

/// How often the log repeats why the API server cannot be reached, in tries.
const VERSION_WARNING: usize = 30;

/// How often it is checked whether a loop has stalled.
const STALL_CHECK: Duration = Duration::from_secs(5);

/// Why the operator could not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no configuration to connect to the API server: {0}; set KUBECONFIG, or run as a pod with a ServiceAccount"
    )]
    NoConfig(#[from] kube::config::InferConfigError),
    /// A proxy to the API server that cannot be used.
    #[error(transparent)]
    Proxy(#[from] api_proxy::InvalidProxy),
    /// The client cannot be made.
    #[error("failed to create a client for the API server: {0}")]
    Client(#[source] kube::Error),
    /// The API server is too old.
    #[error(
        "unsupported Kubernetes version {found}: {}.{} or newer is required (selectable fields of custom resources); upgrade the cluster",
        MIN_VERSION.0,
        MIN_VERSION.1
    )]
    TooOld {
        /// Its version.
        found: String,
    },
    /// Signals cannot be handled.
    #[error("failed to install the handlers of SIGTERM and SIGINT: {0}")]
    Signals(#[source] io::Error),
    /// Health and metrics cannot be served.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// This replica leads no longer.
    #[error(transparent)]
    Lost(#[from] LeadershipLost),
    /// A loop of the operator panicked.
    #[error("a loop of the operator panicked, so the operator exits to be restarted: {0}")]
    Panicked(#[from] JoinError),
    /// A loop of the operator has stalled.
    #[error("a loop of the operator has stalled, so the operator exits to be restarted: {0}")]
    Stalled(String),
}

/// Runs the operator until SIGTERM or SIGINT, and until the last submission is recorded.
///
/// # Errors
/// It cannot start, is no longer the leader, or can no longer serve health and metrics.
pub async fn run(config: Config) -> Result<(), ProcessError> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let stopping = shutdown::on_signal().map_err(ProcessError::Signals)?;
    let api_server_clock = ApiServerClock::start();
    let (client, own) = connect(api_server_clock.clone()).await?;
    for warning in config.timing.warnings() {
        tracing::warn!("{warning}");
    }

    let runtime = Runtime {
        health: Health::default(),
        metrics: Metrics::new(),
        stopping,
        api_server_clock,
    };
    let (health, metrics) = (runtime.health.clone(), runtime.metrics.clone());
    metrics.watch_health(health.clone());
    let server = Server::bind(config.listen).await?;
    let closing = CancellationToken::new();
    let serving = tokio::spawn(server.run(health.clone(), metrics, closing.clone()));
    tokio::spawn(set_unready_on_shutdown(health, runtime.stopping.clone()));

    let replica = Replica {
        client,
        own_namespace: own,
        config,
        clock: Arc::new(SystemClock),
        runtime,
    };
    let worked = match replica.reach_api_server().await {
        Some(Ok(())) => replica.run().await,
        Some(Err(error)) => Err(error),
        // The operator was stopped before the API server responded.
        None => Ok(()),
    };
    closing.cancel();
    // A server that was stopped has no error; if it failed before, the probes failed.
    if let Ok(result) = serving.await {
        result?;
    }
    worked?;
    tracing::info!("stopped");
    Ok(())
}

/// Not ready any more, as soon as the operator is shutting down.
async fn set_unready_on_shutdown(health: Health, stopping: CancellationToken) {
    stopping.cancelled().await;
    health.stopping();
}

/// This process, as one of perhaps several that serve the same objects.
struct Replica {
    client: Client,
    /// The operator's own namespace.
    own_namespace: String,
    config: Config,
    clock: Clock,
    runtime: Runtime,
}

impl Replica {
    /// Waits until the API server answers, and checks its version; `None` if the operator is stopped first. If it
    /// exited instead, it would be restarted with increasing delays, even if the network becomes available a moment
    /// later.
    async fn reach_api_server(&self) -> Option<Result<(), ProcessError>> {
        // It is replaced by the checks of the watches, which start afterwards.
        let check = self.runtime.health.preliminary("api-server");
        let reached = async {
            let (mut tries, mut last_reason) = (0_usize, String::new());
            loop {
                let reason = match timeout(VERSION_TIMEOUT, self.client.apiserver_version()).await {
                    Ok(Ok(version)) => return version,
                    Ok(Err(error)) => unreachable_because(&error),
                    Err(_) => format!("no response within {} s", VERSION_TIMEOUT.as_secs()),
                };
                let message = format!("failed to get the version of the API server (GET /version): {reason}");
                check.explain(&message);
                if reason != last_reason || tries.is_multiple_of(VERSION_WARNING) {
                    tracing::warn!("{message}; retrying");
                }
                (tries, last_reason) = (tries + 1, reason);
                sleep(VERSION_RETRY).await;
            }
        };
        tokio::select! {
            version = reached => Some(supports(version)),
            () = self.runtime.stopping.cancelled() => None,
        }
    }

    /// Runs the controllers; with leader election, only while the lease is held. No watch is started before.
    async fn run(&self) -> Result<(), ProcessError> {
        let Some(election) = &self.config.election else {
            let context = self.context(Leadership::always());
            return self.work_until(std::future::pending(), context).await;
        };
        let mut elector = Elector::new(
            self.client.clone(),
            &self.own_namespace,
            &self.config.identity,
            election.clone(),
            self.clock.clone(),
            &self.runtime.health,
        );
        let ended = match self.runtime.stopping.run_until_cancelled(elector.acquire()).await {
            Some(()) => {
                let context = self.context(elector.leadership());
                self.work_until(elector.hold(), context).await
            }
            None => Ok(()),
        };
        if !matches!(ended, Err(ProcessError::Lost(_))) {
            elector.release().await;
        }
        ended
    }

    /// Runs the controllers until the operator is shutting down, or until it must not continue.
    async fn work_until(
        &self,
        lost_leadership: impl Future<Output = LeadershipLost>,
        context: Arc<Context>,
    ) -> Result<(), ProcessError> {
        let (why, error) = tokio::select! {
            loss = lost_leadership => ("lost leadership", loss.into()),
            stalled = self.stalled() => ("a loop has stalled", stalled),
            ended = self.work(context.clone()) => match ended {
                Ok(()) => return Ok(()),
                Err(panic) => ("a loop has panicked", panic.into()),
            },
        };
        // The controllers and their reconciliations have been aborted by now; one that is polled once more sees that
        // the operator is stopping. Only submissions continue: an unsent request is no longer sent, and a response is
        // recorded, however long the API server is down.
        tracing::warn!(
            "{why}; not starting new work; shutting down after recording the submissions in progress"
        );
        self.runtime.stopping.cancel();
        context.requests.submissions.wait_until_recorded().await;
        Err(error)
    }

    /// Waits until a loop has stalled. The operator then records what it has sent, and exits: the kubelet, which restarts
    /// a container that fails `/livez`, waits for seconds only.
    async fn stalled(&self) -> ProcessError {
        loop {
            sleep(STALL_CHECK).await;
            let live = self.runtime.health.live();
            // Loops end when the operator is stopping.
            if !live.holds() && !self.runtime.stopping.is_cancelled() {
                return ProcessError::Stalled(live.to_string().replace('\n', " "));
            }
        }
    }

    /// Runs the controllers until the operator is shutting down.
    async fn work(&self, context: Arc<Context>) -> Result<(), JoinError> {
        let namespaces = self.config.namespaces.resolve(&self.own_namespace);
        tracing::info!(
            namespaces = namespaces
                .as_ref()
                .map_or_else(|| "*".to_owned(), |names| names.join(",")),
            identity = self.config.identity,
            version = env!("CARGO_PKG_VERSION"),
            "starting"
        );
        self.runtime.metrics.set_leader(true);
        let _until_dropped = LeaderMetricGuard(&self.runtime.metrics);
        controllers::run(context, namespaces).await
    }

    fn context(&self, leadership: Leadership) -> Arc<Context> {
        let connector = Connector::new(
            Options {
                submission_timeout: self.config.timing.submission_timeout,
                ..Options::default()
            },
            self.config.allowed_endpoints.clone(),
            self.clock.clone(),
        )
        .with_call_observer(Arc::new(self.runtime.metrics.clone()))
        .with_proxy(self.config.cloud_proxy.clone());
        Context::new(
            self.client.clone(),
            self.config.clone(),
            self.clock.clone(),
            connector,
            leadership,
            self.runtime.clone(),
        )
    }
}

/// Sets the metric `leader` to 0 when the controllers stop, also when they are aborted.
struct LeaderMetricGuard<'a>(&'a Metrics);

impl Drop for LeaderMetricGuard<'_> {
    fn drop(&mut self) {
        self.0.set_leader(false);
    }
}

/// A client without hidden retries: a write that is retried automatically would conflict with its own first try. The
/// `Date` of the API server's responses is recorded in `clock`.
async fn connect(clock: ApiServerClock) -> Result<(Client, String), ProcessError> {
    let mut config = kube::Config::infer().await?;
    // Only the in-cluster configuration has a file with the CA certificates; those of a kubeconfig are in memory.
    let in_pod = config.root_cert_file.is_some();
    config.proxy_url = if in_pod {
        None
    } else {
        api_proxy::Settings::read().proxy(&config.cluster_url)?
    };
    config.default_retry = false;
    // A list without a response would block a controller: kube has no timeout of its own.
    config.read_timeout = Some(API_READ_TIMEOUT);
    // The read timeout restarts with each write, so that idle time before a call does not count.
    config.reset_reader_on_write = true;
    let own = config.default_namespace.clone();
    let observe_date = MapResponseLayer::new(move |answer: http::Response<_>| {
        clock.observe_date(answer.headers());
        answer
    });
    let client = ClientBuilder::try_from(config).map_err(ProcessError::Client)?;
    Ok((client.with_layer(&observe_date).build(), own))
}

/// Why the API server is unreachable: its error message, or the root cause of the error.
fn unreachable_because(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        if !matches!(status.code, 401 | 403) {
            return format!("{} (HTTP {})", status.message, status.code);
        }
        return format!(
            "{} (HTTP {}); check the token of the operator's ServiceAccount and the ClusterRole system:public-info-viewer",
            status.message, status.code
        );
    }
    root_cause(error)
}

fn supports(version: Info) -> Result<(), ProcessError> {
    // Some vendors write the minor version as "32+".
    let number = |text: &str| {
        text.trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse::<u32>()
            .unwrap_or(0)
    };
    if (number(&version.major), number(&version.minor)) < MIN_VERSION {
        return Err(ProcessError::TooOld {
            found: version.git_version,
        });
    }
    Ok(())
}
