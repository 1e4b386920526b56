//! Clients that replace the object, and unknowingly remove the operator's finalizer.

use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use testkit::eventually;

use desktop_deletion_operator::crd::FINALIZER;
use desktop_deletion_operator::crd::conditions::ConditionType::Stalled;

use crate::doubt::lost;
use crate::fixture::{BOUND, Fixture, desktop, endless, message};

/// Replaces the object by a manifest from a file, as `kubectl replace` does.
async fn replace(fixture: &Fixture, name: &str) {
    // The operator may write meanwhile; kubectl tries again too.
    loop {
        let mut object = fixture.requests().get(name).await.unwrap();
        object.metadata.finalizers = None;
        object.metadata.managed_fields = None;
        let replaced = fixture
            .requests()
            .replace(name, &PostParams::default(), &object)
            .await;
        match replaced {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn has_finalizer(object: &DynamicObject) -> bool {
    let finalizers = object.metadata.finalizers.iter().flatten();
    finalizers.into_iter().any(|finalizer| finalizer == FINALIZER)
}

/// Waits until the finalizer is there again.
async fn restored(fixture: &Fixture, name: &str) {
    let look = async || match fixture.requests().get(name).await.unwrap() {
        object if has_finalizer(&object) => Ok(()),
        object => Err(format!("{:?}", object.metadata.finalizers)),
    };
    eventually("the finalizer is there again", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_finalizer_that_a_replace_removed_is_restored() {
    let fixture = Fixture::set("replaced", &[endless("pc-1")]).await;
    let operator = fixture.operator(&["--job-visibility-timeout=10m"]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    replace(&fixture, "leaver").await;
    restored(&fixture, "leaver").await;
    let event = fixture.event("leaver", "FinalizerRestored", "Replace=true").await;
    assert_eq!(event.type_.as_deref(), Some("Warning"), "{event:#?}");

    operator.kill().await.unwrap();
    drop(operator);
    replace(&fixture, "leaver").await;
    let _operator = fixture.operator(&["--job-visibility-timeout=10m"]);
    restored(&fixture, "leaver").await;
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_finalizer_is_restored_while_a_response_is_missing_and_after_the_attempt_was_abandoned() {
    let fixture = Fixture::set("replaced-doubt", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture
        .until("leaver", "the answer is missing", |status| {
            status["attempts"][0]["error"]["class"] == "InDoubt"
        })
        .await;
    replace(&fixture, "leaver").await;
    restored(&fixture, "leaver").await;
    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    fixture.resolve("leaver", &format!("{attempt}=abandon")).await;
    fixture
        .until("leaver", "it was abandoned", |status| {
            status["attempts"][0]["outcome"] == "Abandoned"
        })
        .await;
    replace(&fixture, "leaver").await;
    restored(&fixture, "leaver").await;
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn the_operator_backs_off_if_a_client_keeps_removing_the_finalizer() {
    let fixture = Fixture::set("keeps-replacing", &[endless("pc-1")]).await;
    let flags = [
        "--job-visibility-timeout=10m",
        "--retry-min=1s",
        "--retry-max=10m",
    ];
    let _operator = fixture.operator(&flags);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    let look = async || {
        replace(&fixture, "leaver").await;
        let status = fixture.status("leaver").await;
        if message(&status, Stalled).contains("repeatedly removed the operator's finalizer") {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    };
    eventually("it reports that the finalizer is removed", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let writes = fixture.writes("leaver").await;
    let added = writes.iter().filter(|write| write.verb == "patch").count();
    // With pauses of 1, 2, 4, 8 … seconds a minute has room for seven.
    assert!(added <= 10, "{added} patches of the finalizer");
    restored(&fixture, "leaver").await;
}
