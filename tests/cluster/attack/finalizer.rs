//! The policy `keep-finalizer`: while a call may take effect, nobody but the operator removes the finalizer that holds its
//! object, on no road, not even an administrator.

use desktop_deletion_operator::crd::FINALIZER;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, SERVICE_ACCOUNT, eventually, workspace};

use super::lies::victim;
use super::victims::{finished, followed, in_doubt, waiting};
use crate::crd_rules::attempt;
use crate::doubt::{self, lost};
use crate::stage::{BOUND, Stage, desktop};

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

/// Applies the shipped policy for one namespace, in which the operator's account is, and waits until it holds.
async fn install(control_plane: &ControlPlane, namespace: &Namespace) {
    let own = namespace.name();
    let file = workspace().join("deploy/policies/keep-finalizer.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let shipped = "system:serviceaccount:desktop-deletion:";
    assert!(text.contains(shipped), "{text}");
    let text = text
        .replace(shipped, &format!("system:serviceaccount:{own}:"))
        .replace(
            "desktop-deletion-keep-finalizer",
            &format!("keep-finalizer-{own}"),
        );
    let client = control_plane.admin_client().await.unwrap();
    for part in text.split("\n---\n") {
        let mut object: Value = serde_saphyr::from_str(part).unwrap();
        let kind = object["kind"].as_str().unwrap().to_owned();
        if kind == "ValidatingAdmissionPolicyBinding" {
            let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": own}});
            object["spec"]["matchResources"] = json!({"namespaceSelector": selector});
        }
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    held(namespace, "probe", &in_doubt()).await;
    let look = async || {
        if strip(namespace, "probe", Road::Merge).await.is_err() {
            return Ok(());
        }
        put_on(namespace, "probe").await;
        Err("the finalizer could be removed")
    };
    eventually("the policy holds", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// How the finalizer is removed.
#[derive(Debug, Clone, Copy)]
enum Road {
    Replace,
    Merge,
    Json,
    Apply,
}

const ROADS: [Road; 4] = [Road::Replace, Road::Merge, Road::Json, Road::Apply];

async fn strip(namespace: &Namespace, name: &str, road: Road) -> kube::Result<DynamicObject> {
    strip_by(&namespace.deletions(), name, road).await
}

async fn strip_by(api: &Api<DynamicObject>, name: &str, road: Road) -> kube::Result<DynamicObject> {
    let parameters = PatchParams::default();
    match road {
        Road::Replace => {
            let mut object = api.get(name).await?;
            object.metadata.finalizers = None;
            object.metadata.managed_fields = None;
            api.replace(name, &PostParams::default(), &object).await
        }
        Road::Merge => {
            let patch = json!({"metadata": {"finalizers": null}});
            api.patch(name, &parameters, &Patch::Merge(&patch)).await
        }
        Road::Json => {
            let patch = serde_json::from_value(json!([{"op": "remove", "path": "/metadata/finalizers"}]));
            api.patch::<()>(name, &parameters, &Patch::Json(patch.unwrap()))
                .await
        }
        Road::Apply => {
            // The field manager that put it on takes it back.
            let patch = json!({
                "apiVersion": "cloud-desktops.dev/v1alpha1", "kind": "DesktopDeletion",
                "metadata": {"name": name},
            });
            let owner = PatchParams::apply(MANAGER).force();
            api.patch(name, &owner, &Patch::Apply(&patch)).await
        }
    }
}

/// Who put the finalizer on.
const MANAGER: &str = "holds";

async fn put_on(namespace: &Namespace, name: &str) {
    let patch = json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1", "kind": "DesktopDeletion",
        "metadata": {"name": name, "finalizers": [FINALIZER]},
    });
    let owner = PatchParams::apply(MANAGER).force();
    let deletions = namespace.deletions();
    deletions
        .patch(name, &owner, &Patch::Apply(&patch))
        .await
        .unwrap();
}

/// An object with that status and the finalizer.
async fn held(namespace: &Namespace, name: &str, status: &Value) {
    victim(namespace, name, status).await.unwrap();
    put_on(namespace, name).await;
}

/// A request with that one attempt.
fn with(outcome: &str) -> Value {
    let mut status = in_doubt();
    let more = if matches!(outcome, "Accepted" | "Adopted") {
        json!({"jobIDs": ["job-1"]})
    } else {
        json!({})
    };
    status["attempts"] = json!([attempt("n1", outcome, more)]);
    status.as_object_mut().unwrap().remove("refusedAttempts");
    status
}

#[tokio::test]
async fn while_a_call_may_take_effect_nobody_removes_the_finalizer() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("keep-finalizer").await.unwrap();
    install(control_plane, &namespace).await;
    let states = [
        ("waiting", waiting(), false),
        ("rejected", with("Rejected"), false),
        ("in-doubt", in_doubt(), true),
        ("abandoned", with("Abandoned"), true),
        ("accepted", followed(), true),
        ("adopted", with("Adopted"), true),
        ("finished", finished(), false),
    ];
    let mut wrong = Vec::new();
    for (state, status, kept) in states {
        for road in ROADS {
            let name = format!("{state}-{road:?}").to_lowercase();
            held(&namespace, &name, &status).await;
            let refused = match strip(&namespace, &name, road).await {
                Ok(object) if object.metadata.finalizers.is_none() => false,
                Ok(object) => panic!("{name}: {:?}", object.metadata.finalizers),
                Err(kube::Error::Api(error)) if error.message.contains("may still take effect") => true,
                Err(error) => panic!("{name}: {error}"),
            };
            if refused != kept {
                wrong.push(format!("{name}: {}", if refused { "refused" } else { "removed" }));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn not_even_while_the_object_is_being_deleted_but_what_keeps_the_finalizer_goes_through() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("keep-deleted").await.unwrap();
    install(control_plane, &namespace).await;
    let api = namespace.deletions();
    held(&namespace, "victim", &in_doubt()).await;
    let mut whole = api.get("victim").await.unwrap();
    whole.metadata.annotations = Some([("note".to_owned(), "new".to_owned())].into());
    whole
        .metadata
        .finalizers
        .as_mut()
        .unwrap()
        .push("example.com/other".to_owned());
    api.replace("victim", &PostParams::default(), &whole)
        .await
        .unwrap();
    api.delete("victim", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    for road in [Road::Replace, Road::Merge, Road::Json] {
        let refused = strip(&namespace, "victim", road).await.unwrap_err().to_string();
        assert!(refused.contains("may still take effect"), "{road:?}: {refused}");
    }
    assert!(api.get_opt("victim").await.unwrap().is_some());
}

#[tokio::test]
async fn the_operator_itself_is_not_hindered() {
    let stage = Stage::set_with("keep-own", doubt::world(), &["pc-1", "pc-2"].map(desktop)).await;
    install(stage.control_plane, &stage.namespace).await;
    stage.delete("probe").await;
    stage
        .cloud
        .add_fault(&lost("pc-2", true, &json!("reset")))
        .unwrap();
    let _operator = stage.operator(doubt::FLAGS);
    stage.request("leaver", &["pc-1"]).await;
    let status = stage.completed("leaver").await;
    assert_eq!(
        crate::stage::says(&status, Succeeded),
        crate::stage::pair("True", "AllDeleted"),
        "{status:#}"
    );
    stage.request("deleted", &["pc-2"]).await;
    stage.reason("deleted", Submitted, "AwaitingEvidence").await;
    let refused = strip(&stage.namespace, "deleted", Road::Replace).await;
    assert!(refused.is_err(), "{refused:?}");
    stage.delete("deleted").await;
    stage.gone("deleted").await;
    assert_eq!(stage.posts().len(), 2, "as {SERVICE_ACCOUNT}");
}
