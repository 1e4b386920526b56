//! A project reports whether its credentials work before any deletion depends on them; requests wait for it and
//! continue by themselves once they are fixed.

use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use testkit::cloud::{ACCESS_KEY, PROJECT_ID, SECRET_KEY};
use testkit::{Cloud, manifests};
use workspace_simulator::cloud::Operation::ListDesktops;

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Stalled, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, Running, condition, desktop, endless, message, pair, says};
use crate::shutdown::answers;
use crate::tcp_gate::TcpGate;

/// Another project of the same account.
const SECOND: &str = "second-project";

/// An access key that may read no desktop.
const BLIND: (&str, &str) = ("TESTBLINDKEY00000001", "canary-secret-key-0000000000000000000002");

/// An access key whose secret is given wrongly, so that no other key is locked by it.
const MISTYPED: (&str, &str) = ("TESTMISTYPED00000001", "canary-secret-key-0000000000000000000003");

fn world() -> Value {
    let mut world = Cloud::world();
    let keys = world["accounts"][0]["accessKeys"].as_array_mut().unwrap();
    keys.push(json!({"id": BLIND.0, "secret": BLIND.1, "permissions": ["workspace:jobs:*"]}));
    keys.push(json!({"id": MISTYPED.0, "secret": MISTYPED.1}));
    world["projects"] = json!([{"id": PROJECT_ID}, {"id": SECOND}]);
    world
}

fn key_pair(id: &'static str, secret: &'static str) -> Values {
    vec![("accessKey", id), ("secretKey", secret)]
}

type Values = Vec<(&'static str, &'static str)>;

/// Invalid credentials.
struct InvalidCredentials {
    /// Name of the project, its Secret, the request and its desktop.
    name: &'static str,
    /// What the Secret holds; `None`: there is none.
    values: Option<Values>,
    /// What the project says of it.
    project: &'static str,
    /// What a request says that waits for it.
    request: &'static str,
}

fn useless_logins() -> Vec<InvalidCredentials> {
    let case = |name, values, project, request| InvalidCredentials {
        name,
        values,
        project,
        request,
    };
    let invalid = |name, values| case(name, Some(values), "SecretInvalid", "ProjectNotReady");
    let refused = |name, values, reason| case(name, Some(values), reason, reason);
    vec![
        case("no-secret", None, "SecretNotFound", "ProjectNotReady"),
        invalid("missing-key", vec![("accessKey", ACCESS_KEY)]),
        invalid("blank", key_pair(ACCESS_KEY, "  ")),
        invalid("line-feed", key_pair(ACCESS_KEY, "canary-secret-key\n")),
        refused(
            "mistyped",
            key_pair(MISTYPED.0, "canary-wrong"),
            "AuthenticationFailed",
        ),
        refused("blind", key_pair(BLIND.0, BLIND.1), "PermissionDenied"),
    ]
}

#[tokio::test]
async fn invalid_credentials_are_reported_and_requests_continue_once_they_are_fixed() {
    let fixture = Fixture::without_project("logins", world(), &[]).await;
    // So slow that only a change of the Secret can be why it goes on.
    let _operator = fixture.operator(&["--retry-max=10m"]);
    for InvalidCredentials { name, values, .. } in useless_logins() {
        fixture.cloud.add_desktop(&desktop(name)).unwrap();
        if let Some(values) = values {
            fixture
                .namespace
                .apply(&manifests::secret(name, &values))
                .await
                .unwrap();
        }
        fixture
            .namespace
            .apply(&fixture.cloud.project(name, name))
            .await
            .unwrap();
        let there = json!({"projectRef": {"name": name}});
        fixture.request_with(name, &[name], there).await;
    }
    for InvalidCredentials {
        name,
        values,
        project,
        request,
    } in useless_logins()
    {
        let ready = fixture.project_says(name, project).await;
        assert_eq!(ready["status"], "False", "{ready:#}");
        let status = fixture
            .until(name, "it reports what it waits for", |status| {
                says(status, Submitted) == pair("False", request)
                    && message(status, Submitted).contains(ready["message"].as_str().unwrap())
            })
            .await;
        assert_eq!(says(&status, Succeeded), pair("Unknown", "Waiting"), "{status:#}");
        for (key, value) in values.unwrap_or_default() {
            let secret = key == "secretKey" && value.starts_with("canary");
            assert!(
                !secret || !status.to_string().contains(value),
                "no secret is shown: {status:#}"
            );
        }
    }
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    let right = key_pair(ACCESS_KEY, SECRET_KEY);
    for InvalidCredentials { name, .. } in useless_logins() {
        fixture
            .namespace
            .apply(&manifests::secret(name, &right))
            .await
            .unwrap();
    }
    for InvalidCredentials { name, .. } in useless_logins() {
        fixture.project_says(name, "CredentialsValid").await;
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
        assert_eq!(status["lastError"], Value::Null, "{status:#}");
    }
    assert_eq!(fixture.posts().len(), useless_logins().len());
}

