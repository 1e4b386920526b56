//! Which request holds a desktop: also one that reaches the cloud by another spelling of the same endpoint.

use serde_json::{Value, json};
use testkit::{Cloud, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Submitted, Succeeded};

use crate::stage::{Stage, endless, message, pair, says};

/// A cloud in which a desktop that is being deleted looks idle for a while, and may be deleted once more: only the
/// claims keep a second request from it.
fn silent_world(job_visible_after: &str, desktop_visible_after: &str) -> Value {
    let mut world = Cloud::world();
    world["switches"] = json!({"repeatedDesktop": "accept"});
    world["timings"]["jobVisibleAfter"] = json!(job_visible_after);
    world["timings"]["desktopVisibleAfter"] = json!(desktop_visible_after);
    world
}

/// Two requests for one desktop, of which the second one's project has another endpoint. The first one is in flight.
async fn by_another_endpoint(name: &str, host: &str) {
    let stage = Stage::set_with(name, silent_world("1h", "1h"), &[endless("pc-1")]).await;
    let mut project = stage.cloud.project("other", "login");
    let endpoint = project["spec"]["endpoint"].as_str().unwrap();
    project["spec"]["endpoint"] = json!(endpoint.replace("127.0.0.1", host));
    stage.namespace.apply(&project).await.unwrap();
    let _operator = stage.operator(&["--allowed-endpoints=127.0.0.1=127.0.0.0/8;localhost=127.0.0.0/8"]);
    stage.project_says("other", "CredentialsValid").await;
    stage.request("first", &["pc-1"]).await;
    stage.accepted("first").await;
    let second = manifests::desktop_deletion("second", "other", &["pc-1"]);
    stage.namespace.apply(&second).await.unwrap();
    let status = stage.reason("second", Submitted, "Overlap").await;
    assert!(message(&status, Submitted).contains("first"), "{status:#}");
    assert_eq!(says(&status, Succeeded), pair("Unknown", "Waiting"));
    assert_eq!(stage.posts().len(), 1);
}

#[tokio::test]
async fn a_desktop_in_flight_is_held_whatever_name_the_endpoint_has() {
    by_another_endpoint("by-name", "localhost").await;
}

#[tokio::test]
async fn a_request_goes_on_in_a_project_whose_endpoint_is_spelt_otherwise() {
    let stage = Stage::set("respelt", &[endless("pc-1")]).await;
    let allowed = &["--allowed-endpoints=127.0.0.1=127.0.0.0/8;localhost=127.0.0.0/8"];
    let spelt = |host: &str, end: &str| {
        let mut project = stage.cloud.project("spelt", "login");
        let endpoint = project["spec"]["endpoint"].as_str().unwrap();
        project["spec"]["endpoint"] = json!(endpoint.replace("127.0.0.1", host) + end);
        project
    };
    stage.namespace.apply(&spelt("localhost", "")).await.unwrap();
    let _operator = stage.operator(allowed);
    stage.project_says("spelt", "CredentialsValid").await;
    let request = manifests::desktop_deletion("leaver", "spelt", &["pc-1"]);
    stage.namespace.apply(&request).await.unwrap();
    let stored = stage.accepted("leaver").await["project"].clone();

    let projects = stage.namespace.projects();
    let parameters = kube::api::DeleteParams::default();
    projects.delete("spelt", &parameters).await.unwrap();
    stage.namespace.apply(&spelt("LocalHost", "/")).await.unwrap();
    stage.project_says("spelt", "CredentialsValid").await;
    stage.change("leaver", json!({"suspend": true})).await;
    let status = stage
        .until("leaver", "it was looked at again", |status| {
            status["observedGeneration"] == 2
        })
        .await;
    assert_eq!(says(&status, Ready), pair("Unknown", "JobRunning"), "{status:#}");
    assert_eq!(status["project"], stored, "what was stored stays as it is");
}
