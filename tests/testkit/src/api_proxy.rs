//! A proxy in front of the API server, for the operator alone: it can hold, lose, cut or replace any request or answer,
//! freeze its watches, and show it lists of an earlier time.
//!
//! What the test itself asks goes to the API server directly. So a test can stop the operator exactly before or
//! exactly after one of its writes, and see what another operator makes of what is left.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Response, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::control_plane::ControlPlane;
use crate::error::{Context, Error};
use crate::kubeconfig;

mod request;
mod trap;
mod watches;

pub use request::ApiRequest;
pub use trap::{Caught, Moment, Trap};

use trap::{Reaction, Traps};
use watches::Watches;

/// A running proxy; it ends with this value, and with it every connection through it.
pub struct ApiServerProxy {
    kubeconfig: PathBuf,
    token: String,
    traps: Arc<Traps>,
    watches: Arc<Watches>,
    accepting: AbortHandle,
}

/// Answers as they are passed on: whole, cut, or as they come (watches).
type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a response breaks off.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// No response: the connection is closed instead.
#[derive(Debug, thiserror::Error)]
#[error("the test wants no answer")]
struct NoAnswer;

impl ApiServerProxy {
    /// Starts a proxy on a free loopback port, and writes a kubeconfig with which a service account goes through it.
    ///
    /// # Errors
    ///
    /// There is no such account, or no port.
    pub async fn start(control_plane: &ControlPlane, namespace: &str, account: &str) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context(|| "find a free port for a proxy".to_owned())?;
        let address = listener.local_addr().context(|| "name the port".to_owned())?;
        let token = control_plane.service_account_token(namespace, account).await?;
        let path = control_plane
            .folder()
            .join(format!("{namespace}-{account}-{}.kubeconfig", address.port()));
        let user = kubeconfig::User::Token(token.clone());
        let url = format!("http://{address}");
        kubeconfig::write(&path, &url, control_plane.authority(), &user, namespace)?;
        let (traps, watches) = (Arc::<Traps>::default(), Arc::<Watches>::default());
        let upstream = Upstream {
            url: control_plane.url().to_owned(),
            client: client(control_plane.authority())?,
            traps: traps.clone(),
            watches: watches.clone(),
        };
        Ok(Self {
            kubeconfig: path,
            token,
            traps,
            watches,
            accepting: tokio::spawn(accept(listener, upstream)).abort_handle(),
        })
    }

    /// The kubeconfig for [`crate::OperatorOptions`].
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The service account's token, a secret.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Lays a trap for the `nth` (from 1, counted from now on) of the requests that `wanted` picks. It springs once.
    pub fn trap(
        &self,
        moment: Moment,
        nth: usize,
        wanted: impl Fn(&ApiRequest) -> bool + Send + 'static,
    ) -> Trap {
        self.traps.lay(moment, nth, Box::new(wanted))
    }

    /// How many requests like this have come so far.
    pub fn count(&self, wanted: impl Fn(&ApiRequest) -> bool) -> usize {
        self.traps.count(wanted)
    }

    /// From now on no watch sends anything, as if its peer had failed silently; new watches are silent too.
    pub fn freeze_watches(&self) {
        self.watches.freeze();
    }

    /// All watches go on where they stood.
    pub fn thaw_watches(&self) {
        self.watches.thaw();
    }

    /// All watches receive the error that they are too old (410), so that the operator lists again: of the changes
    /// meanwhile it sees only the result. Watches that begin later are healthy.
    pub fn lose_watches(&self) {
        self.watches.lose();
    }

    /// From now on the lists that `wanted` selects show the state at `version`, and a watch that follows such a list
    /// begins there. It lasts until [`ApiServerProxy::show_current_lists`].
    pub fn show_lists_as_of(&self, version: &str, wanted: impl Fn(&ApiRequest) -> bool + Send + 'static) {
        self.watches.travel(version, Box::new(wanted));
    }

    /// Lists show the present again.
    pub fn show_current_lists(&self) {
        self.watches.come_back();
    }
}

impl Drop for ApiServerProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The API server behind the proxy.
#[derive(Clone)]
struct Upstream {
    url: String,
    client: reqwest::Client,
    traps: Arc<Traps>,
    watches: Arc<Watches>,
}

/// A client that trusts the API server, and adds nothing of its own to what passes through.
fn client(authority: &str) -> Result<reqwest::Client, Error> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let unusable = |error: reqwest::Error| Error::Other(format!("make the client of a proxy: {error}"));
    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).map_err(unusable)?;
    reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_certs_only([authority])
        .build()
        .map_err(unusable)
}

async fn accept(listener: TcpListener, upstream: Upstream) {
    // Ends with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        // Accepting fails for reasons that pass, such as a client that is gone already.
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, upstream.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, upstream: Upstream) {
    // A request that has arrived is carried out, and springs its traps, even if the client no longer waits for the
    // response.
    let answering = service_fn(move |request| {
        let passing = tokio::spawn(upstream.clone().pass(request));
        async { passing.await.map_err(|_| NoAnswer)? }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
    // However it ended, the client knows.
    connection.await.ok();
}

impl Upstream {
    async fn pass(self, request: http::Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
        let asked = self.traps.number(&head, &body);
        if let Some(instead) = apply(self.traps.spring(Moment::Before, &asked).await)? {
            return Ok(instead);
        }
        let mut headers = head.headers;
        drop_connection_headers(&mut headers);
        let mut url = format!("{}{}", self.url, head.uri);
        if let Some(past) = self.watches.asks_for(&asked) {
            url.push(if head.uri.query().is_some() { '&' } else { '?' });
            url.push_str(&past);
        }
        let call = self.client.request(head.method, url).headers(headers).body(body);
        if asked.verb == "watch" {
            let (head, body) = parts(call.send().await)?;
            return Ok(Response::from_parts(
                head,
                self.watches.hold(body.into_data_stream()),
            ));
        }
        // The effect is complete, and the response is here, before a trap springs.
        let (head, body) = parts(call.send().await)?;
        let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
        match self.traps.spring(Moment::After, &asked).await {
            Reaction::Cut => Ok(Response::from_parts(head, half(&body))),
            other => Ok(apply(other)?.unwrap_or_else(|| Response::from_parts(head, whole(body)))),
        }
    }
}

/// The two parts of a response. If the API server does not respond, neither does the proxy.
fn parts(
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<(http::response::Parts, reqwest::Body), NoAnswer> {
    let answer = answer.map_err(|_| NoAnswer)?;
    let (mut head, body) = Response::<reqwest::Body>::from(answer).into_parts();
    drop_connection_headers(&mut head.headers);
    Ok((head, body))
}

/// What is answered instead of what the API server answers, if anything.
fn apply(verdict: Reaction) -> Result<Option<Response<Body>>, NoAnswer> {
    match verdict {
        Reaction::GoOn => Ok(None),
        // Before there is a response there is nothing to cut.
        Reaction::Drop | Reaction::Cut => Err(NoAnswer),
        Reaction::Answer(answer) => Ok(Some(answer.map(|text| whole(Bytes::from(text))))),
    }
}

fn whole(body: Bytes) -> Body {
    Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// Half of the body, after which the connection breaks off.
fn half(body: &Bytes) -> Body {
    let part = Ok(Frame::data(body.slice(..body.len() / 2)));
    let end = Err(BodyError::from("the test wants no more of it"));
    StreamBody::new(stream::iter([part, end])).boxed_unsync()
}

/// Removes the headers that concern one connection only, and the length, which is computed again.
fn drop_connection_headers(headers: &mut HeaderMap) {
    for name in [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
    ] {
        headers.remove(name);
    }
}
