//! Undocumented responses, and calls without a response: the request continues, ends, or reports the problem.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::Cloud;

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, endless, entry, message, pair, says};

/// What the service answers to every call of an operation.
fn always(operation: &str, status: u16, body: &Value) -> Value {
    json!({"operation": operation, "answer": {"status": status, "body": body}})
}

fn error(code: &str) -> Value {
    json!({"error_code": code, "error_msg": "made up by a test"})
}

/// A page of one sub-job.
fn one_sub_job(job: &str, desktop: &str, status: &str) -> Value {
    let row = json!({
        "id": "sub-1", "job_id": job, "job_type": "deleteDesktops", "status": status,
        "entities": {"desktop_id": desktop},
    });
    json!({"total_count": 1, "jobs": [row]})
}

/// A job that says that of its only desktop.
fn job(id: &str, status: &str, desktop: &str, word: &str) -> Value {
    let sub_job = json!({"id": "sub-1", "status": word, "entities": {"desktop_id": desktop}});
    json!({"id": id, "status": status, "sub_jobs_total": 1, "sub_jobs": [sub_job]})
}

/// The job of the only submission.
async fn accepted_job(fixture: &Fixture) -> String {
    fixture.accepted("leaver").await;
    fixture.posts()[0]["jobID"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_that_is_not_known_is_not_final() {
    for (number, (status, code, reason)) in [
        (400, "APIG.0602", "RequestRefused"),
        (400, "SYS.0400", "RequestRefused"),
        (413, "APIGW.0201", "RequestRefused"),
        (400, "WKS.00170312", "ServiceDisabled"),
    ]
    .into_iter()
    .enumerate()
    {
        let fixture = Fixture::set(&format!("unknown-code-{number}"), &[desktop("pc-1")]).await;
        let refused = always("batchDelete", status, &error(code));
        fixture.cloud.add_fault(&refused).unwrap();
        let _operator = fixture.operator(&[]);
        fixture.request("leaver", &["pc-1"]).await;
        let refused_twice = |status: &Value| {
            status["refusedAttempts"].as_i64() >= Some(2) && says(status, Stalled) == pair("True", reason)
        };
        let status = fixture.until("leaver", "it is tried again", refused_twice).await;
        assert!(message(&status, Stalled).contains(code), "{status:#}");
        fixture.cloud.clear_faults();
        let status = fixture.completed("leaver").await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
}

#[tokio::test]
async fn an_error_code_in_a_success_response_is_reported() {
    let fixture = Fixture::set("error-in-200", &[desktop("pc-1")]).await;
    let broken = always("listSubJobs", 200, &error("WKS.00000003"));
    fixture.cloud.add_fault(&broken).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let reported = |status: &Value| status["lastError"]["code"] == "WKS.00000003";
    let status = fixture.until("leaver", "the error is reported", reported).await;
    assert_eq!(says(&status, Submitted).1, "ServiceUnavailable", "{status:#}");
    assert!(
        message(&status, Submitted).contains("made up by a test"),
        "{status:#}"
    );
    fixture.cloud.clear_faults();
    fixture.completed("leaver").await;
}

#[tokio::test]
async fn a_list_of_no_sub_jobs_may_be_left_out() {
    let fixture = Fixture::set("no-list", &[desktop("pc-1")]).await;
    let empty = json!({"total_count": 0, "jobs": null});
    fixture
        .cloud
        .add_fault(&always("listSubJobs", 200, &empty))
        .unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.accepted("leaver").await;
    assert_eq!(status["attempts"][0]["baselineIncomplete"], true, "{status:#}");
}

#[tokio::test]
async fn a_job_that_cannot_be_read_becomes_overdue_and_its_desktops_are_read() {
    for (number, (operation, status)) in [("showJob", 500), ("listSubJobs", 503), ("listSubJobs", 400)]
        .into_iter()
        .enumerate()
    {
        let fixture = Fixture::set(&format!("unread-job-{number}"), &["pc-1", "pc-2"].map(desktop)).await;
        fixture.cloud.add_desktop(&endless("pc-2")).unwrap();
        let _operator = fixture.operator(&["--job-overdue=5s", "--job-visibility-timeout=1s"]);
        fixture.request("leaver", &["pc-1", "pc-2"]).await;
        fixture.accepted("leaver").await;
        let broken = always(operation, status, &error("WKS.00000003"));
        fixture.cloud.add_fault(&broken).unwrap();
        let gone = |status: &Value| {
            entry(status, "pc-1")["state"] == "Deleted" && says(status, Stalled) == pair("True", "JobOverdue")
        };
        fixture
            .until("leaver", "it is overdue, and one desktop is gone", gone)
            .await;
    }
}

#[tokio::test]
async fn a_filter_that_is_refused_does_not_hide_the_end_of_a_job() {
    let fixture = Fixture::set("no-filter", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    let refused = always("listSubJobs", 400, &error("WKS.0001"));
    fixture.cloud.add_fault(&refused).unwrap();
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn under_a_job_that_has_ended_the_desktop_decides_what_an_undocumented_status_means() {
    for (number, (word, code)) in [
        ("ABNORMAL", "ABNORMAL"),
        ("CANCELLED", "CANCELLED"),
        ("", "NoStatus"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = Cloud::world();
        world["timings"]["desktopVisibleAfter"] = json!("1h");
        world["timings"]["running"] = json!("1h");
        let fixture = Fixture::set_with(&format!("odd-word-{number}"), world, &[desktop("pc-1")]).await;
        let _operator = fixture.operator(&[]);
        fixture.request("leaver", &["pc-1"]).await;
        let id = accepted_job(&fixture).await;
        for fault in [
            always("listSubJobs", 200, &one_sub_job(&id, "pc-1", word)),
            always("showJob", 200, &job(&id, "COMPLETE", "pc-1", word)),
        ] {
            fixture.cloud.add_fault(&fault).unwrap();
        }
        let status = fixture.completed("leaver").await;
        assert_eq!(says(&status, Succeeded), pair("False", "AllFailed"), "{status:#}");
        assert_eq!(entry(&status, "pc-1")["code"], code, "{status:#}");
    }
}

#[tokio::test]
async fn an_old_sub_job_with_an_undocumented_status_does_not_delay_a_request_for_long() {
    let fixture = Fixture::set("old-row", &[desktop("pc-1")]).await;
    let old = "2f0e3c3c-6d2f-4f0b-9c56-0a2d8e1f7b10";
    for fault in [
        always("listSubJobs", 200, &one_sub_job(old, "pc-1", "SKIPPED")),
        always("showJob", 200, &job(old, "COMPLETE", "pc-1", "SKIPPED")),
    ] {
        fixture.cloud.add_fault(&fault).unwrap();
    }
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    fixture.stored("leaver", Submitted, "DeletionInProgress").await;
}

#[tokio::test]
async fn a_job_of_another_client_that_cannot_be_read_delays_a_request_until_it_is_overdue() {
    let fixture = Fixture::set("unreadable-row", &[desktop("pc-1")]).await;
    let old = "2f0e3c3c-6d2f-4f0b-9c56-0a2d8e1f7b10";
    for fault in [
        always("listSubJobs", 200, &one_sub_job(old, "pc-1", "SKIPPED")),
        always("showJob", 500, &error("WKS.00000003")),
    ] {
        fixture.cloud.add_fault(&fault).unwrap();
    }
    let _operator = fixture.operator(&["--job-overdue=5s"]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    fixture.stored("leaver", Submitted, "DeletionInProgress").await;
}

#[tokio::test]
async fn a_request_that_expires_reports_what_it_waited_for() {
    let busy = json!({"id": "pc-1", "taskStatus": "rebuilding"});
    let fixture = Fixture::set("expires-told", &[busy]).await;
    let operator = fixture.operator(&[]);
    let mut listed = always("listDesktops", 503, &error("APIGW.0613"));
    // The check of the project is not affected.
    listed["desktop"] = json!("pc-1");
    fixture.request("leaver", &["pc-1"]).await;
    fixture.reason("leaver", Submitted, "Conflict").await;
    // The last error differs from the last error of a submission.
    fixture.cloud.add_fault(&listed).unwrap();
    fixture.reason("leaver", Submitted, "ServiceUnavailable").await;
    assert_eq!(operator.stopped().await, 0);
    // By now, or soon, the deadline has passed.
    let _operator = fixture.operator(&["--request-deadline=6s", "--max-signature-age=5s"]);
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("False", "Expired"), "{status:#}");
    let text = message(&status, Succeeded);
    assert!(
        text.contains("last status:") && text.contains("APIGW.0613"),
        "{text}"
    );
    assert_eq!(status["lastError"]["code"], "APIGW.0613", "{status:#}");
}

#[tokio::test]
async fn an_annotation_cannot_write_into_the_log() {
    let fixture = Fixture::set("odd-annotation", &[endless("pc-1")]).await;
    let operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.accepted("leaver").await;
    let value = "x\nERROR forged\u{1b}[31m\u{202e}=retry";
    let patch = Patch::Merge(json!({"metadata": {"annotations": {RESOLVE_ANNOTATION: value}}}));
    fixture
        .requests()
        .patch("leaver", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let event = fixture.event("leaver", "ResolveRefused", "forged").await;
    let note = event.note.unwrap();
    for hidden in ['\n', '\u{1b}', '\u{202e}'] {
        assert!(!note.contains(hidden), "{note:?}");
    }
    let log = operator.log();
    assert!(
        !log.contains("\nERROR forged") && !log.contains('\u{202e}'),
        "{log}"
    );
}
