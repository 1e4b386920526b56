//! The API server and the namespace, as the kubeconfig says.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use desktop_deletion_operator::crd::DesktopDeletion;
use desktop_deletion_operator::process::api_proxy::Settings;
use kube::Api;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::time::Instant;

use crate::error::Error;

/// Timeout for the operator to observe a change.
const OBSERVED_TIMEOUT: Duration = Duration::from_secs(120);

/// Pause between two reads meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Which API server, namespace and user, by the flags of kubectl.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Connection {
    /// Namespace of the request [default: that of the context]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Path of the kubeconfig [default: as kubectl]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// A namespace of a cluster.
pub(crate) struct Cluster {
    pub(crate) requests: Api<DesktopDeletion>,
    pub(crate) namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// There is no kubeconfig, or it cannot be used.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::other(format!("invalid kubeconfig: {error}"));
        let file = match &connection.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let mut file = file.map_err(|error| unusable(&error))?;
        if let Some(context) = &connection.context {
            file.current_context = Some(context.clone());
        }
        let proxies = Settings::of(Some(&file));
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let mut config = config.map_err(|error| unusable(&error))?;
        let proxy = proxies.proxy(&config.cluster_url);
        config.proxy_url = proxy.map_err(|error| Error::other(error.to_string()))?;
        let namespace = connection
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = kube::Client::try_from(config)?;
        Ok(Self {
            requests: Api::namespaced(client, &namespace),
            namespace,
        })
    }

    /// The request of that name.
    ///
    /// # Errors
    /// It does not exist, or the user may not read it.
    pub(crate) async fn request(&self, name: &str) -> Result<DesktopDeletion, Error> {
        Ok(self.requests.get(name).await?)
    }

    /// Reads the request until the operator has observed a change, as `observed` checks; `None`: it has not in time.
    ///
    /// # Errors
    /// As [`Self::request`], or the error of `observed`.
    pub(crate) async fn until_observed(
        &self,
        name: &str,
        observed: impl Fn(&DesktopDeletion) -> Result<bool, Error>,
    ) -> Result<Option<DesktopDeletion>, Error> {
        let end = Instant::now() + OBSERVED_TIMEOUT;
        loop {
            let request = self.request(name).await?;
            if observed(&request)? {
                return Ok(Some(request));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
