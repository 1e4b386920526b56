//! The main job: a request is submitted once, followed, verified, and told in conditions.

use serde_json::json;

use desktop_deletion_operator::crd::conditions::ConditionType::{
    Ready, Reconciling, Stalled, Submitted, Succeeded,
};

use crate::stage::{Stage, desktop, says};

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn a_request_is_submitted_once_followed_and_verified() {
    let ids = ["pc-1", "pc-2", "pc-3"];
    let stage = Stage::set("happy", &ids.map(desktop)).await;
    let _operator = stage.operator(&[]);
    stage.request("leavers", &ids).await;
    let status = stage.completed("leavers").await;

    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"));
    assert_eq!(says(&status, Ready), pair("True", "AllDeleted"));
    assert_eq!(says(&status, Reconciling), pair("absent", "absent"));
    assert_eq!(says(&status, Stalled), pair("absent", "absent"));
    assert_eq!(status["summary"]["deleted"], 3);
    let posts = stage.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(status["jobID"], posts[0]["jobID"]);
    assert_eq!(status["attempts"][0]["bodyDigest"], posts[0]["bodyDigest"]);
    assert_eq!(
        crate::stage::body(&posts[0]),
        json!({"desktop_ids": ids, "delete_users": false, "email_notification": true, "is_force_delete": false})
    );
}
