//! A user with a password, and a ready token, against the simulated IAM and Workspace.

use std::sync::{Arc, Mutex};

use desktop_deletion_operator::clock::{SystemClock, TimeSource};
use desktop_deletion_operator::workspace::api::{Authentication, Workspace};
use desktop_deletion_operator::workspace::auth::SecretCredentials;
use desktop_deletion_operator::workspace::connector::{ConnectError, Connector, Target};
use desktop_deletion_operator::workspace::error::{BreakerKind, Error, Failure, Operation as Call};
use desktop_deletion_operator::workspace::iam::CallObserver;
use jiff::SignedDuration;
use serde_json::{Value, json};
use workspace_simulator::cloud::Operation;
use workspace_simulator::world::World;
use workspace_simulator::{Options, Running, serve};

use super::server::{Behaviour, Server, authority};
use super::{ALICE, BOB, PROJECT, batch, desktop, patient, secret, target};

/// Another project of the same account.
const SECOND: &str = "00000000000000000000000example02";

/// The account of the world; `password` is the robot's.
fn account(password: &str) -> Value {
    json!({
        "name": "example-account",
        "users": [{"name": "robot", "password": password}],
        "tokens": [
            {"token": "TOKEN-canary", "user": "robot", "expires": "2032-01-01T00:00:00.5Z"},
        ],
    })
}

async fn cloud(switches: Value) -> Running {
    let world = json!({
        "accounts": [account("canary pass\"word")],
        "projects": [{"id": PROJECT}, {"id": SECOND}],
        "desktops": [{"id": ALICE}, {"id": BOB}],
        "switches": switches,
    });
    let world = World::parse(&world.to_string()).unwrap();
    serve(Options::new(world)).await.unwrap()
}

