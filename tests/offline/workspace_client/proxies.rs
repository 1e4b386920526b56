//! Through a proxy: what it is asked, what it is shown, and every way in which it can fail, of which none sends anything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use desktop_deletion_operator::config::CloudProxy;
use desktop_deletion_operator::workspace::api::Workspace;
use desktop_deletion_operator::workspace::auth::SecretCredentials;
use desktop_deletion_operator::workspace::transport::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::endpoints::sink::Answers;
use super::server::{Behaviour, Server, answer, authority};
use super::{access_key, connector, no_answer, not_sent, patient, submit, target};

const ACCEPTED: &[u8] = include_bytes!("../../fixtures/workspace/accepted.json");

/// What a proxy does once it has read a CONNECT.
#[derive(Debug, Clone, Copy)]
enum ProxyBehaviour {
    /// Opens the tunnel, to the server of the test for every requested name.
    Tunnel,
    /// Writes these bytes and closes the connection.
    Say(&'static str),
    /// Writes these bytes and then nothing more.
    SayAndHang(&'static str),
}

/// A proxy on a loopback port; it ends with this value.
struct FakeProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeProxy {
    async fn start(behaviour: ProxyBehaviour, server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                open.spawn(serve(client, behaviour, server, Arc::clone(&seen)));
            }
        });
        Self { address, heads, task }
    }

    /// The head of every request so far.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut client: TcpStream, behaviour: ProxyBehaviour, server: u16, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
    match behaviour {
        ProxyBehaviour::Tunnel => {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            copy_bidirectional(&mut client, &mut server).await.ok();
        }
        ProxyBehaviour::Say(text) => client.write_all(text.as_bytes()).await.unwrap(),
        ProxyBehaviour::SayAndHang(text) => {
            client.write_all(text.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        }
    }
}

fn proxy(address: SocketAddr) -> Option<CloudProxy> {
    CloudProxy::read(Some(&format!("http://{address}")), None).unwrap()
}

/// The same with credentials.
fn proxy_with_credentials(address: SocketAddr) -> Option<CloudProxy> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "robot:canary:password\n").unwrap();
    CloudProxy::read(Some(&format!("http://{address}")), Some(file.path())).unwrap()
}

