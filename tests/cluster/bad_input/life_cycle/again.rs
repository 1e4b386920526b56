//! Applied, deleted, restored and edited, over and over.

use futures::FutureExt;
use futures::future::join_all;
use kube::api::DeleteParams;
use serde_json::json;
use testkit::{eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::{Planned, Submitted, Succeeded};

use super::{Fixture, Scene, apply, desktop, effects, endless, ends, lost, pair, patch, says, slow};
use crate::fixture::{BOUND, message};

#[rustfmt::skip]
pub(super) fn scenes(fixture: &Fixture) -> Vec<Scene<'_>> {
    vec![
        ("deleted and applied again at once, ten times", "the last one is served", recreated(fixture).boxed_local()),
        ("deleted and applied again while its job runs", "the second waits and finds the desktop gone", recreated_while_it_runs(fixture).boxed_local()),
        ("applied a hundred times", "one submission, one generation", applied_again(fixture).boxed_local()),
        ("restored without its status after its end", "the desktop is absent", restored(fixture).boxed_local()),
        ("ten objects with one desktop", "one of them submits it", ten_for_one(fixture).boxed_local()),
        ("one desktop in upper and lower case", "one of them submits it", in_two_cases(fixture).boxed_local()),
        ("finalizer removed manually while its job runs", "its job is followed to the end", without_finalizer(fixture).boxed_local()),
        ("finalizer removed manually while the outcome is unknown, and deleted", "a second request does not submit again", let_go_by_hand(fixture).boxed_local()),
        ("a finalizer of another controller", "the object is kept until it is removed, and nothing is sent for it", held_by_others(fixture).boxed_local()),
        ("suspend toggled a hundred times", "one submission once it is resumed", toggled(fixture).boxed_local()),
        ("suspend toggled a hundred times while its job runs", "too late, and one submission", toggled_too_late(fixture).boxed_local()),
        ("labelled a hundred times", "nothing is written for it", labelled(fixture).boxed_local()),
        ("the longest name", "it is served as any other", long_name(fixture).boxed_local()),
        ("a hundred edits of its desktops, all refused", "it is served as it was", edited(fixture).boxed_local()),
        ("accepted under a wrong job", "the desktop decides, and nothing is sent again", wrong_job(fixture).boxed_local()),
    ]
}

/// Waits until there is an object of that name that is not being deleted, and applies it until then.
async fn until_new(fixture: &Fixture, name: &str, old: Option<String>) {
    let look = async || match fixture.request(name, &[name]).await.metadata {
        new if new.uid == old || new.deletion_timestamp.is_some() => Err("it is still the old one"),
        _ => Ok(()),
    };
    eventually("there is a new one", BOUND, look).await.unwrap();
}

async fn recreated(fixture: &Fixture) {
    let name = "recreated";
    apply(fixture, desktop(name)).await;
    for _ in 0..10 {
        let old = fixture.requests().get_opt(name).await.unwrap();
        let _gone_or_going = fixture.requests().delete(name, &DeleteParams::default()).await;
        until_new(fixture, name, old.and_then(|old| old.metadata.uid)).await;
    }
    let status = fixture.completed(name).await;
    assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    assert_eq!(effects(fixture)[name], 1);
}

