//! Objects that are deleted while one of their calls is in flight, and what remains on finished ones.

use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::eventually;

use desktop_deletion_operator::crd::FINALIZER;
use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, message, pair, says};
use crate::trial::{BOUND, FLAGS, lost};

#[tokio::test]
async fn a_request_that_is_recreated_while_the_submission_is_in_flight_does_not_submit_again() {
    let fixture = Fixture::set("twin-in-flight", &[desktop("pc-1")]).await;
    // It is in flight while the object is deleted, and takes effect then.
    fixture
        .cloud
        .add_fault(&lost(false, &json!({"delay": "4s"})))
        .unwrap();
    let _operator = fixture.operator(&FLAGS[1..]);
    let first = fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    fixture.delete("leaver").await;
    // A client that applies it again succeeds as soon as the first is gone.
    let look = async || {
        let object = fixture.request("leaver", &["pc-1"]).await;
        if object.metadata.uid == first.metadata.uid {
            Err("it is still the first")
        } else {
            Ok(())
        }
    };
    eventually("the second request exists", BOUND, look)
        .await
        .unwrap();
    assert_eq!(
        fixture.effective_posts().len(),
        1,
        "the first is kept until its submission has arrived"
    );
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_finished_request_that_has_the_operators_finalizer_again_is_released_at_startup() {
    let fixture = Fixture::set("freed", &[desktop("pc-1")]).await;
    let operator = fixture.operator(&FLAGS[1..]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);

    let finalizers = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER, "example.com/another"]}}));
    let requests = fixture.requests();
    requests
        .patch("leaver", &PatchParams::default(), &finalizers)
        .await
        .unwrap();
    let _operator = fixture.operator(&FLAGS[1..]);
    let look = async || {
        let object = requests.get("leaver").await.unwrap();
        let left = object.metadata.finalizers.unwrap_or_default();
        if left == ["example.com/another"] {
            Ok(object.data["status"].clone())
        } else {
            Err(format!("{left:?}"))
        }
    };
    let freed = eventually("only the finalizer of others is left", BOUND, look)
        .await
        .unwrap();
    assert_eq!(freed, status, "nothing else was changed");
}

/// Deletes a namespace as the namespace controller does, the Secret first.
async fn delete_namespace(fixture: &Fixture) {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(fixture.namespace.client());
    let (one, all) = (DeleteParams::default(), ListParams::default());
    namespaces.delete(fixture.namespace.name(), &one).await.unwrap();
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = fixture.namespace.api();
    secrets.delete_collection(&one, &all).await.unwrap();
    fixture
        .namespace
        .projects()
        .delete_collection(&one, &all)
        .await
        .unwrap();
    fixture.requests().delete_collection(&one, &all).await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_deleted_waits_only_for_calls_that_can_still_take_effect() {
    let endless = json!({"id": "pc-2", "outcome": {"result": "success", "running": "1h"}});
    let fixture = Fixture::set("namespace-goes", &[desktop("pc-1"), endless, desktop("pc-3")]).await;
    let mut doubt = lost(true, &json!("reset"));
    doubt["desktop"] = json!("pc-1");
    fixture.cloud.add_fault(&doubt).unwrap();
    // Longer than usual, so that the attempt is pending until the request is seen to be kept.
    let window = |flag: &&&str| flag.starts_with("--signature-window");
    let mut flags: Vec<_> = FLAGS[1..].iter().filter(|flag| !window(flag)).copied().collect();
    flags.push("--signature-window=30s");
    let operator = fixture.operator(&flags);
    fixture.request("in-doubt", &["pc-1"]).await;
    fixture.request("running", &["pc-2"]).await;
    fixture
        .request_with("held", &["pc-3"], json!({"suspend": true}))
        .await;
    fixture.reason("in-doubt", Submitted, "AwaitingEvidence").await;
    fixture.reason("running", Submitted, "JobAccepted").await;
    fixture.reason("held", Submitted, "Suspended").await;

    delete_namespace(&fixture).await;
    // Events can no longer be made there, and nothing depends on them.
    let kept = |status: &Value| message(status, Submitted).contains("is kept until");
    fixture.until("in-doubt", "it reports why it is kept", kept).await;
    fixture.gone("held").await;
    fixture.gone("running").await;
    fixture.gone("in-doubt").await;
    // The operator logs it after its write has returned.
    let logged = async || match operator.log() {
        log if log.contains("the outcome of attempt") => Ok(()),
        log => Err(log),
    };
    eventually("the log says what was released", BOUND, logged)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fixture.posts().len(), 2);
}
