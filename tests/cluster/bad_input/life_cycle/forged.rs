//! A status that somebody else wrote. The API server lets nobody rewrite what is on record
//! ([`attack`](crate::attack)); what it cannot know to be a lie, the operator meets.

use futures::FutureExt;
use serde_json::{Value, json};
use testkit::manifests;

use desktop_deletion_operator::crd::conditions::ConditionType::{Planned, Stalled, Submitted, Succeeded};

use super::{Scene, Stage, apply, desktop, effects, ends, forge, lost, pair, patch, says, slow};
use crate::crd_rules::attempt;
use crate::stage::{endless, message};

#[rustfmt::skip]
pub(super) fn scenes(stage: &Stage) -> Vec<Scene<'_>> {
    vec![
        ("created with a status that says it has ended", "the status is dropped, and it is served", at_create(stage).boxed_local()),
        ("created with our finalizer", "it is served, and freed", with_finalizer(stage).boxed_local()),
        ("said to have ended before it was submitted", "it is never submitted", ended(stage).boxed_local()),
        ("given an intent that nobody signed", "it is submitted once that intent is surely dead", intended(stage).boxed_local()),
        ("given a job that does not exist", "it is not submitted; the job is said to be overdue", accepted(stage).boxed_local()),
        ("said to have had no effect, while in doubt", "its job is found, and nothing is sent again", no_effect(stage).boxed_local()),
        ("said to live in another project", "it waits for a person", elsewhere(stage).boxed_local()),
        ("said to have been refused often", "it is served", refused(stage).boxed_local()),
        ("given other conditions and an error while its job runs", "they are set right", adorned(stage).boxed_local()),
        ("its whole status removed", "refused, or what is on record stays", removed(stage).boxed_local()),
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

async fn at_create(stage: &Stage) {
    let name = "forged-at-create";
    stage.cloud.add_desktop(&desktop(name)).unwrap();
    let mut manifest = manifests::desktop_deletion(name, "prod", [name]);
    manifest["status"] = ended_well();
    let object = serde_json::from_value(manifest).unwrap();
    let parameters = kube::api::PostParams::default();
    let created = stage.requests().create(&parameters, &object).await.unwrap();
    assert_eq!(created.data["status"], json!({"observedGeneration": -1}));
    ends(stage, name, "AllDeleted").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn with_finalizer(stage: &Stage) {
    let name = "forged-finalizer";
    stage.cloud.add_desktop(&desktop(name)).unwrap();
    let mut manifest = manifests::desktop_deletion(name, "prod", [name]);
    manifest["metadata"]["finalizers"] = json!([desktop_deletion_operator::crd::FINALIZER]);
    stage.namespace.apply(&manifest).await.unwrap();
    ends(stage, name, "AllDeleted").await;
    assert_eq!(effects(stage)[name], 1);
    stage.delete(name).await;
    stage.gone(name).await;
}

async fn held(stage: &Stage, name: &str) {
    stage.cloud.add_desktop(&desktop(name)).unwrap();
    stage.request_with(name, &[name], json!({"suspend": true})).await;
    // The last that is written of it while nothing changes.
    stage.reason(name, Planned, "PlanReady").await;
}

async fn ended(stage: &Stage) {
    let name = "forged-end";
    held(stage, name).await;
    let mut end = ended_well();
    end["desktops"] = json!([{"id": name, "state": "Absent"}]);
    end["summary"] = json!({"pending": 0, "absent": 1});
    forge(stage, name, end).await;
    patch(stage, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    // The operator has noticed by the time that it has served somebody who came later.
    apply(stage, desktop("after-forged-end")).await;
    ends(stage, "after-forged-end", "AllDeleted").await;
    assert_eq!(effects(stage).get(name), None);
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

fn home(stage: &Stage) -> Value {
    let project = stage.cloud.project("prod", "login");
    let spec = &project["spec"];
    json!({"region": spec["region"], "projectID": spec["projectID"], "endpoint": spec["endpoint"]})
}

async fn intended(stage: &Stage) {
    let name = "forged-intent";
    held(stage, name).await;
    let pending = attempt_for(name, "Pending", &json!({}));
    forge(
        stage,
        name,
        json!({"project": home(stage), "attempts": [pending]}),
    )
    .await;
    patch(stage, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let status = ends(stage, name, "AllDeleted").await;
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(effects(stage)[name], 1);
}

async fn accepted(stage: &Stage) {
    let name = "forged-job";
    held(stage, name).await;
    // Whoever knows the rules begins it and then settles it.
    let pending = attempt_for(name, "Pending", &json!({}));
    let begun = json!({"project": home(stage), "attempts": [pending]});
    forge(stage, name, begun).await;
    let made_up = attempt_for(name, "Accepted", &json!({"jobIDs": ["a-job-of-nobody"]}));
    forge(
        stage,
        name,
        json!({"jobID": "a-job-of-nobody", "attempts": [made_up]}),
    )
    .await;
    patch(stage, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let overdue = |status: &Value| says(status, Stalled) == pair("True", "JobOverdue");
    stage.until(name, "its job is overdue", overdue).await;
    assert_eq!(effects(stage).get(name), None);
}

async fn no_effect(stage: &Stage) {
    let name = "forged-no-effect";
    stage.cloud.add_fault(&lost(name, true, &json!("reset"))).unwrap();
    apply(stage, slow(name)).await;
    let status = stage.reason(name, Submitted, "AwaitingEvidence").await;
    let mut attempts = status["attempts"].clone();
    attempts[0]["outcome"] = json!("NoEffect");
    forge(stage, name, json!({"attempts": attempts})).await;
    let status = stage.completed(name).await;
    assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    assert_eq!(effects(stage)[name], 1);
}

async fn elsewhere(stage: &Stage) {
    let name = "forged-home";
    held(stage, name).await;
    let mut project = home(stage);
    project["projectID"] = json!("fedcba9876543210");
    forge(stage, name, json!({"project": project})).await;
    patch(stage, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    stage.reason(name, Submitted, "ProjectChanged").await;
    assert_eq!(effects(stage).get(name), None);
}

async fn refused(stage: &Stage) {
    let name = "forged-refusals";
    held(stage, name).await;
    forge(stage, name, json!({"refusedAttempts": 1_000_000})).await;
    patch(stage, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    ends(stage, name, "AllDeleted").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn adorned(stage: &Stage) {
    let name = "forged-looks";
    apply(stage, slow(name)).await;
    stage.accepted(name).await;
    let looks = json!({
        "observedGeneration": 7,
        "refusedAttempts": 3,
        "conditions": [condition("Ready", "True", "AllDeleted"), condition("Stalled", "True", "NoEffect")],
        "lastError": {"operation": "batchDelete", "class": "Permission", "time": "2026-11-01T00:00:00Z", "message": "made up"},
    });
    forge(stage, name, looks).await;
    let status = ends(stage, name, "AllDeleted").await;
    assert_eq!(status["observedGeneration"], 1, "{status:#}");
    assert_eq!(status["lastError"], Value::Null, "{status:#}");
    assert_eq!(says(&status, Stalled), pair("absent", "absent"), "{status:#}");
    assert_eq!(effects(stage)[name], 1);
}

async fn removed(stage: &Stage) {
    let name = "forged-nothing";
    apply(stage, endless(name)).await;
    stage.accepted(name).await;
    let requests = stage.requests();
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
    let status = stage.status(name).await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert!(
        message(&status, Submitted).contains("accepted 1 desktop"),
        "{status:#}"
    );
    assert_eq!(effects(stage)[name], 1);
}
