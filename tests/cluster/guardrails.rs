//! Requests that the guardrails of the project do not permit are not submitted, and report it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Planned, Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, body, desktop, message, pair, says};
use crate::intent::about_to_be_signed;

async fn guard(fixture: &Fixture, guardrails: Value) {
    fixture
        .change_project("prod", json!({"guardrails": guardrails}))
        .await;
}

#[tokio::test]
async fn a_request_that_exceeds_a_guardrail_reports_it_and_continues_once_it_is_relaxed() {
    let fixture = Fixture::set("too-much", &[desktop("pc-1"), desktop("pc-2")]).await;
    guard(&fixture, json!({"maxDesktopsPerRequest": 1, "allowForce": false})).await;
    let _operator = fixture.operator(&[]);
    fixture.request("many", &["pc-1", "pc-2"]).await;
    fixture
        .request_with("forced", &["pc-1"], json!({"force": true}))
        .await;
    for (name, rule) in [("many", "maxDesktopsPerRequest"), ("forced", "allowForce")] {
        let status = fixture.reason(name, Submitted, "GuardrailViolated").await;
        assert_eq!(
            says(&status, Stalled),
            pair("True", "GuardrailViolated"),
            "{status:#}"
        );
        let message = message(&status, Submitted);
        assert!(message.contains(rule) && message.contains("prod"), "{message}");
    }
    // Neither reserves its desktops.
    fixture.request("one", &["pc-1"]).await;
    let status = fixture.completed("one").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");

    guard(&fixture, json!({"maxDesktopsPerRequest": 2, "allowForce": false})).await;
    let status = fixture.completed("many").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let bodies: Vec<_> = fixture
        .posts()
        .iter()
        .map(|post| body(post)["desktop_ids"].clone())
        .collect();
    assert_eq!(bodies, [json!(["pc-1"]), json!(["pc-2"])]);
}

