//! Requests that wait on purpose, and how long that can last: suspension and deadlines.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, endless, message, pair, says};

fn in_seconds(seconds: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "a deadline by the real clock")]
    let at = Timestamp::now() + SignedDuration::from_secs(seconds);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn a_request_whose_deadline_has_passed_is_never_sent() {
    let fixture = Fixture::set("expired", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    let before = fixture.cloud.ledger().len();
    let deadline = json!({"notAfter": "2026-01-01T00:00:00Z"});
    fixture.request_with("late", &["pc-1"], deadline).await;
    let status = fixture.completed("late").await;
    assert_eq!(says(&status, Succeeded), pair("False", "Expired"), "{status:#}");
    assert_eq!(says(&status, Submitted), pair("False", "Expired"));
    assert_eq!(says(&status, Stalled), pair("True", "Expired"));
    assert_eq!(
        fixture.cloud.ledger().len(),
        before,
        "the cloud is not even asked"
    );
}

#[tokio::test]
async fn a_deadline_that_passes_while_a_request_is_suspended_ends_it() {
    let fixture = Fixture::set("expires-held", &["pc-1", "pc-2"].map(desktop)).await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    fixture.change_project("prod", json!({"suspend": true})).await;
    fixture.project_says("prod", "CredentialsValid").await;
    // Until then, both must be reported as waiting.
    let soon = in_seconds(20);
    let held = json!({"notAfter": soon, "suspend": true});
    fixture.request_with("held", &["pc-1"], held).await;
    fixture
        .request_with("project-held", &["pc-2"], json!({"notAfter": soon}))
        .await;
    for (name, reason) in [("held", "Suspended"), ("project-held", "ProjectSuspended")] {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("False", "Expired"), "{status:#}");
        fixture.stored(name, Submitted, reason).await;
    }
    assert_eq!(fixture.posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_request_is_not_submitted_before_its_time() {
    let fixture = Fixture::set("scheduled", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.project_says("prod", "CredentialsValid").await;
    // Until then, it must be reported as waiting.
    let soon = in_seconds(20);
    fixture
        .request_with("leaver", &["pc-1"], json!({"notBefore": soon}))
        .await;
    let status = fixture.completed("leaver").await;
    let waiting = fixture.stored("leaver", Submitted, "Scheduled").await;
    assert_eq!(says(&waiting, Ready), pair("False", "Scheduled"), "{waiting:#}");
    assert_eq!(says(&waiting, Stalled), pair("absent", "absent"));
    assert!(message(&waiting, Submitted).contains(&soon), "{waiting:#}");
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let signed = status["attempts"][0]["signedAt"].as_str().unwrap();
    let moment = |text: &str| text.parse::<Timestamp>().unwrap();
    assert!(moment(signed) >= moment(&soon), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_suspended_request_waits_until_it_is_resumed() {
    let fixture = Fixture::set("suspend", &[desktop("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture
        .request_with("leaver", &["pc-1"], json!({"suspend": true}))
        .await;
    let status = fixture.reason("leaver", Submitted, "Suspended").await;
    assert_eq!(says(&status, Ready), pair("False", "Suspended"), "{status:#}");
    assert_eq!(says(&status, Stalled), pair("absent", "absent"));
    fixture.change("leaver", json!({"suspend": false})).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn suspending_after_the_submission_is_reported_as_too_late() {
    let fixture = Fixture::set("suspend-late", &[endless("pc-1")]).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.accepted("leaver").await;
    let signed_at = status["attempts"][0]["signedAt"].as_str().unwrap().to_owned();
    fixture.change("leaver", json!({"suspend": true})).await;
    let status = fixture
        .until(
            "leaver",
            "it says that spec.suspend was set after the submission",
            |status| message(status, Submitted).contains("has no effect"),
        )
        .await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert!(message(&status, Submitted).contains(&signed_at), "{status:#}");
    assert_eq!(status["observedGeneration"], 2);
    let event = fixture.event("leaver", "SuspendedTooLate", "has no effect").await;
    assert_eq!(event.type_.as_deref(), Some("Warning"), "{event:#?}");
}
