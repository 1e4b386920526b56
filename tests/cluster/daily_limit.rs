//! A project takes only so many desktops within a day, even if its requests ask for more at the same time, and reports
//! it.

use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::eventually;
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, body, desktop, message, pair, refused_attempts, says};

async fn limit(fixture: &Fixture, most: u32) {
    fixture
        .change_project("prod", json!({"guardrails": {"maxDesktopsPerDay": most}}))
        .await;
}

/// `status.dailyUsage` of the project, once it is as wanted.
async fn usage(fixture: &Fixture, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = async || {
        let project = fixture.namespace.projects().get("prod").await.unwrap();
        let usage = project.data["status"]["dailyUsage"].clone();
        if wanted(&usage) {
            Ok(usage)
        } else {
            Err(format!("{usage:#}"))
        }
    };
    eventually(what, BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Desktops that were submitted, and how many submissions are not settled.
fn counts(usage: &Value) -> (u64, usize) {
    let list = |field: &str| usage[field].as_array().cloned().unwrap_or_default();
    let desktops = list("submitted")
        .iter()
        .map(|interval| interval["desktops"].as_u64().unwrap())
        .sum();
    (desktops, list("reservations").len())
}

async fn settled(fixture: &Fixture, desktops: u64) -> Value {
    let what = format!("{desktops} desktops count, and nothing is reserved");
    usage(fixture, &what, |usage| counts(usage) == (desktops, 0)).await
}

/// Desktops of all submissions that took effect.
fn submitted(fixture: &Fixture) -> usize {
    let lists = fixture.effective_posts();
    lists
        .iter()
        .map(|body| body["desktop_ids"].as_array().unwrap().len())
        .sum()
}

#[tokio::test]
async fn the_rest_of_the_daily_limit_goes_to_one_request_and_the_other_one_waits() {
    let fixture = Fixture::set("day", &["pc-1", "pc-2", "pc-3", "pc-4"].map(desktop)).await;
    limit(&fixture, 3).await;
    let _operator = fixture.operator(&[]);
    fixture.request("one", &["pc-1", "pc-2"]).await;
    let status = fixture.completed("one").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let usage = settled(&fixture, 2).await;

    fixture.request("other", &["pc-3", "pc-4"]).await;
    let status = fixture.reason("other", Submitted, "DailyLimitReached").await;
    let text = message(&status, Submitted);
    let opens = usage["submitted"][0]["countsUntil"].as_str().unwrap();
    assert!(
        text.contains("daily limit of WorkspaceProject prod (maxDesktopsPerDay: 3)")
            && text.contains(&format!("it can be submitted at {opens}")),
        "{text}"
    );
    // It reserves none of its desktops, and a smaller request has room.
    fixture.request("small", &["pc-3"]).await;
    fixture.completed("small").await;
    settled(&fixture, 3).await;
    // A larger one never has.
    fixture.request("large", &["pc-1", "pc-2", "pc-3", "pc-4"]).await;
    let status = fixture.reason("large", Submitted, "GuardrailViolated").await;
    assert_eq!(
        says(&status, Stalled),
        pair("True", "GuardrailViolated"),
        "{status:#}"
    );
    assert!(
        message(&status, Submitted).contains("maxDesktopsPerDay"),
        "{status:#}"
    );

    // It would fit then, and compete with the other one.
    fixture.delete("large").await;
    fixture.gone("large").await;
    limit(&fixture, 4).await;
    let status = fixture.completed("other").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 3);
}

#[tokio::test]
async fn a_submission_costs_two_writes_of_the_project_and_none_without_a_limit() {
    let fixture = Fixture::set("day-cost", &["pc-1", "pc-2"].map(desktop)).await;
    let _operator = fixture.operator(&[]);
    fixture.request("free", &["pc-1"]).await;
    fixture.completed("free").await;
    fixture.project_says("prod", "CredentialsValid").await;
    let before = project_writes(&fixture).await;
    limit(&fixture, 3).await;
    // The change of its spec is noted in its conditions.
    let noted = |project: &Value| project["observedGeneration"] == 2;
    let look = async || {
        let project = fixture.namespace.projects().get("prod").await.unwrap();
        let status = &project.data["status"];
        if noted(status) {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    };
    eventually("the limit is observed", BOUND, look).await.unwrap();
    let noted = project_writes(&fixture).await;
    assert_eq!(noted, before + 1);
    fixture.request("limited", &["pc-2"]).await;
    let status = fixture.completed("limited").await;
    settled(&fixture, 1).await;
    let costs = project_writes(&fixture).await - noted;
    let most = 2 + 2 * refused_attempts(&status);
    assert!((2..=most).contains(&costs), "{costs} writes: {status:#}");
}

/// So many writes of the project's status have gone through.
async fn project_writes(fixture: &Fixture) -> usize {
    let (resource, projects) = ("workspaceprojects", fixture.namespace.projects());
    let mut writes = fixture.audited(&projects, resource, "prod").await;
    writes.retain(|event| {
        event.is_write()
            && event.concerns(resource, fixture.namespace.name(), "prod")
            && event.by_service_account(testkit::SERVICE_ACCOUNT)
            && event.code() < 300
    });
    writes.len()
}

#[tokio::test]
async fn a_rejected_submission_releases_its_reserved_desktops() {
    let fixture = Fixture::set("day-refused", &["pc-1", "pc-2"].map(desktop)).await;
    limit(&fixture, 1).await;
    let answer = json!({
        "status": 400,
        "body": {"error_code": "WKS.0001", "error_msg": "no"},
    });
    let fault = json!({"operation": Operation::BatchDelete, "desktop": "pc-1", "answer": answer});
    fixture.cloud.add_fault(&fault).unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("refused", &["pc-1"]).await;
    let status = fixture.completed("refused").await;
    assert_eq!(says(&status, Succeeded), pair("False", "Rejected"), "{status:#}");
    usage(&fixture, "nothing counts", Value::is_null).await;
    fixture.request("other", &["pc-2"]).await;
    let status = fixture.completed("other").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    settled(&fixture, 1).await;
}

#[tokio::test]
async fn a_request_continues_once_earlier_submissions_no_longer_count() {
    let fixture = Fixture::set("day-over", &[desktop("pc-1")]).await;
    limit(&fixture, 3).await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    // Until then, the request must be reported as waiting.
    #[expect(clippy::disallowed_methods, reason = "a moment by the real clock")]
    let soon = Timestamp::now() + SignedDuration::from_secs(30);
    let soon = Timestamp::from_second(soon.as_second()).unwrap();
    let used = json!({"submitted": [{"countsUntil": soon, "desktops": 2}]});
    let patch = Patch::Merge(json!({"status": {"dailyUsage": used}}));
    let projects = fixture.namespace.projects();
    projects
        .patch_status("prod", &PatchParams::default(), &patch)
        .await
        .unwrap();
    // The check of the credentials after the change leaves what was used.
    limit(&fixture, 2).await;
    fixture.project_says("prod", "CredentialsValid").await;
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    let waiting = fixture.stored("leaver", Submitted, "DailyLimitReached").await;
    assert!(
        message(&waiting, Submitted).contains(&soon.to_string()),
        "{waiting:#}"
    );
    assert!(
        status["attempts"][0]["signedAt"].as_str().unwrap() >= soon.to_string().as_str(),
        "{status:#}"
    );
    settled(&fixture, 1).await;
}

#[tokio::test]
async fn many_requests_at_once_and_a_restart_never_exceed_the_limit() {
    let names: Vec<_> = (1..=12).map(|number| format!("pc-{number}")).collect();
    let desktops: Vec<_> = names.iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("day-burst", &desktops).await;
    limit(&fixture, 5).await;
    let operator = fixture.operator(&[]);
    for name in &names {
        fixture.request(name, &[name]).await;
    }
    let all_but_seven = async || {
        let mut waiting = 0;
        for name in &names {
            let status = fixture.status(name).await;
            waiting += usize::from(says(&status, Submitted) == pair("False", "DailyLimitReached"));
        }
        if waiting == 7 {
            Ok(())
        } else {
            Err(format!("{waiting} wait"))
        }
    };
    eventually("five were submitted and seven wait", BOUND, all_but_seven)
        .await
        .unwrap();
    settled(&fixture, 5).await;
    assert_eq!(submitted(&fixture), 5);
    assert_eq!(operator.stopped().await, 0);

    let _operator = fixture.operator(&[]);
    limit(&fixture, 8).await;
    settled(&fixture, 8).await;
    eventually("four wait", BOUND, async || {
        let mut waiting = 0;
        for name in &names {
            let status = fixture.status(name).await;
            waiting += usize::from(says(&status, Submitted) == pair("False", "DailyLimitReached"));
        }
        if waiting == 4 {
            Ok(())
        } else {
            Err(format!("{waiting} wait"))
        }
    })
    .await
    .unwrap();
    assert_eq!(submitted(&fixture), 8);
    let bodies: Vec<_> = fixture.posts().iter().map(body).collect();
    assert_eq!(bodies.len(), 8, "{bodies:#?}");
}
