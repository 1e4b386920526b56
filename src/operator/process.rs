//! The life of `desktop-deletion-operator run`: connect, check the server, run the controllers, stop in order.

use std::io;
use std::sync::Arc;

use kube::Client;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::metrics::Metrics;
use super::server::{Server, ServerError};
use super::shutdown;
use crate::clock::System;
use crate::config::Config;
use crate::controllers::{self, Context};
use crate::workspace::connector::{Connector, Options};

/// Oldest Kubernetes minor version that has selectable fields of custom resources, which the watch needs.
const OLDEST: (u32, u32) = (1, 32);

/// Why the operator could not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Neither a kubeconfig nor a service account.
    #[error("no way to the API server: {0}; set KUBECONFIG, or run as a pod with a ServiceAccount")]
    NoConfig(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("failed to make a client of the API server: {0}")]
    Client(#[source] kube::Error),
    /// The API server does not say its version.
    #[error("failed to ask the API server for its version: {0}")]
    Version(#[source] kube::Error),
    /// The API server is too old.
    #[error(
        "the API server is Kubernetes {found}, but {}.{} or newer is needed (selectable fields of custom resources): upgrade the cluster",
        OLDEST.0,
        OLDEST.1
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
}

/// Runs the operator until SIGTERM or SIGINT, and until the last submission is recorded.
///
/// # Errors
/// It cannot start, or health and metrics can no longer be served.
pub async fn run(config: Config) -> Result<(), ProcessError> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let stopping = shutdown::on_signal().map_err(ProcessError::Signals)?;
    let (client, own) = connect().await?;
    check_version(&client).await?;
    for warning in config.timing.warnings() {
        tracing::warn!("{warning}");
    }

    let (health, metrics) = (Health::default(), Metrics::new());
    let server = Server::bind(config.listen).await?;
    let closing = CancellationToken::new();
    let serving = tokio::spawn(server.run(health.clone(), metrics.clone(), closing.clone()));

    let clock = Arc::new(System);
    let connector = Connector::new(
        Options::default(),
        config.allowed_endpoints.clone(),
        clock.clone(),
    );
    let namespaces = config.namespaces.resolve(&own);
    tracing::info!(
        namespaces = namespaces
            .as_ref()
            .map_or_else(|| "*".to_owned(), |names| names.join(",")),
        identity = config.identity,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    let (context, woken) = Context::new(
        client,
        config,
        clock,
        connector,
        health.clone(),
        metrics,
        stopping.clone(),
    );
    let on_its_way_out = async {
        stopping.cancelled().await;
        health.stopping();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = controllers::run(context, woken, namespaces) => {}
        () = on_its_way_out => {}
    }
    closing.cancel();
    // A server that was told to end has no news, and one that broke before has been logged by the probes failing.
    if let Ok(result) = serving.await {
        result?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// A client without hidden retries: a write that is repeated on its own would meet its own first try as a conflict.
async fn connect() -> Result<(Client, String), ProcessError> {
    let mut config = kube::Config::infer().await?;
    config.default_retry = false;
    let own = config.default_namespace.clone();
    Ok((Client::try_from(config).map_err(ProcessError::Client)?, own))
}

async fn check_version(client: &Client) -> Result<(), ProcessError> {
    let version = client.apiserver_version().await.map_err(ProcessError::Version)?;
    // Some vendors write the minor version as "32+".
    let number = |text: &str| {
        text.trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse::<u32>()
            .unwrap_or(0)
    };
    if (number(&version.major), number(&version.minor)) < OLDEST {
        return Err(ProcessError::TooOld {
            found: version.git_version,
        });
    }
    Ok(())
}
