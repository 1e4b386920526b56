//! Requests that are restored with their status while the operator is stopped: none is submitted again.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::cloud::PROJECT_ID;

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::fixture::{Fixture, desktop, endless, pair, says};

/// Takes a request away as the loss of a cluster does.
async fn lose(fixture: &Fixture, name: &str) -> DynamicObject {
    let lost = fixture.requests().get(name).await.unwrap();
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let freed = fixture
        .requests()
        .patch(name, &PatchParams::default(), &free)
        .await;
    freed.unwrap();
    fixture.delete(name).await;
    fixture.gone(name).await;
    lost
}

/// First the object and then its status, as backup tools do.
async fn restore(fixture: &Fixture, lost: &DynamicObject) {
    let mut object = lost.clone();
    let metadata = &mut object.metadata;
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.creation_timestamp = None;
    metadata.managed_fields = None;
    let status = object.data["status"].take();
    object.data.as_object_mut().unwrap().remove("status");
    let requests = fixture.requests();
    requests.create(&PostParams::default(), &object).await.unwrap();
    let name = object.metadata.name.unwrap();
    let patch = Patch::Merge(json!({"status": status}));
    let written = requests
        .patch_status(&name, &PatchParams::default(), &patch)
        .await;
    written.unwrap();
}

#[tokio::test]
async fn requests_that_are_restored_while_the_operator_is_stopped_are_not_submitted_again() {
    let fixture = Fixture::set("restored", &[desktop("pc-1"), endless("pc-2"), desktop("pc-3")]).await;
    let operator = fixture.operator(&[]);
    fixture.request("ended", &["pc-1"]).await;
    fixture.request("running", &["pc-2"]).await;
    let ended = fixture.completed("ended").await;
    let running = fixture.accepted("running").await;
    assert_eq!(operator.stopped().await, 0);
    let lost = [lose(&fixture, "ended").await, lose(&fixture, "running").await];
    // What ended would be submitted again now.
    fixture.cloud.add_desktop(&desktop("pc-1")).unwrap();
    for object in &lost {
        restore(&fixture, object).await;
    }

    // The check of the documented procedure: what it shows has a status.
    let unfinished = [
        "get",
        "ddel",
        "--field-selector=status.completionTime=",
        "--output=name",
    ];
    let place = ["--namespace", fixture.namespace.name()];
    let shown = fixture
        .control_plane
        .kubectl([&unfinished[..], &place[..]].concat());
    let shown = shown.await.unwrap().stdout().unwrap();
    assert_eq!(shown.trim(), "desktopdeletion.cloud-desktops.dev/running");

    let _operator = fixture.operator(&[]);
    fixture.more_ticks(PROJECT_ID, 2).await;
    fixture.request("later", &["pc-3"]).await;
    let status = fixture.completed("later").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.status("ended").await, ended);
    let now = fixture.status("running").await;
    for field in ["attempts", "jobID", "startTime"] {
        assert_eq!(now[field], running[field], "{now:#}");
    }
    assert_eq!(fixture.posts().len(), 3, "{:#?}", fixture.posts());
}
