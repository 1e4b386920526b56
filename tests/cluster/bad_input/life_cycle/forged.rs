//! A status that another client wrote. The API server lets no client rewrite what is recorded
//! ([`attack`](crate::attack)); a forged status that it cannot detect reaches the operator.

use futures::FutureExt;
use serde_json::{Value, json};
use testkit::manifests;

use desktop_deletion_operator::crd::conditions::ConditionType::{Planned, Stalled, Submitted, Succeeded};

use super::{Fixture, Scene, apply, desktop, effects, ends, forge, lost, pair, patch, says, slow};
use crate::crd_rules::attempt;
use crate::fixture::{endless, message};

#[rustfmt::skip]
pub(super) fn scenes(fixture: &Fixture) -> Vec<Scene<'_>> {
    vec![
        ("created with a status that says it has ended", "the status is dropped, and it is served", at_create(fixture).boxed_local()),
        ("created with our finalizer", "it is served, and released", with_finalizer(fixture).boxed_local()),
        ("reported as finished before it was submitted", "it is never submitted", ended(fixture).boxed_local()),
        ("given an intent that was not signed", "it is submitted once that intent has expired", intended(fixture).boxed_local()),
        ("given a job that does not exist", "it is not submitted; the job is reported as overdue", accepted(fixture).boxed_local()),
        ("set to NoEffect while the outcome is unknown", "its job is found, and nothing is sent again", no_effect(fixture).boxed_local()),
        ("given another project", "it waits for user action", elsewhere(fixture).boxed_local()),
        ("given a high number of rejections", "it is served", refused(fixture).boxed_local()),
        ("given other conditions and an error while its job runs", "they are corrected", adorned(fixture).boxed_local()),
        ("its whole status removed", "refused, or what is on record stays", removed(fixture).boxed_local()),
    ]
}

/// A condition as anybody could write it.
fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": "made up",
        "observedGeneration": 1, "lastTransitionTime": "2026-11-01T00:00:00Z",
    })
}

/// The status of a request that has ended well.
fn ended_well() -> Value {
    json!({
        "observedGeneration": 1,
        "completionTime": "2026-11-01T00:00:00Z",
        "conditions": [condition("Succeeded", "True", "AllDeleted"), condition("Ready", "True", "AllDeleted")],
    })
}

