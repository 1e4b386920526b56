//! Reads of desktops that are numerous, rejected, late or without an effective filter: the right desktops are
//! submitted, and problems are reported with the desktop.

use serde_json::{Value, json};
use testkit::Cloud;
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Reconciling, Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, body, console_world, desktop, entry, message, pair, says};
use crate::metrics;

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("pc-{n:03}")).collect()
}

fn all(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Every call that names that desktop is answered like this.
fn always(operation: &str, desktop: &str, status: u16, code: &str) -> Value {
    let body = json!({"error_code": code, "error_msg": "made up by a test"});
    json!({"operation": operation, "desktop": desktop, "answer": {"status": status, "body": body}})
}

#[tokio::test]
async fn a_region_that_ignores_the_filter_costs_a_few_pages_and_not_a_call_for_each_desktop() {
    let mut world = Cloud::world();
    world["switches"]["ignoreDesktopFilter"] = json!(true);
    let desktops: Vec<_> = names(0..300).iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set_with("no-filter-300", world, &desktops).await;
    let _operator = fixture.operator(&[]);
    let batch = names(200..300);
    fixture.request("leavers", &all(&batch)).await;
    fixture.accepted("leavers").await;
    let calls = fixture.cloud.ledger();
    assert!(calls.len() < 30, "{} calls: {calls:#?}", calls.len());
    assert_eq!(body(&fixture.posts()[0])["desktop_ids"], json!(batch));
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn in_a_region_that_ignores_the_filter_only_missing_desktops_are_read_individually() {
    let mut world = Cloud::world();
    world["switches"]["ignoreDesktopFilter"] = json!(true);
    let desktops: Vec<_> = names(0..150).iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set_with("no-filter-some", world, &desktops).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &all(&names(100..160))).await;
    fixture.accepted("leavers").await;
    assert_eq!(body(&fixture.posts()[0])["desktop_ids"], json!(names(100..150)));
    assert_eq!(fixture.cloud.calls(Operation::ShowDesktop).len(), 10);
}

#[tokio::test]
async fn under_a_low_rate_many_absent_desktops_are_each_read_once_and_the_conditions_report_progress() {
    let desktops: Vec<_> = names(0..3).iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("low-rate", &desktops).await;
    // Reads grow old long before all desktops are asked for.
    let _operator = fixture.operator(&["--requests-per-minute=60", "--max-signature-age=10s"]);
    fixture.request("leavers", &all(&names(0..40))).await;
    let status = fixture.reason("leavers", Submitted, "CheckingDesktops").await;
    let text = message(&status, Submitted);
    assert!(text.contains("of 40 desktops checked"), "{text}");
    let further = |status: &Value| {
        let now = message(status, Submitted);
        now.contains("of 40 desktops checked") && now != text
    };
    fixture.until("leavers", "it reports progress", further).await;
    fixture.accepted("leavers").await;
    assert_eq!(body(&fixture.posts()[0])["desktop_ids"], json!(names(0..3)));
    assert_eq!(fixture.cloud.calls(Operation::ShowDesktop).len(), 37);
}

#[tokio::test]
async fn desktops_that_are_read_individually_are_not_read_again_even_if_it_takes_long() {
    let desktops: Vec<_> = names(0..40).iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("one-by-one", &desktops).await;
    let empty = json!({"status": 200, "body": {"total_count": 0, "desktops": []}});
    let fault = json!({"operation": "listDesktops", "answer": empty});
    fixture.cloud.add_fault(&fault).unwrap();
    // Reads grow old before all desktops are asked for, which takes 33 seconds by the rate; the time of all other steps
    // counts, and has room.
    let _operator = fixture.operator(&["--requests-per-minute=60", "--max-signature-age=25s"]);
    fixture.request("leavers", &all(&names(0..40))).await;
    fixture.accepted("leavers").await;
    assert_eq!(body(&fixture.posts()[0])["desktop_ids"], json!(names(0..40)));
    assert_eq!(fixture.cloud.calls(Operation::ShowDesktop).len(), 40);
}

#[tokio::test]
async fn a_read_that_takes_longer_than_the_maximum_age_is_used_when_it_arrives() {
    for operation in ["listDesktops", "listSubJobs", "listDesktopsDetail"] {
        let fixture = Fixture::set(
            &format!("slow-{}", operation.to_lowercase()),
            &[desktop("pc-000")],
        )
        .await;
        let guardrails = json!({"guardrails": {"connectedSessions": "Refuse"}});
        fixture.change_project("prod", guardrails).await;
        let slow = json!({"operation": operation, "answer": {"delay": "4s"}});
        fixture.cloud.add_fault(&slow).unwrap();
        let _operator = fixture.operator(&["--max-signature-age=3s"]);
        fixture.request("leavers", &["pc-000"]).await;
        fixture.accepted("leavers").await;
        assert_eq!(fixture.posts().len(), 1);
    }
}

#[tokio::test]
async fn a_request_whose_first_read_is_slow_reports_that_it_waits() {
    let fixture = Fixture::set("slow-read", &[desktop("pc-000")]).await;
    let operator = fixture.operator(&["--first-report=2s"]);
    fixture.project_says("prod", "CredentialsValid").await;
    let slow = json!({"operation": "listDesktops", "desktop": "pc-000", "nth": 1, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&slow).unwrap();
    fixture.request("leavers", &["pc-000"]).await;
    let status = fixture.reason("leavers", Submitted, "Queued").await;
    fixture.cloud.simulator().end_delays();
    assert_eq!(says(&status, Reconciling), pair("True", "Queued"), "{status:#}");
    // It is counted apart from the writes of the usual path.
    let counted = "api_writes_total{kind=\"DesktopDeletion\",step=\"RecordQueued\"}";
    metrics::shows(&fixture, &operator, &[(counted, 1.0)]).await;
    // What was read for it meanwhile meets a newer object, and is not submitted upon.
    fixture.accepted("leavers").await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn one_failed_read_does_not_repeat_the_others() {
    let fixture = Fixture::set("one-fails", &[desktop("pc-000")]).await;
    let throttled = json!({"error_code": "APIGW.0308", "error_msg": "made up by a test"});
    let answer = json!({"status": 429, "body": throttled});
    let fault = json!({"operation": "showDesktop", "nth": 20, "answer": answer});
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &all(&names(0..31))).await;
    fixture.accepted("leavers").await;
    assert_eq!(body(&fixture.posts()[0])["desktop_ids"], json!(["pc-000"]));
    assert_eq!(fixture.cloud.calls(Operation::ShowDesktop).len(), 31);
}

#[tokio::test]
async fn a_desktop_that_can_never_be_read_is_named_and_the_others_are_not() {
    let fixture = Fixture::set("unreadable", &["pc-1", "pc-2"].map(desktop)).await;
    for fault in [
        always("showDesktop", "pc-odd", 500, "WKS.0202"),
        always("showDesktop", "pc-strange", 400, "WKS.00010001"),
    ] {
        fixture.cloud.add_fault(&fault).unwrap();
    }
    let _operator = fixture.operator(&[]);
    fixture
        .request("leavers", &["pc-1", "pc-odd", "pc-2", "pc-strange", "pc-none"])
        .await;
    let status = fixture.reason("leavers", Stalled, "ServiceUnavailable").await;
    let text = message(&status, Stalled);
    assert!(
        text.contains("so nothing is submitted: pc-odd, pc-strange. To delete the other desktops now"),
        "{text}"
    );
    assert!(text.contains("WKS.0202"), "{text}");
    assert_eq!(
        says(&status, Submitted),
        pair("False", "ServiceUnavailable"),
        "{status:#}"
    );
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    fixture.cloud.clear_faults();
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(entry(&status, "pc-odd")["state"], "Absent", "{status:#}");
}

#[tokio::test]
async fn a_desktop_for_which_lists_are_refused_is_found_and_named() {
    let desktops: Vec<_> = names(0..20).iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("refused-list", &desktops).await;
    for operation in ["listDesktops", "showDesktop"] {
        let fault = always(operation, "pc-007", 400, "WKS.00010001");
        fixture.cloud.add_fault(&fault).unwrap();
    }
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &all(&names(0..20))).await;
    let status = fixture.reason("leavers", Stalled, "RequestRefused").await;
    let text = message(&status, Stalled);
    assert!(text.contains("so nothing is submitted: pc-007. "), "{text}");
    let shown = fixture.cloud.calls(Operation::ShowDesktop);
    assert!(
        shown.iter().all(|call| call.path.ends_with("pc-007")),
        "{shown:#?}"
    );
    // A list that refuses it does not stand in the way once it can be read.
    fixture.cloud.clear_faults();
    let fault = always("listDesktops", "pc-007", 400, "WKS.00010001");
    fixture.cloud.add_fault(&fault).unwrap();
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_desktop_that_is_gone_is_left_out_though_the_list_still_shows_it() {
    let mut world = console_world();
    world["timings"]["listLag"] = json!("1h");
    let fixture = Fixture::set_with("list-lag", world, &["pc-gone", "pc-1"].map(desktop)).await;
    fixture.delete_elsewhere(&["pc-gone"]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-gone", "pc-1"]).await;
    fixture.accepted("leavers").await;
    fixture.change_timings(json!({"listLag": "0s"})).await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(entry(&status, "pc-gone")["state"], "Absent", "{status:#}");
    let sent: Vec<_> = fixture
        .posts()
        .iter()
        .map(|post| (body(post)["desktop_ids"].clone(), post["status"].clone()))
        .collect();
    let (last, refused) = sent.split_last().unwrap();
    assert_eq!(*last, (json!(["pc-1"]), json!(202)));
    assert_eq!(*refused, [(json!(["pc-gone", "pc-1"]), json!(404))]);
}
