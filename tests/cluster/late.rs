//! Events that occur too late, or meet an object that changed, between the signature and the record.

use std::time::Duration;

use serde_json::json;
use testkit::{ApiServerProxy, Moment, Trap};

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt;
use crate::fixture::{Fixture, desktop, message, pair, says};
use crate::shutdown::stops;

/// `--max-signature-age` of [`doubt::FLAGS`].
const MAX_SIGNATURE_AGE: Duration = Duration::from_secs(3);

/// A proxy to the API server that holds the response to the write of the intent.
async fn trapped_intent(fixture: &Fixture) -> (ApiServerProxy, Trap) {
    let proxy = ApiServerProxy::start(
        fixture.control_plane,
        fixture.namespace.name(),
        testkit::SERVICE_ACCOUNT,
    )
    .await
    .unwrap();
    let intent = proxy.trap(Moment::After, 1, |asked| {
        asked.writes("desktopdeletions", "status", "leaver")
            && asked.body["status"]["attempts"][0]["outcome"] == "Pending"
    });
    (proxy, intent)
}

#[tokio::test]
async fn a_signature_that_became_too_old_while_its_intent_was_stored_is_not_sent() {
    let fixture = Fixture::set("old-signature", &[desktop("pc-1")]).await;
    let (proxy, intent) = trapped_intent(&fixture).await;
    let _operator = fixture.operator_at(proxy.kubeconfig(), doubt::FLAGS);
    fixture.request("leaver", &["pc-1"]).await;
    let stored = intent.sprung().await.unwrap();
    let first = stored.request.body["status"]["attempts"][0]["id"].clone();
    // It was signed before it was stored.
    tokio::time::sleep(MAX_SIGNATURE_AGE).await;
    assert_eq!(
        fixture.posts().len(),
        0,
        "nothing is sent before its intent is known to be stored"
    );
    stored.go_on();

    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_ne!(status["attempts"][0]["id"], first, "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_shutdown_between_the_intent_and_the_call_records_that_nothing_was_sent() {
    let fixture = Fixture::set("stopped-unsent", &[desktop("pc-1")]).await;
    let (proxy, intent) = trapped_intent(&fixture).await;
    let operator = fixture.operator_at(proxy.kubeconfig(), &[]);
    fixture.request("leaver", &["pc-1"]).await;
    let stored = intent.sprung().await.unwrap();
    let told = async {
        stops(&fixture, &operator).await;
        stored.go_on();
    };
    let (exit, ()) = tokio::join!(operator.stopped(), told);
    assert_eq!(exit, 0);
    let status = fixture.status("leaver").await;
    assert_eq!(status["attempts"][0]["outcome"], "NotSent", "{status:#}");
    let text = message(&status, Submitted);
    assert!(text.contains("the operator is stopping"), "{text}");
    assert_eq!(fixture.posts().len(), 0);
}

#[tokio::test]
async fn a_response_is_stored_although_its_object_changed_meanwhile() {
    let fixture = Fixture::set("changed-meanwhile", &[desktop("pc-1")]).await;
    let late = json!({"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let _operator = fixture.operator(&[doubt::FLAGS, &["--submission-timeout=10m"]].concat());
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    fixture.change("leaver", json!({"suspend": true})).await;
    fixture.cloud.simulator().end_delays();
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert_eq!(status["attempts"][0]["outcome"], "Accepted", "{status:#}");
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(status["jobID"], posts[0]["jobID"]);
    let codes: Vec<_> = fixture
        .writes("leaver")
        .await
        .iter()
        .map(|write| write.code())
        .collect();
    assert!(codes.contains(&409), "the record met a newer object: {codes:?}");
}
