//! Requests that are restored with their status while the operator is stopped: none is submitted again.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::cloud::PROJECT_ID;

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::stage::{Stage, desktop, endless, pair, says};

/// Takes a request away as the loss of a cluster does.
async fn lose(stage: &Stage, name: &str) -> DynamicObject {
    let lost = stage.requests().get(name).await.unwrap();
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let freed = stage.requests().patch(name, &PatchParams::default(), &free).await;
    freed.unwrap();
    stage.delete(name).await;
    stage.gone(name).await;
    lost
}

/// First the object and then its status, as backup tools do.
async fn restore(stage: &Stage, lost: &DynamicObject) {
    let mut object = lost.clone();
    let metadata = &mut object.metadata;
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.creation_timestamp = None;
    metadata.managed_fields = None;
    let status = object.data["status"].take();
    object.data.as_object_mut().unwrap().remove("status");
    let requests = stage.requests();
    requests.create(&PostParams::default(), &object).await.unwrap();
    let name = object.metadata.name.unwrap();
    let patch = Patch::Merge(json!({"status": status}));
    let written = requests
        .patch_status(&name, &PatchParams::default(), &patch)
        .await;
    written.unwrap();
}

#[tokio::test]
async fn what_is_restored_while_the_operator_is_stopped_is_not_submitted_again() {
    let stage = Stage::set("restored", &[desktop("pc-1"), endless("pc-2"), desktop("pc-3")]).await;
    let operator = stage.operator(&[]);
    stage.request("ended", &["pc-1"]).await;
    stage.request("running", &["pc-2"]).await;
    let ended = stage.completed("ended").await;
    let running = stage.accepted("running").await;
    assert_eq!(operator.stopped().await, 0);
    let lost = [lose(&stage, "ended").await, lose(&stage, "running").await];
    // What ended would be submitted again now.
    stage.cloud.add_desktop(&desktop("pc-1")).unwrap();
    for object in &lost {
        restore(&stage, object).await;
    }

    // The check of the documented procedure: what it shows has a status.
    let unfinished = [
        "get",
        "ddel",
        "--field-selector=status.completionTime=",
        "--output=name",
    ];
    let place = ["--namespace", stage.namespace.name()];
    let shown = stage
        .control_plane
        .kubectl([&unfinished[..], &place[..]].concat());
    let shown = shown.await.unwrap().stdout().unwrap();
    assert_eq!(shown.trim(), "desktopdeletion.cloud-desktops.dev/running");

    let _operator = stage.operator(&[]);
    stage.more_ticks(PROJECT_ID, 2).await;
    stage.request("later", &["pc-3"]).await;
    let status = stage.completed("later").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(stage.status("ended").await, ended);
    let now = stage.status("running").await;
    for field in ["attempts", "jobID", "startTime"] {
        assert_eq!(now[field], running[field], "{now:#}");
    }
    assert_eq!(stage.posts().len(), 3, "{:#?}", stage.posts());
}
