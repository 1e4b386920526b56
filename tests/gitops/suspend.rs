//! Requests and projects that are suspended: by a commit, manually, too late.

use serde_json::json;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::delivery::{Delivery, Health, Tool};
use crate::fixture::{desktop, pair, says};

with_both!(
    a_suspended_request_is_resumed_by_a_commit,
    a_request_is_resumed_if_suspend_is_removed_from_the_manifest,
    a_finished_request_that_is_suspended_holds_up_nothing,
    a_request_that_is_suspended_manually_is_resumed_by_the_gitops_tool,
    a_manual_suspension_of_a_project_is_kept_by_argocd_and_reverted_by_flux,
);

async fn a_suspended_request_is_resumed_by_a_commit(tool: Tool) {
    let delivery = Delivery::begin(tool, "suspended", &["pc-1", "pc-2"].map(desktop)).await;
    delivery.request("leaver", &["pc-1"], json!({"suspend": true}));
    let revision = delivery.commit().await;
    delivery.fixture.reason("leaver", Submitted, "Suspended").await;
    delivery.applied(&revision).await;
    delivery.health("leaver", Health::Suspended).await;

    // It does not delay others.
    delivery.request("other", &["pc-2"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("other").await;
    assert_eq!(delivery.fixture.posts().len(), 1);

    delivery.edit("leaver", &json!({"suspend": false}));
    delivery.commit().await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 2);
}

async fn a_request_is_resumed_if_suspend_is_removed_from_the_manifest(tool: Tool) {
    let delivery = Delivery::begin(tool, "removed-line", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({"suspend": true}));
    delivery.commit().await;
    delivery.fixture.reason("leaver", Submitted, "Suspended").await;
    delivery.edit("leaver", &json!({"suspend": null}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

async fn a_finished_request_that_is_suspended_holds_up_nothing(tool: Tool) {
    let delivery = Delivery::begin(tool, "late-suspend", &["pc-1", "pc-2"].map(desktop)).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.edit("leaver", &json!({"suspend": true}));
    delivery.request("other", &["pc-2"], json!({}));
    let revision = delivery.commit().await;
    delivery.fixture.completed("other").await;
    delivery.applied(&revision).await;
    for name in ["leaver", "other"] {
        delivery.health(name, Health::Healthy).await;
    }
    assert_eq!(delivery.fixture.posts().len(), 2);
}

async fn a_request_that_is_suspended_manually_is_resumed_by_the_gitops_tool(tool: Tool) {
    let guarded = json!({"guardrails": {"approval": "Required"}});
    let delivery = Delivery::begin_with(tool, "manual", &[desktop("pc-1")], &json!({}), guarded).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    let revision = delivery.commit().await;
    delivery
        .fixture
        .reason("leaver", Submitted, "AwaitingApproval")
        .await;
    delivery.applied(&revision).await;
    delivery
        .patch_by_hand("ddel/leaver", &json!({"suspend": true}))
        .await;
    let taken_back = |spec: &serde_json::Value| spec["suspend"] == false;
    delivery
        .spec_is("leaver", "the tool has reverted it", taken_back)
        .await;
    assert_eq!(delivery.fixture.posts().len(), 0);
}

async fn a_manual_suspension_of_a_project_is_kept_by_argocd_and_reverted_by_flux(tool: Tool) {
    let delivery = Delivery::begin(tool, "brake", &[]).await;
    delivery
        .patch_by_hand("wsp/prod", &json!({"suspend": true}))
        .await;
    delivery.compared(3).await;
    let project = delivery.fixture.namespace.projects().get("prod").await.unwrap();
    let held = project.data["spec"]["suspend"] == true;
    // Flux takes back what kubectl has set, also where Git says nothing about it.
    assert_eq!(held, tool == Tool::ArgoCd, "{:#}", project.data["spec"]);
}
