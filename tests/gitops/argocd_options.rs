//! Options of Argo CD that change how it writes, its sync waves, and a sync that deletes and fails.

use serde_json::json;
use testkit::eventually;

use desktop_deletion_operator::crd::FINALIZER;
use desktop_deletion_operator::crd::conditions::ConditionType::Submitted;

use crate::delivery::{Delivery, Health, Tool};
use crate::fixture::{BOUND, desktop, endless};

/// What the API server says of an edit of the list.
const IMMUTABLE: &str = "desktopIDs is immutable; create a new DesktopDeletion instead";

async fn begin(name: &str, option: &str, desktops: &[serde_json::Value]) -> Delivery {
    let policy = json!({"syncOptions": [option]});
    Delivery::begin_with(Tool::ArgoCd, name, desktops, &policy, json!({})).await
}

#[tokio::test]
async fn with_server_side_apply_an_approved_request_is_submitted_once() {
    let delivery = begin("server-side", "ServerSideApply=true", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({"suspend": true}));
    delivery.commit().await;
    delivery.fixture.reason("leaver", Submitted, "Suspended").await;
    delivery.edit("leaver", &json!({"suspend": false}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.health("leaver", Health::Healthy).await;
    delivery.left_alone("leaver", 5).await;
    let changes = delivery.changes("leaver").await;
    assert_eq!(changes.len(), 2, "one a commit: {changes:#?}");
    assert_eq!(delivery.fixture.posts().len(), 1);
}

#[tokio::test]
async fn actions_hold_and_resume_a_project_and_a_request() {
    // With self-heal, what Git says of `suspend` comes back at once.
    let policy = json!({"automated": {"selfHeal": false}});
    let desktops = [desktop("pc-1")];
    let delivery = Delivery::begin_with(Tool::ArgoCd, "actions", &desktops, &policy, json!({})).await;
    let (project, request) = (("WorkspaceProject", "prod"), ("DesktopDeletion", "leaver"));
    delivery.act(project, "suspend", &[]).await.unwrap();
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery
        .fixture
        .reason("leaver", Submitted, "ProjectSuspended")
        .await;
    delivery.act(request, "suspend", &[]).await.unwrap();
    delivery.act(project, "resume", &[]).await.unwrap();
    delivery.fixture.reason("leaver", Submitted, "Suspended").await;
    assert_eq!(delivery.fixture.posts().len(), 0);
    delivery.act(request, "resume", &[]).await.unwrap();
    delivery.fixture.completed("leaver").await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

#[tokio::test]
async fn an_action_approves_the_plan_that_is_named_and_self_heal_leaves_it() {
    let guarded = json!({"guardrails": {"approval": "Required"}});
    let desktops = [desktop("pc-1")];
    let delivery = Delivery::begin_with(Tool::ArgoCd, "approve", &desktops, &json!({}), guarded).await;
    let request = ("DesktopDeletion", "leaver");
    delivery.request("leaver", &["pc-1"], json!({}));
    let revision = delivery.commit().await;
    let status = delivery
        .fixture
        .reason("leaver", Submitted, "AwaitingApproval")
        .await;
    delivery.applied(&revision).await;
    let shown = status["plan"]["hash"].as_str().unwrap();
    let other = format!("sha256:{}", "0".repeat(64));
    for (parameters, expected) in [(&[][..], "status.plan.hash"), (&[("plan", &*other)], "is not")] {
        let refused = delivery.act(request, "approve", parameters).await.unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }
    assert_eq!(delivery.fixture.posts().len(), 0);
    delivery
        .act(request, "approve", &[("plan", shown)])
        .await
        .unwrap();
    delivery.fixture.completed("leaver").await;
    delivery.left_alone("leaver", 3).await;
    let approved = |spec: &serde_json::Value| spec["approvedPlan"] == shown;
    delivery.spec_is("leaver", "the approval stays", approved).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

#[tokio::test]
async fn with_server_side_apply_a_request_stays_suspended_if_suspend_is_removed_from_the_manifest() {
    let delivery = begin("server-side-line", "ServerSideApply=true", &[desktop("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({"suspend": true}));
    delivery.commit().await;
    delivery.fixture.reason("leaver", Submitted, "Suspended").await;
    delivery.edit("leaver", &json!({"suspend": null}));
    let revision = delivery.commit().await;
    // Argo CD sees no difference, and says so.
    delivery.applied(&revision).await;
    delivery.compared(3).await;
    delivery.health("leaver", Health::Suspended).await;
    assert_eq!(delivery.fixture.posts().len(), 0);
}

#[tokio::test]
async fn with_server_side_apply_an_edit_of_an_immutable_field_does_not_block_other_files() {
    let desktops = ["pc-1", "pc-2"].map(desktop);
    let delivery = begin("server-side-edit", "ServerSideApply=true", &desktops).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.edit("leaver", &json!({"desktopIDs": ["pc-1", "pc-2"]}));
    delivery.request("other", &["pc-2"], json!({}));
    delivery.commit().await;
    // Argo CD caches a comparison that failed as one without differences: the edit is in sync until the next refresh.
    let fails = async || {
        delivery.compared(1).await;
        delivery.comparison_error().await
    };
    let error = eventually("the comparison fails", BOUND, fails).await.unwrap();
    assert!(error.contains(IMMUTABLE), "{error}");
    delivery.fixture.completed("other").await;
    delivery.edit("leaver", &json!({"desktopIDs": ["pc-1"]}));
    let revision = delivery.commit().await;
    delivery.applied(&revision).await;
    assert_eq!(delivery.fixture.posts().len(), 2);
}

#[tokio::test]
async fn with_server_side_apply_and_without_its_diff_a_sync_fails_on_an_edit_of_an_immutable_field() {
    let delivery = begin("server-side-diff", "ServerSideApply=true", &[desktop("pc-1")]).await;
    delivery
        .annotate("argocd.argoproj.io/compare-options", "ServerSideDiff=false")
        .await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.completed("leaver").await;
    delivery.edit("leaver", &json!({"desktopIDs": ["pc-1", "pc-2"]}));
    let revision = delivery.commit().await;
    delivery.refused(&revision, IMMUTABLE).await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

#[tokio::test]
async fn with_replace_the_operator_puts_its_finalizer_back() {
    let delivery = begin("replace", "Replace=true", &[endless("pc-1")]).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.fixture.accepted("leaver").await;
    delivery.edit("leaver", &json!({"suspend": true}));
    let revision = delivery.commit().await;
    delivery.applied(&revision).await;
    delivery
        .fixture
        .event("leaver", "FinalizerRestored", "Replace=true")
        .await;
    // Argo CD replaces once more if it compares before its own cache shows what it has replaced.
    let at_rest = async || {
        let before = delivery.writes("leaver").await.len();
        delivery.compared(2).await;
        let request = delivery.fixture.requests().get("leaver").await.unwrap();
        let finalizers = request.metadata.finalizers.clone().unwrap_or_default();
        let writes = delivery.writes("leaver").await.len();
        if writes == before && finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            Ok(request)
        } else {
            Err(format!("{finalizers:?} after {writes} writes, {before} before"))
        }
    };
    let request = eventually("the finalizer is there, and Argo CD is at rest", BOUND, at_rest)
        .await
        .unwrap_or_else(|error| panic!("{error}"));

    // So nothing is submitted again when the file goes and comes back.
    delivery.remove("leaver");
    delivery.commit().await;
    delivery.leaving("leaver", request.metadata.uid.clone()).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.commit().await;
    delivery.there("leaver", request.metadata.uid).await;
    delivery
        .fixture
        .reason("leaver", Submitted, "DeletionInProgress")
        .await;
    assert_eq!(delivery.fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_request_of_a_later_wave_waits_for_the_requests_before_it() {
    let delivery = Delivery::begin(Tool::ArgoCd, "waves", &[endless("pc-1"), desktop("pc-2")]).await;
    for (name, desktop, wave) in [("first", "pc-1", "1"), ("second", "pc-2", "2")] {
        delivery.request(name, &[desktop], json!({}));
        delivery.annotate_request(name, "argocd.argoproj.io/sync-wave", wave);
    }
    delivery.commit().await;
    delivery.fixture.accepted("first").await;
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
async fn a_suspended_request_in_a_wave_holds_up_the_commit_that_resumes_it() {
    let delivery = Delivery::begin(Tool::ArgoCd, "wave-held", &["pc-1", "pc-2"].map(desktop)).await;
    delivery.request("first", &["pc-1"], json!({"suspend": true}));
    delivery.request("second", &["pc-2"], json!({}));
    delivery.annotate_request("second", "argocd.argoproj.io/sync-wave", "2");
    delivery.commit().await;
    delivery.health("first", Health::Suspended).await;
    delivery.edit("first", &json!({"suspend": false}));
    delivery.commit().await;
    delivery.compared(3).await;
    let status = delivery.fixture.status("first").await;
    assert_eq!(status["completionTime"], json!(null), "{status:#}");
    assert!(delivery.is_absent("second").await);

    // The way out: the sync is ended, and the next one has the new commit.
    delivery.end_sync().await;
    for name in ["first", "second"] {
        delivery.fixture.completed(name).await;
    }
    assert_eq!(delivery.fixture.posts().len(), 2);
}

#[tokio::test]
async fn a_failed_sync_that_deletes_a_request_in_flight_delays_others_only_temporarily() {
    let desktops = [endless("pc-1"), desktop("pc-2"), desktop("pc-3")];
    let delivery = Delivery::begin(Tool::ArgoCd, "prune-fails", &desktops).await;
    delivery.request("leaver", &["pc-1"], json!({}));
    delivery.request("other", &["pc-2"], json!({}));
    delivery.commit().await;
    delivery.fixture.accepted("leaver").await;
    delivery.fixture.completed("other").await;
    delivery.remove("leaver");
    delivery.edit("other", &json!({"desktopIDs": ["pc-2", "pc-3"]}));
    let revision = delivery.commit().await;
    delivery.refused(&revision, "desktopIDs is immutable").await;

    delivery.edit("other", &json!({"desktopIDs": ["pc-2"]}));
    delivery.request("third", &["pc-3"], json!({}));
    let revision = delivery.commit().await;
    delivery.fixture.completed("third").await;
    delivery.fixture.gone("leaver").await;
    delivery.applied(&revision).await;
    assert_eq!(delivery.fixture.posts().len(), 3);
}
