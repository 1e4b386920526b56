//! Objects that are removed although the request is wanted, or files that are removed before the request has finished.

use serde_json::{Value, json};

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::delivery::{Delivery, Health, Tool};
use crate::fixture::{desktop, endless, pair, says};

with_both!(
    a_finished_request_that_is_pruned_and_added_again_submits_nothing,
    a_request_that_is_pruned_in_flight_and_added_again_submits_nothing_more,
    a_finished_request_that_is_deleted_by_hand_comes_back_and_submits_nothing,
    a_request_that_is_deleted_by_hand_in_flight_comes_back_and_submits_nothing_more,
);

/// With `wait` Flux applies nothing before the requests in progress are over.
fn without_wait(tool: Tool) -> Value {
    match tool {
        Tool::ArgoCd => json!({}),
        Tool::Flux => json!({"wait": false}),
    }
}

async fn a_finished_request_that_is_pruned_and_added_again_submits_nothing(tool: Tool) {
    let delivery = Delivery::begin(tool, "pruned", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.remove("leaver");
    delivery.commit().await;
    delivery.fixture.gone("leaver").await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.there("leaver", None).await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

async fn a_request_that_is_pruned_in_flight_and_added_again_submits_nothing_more(tool: Tool) {
    let delivery = Delivery::begin_with(
        tool,
        "pruned-early",
        &[endless("pc-1")],
        &without_wait(tool),
        json!({}),
    )
    .await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.accepted("leaver").await;
    if tool == Tool::ArgoCd {
        delivery.health("leaver", Health::Progressing).await;
    }
    let first = delivery.uid("leaver").await;
    delivery.remove("leaver");
    delivery.commit().await;
    delivery.leaving("leaver", first.clone()).await;
    // The tool cannot create it again before the operator lets the old one go.
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.there("leaver", first).await;
    delivery.end_jobs();
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

async fn a_finished_request_that_is_deleted_by_hand_comes_back_and_submits_nothing(tool: Tool) {
    let delivery = Delivery::begin(tool, "deleted", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    let revision = delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.applied(&revision).await;
    let first = delivery.uid("leaver").await;
    delivery.fixture.delete("leaver").await;
    delivery.there("leaver", first).await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

async fn a_request_that_is_deleted_by_hand_in_flight_comes_back_and_submits_nothing_more(tool: Tool) {
    let delivery = Delivery::begin_with(
        tool,
        "deleted-early",
        &[endless("pc-1")],
        &without_wait(tool),
        json!({}),
    )
    .await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.accepted("leaver").await;
    let first = delivery.uid("leaver").await;
    delivery.fixture.delete("leaver").await;
    delivery.there("leaver", first).await;
    delivery.end_jobs();
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}
