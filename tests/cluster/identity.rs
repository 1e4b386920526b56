//! Every kind of credentials, among them a user with a password, and credentials that change while requests are
//! reconciled. No secret of theirs is exposed: the test kit searches all output of an operator when it ends.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::cloud::{ACCESS_KEY, SECRET_KEY};
use testkit::{Cloud, eventually, manifests};
use workspace_simulator::cloud::{LedgerEntry, Operation};

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::doubt::{FLAGS, STEADY, lost};
use crate::fixture::{BOUND, Fixture, desktop, message, pair, says};
use crate::metrics;

/// The password of the user `robot`, and the one after its change.
const PASSWORD: &str = "canary-password-0000001";
const NEW_PASSWORD: &str = "canary-password-0000002";

/// What a Secret holds.
type Values = &'static [(&'static str, &'static str)];

const USER: Values = &[
    ("domainName", "test"),
    ("userName", "robot"),
    ("password", PASSWORD),
];
const CHANGED_USER: Values = &[
    ("domainName", "test"),
    ("userName", "robot"),
    ("password", NEW_PASSWORD),
];

/// The world with the user `robot`.
fn with_robot(mut world: Value) -> Value {
    world["accounts"][0]["users"] = json!([{"name": "robot", "password": PASSWORD}]);
    world
}

/// A project with this kind of credentials, and these values in its Secret.
async fn fixture(name: &str, world: Value, kind: &str, values: Values, desktops: &[Value]) -> Fixture {
    let fixture = Fixture::without_project(name, world, desktops).await;
    put_secret(&fixture, values).await;
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["credentials"] = json!({kind: {"secretRef": {"name": "login"}}});
    fixture.namespace.apply(&project).await.unwrap();
    fixture
}

async fn put_secret(fixture: &Fixture, values: Values) {
    let secret = manifests::secret("login", values);
    fixture.namespace.apply(&secret).await.unwrap();
}