#[tokio::test]
async fn verified_credentials_are_reported_as_valid_with_one_write() {
    let fixture = Fixture::set("valid", &[]).await;
    let _operator = fixture.operator(&["--project-refresh=300ms"]);
    let ready = fixture.project_says("prod", "CredentialsValid").await;
    assert_eq!(ready["status"], "True");
    assert_eq!(ready["observedGeneration"], 1);
    let proofs = || fixture.cloud.calls(ListDesktops).len();
    let look = async || match proofs() {
        count if count >= 4 => Ok(()),
        count => Err(count),
    };
    testkit::eventually("the credentials are verified again", BOUND, look)
        .await
        .unwrap();
    let (resource, namespace) = ("workspaceprojects", fixture.namespace.name());
    let mut writes = fixture
        .audited(&fixture.namespace.projects(), resource, "prod")
        .await;
    writes.retain(|event| event.is_write() && event.concerns(resource, namespace, "prod"));
    // The first connection may take too long, which is reported before.
    let says_valid = |event: &&std::sync::Arc<testkit::AuditEvent>| {
        let after = event.response_object.as_ref();
        let reason = after.map(|project| condition(&project["status"], Ready)["reason"].clone());
        event.by_service_account(testkit::SERVICE_ACCOUNT) && reason == Some(json!("CredentialsValid"))
    };
    assert_eq!(writes.iter().filter(says_valid).count(), 1, "{writes:#?}");
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_never_connected_to() {
    let fixture = Fixture::without_project("not-allowed", Cloud::world(), &[desktop("pc-1")]).await;
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    fixture
        .namespace
        .apply(&fixture.cloud.project("prod", "login"))
        .await
        .unwrap();
    let _operator = fixture.operator(&["--allowed-endpoints=workspace.example.com"]);
    fixture.request("leaver", &["pc-1"]).await;
    let ready = fixture.project_says("prod", "EndpointNotAllowed").await;
    assert_eq!(ready["status"], "False", "{ready:#}");
    let status = fixture.reason("leaver", Submitted, "ProjectNotReady").await;
    assert!(message(&status, Submitted).contains("127.0.0.1"), "{status:#}");
    assert_eq!(fixture.cloud.ledger(), []);
}

#[tokio::test]
async fn an_unknown_region_is_reported_with_the_fix() {
    let fixture = Fixture::without_project("unknown-region", Cloud::world(), &[desktop("pc-1")]).await;
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["region"] = json!("obs");
    for host in ["endpoint", "iamEndpoint"] {
        project["spec"].as_object_mut().unwrap().remove(host);
    }
    fixture.namespace.apply(&project).await.unwrap();
    // Its name would lead here.
    let _operator = fixture.operator(&["--allowed-endpoints=workspace.obs.myhuaweicloud.com=127.0.0.0/8"]);
    fixture.request("leaver", &["pc-1"]).await;
    let ready = fixture.project_says("prod", "UnknownRegion").await;
    assert_eq!(ready["status"], "False", "{ready:#}");
    let status = fixture.reason("leaver", Submitted, "ProjectNotReady").await;
    for part in ["region obs", "spec.endpoint and spec.iamEndpoint"] {
        assert!(message(&status, Submitted).contains(part), "{status:#}");
    }
    assert_eq!(fixture.cloud.ledger(), []);
}

#[tokio::test]
async fn a_host_that_stays_unreachable_is_reported_as_stalled_and_recovers_by_itself() {
    let fixture =
        Fixture::without_project("not-reached", Cloud::world(), &[desktop("pc-1"), desktop("pc-2")]).await;
    let gate = TcpGate::in_front_of(&fixture.cloud.simulator().workspace).await;
    gate.close();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["endpoint"] = json!(gate.url());
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    fixture.namespace.apply(&project).await.unwrap();
    let operator = fixture.operator(&["--retry-min=50ms", "--retry-max=200ms"]);
    fixture.request("leaver", &["pc-1"]).await;
    let for_a_person = |status: &Value| says(status, Stalled) == pair("True", "ServiceUnavailable");
    let status = fixture
        .until("leaver", "user action is requested", for_a_person)
        .await;
    for part in ["spec.region, spec.endpoint", "caBundle", "proxy"] {
        assert!(message(&status, Stalled).contains(part), "{status:#}");
    }
    let ready = fixture.project_says("prod", "EndpointUnreachable").await;
    assert!(
        ready["message"].as_str().unwrap().contains("many times in a row"),
        "{ready:#}"
    );
    // Another process has not counted the tries, and does not take it back.
    assert_eq!(operator.stopped().await, 0);
    let _operator = fixture.operator(&["--retry-min=5s", "--retry-max=6s"]);
    fixture.request("another", &["pc-2"]).await;
    fixture
        .until("another", "user action is requested", for_a_person)
        .await;
    gate.reopen();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(says(&status, Stalled), pair("absent", "absent"), "{status:#}");
}

#[tokio::test]
async fn a_cloud_that_cannot_be_reached_is_tried_again() {
    let fixture = Fixture::without_project("unreachable", Cloud::world(), &[desktop("pc-1")]).await;
    let gate = TcpGate::in_front_of(&fixture.cloud.simulator().workspace).await;
    gate.close();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["endpoint"] = json!(gate.url());
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    fixture.namespace.apply(&project).await.unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let ready = fixture.project_says("prod", "EndpointUnreachable").await;
    assert_eq!(ready["status"], "False", "{ready:#}");
    fixture.reason("leaver", Submitted, "ServiceUnavailable").await;
    // After many failures it is stalled, so the first report counts.
    let status = fixture.stored("leaver", Submitted, "ServiceUnavailable").await;
    assert_eq!(says(&status, Stalled), pair("absent", "absent"), "{status:#}");

    gate.reopen();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn an_untrusted_certificate_is_reported_as_stalled_after_many_tries() {
    let fixture = Fixture::without_project("untrusted", Cloud::world(), &[desktop("pc-1")]).await;
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger.example".to_owned()]).unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["caBundle"] = json!(stranger.cert.pem());
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    fixture.namespace.apply(&project).await.unwrap();
    let _operator = fixture.operator(&["--retry-min=50ms", "--retry-max=200ms"]);
    fixture.request("leaver", &["pc-1"]).await;
    let for_a_person = |status: &Value| says(status, Stalled) == pair("True", "ServiceUnavailable");
    let status = fixture
        .until("leaver", "user action is requested", for_a_person)
        .await;
    assert!(message(&status, Stalled).contains("UnknownIssuer"), "{status:#}");
    let projects = fixture.namespace.projects();
    let shown = projects.get("prod").await.unwrap().data["status"].clone();
    for kind in [Ready, Stalled] {
        assert_eq!(
            condition(&shown, kind)["reason"],
            "EndpointUnreachable",
            "{shown:#}"
        );
    }
    assert_eq!(fixture.cloud.ledger(), []);

    projects.delete("prod", &DeleteParams::default()).await.unwrap();
    let trusted = fixture.cloud.project("prod", "login");
    fixture.namespace.apply(&trusted).await.unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_request_whose_region_is_no_longer_known_continues_where_it_began() {
    let fixture = Fixture::without_project("old-region", Cloud::world(), &[endless("pc-1")]).await;
    let project = |endpoint: bool| {
        let mut project = fixture.cloud.project("prod", "login");
        project["spec"]["region"] = json!("ap-southeast-9");
        if !endpoint {
            let spec = project["spec"].as_object_mut().unwrap();
            for field in ["endpoint", "iamEndpoint", "caBundle"] {
                spec.remove(field);
            }
        }
        project
    };
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    fixture.namespace.apply(&project(true)).await.unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let began = fixture.accepted("leaver").await;

    let projects = fixture.namespace.projects();
    let replace_by = async |project: Value| {
        projects.delete("prod", &DeleteParams::default()).await.unwrap();
        fixture.namespace.apply(&project).await.unwrap();
    };
    replace_by(project(false)).await;
    fixture.project_says("prod", "UnknownRegion").await;
    let stalled = |status: &Value| says(status, Stalled).0 == "True";
    fixture.until("leaver", "user action is requested", stalled).await;

    replace_by(project(true)).await;
    let followed = |status: &Value| says(status, Stalled).0 == "absent";
    let status = fixture.until("leaver", "it goes on", followed).await;
    for field in ["project", "jobID", "attempts"] {
        assert_eq!(status[field], began[field], "{status:#}");
    }
    fixture.more_ticks(PROJECT_ID, 2).await;
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn clocks_that_differ_too_much_stop_submissions_until_they_are_corrected() {
    let mut world = Cloud::world();
    world["timings"]["clockAhead"] = json!("1m");
    let fixture = Fixture::set_with("clock", world, &["pc-1", "pc-2"].map(desktop)).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.project_says("prod", "ClockSkew").await;
    let status = fixture.reason("leaver", Submitted, "ClockSkew").await;
    assert_eq!(says(&status, Stalled), pair("True", "ClockSkew"), "{status:#}");
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    fixture.change_timings(json!({"clockAhead": "0s"})).await;
    fixture.project_says("prod", "CredentialsValid").await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");

    // The project was verified, and since then the clocks have drifted apart.
    fixture.change_timings(json!({"clockBehind": "1m"})).await;
    fixture.request("second", &["pc-2"]).await;
    let status = fixture.reason("second", Submitted, "ClockSkew").await;
    assert_eq!(says(&status, Stalled), pair("True", "ClockSkew"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
    fixture.change_timings(json!({"clockBehind": "0s"})).await;
    let status = fixture.completed("second").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_request_waits_for_a_project_that_comes_later() {
    let fixture = Fixture::without_project("project-later", Cloud::world(), &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Submitted, "ProjectNotReady").await;
    assert_eq!(
        says(&status, Ready),
        pair("Unknown", "Retrying"),
        "with GitOps it may be created later: {status:#}"
    );
    fixture
        .namespace
        .apply(&fixture.cloud.project("prod", "login"))
        .await
        .unwrap();
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_request_that_began_in_one_project_never_continues_in_another() {
    let fixture = Fixture::set_with("repointed", world(), &[desktop("pc-1")]).await;
    let conflict = json!({"error_code": "WKS.00010032", "error_msg": "operation conflict"});
    let refusal = json!({"operation": "batchDelete", "answer": {"status": 409, "body": conflict}});
    fixture.cloud.add_fault(&refusal).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "Conflict").await;
    let projects: Api<_> = fixture.namespace.projects();
    let point_to = async |project_id: &str| {
        projects.delete("prod", &DeleteParams::default()).await.unwrap();
        let mut project = fixture.cloud.project("prod", "login");
        project["spec"]["projectID"] = json!(project_id);
        fixture.namespace.apply(&project).await.unwrap();
    };
    point_to(SECOND).await;
    let status = fixture.reason("leaver", Submitted, "ProjectChanged").await;
    assert_eq!(
        says(&status, Stalled),
        pair("True", "ProjectChanged"),
        "{status:#}"
    );
    assert_eq!(status["project"]["projectID"], PROJECT_ID);

    fixture.cloud.clear_faults();
    point_to(PROJECT_ID).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let elsewhere =
        |call: &workspace_simulator::cloud::LedgerEntry| call.path.contains(SECOND) && call.method == "POST";
    assert!(!fixture.cloud.ledger().iter().any(elsewhere));
}

#[tokio::test]
async fn projects_whose_checks_wait_do_not_delay_other_projects() {
    /// So many that their checks take longer, one call every ten seconds, than a test waits.
    const HELD: usize = 40;
    let fixture = Fixture::without_project("held-checks", Cloud::world(), &[]).await;
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let silent = json!({"operation": "listDesktops", "answer": "timeout"});
    fixture.cloud.add_fault(&silent).unwrap();
    let held: Vec<_> = (0..HELD).map(|n| format!("held-{n}")).collect();
    for name in &held {
        let project = fixture.cloud.project(name, "login");
        fixture.namespace.apply(&project).await.unwrap();
    }
    let operator = fixture.operator(&["--concurrency=1", "--requests-per-minute=8"]);
    fixture.struck().await;
    let other = Cloud::start(&Cloud::world()).await.unwrap();
    let project = other.project("well", "login");
    fixture.namespace.apply(&project).await.unwrap();
    fixture.project_says("well", "CredentialsValid").await;

    let mut unchecked = 0;
    for name in &held {
        let project = fixture.namespace.projects().get(name).await.unwrap();
        unchecked += usize::from(condition(&project.data["status"], Ready).is_null());
    }
    assert!(unchecked > 0, "the others were still waiting");
    assert_eq!(operator.stopped().await, 0, "no check keeps it from stopping");
}

#[tokio::test]
async fn a_waiting_check_is_replaced_when_the_secret_changes() {
    let fixture = Fixture::set_with("held-secret", world(), &[]).await;
    // A check makes two calls, and the second one waits for a minute.
    let _operator = fixture.operator(&["--requests-per-minute=1"]);
    let look = async || match fixture.cloud.calls(ListDesktops).len() {
        0 => Err("no call"),
        _ => Ok(()),
    };
    testkit::eventually("the check has begun", BOUND, look)
        .await
        .unwrap();
    let blind = manifests::secret("login", &key_pair(BLIND.0, BLIND.1));
    fixture.namespace.apply(&blind).await.unwrap();
    fixture.project_says("prod", "PermissionDenied").await;
    let calls = fixture.cloud.calls(ListDesktops);
    let callers: Vec<_> = calls.iter().map(|call| call.caller.as_deref()).collect();
    assert_eq!(callers, [Some(ACCESS_KEY), Some(BLIND.0)]);
}

/// An operator that has asked IAM when its token expires. One whose connection to IAM took too long would ask again
/// only after ten minutes, so another one is started in its place.
async fn with_known_expiry(fixture: &Fixture) -> Running {
    for _ in 0..5 {
        let operator = fixture.operator(&["--log-level=debug"]);
        let look = async || {
            let text = answers(fixture, &operator, "/metrics", 200).await;
            let mut lines = text.lines();
            let asked = lines.find(|line| line.contains("cloud_calls_total{operation=\"validateToken\""));
            asked.map(str::to_owned).ok_or(text)
        };
        let asked = testkit::eventually("IAM was asked", BOUND, look).await;
        if !asked.unwrap().contains("code=\"notSent\"") {
            return operator;
        }
    }
    panic!("IAM cannot be connected to");
}

#[tokio::test]
async fn a_ready_token_can_be_used_as_credentials() {
    let mut world = Cloud::world();
    let token = json!({"token": "canary-token-0000001", "user": "robot", "expires": "2032-02-03T04:05:06Z"});
    world["accounts"][0]["tokens"] = json!([token]);
    let fixture = Fixture::without_project("token", world, &[desktop("pc-1")]).await;
    let secret = manifests::secret("login", &[("token", "canary-token-0000001")]);
    fixture.namespace.apply(&secret).await.unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["credentials"] = json!({"token": {"secretRef": {"name": "login"}}});
    fixture.namespace.apply(&project).await.unwrap();
    let operator = with_known_expiry(&fixture).await;
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let attempt = &status["attempts"][0];
    assert_eq!(
        (&attempt["auth"], &attempt["notAfter"]),
        (&json!("Token"), &json!("2032-02-03T04:05:06Z")),
        "IAM reports its expiry"
    );
    let posts = fixture.posts();
    assert_eq!((posts.len(), &posts[0]["caller"]), (1, &json!("robot")));
    assert!(!operator.log().contains("canary"), "no secret is logged");
    let project = fixture.project_says("prod", "CredentialsValid").await;
    assert_eq!(
        condition(&json!({"conditions": [project]}), Ready)["status"],
        "True"
    );
}
