//! Nothing is sent without an intent in etcd, and no intent is stored for a request that is held, changed or deleted at
//! that moment, or whose project or credentials have changed.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::cloud::PROJECT_ID;
use testkit::{ApiServerProxy, AuditEvent, Cloud, Moment, SERVICE_ACCOUNT};

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, desktop, message, pair, says};

/// Another project of the same account.
const SECOND: &str = "second-project";

/// The last read of the cloud before the intent is delayed until the test has changed something and ends the delay.
fn slow_read() -> Value {
    json!({"operation": "listSubJobs", "nth": 1, "answer": {"delay": "1h"}})
}

/// An error that is temporary.
fn conflict() -> Value {
    let body = json!({"error_code": "WKS.00010032", "error_msg": "operation conflict"});
    json!({"operation": "batchDelete", "nth": 1, "answer": {"status": 409, "body": body}})
}

fn two_projects() -> Value {
    let mut world = Cloud::world();
    world["projects"] = json!([{"id": PROJECT_ID}, {"id": SECOND}]);
    world
}

/// Whether a write of the status has such an attempt.
fn has_attempt(write: &AuditEvent, wanted: impl Fn(&Value) -> bool) -> bool {
    let attempts = write
        .request_object
        .as_ref()
        .and_then(|object| object["status"]["attempts"].as_array());
    attempts.is_some_and(|all| all.iter().any(wanted))
}

/// Writes of the status that would store an intent.
fn intents(writes: &[Arc<AuditEvent>]) -> Vec<&AuditEvent> {
    let pending = |write: &&AuditEvent| has_attempt(write, |attempt| attempt["outcome"] == "Pending");
    writes.iter().map(|write| &**write).filter(pending).collect()
}

#[tokio::test]
async fn the_intent_is_stored_in_etcd_before_the_call_arrives() {
    let fixture = Fixture::set("intent", &["pc-1", "pc-2"].map(desktop)).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.completed("leavers").await;

    let posts = fixture.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    let writes = fixture.writes("leavers").await;
    let mut intents = intents(&writes);
    // A try that met a newer object, or that found no connection, has an intent of its own.
    let sent = &status["attempts"][0]["id"];
    intents.retain(|intent| has_attempt(intent, |attempt| attempt["id"] == *sent));
    let [intent] = *intents else {
        panic!("one intent: {intents:#?}")
    };
    assert_eq!(
        (intent.verb.as_str(), intent.code()),
        ("update", 200),
        "{intent:#?}"
    );
    assert_eq!(intent.object_ref.as_ref().unwrap().subresource, "status");
    let arrived: Timestamp = posts[0]["time"].as_str().unwrap().parse().unwrap();
    assert!(
        intent.stage_timestamp <= arrived,
        "stored at {}, arrived at {arrived}",
        intent.stage_timestamp
    );
    let attempt = &intent.response_object.as_ref().unwrap()["status"]["attempts"][0];
    assert_eq!(attempt["bodyDigest"], posts[0]["bodyDigest"]);
    assert_eq!(attempt["desktopIDs"], json!(["pc-1", "pc-2"]));
    assert!(attempt["signedAt"].is_string() && attempt["notAfter"].is_string());
}

/// A request whose first try was refused, so that it carries the finalizer. Its next try is stored as soon as
/// the test ends the delay of the last read.
async fn about_to_be_stored(name: &str) -> (Fixture, ApiServerProxy, crate::fixture::Running) {
    let fixture = Fixture::set(name, &[desktop("pc-1")]).await;
    fixture.cloud.add_fault(&conflict()).unwrap();
    let namespace = fixture.namespace.name();
    let proxy = ApiServerProxy::start(fixture.control_plane, namespace, SERVICE_ACCOUNT).await;
    let proxy = proxy.unwrap();
    let refused = proxy.trap(Moment::After, 1, |asked| {
        asked.writes("desktopdeletions", "status", "leaver")
            && asked.body["status"]["attempts"][0]["outcome"] == "Rejected"
    });
    let operator = fixture.operator_at(proxy.kubeconfig(), &[]);
    fixture.request("leaver", &["pc-1"]).await;
    // Before its first try it may have read more than once.
    let refused = refused.sprung().await.unwrap();
    fixture.cloud.add_fault(&slow_read()).unwrap();
    refused.go_on();
    fixture.struck().await;
    assert_eq!(fixture.posts().len(), 1);
    (fixture, proxy, operator)
}

