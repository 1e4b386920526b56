//! Endpoints that the API server accepts and the operator refuses: each is named on the project and on the request that
//! waits for it, and nothing connects. All malicious endpoints are tried on the client, in
//! `tests/offline/workspace_client/endpoints`; the schema refuses what is not the URL of a host
//! ([`crd_rules`](crate::crd_rules)).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Cloud, manifests};
use tokio::net::TcpListener;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, message, pair, says};

/// Names that lead to this machine, and an address of it, without a network that admits it.
const ALLOWED: &str = "--allowed-endpoints=127.0.0.1=127.0.0.0/8;127.0.0.2;localhost;allowed.example;workspace.*.myhuaweicloud.com";

const SPELLING: &str = "the host must be a DNS name or an address in its usual spelling";
const LABELS: &str = "without a trailing dot";
const NOT_IN_ALLOW_LIST: &str = "is not in the operator's --allowed-endpoints";
const NETWORK: &str = "an IP address needs an entry of --allowed-endpoints with a network that contains it";
const LOOPBACK: &str = "localhost resolves to ";

const NOT_ALLOWED: &str = "EndpointNotAllowed";
const UNREACHABLE: &str = "EndpointUnreachable";

/// What is tried, the endpoint (`PORT` is the sink's), the project's reason and a part of its message.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// Each is tried as the service's endpoint and as that of IAM.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("decimal address", "https://2130706433:PORT", NOT_ALLOWED, SPELLING),
    ("hexadecimal address", "https://0x7f000001:PORT", NOT_ALLOWED, SPELLING),
    ("octal address", "https://0177.0.0.1:PORT", NOT_ALLOWED, SPELLING),
    ("short address", "https://127.1:PORT", NOT_ALLOWED, SPELLING),
    ("address with a dot at its end", "https://127.0.0.1.:PORT", NOT_ALLOWED, SPELLING),
    ("address of which no entry admits the network", "https://127.0.0.2:PORT", NOT_ALLOWED, NETWORK),
    ("address that no entry names", "https://127.0.0.3:PORT", NOT_ALLOWED, NOT_IN_ALLOW_LIST),
    ("metadata service", "https://169.254.169.254:PORT", NOT_ALLOWED, NOT_IN_ALLOW_LIST),
    ("name of a metadata service", "https://metadata.google.internal:PORT", NOT_ALLOWED, NOT_IN_ALLOW_LIST),
    ("API server", "https://kubernetes.default.svc:PORT", NOT_ALLOWED, NOT_IN_ALLOW_LIST),
    ("allowed host as the beginning", "https://allowed.example.evil.com:PORT", NOT_ALLOWED, NOT_IN_ALLOW_LIST),
    ("allowed host with a dot at its end", "https://allowed.example.:PORT", NOT_ALLOWED, LABELS),
    ("allowed name that leads to this machine", "https://localhost:PORT", UNREACHABLE, LOOPBACK),
];

/// The target of the malicious endpoints: it counts connections.
async fn sink() -> (u16, Arc<AtomicUsize>) {
    let visits = Arc::new(AtomicUsize::new(0));
    let mut port = 0;
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"] {
        // Without one of them the others still count.
        let Ok(listener) = TcpListener::bind((address, port)).await else {
            continue;
        };
        port = listener.local_addr().unwrap().port();
        let visits = visits.clone();
        tokio::spawn(async move {
            loop {
                let _visitor = listener.accept().await.unwrap();
                visits.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    (port, visits)
}

/// Applies a project whose `place` is that endpoint, with credentials that would be sent there, and a request for it;
/// all have that name.
async fn put(fixture: &Fixture, place: &str, endpoint: &str, name: &str) {
    let user = [
        ("domainName", "test"),
        ("userName", "robot"),
        ("password", "canary-password"),
    ];
    let (login, secret) = match place {
        "iamEndpoint" => ("password", manifests::secret(name, &user)),
        _ => ("accessKey", fixture.cloud.secret(name)),
    };
    let mut project = fixture.cloud.project(name, name);
    project["spec"][place] = json!(endpoint);
    project["spec"]["credentials"] = json!({login: {"secretRef": {"name": name}}});
    fixture.namespace.apply(&secret).await.unwrap();
    fixture.namespace.apply(&project).await.unwrap();
    let there = json!({"projectRef": {"name": name}});
    fixture.request_with(name, &[name], there).await;
}

/// Waits until project and request say it.
async fn is_reported(fixture: &Fixture, name: &str, reason: &str, told: &str) {
    let ready = fixture.project_says(name, reason).await;
    assert!(ready["message"].as_str().unwrap().contains(told), "{ready:#}");
    let says_so = |status: &Value| message(status, Submitted).contains(told);
    let status = fixture.until(name, told, says_so).await;
    assert_eq!(says(&status, Succeeded), pair("Unknown", "Waiting"), "{status:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_would_send_credentials_elsewhere_is_reported_and_not_connected_to() {
    let fixture = Fixture::without_project("endpoints", Cloud::world(), &[desktop("good")]).await;
    let (port, visits) = sink().await;
    let _operator = fixture.operator(&[ALLOWED, "--secret-refresh=2s"]);
    let judge = async |(number, (what, endpoint, reason, told)): (usize, &Row)| {
        let endpoint = endpoint.replace("PORT", &port.to_string());
        for place in ["endpoint", "iamEndpoint"] {
            println!("{what}, as {place}: {reason}, {told}");
            let name = format!("row-{number}-{}", place.to_lowercase());
            put(&fixture, place, &endpoint, &name).await;
            is_reported(&fixture, &name, reason, told).await;
        }
    };
    join_all(ROWS.iter().enumerate().map(judge)).await;

    // Among all of them one that can be served is.
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let project = fixture.cloud.project("prod", "login");
    fixture.namespace.apply(&project).await.unwrap();
    fixture.request("good", &["good"]).await;
    let status = fixture.completed("good").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(visits.load(Ordering::SeqCst), 0, "nothing connects");
    assert_eq!(fixture.posts().len(), 1);
}
