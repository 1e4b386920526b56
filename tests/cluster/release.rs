//! Deleting the object deletes nothing in the cloud, loses no job and causes no second submission.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::Cloud;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt::{self, lost};
use crate::fixture::{Fixture, desktop, endless, message, pair, says};

/// For a submission that gets no response in any case: its object is released earlier once its job is known.
const SOON_SHOWN: &[&str] = &["--submission-timeout=10s"];

#[tokio::test]
async fn a_request_that_was_not_submitted_is_released_at_once() {
    let fixture = Fixture::set("not-submitted", &["pc-1", "pc-2"].map(desktop)).await;
    let refusal =
        json!({"operation": "batchDelete", "answer": {"status": 403, "body": {"error_code": "WKS.0403"}}});
    fixture.cloud.add_fault(&refusal).unwrap();
    let _operator = fixture.operator(&["--retry-max=10m"]);
    fixture
        .request_with("held", &["pc-1"], json!({"suspend": true}))
        .await;
    fixture.request("refused", &["pc-2"]).await;
    fixture.reason("held", Submitted, "Suspended").await;
    fixture.reason("refused", Submitted, "PermissionDenied").await;
    for name in ["held", "refused"] {
        fixture.delete(name).await;
        fixture.gone(name).await;
    }
    assert_eq!(fixture.posts().len(), 1);
    assert_eq!(fixture.effective_posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_request_whose_job_runs_can_be_deleted_and_the_job_goes_on() {
    let fixture = Fixture::set("job-runs", &[endless("pc-1")]).await;
    let _operator = fixture.operator(&["--max-signature-age=3s", "--submission-timeout=25s"]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.accepted("leaver").await;
    fixture.delete("leaver").await;
    fixture.gone("leaver").await;
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
    let desktops = fixture.cloud.simulator().desktops();
    assert_eq!(desktops[0].task_status, "deleting");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_deleted_request_is_kept_until_its_submission_has_expired_and_its_job_is_stored() {
    let fixture = Fixture::set("kept", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(&[doubt::LONG_LIVED, SOON_SHOWN].concat());
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "AwaitingEvidence").await;
    fixture.delete("leaver").await;
    let status = fixture
        .until("leaver", "it reports why it is kept", |status| {
            message(status, Submitted).contains("is kept until")
        })
        .await;
    assert_eq!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    fixture.gone("leaver").await;

    let posts = fixture.posts();
    assert_eq!(posts.len(), 1);
    let writes = fixture.writes("leaver").await;
    let stored = writes.iter().rev().find_map(|write| {
        let status = &write.response_object.as_ref()?["status"];
        status["attempts"][0]["jobIDs"].is_array().then(|| status.clone())
    });
    let stored = stored.unwrap_or_else(|| panic!("the job is stored: {writes:#?}"));
    assert_eq!(stored["attempts"][0]["outcome"], "Adopted");
    assert_eq!(stored["jobID"], posts[0]["jobID"]);
}

#[tokio::test]
async fn a_second_request_for_the_same_desktops_does_not_submit_while_the_first_is_in_flight() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "1s"}});
    let fixture = Fixture::set("twin", &[slow]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", false, &json!({"delay": "1h"})))
        .unwrap();
    let flags = [doubt::LONG_LIVED, SOON_SHOWN].concat();
    let operator = fixture.operator(&flags);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    fixture.delete("leaver").await;
    let _operator = fixture.operator(&flags);
    fixture
        .until("leaver", "it reports why it is kept", |status| {
            message(status, Submitted).contains("is kept until")
        })
        .await;
    // The call takes effect only now: its sender has long been killed, and its object deleted.
    fixture.cloud.simulator().end_delays();
    fixture.gone("leaver").await;
    assert_eq!(
        fixture.effective_posts().len(),
        1,
        "it is kept until its call can no longer take effect"
    );

    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_deleted_request_is_kept_even_without_its_project_and_secret() {
    let fixture = Fixture::set("kept-alone", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(doubt::LONG_LIVED);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "AwaitingEvidence").await;
    let parameters = kube::api::DeleteParams::default();
    let projects = fixture.namespace.projects();
    projects.delete("prod", &parameters).await.unwrap();
    let secrets = fixture.namespace.api::<k8s_openapi::api::core::v1::Secret>();
    secrets.delete("login", &parameters).await.unwrap();
    fixture.delete("leaver").await;
    fixture
        .until("leaver", "it reports why it is kept", |status| {
            message(status, Submitted).contains("is kept until")
        })
        .await;
    fixture.gone("leaver").await;
    let event = fixture
        .event("leaver", "ReleasedUnresolved", "the outcome of attempt")
        .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"), "{event:#?}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_created_again_is_not_admitted_based_on_an_earlier_list() {
    let mut world = Cloud::world();
    world["timings"]["desktopVisibleAfter"] = json!("1h");
    world["switches"]["repeatedDesktop"] = json!("accept");
    let fixture = Fixture::set_with("applied-again", world, &[endless("pc-1")]).await;
    let flags = [
        "--poll-interval=60s",
        "--max-signature-age=3s",
        "--submission-timeout=25s",
        "--job-visibility-timeout=2s",
    ];
    let _operator = fixture.operator(&flags);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    fixture.delete("leaver").await;
    fixture.gone("leaver").await;
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "DeletionInProgress").await;
    assert_eq!(fixture.posts().len(), 1, "{:#?}", fixture.posts());
}