/// The first intent after the refusal met a newer object.
async fn assert_fenced(fixture: &Fixture) {
    let writes = fixture.writes("leaver").await;
    let refused = |write: &Arc<AuditEvent>| has_attempt(write, |attempt| attempt["outcome"] == "Rejected");
    let refused = writes.iter().position(refused);
    let refused = refused.unwrap_or_else(|| panic!("no refusal: {writes:#?}"));
    let codes: Vec<_> = intents(&writes[refused..]).iter().map(|e| e.code()).collect();
    assert_eq!(codes.first(), Some(&409), "{codes:?}");
}

#[tokio::test]
async fn a_request_that_is_suspended_at_the_moment_of_the_intent_is_not_submitted() {
    let (fixture, _proxy, _operator) = about_to_be_stored("fence-suspend").await;
    fixture.change("leaver", json!({"suspend": true})).await;
    fixture.cloud.simulator().end_delays();
    let status = fixture.reason("leaver", Submitted, "Suspended").await;
    assert_eq!(fixture.posts().len(), 1, "{status:#}");
    assert_fenced(&fixture).await;

    fixture.change("leaver", json!({"suspend": false})).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.effective_posts().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_deleted_at_the_moment_of_the_intent_is_not_submitted() {
    let (fixture, _proxy, _operator) = about_to_be_stored("fence-delete").await;
    fixture.delete("leaver").await;
    fixture.cloud.simulator().end_delays();
    fixture.gone("leaver").await;
    assert_eq!(fixture.posts().len(), 1);
    assert_fenced(&fixture).await;
}

#[tokio::test]
async fn a_request_that_is_edited_at_the_moment_of_the_intent_is_reconciled_again() {
    let (fixture, _proxy, _operator) = about_to_be_stored("fence-edit").await;
    let labels = Patch::Merge(json!({"metadata": {"labels": {"wave": "2"}}}));
    let patched = fixture
        .requests()
        .patch("leaver", &PatchParams::default(), &labels)
        .await;
    patched.unwrap();
    fixture.cloud.simulator().end_delays();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 2);
    assert_eq!(fixture.effective_posts().len(), 1);
    assert_fenced(&fixture).await;
}

#[tokio::test]
async fn a_request_that_is_suspended_or_deleted_before_its_finalizer_is_not_submitted() {
    let fixture = Fixture::set("before-finalizer", &["pc-1", "pc-2"].map(desktop)).await;
    // Both wait for the same read.
    fixture.cloud.add_fault(&slow_read()).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("held", &["pc-1"]).await;
    fixture.request("deleted", &["pc-2"]).await;
    fixture.struck().await;
    fixture.delete("deleted").await;
    fixture.change("held", json!({"suspend": true})).await;
    fixture.cloud.simulator().end_delays();
    fixture.reason("held", Submitted, "Suspended").await;
    fixture.gone("deleted").await;

    // Everything that was in flight has been decided once a third request has been submitted.
    fixture.cloud.add_desktop(&desktop("pc-3")).unwrap();
    fixture.request("third", &["pc-3"]).await;
    fixture.completed("third").await;
    assert_eq!(fixture.posts().len(), 1, "only the third was submitted");
    assert_eq!(intents(&fixture.writes("held").await).len(), 0);
    assert_eq!(intents(&fixture.writes("deleted").await).len(), 0);
    assert_eq!(
        fixture.requests().get("held").await.unwrap().metadata.finalizers,
        None
    );
}

