//! Sends a request to a service and receives the response: over the network, or in simulations to a service in the same
//! process. Everything above it, including signatures and bodies, is the same for both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::endpoint::Endpoint;
use super::error::root_cause;

/// Bounds on time and size of every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For resolving the name, connecting and the TLS handshake together. Keep it shorter than the others: a handshake
    /// that hangs then counts as not sent, otherwise as in doubt.
    pub connect_timeout: Duration,
    /// For a complete call other than batch-delete.
    pub timeout: Duration,
    /// For a complete batch-delete call.
    pub submission_timeout: Duration,
    /// Longest body of a list or a job, in bytes.
    pub max_body: usize,
    /// Longest body of an error, of one desktop and of an accepted batch-delete, in bytes.
    pub max_small_body: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            submission_timeout: Duration::from_secs(120),
            max_body: 8 << 20,
            max_small_body: 64 << 10,
        }
    }
}

/// An endpoint, and the certificate authorities that are trusted for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ServiceKey {
    pub(super) endpoint: Endpoint,
    /// Hash of the certificates; `None`: those that this machine trusts.
    pub(super) authorities: Option<String>,
}

/// The transports for one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// For calls that may be repeated.
    pub(super) reads: Arc<dyn Transport>,
    /// For the call that may not: every request has a connection of its own, since on a reused one a request may be
    /// lost unnoticed, and nothing is ever sent again.
    pub(super) submissions: Arc<dyn Transport>,
}

/// Carries requests.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Carries one request, once.
    ///
    /// # Errors
    /// No response head was received.
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError>;
}

/// A request without a complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    /// Certainly no byte of the request left this process.
    pub not_sent: bool,
    /// The reason, as text.
    pub reason: String,
}

#[async_trait]
impl Transport for reqwest::Client {
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
        self.execute(request)
            .await
            .map_err(|error| TransportError::from_reqwest(&error))
    }
}

/// The network beyond a proxy.
#[derive(Debug)]
pub(super) struct Proxied {
    /// Opens its connections through the proxy.
    pub(super) client: reqwest::Client,
    /// `HOST:PORT` of the proxy, for messages.
    pub(super) proxy: String,
}

#[async_trait]
impl Transport for Proxied {
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
        self.client.send(request).await.map_err(|lost| TransportError {
            reason: format!("through the proxy {}: {}", self.proxy, lost.reason),
            ..lost
        })
    }
}

impl TransportError {
    /// `is_connect` covers the name, the connection and the TLS handshake, and a builder error comes before them. Any
    /// other error may have occurred after the first byte.
    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        let cause = explain(&root_cause(error));
        let (not_sent, reason) = if error.is_builder() {
            (true, format!("it could not be built: {cause}"))
        } else if error.is_connect() {
            (true, format!("no connection: {cause}"))
        } else if error.is_timeout() {
            (false, "timed out".to_owned())
        } else {
            (false, cause)
        };
        Self { not_sent, reason }
    }
}

/// Rewrites messages of libraries that do not tell a cluster operator what to do.
fn explain(cause: &str) -> String {
    if cause.contains("close_notify") {
        return "the connection was closed".to_owned();
    }
    if let Some(failure) = cause.strip_prefix("tunnel error: ") {
        return match failure {
            "proxy authorization required" => {
                "the proxy rejected its credentials (HTTP 407); check --cloud-proxy-credentials-file".to_owned()
            }
            "unsuccessful" => {
                "the proxy did not respond to CONNECT with HTTP 200 (403: its rules deny this host; 502: it cannot \
                 reach the host); check its log"
                    .to_owned()
            }
            "unexpected end of file" => "the proxy closed the connection without a response to CONNECT".to_owned(),
            failure => format!("the proxy did not open a tunnel: {failure}"),
        };
    }
    if cause.contains("CaUsedAsEndEntity") {
        return format!(
            "{cause}; the server uses a CA certificate as its server certificate; install a server certificate that is issued by that CA"
        );
    }
    if cause.contains("UnknownIssuer") {
        return format!("{cause}; add the CA of a private cloud to spec.caBundle");
    }
    cause.to_owned()
}
