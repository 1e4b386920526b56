//! An object that cannot be decoded blocks no other object: it is skipped and named, reserves its desktops, and is
//! released in the end.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::cloud::PROJECT_ID;
use testkit::{Cloud, ControlPlane, eventually};
use tokio::time::Instant;

use desktop_deletion_operator::crd;
use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, condition, desktop, endless, message, pair, says};
use crate::metrics;

/// A call lives for some seconds only.
const FLAGS: &[&str] = &[
    "--signature-window=4s",
    "--max-signature-age=2s",
    "--token-life=5s",
    "--clock-skew=3s",
];

/// The kinds without rules and patterns, as a cluster has them that was updated late.
async fn loosen(control_plane: &ControlPlane) {
    let client = control_plane.admin_client().await.unwrap();
    let kinds: Api<CustomResourceDefinition> = Api::all(client);
    for kind in crd::all() {
        let mut kind = serde_json::to_value(&kind).unwrap();
        without_rules(&mut kind);
        let name = kind["metadata"]["name"].as_str().unwrap().to_owned();
        let parameters = PatchParams::apply("testkit").force();
        kinds
            .patch(&name, &parameters, &Patch::Apply(&kind))
            .await
            .unwrap();
    }
}

fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A property may have such a name too, but then it is an object.
            fields.retain(|name, value| {
                let words = name == "enum" && value.is_array();
                !(name == "x-kubernetes-validations" || words || (name == "pattern" && value.is_string()))
            });
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// Changes a status as the definitions of another version let its operator do.
async fn write(fixture: &Fixture, name: &str, change: impl Fn(&mut Value)) {
    let what = format!("the API server takes the status of {name}");
    let write = async || {
        loosen(fixture.control_plane).await;
        let mut status = fixture.status(name).await;
        change(&mut status);
        let patch = Patch::Merge(json!({"status": status}));
        let written = fixture
            .requests()
            .patch_status(name, &PatchParams::default(), &patch)
            .await;
        written.map_err(|error| error.to_string())
    };
    eventually(&what, BOUND, write)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Writes the time of the condition `Submitted`, which an earlier definition of the kind let everybody do.
async fn write_time(fixture: &Fixture, name: &str, time: &str) {
    let change = |status: &mut Value| {
        let conditions = status["conditions"].as_array_mut().unwrap();
        let submitted = conditions
            .iter_mut()
            .find(|c| c["type"] == Submitted.as_str())
            .unwrap();
        submitted["lastTransitionTime"] = json!(time);
    };
    write(fixture, name, change).await;
}

/// A control plane of its own, since the kinds are loosened here, and a fixture there with requests whose jobs were
/// accepted.
async fn with_accepted(namespace: &str, requests: &[(&str, &str)], more: &[Value]) -> Fixture {
    let control_plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().await.unwrap()));
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace(namespace).await.unwrap();
    let kubeconfig = control_plane
        .deploy("deploy/base", namespace.name())
        .await
        .unwrap();
    let mut desktops: Vec<_> = requests.iter().map(|(_, id)| endless(id)).collect();
    desktops.extend_from_slice(more);
    let fixture = Fixture::deployed(control_plane, namespace, kubeconfig, Cloud::world(), &desktops).await;
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let project = fixture.cloud.project("prod", "login");
    fixture.namespace.apply(&project).await.unwrap();

    let operator = fixture.operator(FLAGS);
    fixture.project_says("prod", "CredentialsValid").await;
    for (name, id) in requests {
        fixture.request(name, &[*id]).await;
    }
    for (name, _) in requests {
        fixture.accepted(name).await;
    }
    assert_eq!(operator.stopped().await, 0);
    fixture
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_reserves_its_desktops_and_blocks_no_other_request() {
    let requests = [("broken", "pc-1"), ("mended", "pc-2")];
    let fixture = with_accepted("undecodable", &requests, &[desktop("pc-3")]).await;
    for (name, _) in requests {
        write_time(&fixture, name, "2026-12-01T00:00:00+99:99").await;
    }

    // After a restart nothing is known but what the API server lists.
    let operator = fixture.operator(FLAGS);
    fixture.request("other", &["pc-3"]).await;
    let status = fixture.completed("other").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let status = fixture.reason("broken", Stalled, "Undecodable").await;
    assert_eq!(
        condition(&status, Submitted)["lastTransitionTime"],
        "2026-12-01T00:00:00+99:99"
    );
    assert!(
        status["jobID"].is_string() && status["attempts"].is_array(),
        "{status:#}"
    );
    let counted = "undecodable_objects{kind=\"DesktopDeletion\"}";
    metrics::shows(&fixture, &operator, &[(counted, 2.0)]).await;

    fixture.request("twin", &["pc-1"]).await;
    let status = fixture.reason("twin", Submitted, "Overlap").await;
    let text = message(&status, Submitted);
    assert!(
        text.contains("reserved by DesktopDeletion broken, which this version"),
        "{text}"
    );

    write_time(&fixture, "mended", "2026-12-01T00:00:00Z").await;
    let mended = |status: &Value| condition(status, Stalled).is_null();
    fixture.until("mended", "it goes on", mended).await;

    fixture.delete("broken").await;
    fixture.gone("broken").await;
    fixture
        .event("broken", "ReleasedUnresolved", "cannot decode")
        .await;
    assert!(fixture.status("twin").await["attempts"].is_null());
    assert_eq!(fixture.posts().len(), 3, "{:#?}", fixture.posts());
}

