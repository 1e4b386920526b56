//! The manifest of an approved request, for example from Git, from a backup or from another cluster, has no effect for
//! any other object: nothing is sent, and the conditions report the reason.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{Namespace, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Approved, Ready, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, Running, body, condition, desktop, message, pair, says, until};

const NAME: &str = "leavers";

/// A fixture whose project requires an approval.
async fn guarded(name: &str) -> Fixture {
    let fixture = Fixture::set(name, &[desktop("pc-1"), desktop("pc-2")]).await;
    fixture
        .change_project("prod", json!({"guardrails": {"approval": "Required"}}))
        .await;
    fixture
}

/// A request whose approval is on record and that waits for nothing but its time: the object as it is then.
async fn approved(fixture: &Fixture) -> DynamicObject {
    fixture
        .request_with(NAME, &["pc-1", "pc-2"], json!({"suspend": true}))
        .await;
    let status = fixture.reason(NAME, Approved, "AwaitingApproval").await;
    fixture
        .change(NAME, json!({"approvedPlan": status["plan"]["hash"]}))
        .await;
    fixture.reason(NAME, Approved, "PlanApproved").await;
    fixture.requests().get(NAME).await.unwrap()
}

/// The manifest of an object under that name, ready to be submitted.
fn manifest(object: &DynamicObject, name: &str) -> Value {
    let mut spec = object.data["spec"].clone();
    spec["suspend"] = json!(false);
    json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Waits until the object has a plan of its own, and checks that nothing of the one that it was copied from counts.
async fn is_refused(
    fixture: &Fixture,
    requests: &Api<DynamicObject>,
    name: &str,
    original: &DynamicObject,
) -> Value {
    let former = original.data["status"]["plan"]["hash"].clone();
    let refused = |status: &Value| {
        condition(status, Submitted)["reason"] == "PlanChanged"
            && status["plan"]["hash"].is_string()
            && status["plan"]["hash"] != former
    };
    let status = until(
        requests,
        name,
        "it says that the approval is of another plan",
        refused,
    )
    .await;
    let object = requests.get(name).await.unwrap();
    assert_ne!(object.metadata.uid, original.metadata.uid);
    assert_eq!(object.data["spec"]["approvedPlan"], former);
    assert!(status["approved"].is_null(), "{status:#}");
    for kind in [Submitted, Approved, Ready] {
        assert_eq!(says(&status, kind), pair("False", "PlanChanged"), "{status:#}");
    }
    let own = status["plan"]["hash"].as_str().unwrap();
    for part in [
        "An approval is valid for one object only, not for a copy or an object that was created again",
        &format!("then set spec.approvedPlan to {own}"),
    ] {
        let message = message(&status, Approved);
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    status
}

/// Approves the plan that the object shows itself, and waits for its end: what was refused before was the approval alone.
async fn succeeds_once_approved(fixture: &Fixture, requests: &Api<DynamicObject>, name: &str) {
    let status = requests.get(name).await.unwrap().data["status"].clone();
    let approval = Patch::Merge(json!({"spec": {"approvedPlan": status["plan"]["hash"]}}));
    let parameters = PatchParams::default();
    requests.patch(name, &parameters, &approval).await.unwrap();
    let ended = |status: &Value| status["completionTime"].is_string();
    let status = until(requests, name, "it has ended", ended).await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(body(&posts[0])["desktop_ids"], json!(["pc-1", "pc-2"]));
}

/// Another namespace with a project of its own, which is the same project of the cloud and requires an approval too.
async fn another_namespace(fixture: &Fixture, name: &str) -> Namespace {
    let other = fixture.control_plane.namespace(name).await.unwrap();
    other.apply(&fixture.cloud.secret("login")).await.unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["guardrails"] = json!({"approval": "Required"});
    other.apply(&project).await.unwrap();
    other
}

/// An operator that serves both namespaces.
async fn operator_of_both(fixture: &Fixture, other: &Namespace) -> Running {
    let kubeconfig = fixture
        .control_plane
        .deploy("deploy/all-namespaces", fixture.namespace.name())
        .await
        .unwrap();
    let watched = format!("--namespaces={},{}", fixture.namespace.name(), other.name());
    fixture.operator_at(&kubeconfig, &[&watched])
}

#[tokio::test]
async fn an_approved_manifest_does_not_count_under_another_name_or_in_another_namespace() {
    let fixture = guarded("copied-manifest").await;
    let other = another_namespace(&fixture, "copied-elsewhere").await;
    let _operator = operator_of_both(&fixture, &other).await;
    let original = approved(&fixture).await;

    fixture
        .namespace
        .apply(&manifest(&original, "copy"))
        .await
        .unwrap();
    is_refused(&fixture, &fixture.requests(), "copy", &original).await;
    other.apply(&manifest(&original, NAME)).await.unwrap();
    is_refused(&fixture, &other.deletions(), NAME, &original).await;
    // The copies have changed nothing for the original.
    let status = fixture.status(NAME).await;
    assert_eq!(
        says(&status, Approved),
        pair("True", "PlanApproved"),
        "{status:#}"
    );

    succeeds_once_approved(&fixture, &other.deletions(), NAME).await;
}

#[tokio::test]
async fn an_approved_manifest_does_not_count_for_an_object_that_is_created_again() {
    let fixture = guarded("created-again").await;
    let _operator = fixture.operator(&[]);
    let original = approved(&fixture).await;
    fixture.delete(NAME).await;
    fixture.gone(NAME).await;
    fixture.namespace.apply(&manifest(&original, NAME)).await.unwrap();
    is_refused(&fixture, &fixture.requests(), NAME, &original).await;
    succeeds_once_approved(&fixture, &fixture.requests(), NAME).await;
}

/// As a backup with status does it, or as in another cluster: the object is there before the operator is.
#[tokio::test]
async fn an_approval_in_a_restored_status_does_not_count() {
    let fixture = guarded("restored-status").await;
    let operator = fixture.operator(&[]);
    let original = approved(&fixture).await;
    operator.kill().await.unwrap();
    drop(operator);
    fixture.delete(NAME).await;
    let unheld = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let released = fixture
        .requests()
        .patch(NAME, &PatchParams::default(), &unheld)
        .await;
    assert!(released.is_ok() || fixture.requests().get_opt(NAME).await.unwrap().is_none());
    fixture.gone(NAME).await;

    fixture.namespace.apply(&manifest(&original, NAME)).await.unwrap();
    write_status(&fixture, original.data["status"].clone())
        .await
        .unwrap();
    let restored = fixture.status(NAME).await;
    assert_eq!(restored, original.data["status"]);

    let _operator = fixture.operator(&[]);
    is_refused(&fixture, &fixture.requests(), NAME, &original).await;
    succeeds_once_approved(&fixture, &fixture.requests(), NAME).await;
}

/// By a client with permission to write the status, while the operator works.
#[tokio::test]
async fn an_approval_that_is_copied_into_the_status_manually_does_not_count() {
    let fixture = guarded("status-by-hand").await;
    let _operator = fixture.operator(&[]);
    let original = approved(&fixture).await;
    fixture
        .namespace
        .apply(&manifest(&original, "copy"))
        .await
        .unwrap();
    let copies = fixture.requests();
    is_refused(&fixture, &copies, "copy", &original).await;

    let former = &original.data["status"];
    let (plan_part, approved_part) = (
        json!({"plan": former["plan"]}),
        json!({"approved": former["approved"]}),
    );
    // The API server takes an approval only of the plan on show, which the operator corrects meanwhile.
    let write_both = async || {
        for part in [&plan_part, &approved_part] {
            let patch = Patch::Merge(json!({"status": part}));
            let written = copies.patch_status("copy", &PatchParams::default(), &patch).await;
            written.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    };
    eventually("the plan and the approval are copied", BOUND, write_both)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    is_refused(&fixture, &copies, "copy", &original).await;
    succeeds_once_approved(&fixture, &copies, "copy").await;
}

async fn write_status(fixture: &Fixture, status: Value) -> kube::Result<DynamicObject> {
    let patch = Patch::Merge(json!({"status": status}));
    let requests = fixture.requests();
    requests.patch_status(NAME, &PatchParams::default(), &patch).await
}
