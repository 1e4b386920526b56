//! The configuration of the operator, as plain typed data: parsed and checked once, at the edge
//! ([`crate::cli`]), then only read. The durations in [`timing`] and [`election`] are declared as flags here; all other
//! flags are in [`crate::cli::run`].
//!
//! | file | what |
//! | --- | --- |
//! | [`duration`] | durations as people write them |
//! | [`election`] | the durations of the leader election |
//! | [`endpoints`] | which hosts a project may point to |
//! | [`otlp`] | the collector of traces |
//! | [`proxy`] | the proxy to the cloud |
//! | [`timing`] | every duration of the submission protocol, and how they must relate |

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};

pub mod duration;
pub mod election;
pub mod endpoints;
pub mod otlp;
pub mod proxy;
pub mod timing;

pub use election::Election;
pub use endpoints::AllowedEndpoint;
pub use otlp::OtlpEndpoint;
pub use proxy::CloudProxy;
pub use timing::Timing;

/// The configuration of the controllers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose objects are watched.
    pub namespaces: Namespaces,
    /// Hosts that the `endpoint` of a project may name.
    pub allowed_endpoints: Vec<AllowedEndpoint>,
    /// The proxy through which the cloud is reached; `None`: directly.
    pub cloud_proxy: Option<CloudProxy>,
    /// Durations of the protocol.
    pub timing: Timing,
    /// Leader election between replicas; `None`: every replica reconciles.
    pub election: Option<Election>,
    /// Maximum number of concurrent reconciliations.
    pub concurrency: NonZeroU16,
    /// Maximum number of calls per minute with one set of credentials to one endpoint.
    pub requests_per_minute: NonZeroU32,
    /// Whether the status of requests names the users of desktops.
    pub show_users: bool,
    /// Where health and metrics are served; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Identity of this process: the `writer` of an attempt and the reporter of Events.
    pub identity: String,
    /// The name of the pod, if it is one.
    pub pod_name: Option<String>,
    /// The collector that traces are sent to; `None`: the standard variables of OpenTelemetry decide.
    pub otlp_endpoint: Option<OtlpEndpoint>,
}

/// Invalid flags.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// Two durations do not go together.
    #[error(transparent)]
    Timing(#[from] timing::Mismatch),
    /// The proxy to the cloud cannot be used.
    #[error(transparent)]
    Proxy(#[from] proxy::InvalidProxy),
    /// The collector of traces cannot be used.
    #[error(transparent)]
    OtlpEndpoint(#[from] otlp::InvalidOtlpEndpoint),
}

/// Whose objects the operator watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// The operator's own namespace.
    Own,
    /// These, without duplicates, at least one.
    Named(Vec<String>),
    /// Every namespace; needs cluster-wide permissions.
    All,
}

impl Namespaces {
    /// The namespaces to watch one by one, `own` being the operator's own; `None` for the whole cluster at once.
    #[must_use]
    pub fn resolve(&self, own: &str) -> Option<Vec<String>> {
        match self {
            Self::Own => Some(vec![own.to_owned()]),
            Self::Named(names) => Some(names.clone()),
            Self::All => None,
        }
    }
}
