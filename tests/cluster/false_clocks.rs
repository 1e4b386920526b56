//! Responses with a wrong `Date`: of one response, of an intermediary, and of the service itself. Nothing ends, settles
//! or is released by one clock alone.

use serde_json::{Value, json};
use testkit::Cloud;

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::doubt::{self, lost};
use crate::fixture::{Fixture, desktop, message, pair, says};

/// A moment long after every deadline.
const FAR: &str = "Sat, 01 Jan 2028 00:00:00 GMT";

/// Another response to the n-th list of that desktop, with that `Date`.
fn dated(desktop: &str, nth: Option<u32>, status: u16, body: &Value) -> Value {
    json!({
        "operation": "listDesktops", "desktop": desktop, "nth": nth,
        "answer": {"status": status, "headers": {"Date": FAR}, "body": body},
    })
}

#[tokio::test]
async fn one_response_with_a_wrong_date_does_not_expire_a_request() {
    let answers = [
        ("page", 502, json!("x")),
        (
            "gateway",
            503,
            json!({"error_code": "APIGW.0613", "error_msg": "overloaded"}),
        ),
        (
            "service",
            500,
            json!({"error_code": "WKS.0202", "error_msg": "busy"}),
        ),
        ("good", 200, json!({"total_count": 0, "desktops": []})),
    ];
    let desktops: Vec<_> = answers.iter().map(|(name, ..)| desktop(name)).collect();
    let fixture = Fixture::set("one-date", &desktops).await;
    for (name, status, body) in answers.clone() {
        fixture
            .cloud
            .add_fault(&dated(name, Some(1), status, &body))
            .unwrap();
    }
    let _operator = fixture.operator(&[]);
    for (name, ..) in &answers {
        fixture.request(name, &[name]).await;
    }
    for (name, ..) in &answers {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
}

#[tokio::test]
async fn one_response_with_a_wrong_date_expires_none_of_the_waiting_requests() {
    let names: Vec<_> = (0..10).map(|n| format!("pc-{n}")).collect();
    let desktops: Vec<_> = names.iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("ten-wait", &desktops).await;
    let conflict = json!({"operation": "batchDelete", "answer": {
        "status": 409, "body": {"error_code": "WKS.00010032", "error_msg": "a task is running"},
    }});
    fixture.cloud.add_fault(&conflict).unwrap();
    let _operator = fixture.operator(&[]);
    for name in &names {
        fixture.request(name, &[name]).await;
    }
    for name in &names {
        fixture.reason(name, Submitted, "Conflict").await;
    }
    let refusal = json!({"error_code": "APIGW.0613", "error_msg": "overloaded"});
    fixture
        .cloud
        .add_fault(&dated("pc-0", Some(1), 503, &refusal))
        .unwrap();
    fixture.struck().await;
    fixture.cloud.clear_faults();
    for name in &names {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
}

#[tokio::test]
async fn while_the_clocks_differ_nothing_is_sent_and_nothing_expires() {
    for (name, answer, direction) in [
        ("ahead", json!({"dateAhead": "9600h"}), "days ahead of"),
        ("behind", json!({"dateBehind": "25m"}), "m behind"),
    ] {
        let fixture = Fixture::set(&format!("differ-{name}"), &[desktop("pc-1")]).await;
        let operator = fixture.operator(&[]);
        fixture.project_says("prod", "CredentialsValid").await;
        drop(operator);
        fixture.cloud.add_fault(&json!({"answer": answer})).unwrap();
        let _operator = fixture.operator(&["--request-deadline=1h"]);
        fixture.request("leaver", &["pc-1"]).await;
        let told = |status: &Value| message(status, Stalled).contains(direction);
        let status = fixture.until("leaver", "it says how far they differ", told).await;
        assert_eq!(says(&status, Submitted).1, "ClockSkew", "{status:#}");
        assert_eq!(fixture.posts(), Vec::<Value>::new(), "{name}");
        fixture.cloud.clear_faults();
        let status = fixture.completed("leaver").await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
}

#[tokio::test]
async fn a_wrong_date_does_not_settle_a_call_in_flight() {
    let fixture = Fixture::set("settled-early", &[desktop("pc-1")]).await;
    let held = lost("pc-1", false, &json!({"delay": "4s"}));
    fixture.cloud.add_fault(&held).unwrap();
    let (proxy, _unrecorded) = doubt::unrecorded(&fixture, "leaver").await;
    let operator = fixture.operator_at(proxy.kubeconfig(), doubt::STEADY);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    let ahead = json!({"operation": "listSubJobs", "answer": {"dateAhead": "25m"}});
    fixture.cloud.add_fault(&ahead).unwrap();
    let _operator = fixture.operator(doubt::STEADY);
    let status = fixture.until("leaver", "its job was found", |status| {
        status["attempts"][0]["outcome"] == "Adopted"
    });
    let status = status.await;
    assert_eq!(status["attempts"][1], Value::Null, "{status:#}");
    fixture.cloud.clear_faults();
    fixture.completed("leaver").await;
    assert_eq!(fixture.posts().len(), 1, "{:#?}", fixture.posts());
}

#[tokio::test]
async fn a_wrong_date_does_not_release_a_deleted_object_with_a_call_in_flight() {
    let desktops = ["pc-1", "pc-2"].map(desktop);
    let mut world = Cloud::world();
    world["switches"]["repeatedDesktop"] = json!("accept");
    let fixture = Fixture::set_with("let-go-early", world, &desktops).await;
    let held = lost("pc-1", false, &json!({"delay": "4s"}));
    fixture.cloud.add_fault(&held).unwrap();
    let (proxy, _unrecorded) = doubt::unrecorded(&fixture, "leaver").await;
    // The object is also kept until a call that was sent late would have been accepted, and its job visible.
    let flags = [doubt::STEADY, &["--submission-timeout=10s"]].concat();
    let operator = fixture.operator_at(proxy.kubeconfig(), &flags);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    operator.kill().await.unwrap();
    drop(operator);
    let pages = dated("pc-2", None, 502, &json!("<html>Bad Gateway</html>"));
    fixture.cloud.add_fault(&pages).unwrap();
    let _operator = fixture.operator(&flags);
    fixture.delete("leaver").await;
    fixture.request("another", &["pc-2"]).await;
    fixture.reason("another", Submitted, "ServiceUnavailable").await;
    fixture.gone("leaver").await;
    assert_eq!(
        fixture.effective_posts().len(),
        1,
        "the object went before its call had landed: {:#?}",
        fixture.posts()
    );
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    assert_eq!(fixture.effective_posts().len(), 1, "{:#?}", fixture.posts());
}
