//! What the cloud rejects, and the consequences: reported, retried, narrowed or failed, according to the class of the
//! error.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::cloud::{ACCESS_KEY, PROJECT_ID};
use testkit::{ApiServerProxy, Cloud, Moment, SERVICE_ACCOUNT, manifests};
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Reconciling, Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, body, desktop, endless, entry, message, pair, says};
use crate::tcp_gate::TcpGate;

/// How long it takes to record a rejection in a test: ten times the shortest delay after a rejection.
const RECORD: Duration = Duration::from_secs(3);

/// An access key that may read but not delete.
const READER: (&str, &str) = ("TESTREADERKEY0000001", "canary-secret-key-0000000000000000000004");

fn reader_world() -> Value {
    let mut world = Cloud::world();
    let reads = [
        "workspace:desktops:list",
        "workspace:desktops:get",
        "workspace:jobs:*",
    ];
    let keys = world["accounts"][0]["accessKeys"].as_array_mut().unwrap();
    keys.push(json!({"id": READER.0, "secret": READER.1, "permissions": reads}));
    world["switches"] = json!({"encodedAuthorizationMessage": true});
    world
}

async fn log_in_as_reader(fixture: &Fixture) {
    let values = [("accessKey", READER.0), ("secretKey", READER.1)];
    let secret = manifests::secret("login", &values);
    fixture.namespace.apply(&secret).await.unwrap();
}

/// A rejection of the first batch-delete, or of every one.
fn refusal(nth: Option<u32>, status: u16, code: &str) -> Value {
    let body = json!({"error_code": code, "error_msg": "made up by a test"});
    json!({"operation": "batchDelete", "nth": nth, "answer": {"status": status, "body": body}})
}

