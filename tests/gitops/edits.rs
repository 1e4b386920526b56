//! Edits of immutable fields, and commits that are reverted.

use serde_json::json;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::delivery::{Delivery, Health, Tool};
use crate::fixture::{body, desktop, pair, says};

with_both!(
    an_edit_of_an_immutable_field_is_refused_with_a_message_that_names_the_fix,
    a_forced_edit_makes_a_new_request_and_submits_no_desktop_twice,
    a_commit_that_resumed_a_request_can_be_reverted_after_its_end,
);

async fn an_edit_of_an_immutable_field_is_refused_with_a_message_that_names_the_fix(tool: Tool) {
    let delivery = Delivery::begin(tool, "immutable", &["pc-1", "pc-2"].map(desktop)).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;

    delivery.edit("leaver", &json!({"desktopIDs": ["pc-1", "pc-2"]}));
    delivery.request("other", &["pc-2"], json!({}));
    let revision = delivery.commit().await;
    let said = delivery
        .refused(
            &revision,
            "desktopIDs is immutable; create a new DesktopDeletion instead",
        )
        .await;
    assert!(!said.contains("status."), "nothing else is reported: {said}");
    match tool {
        // Only that file fails.
        Tool::ArgoCd => drop(delivery.fixture.completed("other").await),
        // Nothing of the commit is applied.
        Tool::Flux => {
            delivery.compared(2).await;
            assert!(delivery.is_absent("other").await);
        }
    }

    delivery.edit("leaver", &json!({"desktopIDs": ["pc-1"]}));
    let revision = delivery.commit().await;
    delivery.applied(&revision).await;
    delivery.fixture.completed("other").await;
    for name in ["leaver", "other"] {
        delivery.health(name, Health::Healthy).await;
    }
    assert_eq!(delivery.fixture.posts().len(), 2);
}

async fn a_forced_edit_makes_a_new_request_and_submits_no_desktop_twice(tool: Tool) {
    let policy = match tool {
        Tool::ArgoCd => json!({}),
        Tool::Flux => json!({"force": true}),
    };
    let desktops = ["pc-1", "pc-2"].map(desktop);
    let delivery = Delivery::begin_with(tool, "forced", &desktops, &policy, json!({})).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    if tool == Tool::ArgoCd {
        delivery.annotate_request("leaver", "argocd.argoproj.io/sync-options", "Force=true");
    }
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    let before = delivery.uid("leaver").await;

    delivery.edit("leaver", &json!({"desktopIDs": ["pc-1", "pc-2"]}));
    delivery.commit().await;
    delivery
        .spec_is("leaver", "it was created again", |spec| {
            spec["desktopIDs"] == json!(["pc-1", "pc-2"])
        })
        .await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let after = delivery.uid("leaver").await;
    assert_ne!(before, after);
    let submitted: Vec<_> = delivery
        .fixture
        .posts()
        .iter()
        .map(|post| body(post)["desktop_ids"].clone())
        .collect();
    assert_eq!(submitted, [json!(["pc-1"]), json!(["pc-2"])]);
}

async fn a_commit_that_resumed_a_request_can_be_reverted_after_its_end(tool: Tool) {
    let delivery = Delivery::begin(tool, "reverted", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({"suspend": true}));
    delivery.commit().await;
    delivery.fixture.reason("leaver", Submitted, "Suspended").await;
    delivery.edit("leaver", &json!({"suspend": false}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    // Too late to stop anything.
    let revision = delivery.revert().await;
    delivery.applied(&revision).await;
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}