/// Changes a part of the cloud that the admin API can change.
async fn change(cloud: &Running, method: reqwest::Method, what: &str, value: &Value) {
    let url = format!("{}/{what}", cloud.admin);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.request(method, url).json(value).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

fn connector() -> Connector {
    let allowed = vec!["127.0.0.1=127.0.0.0/8".parse().unwrap()];
    Connector::new(patient(), allowed, Arc::new(SystemClock))
}

fn of(cloud: &Running) -> Target {
    Target {
        iam_endpoint: Some(cloud.iam.clone()),
        ..target(&cloud.workspace, &cloud.ca_pem)
    }
}

fn password(text: &str) -> SecretCredentials {
    let data = [
        ("domainName", "example-account"),
        ("userName", "robot"),
        ("password", text),
    ];
    SecretCredentials::password(&secret(&data)).unwrap()
}

fn right() -> SecretCredentials {
    password("canary pass\"word")
}

fn ready_token() -> SecretCredentials {
    SecretCredentials::token(&secret(&[("token", "TOKEN-canary")])).unwrap()
}

/// Names of the operations that were called.
fn operations(cloud: &Running) -> Vec<Operation> {
    cloud.ledger().iter().map(|entry| entry.operation).collect()
}

fn count(cloud: &Running, operation: Operation) -> usize {
    operations(cloud)
        .iter()
        .filter(|each| **each == operation)
        .count()
}

async fn authentication(workspace: &dyn Workspace) -> Authentication {
    workspace.list_desktops(&[]).await.unwrap();
    let signed = workspace.sign_batch_delete(&batch(), SystemClock.now()).unwrap();
    signed.authentication()
}

#[tokio::test]
async fn a_password_is_exchanged_for_an_access_key_that_signs_requests() {
    let cloud = cloud(json!({})).await;
    let workspace = connector().connect(&of(&cloud), right()).unwrap();
    assert!(cloud.ledger().is_empty(), "no call is made before it is needed");
    let page = workspace.list_desktops(&[desktop(ALICE)]).await.unwrap();
    assert_eq!(page.value.total, 1);
    let signed = workspace.sign_batch_delete(&batch(), SystemClock.now()).unwrap();
    let Authentication::Signature { key_ends: Some(end) } = signed.authentication() else {
        panic!("{:?}", signed.authentication());
    };
    let left = end.duration_since(SystemClock.now());
    assert!(left > SignedDuration::from_mins(50), "{left}");
    workspace.send(signed).await.unwrap();
    assert_eq!(
        operations(&cloud),
        [
            Operation::CreateToken,
            Operation::CreateTemporaryAccessKey,
            Operation::ListDesktops,
            Operation::BatchDelete
        ]
    );
    let ledger = cloud.ledger();
    let login: Value = serde_json::from_str(&ledger[0].body).unwrap();
    assert_eq!(login["auth"]["scope"]["project"]["id"], PROJECT);
    let caller = ledger[3].caller.as_deref().unwrap();
    assert!(caller.starts_with("HST"), "signed by the temporary key: {caller}");
}

#[tokio::test]
async fn one_login_serves_every_client_of_the_project() {
    let cloud = cloud(json!({})).await;
    let connector = connector();
    let read = || async {
        let workspace = connector.connect(&of(&cloud), right()).unwrap();
        workspace.list_desktops(&[]).await.unwrap();
    };
    futures::future::join_all((0..20).map(|_| read())).await;
    assert_eq!(count(&cloud, Operation::CreateToken), 1);
    assert_eq!(count(&cloud, Operation::CreateTemporaryAccessKey), 1);
    assert_eq!(count(&cloud, Operation::ListDesktops), 20);
    // Another project has its own session.
    let target = Target {
        project_id: desktop_deletion_operator::ids::ProjectID::try_from(SECOND).unwrap(),
        ..of(&cloud)
    };
    let workspace = connector.connect(&target, right()).unwrap();
    workspace.list_desktops(&[]).await.unwrap();
    assert_eq!(count(&cloud, Operation::CreateToken), 2);
}

#[tokio::test]
async fn if_the_exchange_is_refused_the_token_is_sent_and_its_expiry_is_known() {
    let cloud = cloud(json!({"tokenExchange": false})).await;
    let workspace = connector().connect(&of(&cloud), right()).unwrap();
    let Authentication::Token { ends: Some(end) } = authentication(&*workspace).await else {
        panic!("no token with an end");
    };
    let left = end.duration_since(SystemClock.now());
    assert!(left > SignedDuration::from_hours(23), "{left}");
    workspace.list_desktops(&[]).await.unwrap();
    assert_eq!(count(&cloud, Operation::CreateTemporaryAccessKey), 1);
    assert_eq!(cloud.ledger().last().unwrap().caller.as_deref(), Some("robot"));
}

#[tokio::test]
async fn revoked_credentials_are_renewed_within_the_read_that_detects_it() {
    for exchange in [true, false] {
        let cloud = cloud(json!({"tokenExchange": exchange})).await;
        let workspace = connector().connect(&of(&cloud), right()).unwrap();
        workspace.list_desktops(&[]).await.unwrap();
        // The account's tokens and keys end, those that IAM made included.
        let same = account("canary pass\"word");
        change(&cloud, reqwest::Method::POST, "accounts", &same).await;
        workspace.list_desktops(&[]).await.unwrap();
        assert_eq!(count(&cloud, Operation::CreateToken), 2);
        assert_eq!(count(&cloud, Operation::ListDesktops), 3);
    }
}

#[tokio::test]
async fn a_submission_that_is_rejected_with_401_is_not_retried_but_the_next_one_has_a_new_key() {
    let cloud = cloud(json!({})).await;
    let workspace = connector().connect(&of(&cloud), right()).unwrap();
    workspace.list_desktops(&[]).await.unwrap();
    let signed = workspace.sign_batch_delete(&batch(), SystemClock.now()).unwrap();
    let same = account("canary pass\"word");
    change(&cloud, reqwest::Method::POST, "accounts", &same).await;
    let error = workspace.send(signed).await.unwrap_err();
    assert_eq!(error.error_response().map(|refusal| refusal.status), Some(401));
    assert_eq!(count(&cloud, Operation::BatchDelete), 1);
    let error = workspace
        .sign_batch_delete(&batch(), SystemClock.now())
        .unwrap_err();
    assert!(error.was_not_sent(), "{error}");
    workspace.list_desktops(&[]).await.unwrap();
    let signed = workspace.sign_batch_delete(&batch(), SystemClock.now()).unwrap();
    workspace.send(signed).await.unwrap();
}

fn refused(error: &Error) -> u16 {
    error.error_response().map_or(0, |refusal| refusal.status)
}

#[tokio::test]
async fn a_wrong_password_is_sent_only_twice() {
    let cloud = cloud(json!({})).await;
    let workspace = connector()
        .connect(&of(&cloud), password("canary wrong"))
        .unwrap();
    for _ in 0..2 {
        let error = workspace.list_desktops(&[]).await.unwrap_err();
        assert_eq!((error.operation, refused(&error)), (Call::CreateToken, 401));
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    for _ in 0..3 {
        let error = workspace.list_desktops(&[]).await.unwrap_err();
        let Failure::CircuitOpen { breaker, .. } = error.failure else {
            panic!("{error}");
        };
        assert_eq!(breaker, BreakerKind::Credentials);
    }
    assert_eq!(operations(&cloud), [Operation::CreateToken; 2]);
}

#[tokio::test]
async fn the_expiry_of_a_ready_token_is_read_from_iam() {
    let cloud = cloud(json!({})).await;
    let connector = connector();
    let workspace = connector.connect(&of(&cloud), ready_token()).unwrap();
    let ends = Some("2032-01-01T00:00:01Z".parse().unwrap());
    assert_eq!(authentication(&*workspace).await, Authentication::Token { ends });
    assert_eq!(authentication(&*workspace).await, Authentication::Token { ends });
    assert_eq!(count(&cloud, Operation::ValidateToken), 1);
}

#[tokio::test]
async fn a_ready_token_is_used_even_if_its_expiry_is_unknown() {
    let cloud = cloud(json!({})).await;
    let silent = Server::start(Behaviour::NoHandshake).await;
    let elsewhere = Some("https://iam.example.com".to_owned());
    for iam_endpoint in [None, Some(silent.endpoint()), elsewhere] {
        let target = Target {
            iam_endpoint,
            ..of(&cloud)
        };
        let workspace = connector().connect(&target, ready_token()).unwrap();
        assert_eq!(
            authentication(&*workspace).await,
            Authentication::Token { ends: None }
        );
        assert_eq!(
            authentication(&*workspace).await,
            Authentication::Token { ends: None }
        );
    }
    assert_eq!(silent.connections(), 1, "it is not called again at once");
    assert_eq!(count(&cloud, Operation::ValidateToken), 0);
}

#[tokio::test]
async fn a_password_is_sent_only_to_an_allowed_iam_endpoint() {
    let cloud = cloud(json!({})).await;
    let log_in = |iam_endpoint: Option<&str>| {
        let target = Target {
            iam_endpoint: iam_endpoint.map(str::to_owned),
            ..of(&cloud)
        };
        connector().connect(&target, right()).unwrap_err()
    };
    assert_eq!(log_in(None), ConnectError::NoIam);
    for elsewhere in [
        "https://iam.example.com",
        "http://127.0.0.1",
        "https://127.0.0.1/v3",
    ] {
        assert!(matches!(log_in(Some(elsewhere)), ConnectError::Endpoint(_)));
    }
    assert!(cloud.ledger().is_empty());
}

/// Keeps what it hears.
#[derive(Debug, Default)]
struct RecordingObserver(Mutex<Vec<(Call, Option<u16>)>>);

impl CallObserver for RecordingObserver {
    fn call_ended(&self, operation: Call, outcome: Result<u16, &Failure>) {
        self.0.lock().unwrap().push((operation, outcome.ok()));
    }
}

#[tokio::test]
async fn every_iam_call_is_reported_to_the_call_observer() {
    let cloud = cloud(json!({"tokenExchange": false})).await;
    let ear = Arc::new(RecordingObserver::default());
    let connector = connector().with_call_observer(Arc::clone(&ear) as Arc<dyn CallObserver>);
    let workspace = connector.connect(&of(&cloud), right()).unwrap();
    workspace.list_desktops(&[]).await.unwrap();
    let heard = std::mem::take(&mut *ear.0.lock().unwrap());
    assert_eq!(
        heard,
        [
            (Call::CreateToken, Some(201)),
            (Call::CreateTemporaryAccessKey, None)
        ]
    );
}

/// IAM answers with this head and body, and Workspace is never reached.
async fn answered(head: &str, body: &str) -> Error {
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let iam = Server::start(Behaviour::AnswerAndClose(answer.into_bytes())).await;
    let target = Target {
        iam_endpoint: Some(iam.endpoint()),
        ..target(&iam.endpoint(), &authority())
    };
    let workspace = connector().connect(&target, right()).unwrap();
    let error = workspace.list_desktops(&[]).await.unwrap_err();
    assert_eq!(error.operation, Call::CreateToken, "{error}");
    assert_eq!(iam.connections(), 1, "nothing is followed or repeated");
    assert!(!error.to_string().contains("canary"), "{error}");
    error
}

#[tokio::test]
async fn an_invalid_iam_response_yields_no_credentials() {
    let good = r#"{"token": {"expires_at": "2032-01-04T09:05:22.701000Z", "canary": 1}}"#;
    let huge = "x".repeat(10 << 20);
    for (head, body, says) in [
        ("201 Created", good, "it has no X-Subject-Token"),
        (
            "201 Created\r\nX-Subject-Token: canary token",
            good,
            "X-Subject-Token cannot be sent in a header",
        ),
        (
            "201 Created\r\nX-Subject-Token: canary",
            "{\"canary\": 1}",
            "no usable token.expires_at",
        ),
        (
            "201 Created\r\nX-Subject-Token: canary",
            "<html>canary",
            "not JSON",
        ),
        ("201 Created\r\nX-Subject-Token: canary", &huge, "longer than"),
        (
            "201 Created\r\nX-Subject-Token: canary\r\nContent-Encoding: gzip",
            good,
            "unexpected Content-Encoding",
        ),
        (
            "307 Temporary Redirect\r\nLocation: https://example.com/",
            "",
            "HTTP 307",
        ),
        (
            "401 Unauthorized",
            r#"{"error": {"code": 401, "message": "canary pass\"word is wrong"}}"#,
            "HTTP 401",
        ),
        ("502 Bad Gateway", "<title>oops</title>", "HTTP 502"),
    ] {
        let error = answered(head, body).await;
        assert!(error.to_string().contains(says), "{head}: {error}");
    }
}
