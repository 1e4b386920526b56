//! Lists of sub-jobs that lack rows, and counts that are wrong: a missing row is not evidence.

use serde_json::{Value, json};
use testkit::Cloud;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt::{self, lost};
use crate::fixture::{Fixture, body, desktop, endless, entry, pair, says};

/// A page of sub-jobs in place of what the cloud would show.
fn page(total: usize, jobs: &Value) -> Value {
    let answer = json!({"status": 200, "body": {"total_count": total, "jobs": jobs}});
    json!({"operation": "listSubJobs", "answer": answer})
}

fn row(job: &str, desktop: &str) -> Value {
    json!({
        "id": format!("sub-{job}-{desktop}"), "job_id": job, "job_type": "deleteDesktops",
        "status": "SUCCESS", "entities": {"desktop_id": desktop},
    })
}

#[tokio::test]
async fn a_list_that_stops_at_a_capped_count_does_not_prove_that_nothing_happened() {
    let mut world = Cloud::world();
    world["switches"]["repeatedDesktop"] = json!("accept");
    world["timings"]["desktopVisibleAfter"] = json!("1h");
    world["timings"]["running"] = json!("1h");
    let fixture = Fixture::set_with("capped", world, &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let foreign: Vec<_> = (0..100).map(|n| row(&format!("job-{n}"), "pc-other")).collect();
    let _operator = fixture.operator(&[doubt::STEADY, &["--recovery-timeout=2s"]].concat());
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    fixture.cloud.add_fault(&page(100, &json!(foreign))).unwrap();
    let status = fixture.reason("leaver", Submitted, "OutcomeUnknown").await;
    assert_eq!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    fixture.cloud.clear_faults();
    let status = fixture.accepted("leaver").await;
    assert_eq!(status["attempts"][0]["outcome"], "Adopted", "{status:#}");
    assert_eq!(fixture.posts().len(), 1, "{:#?}", fixture.posts());
}

#[tokio::test]
async fn a_desktop_that_is_missing_from_a_truncated_list_is_not_reported_as_not_submitted() {
    let fixture = Fixture::set("one-row", &["pc-1", "pc-2"].map(endless)).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(&[doubt::STEADY, &["--recovery-timeout=2s"]].concat());
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    fixture.struck().await;
    let posts = fixture.posts();
    let job = posts[0]["jobID"].as_str().unwrap();
    let idle =
        |id: &str| json!({"desktop_id": id, "computer_name": id, "status": "ACTIVE", "task_status": ""});
    let untouched = json!({"total_count": 2, "desktops": [idle("pc-1"), idle("pc-2")]});
    let untouched = json!({"operation": "listDesktops", "answer": {"status": 200, "body": untouched}});
    fixture.cloud.add_fault(&untouched).unwrap();
    fixture
        .cloud
        .add_fault(&page(2, &json!([row(job, "pc-1")])))
        .unwrap();
    let status = fixture
        .until("leavers", "its job was found", |status| {
            status["attempts"][0]["outcome"] == "Adopted"
        })
        .await;
    assert_eq!(entry(&status, "pc-2")["state"], "Unknown", "{status:#}");
    fixture.cloud.clear_faults();
    fixture.cloud.simulator().end_jobs();
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(body(&fixture.posts()[0])["desktop_ids"], json!(["pc-1", "pc-2"]));
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn one_failed_read_at_the_end_of_an_abandoned_call_does_not_hide_its_job() {
    let fixture = Fixture::set("abandoned-late", &[endless("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(doubt::LONG_LIVED);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture
        .until("leaver", "the answer is missing", |status| {
            status["attempts"][0]["error"]["class"] == "InDoubt"
        })
        .await;
    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    fixture.resolve("leaver", &format!("{attempt}=abandon")).await;
    fixture
        .until("leaver", "it is abandoned", |status| {
            status["attempts"][0]["outcome"] == "Abandoned"
        })
        .await;
    // Nothing is read before the call has expired, so this one read is the evidence check.
    let refused = json!({"status": 503, "body": {"error_code": "APIGW.0613", "error_msg": "overloaded"}});
    let fault = json!({"operation": "listSubJobs", "nth": 1, "answer": refused});
    fixture.cloud.add_fault(&fault).unwrap();
    let status = fixture
        .until("leaver", "its job is noted", |status| {
            status["attempts"][0]["jobIDs"].is_array()
        })
        .await;
    assert_eq!(status["completionTime"], Value::Null, "{status:#}");
    assert_eq!(
        status["attempts"][0]["jobIDs"][0],
        fixture.posts()[0]["jobID"],
        "{status:#}"
    );
}
