//! The response to a submission is lost: it is never repeated on a guess, and its job is found again.

use serde_json::{Value, json};
use testkit::{ApiServerProxy, Cloud, Moment, SERVICE_ACCOUNT, Trap, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Reconciling, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, desktop, message, pair, says};
use crate::metrics::shows;

/// The operator assumes that a signature lives for six seconds. The cloud accepts it for longer, so that a call is late
/// only where a test wants it.
pub(crate) const FLAGS: &[&str] = &[
    "--signature-window=6s",
    "--max-signature-age=3s",
    "--job-visibility-timeout=1s",
    "--clock-skew=2s",
];

/// The same, with signatures that live so long that a call is still sent and carried out in time on a machine that
/// stands still for ten seconds.
pub(crate) const STEADY: &[&str] = &[
    "--signature-window=16s",
    "--max-signature-age=12s",
    "--job-visibility-timeout=1s",
    "--clock-skew=2s",
];

/// The same, with signatures that live so long that what a request reports meanwhile is seen, on a busy
/// machine too.
pub(crate) const LONG_LIVED: &[&str] = &[
    "--signature-window=30s",
    "--max-signature-age=12s",
    "--job-visibility-timeout=1s",
    "--clock-skew=2s",
];

/// A fault of the first batch-delete that names this desktop.
pub(crate) fn lost(desktop: &str, effect_first: bool, answer: &Value) -> Value {
    json!({
        "operation": "batchDelete", "desktop": desktop, "nth": 1, "effectFirst": effect_first, "answer": answer,
    })
}

/// A proxy behind which the outcome of the first attempt of a request is not recorded as long as the trap
/// exists: even if the operator is killed late, the attempt stays pending.
pub(crate) async fn unrecorded(fixture: &Fixture, request: &'static str) -> (ApiServerProxy, Trap) {
    let namespace = fixture.namespace.name();
    let proxy = ApiServerProxy::start(fixture.control_plane, namespace, SERVICE_ACCOUNT).await;
    let proxy = proxy.unwrap();
    let trap = proxy.trap(Moment::Before, 1, move |asked| {
        let outcome = &asked.body["status"]["attempts"][0]["outcome"];
        asked.writes("desktopdeletions", "status", request)
            && outcome.as_str().is_some_and(|outcome| outcome != "Pending")
    });
    (proxy, trap)
}

/// The ledger's batch-deletes that name a desktop.
fn posts_of(fixture: &Fixture, desktop: &str) -> Vec<Value> {
    let mut posts = fixture.posts();
    posts.retain(|post| {
        crate::fixture::body(post)["desktop_ids"]
            .as_array()
            .unwrap()
            .contains(&json!(desktop))
    });
    posts
}

