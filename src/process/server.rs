//! The HTTP server of `/livez`, `/readyz` and `/metrics`. It serves no secrets and is read-only.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::runtime::health::{Health, Report};
use crate::runtime::metrics::{CONTENT_TYPE, Metrics};

/// The server could not be set up or broke.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be bound.
    #[error(
        "failed to listen on {address} for health and metrics: {source}; choose another address with --listen"
    )]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It stopped serving by itself.
    #[error("the HTTP server for health and metrics failed: {0}")]
    Serve(#[source] io::Error),
}

/// A server that has bound its address but does not respond yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds the address, and logs it. `[::]` accepts IPv4 connections as well, and becomes `0.0.0.0` if IPv6 is
    /// disabled.
    ///
    /// # Errors
    /// [`ServerError::Bind`].
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind { address, source };
        let listener = match TcpListener::bind(address).await {
            Err(error) => match without_ipv6(address, &error) {
                Some(address) => TcpListener::bind(address).await,
                None => Err(error),
            },
            bound => bound,
        }
        .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "serving /livez, /readyz and /metrics");
        Ok(Self { listener })
    }

    /// Serves until `stop` is cancelled. Cancel it last: probes must get responses while the operator shuts down.
    ///
    /// # Errors
    /// [`ServerError::Serve`].
    pub async fn run(
        self,
        health: Health,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Result<(), ServerError> {
        axum::serve(self.listener, router(health, metrics))
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .map_err(ServerError::Serve)
    }
}

/// What to listen on instead if all addresses were wanted and this machine has no IPv6.
fn without_ipv6(wanted: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let other_cause = matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    );
    let all = wanted.is_ipv6() && wanted.ip().is_unspecified();
    (all && !other_cause).then(|| (Ipv4Addr::UNSPECIFIED, wanted.port()).into())
}

/// State of the HTTP server.
type AppState = (Health, Metrics);

fn router(health: Health, metrics: Metrics) -> Router {
    let live = async |State((health, _)): State<AppState>| probe(&health.live());
    let ready = async |State((health, _)): State<AppState>| probe(&health.ready());
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state((health, metrics))
}

/// A failed probe is a 500, as those of kube-apiserver: of a 503, `kubectl get --raw` does not print the body.
fn probe(report: &Report) -> Response {
    let status = if report.holds() {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    (status, report.to_string()).into_response()
}

async fn exposition(State((_, metrics)): State<AppState>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(server: &Server) -> SocketAddr {
        server.listener.local_addr().unwrap()
    }

    /// Without a proxy of the environment.
    async fn fetch(url: String) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(url).send().await.unwrap()
    }

    #[tokio::test]
    async fn probes_and_metrics_answer_until_stopped() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (health, metrics, stop) = (Health::default(), Metrics::new(), CancellationToken::new());
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let base = format!("http://{}", address(&server));
        let running = tokio::spawn(server.run(health.clone(), metrics, stop.clone()));
        let check = health.check("watch");

        let answer = fetch(format!("{base}/livez")).await;
        assert_eq!(answer.status(), 200);
        let answer = fetch(format!("{base}/readyz")).await;
        assert_eq!(answer.status(), 500);
        assert_eq!(
            answer.text().await.unwrap(),
            "[-]watch failed: has not passed yet\nfailed\n"
        );
        check.pass();
        let answer = fetch(format!("{base}/readyz")).await;
        assert_eq!(answer.status(), 200);
        let answer = fetch(format!("{base}/metrics")).await;
        assert_eq!(answer.headers()["content-type"], CONTENT_TYPE);
        assert!(answer.text().await.unwrap().ends_with("# EOF\n"));

        stop.cancel();
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_unspecified_ipv6_address_takes_connections_of_both_families() {
        let server = Server::bind("[::]:0".parse().unwrap()).await.unwrap();
        let port = address(&server).port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        if address(&server).is_ipv6() {
            tokio::net::TcpStream::connect(("::1", port)).await.unwrap();
        }
    }

    #[test]
    fn without_ipv6_the_server_listens_on_ipv4_only() {
        let off = [
            io::Error::from(io::ErrorKind::AddrNotAvailable),
            // EAFNOSUPPORT: IPv6 is not in the kernel.
            io::Error::from_raw_os_error(97),
        ];
        for error in &off {
            let instead = |wanted: &str| without_ipv6(wanted.parse().unwrap(), error);
            assert_eq!(instead("[::]:8080"), Some("0.0.0.0:8080".parse().unwrap()));
            assert_eq!(instead("[::1]:8080"), None);
            assert_eq!(instead("0.0.0.0:8080"), None);
        }
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        assert_eq!(without_ipv6("[::]:8080".parse().unwrap(), &taken), None);
    }

    #[tokio::test]
    async fn an_address_in_use_is_reported_with_the_flag() {
        let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let message = Server::bind(address(&first)).await.unwrap_err().to_string();
        assert!(
            message.contains(&address(&first).to_string()) && message.contains("--listen"),
            "{message}"
        );
    }
}
