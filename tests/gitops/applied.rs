//! Requests that are processed normally, and how the tools see them.

use serde_json::json;

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::delivery::{Delivery, Health, Tool};
use crate::fixture::{desktop, endless, pair, says};

with_both!(
    a_committed_request_is_submitted_once_and_becomes_healthy,
    a_request_that_failed_is_degraded_and_does_not_hold_up_the_next_commit,
    a_request_without_permission_is_degraded_until_the_permission_is_granted,
    a_request_is_approved_by_a_second_commit_and_then_left_alone,
    a_tool_that_is_restarted_writes_nothing_twice,
);

async fn a_committed_request_is_submitted_once_and_becomes_healthy(tool: Tool) {
    let delivery = Delivery::begin(tool, "applied", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    let revision = delivery.commit().await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    delivery.applied(&revision).await;
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
    delivery.left_alone("leaver", 3).await;
    let changes = delivery.changes("leaver").await;
    assert_eq!(changes.len(), 1, "{changes:#?}");
}

async fn a_request_that_failed_is_degraded_and_does_not_hold_up_the_next_commit(tool: Tool) {
    let fails = json!({"id": "pc-1", "outcome": {"result": "failed"}});
    let delivery = Delivery::begin(tool, "failed", &[fails, desktop("pc-2")]).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    let revision = delivery.commit().await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded).0, "False", "{status:#}");
    delivery.applied(&revision).await;
    delivery.health("leaver", Health::Degraded).await;

    delivery.request("other", &["pc-2"], json!({}));
    delivery.commit().await;
    let status = delivery.fixture.completed("other").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(delivery.fixture.posts().len(), 2);

    // It is retired by the removal of its file.
    delivery.remove("leaver");
    let revision = delivery.commit().await;
    delivery.fixture.gone("leaver").await;
    delivery.applied(&revision).await;
    delivery.health("other", Health::Healthy).await;
    assert_eq!(delivery.fixture.posts().len(), 2);
}

async fn a_request_without_permission_is_degraded_until_the_permission_is_granted(tool: Tool) {
    let delivery = Delivery::begin(tool, "no-right", &[desktop("pc-1")]).await;
    let refusal =
        json!({"operation": "batchDelete", "answer": {"status": 403, "body": {"error_code": "WKS.0403"}}});
    delivery.fixture.cloud.add_fault(&refusal).unwrap();
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    let status = delivery
        .fixture
        .reason("leaver", Submitted, "PermissionDenied")
        .await;
    assert_eq!(
        says(&status, Stalled),
        pair("True", "PermissionDenied"),
        "{status:#}"
    );
    delivery.health("leaver", Health::Degraded).await;
    delivery.fixture.cloud.clear_faults();
    delivery.fixture.completed("leaver").await;
    delivery.health("leaver", Health::Healthy).await;
    assert_eq!(delivery.fixture.effective_posts().len(), 1);
}

async fn a_request_is_approved_by_a_second_commit_and_then_left_alone(tool: Tool) {
    let guarded = json!({"guardrails": {"approval": "Required"}});
    let delivery = Delivery::begin_with(tool, "approval", &[desktop("pc-1")], &json!({}), guarded).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    let status = delivery
        .fixture
        .reason("leaver", Submitted, "AwaitingApproval")
        .await;
    let hash = &status["plan"]["hash"];
    assert!(hash.is_string(), "{status:#}");
    delivery.health("leaver", Health::Suspended).await;
    assert_eq!(delivery.fixture.posts().len(), 0);

    delivery.edit("leaver", &json!({"approvedPlan": hash}));
    delivery.commit().await;
    let status = delivery.fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    delivery.health("leaver", Health::Healthy).await;
    delivery.left_alone_by_syncs("leaver", 60).await;
    let changes = delivery.changes("leaver").await;
    assert_eq!(changes.len(), 2, "one a commit: {changes:#?}");
    assert_eq!(delivery.fixture.posts().len(), 1);
}

async fn a_tool_that_is_restarted_writes_nothing_twice(tool: Tool) {
    let delivery = Delivery::begin(tool, "restarted", &[endless("pc-1"), desktop("pc-2")]).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.accepted("leaver").await;
    delivery.restart_tool().await;
    delivery.end_jobs();
    delivery.fixture.completed("leaver").await;
    delivery.compared(2).await;
    delivery.health("leaver", Health::Healthy).await;
    delivery.request("other", &["pc-2"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("other").await;
    // Argo CD applies once more what its own cache does not show yet.
    delivery.health("other", Health::Healthy).await;
    for name in ["leaver", "other"] {
        delivery.left_alone(name, 2).await;
        let changes = delivery.changes(name).await;
        assert_eq!(changes.len(), 1, "{changes:#?}");
    }
    assert_eq!(delivery.fixture.posts().len(), 2);
}
