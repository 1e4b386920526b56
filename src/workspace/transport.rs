//! What carries a request to a service and brings the answer back: the network, or in simulations a service in the same
//! process. Everything above it, signatures and bodies included, is the same for both.

use std::fmt;

use async_trait::async_trait;

use super::connector::root_cause;

/// Carries requests.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Carries one request, once.
    ///
    /// # Errors
    /// No head of an answer came back.
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, Undelivered>;
}

/// A request to which no head of an answer came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Surely no byte of the request left this process.
    pub not_sent: bool,
    /// Why, in words.
    pub reason: String,
}

#[async_trait]
impl Transport for reqwest::Client {
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, Undelivered> {
        self.execute(request)
            .await
            .map_err(|error| Undelivered::by(&error))
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
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, Undelivered> {
        self.client.send(request).await.map_err(|lost| Undelivered {
            reason: format!("through the proxy {}: {}", self.proxy, lost.reason),
            ..lost
        })
    }
}

impl Undelivered {
    /// `is_connect` covers the name, the connection and the TLS handshake, and a builder error comes before them. Whatever
    /// else goes wrong may have gone wrong after the first byte.
    pub(super) fn by(error: &reqwest::Error) -> Self {
        let cause = explained(&root_cause(error));
        let (not_sent, reason) = if error.is_builder() {
            (true, format!("it could not be built: {cause}"))
        } else if error.is_connect() {
            (true, format!("no connection: {cause}"))
        } else if error.is_timeout() {
            (false, "it did not come in time".to_owned())
        } else {
            (false, cause)
        };
        Self { not_sent, reason }
    }
}

/// The words of libraries, where an operator of clusters would not know what to do with them.
fn explained(cause: &str) -> String {
    if cause.contains("close_notify") {
        return "the connection was closed".to_owned();
    }
    if let Some(failure) = cause.strip_prefix("tunnel error: ") {
        return match failure {
            "proxy authorization required" => {
                "the proxy wants other credentials (HTTP 407): check --cloud-proxy-credentials-file".to_owned()
            }
            "unsuccessful" => {
                "the proxy did not answer CONNECT with HTTP 200, but perhaps with 403 since its rules forbid this host, or \
                 with 502 since it cannot reach it: look into its log"
                    .to_owned()
            }
            "unexpected end of file" => "the proxy closed the connection without an answer to CONNECT".to_owned(),
            failure => format!("the proxy did not open a tunnel: {failure}"),
        };
    }
    if cause.contains("CaUsedAsEndEntity") {
        return format!(
            "{cause}; the server presents the certificate of an authority (CA) as its own: install a server \
             certificate on it that this authority signed"
        );
    }
    if cause.contains("invalid peer certificate") {
        return format!("{cause}; the authority of a private cloud must stand in the caBundle");
    }
    cause.to_owned()
}
