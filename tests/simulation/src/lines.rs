//! What an operator talks through: below its client of Kubernetes, and below its client of the cloud. Everything above
//! is the operator's own.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use desktop_deletion_operator::process;
use desktop_deletion_operator::workspace::transport::{Transport, TransportError};
use futures::{StreamExt, stream};
use http::header;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use kube::client::Body;
use tokio::sync::oneshot;
use tower::{BoxError, Service};
use workspace_simulator::cloud;

use crate::api_server;
use crate::world::Shared;
use crate::world::network::{ApiReply, CallPayload, CloudReply, Reply};

/// The line of one operator.
#[derive(Clone)]
pub struct Line {
    /// To what.
    pub world: Shared,
    /// Which operator.
    pub who: usize,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.who)
    }
}

type ApiResponse = http::Response<BoxBody<Bytes, io::Error>>;

impl Service<http::Request<Body>> for Line {
    type Response = ApiResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<ApiResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let line = self.clone();
        Box::pin(async move { line.ask_api(request).await })
    }
}

impl Line {
    async fn ask_api(self, request: http::Request<Body>) -> Result<ApiResponse, BoxError> {
        let request = taken_apart(request).await?;
        let (reply, answer) = oneshot::channel();
        self.world
            .lock()
            .send(self.who, CallPayload::Api(request), Reply::Api(reply));
        match tokio::time::timeout(process::API_READ_TIMEOUT, answer).await {
            Ok(Ok(Ok(answer))) => Ok(api_response(answer, self.world.lock().time.now())?),
            Ok(Ok(Err(reason))) => Err(io::Error::other(reason).into()),
            Ok(Err(_)) => die(),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}

/// Ends a task of a process that was killed: nothing of it may go on, not even to say so.
fn die() -> ! {
    resume_unwind(Box::new("its process was killed"))
}

/// A request as the simulated API server takes it.
pub(crate) async fn taken_apart(request: http::Request<Body>) -> Result<api_server::Request, BoxError> {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    Ok(api_server::Request {
        path: head.uri.path().to_owned(),
        query: query.map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
        content_type: header("content-type"),
        accept: header("accept"),
        method: head.method,
        body: body.collect().await?.to_bytes(),
    })
}

fn api_response(answer: ApiReply, now: Timestamp) -> Result<ApiResponse, http::Error> {
    let head = http::Response::builder().header(header::DATE, httpdate::fmt_http_date(now.into()));
    match answer {
        ApiReply::Whole(code, body) => {
            let body = Full::new(body).map_err(|never| match never {}).boxed();
            head.status(code).body(body)
        }
        ApiReply::Watch(lines) => {
            let frames = lines.map(|line| Ok(Frame::data(line)));
            head.body(BodyExt::boxed(StreamBody::new(frames)))
        }
    }
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
        let body = request
            .body()
            .and_then(reqwest::Body::as_bytes)
            .unwrap_or_default();
        let call = cloud::Request {
            method: request.method().clone(),
            path: request.url().path().to_owned(),
            query: request.url().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            body: Bytes::copy_from_slice(body),
        };
        let (reply, answer) = oneshot::channel();
        {
            let mut world = self.world.lock();
            world.facts.signed_calls.extend(signed(&request));
            world.send(self.who, CallPayload::Cloud(call), Reply::Cloud(reply));
        }
        let patience = request.timeout().copied().unwrap_or(Duration::MAX);
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Ok(answer))) => Ok(cloud_response(answer)),
            Ok(Ok(Err(undelivered))) => Err(undelivered),
            Ok(Err(_)) => die(),
            Err(_) => Err(TransportError {
                not_sent: false,
                reason: "timed out".to_owned(),
            }),
        }
    }
}

/// Where a call goes and which access key signed it, if one did.
fn signed(request: &reqwest::Request) -> Option<invariants::history::Call> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, after) = header.split_once("Access=")?;
    let credential = after.split(',').next().unwrap_or_default();
    let mut path = request.url().path_segments()?;
    let project = path.find(|segment| *segment == "v2").and_then(|_| path.next());
    Some(invariants::history::Call {
        endpoint: request.url().host_str().unwrap_or_default().to_owned(),
        project: project.map(str::to_owned),
        credential: Some(credential.to_owned()),
    })
}

fn cloud_response(answer: CloudReply) -> reqwest::Response {
    let CloudReply { response, cut } = answer;
    let body = if cut {
        let begun = response.body.slice(..response.body.len() / 2);
        let broken = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer breaks off");
        let parts = stream::iter([Ok(Frame::data(begun)), Err(broken)]);
        reqwest::Body::wrap(StreamBody::new(parts))
    } else {
        reqwest::Body::from(response.body)
    };
    let mut whole = http::Response::new(body);
    *whole.status_mut() = response.status;
    *whole.headers_mut() = response.headers;
    whole.into()
}