/// Between the arrivals of two calls.
fn pause(first: &Value, second: &Value) -> SignedDuration {
    let time = |line: &Value| line["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
    time(second).duration_since(time(first))
}

async fn deleted_after_all(fixture: &Fixture, name: &str) -> Value {
    let status = fixture.completed(name).await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(status["lastError"], Value::Null, "cleared: {status:#}");
    let kept = status["attempts"].as_array().unwrap();
    assert_eq!(kept.len(), 1, "rejected attempts are replaced: {status:#}");
    assert_eq!(kept[0]["outcome"], "Accepted");
    assert_eq!(fixture.effective_posts().len(), 1);
    status
}

/// The rejection is counted, besides attempts that found no connection and were not sent.
fn assert_counts_refusal(status: &Value) {
    assert!(status["refusedAttempts"].as_i64() >= Some(1), "{status:#}");
}

#[tokio::test]
async fn credentials_without_the_permission_to_delete_are_reported_and_a_new_secret_resumes_the_request() {
    let fixture = Fixture::set_with("denied", reader_world(), &[desktop("pc-1")]).await;
    log_in_as_reader(&fixture).await;
    // So slow that only the change of the Secret can be why it goes on.
    let _operator = fixture.operator(&["--retry-max=10m"]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Submitted, "PermissionDenied").await;
    assert_eq!(
        says(&status, Stalled),
        pair("True", "PermissionDenied"),
        "{status:#}"
    );
    assert_eq!(
        says(&status, Succeeded),
        pair("Unknown", "Waiting"),
        "it has not failed"
    );
    let text = message(&status, Submitted);
    assert!(text.contains("workspace:desktops:batchDelete"), "{text}");
    let error = &status["lastError"];
    assert_eq!(error["operation"], "batchDelete", "{status:#}");
    assert_eq!(
        (&error["class"], &error["httpStatus"]),
        (&json!("Permission"), &json!(403))
    );
    assert_eq!(error["code"], "WKS.0403");
    for field in ["time", "message", "requestID", "encodedAuthorizationMessage"] {
        assert!(error[field].is_string(), "{field}: {status:#}");
    }
    assert_eq!(status["attempts"][0]["outcome"], "Rejected");
    assert_eq!(fixture.posts().len(), 1);

    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let status = deleted_after_all(&fixture, "leaver").await;
    assert_counts_refusal(&status);
    let callers: Vec<_> = fixture
        .posts()
        .iter()
        .map(|post| post["caller"].clone())
        .collect();
    assert_eq!(callers, [READER.0, ACCESS_KEY]);
}

#[tokio::test]
async fn a_denied_request_is_retried_with_backoff() {
    let fixture = Fixture::set_with("denied-again", reader_world(), &[desktop("pc-1")]).await;
    log_in_as_reader(&fixture).await;
    let _operator = fixture.operator(&["--retry-max=2s"]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture
        .until("leaver", "it was rejected twice", |status| {
            status["refusedAttempts"].as_i64() >= Some(2) && fixture.posts().len() >= 2
        })
        .await;
    let posts = fixture.posts();
    assert!(
        pause(&posts[0], &posts[1]) >= SignedDuration::from_secs(2),
        "{posts:#?}"
    );
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    deleted_after_all(&fixture, "leaver").await;
}

#[tokio::test]
async fn a_desktop_that_cannot_be_deleted_in_its_current_state_is_retried() {
    let busy = json!({"id": "pc-1", "taskStatus": "rebuilding"});
    let fixture = Fixture::set("conflict", &[busy]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Submitted, "Conflict").await;
    assert_eq!(says(&status, Reconciling), pair("True", "Retrying"), "{status:#}");
    assert_eq!(status["lastError"]["code"], "WKS.00010032");
    fixture.cloud.add_desktop(&desktop("pc-1")).unwrap();
    deleted_after_all(&fixture, "leaver").await;
}

#[tokio::test]
async fn the_retry_after_of_the_cloud_is_honoured() {
    let fixture = Fixture::set("throttled", &[desktop("pc-1")]).await;
    let mut fault = refusal(Some(1), 429, "APIGW.0308");
    fault["answer"]["headers"] = json!({"Retry-After": "3"});
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    deleted_after_all(&fixture, "leaver").await;
    let status = fixture.stored("leaver", Submitted, "Throttled").await;
    assert_eq!(says(&status, Reconciling), pair("True", "Retrying"), "{status:#}");
    let posts = fixture.posts();
    assert_eq!(posts.len(), 2);
    assert!(
        pause(&posts[0], &posts[1]) >= SignedDuration::from_secs(3),
        "{posts:#?}"
    );
}

#[tokio::test]
async fn an_unavailable_gateway_is_retried() {
    let fixture = Fixture::set("unavailable", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&refusal(Some(1), 503, "APIGW.0613"))
        .unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = deleted_after_all(&fixture, "leaver").await;
    assert_counts_refusal(&status);
    assert_eq!(fixture.posts().len(), 2);
}

#[tokio::test]
async fn a_request_that_is_rejected_as_invalid_fails_after_another_read_of_its_desktops() {
    let fixture = Fixture::set("rejected", &[desktop("pc-1")]).await;
    fixture.cloud.add_fault(&refusal(None, 400, "WKS.0001")).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("False", "Rejected"), "{status:#}");
    assert_eq!(says(&status, Submitted), pair("False", "InvalidRequest"));
    assert_eq!(says(&status, Stalled), pair("True", "Rejected"));
    assert_eq!(entry(&status, "pc-1")["state"], "Failed");
    assert_eq!(status["lastError"]["code"], "WKS.0001");
    assert!(
        message(&status, Succeeded).contains("made up by a test"),
        "{status:#}"
    );

    let calls = fixture.cloud.ledger();
    let posted: Vec<_> = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.operation == Operation::BatchDelete)
        .collect();
    let [(at, _)] = posted[..] else {
        panic!("one POST: {posted:#?}")
    };
    let looked = |call: &workspace_simulator::cloud::LedgerEntry| {
        call.operation == Operation::ListDesktops && call.query.contains("pc-1")
    };
    assert!(calls[at..].iter().any(looked), "the desktops are read once more");
}

