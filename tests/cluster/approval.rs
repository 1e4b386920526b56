//! The plan of a request is shown, and only approved and unchanged desktops are deleted.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use desktop_deletion_operator::crd::conditions::ConditionType::{
    Approved, Planned, Ready, Submitted, Succeeded,
};

use crate::fixture::{Fixture, body, message, pair, refused_attempts, says};

fn of(id: &str, user: &str) -> Value {
    json!({"id": id, "name": id.to_uppercase(), "user": user})
}

/// A project that requires an approval, with a desktop of anna and one of ben.
async fn guarded(name: &str) -> Fixture {
    let fixture = Fixture::set(name, &[of("pc-1", "anna"), of("pc-2", "ben")]).await;
    let required = json!({"guardrails": {"approval": "Required"}});
    fixture.change_project("prod", required).await;
    fixture
}

fn hash(status: &Value) -> Value {
    let hash = status["plan"]["hash"].clone();
    assert!(hash.is_string(), "{status:#}");
    hash
}

/// Waits for the plan of a request and approves it.
async fn approve(fixture: &Fixture, name: &str) -> Value {
    let status = fixture
        .until(name, "its plan is shown", |status| {
            status["plan"]["hash"].is_string()
        })
        .await;
    fixture.change(name, json!({"approvedPlan": hash(&status)})).await;
    hash(&status)
}