fn assert_recovered(fixture: &Fixture, desktop: &str, status: &Value) {
    let posts = posts_of(fixture, desktop);
    assert_eq!(posts.len(), 1, "never repeated: {posts:#?}");
    assert_eq!(
        says(status, Submitted),
        pair("True", "JobRecovered"),
        "{status:#}"
    );
    assert_eq!(says(status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(status["jobID"], posts[0]["jobID"], "{status:#}");
    assert_eq!(status["attempts"][0]["outcome"], "Adopted");
    assert_eq!(status["attempts"][0]["bodyDigest"], posts[0]["bodyDigest"]);
}

#[tokio::test]
async fn the_job_of_a_submission_whose_response_is_lost_is_found_and_the_call_is_never_repeated() {
    let ways = [
        ("reset", json!("reset")),
        ("timeout", json!("timeout")),
        ("cut", json!({"cutAfter": 5})),
        ("gateway", json!({"status": 504})),
        ("internal", json!({"status": 500})),
        (
            "moved",
            json!({"status": 307, "headers": {"Location": "https://example.com/"}}),
        ),
        ("unreadable", json!({"status": 202, "body": "thank you"})),
    ];
    let desktops: Vec<_> = ways.iter().map(|(way, _)| desktop(way)).collect();
    let fixture = Fixture::set("lost", &desktops).await;
    for (way, answer) in &ways {
        fixture.cloud.add_fault(&lost(way, true, answer)).unwrap();
    }
    let _operator = fixture.operator(&[STEADY, &["--submission-timeout=10s"]].concat());
    for (way, _) in &ways {
        fixture.request(way, &[way]).await;
    }
    for (way, _) in &ways {
        let status = fixture.completed(way).await;
        assert_recovered(&fixture, way, &status);
    }
}

#[tokio::test]
async fn a_request_reports_that_its_response_is_missing() {
    let fixture = Fixture::set("doubt", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "AwaitingEvidence").await;
    let status = fixture.stored("leaver", Submitted, "AwaitingEvidence").await;
    assert_eq!(
        says(&status, Reconciling),
        pair("True", "AwaitingEvidence"),
        "{status:#}"
    );
    assert_eq!(says(&status, Succeeded), pair("Unknown", "Waiting"), "{status:#}");
    assert_eq!(status["attempts"][0]["outcome"], "Pending");
    assert_eq!(status["lastError"]["class"], "InDoubt");
    let posts = fixture.posts();
    let job = posts[0]["jobID"].as_str().unwrap();
    fixture
        .until("leaver", "the candidate is named", |status| {
            message(status, Submitted).contains(job)
        })
        .await;
    assert_eq!(posts.len(), 1);
}

#[tokio::test]
async fn after_three_lost_responses_in_a_row_new_requests_wait_and_report_the_reason() {
    let names = ["pc-1", "pc-2", "pc-3", "pc-4"];
    let fixture = Fixture::set("unanswered", &names.map(desktop)).await;
    for name in &names[..3] {
        fixture
            .cloud
            .add_fault(&lost(name, true, &json!("reset")))
            .unwrap();
    }
    // The pause after the third lasts for four minutes.
    let operator = fixture.operator(&["--retry-min=60s", "--retry-max=10m"]);
    for name in &names[..3] {
        fixture.request(name, &[name]).await;
        fixture.reason(name, Submitted, "AwaitingEvidence").await;
    }
    fixture.request("pc-4", &["pc-4"]).await;
    let status = fixture.reason("pc-4", Submitted, "ServiceUnavailable").await;
    let said = message(&status, Submitted);
    assert!(said.contains("the last 3 delete requests"), "{said}");
    assert_eq!(says(&status, Reconciling), pair("True", "Retrying"), "{status:#}");
    assert_eq!(status["attempts"], Value::Null, "no intent without a call");
    assert_eq!(fixture.posts().len(), 3);
    shows(
        &fixture,
        &operator,
        &[
            ("circuit_breaker_open{breaker=\"unanswered\"}", 1.0),
            ("circuit_breaker_trips_total{breaker=\"unanswered\"}", 1.0),
        ],
    )
    .await;
    // Reads are not held: the jobs of the three are found all the same.
    for name in &names[..3] {
        fixture
            .until(name, "the candidate is named", |status| {
                message(status, Submitted).contains("Probable job: ")
            })
            .await;
    }
}

#[tokio::test]
async fn evidence_counts_once_it_can_be_read_completely() {
    let fixture = Fixture::set("unread", &[desktop("pc-1")]).await;
    let fault = lost("pc-1", false, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(&[STEADY, &["--recovery-timeout=2s"]].concat());
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    // A list that lacks what it counts.
    let short = json!({"status": 200, "body": {"total_count": 3, "jobs": []}});
    let fault = json!({"operation": "listSubJobs", "answer": short});
    fixture.cloud.add_fault(&fault).unwrap();
    fixture.reason("leaver", Submitted, "OutcomeUnknown").await;
    fixture.cloud.clear_faults();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(posts_of(&fixture, "pc-1").len(), 2);
}

#[tokio::test]
async fn a_submission_without_effect_is_repeated_once_the_first_call_has_expired() {
    let fixture = Fixture::set("no-effect", &["pc-1", "pc-2"].map(desktop)).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", false, &json!("reset")))
        .unwrap();
    let _operator = fixture.operator(STEADY);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(says(&status, Submitted), pair("True", "JobAccepted"));
    let outcomes: Vec<_> = (0..3).map(|n| status["attempts"][n]["outcome"].clone()).collect();
    assert_eq!(
        outcomes,
        [json!("NoEffect"), json!("Accepted"), Value::Null],
        "{status:#}"
    );
    let posts = fixture.posts();
    assert_eq!(posts.len(), 2, "{posts:#?}");
    assert_eq!(fixture.effective_posts().len(), 1);
    assert_eq!(status["jobID"], posts[1]["jobID"]);
}

/// The operator is killed while its submission is on the way, and started again.
async fn killed(name: &str, effect_first: bool, answer: &Value) {
    let fixture = Fixture::set(name, &["pc-1", "pc-2"].map(desktop)).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", effect_first, answer))
        .unwrap();
    let (proxy, _unrecorded) = unrecorded(&fixture, "leavers").await;
    let operator = fixture.operator_at(proxy.kubeconfig(), STEADY);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    let status = fixture.status("leavers").await;
    assert_eq!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    drop(operator);
    let _operator = fixture.operator(STEADY);
    let status = fixture.completed("leavers").await;
    assert_recovered(&fixture, "pc-1", &status);
}

#[tokio::test]
async fn a_job_is_found_again_after_a_crash_of_the_operator() {
    killed("killed", true, &json!("timeout")).await;
}

#[tokio::test]
async fn a_submission_that_arrives_after_the_crash_of_its_sender_is_also_found() {
    killed("killed-early", false, &json!({"delay": "3s"})).await;
}

#[tokio::test]
async fn a_submission_that_arrives_after_its_signature_window_is_refused_and_repeated() {
    let fixture = Fixture::set("too-late", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", false, &json!({"delay": "12s"})))
        .unwrap();
    let (proxy, _unrecorded) = unrecorded(&fixture, "leaver").await;
    let operator = fixture.operator_at(proxy.kubeconfig(), LONG_LIVED);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    fixture.change_timings(json!({"signatureWindow": "6s"})).await;
    let _operator = fixture.operator(LONG_LIVED);
    let look = async || {
        let posts = fixture.posts();
        if posts.iter().any(|post| post["status"] == 401) {
            Ok(())
        } else {
            Err(format!("{posts:#?}"))
        }
    };
    eventually("the late call is refused", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    // The call that follows must not be refused, however long it is on its way.
    fixture.change_timings(json!({"signatureWindow": "15m"})).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let posts = fixture.posts();
    let statuses: Vec<_> = posts.iter().map(|post| post["status"].clone()).collect();
    assert_eq!(statuses, [json!(401), json!(202)], "{posts:#?}");
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect");
    assert_eq!(status["jobID"], posts[1]["jobID"]);
}

#[tokio::test]
async fn a_submission_that_arrives_late_and_becomes_visible_even_later_is_also_found() {
    let mut world = Cloud::world();
    world["timings"]["jobVisibleAfter"] = json!("14s");
    world["timings"]["desktopVisibleAfter"] = json!("14s");
    let fixture = Fixture::set_with("shows-late-too", world, &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", false, &json!({"delay": "15s"})))
        .unwrap();
    // What took effect shows seven seconds after the call has expired, and long before the second read of the evidence.
    let flags = [
        "--signature-window=20s",
        "--max-signature-age=15s",
        "--job-visibility-timeout=30s",
        "--clock-skew=2s",
    ];
    let (proxy, _unrecorded) = unrecorded(&fixture, "leaver").await;
    let operator = fixture.operator_at(proxy.kubeconfig(), &flags);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    let _operator = fixture.operator(&flags);
    let status = fixture.completed("leaver").await;
    assert_recovered(&fixture, "pc-1", &status);
}
