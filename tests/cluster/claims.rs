//! Which request reserves a desktop: also one that reaches the cloud by another name, one whose project is still being
//! checked, and one that was deleted while its call could take effect.

use kube::api::DynamicObject;
use serde_json::{Value, json};
use testkit::{Cloud, eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Submitted, Succeeded};

use crate::doubt;
use crate::fixture::{BOUND, Fixture, Running, desktop, endless, message, pair, says};
use crate::shutdown::answers;

/// A cloud in which a desktop that is being deleted appears idle for a while, and can be deleted once more: only the
/// claims prevent a second request for it.
fn silent_world(job_visible_after: &str, desktop_visible_after: &str) -> Value {
    let mut world = Cloud::world();
    world["switches"] = json!({"repeatedDesktop": "accept"});
    world["timings"]["jobVisibleAfter"] = json!(job_visible_after);
    world["timings"]["desktopVisibleAfter"] = json!(desktop_visible_after);
    world
}

/// Waits until a request reports that it waits, for a reason with this text, and returns its message. The ledger shows
/// if it was submitted instead.
async fn waits(fixture: &Fixture, name: &str, text: &str) -> String {
    let said = |status: &Value| message(status, Submitted).contains(text);
    let decided = |status: &Value| said(status) || status["attempts"].is_array() || ended(status);
    let status = fixture.until(name, "it waits, or was submitted", decided).await;
    assert!(said(&status), "{status:#}\n{:#?}", fixture.posts());
    assert_eq!(says(&status, Submitted), pair("False", "Overlap"), "{status:#}");
    message(&status, Submitted)
}

fn ended(status: &Value) -> bool {
    status["completionTime"].is_string()
}