async fn recreated_while_it_runs(fixture: &Fixture) {
    let name = "recreated-while-it-runs";
    apply(fixture, slow(name)).await;
    fixture.accepted(name).await;
    let old = fixture.requests().get(name).await.unwrap();
    fixture.delete(name).await;
    until_new(fixture, name, old.metadata.uid).await;
    ends(fixture, name, "AlreadyAbsent").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn applied_again(fixture: &Fixture) {
    let name = "applied-again";
    apply(fixture, slow(name)).await;
    for _ in 0..100 {
        fixture.request(name, &[name]).await;
    }
    ends(fixture, name, "AllDeleted").await;
    let object = fixture.request(name, &[name]).await;
    assert_eq!(object.metadata.generation, Some(1));
    assert_eq!(effects(fixture)[name], 1);
}

async fn restored(fixture: &Fixture) {
    let name = "restored";
    apply(fixture, desktop(name)).await;
    ends(fixture, name, "AllDeleted").await;
    fixture.delete(name).await;
    fixture.gone(name).await;
    fixture.request(name, &[name]).await;
    let status = ends(fixture, name, "AlreadyAbsent").await;
    assert!(
        message(&status, Succeeded).contains("does not exist"),
        "{status:#}"
    );
    assert_eq!(effects(fixture)[name], 1);
}

async fn ten_for_one(fixture: &Fixture) {
    fixture.cloud.add_desktop(&slow("ten-for-one")).unwrap();
    let names: Vec<_> = (0..10).map(|n| format!("ten-for-one-{n}")).collect();
    join_all(names.iter().map(|name| fixture.request(name, &["ten-for-one"]))).await;
    let mut verdicts = Vec::new();
    for name in &names {
        verdicts.push(says(&fixture.completed(name).await, Succeeded));
    }
    verdicts.sort();
    let mut wanted = vec![pair("True", "AllDeleted")];
    wanted.extend(vec![pair("True", "AlreadyAbsent"); 9]);
    assert_eq!(verdicts, wanted);
    assert_eq!(effects(fixture)["ten-for-one"], 1);
}

async fn in_two_cases(fixture: &Fixture) {
    fixture.cloud.add_desktop(&slow("in-two-cases")).unwrap();
    let ids = [("lower-case", "in-two-cases"), ("upper-case", "IN-TWO-CASES")];
    join_all(ids.map(|(name, id)| async move { fixture.request(name, &[id]).await })).await;
    for (name, _) in ids {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    }
    let effects = effects(fixture);
    let times = |id: &str| effects.get(id).copied().unwrap_or_default();
    assert_eq!(times("in-two-cases") + times("IN-TWO-CASES"), 1, "{effects:?}");
}

async fn without_finalizer(fixture: &Fixture) {
    let name = "without-finalizer";
    apply(fixture, slow(name)).await;
    fixture.accepted(name).await;
    patch(fixture, name, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    ends(fixture, name, "AllDeleted").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn let_go_by_hand(fixture: &Fixture) {
    let name = "let-go-by-hand";
    let fault = lost(name, true, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    apply(fixture, slow(name)).await;
    fixture.reason(name, Submitted, "AwaitingEvidence").await;
    let old = fixture.requests().get(name).await.unwrap().metadata.uid;
    fixture.delete(name).await;
    patch(fixture, name, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    until_new(fixture, name, old).await;
    ends(fixture, name, "AlreadyAbsent").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn held_by_others(fixture: &Fixture) {
    let name = "held-by-others";
    fixture.cloud.add_desktop(&desktop(name)).unwrap();
    let mut manifest = manifests::desktop_deletion(name, "prod", [name]);
    manifest["metadata"]["finalizers"] = json!(["example.com/others"]);
    manifest["spec"]["suspend"] = json!(true);
    fixture.namespace.apply(&manifest).await.unwrap();
    fixture.reason(name, Submitted, "Suspended").await;
    fixture.delete(name).await;
    // It is released only while it is being deleted.
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let before = fixture.ticks(testkit::cloud::PROJECT_ID).len();
    let look = async || {
        let ticks = fixture.ticks(testkit::cloud::PROJECT_ID).len();
        if ticks > before + 5 { Ok(()) } else { Err(ticks) }
    };
    eventually("the operator has been at work", BOUND, look)
        .await
        .unwrap();
    let left = fixture.requests().get(name).await.unwrap().metadata.finalizers;
    assert_eq!(left, Some(vec!["example.com/others".to_owned()]));
    patch(fixture, name, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    fixture.gone(name).await;
    assert_eq!(effects(fixture).get(name), None);
}

async fn toggled(fixture: &Fixture) {
    let name = "toggled";
    fixture.cloud.add_desktop(&desktop(name)).unwrap();
    fixture
        .request_with(name, &[name], json!({"suspend": true}))
        .await;
    for number in 0..100 {
        patch(fixture, name, json!({"spec": {"suspend": number % 2 == 0}}))
            .await
            .ok();
    }
    patch(fixture, name, json!({"spec": {"suspend": false}}))
        .await
        .ok();
    ends(fixture, name, "AllDeleted").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn toggled_too_late(fixture: &Fixture) {
    let name = "toggled-too-late";
    apply(fixture, endless(name)).await;
    fixture.accepted(name).await;
    for number in 0..101 {
        patch(fixture, name, json!({"spec": {"suspend": number % 2 == 0}}))
            .await
            .unwrap();
    }
    let late = |status: &serde_json::Value| message(status, Submitted).contains("has no effect");
    let status = fixture.until(name, "it says that it has no effect", late).await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert_eq!(effects(fixture)[name], 1);
}

async fn labelled(fixture: &Fixture) {
    let name = "labelled";
    fixture.cloud.add_desktop(&desktop(name)).unwrap();
    fixture
        .request_with(name, &[name], json!({"suspend": true}))
        .await;
    fixture.reason(name, Planned, "PlanReady").await;
    let before = fixture.writes(name).await.len();
    for number in 0..100 {
        let labels = json!({"metadata": {"labels": {"round": number.to_string()}}});
        patch(fixture, name, labels).await.unwrap();
    }
    // What comes of the last one has come when a request that came after it has ended.
    apply(fixture, desktop("after-labelled")).await;
    ends(fixture, "after-labelled", "AllDeleted").await;
    let after = fixture.writes(name).await;
    assert_eq!(after.len(), before, "{:#?}", after.last());
    assert_eq!(effects(fixture).get(name), None);
}

async fn long_name(fixture: &Fixture) {
    let name = format!("long-{}", "x".repeat(231));
    let id = "long-name";
    fixture.cloud.add_desktop(&desktop(id)).unwrap();
    fixture.request(&name, &[id]).await;
    ends(fixture, &name, "AllDeleted").await;
    assert_eq!(effects(fixture)[id], 1);
}

async fn edited(fixture: &Fixture) {
    let name = "edited";
    apply(fixture, slow(name)).await;
    for number in 0..100 {
        let other = json!({"spec": {"desktopIDs": [name, format!("other-{number}")]}});
        let error = patch(fixture, name, other).await.unwrap_err();
        assert!(
            error.to_string().contains("is immutable") || error.to_string().contains("frozen"),
            "{error}"
        );
    }
    ends(fixture, name, "AllDeleted").await;
    assert_eq!(effects(fixture)[name], 1);
}

async fn wrong_job(fixture: &Fixture) {
    let name = "wrong-job";
    let answer = json!({"status": 202, "body": {"job_id": "a-job-of-nobody"}});
    let fault = lost(name, true, &answer);
    fixture.cloud.add_fault(&fault).unwrap();
    apply(fixture, desktop(name)).await;
    let status = ends(fixture, name, "AllDeleted").await;
    assert_eq!(status["jobID"], "a-job-of-nobody", "{status:#}");
    assert_eq!(effects(fixture)[name], 1);
}
