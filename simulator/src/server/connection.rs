//! Connections of the cloud: HTTP/1.1 over TLS, and the ways in which they break on purpose.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::shared::{Delays, Shared};
use crate::cloud::{Delivery, MAX_BODY, Request, Response};

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) shared: Arc<Shared>,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

/// How a connection ends instead of a complete response.
enum Break {
    /// With a TCP reset.
    Reset,
    /// In the middle of a response, after these bytes.
    Cut(Vec<u8>),
    /// With a response whose body is sent byte by byte.
    Drip {
        head: Vec<u8>,
        body: Bytes,
        pause: Duration,
    },
    /// With these bytes, and spaces for as long as the client reads them.
    Endless(Vec<u8>),
}

/// Accepts connections until the simulator stops.
pub(super) async fn accept(listener: TcpListener, acceptor: TlsAcceptor, service: Service) {
    loop {
        let accepted = tokio::select! {
            () = service.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Accepting fails for reasons that pass, such as a client that is gone already.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        // Without it, the first response of a connection waits until the client acknowledges the session tickets: 40 ms.
        let _ = stream.set_nodelay(true);
        let acceptor = acceptor.clone();
        let service = service.clone();
        let stopping = service.stopping.clone();
        service.tasks.clone().spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = serve_connection(stream, acceptor, service) => {}
            }
        });
    }
}

async fn serve_connection(stream: TcpStream, acceptor: TlsAcceptor, service: Service) {
    // Without a handshake no response can be sent.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let (break_sender, mut breaks) = mpsc::channel(1);
    let http_service =
        service_fn(move |request| boxed(respond(request, service.clone(), break_sender.clone())));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        // The core sets the `Date` of its responses from its own clock, or omits it.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), http_service);
    let how = tokio::select! {
        // However the connection ended, there is nothing left to do.
        _ = &mut connection => return,
        Some(how) = breaks.recv() => how,
    };
    break_off(connection.into_parts().io.into_inner(), how).await;
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<http::Response<Full<Bytes>>, Infallible>> + Send>>;

fn boxed(
    responding: impl Future<Output = Result<http::Response<Full<Bytes>>, Infallible>> + Send + 'static,
) -> ResponseFuture {
    Box::pin(responding)
}

/// Gets a response from the core. If the connection is to be broken, it requests that and never returns.
async fn respond(
    request: http::Request<Incoming>,
    service: Service,
    breaks: mpsc::Sender<Break>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    // A request whose body is cut off is ignored: it did not arrive completely.
    let Some(request) = read(request).await else {
        return pending().await;
    };
    let delays = service.shared.delays();
    let mut delivery = service.shared.handle(&request);
    if let Delivery::Held { delay } = delivery {
        delivery = resume_later(&service, request, delay.unsigned(), delays.clone()).await;
    }
    let how = match delivery {
        Delivery::Complete(response) => return Ok(into_http(response)),
        Delivery::Delayed { delay, response } => {
            delays.wait(delay.unsigned()).await;
            return Ok(into_http(response));
        }
        Delivery::Reset => Break::Reset,
        Delivery::Cut { after, response } => Break::Cut(partial_response(&response, after)),
        Delivery::Dripping { pause, response } => Break::Drip {
            head: partial_response(&response, 0),
            body: response.body,
            pause: pause.unsigned(),
        },
        Delivery::Endless(response) => {
            Break::Endless([&head(&response), &b"\r\n"[..], &response.body].concat())
        }
        Delivery::Timeout | Delivery::Held { .. } => return pending().await,
    };
    // The receiver exists as long as the connection, so this cannot fail.
    let _ = breaks.send(how).await;
    pending().await
}

/// Carries a held request out when its time has come, even when its connection is gone by then.
async fn resume_later(service: &Service, request: Request, delay: Duration, delays: Delays) -> Delivery {
    let shared = service.shared.clone();
    let stopping = service.stopping.clone();
    let arrival = service.tasks.spawn(async move {
        tokio::select! {
            () = stopping.cancelled() => Delivery::Timeout,
            () = delays.wait(delay) => shared.resume(&request),
        }
    });
    arrival.await.unwrap_or(Delivery::Timeout)
}

async fn read(request: http::Request<Incoming>) -> Option<Request> {
    let (head, body) = request.into_parts();
    // One byte more than the gateway takes, so that the core sees that it is too much.
    let body = match Limited::new(body, MAX_BODY + 1).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Bytes::from(vec![0; MAX_BODY + 1]),
        Err(_) => return None,
    };
    Some(Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    })
}

fn into_http(response: Response) -> http::Response<Full<Bytes>> {
    let mut whole = http::Response::new(Full::new(response.body));
    *whole.status_mut() = response.status;
    *whole.headers_mut() = response.headers;
    whole
}

/// The bytes of a response that announces its full length and is cut off after some bytes of the body.
fn partial_response(response: &Response, after: usize) -> Vec<u8> {
    let mut bytes = head(response);
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body.len()).as_bytes());
    bytes.extend_from_slice(&response.body[..after.min(response.body.len())]);
    bytes
}

/// Status and headers of a response, without its length and the empty line.
fn head(response: &Response) -> Vec<u8> {
    let status = response.status;
    let mut head = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    );
    for (name, value) in response
        .headers
        .iter()
        .filter(|(name, _)| *name != header::CONTENT_LENGTH)
    {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    head.into_bytes()
}

/// Breaks a connection. A failure is ignored, since the client sees the connection end in any case.
async fn break_off(mut stream: TlsStream<TcpStream>, how: Break) {
    match how {
        Break::Reset => {
            let _ = stream.get_ref().0.set_zero_linger();
        }
        Break::Cut(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
        }
        Break::Drip { head, body, pause } => {
            let _ = drip(&mut stream, &head, &body, pause).await;
        }
        Break::Endless(mut bytes) => {
            while stream.write_all(&bytes).await.is_ok() {
                bytes = vec![b' '; 16 << 10];
            }
        }
    }
}

async fn drip(
    stream: &mut TlsStream<TcpStream>,
    head: &[u8],
    body: &[u8],
    pause: Duration,
) -> std::io::Result<()> {
    stream.write_all(head).await?;
    stream.flush().await?;
    for byte in body.chunks(1) {
        tokio::time::sleep(pause).await;
        stream.write_all(byte).await?;
        stream.flush().await?;
    }
    Ok(())
}