#[tokio::test]
async fn a_desktop_that_vanished_meanwhile_is_left_out() {
    let mut world = Cloud::world();
    world["projects"] = json!([{"id": PROJECT_ID}, {"id": "second-project"}]);
    let fixture = Fixture::set_with("narrowed", world, &["pc-1", "pc-2"].map(desktop)).await;
    let late = json!({"operation": "batchDelete", "nth": 1, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    fixture.struck().await;
    // In another project it does not exist for this one.
    let moved = json!({"id": "pc-2", "project": "second-project"});
    fixture.cloud.add_desktop(&moved).unwrap();
    fixture.cloud.simulator().end_delays();
    let status = deleted_after_all(&fixture, "leavers").await;
    assert_eq!(entry(&status, "pc-2")["state"], "Absent", "{status:#}");
    let posts = fixture.posts();
    let sent: Vec<_> = posts
        .iter()
        .map(|post| (body(post)["desktop_ids"].clone(), post["status"].clone()))
        .collect();
    assert_eq!(
        sent,
        [
            (json!(["pc-1", "pc-2"]), json!(404)),
            (json!(["pc-1"]), json!(202))
        ]
    );
}

#[tokio::test]
async fn after_a_rejection_that_took_long_to_store_the_desktops_are_read_again() {
    let mut world = Cloud::world();
    world["projects"] = json!([{"id": PROJECT_ID}, {"id": "second-project"}]);
    let fixture = Fixture::set_with("read-anew", world, &["pc-1", "pc-2"].map(desktop)).await;
    let late = json!({"operation": "batchDelete", "nth": 1, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let namespace = fixture.namespace.name();
    let proxy = ApiServerProxy::start(fixture.control_plane, namespace, SERVICE_ACCOUNT).await;
    let proxy = proxy.unwrap();
    let stored = proxy.trap(Moment::After, 1, |asked| {
        asked.writes("desktopdeletions", "status", "leavers")
            && asked.body["status"]["attempts"][0]["outcome"] == "Rejected"
    });
    let _operator = fixture.operator_at(proxy.kubeconfig(), &[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    fixture.struck().await;
    let moved = json!({"id": "pc-2", "project": "second-project"});
    fixture.cloud.add_desktop(&moved).unwrap();
    fixture.cloud.simulator().end_delays();
    let stored = stored.sprung().await.unwrap();
    // The delay after a rejection has long passed when the record is stored, so nothing else triggers another read.
    tokio::time::sleep(RECORD).await;
    stored.go_on();
    let status = deleted_after_all(&fixture, "leavers").await;
    assert_eq!(entry(&status, "pc-2")["state"], "Absent", "{status:#}");
    let posts = fixture.posts();
    let sent: Vec<_> = posts
        .iter()
        .map(|post| body(post)["desktop_ids"].clone())
        .collect();
    assert_eq!(sent, [json!(["pc-1", "pc-2"]), json!(["pc-1"])]);
}

#[tokio::test]
async fn a_request_fails_if_its_desktops_are_listed_but_never_found() {
    let fixture = Fixture::set("not-found", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&refusal(None, 404, "WKS.00010404"))
        .unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("False", "Rejected"), "{status:#}");
    assert_eq!(says(&status, Submitted), pair("False", "NotFound"));
    assert_eq!(fixture.posts().len(), 3);
}

#[tokio::test]
async fn a_request_that_could_not_be_sent_is_sent_later() {
    let fixture = Fixture::without_project("not-sent", Cloud::world(), &[desktop("pc-1")]).await;
    let gate = TcpGate::in_front_of(&fixture.cloud.simulator().workspace).await;
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["endpoint"] = json!(gate.url());
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    fixture.namespace.apply(&project).await.unwrap();
    let slow = json!({"operation": "listSubJobs", "nth": 1, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&slow).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    // Reads go on over the connection that stands; the submission makes one of its own.
    gate.close();
    fixture.cloud.simulator().end_delays();
    fixture
        .until("leaver", "the submission was not sent", |status| {
            status["attempts"][0]["outcome"] == "NotSent"
                && status["lastError"]["class"] == "Unreachable"
                && says(status, Submitted).1 == "ServiceUnavailable"
        })
        .await;
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    gate.reopen();
    deleted_after_all(&fixture, "leaver").await;
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_read_that_fails_is_reported_and_repeated() {
    let fixture = Fixture::set("read-fails", &[desktop("pc-1")]).await;
    let fault = json!({"operation": "listSubJobs", "answer": {"status": 500, "body": {"error_code": "WKS.0500", "error_msg": "made up by a test"}}});
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture
        .until("leaver", "the error is reported", |status| {
            let error = &status["lastError"];
            (&error["operation"], &error["httpStatus"]) == (&json!("listSubJobs"), &json!(500))
                && says(status, Submitted).1 == "ServiceUnavailable"
        })
        .await;
    // After many failures the request is stalled, so the first report counts.
    let writes = fixture.writes("leaver").await;
    let first = writes.iter().find_map(|write| {
        let status = &write.response_object.as_ref()?["status"];
        (status["lastError"]["operation"] == "listSubJobs").then_some(status)
    });
    let retrying = first.map(|status| says(status, Reconciling));
    assert_eq!(retrying, Some(pair("True", "Retrying")), "{writes:#?}");
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    fixture.cloud.clear_faults();
    deleted_after_all(&fixture, "leaver").await;
}

#[tokio::test]
async fn a_job_that_temporarily_cannot_be_read_is_still_followed() {
    let fixture = Fixture::set("job-unread", &[endless("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    fixture
        .cloud
        .add_fault(&json!({"operation": "listSubJobs", "answer": "reset"}))
        .unwrap();
    let status = fixture
        .until("leaver", "the error is reported", |status| {
            status["lastError"].is_object()
        })
        .await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert_eq!(status["lastError"]["operation"], "listSubJobs");
    fixture.cloud.clear_faults();
    fixture.cloud.simulator().end_jobs();
    deleted_after_all(&fixture, "leaver").await;
    assert_eq!(fixture.posts().len(), 1);
}
