//! A cloud that repeats every secret: in messages, codes, names, headers and responses of the wrong form. None of them
//! may be exposed in a log, an Event, a status or a metric; the test kit searches all of these when the operator ends.

use serde_json::{Value, json};
use testkit::cloud::ACCESS_KEY;
use testkit::{Cloud, OtlpCollector, OtlpSpan, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::fixture::{Fixture, pair, says};

const SECRET_KEY: &str = "canary-said-aloud-by-the-cloud-secret-key";
const SECURITY_TOKEN: &str = "canary-said-aloud-by-the-cloud-session";
const TOKEN: &str = "canary-said-aloud-by-the-cloud-token";
const PASSWORD: &str = "canary-said-aloud-by-the-cloud-password";

/// A kind of credentials and the secrets that it contains.
struct Login {
    kind: &'static str,
    account: Value,
    values: &'static [(&'static str, &'static str)],
    /// The secret that the cloud repeats.
    secret: &'static str,
    /// Where it says so: a service can only repeat what was sent to it.
    operations: &'static [&'static str],
}

const WORKSPACE: &[&str] = &["listDesktops", "listSubJobs", "batchDelete"];
const IAM: &[&str] = &["createToken"];

fn logins() -> [Login; 4] {
    let key = || json!({"id": ACCESS_KEY, "secret": SECRET_KEY, "securityToken": SECURITY_TOKEN});
    let with_key = |secret| Login {
        kind: "accessKey",
        account: json!({"name": "test", "accessKeys": [key()]}),
        values: &[
            ("accessKey", ACCESS_KEY),
            ("secretKey", SECRET_KEY),
            ("securityToken", SECURITY_TOKEN),
        ],
        secret,
        operations: WORKSPACE,
    };
    [
        with_key(SECRET_KEY),
        with_key(SECURITY_TOKEN),
        Login {
            kind: "token",
            account: json!({"name": "test", "tokens": [{"token": TOKEN, "user": "robot"}]}),
            values: &[("token", TOKEN)],
            secret: TOKEN,
            operations: WORKSPACE,
        },
        Login {
            kind: "password",
            account: json!({"name": "test", "users": [{"name": "robot", "password": PASSWORD}]}),
            values: &[
                ("domainName", "test"),
                ("userName", "robot"),
                ("password", PASSWORD),
            ],
            secret: PASSWORD,
            operations: IAM,
        },
    ]
}

/// Responses that contain the secret, for one read after the other of each operation.
fn answers(secret: &str) -> Vec<Value> {
    let envelope = json!({
        "error_code": secret,
        "error_msg": format!("the signature by {secret} is wrong"),
        "error_detail": secret,
        "encoded_authorization_message": secret,
        "request_id": secret,
    });
    let header = json!({"X-Request-Id": secret});
    vec![
        json!({"status": 500, "headers": header, "body": envelope}),
        json!({"status": 400, "headers": header, "body": {"error": {"code": secret, "message": secret}}}),
        json!({"status": 503, "body": format!("<html><title>{secret}</title><a href=\"{secret}\">{secret}</a></html>")}),
        json!({"status": 302, "headers": {"Location": format!("https://{secret}.example.com/?token={secret}")}}),
        json!({"status": 429, "headers": {"Retry-After": secret}, "body": envelope}),
        json!({"status": 200, "body": secret}),
        json!({"status": 200, "body": {"total_count": secret, "desktops": secret, "jobs": secret, "sub_jobs": secret}}),
        json!({"status": 200, "body": {"total_count": 1, "desktops": [{"desktop_id": secret}], "jobs": [{"id": secret}]}}),
    ]
}

/// Puts each response in the way of each operation, one after the other.
fn say_aloud(fixture: &Fixture, login: &Login) {
    for operation in login.operations {
        // After a submission whose response cannot be read, the outcome is unknown, and no further one follows for
        // long.
        let clear = |answer: &Value| *operation != "batchDelete" || answer["status"] == 429;
        let answers = answers(login.secret).into_iter().filter(clear);
        for (nth, answer) in answers.enumerate() {
            let fault = json!({"operation": operation, "nth": nth + 1, "answer": answer});
            fixture.cloud.add_fault(&fault).unwrap();
        }
    }
}

async fn play(number: usize, login: Login) {
    let mut world = Cloud::world();
    world["accounts"] = json!([login.account]);
    let aloud = login.operations == WORKSPACE;
    let said = if aloud { login.secret } else { "nothing" };
    let failing = json!({
        "id": "pc-1",
        "name": said,
        "outcome": {"result": "failed", "errorCode": said, "failReason": format!("{said} could not")},
    });
    let fixture = Fixture::without_project(&format!("aloud-{number}"), world, &[failing]).await;
    let secret = manifests::secret("login", login.values);
    fixture.namespace.apply(&secret).await.unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["credentials"] = json!({login.kind: {"secretRef": {"name": "login"}}});
    say_aloud(&fixture, &login);
    fixture.namespace.apply(&project).await.unwrap();
    // What it is sent is searched when it ends.
    let collector = OtlpCollector::start().await.unwrap();
    let traced = format!("--otlp-endpoint={}", collector.url());
    let operator = fixture.operator(&["--log-level=debug", "--project-refresh=300ms", &traced]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
    assert_eq!(status.to_string().contains("[redacted]"), aloud, "{status:#}");
    let log = operator.log();
    assert!(log.contains("[redacted]"), "the cloud returned the secret");
    assert!(
        operator.address().is_some(),
        "its metrics are searched when it ends: {log}"
    );
    assert_eq!(operator.stopped().await, 0);
    let redacted = |span: &OtlpSpan| span.attribute("request_id").contains("[redacted]");
    assert!(
        collector.spans().iter().any(redacted),
        "the cloud returned the secret"
    );
}

#[tokio::test]
async fn secrets_that_the_cloud_repeats_are_not_exposed() {
    let runs = logins().into_iter().enumerate();
    futures::future::join_all(runs.map(|(number, login)| play(number, login))).await;
}
