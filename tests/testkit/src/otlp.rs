//! A collector of traces: takes OTLP over HTTP, in protobuf, and keeps every span. When it ends, all that it was sent is
//! searched for secrets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as SpanStatus};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::canary;
use crate::error::{Context, Error};

/// A running collector; it ends with this value.
///
/// When the value is dropped, all that it was sent is searched for secrets ([`canary`]); the test fails if there is one.
pub struct OtlpCollector {
    address: SocketAddr,
    sent: Arc<Mutex<Sent>>,
    accepting: AbortHandle,
}

/// A span as it was sent.
#[derive(Debug, Clone)]
pub struct OtlpSpan {
    /// Its name.
    pub name: String,
    /// Its ID, in hexadecimal digits.
    pub id: String,
    /// The ID of its parent; empty if it is the first one of its trace.
    pub parent: String,
    /// The ID of its trace.
    pub trace: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the process that made it, as text.
    pub resource: BTreeMap<String, String>,
    /// It says of itself that it failed.
    pub failed: bool,
}

#[derive(Default)]
struct Sent {
    connections: usize,
    bodies: Vec<Bytes>,
    spans: Vec<OtlpSpan>,
}

/// What the collector does with what it is sent.
#[derive(Clone, Copy)]
enum CollectorBehaviour {
    Keeps,
    NeverAnswers,
}

impl OtlpCollector {
    /// Starts a collector on a free loopback port.
    ///
    /// # Errors
    ///
    /// There is no port.
    pub async fn start() -> Result<Self, Error> {
        Self::listen(CollectorBehaviour::Keeps).await
    }

    /// Starts one that accepts connections and never answers.
    ///
    /// # Errors
    ///
    /// There is no port.
    pub async fn start_silent() -> Result<Self, Error> {
        Self::listen(CollectorBehaviour::NeverAnswers).await
    }

    async fn listen(behaviour: CollectorBehaviour) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context(|| "find a free port for a collector".to_owned())?;
        let address = listener.local_addr().context(|| "name the port".to_owned())?;
        let sent = Arc::<Mutex<Sent>>::default();
        let accepting = tokio::spawn(accept(listener, sent.clone(), behaviour)).abort_handle();
        Ok(Self {
            address,
            sent,
            accepting,
        })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        lock(&self.sent).connections
    }

    /// All spans that it was sent, in the order in which they ended.
    pub fn spans(&self) -> Vec<OtlpSpan> {
        lock(&self.sent).spans.clone()
    }
}

impl Drop for OtlpCollector {
    fn drop(&mut self) {
        self.accepting.abort();
        let sent = lock(&self.sent);
        let texts = sent.bodies.iter().map(|body| String::from_utf8_lossy(body));
        let found: Vec<_> = texts
            .filter_map(|text| canary::search("a trace", &text))
            .collect();
        drop(sent);
        canary::report(&found);
    }
}

fn lock(sent: &Mutex<Sent>) -> std::sync::MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, sent: Arc<Mutex<Sent>>, behaviour: CollectorBehaviour) {
    // Ends with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        // Accepting fails for reasons that pass, such as a client that is gone already.
        if let Ok((stream, _)) = listener.accept().await {
            lock(&sent).connections += 1;
            connections.spawn(serve(stream, sent.clone(), behaviour));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, sent: Arc<Mutex<Sent>>, behaviour: CollectorBehaviour) {
    let answering = service_fn(move |request| answer(request, sent.clone(), behaviour));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
    // However it ended, the client knows.
    connection.await.ok();
}

async fn answer(
    request: Request<Incoming>,
    sent: Arc<Mutex<Sent>>,
    behaviour: CollectorBehaviour,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if matches!(behaviour, CollectorBehaviour::NeverAnswers) {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = match take_in(request, &sent).await {
        Ok(()) => StatusCode::OK,
        Err(status) => status,
    };
    Ok(response)
}

/// Keeps what is sent as valid OTLP; returns the status of an error otherwise.
async fn take_in(request: Request<Incoming>, sent: &Mutex<Sent>) -> Result<(), StatusCode> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST || head.uri.path() != "/v1/traces" {
        return Err(StatusCode::NOT_FOUND);
    }
    if head
        .headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/x-protobuf")
    {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let body = body
        .collect()
        .await
        .map_err(|_| StatusCode::BAD_REQUEST)?
        .to_bytes();
    let decoded = ExportTraceServiceRequest::decode(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut sent = lock(sent);
    sent.bodies.push(body);
    for process in decoded.resource_spans {
        let resource = attributes(
            process
                .resource
                .map(|resource| resource.attributes)
                .unwrap_or_default(),
        );
        let spans = process.scope_spans.into_iter().flat_map(|scope| scope.spans);
        sent.spans
            .extend(spans.map(|span| OtlpSpan::of(span, resource.clone())));
    }
    Ok(())
}

impl OtlpSpan {
    fn of(span: Span, resource: BTreeMap<String, String>) -> Self {
        let failed = span
            .status
            .is_some_and(|status| status.code() == SpanStatus::Error);
        Self {
            name: span.name,
            id: hexadecimal(&span.span_id),
            parent: hexadecimal(&span.parent_span_id),
            trace: hexadecimal(&span.trace_id),
            attributes: attributes(span.attributes),
            resource,
            failed,
        }
    }

    /// An attribute; empty if there is none of that name.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

fn hexadecimal(id: &[u8]) -> String {
    let mut text = String::new();
    for byte in id {
        // Writing to a text cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => format!("{other:?}"),
    };
    let named = pairs.into_iter().map(|pair| {
        let value = pair.value.and_then(|value| value.value);
        (pair.key, value.map(text).unwrap_or_default())
    });
    named.collect()
}
