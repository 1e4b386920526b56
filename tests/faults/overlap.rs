//! Two unfinished requests never have one desktop in flight: the older one is submitted, the other one waits and names
//! it, unless it belongs to another namespace.

use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::Value;
use testkit::{ApiServerProxy, ControlPlane, Namespace, SERVICE_ACCOUNT, eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{message, pair, says};
use crate::oracle::{self, Run};
use crate::trial::{self, BOUND, Trial, desktop};

/// Applies a request that is younger than `older` by the API server's clock, which has a resolution of a second: it is
/// created again until it is.
async fn younger(namespace: &Namespace, name: &str, project: &str, ids: &[&str], older: &DynamicObject) {
    let requests = namespace.deletions();
    let look = async || {
        let mut manifest = manifests::desktop_deletion(name, project, ids);
        // Not reconciled before it is known to be the younger one.
        manifest["spec"]["suspend"] = serde_json::json!(true);
        let applied = namespace.apply(&manifest).await.unwrap();
        let (own, other) = (
            &applied.metadata.creation_timestamp,
            &older.metadata.creation_timestamp,
        );
        if own.as_ref().unwrap().0 > other.as_ref().unwrap().0 {
            manifest["spec"]["suspend"] = serde_json::json!(false);
            namespace.apply(&manifest).await.unwrap();
            return Ok(());
        }
        requests
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        Err(format!("{own:?}"))
    };
    eventually("a request is younger than the other one", BOUND, look)
        .await
        .unwrap();
}

/// The status of a request, once it is as wanted.
async fn until(namespace: &Namespace, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let requests = namespace.deletions();
    let look = async || {
        let object = requests.get(name).await.unwrap();
        let status = object.data["status"].clone();
        if wanted(&status) {
            Ok(status)
        } else {
            Err(format!("{status:#}"))
        }
    };
    let status = eventually(what, BOUND, look).await;
    status.unwrap_or_else(|error| panic!("{error}"))
}

/// It waits for another request, and no longer for the first check of that one's project.
fn overlaps(status: &Value) -> bool {
    let checked = !message(status, Submitted).contains("has not been checked yet");
    says(status, Submitted) == pair("False", "Overlap") && checked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_of_two_requests_for_one_desktop_is_submitted_and_the_other_one_waits() {
    let control_plane = ControlPlane::shared().await;
    let here = control_plane.namespace("overlap-here").await.unwrap();
    let there = control_plane.namespace("overlap-there").await.unwrap();
    let watched = format!("{},{}", here.name(), there.name());
    control_plane
        .deploy("deploy/all-namespaces", here.name())
        .await
        .unwrap();
    let proxy = ApiServerProxy::start(control_plane, here.name(), SERVICE_ACCOUNT)
        .await
        .unwrap();

    let trial = Trial::set(&here, "older", 1, &[desktop("pc-1", "1h"), desktop("pc-2", "1h")]).await;
    trial.put_project_into(&there).await;
    trial.begin().await;
    let older = here.deletions().get("older").await.unwrap();
    younger(&here, "younger", "older", &["pc-2"], &older).await;
    younger(&there, "secret-plan", "older", &["pc-1"], &older).await;
    let operator = trial::operator(proxy.kubeconfig(), &watched);

    let waiting = until(&here, "younger", "the younger one waits", overlaps).await;
    let text = message(&waiting, Submitted);
    assert!(
        text.contains("pc-2") && text.contains("DesktopDeletion older"),
        "{text}"
    );
    let waiting = until(&there, "secret-plan", "the one elsewhere waits", overlaps).await;
    let text = message(&waiting, Submitted);
    assert!(
        text.contains("pc-1") && text.contains("a DesktopDeletion in another namespace"),
        "{text}"
    );
    assert!(!text.contains("older") && !text.contains(here.name()), "{text}");

    trial.effective_job().await.unwrap();
    trial.cloud.simulator().end_jobs();
    let run = Run::to_its_end(trial, Arc::new(vec![operator]), Arc::new(proxy)).await;
    let over = |status: &Value| status["completionTime"].is_string();
    for (namespace, name) in [(&here, "younger"), (&there, "secret-plan")] {
        let status = until(namespace, name, "it ends too", over).await;
        assert_eq!(
            says(&status, Succeeded),
            pair("True", "AlreadyAbsent"),
            "{status:#}"
        );
        assert!(status["attempts"].is_null(), "{status:#}");
    }
    let broken = oracle::judge(&[run]).await;
    oracle::report(3, &broken);
}