/// Puts another account in place of the one of its name: all of its tokens and temporary keys end.
async fn put_account(fixture: &Fixture, account: &Value) {
    let url = format!("{}/accounts", fixture.cloud.simulator().admin);
    let answer = fixture.http().post(url).json(account).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn user_and_password_can_be_used_as_credentials() {
    let world = with_robot(Cloud::world());
    let desktops = ["pc-1", "pc-2", "pc-3"];
    let fixture = fixture("password", world, "password", USER, &desktops.map(desktop)).await;
    let operator = fixture.operator(&["--log-level=debug"]);
    for name in desktops {
        fixture.request(name, &[name]).await;
    }
    for name in desktops {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
        let attempt = &status["attempts"][0];
        assert_eq!(attempt["auth"], "Signature");
        let life = time(&attempt["notAfter"]).duration_since(time(&attempt["signedAt"]));
        assert_eq!(life, SignedDuration::from_mins(15), "it expires by itself");
    }
    for post in fixture.posts() {
        let caller = post["caller"].as_str().unwrap();
        assert!(caller.starts_with("HST"), "signed by a temporary key: {caller}");
    }
    for operation in [Operation::CreateToken, Operation::CreateTemporaryAccessKey] {
        let calls = fixture.cloud.calls(operation);
        assert_eq!(calls.len(), 1, "one session serves all: {calls:#?}");
    }
    fixture.project_says("prod", "CredentialsValid").await;
    let counted = "cloud_calls_total{operation=\"createToken\",code=\"201\"}";
    metrics::shows(&fixture, &operator, &[(counted, 1.0)]).await;
}

#[tokio::test]
async fn with_a_password_a_lost_response_is_resolved_without_user_action() {
    let world = with_robot(Cloud::world());
    let fixture = fixture("password-lost", world, "password", USER, &[desktop("pc-1")]).await;
    let fault = lost("pc-1", true, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(STEADY);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    let waiting = fixture.stored("leaver", Submitted, "AwaitingEvidence").await;
    assert_eq!(says(&waiting, Stalled), pair("absent", "absent"), "{waiting:#}");
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobRecovered"),
        "{status:#}"
    );
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn if_the_exchange_is_refused_a_lost_response_is_resolved_after_the_token_expires() {
    let mut world = with_robot(Cloud::world());
    world["switches"] = json!({"tokenExchange": false});
    world["timings"]["tokenLifetime"] = json!("15s");
    let fixture = fixture("no-exchange", world, "password", USER, &[desktop("pc-1")]).await;
    let fault = lost("pc-1", false, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(FLAGS);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    let waiting = fixture.stored("leaver", Submitted, "AwaitingEvidence").await;
    let attempt = &waiting["attempts"][0];
    assert_eq!(attempt["auth"], "Token", "{waiting:#}");
    let end = time(&attempt["notAfter"]);
    let logins = fixture.cloud.calls(Operation::CreateToken);
    let rounded_up = |login: &LedgerEntry| {
        let exact = login.time + Duration::from_secs(15);
        (-1..1000).contains(&end.duration_since(exact).as_millis())
    };
    assert!(
        logins.iter().any(rounded_up),
        "{end} is when a token ends: {logins:#?}"
    );
    // It never took effect, so it is repeated, but not before the first call has expired.
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let mut posts = fixture.posts();
    // A token may end on the way of a call, which is then sent again with the next one.
    posts.retain(|post| post["status"] != 401);
    assert_eq!(posts.len(), 2, "{posts:#?}");
    assert!(time(&posts[1]["time"]) > end, "{posts:#?}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect");
    assert_eq!(status["attempts"][1]["outcome"], "Accepted");
}

#[tokio::test]
async fn a_user_can_resolve_an_attempt_before_a_day_long_token_expires() {
    let mut world = with_robot(Cloud::world());
    world["switches"] = json!({"tokenExchange": false});
    let fixture = fixture("long-token", world, "password", USER, &[desktop("pc-1")]).await;
    let fault = lost("pc-1", true, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(FLAGS);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Submitted, "OutcomeUnknown").await;
    assert_eq!(
        says(&status, Stalled),
        pair("True", "OutcomeUnknown"),
        "{status:#}"
    );
    let attempt = &status["attempts"][0];
    let life = time(&attempt["notAfter"]).duration_since(time(&attempt["signedAt"]));
    assert!(life > SignedDuration::from_hours(23), "{status:#}");
    let posts = fixture.posts();
    let answer = format!(
        "{}=adopt:{}",
        attempt["id"].as_str().unwrap(),
        posts[0]["jobID"].as_str().unwrap()
    );
    let annotate = json!({"metadata": {"annotations": {RESOLVE_ANNOTATION: answer}}});
    let parameters = PatchParams::default();
    let requests = fixture.requests();
    let patched = requests
        .patch("leaver", &parameters, &Patch::Merge(annotate))
        .await;
    patched.unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_not_retried_until_the_user_is_locked() {
    let world = with_robot(Cloud::world());
    let names = ["pc-1", "pc-2", "pc-3"];
    let wrong: Values = &[
        ("domainName", "test"),
        ("userName", "robot"),
        ("password", "canary-wrong"),
    ];
    let fixture = fixture("wrong-password", world, "password", wrong, &names.map(desktop)).await;
    let _operator = fixture.operator(&["--project-refresh=300ms"]);
    for name in names {
        fixture.request(name, &[name]).await;
    }
    let ready = fixture.project_says("prod", "AuthenticationFailed").await;
    assert_eq!(ready["status"], "False");
    for name in names {
        let status = fixture.reason(name, Submitted, "AuthenticationFailed").await;
        assert_eq!(says(&status, Stalled), pair("True", "AuthenticationFailed"));
        assert!(message(&status, Submitted).contains("Secret"), "{status:#}");
    }
    // The Secret is read many times meanwhile.
    let looks = || {
        let mut events = fixture.control_plane.audit().events().unwrap();
        let namespace = fixture.namespace.name();
        events.retain(|event| event.verb == "get" && event.concerns("secrets", namespace, "login"));
        events.len()
    };
    let enough = looks() + 12;
    let look = async || match looks() {
        count if count >= enough => Ok(()),
        count => Err(count),
    };
    eventually("the Secret is read again and again", BOUND, look)
        .await
        .unwrap();
    let logins = fixture.cloud.calls(Operation::CreateToken);
    assert!(logins.len() <= 2, "{logins:#?}");
    assert_eq!(
        fixture.cloud.ledger().len(),
        logins.len(),
        "and no other call is made"
    );
    put_secret(&fixture, USER).await;
    for name in names {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
    fixture.project_says("prod", "CredentialsValid").await;
}

/// Credentials that are replaced by others.
struct CredentialRotation {
    kind: &'static str,
    /// The account before and after.
    accounts: [Value; 2],
    /// The Secret before and after.
    values: [Values; 2],
}

fn rotated_credentials() -> [CredentialRotation; 3] {
    let account = |field: &str, login: Value| json!({"name": "test", field: [login]});
    let key = |id, secret| account("accessKeys", json!({"id": id, "secret": secret}));
    let token = |text| account("tokens", json!({"token": text, "user": "robot"}));
    let user = |password| account("users", json!({"name": "robot", "password": password}));
    [
        CredentialRotation {
            kind: "accessKey",
            accounts: [
                key(ACCESS_KEY, SECRET_KEY),
                key("TESTNEWKEY0000000001", "canary-new-secret-key"),
            ],
            values: [
                &[("accessKey", ACCESS_KEY), ("secretKey", SECRET_KEY)],
                &[
                    ("accessKey", "TESTNEWKEY0000000001"),
                    ("secretKey", "canary-new-secret-key"),
                ],
            ],
        },
        CredentialRotation {
            kind: "token",
            accounts: [token("canary-token-old"), token("canary-token-new")],
            values: [&[("token", "canary-token-old")], &[("token", "canary-token-new")]],
        },
        CredentialRotation {
            kind: "password",
            accounts: [user(PASSWORD), user(NEW_PASSWORD)],
            values: [USER, CHANGED_USER],
        },
    ]
}

/// Requests of one desktop each, half of them before a change and half of them after it.
const LOAD: usize = 24;

/// Rotates credentials while requests are reconciled; returns the calls that were rejected.
async fn rotate(name: &str, rotation: CredentialRotation, flags: &[&str]) -> Vec<Operation> {
    let CredentialRotation {
        kind,
        accounts,
        values,
    } = rotation;
    let names: Vec<_> = (0..LOAD).map(|n| format!("pc-{n}")).collect();
    let desktops: Vec<_> = names.iter().map(|name| desktop(name)).collect();
    let mut world = Cloud::world();
    world["accounts"] = json!([accounts[0]]);
    let fixture = fixture(name, world, kind, values[0], &desktops).await;
    // So slow that only the change of the Secret can be why a request that was refused goes on.
    let operator = fixture.operator(&[&["--retry-max=10m"], flags].concat());
    let (before, after) = names.split_at(LOAD / 2);
    for name in before {
        fixture.request(name, &[name]).await;
    }
    fixture.accepted(&before[0]).await;
    // The old credentials are already invalid when the new ones are stored.
    put_account(&fixture, &accounts[1]).await;
    put_secret(&fixture, values[1]).await;
    for name in after {
        fixture.request(name, &[name]).await;
    }
    for name in &names {
        let status = fixture.completed(name).await;
        assert_eq!(
            says(&status, Succeeded),
            pair("True", "AllDeleted"),
            "{kind}: {status:#}"
        );
    }
    assert_eq!(fixture.effective_posts().len(), LOAD, "{kind}: each once");
    assert_eq!(operator.exit_status(), None, "{kind}: it was not restarted");
    let mut calls = fixture.cloud.ledger();
    calls.retain(|call| call.status == Some(401));
    calls.iter().map(|call| call.operation).collect()
}

#[tokio::test]
async fn credentials_are_rotated_under_load_without_a_restart() {
    join_all(rotated_credentials().map(async |rotation| {
        let name = format!("rotate-{}", rotation.kind.to_lowercase());
        let refused = rotate(&name, rotation, &[]).await;
        let count = |iam: bool| {
            let calls = refused.iter();
            calls
                .filter(|call| (**call == Operation::CreateToken) == iam)
                .count()
        };
        // At most two calls with the same credentials are in flight, and after two rejections no further one is made.
        assert!(count(false) <= 2, "{name}: {refused:?}");
        assert!(count(true) <= 2, "{name}: {refused:?}");
    }))
    .await;
}

#[tokio::test]
async fn if_submissions_are_sequential_at_most_one_uses_the_old_credentials() {
    join_all(rotated_credentials().map(async |rotation| {
        let name = format!("rotate-one-by-one-{}", rotation.kind.to_lowercase());
        let refused = rotate(&name, rotation, &["--concurrency=1"]).await;
        let posts = refused.iter().filter(|call| **call == Operation::BatchDelete);
        assert!(posts.count() <= 1, "{name}: {refused:?}");
    }))
    .await;
}