/// A request whose last cloud read is under way, until the test ends the delay.
pub(crate) async fn about_to_be_signed(name: &str) -> (Fixture, crate::fixture::Running) {
    let fixture = Fixture::set_with(name, two_projects(), &[desktop("pc-1")]).await;
    fixture.cloud.add_fault(&slow_read()).unwrap();
    let operator = fixture.operator(&["--retry-max=10m"]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    (fixture, operator)
}

#[tokio::test]
async fn a_project_that_is_suspended_before_the_signature_stops_the_request() {
    let (fixture, _operator) = about_to_be_signed("last-look-suspend").await;
    fixture.change_project("prod", json!({"suspend": true})).await;
    fixture.cloud.simulator().end_delays();
    let status = fixture.reason("leaver", Submitted, "ProjectSuspended").await;
    assert_eq!(fixture.posts(), Vec::<Value>::new(), "{status:#}");

    fixture.change_project("prod", json!({"suspend": false})).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_project_that_is_replaced_before_the_signature_restarts_the_reconciliation() {
    let (fixture, _operator) = about_to_be_signed("last-look-project").await;
    let projects = fixture.namespace.projects();
    projects.delete("prod", &DeleteParams::default()).await.unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["projectID"] = json!(SECOND);
    fixture.namespace.apply(&project).await.unwrap();
    fixture.cloud.simulator().end_delays();

    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert!(message(&status, Succeeded).contains(SECOND), "{status:#}");
    assert_eq!(
        fixture.posts(),
        Vec::<Value>::new(),
        "what was read in one project is sent to no other"
    );
}

#[tokio::test]
async fn credentials_that_become_invalid_before_the_signature_are_not_used() {
    let (fixture, _operator) = about_to_be_signed("last-look-secret").await;
    let wrong = [
        ("accessKey", testkit::cloud::ACCESS_KEY),
        ("secretKey", "not-the-secret"),
    ];
    let secret = testkit::manifests::secret("login", &wrong);
    fixture.namespace.apply(&secret).await.unwrap();
    fixture.cloud.simulator().end_delays();
    let status = fixture.reason("leaver", Submitted, "AuthenticationFailed").await;
    assert_eq!(
        fixture.posts(),
        Vec::<Value>::new(),
        "a read verifies the credentials first: {status:#}"
    );

    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

/// Lets the API server refuse every intent in a namespace.
fn no_intents(namespace: &str) -> [Value; 2] {
    let group = "admissionregistration.k8s.io/v1";
    let rule = json!({
        "apiGroups": ["cloud-desktops.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["desktopdeletions/status"],
    });
    let policy = json!({
        "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{
                "expression": "!has(object.status.attempts) || !object.status.attempts.exists(a, a.outcome == 'Pending')",
                "message": "no intents today",
            }],
        },
    });
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let binding = json!({
        "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": here},
        },
    });
    [policy, binding]
}

#[tokio::test]
async fn an_intent_that_cannot_be_stored_is_not_sent() {
    let fixture = Fixture::set("intent-refused", &[desktop("pc-1")]).await;
    let namespace = fixture.namespace.name();
    for object in no_intents(namespace) {
        let manifest = object.to_string();
        let applied = fixture
            .control_plane
            .kubectl_with_input(["apply", "--filename=-"], &manifest);
        applied.await.unwrap().stdout().unwrap();
    }
    // The API server takes the policy up when it likes.
    fixture
        .request_with("probe", &["pc-1"], json!({"suspend": true}))
        .await;
    let attempt = json!({
        "id": "probe", "writer": "test", "auth": "Signature", "desktopIDs": ["pc-1"], "outcome": "Pending",
        "bodyDigest": format!("sha256:{}", "0".repeat(64)), "signedAt": "2026-01-01T00:00:00Z",
    });
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"status": {"attempts": [attempt]}}));
    let look = async || match fixture.requests().patch_status("probe", &dry, &patch).await {
        Err(error) if error.to_string().contains("no intents today") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    testkit::eventually("the policy holds", BOUND, look)
        .await
        .unwrap();

    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Stalled, "IntentRefused").await;
    assert!(
        message(&status, Stalled).contains("no intents today"),
        "{status:#}"
    );
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    let delete = ["delete", "validatingadmissionpolicybinding", namespace];
    fixture
        .control_plane
        .kubectl(delete)
        .await
        .unwrap()
        .stdout()
        .unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}