#[tokio::test]
async fn a_protected_desktop_blocks_its_request_and_is_named() {
    let keep = json!({"id": "pc-2", "tags": {"keep": "yes"}});
    let fixture = Fixture::set("protected", &[desktop("pc-1"), keep]).await;
    guard(&fixture, json!({"protectedTags": [{"key": "keep"}]})).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2"]).await;
    let status = fixture.reason("leavers", Submitted, "DesktopBlocked").await;
    assert_eq!(
        says(&status, Planned),
        pair("False", "DesktopBlocked"),
        "{status:#}"
    );
    assert_eq!(status["plan"]["blocked"], 1, "{status:#}");
    let blocked = &status["desktops"][1];
    assert_eq!(
        (&blocked["state"], &blocked["code"]),
        (&json!("Blocked"), &json!("GuardrailViolated"))
    );
    let text = message(&status, Submitted);
    assert!(
        text.contains("desktop pc-2: it has the tag keep (protectedTags)"),
        "{text}"
    );
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    guard(&fixture, Value::Null).await;
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_guardrail_that_is_set_before_the_signature_blocks_the_request() {
    let (fixture, _operator) = about_to_be_signed("last-look-guardrail").await;
    guard(&fixture, json!({"requiredTags": [{"key": "leaver"}]})).await;
    fixture.cloud.simulator().end_delays();
    let status = fixture.reason("leaver", Submitted, "DesktopBlocked").await;
    let text = message(&status, Submitted);
    assert!(text.contains("it lacks the tag leaver (requiredTags)"), "{text}");
    assert_eq!(fixture.posts(), Vec::<Value>::new());
}

#[tokio::test]
async fn outside_of_the_windows_nothing_is_submitted() {
    let fixture = Fixture::set("windows", &[desktop("pc-1")]).await;
    // Far from the end of a day, whenever the test runs.
    #[expect(clippy::disallowed_methods, reason = "a day by the real clock")]
    let day = (Timestamp::now() + SignedDuration::from_hours(72))
        .to_zoned(TimeZone::UTC)
        .weekday();
    let window =
        |days: Value| json!({"windows": [{"days": days, "from": "00:00", "to": "00:00", "timeZone": "UTC"}]});
    guard(&fixture, window(json!([format!("{day:?}")]))).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Submitted, "OutsideWindow").await;
    assert!(
        message(&status, Submitted).contains("the next one opens at "),
        "{status:#}"
    );
    assert_eq!(says(&status, Planned), pair("True", "PlanReady"), "{status:#}");
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    guard(&fixture, window(json!([]))).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_desktop_with_a_connected_user_and_a_prepaid_desktop_block_their_requests() {
    let connected = json!({"id": "pc-1", "loginStatus": "CONNECTED"});
    let prepaid = json!({"id": "pc-2", "chargingMode": "prePaid", "orderID": "CS1"});
    let fixture = Fixture::set("details", &[connected, prepaid, desktop("pc-3")]).await;
    guard(&fixture, json!({"connectedSessions": "Refuse"})).await;
    let _operator = fixture.operator(&[]);
    for (name, desktops, wrong) in [
        (
            "connected",
            ["pc-1", "pc-3"],
            "desktop pc-1: a user is connected to it (connectedSessions)",
        ),
        (
            "prepaid",
            ["pc-2", "pc-3"],
            "desktop pc-2: it is prepaid (yearly/monthly billing) (prepaidDesktops)",
        ),
    ] {
        fixture.request(name, &desktops).await;
        let status = fixture.reason(name, Submitted, "DesktopBlocked").await;
        let text = message(&status, Submitted);
        assert!(text.contains(wrong), "{text}");
    }
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    fixture
        .cloud
        .change_desktop("pc-1", &json!({"loginStatus": "DISCONNECTED"}))
        .unwrap();
    // Every change of the project triggers a check at once.
    guard(
        &fixture,
        json!({"connectedSessions": "Refuse", "maxDesktopsPerRequest": 50}),
    )
    .await;
    let status = fixture.completed("connected").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let asked = fixture.cloud.calls(Operation::ListDesktopsDetail);
    assert!(
        asked.iter().all(|call| call.query.contains("desktop_id=pc-")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_detailed_list_is_read_only_where_a_guardrail_needs_it() {
    let fixture = Fixture::set("no-details", &[desktop("pc-1"), desktop("pc-2")]).await;
    fixture
        .cloud
        .add_fault(&json!({
            "operation": "listDesktopsDetail",
            "answer": {"status": 403, "body": {
                "error_code": "PAP5.0016",
                "error_msg": "Policy doesn't allow workspace:desktops:listDetail to be performed.",
            }},
        }))
        .unwrap();
    let _operator = fixture.operator(&[]);
    fixture.request("first", &["pc-1"]).await;
    fixture.completed("first").await;
    guard(&fixture, json!({"prepaidDesktops": "Allow"})).await;
    assert_eq!(fixture.cloud.calls(Operation::ListDesktopsDetail), []);
    guard(&fixture, json!({"prepaidDesktops": null})).await;
    fixture.request("second", &["pc-2"]).await;
    let status = fixture.reason("second", Submitted, "PermissionDenied").await;
    let text = message(&status, Submitted);
    assert!(text.contains("workspace:desktops:listDetail"), "{text}");
    guard(&fixture, json!({"prepaidDesktops": "Allow"})).await;
    let status = fixture.completed("second").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn guardrails_that_are_relaxed_while_a_request_waits_are_reported() {
    let fixture = Fixture::set("relaxed", &[desktop("pc-1")]).await;
    guard(&fixture, json!({"maxDesktopsPerRequest": 5, "allowForce": false})).await;
    let _operator = fixture.operator(&[]);
    // No request waits yet.
    fixture.project_says("prod", "CredentialsValid").await;
    guard(&fixture, json!({"maxDesktopsPerRequest": 6, "allowForce": false})).await;
    // Suspended as well, so that it still waits when the Event is published.
    fixture
        .request_with("leaver", &["pc-1"], json!({"force": true, "suspend": true}))
        .await;
    fixture.reason("leaver", Planned, "GuardrailViolated").await;
    guard(&fixture, json!({"maxDesktopsPerRequest": 3, "allowForce": true})).await;
    let event = fixture.event("prod", "GuardrailsRelaxed", "allowForce").await;
    let note = event.note.unwrap();
    assert!(
        note.contains("this can unblock 1 waiting request") && !note.contains("maxDesktopsPerRequest"),
        "{note}"
    );
    assert_eq!(event.regarding.unwrap().kind.as_deref(), Some("WorkspaceProject"));
    fixture.change("leaver", json!({"suspend": false})).await;
    fixture.completed("leaver").await;
}
