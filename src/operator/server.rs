//! The HTTP server of `/livez`, `/readyz` and `/metrics`. It holds no secret and changes nothing.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::{Health, Report};
use super::metrics::{CONTENT_TYPE, Metrics};

/// The server could not be set up or broke.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be had.
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
    #[error("the server of health and metrics broke: {0}")]
    Serve(#[source] io::Error),
}

/// A server that has its address but answers nothing yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address, and logs which one it got.
    ///
    /// # Errors
    /// [`ServerError::Bind`].
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "serving /livez, /readyz and /metrics");
        Ok(Self { listener, address })
    }

    /// The address it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled. Cancel it last: probes are wanted while the operator winds down.
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

fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route(
            "/livez",
            get(|State(health): State<Health>| async move { probe(&health.live()) }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Health>| async move { probe(&health.ready()) }),
        )
        .with_state(health)
        .merge(
            Router::new()
                .route("/metrics", get(exposition))
                .with_state(metrics),
        )
}

fn probe(report: &Report) -> Response {
    let status = if report.holds() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, report.to_string()).into_response()
}

async fn exposition(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn probes_and_metrics_answer_until_stopped() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (health, metrics, stop) = (Health::default(), Metrics::new(), CancellationToken::new());
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let base = format!("http://{}", server.address());
        let running = tokio::spawn(server.run(health.clone(), metrics, stop.clone()));
        let check = health.check("watch");

        let answer = reqwest::get(format!("{base}/livez")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer = reqwest::get(format!("{base}/readyz")).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(
            answer.text().await.unwrap(),
            "[-]watch failed: has not passed yet\nfailed\n"
        );
        check.pass();
        let answer = reqwest::get(format!("{base}/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer = reqwest::get(format!("{base}/metrics")).await.unwrap();
        assert_eq!(answer.headers()["content-type"], CONTENT_TYPE);
        assert!(answer.text().await.unwrap().ends_with("# EOF\n"));

        stop.cancel();
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_taken_address_is_named_with_the_flag() {
        let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let message = Server::bind(first.address()).await.unwrap_err().to_string();
        assert!(
            message.contains(&first.address().to_string()) && message.contains("--listen"),
            "{message}"
        );
    }
}
