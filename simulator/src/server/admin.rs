//! The admin API: plain HTTP and JSON, for the user of the simulator.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::shared::Shared;
use crate::cloud::{Cloud, Fault};
use crate::world::{Account, Desktop};

/// Status and JSON body of a response.
type Reply = (StatusCode, String);

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
                // A client may disconnect at any time.
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
    let (status, text) = answer(&head.method, head.uri.path(), &body, &shared).unwrap_or_else(|reply| reply);
    let mut response = http::Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn answer(method: &Method, path: &str, body: &[u8], shared: &Shared) -> Result<Reply, Reply> {
    if let ("PATCH", Some(id)) = (method.as_str(), path.strip_prefix("/desktops/")) {
        return change_desktop(id, body, shared);
    }
    match (method.as_str(), path) {
        ("GET", "/ledger") => shared.with(|cloud, _| reply(StatusCode::OK, cloud.ledger())),
        ("GET", "/desktops") => shared.with(|cloud, now| reply(StatusCode::OK, &cloud.desktops(now))),
        ("POST", "/desktops") => put_desktop(body, shared),
        ("POST", "/accounts") => put_account(body, shared),
        ("GET", "/faults") => shared.with(|cloud, _| reply(StatusCode::OK, cloud.faults())),
        ("POST", "/faults") => add_fault(body, shared),
        ("DELETE", "/faults") => {
            shared.with(|cloud, _| cloud.clear_faults());
            Ok((StatusCode::NO_CONTENT, String::new()))
        }
        ("POST", "/delays/end") => {
            shared.end_delays();
            Ok((StatusCode::NO_CONTENT, String::new()))
        }
        ("POST", "/jobs/show") => {
            shared.with(Cloud::show_jobs);
            Ok((StatusCode::NO_CONTENT, String::new()))
        }
        ("POST", "/jobs/end") => {
            shared.with(Cloud::end_jobs);
            Ok((StatusCode::NO_CONTENT, String::new()))
        }
        ("DELETE", "/jobs") => {
            shared.with(|cloud, _| cloud.erase_jobs());
            Ok((StatusCode::NO_CONTENT, String::new()))
        }
        ("GET", "/timings") => shared.with(|cloud, _| reply(StatusCode::OK, cloud.timings())),
        ("PATCH", "/timings") => shared.with(|cloud, _| {
            cloud.set_timings(patched(cloud.timings(), body)?);
            reply(StatusCode::OK, cloud.timings())
        }),
        ("GET", "/switches") => shared.with(|cloud, _| reply(StatusCode::OK, cloud.switches())),
        ("PATCH", "/switches") => shared.with(|cloud, _| {
            cloud.set_switches(patched(cloud.switches(), body)?);
            reply(StatusCode::OK, cloud.switches())
        }),
        _ => Err(problem(
            StatusCode::NOT_FOUND,
            &format!(
                "{method} {path} does not exist; there are GET /ledger, GET and POST /desktops, PATCH /desktops/ID, \
                 POST /accounts, GET, POST and DELETE /faults, POST /delays/end, /jobs/show and /jobs/end, \
                 DELETE /jobs, GET and PATCH /timings and /switches"
            ),
        )),
    }
}

fn put_desktop(body: &[u8], shared: &Shared) -> Result<Reply, Reply> {
    let desktop: Desktop = parse(body, "a desktop as in the world file")?;
    let put = shared.with(|cloud, _| cloud.put_desktop(desktop));
    let (new, desktop) = put.map_err(|error| bad(&error.to_string()))?;
    reply(created(new), &desktop)
}

fn change_desktop(id: &str, body: &[u8], shared: &Shared) -> Result<Reply, Reply> {
    let id = percent_decode_str(id).decode_utf8_lossy();
    let keys = parse(body, "an object of the keys to change")?;
    let changed = shared.with(|cloud, now| cloud.change_desktop(now, &id, &keys));
    reply(StatusCode::OK, &changed.map_err(|error| bad(&error.to_string()))?)
}

fn put_account(body: &[u8], shared: &Shared) -> Result<Reply, Reply> {
    let account: Account = parse(body, "an account as in the world file")?;
    let put = shared.with(|cloud, _| cloud.put_account(account));
    let new = put.map_err(|error| bad(&error.to_string()))?;
    Ok((created(new), json!({}).to_string()))
}

fn add_fault(body: &[u8], shared: &Shared) -> Result<Reply, Reply> {
    let fault: Fault = parse(body, "a fault")?;
    shared
        .with(|cloud, _| cloud.add_fault(fault.clone()))
        .map_err(|why| bad(&why))?;
    reply(StatusCode::CREATED, &fault)
}

/// `present` with the keys that `body` names replaced.
fn patched<T: Serialize + DeserializeOwned>(present: &T, body: &[u8]) -> Result<T, Reply> {
    let changes: serde_json::Map<String, Value> = parse(body, "an object of the keys to change")?;
    let mut whole = serde_json::to_value(present).map_err(|error| bad(&error.to_string()))?;
    for (key, value) in changes {
        whole[key] = value;
    }
    serde_json::from_value(whole).map_err(|error| bad(&format!("the keys cannot be set: {error}")))
}

fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| bad(&format!("the body is not {what}: {error}")))
}

fn reply<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Result<Reply, Reply> {
    let text = serde_json::to_string(value)
        .map_err(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
    Ok((status, text))
}

fn created(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

fn bad(why: &str) -> Reply {
    problem(StatusCode::BAD_REQUEST, why)
}

fn problem(status: StatusCode, why: &str) -> Reply {
    (status, json!({"error": why}).to_string())
}