#[tokio::test]
async fn values_of_a_newer_version_are_kept_and_nothing_is_sent() {
    let fixture = with_accepted("newer-words", &[("newer", "pc-1"), ("ancient", "pc-2")], &[]).await;
    let newer = |status: &mut Value| {
        let attempt = status["attempts"][0].as_object_mut().unwrap();
        attempt.insert("outcome".to_owned(), json!("Superseded"));
        attempt.remove("jobIDs");
        status["jobID"] = Value::Null;
        status["desktops"][0]["state"] = json!("Archiving");
    };
    write(&fixture, "newer", newer).await;
    write_time(&fixture, "ancient", "0000-01-01T00:00:00Z").await;

    let operator = fixture.operator(FLAGS);
    // The operator writes the status.
    let status = fixture.reason("newer", Stalled, "Undecodable").await;
    let attempt = &status["attempts"][0];
    assert_eq!(attempt["outcome"], "Superseded", "{status:#}");
    assert_eq!(status["desktops"][0]["state"], "Archiving", "{status:#}");
    assert!(
        message(&status, Stalled).contains(attempt["id"].as_str().unwrap()),
        "{status:#}"
    );

    // The year 0000 can be decoded, and stays too.
    fixture.change("ancient", json!({"suspend": true})).await;
    let noticed = |status: &Value| status["observedGeneration"] == 2;
    let status = fixture.until("ancient", "the edit is observed", noticed).await;
    let submitted = condition(&status, Submitted);
    assert_eq!(submitted["lastTransitionTime"], "0000-01-01T00:00:00Z");
    let counted = "undecodable_objects{kind=\"DesktopDeletion\"}";
    metrics::shows(&fixture, &operator, &[(counted, 0.0)]).await;
    assert_eq!(fixture.posts().len(), 2, "{:#?}", fixture.posts());
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_is_kept_as_long_as_a_call_of_it_may_take_effect() {
    let fixture = with_accepted("undecodable-kept", &[("leaving", "pc-1")], &[]).await;
    write_time(&fixture, "leaving", "2026-12-01T00:00:00+99:99").await;
    fixture.delete("leaving").await;
    // The life of a token, the job visibility timeout of a second, and three times the allowance of three.
    let life = Duration::from_secs(15 + 1 + 9);
    let began = Instant::now();
    let flags = [
        "--signature-window=4s",
        "--max-signature-age=2s",
        "--token-life=15s",
        "--clock-skew=3s",
    ];
    let _operator = fixture.operator(&flags);
    fixture.gone("leaving").await;
    assert!(began.elapsed() >= life, "{:?}", began.elapsed());
    fixture
        .event("leaving", "ReleasedUnresolved", "cannot decode")
        .await;
}

#[tokio::test]
async fn requests_of_a_project_that_cannot_be_decoded_report_it() {
    let fixture = with_accepted("undecodable-project", &[], &[desktop("pc-1")]).await;
    let projects = fixture.namespace.projects();
    let point_to = async |project_id: &str| {
        let patch = Patch::Merge(json!({"spec": {"projectID": project_id}}));
        let pointed = projects.patch("prod", &PatchParams::default(), &patch).await;
        pointed.map_err(|error| error.to_string())
    };
    let write = async || {
        loosen(fixture.control_plane).await;
        point_to("no ID").await
    };
    let written = eventually("the API server takes what is no ID", BOUND, write).await;
    written.unwrap_or_else(|error| panic!("{error}"));

    let operator = fixture.operator(FLAGS);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Stalled, "ProjectNotReady").await;
    let text = message(&status, Stalled);
    for part in ["WorkspaceProject prod", "must be 1 to 255 letters"] {
        assert!(text.contains(part), "{text}");
    }
    let counted = "undecodable_objects{kind=\"WorkspaceProject\"}";
    metrics::shows(&fixture, &operator, &[(counted, 1.0)]).await;
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    point_to(PROJECT_ID).await.unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}