async fn at_create(fixture: &Fixture) {
    let name = "forged-at-create";
    fixture.cloud.add_desktop(&desktop(name)).unwrap();
    let mut manifest = manifests::desktop_deletion(name, "prod", [name]);
    manifest["status"] = ended_well();
    let object = serde_json::from_value(manifest).unwrap();
    let parameters = kube::api::PostParams::default();
    let created = fixture.requests().create(&parameters, &object).await.unwrap();
    assert_eq!(created.data["status"], json!({"observedGeneration": -1}));
    ends(fixture, name, "AllDeleted").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn with_finalizer(fixture: &Fixture) {
    let name = "forged-finalizer";
    fixture.cloud.add_desktop(&desktop(name)).unwrap();
    let mut manifest = manifests::desktop_deletion(name, "prod", [name]);
    manifest["metadata"]["finalizers"] = json!([desktop_deletion_operator::crd::FINALIZER]);
    fixture.namespace.apply(&manifest).await.unwrap();
    ends(fixture, name, "AllDeleted").await;
    assert_eq!(effects(fixture)[name], 1);
    fixture.delete(name).await;
    fixture.gone(name).await;
}

async fn held(fixture: &Fixture, name: &str) {
    fixture.cloud.add_desktop(&desktop(name)).unwrap();
    fixture
        .request_with(name, &[name], json!({"suspend": true}))
        .await;
    // The last that is written of it while nothing changes.
    fixture.reason(name, Planned, "PlanReady").await;
}

async fn ended(fixture: &Fixture) {
    let name = "forged-end";
    held(fixture, name).await;
    let mut end = ended_well();
    end["desktops"] = json!([{"id": name, "state": "Absent"}]);
    end["summary"] = json!({"pending": 0, "absent": 1});
    forge(fixture, name, end).await;
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    // The operator has observed it by the time that it has finished a request that was created later.
    apply(fixture, desktop("after-forged-end")).await;
    ends(fixture, "after-forged-end", "AllDeleted").await;
    assert_eq!(effects(fixture).get(name), None);
}

/// An attempt for the desktop of that name.
fn attempt_for(name: &str, outcome: &str, more: &Value) -> Value {
    let facts = json!({
        "desktopIDs": [name], "baselineJobIDs": null, "baselineFailedIDs": null,
        "signedAt": "2026-11-01T00:00:00Z", "notAfter": "2026-11-01T00:15:00Z",
    });
    let mut attempt = attempt("0123456789abcdef", outcome, facts);
    attempt
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    attempt
}

fn home(fixture: &Fixture) -> Value {
    let project = fixture.cloud.project("prod", "login");
    let spec = &project["spec"];
    json!({"region": spec["region"], "projectID": spec["projectID"], "endpoint": spec["endpoint"]})
}

async fn intended(fixture: &Fixture) {
    let name = "forged-intent";
    held(fixture, name).await;
    let pending = attempt_for(name, "Pending", &json!({}));
    forge(
        fixture,
        name,
        json!({"project": home(fixture), "attempts": [pending]}),
    )
    .await;
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let status = ends(fixture, name, "AllDeleted").await;
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(effects(fixture)[name], 1);
}

async fn accepted(fixture: &Fixture) {
    let name = "forged-job";
    held(fixture, name).await;
    // A client that knows the rules begins it and then settles it. The operator does not, as the call never expires.
    let alive = json!({"notAfter": "2099-01-01T00:00:00Z"});
    let pending = attempt_for(name, "Pending", &alive);
    let begun = json!({"project": home(fixture), "attempts": [pending]});
    forge(fixture, name, begun).await;
    let mut made_up = attempt_for(name, "Accepted", &alive);
    made_up["jobIDs"] = json!(["a-job-of-nobody"]);
    forge(
        fixture,
        name,
        json!({"jobID": "a-job-of-nobody", "attempts": [made_up]}),
    )
    .await;
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let overdue = |status: &Value| says(status, Stalled) == pair("True", "JobOverdue");
    fixture.until(name, "its job is overdue", overdue).await;
    assert_eq!(effects(fixture).get(name), None);
}

async fn no_effect(fixture: &Fixture) {
    let name = "forged-no-effect";
    fixture
        .cloud
        .add_fault(&lost(name, true, &json!("reset")))
        .unwrap();
    apply(fixture, slow(name)).await;
    let status = fixture.reason(name, Submitted, "AwaitingEvidence").await;
    let mut attempts = status["attempts"].clone();
    attempts[0]["outcome"] = json!("NoEffect");
    forge(fixture, name, json!({"attempts": attempts})).await;
    let status = fixture.completed(name).await;
    assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    assert_eq!(effects(fixture)[name], 1);
}

async fn elsewhere(fixture: &Fixture) {
    let name = "forged-home";
    held(fixture, name).await;
    let mut project = home(fixture);
    project["projectID"] = json!("fedcba9876543210");
    forge(fixture, name, json!({"project": project})).await;
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    fixture.reason(name, Submitted, "ProjectChanged").await;
    assert_eq!(effects(fixture).get(name), None);
}

async fn refused(fixture: &Fixture) {
    let name = "forged-refusals";
    held(fixture, name).await;
    forge(fixture, name, json!({"refusedAttempts": 1_000_000})).await;
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    ends(fixture, name, "AllDeleted").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn adorned(fixture: &Fixture) {
    let name = "forged-looks";
    // It runs for a minute, so that they are written before its end; to end all jobs would spoil other scenes.
    let job = json!({"id": name, "outcome": {"result": "success", "running": "60s"}});
    apply(fixture, job).await;
    fixture.accepted(name).await;
    let looks = json!({
        "observedGeneration": 7,
        "refusedAttempts": 3,
        "conditions": [condition("Ready", "True", "AllDeleted"), condition("Stalled", "True", "NoEffect")],
        "lastError": {"operation": "batchDelete", "class": "Permission", "time": "2026-11-01T00:00:00Z", "message": "made up"},
    });
    forge(fixture, name, looks).await;
    let status = ends(fixture, name, "AllDeleted").await;
    assert_eq!(status["observedGeneration"], 1, "{status:#}");
    assert_eq!(status["lastError"], Value::Null, "{status:#}");
    assert_eq!(says(&status, Stalled), pair("absent", "absent"), "{status:#}");
    assert_eq!(effects(fixture)[name], 1);
}

async fn removed(fixture: &Fixture) {
    let name = "forged-nothing";
    apply(fixture, endless(name)).await;
    fixture.accepted(name).await;
    let requests = fixture.requests();
    for nothing in [
        json!({"status": null}),
        json!({"status": {"attempts": null}}),
        json!({"status": {"jobID": null}}),
    ] {
        let merge = kube::api::Patch::Merge(&nothing);
        let error = requests
            .patch_status(name, &kube::api::PatchParams::default(), &merge)
            .await;
        assert!(error.is_err(), "{nothing}: {error:?}");
    }
    let status = fixture.status(name).await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert!(
        message(&status, Submitted).contains("accepted 1 desktop"),
        "{status:#}"
    );
    assert_eq!(effects(fixture)[name], 1);
}
