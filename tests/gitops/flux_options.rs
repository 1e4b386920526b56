//! What `wait` of Flux does.

use serde_json::{Value, json};

use crate::delivery::{Delivery, Health, Tool};
use crate::stage::desktop;

async fn begin(name: &str, policy: Value) -> Delivery {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "15s"}});
    let desktops = [slow, desktop("pc-2")];
    let delivery = Delivery::begin_with(Tool::Flux, name, &desktops, &policy, json!({})).await;
    delivery.request("first", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.stage.accepted("first").await;
    delivery
}

/// When the second request was created, and when the first one was over.
async fn times(delivery: &Delivery) -> (String, String) {
    delivery.request("second", &["pc-2"], json!({}));
    delivery.commit().await;
    let first = delivery.stage.completed("first").await;
    delivery.stage.completed("second").await;
    let second = delivery.stage.requests().get("second").await.unwrap();
    let created = second.metadata.creation_timestamp.unwrap().0.to_string();
    assert_eq!(delivery.stage.posts().len(), 2);
    (created, first["completionTime"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn with_wait_a_commit_waits_for_the_requests_in_progress() {
    let delivery = begin("wait", json!({})).await;
    delivery.health("first", Health::Progressing).await;
    let (created, completed) = times(&delivery).await;
    assert!(created >= completed, "{created} {completed}");
}

#[tokio::test]
async fn without_wait_a_commit_is_applied_at_once() {
    let delivery = begin("no-wait", json!({"wait": false})).await;
    let (created, completed) = times(&delivery).await;
    assert!(created <= completed, "{created} {completed}");
}