/// The calls of `https://localhost:PORT`, an address that may not be connected to directly.
fn beyond(proxy: Option<CloudProxy>, port: u16, options: Options) -> Arc<dyn Workspace> {
    connector("localhost", options)
        .with_proxy(proxy)
        .connect(
            &target(&format!("https://localhost:{port}"), &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap()
}

#[tokio::test]
async fn a_request_goes_through_the_proxy_by_name_without_local_resolution() {
    let server = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let tunnels = FakeProxy::start(ProxyBehaviour::Tunnel, server.port()).await;
    let names = Answers::of(&[&["127.0.0.1"]]);
    let connector = connector("named.example;localhost", patient())
        .with_resolver(names.clone())
        .with_proxy(proxy(tunnels.address));
    let endpoint = format!("https://localhost:{}", server.port());
    let workspace = connector
        .connect(
            &target(&endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    submit(&*workspace).await.unwrap();
    // The proxy sees a name and a port, and nothing of what goes through the tunnel.
    let heads = tunnels.heads();
    let [head] = heads.as_slice() else {
        panic!("{heads:?}")
    };
    assert!(
        head.starts_with(&format!(
            "CONNECT localhost:{0} HTTP/1.1\r\nHost: localhost:{0}\r\n",
            server.port()
        )),
        "{head}"
    );
    let head = head.to_lowercase();
    assert!(
        !head.contains("authorization") && !head.contains("x-sdk"),
        "{head}"
    );
    assert_eq!((server.requests().len(), names.asked()), (1, 0));
}

#[tokio::test]
async fn each_submission_has_a_tunnel_of_its_own() {
    let server = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let tunnels = FakeProxy::start(ProxyBehaviour::Tunnel, server.port()).await;
    let workspace = beyond(proxy(tunnels.address), server.port(), patient());
    for _ in 0..3 {
        submit(&*workspace).await.unwrap();
    }
    assert_eq!((tunnels.heads().len(), server.connections()), (3, 3));
}

#[tokio::test]
async fn a_host_that_is_not_on_the_allow_list_is_not_requested_from_the_proxy() {
    let tunnels = FakeProxy::start(ProxyBehaviour::Tunnel, 1).await;
    let connector = connector("allowed.example", patient()).with_proxy(proxy(tunnels.address));
    for endpoint in [
        "https://other.example",
        "https://127.0.0.1",
        "https://169.254.169.254",
    ] {
        let refused = connector.connect(
            &target(endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        );
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("--allowed-endpoints"), "{message}");
    }
    assert_eq!(tunnels.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn proxy_credentials_are_sent_only_to_the_proxy() {
    let server = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let tunnels = FakeProxy::start(ProxyBehaviour::Tunnel, server.port()).await;
    let proxy = proxy_with_credentials(tunnels.address);
    let connector = connector("localhost", patient()).with_proxy(proxy);
    let endpoint = format!("https://localhost:{}", server.port());
    let workspace = connector
        .connect(
            &target(&endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    submit(&*workspace).await.unwrap();
    // robot:canary:password
    let shown = "proxy-authorization: basic cm9ib3q6y2fuyxj5onbhc3n3b3jk";
    let head = tunnels.heads().concat().to_lowercase();
    assert!(head.contains(shown), "{head}");
    let request = server.request().to_lowercase();
    assert!(!request.contains("proxy-authorization"), "{request}");
    for debug in [format!("{connector:?}"), format!("{workspace:?}")] {
        assert!(
            !debug.contains("canary") && !debug.contains("cm9ib3q6"),
            "{debug}"
        );
    }
}

/// How the proxy fails, and what is said of it besides that it was the proxy.
#[rustfmt::skip]
const FAILURES: &[(&str, ProxyBehaviour, &str)] = &[
    ("407", ProxyBehaviour::Say("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\r\n"), "check --cloud-proxy-credentials-file"),
    ("403", ProxyBehaviour::Say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), "403: its rules deny this host"),
    ("502", ProxyBehaviour::Say("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "502: it cannot reach the host"),
    ("redirect", ProxyBehaviour::Say("HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n\r\n"), "did not respond to CONNECT with HTTP 200"),
    ("no HTTP", ProxyBehaviour::Say("SSH-2.0-OpenSSH_9.9\r\n\r\n"), "did not respond to CONNECT with HTTP 200"),
    ("no answer", ProxyBehaviour::Say(""), "closed the connection without a response to CONNECT"),
    ("a cut head", ProxyBehaviour::Say("HTTP/1.1 200 OK\r\nVia"), "closed the connection without a response to CONNECT"),
    ("closed before the handshake", ProxyBehaviour::Say("HTTP/1.1 200 OK\r\n\r\n"), "no connection: "),
    ("no TLS in the tunnel", ProxyBehaviour::Say("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 No\r\n\r\n"), "no connection: "),
    ("silence", ProxyBehaviour::SayAndHang(""), "no connection: "),
    ("a head that never ends", ProxyBehaviour::SayAndHang("HTTP/1.1 200 OK\r\nVia"), "no connection: "),
    ("silence in the tunnel", ProxyBehaviour::SayAndHang("HTTP/1.1 200 OK\r\n\r\n"), "no connection: "),
];

#[tokio::test]
async fn a_proxy_failure_means_not_sent_and_names_the_proxy() {
    let server = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let mut wrong = Vec::new();
    for (how, conduct, words) in FAILURES {
        let fails = FakeProxy::start(*conduct, server.port()).await;
        let connect_timeout = match conduct {
            ProxyBehaviour::SayAndHang(_) => Duration::from_millis(500),
            _ => patient().connect_timeout,
        };
        let options = Options {
            connect_timeout,
            ..patient()
        };
        let workspace = beyond(proxy_with_credentials(fails.address), server.port(), options);
        let error = submit(&*workspace).await.unwrap_err();
        let read = workspace.list_desktops(&[]).await.unwrap_err();
        let prefix = format!(
            "https://localhost:{}: through the proxy {}: no connection: ",
            server.port(),
            fails.address
        );
        for reason in [not_sent(&error), not_sent(&read)] {
            if !reason.starts_with(&prefix) || !reason.contains(words) || reason.contains("canary") {
                wrong.push(format!("{how}: {reason}"));
            }
        }
        println!("{how}: {error}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_that_refuses_the_connection_means_not_sent_and_is_named() {
    // Bound and not listening: no other program gets the port, and it refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = submit(&*beyond(proxy(address), 1, patient())).await.unwrap_err();
    let reason = not_sent(&error);
    assert!(
        reason.contains(&format!("through the proxy {address}: no connection: "))
            && reason.contains("refused"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_proxy_that_cannot_be_resolved_means_not_sent_and_is_named() {
    let nowhere = CloudProxy::read(Some("http://nowhere.invalid:3128"), None).unwrap();
    let error = submit(&*beyond(nowhere, 1, patient())).await.unwrap_err();
    assert!(
        not_sent(&error).contains("through the proxy nowhere.invalid:3128: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_response_through_a_proxy_leaves_the_outcome_unknown() {
    let server = Server::start(Behaviour::Silence).await;
    let tunnels = FakeProxy::start(ProxyBehaviour::Tunnel, server.port()).await;
    // Within that time the request must have arrived.
    let options = Options {
        submission_timeout: Duration::from_secs(10),
        ..patient()
    };
    let error = submit(&*beyond(proxy(tunnels.address), server.port(), options))
        .await
        .unwrap_err();
    assert!(no_answer(&error).contains("through the proxy "), "{error}");
    assert_eq!((server.requests().len(), tunnels.heads().len()), (1, 1));
}