/// Two requests for one desktop, of which the second one's project has another endpoint. The first one is in flight.
async fn by_another_endpoint(name: &str, host: &str) {
    let fixture = Fixture::set_with(name, silent_world("1h", "1h"), &[endless("pc-1")]).await;
    let mut project = fixture.cloud.project("other", "login");
    let endpoint = project["spec"]["endpoint"].as_str().unwrap();
    project["spec"]["endpoint"] = json!(endpoint.replace("127.0.0.1", host));
    fixture.namespace.apply(&project).await.unwrap();
    let _operator = fixture.operator(&["--allowed-endpoints=127.0.0.1=127.0.0.0/8;localhost=127.0.0.0/8"]);
    fixture.project_says("other", "CredentialsValid").await;
    fixture.request("first", &["pc-1"]).await;
    fixture.accepted("first").await;
    let second = manifests::desktop_deletion("second", "other", ["pc-1"]);
    fixture.namespace.apply(&second).await.unwrap();
    waits(&fixture, "second", "reserved by DesktopDeletion first").await;
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_desktop_in_flight_is_reserved_regardless_of_the_name_of_the_endpoint() {
    by_another_endpoint("by-name", "localhost").await;
}

#[tokio::test]
async fn a_request_continues_in_a_project_whose_endpoint_is_spelled_differently() {
    let fixture = Fixture::set("respelt", &[endless("pc-1")]).await;
    let allowed = &["--allowed-endpoints=127.0.0.1=127.0.0.0/8;localhost=127.0.0.0/8"];
    let spelt = |host: &str, end: &str| {
        let mut project = fixture.cloud.project("spelt", "login");
        let endpoint = project["spec"]["endpoint"].as_str().unwrap();
        project["spec"]["endpoint"] = json!(endpoint.replace("127.0.0.1", host) + end);
        project
    };
    fixture.namespace.apply(&spelt("localhost", "")).await.unwrap();
    let _operator = fixture.operator(allowed);
    fixture.project_says("spelt", "CredentialsValid").await;
    let request = manifests::desktop_deletion("leaver", "spelt", ["pc-1"]);
    fixture.namespace.apply(&request).await.unwrap();
    let stored = fixture.accepted("leaver").await["project"].clone();

    let projects = fixture.namespace.projects();
    let parameters = kube::api::DeleteParams::default();
    projects.delete("spelt", &parameters).await.unwrap();
    fixture.namespace.apply(&spelt("LocalHost", "/")).await.unwrap();
    fixture.project_says("spelt", "CredentialsValid").await;
    fixture.change("leaver", json!({"suspend": true})).await;
    let status = fixture
        .until("leaver", "it was reconciled again", |status| {
            status["observedGeneration"] == 2
        })
        .await;
    assert_eq!(says(&status, Ready), pair("Unknown", "JobRunning"), "{status:#}");
    assert_eq!(status["project"], stored, "what was stored stays as it is");
}

/// Deletes a request as clients do that replace objects: without the finalizer, so that nothing keeps it. In either order:
/// the operator may have put the finalizer back before the object is deleted.
async fn strip_and_delete(fixture: &Fixture, name: &str, delete_first: bool) {
    let requests = fixture.requests();
    if delete_first {
        fixture.delete(name).await;
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

/// How often the operator has reconciled requests so far.
async fn reconciliations(fixture: &Fixture, operator: &Running) -> usize {
    let text = answers(fixture, operator, "/metrics", 200).await;
    let counts = text.lines().filter_map(|line| {
        let series = "desktop_deletion_reconciles_total{kind=\"DesktopDeletion\"";
        line.strip_prefix(series)?
            .rsplit(' ')
            .next()?
            .parse::<usize>()
            .ok()
    });
    counts.sum()
}

async fn stripped(name: &str, delete_first: bool) {
    let fixture = Fixture::set_with(name, silent_world("1h", "1h"), &[endless("pc-1")]).await;
    let operator = fixture.operator(&["--job-visibility-timeout=30s"]);
    let first = fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    strip_and_delete(&fixture, "leaver", delete_first).await;
    let second = fixture.request("leaver", &["pc-1"]).await;
    assert_ne!(first.metadata.uid, second.metadata.uid);

    let text = waits(
        &fixture,
        "leaver",
        "reserved by the deleted DesktopDeletion leaver",
    )
    .await;
    let before = reconciliations(&fixture, &operator).await;
    eventually("it is checked again and again", BOUND, async || {
        match reconciliations(&fixture, &operator).await - before {
            count if count >= 10 => Ok(()),
            count => Err(format!("{count} times")),
        }
    })
    .await
    .unwrap();
    fixture.cloud.simulator().show_jobs();
    fixture.reason("leaver", Submitted, "DeletionInProgress").await;
    fixture.cloud.simulator().end_jobs();
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(fixture.effective_posts().len(), 1, "{:#?}", fixture.posts());
    let waits = fixture.writes("leaver").await;
    let waits = waits.iter().filter(|write| {
        let stored = write.response_object.as_ref();
        stored.is_some_and(|object| message(&object["status"], Submitted) == text)
    });
    assert_eq!(
        waits.count(),
        1,
        "it reports that once, regardless of the number of checks"
    );
}

#[tokio::test]
async fn a_request_that_lost_its_finalizer_reserves_its_desktops_after_its_deletion() {
    stripped("stripped", false).await;
}

#[tokio::test]
async fn a_request_that_loses_its_finalizer_while_it_is_deleted_reserves_its_desktops() {
    stripped("stripped-late", true).await;
}

#[tokio::test]
async fn an_abandoned_and_deleted_request_reserves_its_desktops_while_its_call_can_take_effect() {
    let fixture = Fixture::set_with("abandoned-held", silent_world("0s", "0s"), &[desktop("pc-1")]).await;
    let late = doubt::lost("pc-1", false, &json!({"delay": "1h"}));
    fixture.cloud.add_fault(&late).unwrap();
    let operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    let _operator = fixture.operator(&[]);
    let status = fixture.reason("leaver", Submitted, "AwaitingEvidence").await;
    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    fixture.resolve("leaver", &format!("{attempt}=abandon")).await;
    fixture
        .until("leaver", "it is abandoned", |status| {
            status["attempts"][0]["outcome"] == "Abandoned"
        })
        .await;
    fixture.delete("leaver").await;
    fixture.gone("leaver").await;

    fixture.request("leaver", &["pc-1"]).await;
    waits(
        &fixture,
        "leaver",
        "its delete request can take effect until about",
    )
    .await;
    assert_eq!(
        fixture.effective_posts(),
        Vec::<Value>::new(),
        "the call is still in flight"
    );
    fixture.cloud.simulator().end_delays();
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(fixture.effective_posts().len(), 1, "{:#?}", fixture.posts());
}

#[tokio::test]
async fn a_request_waits_for_the_first_check_of_the_project_of_an_older_one() {
    let fixture = Fixture::set("unchecked", &[desktop("pc-1")]).await;
    let operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    assert_eq!(operator.stopped().await, 0);
    drop(operator);
    // The project of the older request was never checked, and its check takes long.
    let other = fixture.cloud.project("other", "login");
    fixture.namespace.apply(&other).await.unwrap();
    let older = manifests::desktop_deletion("older", "other", ["pc-1"]);
    let older = fixture.namespace.apply(&older).await.unwrap();
    younger(&fixture, &older).await;
    let slow = json!({"operation": "listDesktops", "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&slow).unwrap();
    let _operator = fixture.operator(&[]);
    waits(&fixture, "younger", "has not been checked yet").await;
    fixture.cloud.clear_faults();
    fixture.cloud.simulator().end_delays();
    fixture.accepted("older").await;
    let status = fixture.completed("younger").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(fixture.posts().len(), 1);
}

/// Applies a request for the same desktop in a later second, since the API server records creation times in seconds.
async fn younger(fixture: &Fixture, older: &DynamicObject) {
    let look = async || {
        let applied = fixture.request("younger", &["pc-1"]).await;
        let created = |object: &DynamicObject| object.metadata.creation_timestamp.as_ref().unwrap().0;
        if created(&applied) > created(older) {
            return Ok(());
        }
        fixture.delete("younger").await;
        Err("made in the same second")
    };
    eventually("a request is younger than the other one", BOUND, look)
        .await
        .unwrap();
}
