//! Jobs that end in odd ways: the state of the desktops determines the result.

use serde_json::{Value, json};
use testkit::{Cloud, eventually};
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{
    Ready, Reconciling, Stalled, Submitted, Succeeded,
};

use crate::fixture::{BOUND, Fixture, desktop, endless, entry, message, pair, says};

fn ending(id: &str, result: &str) -> Value {
    json!({"id": id, "outcome": result})
}

#[tokio::test]
async fn the_state_of_the_desktops_overrides_the_result_of_the_job() {
    let desktops = [
        ending("said-to-have-failed", "failedButGone"),
        ending("never-mentioned", "noSubJob"),
        ending("passed-over", "ignored"),
        desktop("well-behaved"),
    ];
    let ids = desktops.each_ref().map(|desktop| desktop["id"].as_str().unwrap());
    let fixture = Fixture::set("odd-ends", &desktops).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &ids).await;
    let status = fixture.completed("leavers").await;
    assert_eq!(
        says(&status, Succeeded),
        pair("False", "PartiallyFailed"),
        "{status:#}"
    );
    let outcomes = ids.map(|id| entry(&status, id)["state"].clone());
    assert_eq!(
        outcomes,
        ["Deleted", "Deleted", "Failed", "Deleted"],
        "{status:#}"
    );
    assert_eq!(entry(&status, "passed-over")["code"], "NoSubJob");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_job_that_becomes_visible_late_is_waited_for() {
    let mut world = Cloud::world();
    world["timings"]["jobVisibleAfter"] = json!("2s");
    let fixture = Fixture::set_with("shows-late", world, &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&["--job-visibility-timeout=3s"]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_deleted_desktop_is_reported_while_the_deletion_of_another_one_runs() {
    // The first one ends after the first poll of the job, or before it.
    for initial_poll_delay in ["--initial-poll-delay=200ms", "--initial-poll-delay=6s"] {
        half_done(initial_poll_delay).await;
    }
}

async fn half_done(initial_poll_delay: &str) {
    let fixture = Fixture::set("half-done", &[desktop("pc-1"), endless("pc-2")]).await;
    let _operator = fixture.operator(&[initial_poll_delay]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let half = |status: &Value| {
        entry(status, "pc-1")["state"] == "Deleted" && entry(status, "pc-2")["state"] == "Deleting"
    };
    let status = fixture.until("leavers", "one desktop is gone", half).await;
    assert_eq!(
        says(&status, Succeeded),
        pair("Unknown", "JobRunning"),
        "{status:#}"
    );
    assert_eq!(status["summary"]["deleted"], 1, "{status:#}");
    let polls = fixture.cloud.calls(Operation::ListSubJobs).len();
    let more = async || {
        let now = fixture.cloud.calls(Operation::ListSubJobs).len();
        if now > polls + 3 { Ok(()) } else { Err(now) }
    };
    eventually("it is followed further", BOUND, more).await.unwrap();
    let reads = fixture.cloud.calls(Operation::ShowJob).len();
    assert!(reads <= 2, "what does not change is not read again: {reads}");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_reported_and_still_followed() {
    let fixture = Fixture::set("overdue", &[endless("pc-1")]).await;
    let _operator = fixture.operator(&["--job-overdue=2s"]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Stalled, "JobOverdue").await;
    assert_eq!(says(&status, Ready), pair("False", "JobOverdue"), "{status:#}");
    assert_eq!(says(&status, Reconciling), pair("absent", "absent"));
    assert_eq!(says(&status, Submitted), pair("True", "JobAccepted"));
    assert_eq!(says(&status, Succeeded), pair("Unknown", "JobRunning"));
    assert!(message(&status, Stalled).contains("pc-1"), "{status:#}");
    fixture.cloud.simulator().end_jobs();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(says(&status, Stalled), pair("absent", "absent"));
}

#[tokio::test]
async fn a_desktop_that_still_exists_after_its_job_succeeded_is_reported_as_failed() {
    // IDs are case-sensitive in queries of the service; its list must not seem to lack the desktop.
    let fixture = Fixture::set("still-present", &[ending("PC-1A", "successButPresent")]).await;
    let _operator = fixture.operator(&["--job-overdue=2s"]);
    fixture.request("leaver", &["PC-1A"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
    assert_eq!(entry(&status, "PC-1A")["code"], "StillPresent");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_job_whose_records_were_removed_does_not_block_a_request_forever() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "2s"}});
    let fixture = Fixture::set("erased", &[slow]).await;
    let _operator = fixture.operator(&["--job-overdue=4s"]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    fixture.cloud.simulator().erase_jobs();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn two_requests_never_have_one_desktop_in_flight() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "2s"}});
    let fixture = Fixture::set("overlap", &[slow, desktop("pc-2"), endless("pc-3")]).await;
    fixture.request("first", &["pc-1", "pc-2"]).await;
    fixture.request("second", &["pc-1"]).await;
    fixture.request("third", &["pc-2", "pc-1"]).await;
    let _operator = fixture.operator(&[]);
    for name in ["first", "second", "third"] {
        fixture.completed(name).await;
    }
    let bodies = fixture.effective_posts();
    let mut named: Vec<_> = bodies
        .iter()
        .flat_map(|body| body["desktop_ids"].as_array().unwrap().clone())
        .collect();
    named.sort_by_key(ToString::to_string);
    assert_eq!(named, ["pc-1", "pc-2"], "each once: {bodies:#?}");
    let verdicts: Vec<_> = {
        let mut all = Vec::new();
        for name in ["first", "second", "third"] {
            all.push(says(&fixture.status(name).await, Succeeded).0);
        }
        all
    };
    assert_eq!(verdicts, ["True", "True", "True"]);

    fixture.request("fourth", &["pc-3"]).await;
    fixture.accepted("fourth").await;
    fixture.request("fifth", &["pc-3"]).await;
    let status = fixture.reason("fifth", Submitted, "Overlap").await;
    assert!(message(&status, Submitted).contains("fourth"), "{status:#}");
}
