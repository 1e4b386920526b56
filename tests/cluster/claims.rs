//! Which request holds a desktop: also one that reaches the cloud by another name, one whose project is still being
//! checked, and one that was deleted while its call could take effect.

use kube::api::DynamicObject;
use serde_json::{Value, json};
use testkit::{Cloud, eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Submitted, Succeeded};

use crate::doubt;
use crate::stage::{BOUND, Stage, desktop, endless, message, pair, says};

/// A cloud in which a desktop that is being deleted looks idle for a while, and may be deleted once more: only the
/// claims keep a second request from it.
fn silent_world(job_visible_after: &str, desktop_visible_after: &str) -> Value {
    let mut world = Cloud::world();
    world["switches"] = json!({"repeatedDesktop": "accept"});
    world["timings"]["jobVisibleAfter"] = json!(job_visible_after);
    world["timings"]["desktopVisibleAfter"] = json!(desktop_visible_after);
    world
}

/// Waits until a request says that it waits, for a reason with this text, and gives its message. The ledger tells if it
/// was submitted instead.
async fn waits(stage: &Stage, name: &str, text: &str) -> String {
    let said = |status: &Value| message(status, Submitted).contains(text);
    let decided = |status: &Value| said(status) || status["attempts"].is_array() || ended(status);
    let status = stage.until(name, "it waits, or was submitted", decided).await;
    assert!(said(&status), "{status:#}\n{:#?}", stage.posts());
    assert_eq!(says(&status, Submitted), pair("False", "Overlap"), "{status:#}");
    message(&status, Submitted)
}

fn ended(status: &Value) -> bool {
    status["completionTime"].is_string()
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
    let second = manifests::desktop_deletion("second", "other", ["pc-1"]);
    stage.namespace.apply(&second).await.unwrap();
    waits(&stage, "second", "reserved by DesktopDeletion first").await;
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
    let request = manifests::desktop_deletion("leaver", "spelt", ["pc-1"]);
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

/// Deletes a request as clients do that replace objects: without the finalizer, so that nothing keeps it. In either order:
/// the operator may have put the finalizer back before the object is deleted.
async fn strip_and_delete(stage: &Stage, name: &str, delete_first: bool) {
    let requests = stage.requests();
    if delete_first {
        stage.delete(name).await;
    }
    let look = async || {
        let Some(mut object) = requests.get_opt(name).await.unwrap() else {
            return Ok(());
        };
        object.metadata.finalizers = None;
        let parameters = kube::api::PostParams::default();
        if let Err(error) = requests.replace(name, &parameters, &object).await {
            return Err(error.to_string());
        }
        // It may be gone with its last finalizer.
        let deleted = requests.delete(name, &kube::api::DeleteParams::default()).await;
        Err(deleted.map_or_else(|error| error.to_string(), |_| "it was deleted".to_owned()))
    };
    eventually("the request is gone", BOUND, look).await.unwrap();
}

async fn stripped(name: &str, delete_first: bool) {
    // Long enough that the second request is seen waiting on a slow machine too.
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "30s"}});
    let stage = Stage::set_with(name, silent_world("20s", "25s"), &[slow]).await;
    let _operator = stage.operator(&["--job-visibility-timeout=30s"]);
    let first = stage.request("leaver", &["pc-1"]).await;
    stage.accepted("leaver").await;
    strip_and_delete(&stage, "leaver", delete_first).await;
    let second = stage.request("leaver", &["pc-1"]).await;
    assert_ne!(first.metadata.uid, second.metadata.uid);

    let text = waits(&stage, "leaver", "reserved by the deleted DesktopDeletion leaver").await;
    let status = stage.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(stage.effective_posts().len(), 1, "{:#?}", stage.posts());
    let waits = stage.writes("leaver").await;
    let waits = waits.iter().filter(|write| {
        let stored = write.response_object.as_ref();
        stored.is_some_and(|object| message(&object["status"], Submitted) == text)
    });
    assert_eq!(waits.count(), 1, "it says so once, however often it looks");
}

#[tokio::test]
async fn a_request_that_lost_its_finalizer_holds_its_desktops_after_its_deletion() {
    stripped("stripped", false).await;
}

#[tokio::test]
async fn a_request_that_loses_its_finalizer_while_it_is_deleted_holds_its_desktops() {
    stripped("stripped-late", true).await;
}

#[tokio::test]
async fn a_request_that_was_abandoned_and_deleted_holds_its_desktops_while_its_call_may_take_effect() {
    let mut world = silent_world("0s", "0s");
    world["timings"]["signatureWindow"] = json!("30s");
    let stage = Stage::set_with("abandoned-held", world, &[desktop("pc-1")]).await;
    let flags = &[
        "--signature-window=30s",
        "--max-signature-age=3s",
        "--job-visibility-timeout=1s",
        "--clock-skew=2s",
    ];
    let late = doubt::lost("pc-1", false, &json!({"delay": "15s"}));
    stage.cloud.add_fault(&late).unwrap();
    let operator = stage.operator(flags);
    stage.request("leaver", &["pc-1"]).await;
    stage.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    let _operator = stage.operator(flags);
    let status = stage.reason("leaver", Submitted, "AwaitingEvidence").await;
    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    stage.resolve("leaver", &format!("{attempt}=abandon")).await;
    stage
        .until("leaver", "it is given up", |status| {
            status["attempts"][0]["outcome"] == "Abandoned"
        })
        .await;
    stage.delete("leaver").await;
    stage.gone("leaver").await;

    stage.request("leaver", &["pc-1"]).await;
    waits(&stage, "leaver", "its delete request can take effect until about").await;
    assert_eq!(
        stage.effective_posts(),
        Vec::<Value>::new(),
        "the call is still on its way"
    );
    let status = stage.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(stage.effective_posts().len(), 1, "{:#?}", stage.posts());
}

#[tokio::test]
async fn a_request_waits_for_the_first_check_of_the_project_of_an_older_one() {
    let stage = Stage::set("unchecked", &[desktop("pc-1")]).await;
    let operator = stage.operator(&[]);
    stage.project_says("prod", "CredentialsValid").await;
    assert_eq!(operator.stopped().await, 0);
    drop(operator);
    // The project of the older request was never checked, and its check takes long.
    let other = stage.cloud.project("other", "login");
    stage.namespace.apply(&other).await.unwrap();
    let older = manifests::desktop_deletion("older", "other", ["pc-1"]);
    let older = stage.namespace.apply(&older).await.unwrap();
    younger(&stage, &older).await;
    let slow = json!({"operation": "listDesktops", "answer": {"delay": "3s"}});
    stage.cloud.add_fault(&slow).unwrap();
    let _operator = stage.operator(&[]);
    waits(&stage, "younger", "has not been checked yet").await;
    stage.accepted("older").await;
    let status = stage.completed("younger").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(stage.posts().len(), 1);
}

/// Applies a request for the same desktop in a later second, which is all that the API server tells of when it was made.
async fn younger(stage: &Stage, older: &DynamicObject) {
    let look = async || {
        let applied = stage.request("younger", &["pc-1"]).await;
        let created = |object: &DynamicObject| object.metadata.creation_timestamp.as_ref().unwrap().0;
        if created(&applied) > created(older) {
            return Ok(());
        }
        stage.delete("younger").await;
        Err("made in the same second")
    };
    eventually("a request is younger than the other one", BOUND, look)
        .await
        .unwrap();
}
