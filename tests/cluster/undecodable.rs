//! An object that cannot be decoded stands in nobody's way: it is skipped and named, holds its desktops, and is released at
//! the end.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{Cloud, ControlPlane, eventually};

use desktop_deletion_operator::crd;
use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::shutdown::answers;
use crate::stage::{BOUND, Stage, condition, desktop, endless, message, pair, says};

/// A call lives for some seconds only.
const FLAGS: &[&str] = &[
    "--signature-window=4s",
    "--max-signature-age=2s",
    "--token-life=5s",
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
                !(name == "x-kubernetes-validations" || (name == "pattern" && value.is_string()))
            });
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// Writes the time of the condition `Submitted`, which an earlier definition of the kind let everybody do.
async fn write_time(stage: &Stage, name: &str, time: &str) {
    let what = format!("the API server takes {time}");
    let write = async || {
        loosen(stage.control_plane).await;
        let mut status = stage.status(name).await;
        let conditions = status["conditions"].as_array_mut().unwrap();
        let submitted = conditions
            .iter_mut()
            .find(|c| c["type"] == Submitted.as_str())
            .unwrap();
        submitted["lastTransitionTime"] = json!(time);
        let patch = Patch::Merge(json!({"status": {"conditions": status["conditions"]}}));
        let written = stage
            .requests()
            .patch_status(name, &PatchParams::default(), &patch)
            .await;
        written.map_err(|error| error.to_string())
    };
    eventually(&what, BOUND, write)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    stage.control_plane.install_crds().await.unwrap();
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_holds_its_desktops_and_nobody_else() {
    // The kinds are loosened here, so no other test may use this control plane.
    let control_plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().await.unwrap()));
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("undecodable").await.unwrap();
    let kubeconfig = control_plane
        .deploy("deploy/base", namespace.name())
        .await
        .unwrap();
    let desktops = [endless("pc-1"), endless("pc-2"), desktop("pc-3")];
    let stage = Stage::deployed(control_plane, namespace, kubeconfig, Cloud::world(), &desktops).await;
    stage.namespace.apply(&stage.cloud.secret("login")).await.unwrap();
    stage
        .namespace
        .apply(&stage.cloud.project("prod", "login"))
        .await
        .unwrap();

    let operator = stage.operator(FLAGS);
    stage.request("broken", &["pc-1"]).await;
    stage.request("mended", &["pc-2"]).await;
    for name in ["broken", "mended"] {
        stage.accepted(name).await;
    }
    assert_eq!(operator.stopped().await, 0);
    for name in ["broken", "mended"] {
        write_time(&stage, name, "2026-12-01T00:00:00+99:99").await;
    }

    // After a restart nothing is known but what the API server lists.
    let operator = stage.operator(FLAGS);
    stage.request("other", &["pc-3"]).await;
    let status = stage.completed("other").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let status = stage.reason("broken", Stalled, "Undecodable").await;
    assert_eq!(
        condition(&status, Submitted)["lastTransitionTime"],
        "2026-12-01T00:00:00+99:99"
    );
    assert!(
        status["jobID"].is_string() && status["attempts"].is_array(),
        "{status:#}"
    );
    let metrics = answers(&stage, &operator, "/metrics", 200).await;
    let shown = "desktop_deletion_undecodable_objects{kind=\"DesktopDeletion\"} 2";
    assert!(metrics.contains(shown), "{metrics}");

    stage.request("twin", &["pc-1"]).await;
    let status = stage.reason("twin", Submitted, "Overlap").await;
    let text = message(&status, Submitted);
    assert!(
        text.contains("reserved by DesktopDeletion broken, which this version"),
        "{text}"
    );

    write_time(&stage, "mended", "2026-12-01T00:00:00Z").await;
    let mended = |status: &Value| condition(status, Stalled).is_null();
    stage.until("mended", "it goes on", mended).await;

    stage.delete("broken").await;
    stage.gone("broken").await;
    stage
        .event("broken", "ReleasedUnresolved", "cannot be decoded")
        .await;
    assert!(stage.status("twin").await["attempts"].is_null());
    assert_eq!(stage.posts().len(), 3, "{:#?}", stage.posts());
}
