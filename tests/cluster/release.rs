//! Deleting the object deletes nothing in the cloud, and lets nothing get lost or be done twice.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::Cloud;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt::{self, lost};
use crate::stage::{Stage, desktop, endless, message, pair, says};

#[tokio::test]
async fn a_request_that_was_not_submitted_goes_at_once() {
    let stage = Stage::set("not-submitted", &["pc-1", "pc-2"].map(desktop)).await;
    let refusal =
        json!({"operation": "batchDelete", "answer": {"status": 403, "body": {"error_code": "WKS.0403"}}});
    stage.cloud.add_fault(&refusal).unwrap();
    let _operator = stage.operator(&["--retry-max=10m"]);
    stage
        .request_with("held", &["pc-1"], json!({"suspend": true}))
        .await;
    stage.request("refused", &["pc-2"]).await;
    stage.reason("held", Submitted, "Suspended").await;
    stage.reason("refused", Submitted, "PermissionDenied").await;
    for name in ["held", "refused"] {
        stage.delete(name).await;
        stage.gone(name).await;
    }
    assert_eq!(stage.posts().len(), 1);
    assert_eq!(stage.effective_posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_request_whose_job_runs_can_be_deleted_and_the_job_goes_on() {
    let stage = Stage::set("job-runs", &[endless("pc-1")]).await;
    let _operator = stage.operator(&["--max-signature-age=3s", "--submission-timeout=25s"]);
    stage.request("leaver", &["pc-1"]).await;
    let status = stage.accepted("leaver").await;
    stage.delete("leaver").await;
    stage.gone("leaver").await;
    let signed: Timestamp = status["attempts"][0]["signedAt"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "how long it was by the real clock")]
    let kept = Timestamp::now().duration_since(signed);
    assert!(
        kept >= SignedDuration::from_secs(3 + 25 + 1),
        "a request that was sent just in time could have been accepted later than it was kept: {kept}"
    );
    let desktops = stage.cloud.simulator().desktops();
    assert_eq!(desktops[0].task_status, "deleting");
    assert_eq!(stage.posts().len(), 1);
}

#[tokio::test]
async fn a_deleted_request_is_kept_until_its_submission_is_surely_dead_and_its_job_is_stored() {
    let stage = Stage::set_with("kept", doubt::world(), &[desktop("pc-1")]).await;
    stage
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = stage.operator(doubt::FLAGS);
    stage.request("leaver", &["pc-1"]).await;
    stage.reason("leaver", Submitted, "AwaitingEvidence").await;
    stage.delete("leaver").await;
    let status = stage
        .until("leaver", "it says why it is kept", |status| {
            message(status, Submitted).contains("is kept until")
        })
        .await;
    assert_eq!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    stage.gone("leaver").await;

    let posts = stage.posts();
    assert_eq!(posts.len(), 1);
    let writes = stage.writes("leaver").await;
    let stored = writes.iter().rev().find_map(|write| {
        let status = &write.response_object.as_ref()?["status"];
        status["attempts"][0]["jobIDs"].is_array().then(|| status.clone())
    });
    let stored = stored.unwrap_or_else(|| panic!("the job is stored: {writes:#?}"));
    assert_eq!(stored["attempts"][0]["outcome"], "Adopted");
    assert_eq!(stored["jobID"], posts[0]["jobID"]);
}

#[tokio::test]
async fn a_twin_does_not_submit_over_a_request_in_flight() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "1s"}});
    let stage = Stage::set_with("twin", doubt::world(), &[slow]).await;
    // It takes effect only when its sender has long been killed and its object deleted.
    stage
        .cloud
        .add_fault(&lost("pc-1", false, &json!({"delay": "4s"})))
        .unwrap();
    let operator = stage.operator(doubt::FLAGS);
    stage.request("leaver", &["pc-1"]).await;
    stage.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    stage.delete("leaver").await;
    let _operator = stage.operator(doubt::FLAGS);
    stage.gone("leaver").await;
    assert_eq!(
        stage.effective_posts().len(),
        1,
        "it is kept until nothing can come any more"
    );

    stage.request("leaver", &["pc-1"]).await;
    let status = stage.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(stage.posts().len(), 1);
}

#[tokio::test]
async fn a_request_is_kept_also_without_its_project_and_secret() {
    let stage = Stage::set_with("kept-alone", doubt::world(), &[desktop("pc-1")]).await;
    stage
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = stage.operator(doubt::FLAGS);
    stage.request("leaver", &["pc-1"]).await;
    stage.reason("leaver", Submitted, "AwaitingEvidence").await;
    let parameters = kube::api::DeleteParams::default();
    let projects = stage.namespace.projects();
    projects.delete("prod", &parameters).await.unwrap();
    let secrets = stage.namespace.api::<k8s_openapi::api::core::v1::Secret>();
    secrets.delete("login", &parameters).await.unwrap();
    stage.delete("leaver").await;
    stage
        .until("leaver", "it says why it is kept", |status| {
            message(status, Submitted).contains("is kept until")
        })
        .await;
    stage.gone("leaver").await;
    let event = stage
        .event("leaver", "ReleasedUnresolved", "the outcome of attempt")
        .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"), "{event:#?}");
    assert_eq!(stage.posts().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_applied_again_is_not_admitted_by_an_earlier_list() {
    let mut world = Cloud::world();
    world["timings"]["desktopVisibleAfter"] = json!("1h");
    world["switches"]["repeatedDesktop"] = json!("accept");
    let stage = Stage::set_with("applied-again", world, &[endless("pc-1")]).await;
    let flags = [
        "--poll-interval=60s",
        "--max-signature-age=3s",
        "--job-visibility-timeout=2s",
    ];
    let _operator = stage.operator(&flags);
    stage.request("leaver", &["pc-1"]).await;
    stage.accepted("leaver").await;
    stage.delete("leaver").await;
    stage.gone("leaver").await;
    stage.request("leaver", &["pc-1"]).await;
    stage.reason("leaver", Submitted, "DeletionInProgress").await;
    assert_eq!(stage.posts().len(), 1, "{:#?}", stage.posts());
}