#[tokio::test]
async fn a_suspended_request_shows_what_it_will_do() {
    let world = [
        of("pc-1", "anna"),
        json!({"id": "pc-2", "taskStatus": "deleting"}),
    ];
    let fixture = Fixture::set("dry-run", &world).await;
    let _operator = fixture.operator(&[]);
    fixture
        .request_with("leavers", &["pc-1", "pc-2", "pc-3"], json!({"suspend": true}))
        .await;
    let status = fixture.reason("leavers", Planned, "DesktopBlocked").await;
    assert_eq!(says(&status, Submitted), pair("False", "Suspended"), "{status:#}");
    assert_eq!(says(&status, Approved), pair("True", "NotRequired"));
    let plan = &status["plan"];
    assert_eq!(
        (&plan["delete"], &plan["absent"], &plan["blocked"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let desktops = &status["desktops"];
    assert_eq!(
        desktops[0],
        json!({"id": "pc-1", "state": "Pending", "name": "PC-1", "user": "anna"})
    );
    assert_eq!(desktops[1]["state"], "Blocked", "{status:#}");
    assert_eq!(desktops[1]["code"], "DeletionInProgress");
    assert_eq!(desktops[2], json!({"id": "pc-3", "state": "Absent"}));
    assert_eq!(fixture.posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn users_are_omitted_if_they_must_not_be_shown() {
    let fixture = guarded("no-users").await;
    let _operator = fixture.operator(&["--show-users=false"]);
    fixture.request("leavers", &["pc-1"]).await;
    fixture.reason("leavers", Submitted, "AwaitingApproval").await;
    approve(&fixture, "leavers").await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert!(!status.to_string().contains("anna"), "{status:#}");
}

#[tokio::test]
async fn a_request_is_submitted_once_its_plan_is_approved() {
    let fixture = guarded("approved").await;
    // On a busy machine its reconciliation may begin late, and the first report would be one more write.
    let _operator = fixture.operator(&["--first-report=1h"]);
    fixture.project_says("prod", "CredentialsValid").await;
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.reason("leavers", Submitted, "AwaitingApproval").await;
    assert_eq!(
        says(&status, Ready),
        pair("False", "AwaitingApproval"),
        "{status:#}"
    );
    assert_eq!(says(&status, Planned), pair("True", "PlanReady"));
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    let hash = approve(&fixture, "leavers").await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(says(&status, Approved), pair("True", "PlanApproved"));
    assert_eq!(status["attempts"][0]["planHash"], hash, "{status:#}");
    assert_eq!(status["approved"]["hash"], hash);
    assert_eq!(status["desktops"][1]["user"], "ben");
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(body(&posts[0])["desktop_ids"], json!(["pc-1", "pc-2"]));
    let writes = fixture.writes("leavers").await;
    let most = 5 + 2 + 2 * refused_attempts(&status);
    assert!(writes.len() <= most, "{} writes: {writes:#?}", writes.len());
    // A late commit changes nothing.
    fixture.change("leavers", json!({"approvedPlan": null})).await;
    let mut noticed = fixture
        .until("leavers", "the edit is observed", |later| {
            later["observedGeneration"] == 3
        })
        .await;
    for (condition, before) in noticed["conditions"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(status["conditions"].as_array().unwrap())
    {
        condition["observedGeneration"] = before["observedGeneration"].clone();
    }
    noticed["observedGeneration"] = status["observedGeneration"].clone();
    assert_eq!(noticed, status);
}

#[tokio::test]
async fn a_desktop_that_is_reassigned_after_the_approval_is_not_deleted() {
    let fixture = guarded("swapped").await;
    let _operator = fixture.operator(&[]);
    fixture
        .request_with("leavers", &["pc-1", "pc-2"], json!({"suspend": true}))
        .await;
    approve(&fixture, "leavers").await;
    fixture.reason("leavers", Approved, "PlanApproved").await;
    fixture
        .cloud
        .change_desktop("pc-2", &json!({"user": "eve"}))
        .unwrap();
    fixture.change("leavers", json!({"suspend": false})).await;
    let status = fixture.reason("leavers", Submitted, "PlanChanged").await;
    assert!(
        message(&status, Submitted).contains("desktop pc-2: it is assigned to eve (approved: ben)"),
        "{status:#}"
    );
    assert_eq!(status["desktops"][1]["user"], "eve");
    assert_eq!(status["approved"]["desktops"][1]["users"], "ben");
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    let hash = approve(&fixture, "leavers").await;
    let status = fixture.completed("leavers").await;
    assert_eq!(status["attempts"][0]["planHash"], hash, "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn an_approval_is_valid_for_one_object_and_for_the_plan_that_it_shows() {
    let fixture = guarded("copied").await;
    let _operator = fixture.operator(&[]);
    fixture
        .request_with("first", &["pc-1"], json!({"suspend": true}))
        .await;
    let hash = approve(&fixture, "first").await;
    fixture.reason("first", Approved, "PlanApproved").await;
    let copied = json!({"approvedPlan": hash});
    fixture.request_with("copy", &["pc-1"], copied).await;
    let status = fixture.reason("copy", Submitted, "PlanChanged").await;
    assert_ne!(status["plan"]["hash"], hash, "{status:#}");
    assert!(status["approved"].is_null());
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    // The older plan of the copy itself is no better.
    fixture
        .cloud
        .change_desktop("pc-1", &json!({"user": "eve"}))
        .unwrap();
    fixture
        .change("copy", json!({"approvedPlan": status["plan"]["hash"]}))
        .await;
    let older = status["plan"]["hash"].clone();
    let status = fixture
        .until("copy", "a newer plan is shown", |status| {
            status["plan"]["hash"] != older
        })
        .await;
    assert_eq!(
        says(&status, Submitted),
        pair("False", "PlanChanged"),
        "{status:#}"
    );
    assert_eq!(fixture.posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_newly_required_approval_blocks_a_request_and_one_that_is_no_longer_required_does_not() {
    let fixture = Fixture::set("turned", &[of("pc-1", "anna")]).await;
    let _operator = fixture.operator(&[]);
    fixture
        .request_with("leaver", &["pc-1"], json!({"suspend": true}))
        .await;
    fixture.reason("leaver", Approved, "NotRequired").await;
    let guardrails = |approval: &str| json!({"guardrails": {"approval": approval}});
    fixture.change_project("prod", guardrails("Required")).await;
    fixture.reason("leaver", Approved, "AwaitingApproval").await;
    fixture.change("leaver", json!({"suspend": false})).await;
    fixture.reason("leaver", Submitted, "AwaitingApproval").await;
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    fixture.change_project("prod", guardrails("None")).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn showing_the_plan_of_a_request_that_need_not_wait_costs_no_extra_write() {
    let fixture = Fixture::set("no-write-more", &[of("pc-1", "anna")]).await;
    fixture.change_project("prod", json!({"guardrails": {}})).await;
    // On a busy machine its reconciliation may begin late, and the first report would be one more write.
    let _operator = fixture.operator(&["--first-report=1h"]);
    fixture.project_says("prod", "CredentialsValid").await;
    let expected = json!({"expected": [{"id": "pc-1", "userName": "anna"}]});
    fixture.request_with("leaver", &["pc-1"], expected).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Planned), pair("True", "PlanReady"), "{status:#}");
    assert_eq!(says(&status, Approved), pair("True", "NotRequired"));
    let writes = fixture.writes("leaver").await;
    let most = 5 + 2 * refused_attempts(&status);
    assert!(writes.len() <= most, "{} writes: {writes:#?}", writes.len());
}

#[tokio::test]
async fn an_approval_by_commit_does_not_loop() {
    let fixture = guarded("commits").await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    let manifest = |approved: Option<&Value>| {
        let mut spec = json!({
            "projectRef": {"name": "prod"}, "desktopIDs": ["pc-1", "pc-2"], "suspend": true,
        });
        if let Some(hash) = approved {
            spec["approvedPlan"] = hash.clone();
        }
        Patch::Apply(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": "leavers"},
            "spec": spec,
        }))
    };
    let parameters = PatchParams::apply("gitops").force();
    let apply = async |approved: Option<&Value>| {
        let applied = fixture
            .requests()
            .patch("leavers", &parameters, &manifest(approved))
            .await;
        applied.unwrap()
    };
    apply(None).await;
    fixture.reason("leavers", Approved, "AwaitingApproval").await;
    apply(Some(&hash(&fixture.status("leavers").await))).await;
    fixture.reason("leavers", Approved, "PlanApproved").await;
    let (before, writes) = (
        fixture.requests().get("leavers").await.unwrap(),
        fixture.writes("leavers").await.len(),
    );
    for _ in 0..100 {
        let status = fixture.status("leavers").await;
        apply(Some(&hash(&status))).await;
    }
    // As `kubectl apply` does by default, which sets an annotation.
    for _ in 0..20 {
        let manifest = json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": "leavers", "namespace": fixture.namespace.name()},
            "spec": {
                "projectRef": {"name": "prod"}, "desktopIDs": ["pc-1", "pc-2"], "suspend": true,
                "approvedPlan": hash(&fixture.status("leavers").await),
            },
        })
        .to_string();
        let applied = fixture
            .control_plane
            .kubectl_with_input(["apply", "--filename=-"], &manifest);
        applied.await.unwrap().stdout().unwrap();
    }
    let after = fixture.requests().get("leavers").await.unwrap();
    assert_eq!(after.data, before.data);
    assert_eq!(after.metadata.generation, before.metadata.generation);
    assert_eq!(fixture.writes("leavers").await.len(), writes);
    apply(None).await;
    let status = fixture.reason("leavers", Approved, "AwaitingApproval").await;
    assert!(
        status["approved"].is_null(),
        "withdrawing the approval stops the request: {status:#}"
    );
}
