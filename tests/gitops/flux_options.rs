//! What `wait` and `dependsOn` of Flux do.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::manifests;

use crate::delivery::{Delivery, Health, PROJECT, Tool};
use crate::fixture::{desktop, endless};
use crate::flux;

/// How long nothing may come; an apply takes a second or two.
const QUIET: Duration = Duration::from_secs(10);

async fn begin(name: &str, policy: Value) -> Delivery {
    let desktops = [endless("pc-1"), desktop("pc-2")];
    let delivery = Delivery::begin_with(Tool::Flux, name, &desktops, &policy, json!({})).await;
    delivery.request("first", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.accepted("first").await;
    delivery
}

#[tokio::test]
async fn with_wait_a_commit_waits_for_the_requests_in_progress() {
    // A new process would begin with the newest commit: that Flux waits is known to the running one only.
    let _same_process = flux::undisturbed().await;
    let delivery = begin("wait", json!({})).await;
    delivery.health("first", Health::Progressing).await;
    delivery.request("second", &["pc-2"], json!({}));
    delivery.commit().await;
    // An observation needs a time: what is to be seen is that nothing comes.
    tokio::time::sleep(QUIET).await;
    assert!(delivery.is_absent("second").await);
    delivery.end_jobs();
    delivery.fixture.completed("first").await;
    delivery.fixture.completed("second").await;
    assert_eq!(delivery.fixture.posts().len(), 2);
}

#[tokio::test]
async fn without_wait_a_commit_is_applied_at_once() {
    let delivery = begin("no-wait", json!({"wait": false})).await;
    delivery.request("second", &["pc-2"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("second").await;
    let first = delivery.fixture.status("first").await;
    assert!(first["completionTime"].is_null(), "{first:#}");
    delivery.end_jobs();
    delivery.fixture.completed("first").await;
    assert_eq!(delivery.fixture.posts().len(), 2);
}

/// A second Kustomization, which depends on the first one and follows the folder `later`.
async fn add_dependent(delivery: &Delivery) {
    let resources = json!([PROJECT, "requests"]);
    let root = json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources});
    delivery.repository.write("kustomization.yaml", &root);
    let requests = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["first.yaml"],
    });
    delivery
        .repository
        .write("requests/kustomization.yaml", &requests);
    let namespace = delivery.fixture.namespace.name();
    let mut second = manifests::desktop_deletion("second", "prod", ["pc-2"]);
    second["metadata"]["namespace"] = json!(namespace);
    delivery.repository.write("later/second.yaml", &second);
    let [_, mut dependent] =
        flux::manifests(&json!({"path": "./later", "dependsOn": [{"name": flux::NAME}]}));
    dependent["metadata"]["name"] = json!("later");
    delivery.fixture.namespace.apply(&dependent).await.unwrap();
}

#[tokio::test]
async fn what_depends_on_a_request_waits_for_its_end() {
    let delivery = Delivery::begin(Tool::Flux, "depends", &[endless("pc-1"), desktop("pc-2")]).await;
    delivery.request("first", &["pc-1"], json!({}));
    add_dependent(&delivery).await;
    delivery.commit().await;
    delivery.fixture.accepted("first").await;
    tokio::time::sleep(QUIET).await;
    assert!(delivery.is_absent("second").await);
    delivery.end_jobs();
    let first = delivery.fixture.completed("first").await;
    delivery.fixture.completed("second").await;
    let second = delivery.fixture.requests().get("second").await.unwrap();
    let created = second.metadata.creation_timestamp.unwrap().0.to_string();
    assert!(
        created.as_str() >= first["completionTime"].as_str().unwrap(),
        "{created}: {first:#}"
    );
}

#[tokio::test]
async fn what_depends_on_a_suspended_request_does_not_wait() {
    let delivery = Delivery::begin(Tool::Flux, "depends-held", &["pc-1", "pc-2"].map(desktop)).await;
    delivery.request("first", &["pc-1"], json!({"suspend": true}));
    add_dependent(&delivery).await;
    delivery.commit().await;
    delivery.fixture.completed("second").await;
    delivery.edit("first", &json!({"suspend": false}));
    delivery.commit().await;
    delivery.fixture.completed("first").await;
    assert_eq!(delivery.fixture.posts().len(), 2);
}
