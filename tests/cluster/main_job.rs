//! The main job: a request is submitted once, followed, verified, and reported in conditions.

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use testkit::Cloud;
use testkit::cloud::{PROJECT_ID, REGION};

use desktop_deletion_operator::crd::conditions::ConditionType::{
    Ready, Reconciling, Stalled, Submitted, Succeeded,
};

use crate::fixture::{Fixture, body, console_world, desktop, entry, message, pair, says};

#[tokio::test]
async fn a_request_is_submitted_once_followed_and_verified() {
    let ids = ["pc-1", "pc-2", "pc-3"];
    let fixture = Fixture::set("happy", &ids.map(desktop)).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &ids).await;
    let status = fixture.completed("leavers").await;

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
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(status["jobID"], posts[0]["jobID"]);
    assert_eq!(status["attempts"][0]["bodyDigest"], posts[0]["bodyDigest"]);
    assert_eq!(
        body(&posts[0]),
        json!({"desktop_ids": ids, "delete_users": false, "email_notification": true, "is_force_delete": false})
    );
}

/// Server-side apply, as Argo CD and Flux use it, lives on them: the operator does not send them back.
#[tokio::test]
async fn the_field_ownership_of_the_spec_does_not_change() {
    let fixture = Fixture::set("owners", &[desktop("pc-1")]).await;
    let spec_is_owned_by = |object: &DynamicObject| {
        let owners = object.managed_fields().iter().filter(|owner| {
            let fields = owner.fields_v1.as_ref().map(|fields| &fields.0);
            fields.is_some_and(|fields| !fields["f:spec"].is_null())
        });
        owners.cloned().collect::<Vec<_>>()
    };
    let before = spec_is_owned_by(&fixture.request("leaver", &["pc-1"]).await);
    let _operator = fixture.operator(&[]);
    fixture.completed("leaver").await;

    let after = spec_is_owned_by(&fixture.requests().get("leaver").await.unwrap());
    assert_eq!(before.len(), 1, "{before:#?}");
    assert_eq!(after, before);
}

