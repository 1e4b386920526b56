//! A small HTTPS server on the loopback address that records what arrives, byte for byte, and misbehaves on demand.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the server does with every connection or request.
#[derive(Debug, Clone)]
pub(super) enum Behaviour {
    /// Writes these bytes and keeps the connection open for the next request.
    Answer(Vec<u8>),
    /// Writes these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Resets the connection once the request has arrived.
    Reset,
    /// Takes the request and never answers.
    Silence,
    /// Takes the connection and never sends anything, so that the TLS handshake hangs.
    SilentHandshake,
    /// Closes the connection instead of a TLS handshake.
    NoHandshake,
    /// Writes these bytes, then body without end.
    Endless(Vec<u8>),
    /// Writes these bytes, then a byte every so often without end.
    Drip(Vec<u8>, Duration),
}

/// What arrived.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    requests: Vec<Vec<u8>>,
}

/// The running server; it ends with this value.
pub(super) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts on a free port.
    pub(super) async fn start(play: Behaviour) -> Self {
        Self::presenting(play, Arc::clone(&IDENTITY.1)).await
    }

    /// The same, with the certificate of an authority as its own; gives that certificate too.
    pub(super) async fn presenting_an_authority(play: Behaviour) -> (Self, String) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let server = Self::presenting(play, tls(certificate.der().clone(), &key)).await;
        (server, certificate.pem())
    }

    async fn presenting(play: Behaviour, tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(accept(listener, play, tls, Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// The port, for endpoints that name the host in another way.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// `https://127.0.0.1:PORT`.
    pub(super) fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many connections were opened.
    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Every request, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.requests
            .iter()
            .map(|request| String::from_utf8(request.clone()).unwrap())
            .collect()
    }

    /// The only request.
    pub(super) fn request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }
}

/// A response with this status and body, `Date` included.
pub(super) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nDate: Thu, 15 Jan 2026 08:30:45 GMT\r\nX-Request-Id: req-1\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Certificate of the authority that signed the server's, in PEM.
pub(super) fn authority() -> String {
    IDENTITY.0.clone()
}

/// The authority's certificate and the server's configuration, made once.
static IDENTITY: LazyLock<(String, Arc<ServerConfig>)> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let subjects = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(subjects)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    (issuer.pem(), tls(certificate.der().clone(), &key))
});

fn tls(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

async fn accept(listener: TcpListener, play: Behaviour, tls: Arc<ServerConfig>, seen: Arc<Mutex<Seen>>) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.lock().unwrap().connections += 1;
        open.spawn(connection(
            stream,
            play.clone(),
            Arc::clone(&tls),
            Arc::clone(&seen),
        ));
    }
}

async fn connection(stream: TcpStream, play: Behaviour, tls: Arc<ServerConfig>, seen: Arc<Mutex<Seen>>) {
    match play {
        Behaviour::SilentHandshake => {
            std::future::pending::<()>().await;
        }
        Behaviour::NoHandshake => return,
        Behaviour::Reset => stream.set_zero_linger().unwrap(),
        _ => {}
    }
    // A client that does not trust the certificate ends the handshake.
    let Ok(mut stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().requests.push(request);
        if respond(&mut stream, &play).await.is_err() {
            return;
        }
    }
}

/// Plays; an error ends the connection, as does a client that went away.
async fn respond(stream: &mut (impl AsyncWrite + Unpin), play: &Behaviour) -> std::io::Result<()> {
    match play {
        Behaviour::Answer(bytes) => {
            stream.write_all(bytes).await?;
            stream.flush().await
        }
        Behaviour::AnswerAndClose(bytes) => {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        Behaviour::Endless(head) => {
            stream.write_all(head).await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Behaviour::Drip(head, breaker) => {
            stream.write_all(head).await?;
            loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                tokio::time::sleep(*breaker).await;
            }
        }
        Behaviour::Silence => std::future::pending().await,
        Behaviour::Reset | Behaviour::SilentHandshake | Behaviour::NoHandshake => {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
}

/// One request, head and body; `None` when the client has closed the connection.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = content_length(&bytes[..head]);
            if bytes.len() >= head + 4 + body {
                return Some(bytes);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap())
}
