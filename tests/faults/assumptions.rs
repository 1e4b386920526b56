//! The assumptions about the cloud are false (`docs/assumptions.md`): what was accepted shows later than the job visibility
//! timeout, or the history of jobs is erased. What happens is what that page says.

use serde_json::{Value, json};
use testkit::{Cloud, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, console_world, pair, says};
use crate::trial::{BOUND, FLAGS, lost};

/// Longer than any test: what was accepted shows when the test says so.
const LAG: &str = "1h";

/// A cloud that lets a submission be seen late, whose response is lost; and that receives another one so.
async fn lagging(name: &str, repeated: &str) -> Fixture {
    let mut world = Cloud::world();
    world["timings"]["jobVisibleAfter"] = json!(LAG);
    world["timings"]["desktopVisibleAfter"] = json!(LAG);
    world["switches"] = json!({"repeatedDesktop": repeated});
    let running = json!({"id": "pc-1", "outcome": {"result": "success", "running": LAG}});
    let fixture = Fixture::set_with(name, world, &[running]).await;
    fixture.cloud.add_fault(&lost(true, &json!("reset"))).unwrap();
    fixture
}

/// Waits until the first attempt was settled without having been seen, and another one was answered.
async fn tried_again(fixture: &Fixture) {
    eventually("another attempt", BOUND, async || match fixture.posts().len() {
        0 | 1 => Err("there is one attempt"),
        _ => Ok(()),
    })
    .await
    .unwrap();
}

/// What was accepted shows, and ends: the desktop is deleted in truth.
async fn shown_and_ended(fixture: &Fixture) {
    fixture.cloud.simulator().show_jobs();
    fixture.cloud.simulator().end_jobs();
    eventually("the desktop is gone", BOUND, async || {
        let left = fixture.cloud.simulator().desktops();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_job_that_becomes_visible_after_the_job_visibility_timeout_is_found_before_another_attempt() {
    let fixture = lagging("lag-conflict", "conflict").await;
    let _operator = fixture.operator(&FLAGS[1..]);
    fixture.request("leaver", &["pc-1"]).await;
    tried_again(&fixture).await;
    shown_and_ended(&fixture).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let first = &status["attempts"][0];
    assert_eq!(first["outcome"], "NoEffect", "{status:#}");
    let posts = fixture.posts();
    assert_eq!(first["jobIDs"], json!([posts[0]["jobID"]]), "{status:#}");
    assert_eq!(
        fixture.effective_posts().len(),
        1,
        "the others were rejected: {posts:#?}"
    );
    fixture
        .event("leaver", "LateEffect", "Increase these flags")
        .await;
}

#[tokio::test]
async fn a_second_submission_that_is_accepted_before_the_first_one_is_visible_is_followed_alone() {
    let fixture = lagging("lag-accept", "accept").await;
    let _operator = fixture.operator(&FLAGS[1..]);
    fixture.request("leaver", &["pc-1"]).await;
    tried_again(&fixture).await;
    shown_and_ended(&fixture).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let posts = fixture.posts();
    assert_eq!(fixture.effective_posts().len(), 2, "{posts:#?}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(status["jobID"], posts[1]["jobID"], "{status:#}");
}

/// A request whose response is lost while the history is erased; its desktop's deletion has this outcome.
async fn erased(name: &str, outcome: &str) -> (Fixture, Value) {
    let fixture = Fixture::set(name, &[json!({"id": "pc-1", "outcome": outcome})]).await;
    fixture.cloud.add_fault(&lost(true, &json!("timeout"))).unwrap();
    let first = fixture.operator(&FLAGS[1..]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    // Its sender never receives the response, and its records are gone before evidence is read.
    first.kill().await.unwrap();
    fixture.cloud.simulator().erase_jobs();
    let _second = fixture.operator(&FLAGS[1..]);
    let status = fixture.completed("leaver").await;
    (fixture, status)
}

#[tokio::test]
async fn a_job_whose_records_are_erased_is_known_by_its_desktops() {
    let (fixture, status) = erased("erased-traces", "success").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(says(&status, Submitted), pair("True", "JobUnknown"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_batch_whose_job_failed_completely_and_whose_records_are_erased_is_submitted_again() {
    let (fixture, status) = erased("erased-whole", "failed").await;
    assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(fixture.effective_posts().len(), 2);
}

#[tokio::test]
async fn a_history_that_lacks_earlier_jobs_is_not_evidence_and_user_action_is_required() {
    let failing = json!({"id": "pc-1", "outcome": "failed"});
    let fixture = Fixture::set_with("erased-baseline", console_world(), &[failing]).await;
    fixture.delete_elsewhere(&["pc-1"]).await;
    let held = json!({"operation": "batchDelete", "nth": 1, "answer": "reset"});
    fixture.cloud.add_fault(&held).unwrap();
    let _operator = fixture.operator(&FLAGS[1..]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    fixture.cloud.simulator().erase_jobs();
    let status = fixture.reason("leaver", Stalled, "OutcomeUnknown").await;
    let attempt = &status["attempts"][0];
    assert_eq!(attempt["outcome"], "Pending", "{status:#}");
    assert_eq!(
        attempt["baselineJobIDs"].as_array().map(Vec::len),
        Some(1),
        "{status:#}"
    );
    assert_eq!(fixture.posts().len(), 1);
}