#[tokio::test]
async fn the_flags_of_a_request_reach_the_cloud() {
    let fixture = Fixture::set("flags", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    let flags = json!({"deleteUsers": true, "emailNotification": false, "force": true});
    fixture.request_with("leaver", &["pc-1"], flags).await;
    let status = fixture.completed("leaver").await;

    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(
        fixture.effective_posts(),
        [json!({
            "desktop_ids": ["pc-1"],
            "delete_users": true,
            "email_notification": false,
            "is_force_delete": true,
        })]
    );
}

#[tokio::test]
async fn only_the_desktops_that_exist_are_submitted() {
    let fixture = Fixture::set("some-absent", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-none", "pc-1"]).await;
    let status = fixture.completed("leavers").await;

    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(entry(&status, "pc-none")["state"], "Absent");
    assert_eq!(entry(&status, "pc-1")["state"], "Deleted");
    let counts = json!({"total": 2, "absent": 1, "deleted": 1, "deleting": 0, "failed": 0, "pending": 0, "unknown": 0});
    assert_eq!(status["summary"], counts);
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(body(&posts[0])["desktop_ids"], json!(["pc-1"]));
    assert_eq!(status["attempts"][0]["desktopIDs"], json!(["pc-1"]));
}

#[tokio::test]
async fn a_request_without_existing_desktops_ends_without_a_submission() {
    let fixture = Fixture::set("all-absent", &[]).await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.completed("leavers").await;

    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(says(&status, Submitted), pair("False", "NothingToDelete"));
    assert_eq!(says(&status, Stalled), pair("absent", "absent"));
    let text = message(&status, Succeeded);
    assert!(text.contains(PROJECT_ID) && text.contains(REGION), "{text}");
    assert_eq!(status["summary"]["absent"], 2);
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    let writes = fixture.writes("leavers").await;
    assert!(!writes.is_empty());
    for write in writes {
        let object = write.object_ref.as_ref().unwrap();
        assert_eq!(
            object.subresource, "status",
            "no finalizer is ever written: {write:#?}"
        );
    }
}

fn failing(id: &str) -> Value {
    let reason = "the port of the desktop could not be removed";
    json!({"id": id, "outcome": {"result": "failed", "errorCode": "WKS.00010500", "failReason": reason}})
}

#[tokio::test]
async fn a_desktop_that_the_cloud_fails_to_delete_is_named_with_the_cloud_s_reason() {
    let fixture = Fixture::set("partial", &[desktop("pc-1"), failing("pc-2")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.completed("leavers").await;

    assert_eq!(
        says(&status, Succeeded),
        pair("False", "PartiallyFailed"),
        "{status:#}"
    );
    assert_eq!(says(&status, Ready), pair("False", "PartiallyFailed"));
    assert_eq!(says(&status, Stalled), pair("True", "PartiallyFailed"));
    assert_eq!(says(&status, Submitted), pair("True", "JobAccepted"));
    assert_eq!(entry(&status, "pc-1")["state"], "Deleted");
    let failed = entry(&status, "pc-2");
    assert_eq!(failed["state"], "Failed");
    assert_eq!(failed["code"], "WKS.00010500");
    assert_eq!(failed["message"], "the port of the desktop could not be removed");
    let text = message(&status, Succeeded);
    assert!(text.contains("pc-2") && text.contains("the port"), "{text}");
    assert_eq!(fixture.posts().len(), 1, "a failure in the cloud is not repeated");
}

#[tokio::test]
async fn a_request_whose_desktops_all_fail_is_reported_as_all_failed() {
    let mut world = Cloud::world();
    world["switches"] = json!({"failedDesktop": "deleteFailed", "parentFailure": "FAILED"});
    let fixture = Fixture::set_with("all-fail", world, &[failing("pc-1"), failing("pc-2")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.completed("leavers").await;

    assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
    assert_eq!(says(&status, Stalled), pair("True", "AllFailed"));
    assert_eq!(status["summary"]["failed"], 2);
    assert_eq!(fixture.posts().len(), 1);
}

/// The desktop stays for a while after its job has ended, with an empty status, and then reads as `switches` say.
async fn a_deletion_ends_well(name: &str, switches: Value) {
    let mut world = Cloud::world();
    world["timings"] =
        json!({"waiting": "200ms", "running": "800ms", "emptyStatus": "500ms", "goneAfter": "1s"});
    world["switches"] = switches;
    let fixture = Fixture::set_with(name, world, &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(entry(&status, "pc-1")["state"], "Deleted");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_desktop_that_ends_in_404_is_deleted() {
    a_deletion_ends_well("ends-404", json!({"deletedDesktop": "notFound"})).await;
}

#[tokio::test]
async fn a_desktop_that_ends_as_deleted_is_deleted() {
    let switches = json!({
        "deletedDesktop": "deleted",
        "listsShowDeleted": true,
        "emptyStatus": "null",
        "parentSuccess": "COMPLETE",
    });
    a_deletion_ends_well("ends-deleted", switches).await;
}

#[tokio::test]
async fn a_region_that_ignores_the_filter_of_the_list_does_not_mislead() {
    let mut world = Cloud::world();
    world["switches"] = json!({"ignoreDesktopFilter": true, "desktopAsArray": true, "lowerCaseStatus": true});
    let fixture = Fixture::set_with("no-filter", world, &["pc-1", "pc-2", "pc-3"].map(desktop)).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-3", "pc-none"]).await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(entry(&status, "pc-none")["state"], "Absent");
    let posts = fixture.effective_posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(posts[0]["desktop_ids"], json!(["pc-3"]));
}

#[tokio::test]
async fn a_job_that_waits_is_waited_for() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "waiting": "1h"}});
    let fixture = Fixture::set("waiting", &[slow, desktop("pc-2")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.accepted("leavers").await;
    assert_eq!(
        says(&status, Reconciling),
        pair("True", "JobRunning"),
        "{status:#}"
    );
    fixture.more_ticks(PROJECT_ID, 3).await;
    fixture.cloud.simulator().end_jobs();
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn the_service_may_spell_the_ids_in_the_other_letter_case() {
    let slow = json!({"id": "pc-1a", "outcome": {"result": "success", "running": "2s"}});
    let fixture = Fixture::set("letter-case", &[slow]).await;
    let listed = json!({"total_count": 1, "desktops": [{"desktop_id": "PC-1A", "status": "ACTIVE"}]});
    let list = json!({"operation": "listDesktops", "desktop": "pc-1a", "nth": 1, "answer": {"status": 200, "body": listed}});
    fixture.cloud.add_fault(&list).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1a"]).await;
    let job = fixture.accepted("leaver").await["jobID"].clone();
    let row = json!({
        "id": "sub-1", "job_id": job, "job_type": "deleteDesktops", "status": "SUCCESS",
        "entities": {"desktop_id": "PC-1A"},
    });
    let jobs = json!({"status": 200, "body": {"total_count": 1, "jobs": [row]}});
    fixture
        .cloud
        .add_fault(&json!({"operation": "listSubJobs", "answer": jobs}))
        .unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let posts = fixture.effective_posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(
        posts[0]["desktop_ids"],
        json!(["pc-1a"]),
        "as the request spells it"
    );
}

#[tokio::test]
async fn a_hundred_desktops_go_in_one_call() {
    let ids: Vec<_> = (0..100)
        .map(|n| format!("{n:08x}-58f2-4cb1-9d0e-5c4e2d1b7a60"))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let desktops: Vec<_> = ids.iter().copied().map(desktop).collect();
    let fixture = Fixture::set("hundred", &desktops).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &ids).await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(status["summary"]["deleted"], 100);
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(body(&posts[0])["desktop_ids"], json!(ids));
}

#[tokio::test]
async fn a_desktop_that_another_client_deletes_is_waited_for() {
    let busy = |id: &str| json!({"id": id, "taskStatus": "deleting"});
    let fixture = Fixture::set("elsewhere", &[busy("pc-1"), desktop("pc-2")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.reason("leavers", Submitted, "DeletionInProgress").await;
    assert_eq!(says(&status, Reconciling), pair("True", "Retrying"), "{status:#}");
    let text = message(&status, Submitted);
    assert!(text.contains("pc-1") && !text.contains("pc-2"), "{text}");
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    fixture.cloud.add_desktop(&desktop("pc-1")).unwrap();
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_desktop_that_another_client_has_deleted_is_reported_as_absent() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "2s"}});
    let fixture = Fixture::set_with("elsewhere-gone", console_world(), &[slow]).await;
    fixture.delete_elsewhere(&["pc-1"]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("True", "AlreadyAbsent"),
        "{status:#}"
    );
    assert_eq!(fixture.posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_failed_job_of_another_client_is_not_mistaken_for_the_requests_own() {
    let mut world = console_world();
    // Only the job shows that another client deletes the desktop.
    world["timings"]["desktopVisibleAfter"] = json!("1h");
    let failing = json!({"id": "pc-1", "outcome": {"result": "failed", "running": "1h"}});
    let fixture = Fixture::set_with("elsewhere-failed", world, &[failing]).await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    fixture.delete_elsewhere(&["pc-1"]).await;
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "DeletionInProgress").await;
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    // First the job of the other client, then that of the request.
    fixture.cloud.simulator().end_jobs();
    fixture.accepted("leaver").await;
    fixture.cloud.simulator().end_jobs();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(status["jobID"], posts[0]["jobID"]);
    let theirs = fixture
        .cloud
        .calls(workspace_simulator::cloud::Operation::BatchDelete)[0]
        .job_id
        .clone();
    assert_eq!(status["attempts"][0]["baselineJobIDs"], json!([theirs]));
}
