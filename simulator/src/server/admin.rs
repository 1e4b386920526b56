//! The admin API: plain HTTP and JSON, for whoever runs the simulator.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::shared::Shared;
use crate::cloud::Fault;
use crate::world::Desktop;

type Reply = (StatusCode, Value);

/// Accepts connections until the simulator stops.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stopping: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let shared = shared.clone();
        let stopping = stopping.clone();
        tasks.spawn(async move {
            let answering = service_fn(move |request| respond(request, shared.clone()));
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), answering);
            tokio::select! {
                () = stopping.cancelled() => {}
                // A client that goes away has its reasons.
                _ = connection => {}
            }
        });
    }
}

async fn respond(
    request: http::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let (status, value) = answer(&head.method, head.uri.path(), &body, &shared).unwrap_or_else(|reply| reply);
    let body = if status == StatusCode::NO_CONTENT {
        Bytes::new()
    } else {
        Bytes::from(value.to_string())
    };
    let mut response = http::Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn answer(method: &Method, path: &str, body: &[u8], shared: &Shared) -> Result<Reply, Reply> {
    match (method.as_str(), path) {
        ("GET", "/ledger") => shared.with(|cloud, _| list(cloud.ledger())),
        ("GET", "/desktops") => shared.with(|cloud, now| list(&cloud.desktops(now))),
        ("POST", "/desktops") => {
            let desktop: Desktop = parse(body, "a desktop as in the world file")?;
            let (new, desktop) = shared
                .with(|cloud, _| cloud.put_desktop(desktop))
                .map_err(|error| bad(&error.to_string()))?;
            let status = if new { StatusCode::CREATED } else { StatusCode::OK };
            Ok((status, to_value(&desktop)?))
        }
        ("GET", "/faults") => shared.with(|cloud, _| list(cloud.faults())),
        ("POST", "/faults") => {
            let fault: Fault = parse(body, "a fault")?;
            let shown = to_value(&fault)?;
            shared
                .with(|cloud, _| cloud.add_fault(fault))
                .map_err(|why| bad(&why))?;
            Ok((StatusCode::CREATED, shown))
        }
        ("DELETE", "/faults") => {
            shared.with(|cloud, _| cloud.clear_faults());
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        ("DELETE", "/jobs") => {
            shared.with(|cloud, _| cloud.erase_jobs());
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => Err((
            StatusCode::NOT_FOUND,
            json!({"error": format!(
                "{method} {path} does not exist; there are GET /ledger, GET and POST /desktops, \
                 GET, POST and DELETE /faults, DELETE /jobs"
            )}),
        )),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| bad(&format!("the body is not {what}: {error}")))
}

fn list<T: Serialize>(items: &[T]) -> Result<Reply, Reply> {
    Ok((StatusCode::OK, to_value(&items)?))
}

fn to_value<T: Serialize>(value: &T) -> Result<Value, Reply> {
    serde_json::to_value(value).map_err(|error| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"error": error.to_string()}),
        )
    })
}

fn bad(why: &str) -> Reply {
    (StatusCode::BAD_REQUEST, json!({"error": why}))
}
