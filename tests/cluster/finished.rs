//! What can still happen to a finished request: its manifest is applied again, suspended late, or has the operator's
//! finalizer.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{eventually, manifests};

use desktop_deletion_operator::crd::FINALIZER;
use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Succeeded};

use crate::fixture::{BOUND, Fixture, desktop, pair, says};

/// Waits until the status says that the operator has seen the newest generation, and gives the whole status.
async fn observed(fixture: &Fixture, name: &str) -> Value {
    let look = async || {
        let object = fixture.requests().get(name).await.unwrap();
        let (generation, status) = (object.metadata.generation.unwrap(), &object.data["status"]);
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let mut all = conditions.chain([status]);
        if all.all(|observing| observing["observedGeneration"] == generation) {
            Ok(status.clone())
        } else {
            Err(format!("generation {generation}: {status:#}"))
        }
    };
    eventually("the newest generation was observed", BOUND, look)
        .await
        .unwrap()
}

fn without_generations(status: &Value) -> String {
    let text = status.to_string();
    let mut parts = text.split("\"observedGeneration\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        kept + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

#[tokio::test]
async fn suspending_a_finished_request_has_no_effect_and_is_observed() {
    let fixture = Fixture::set("late-suspend", &[desktop("pc-1")]).await;
    let operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let before = fixture.completed("leaver").await;
    fixture.change("leaver", json!({"suspend": true})).await;
    let after = observed(&fixture, "leaver").await;
    assert_eq!(without_generations(&after), without_generations(&before));
    assert_eq!(says(&after, Succeeded), pair("True", "AllDeleted"));

    // What was edited while no operator ran is noticed by the next one.
    assert_eq!(operator.terminate().await.unwrap(), 0);
    fixture.change("leaver", json!({"suspend": false})).await;
    let _operator = fixture.operator(&[]);
    let again = observed(&fixture, "leaver").await;
    assert_eq!(without_generations(&again), without_generations(&before));
    assert_eq!(says(&again, Ready), pair("True", "AllDeleted"));
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn an_edit_of_an_immutable_field_is_refused_with_one_sentence_that_names_the_fix() {
    let fixture = Fixture::set("late-edit", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    let patch = Patch::Merge(json!({"spec": {"desktopIDs": ["pc-1", "pc-2"]}}));
    let patched = fixture
        .requests()
        .patch("leaver", &PatchParams::default(), &patch)
        .await;
    let Err(kube::Error::Api(refusal)) = patched else {
        panic!("it was not refused");
    };
    let causes = refusal.details.clone().unwrap().causes;
    let said: Vec<_> = causes.iter().map(|cause| cause.message.as_str()).collect();
    assert!(
        matches!(said[..], [only] if only.ends_with("desktopIDs is immutable; create a new DesktopDeletion instead")),
        "{said:#?}"
    );
}

#[tokio::test]
async fn an_exported_manifest_with_the_operators_finalizer_does_not_block_the_deletion_of_a_finished_request()
{
    let fixture = Fixture::set("exported", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    let mut exported = manifests::desktop_deletion("leaver", "prod", ["pc-1"]);
    exported["metadata"]["finalizers"] = json!([FINALIZER]);
    fixture.namespace.apply(&exported).await.unwrap();
    fixture.delete("leaver").await;
    fixture.gone("leaver").await;
}
