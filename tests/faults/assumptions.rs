//! The assumptions about the cloud are false (`docs/assumptions.md`): what was accepted shows later than the job visibility timeout,
//! or the history of jobs is erased. What happens is what that page says.

use serde_json::{Value, json};
use testkit::{Cloud, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::scene::{BOUND, FLAGS, lost};
use crate::stage::{Stage, console_world, pair, says};

/// Longer than any test: what was accepted shows when the test says so.
const LAG: &str = "1h";

/// A cloud that lets a submission be seen late, whose answer is lost; and that receives another one so.
async fn lagging(name: &str, repeated: &str) -> Stage {
    let mut world = Cloud::world();
    world["timings"]["jobVisibleAfter"] = json!(LAG);
    world["timings"]["desktopVisibleAfter"] = json!(LAG);
    world["switches"] = json!({"repeatedDesktop": repeated});
    let running = json!({"id": "pc-1", "outcome": {"result": "success", "running": LAG}});
    let stage = Stage::set_with(name, world, &[running]).await;
    stage.cloud.add_fault(&lost(true, &json!("reset"))).unwrap();
    stage
}

/// Waits until the first attempt was settled without having been seen, and another one was answered.
async fn tried_again(stage: &Stage) {
    eventually("another attempt", BOUND, async || match stage.posts().len() {
        0 | 1 => Err("there is one attempt"),
        _ => Ok(()),
    })
    .await
    .unwrap();
}

/// What was accepted shows, and ends: the desktop is deleted in truth.
async fn shown_and_ended(stage: &Stage) {
    stage.cloud.simulator().show_jobs();
    stage.cloud.simulator().end_jobs();
    eventually("the desktop is gone", BOUND, async || {
        let left = stage.cloud.simulator().desktops();
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
async fn a_job_that_shows_later_than_the_settle_time_is_found_before_another_attempt_is_made() {
    let stage = lagging("lag-conflict", "conflict").await;
    let _operator = stage.operator(&FLAGS[1..]);
    stage.request("leaver", &["pc-1"]).await;
    tried_again(&stage).await;
    shown_and_ended(&stage).await;
    let status = stage.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let first = &status["attempts"][0];
    assert_eq!(first["outcome"], "NoEffect", "{status:#}");
    let posts = stage.posts();
    assert_eq!(first["jobIDs"], json!([posts[0]["jobID"]]), "{status:#}");
    assert_eq!(
        stage.effective_posts().len(),
        1,
        "the others were refused: {posts:#?}"
    );
    stage.event("leaver", "LateEffect", "Increase these flags").await;
}

#[tokio::test]
async fn a_second_submission_that_is_accepted_before_the_first_one_shows_is_followed_alone() {
    let stage = lagging("lag-accept", "accept").await;
    let _operator = stage.operator(&FLAGS[1..]);
    stage.request("leaver", &["pc-1"]).await;
    tried_again(&stage).await;
    shown_and_ended(&stage).await;
    let status = stage.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let posts = stage.posts();
    assert_eq!(stage.effective_posts().len(), 2, "{posts:#?}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(status["jobID"], posts[1]["jobID"], "{status:#}");
}

/// A request whose answer is lost while the history is erased; its desktop's deletion has this outcome.
async fn erased(name: &str, outcome: &str) -> (Stage, Value) {
    let stage = Stage::set(name, &[json!({"id": "pc-1", "outcome": outcome})]).await;
    let held = json!({"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": {"delay": "2s"}});
    stage.cloud.add_fault(&held).unwrap();
    let first = stage.operator(&FLAGS[1..]);
    stage.request("leaver", &["pc-1"]).await;
    stage.struck().await;
    // Its sender never hears of it, and its records are gone before anybody looks.
    first.kill().await.unwrap();
    stage.cloud.simulator().erase_jobs();
    let _second = stage.operator(&FLAGS[1..]);
    let status = stage.completed("leaver").await;
    (stage, status)
}

#[tokio::test]
async fn a_job_whose_records_are_erased_is_known_by_its_desktops() {
    let (stage, status) = erased("erased-traces", "success").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(says(&status, Submitted), pair("True", "JobUnknown"), "{status:#}");
    assert_eq!(stage.posts().len(), 1);
}

#[tokio::test]
async fn a_job_that_failed_whole_and_whose_records_are_erased_is_submitted_a_second_time() {
    let (stage, status) = erased("erased-whole", "failed").await;
    assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(stage.effective_posts().len(), 2);
}

#[tokio::test]
async fn a_history_that_lacks_what_was_there_before_proves_nothing_and_a_person_is_asked() {
    let failing = json!({"id": "pc-1", "outcome": "failed"});
    let stage = Stage::set_with("erased-baseline", console_world(), &[failing]).await;
    stage.delete_elsewhere(&["pc-1"]).await;
    let held = json!({"operation": "batchDelete", "nth": 1, "answer": "reset"});
    stage.cloud.add_fault(&held).unwrap();
    let _operator = stage.operator(&FLAGS[1..]);
    stage.request("leaver", &["pc-1"]).await;
    stage.struck().await;
    stage.cloud.simulator().erase_jobs();
    let status = stage.reason("leaver", Stalled, "OutcomeUnknown").await;
    let attempt = &status["attempts"][0];
    assert_eq!(attempt["outcome"], "Pending", "{status:#}");
    assert_eq!(
        attempt["baselineJobIDs"].as_array().map(Vec::len),
        Some(1),
        "{status:#}"
    );
    assert_eq!(stage.posts().len(), 1);
}
