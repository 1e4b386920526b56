//! Applied, deleted, restored and edited, over and over.

use futures::FutureExt;
use futures::future::join_all;
use kube::api::DeleteParams;
use serde_json::json;
use testkit::{eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::{Planned, Submitted, Succeeded};

use super::{Scene, Stage, apply, desktop, effects, endless, ends, lost, pair, patch, says, slow};
use crate::stage::{BOUND, message};

#[rustfmt::skip]
pub(super) fn scenes(stage: &Stage) -> Vec<Scene<'_>> {
    vec![
        ("deleted and applied again at once, ten times", "the last one is served", recreated(stage).boxed_local()),
        ("deleted and applied again while its job runs", "the second waits and finds the desktop gone", recreated_while_it_runs(stage).boxed_local()),
        ("applied a hundred times", "one submission, one generation", applied_again(stage).boxed_local()),
        ("restored without its status after its end", "the desktop is absent", restored(stage).boxed_local()),
        ("ten objects with one desktop", "one of them submits it", ten_for_one(stage).boxed_local()),
        ("one desktop in upper and lower case", "one of them submits it", in_two_cases(stage).boxed_local()),
        ("finalizer removed by hand while its job runs", "its job is followed to the end", without_finalizer(stage).boxed_local()),
        ("finalizer removed by hand in doubt, and deleted", "a twin does not submit again", let_go_by_hand(stage).boxed_local()),
        ("a finalizer of somebody else", "it stays until they take it away, and nothing is done for it", held_by_others(stage).boxed_local()),
        ("suspend toggled a hundred times", "one submission once it is released", toggled(stage).boxed_local()),
        ("suspend toggled a hundred times while its job runs", "too late, and one submission", toggled_too_late(stage).boxed_local()),
        ("labelled a hundred times", "nothing is written for it", labelled(stage).boxed_local()),
        ("the longest name", "it is served as any other", long_name(stage).boxed_local()),
        ("a hundred edits of its desktops, all refused", "it is served as it was", edited(stage).boxed_local()),
        ("accepted under a wrong job", "the desktop decides, and nothing is sent again", wrong_job(stage).boxed_local()),
    ]
}

/// Waits until there is an object of that name that is not on its way out, and applies it until then.
async fn until_new(stage: &Stage, name: &str, old: Option<String>) {
    let look = async || match stage.request(name, &[name]).await.metadata {
        new if new.uid == old || new.deletion_timestamp.is_some() => Err("it is still the old one"),
        _ => Ok(()),
    };
    eventually("there is a new one", BOUND, look).await.unwrap();
}

async fn recreated(stage: &Stage) {
    let name = "recreated";
    apply(stage, desktop(name)).await;
    for _ in 0..10 {
        let old = stage.requests().get_opt(name).await.unwrap();
        let _gone_or_going = stage.requests().delete(name, &DeleteParams::default()).await;
        until_new(stage, name, old.and_then(|old| old.metadata.uid)).await;
    }
    let status = stage.completed(name).await;
    assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    assert_eq!(effects(stage)[name], 1);
}

async fn recreated_while_it_runs(stage: &Stage) {
    let name = "recreated-while-it-runs";
    apply(stage, slow(name)).await;
    stage.accepted(name).await;
    let old = stage.requests().get(name).await.unwrap();
    stage.delete(name).await;
    until_new(stage, name, old.metadata.uid).await;
    ends(stage, name, "AlreadyAbsent").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn applied_again(stage: &Stage) {
    let name = "applied-again";
    apply(stage, slow(name)).await;
    for _ in 0..100 {
        stage.request(name, &[name]).await;
    }
    ends(stage, name, "AllDeleted").await;
    let object = stage.request(name, &[name]).await;
    assert_eq!(object.metadata.generation, Some(1));
    assert_eq!(effects(stage)[name], 1);
}

async fn restored(stage: &Stage) {
    let name = "restored";
    apply(stage, desktop(name)).await;
    ends(stage, name, "AllDeleted").await;
    stage.delete(name).await;
    stage.gone(name).await;
    stage.request(name, &[name]).await;
    let status = ends(stage, name, "AlreadyAbsent").await;
    assert!(
        message(&status, Succeeded).contains("does not exist"),
        "{status:#}"
    );
    assert_eq!(effects(stage)[name], 1);
}

async fn ten_for_one(stage: &Stage) {
    stage.cloud.add_desktop(&slow("ten-for-one")).unwrap();
    let names: Vec<_> = (0..10).map(|n| format!("ten-for-one-{n}")).collect();
    join_all(names.iter().map(|name| stage.request(name, &["ten-for-one"]))).await;
    let mut verdicts = Vec::new();
    for name in &names {
        verdicts.push(says(&stage.completed(name).await, Succeeded));
    }
    verdicts.sort();
    let mut wanted = vec![pair("True", "AllDeleted")];
    wanted.extend(vec![pair("True", "AlreadyAbsent"); 9]);
    assert_eq!(verdicts, wanted);
    assert_eq!(effects(stage)["ten-for-one"], 1);
}

async fn in_two_cases(stage: &Stage) {
    stage.cloud.add_desktop(&slow("in-two-cases")).unwrap();
    let ids = [("lower-case", "in-two-cases"), ("upper-case", "IN-TWO-CASES")];
    join_all(ids.map(|(name, id)| async move { stage.request(name, &[id]).await })).await;
    for (name, _) in ids {
        let status = stage.completed(name).await;
        assert_eq!(says(&status, Succeeded).0, "True", "{status:#}");
    }
    let effects = effects(stage);
    let times = |id: &str| effects.get(id).copied().unwrap_or_default();
    assert_eq!(times("in-two-cases") + times("IN-TWO-CASES"), 1, "{effects:?}");
}

async fn without_finalizer(stage: &Stage) {
    let name = "without-finalizer";
    apply(stage, slow(name)).await;
    stage.accepted(name).await;
    patch(stage, name, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    ends(stage, name, "AllDeleted").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn let_go_by_hand(stage: &Stage) {
    let name = "let-go-by-hand";
    let fault = lost(name, true, &json!("reset"));
    stage.cloud.add_fault(&fault).unwrap();
    apply(stage, slow(name)).await;
    stage.reason(name, Submitted, "AwaitingEvidence").await;
    let old = stage.requests().get(name).await.unwrap().metadata.uid;
    stage.delete(name).await;
    patch(stage, name, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    until_new(stage, name, old).await;
    ends(stage, name, "AlreadyAbsent").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn held_by_others(stage: &Stage) {
    let name = "held-by-others";
    stage.cloud.add_desktop(&desktop(name)).unwrap();
    let mut manifest = manifests::desktop_deletion(name, "prod", [name]);
    manifest["metadata"]["finalizers"] = json!(["example.com/others"]);
    manifest["spec"]["suspend"] = json!(true);
    stage.namespace.apply(&manifest).await.unwrap();
    stage.reason(name, Submitted, "Suspended").await;
    stage.delete(name).await;
    // It is released only when it is on its way out.
    patch(stage, name, json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let before = stage.ticks(testkit::cloud::PROJECT_ID).len();
    let look = async || {
        let ticks = stage.ticks(testkit::cloud::PROJECT_ID).len();
        if ticks > before + 5 { Ok(()) } else { Err(ticks) }
    };
    eventually("the operator has been at work", BOUND, look)
        .await
        .unwrap();
    let left = stage.requests().get(name).await.unwrap().metadata.finalizers;
    assert_eq!(left, Some(vec!["example.com/others".to_owned()]));
    patch(stage, name, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    stage.gone(name).await;
    assert_eq!(effects(stage).get(name), None);
}

async fn toggled(stage: &Stage) {
    let name = "toggled";
    stage.cloud.add_desktop(&desktop(name)).unwrap();
    stage.request_with(name, &[name], json!({"suspend": true})).await;
    for number in 0..100 {
        patch(stage, name, json!({"spec": {"suspend": number % 2 == 0}}))
            .await
            .ok();
    }
    patch(stage, name, json!({"spec": {"suspend": false}})).await.ok();
    ends(stage, name, "AllDeleted").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn toggled_too_late(stage: &Stage) {
    let name = "toggled-too-late";
    apply(stage, endless(name)).await;
    stage.accepted(name).await;
    for number in 0..101 {
        patch(stage, name, json!({"spec": {"suspend": number % 2 == 0}}))
            .await
            .unwrap();
    }
    let late = |status: &serde_json::Value| message(status, Submitted).contains("has no effect");
    let status = stage.until(name, "it says that it has no effect", late).await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert_eq!(effects(stage)[name], 1);
}

async fn labelled(stage: &Stage) {
    let name = "labelled";
    stage.cloud.add_desktop(&desktop(name)).unwrap();
    stage.request_with(name, &[name], json!({"suspend": true})).await;
    stage.reason(name, Planned, "PlanReady").await;
    let before = stage.writes(name).await.len();
    for number in 0..100 {
        let labels = json!({"metadata": {"labels": {"round": number.to_string()}}});
        patch(stage, name, labels).await.unwrap();
    }
    // What comes of the last one has come when a request that came after it has ended.
    apply(stage, desktop("after-labelled")).await;
    ends(stage, "after-labelled", "AllDeleted").await;
    let after = stage.writes(name).await;
    assert_eq!(after.len(), before, "{:#?}", after.last());
    assert_eq!(effects(stage).get(name), None);
}

async fn long_name(stage: &Stage) {
    let name = format!("long-{}", "x".repeat(231));
    let id = "long-name";
    stage.cloud.add_desktop(&desktop(id)).unwrap();
    stage.request(&name, &[id]).await;
    ends(stage, &name, "AllDeleted").await;
    assert_eq!(effects(stage)[id], 1);
}

async fn edited(stage: &Stage) {
    let name = "edited";
    apply(stage, slow(name)).await;
    for number in 0..100 {
        let other = json!({"spec": {"desktopIDs": [name, format!("other-{number}")]}});
        let error = patch(stage, name, other).await.unwrap_err();
        assert!(
            error.to_string().contains("is immutable") || error.to_string().contains("frozen"),
            "{error}"
        );
    }
    ends(stage, name, "AllDeleted").await;
    assert_eq!(effects(stage)[name], 1);
}

async fn wrong_job(stage: &Stage) {
    let name = "wrong-job";
    let answer = json!({"status": 202, "body": {"job_id": "a-job-of-nobody"}});
    let fault = lost(name, true, &answer);
    stage.cloud.add_fault(&fault).unwrap();
    apply(stage, desktop(name)).await;
    let status = ends(stage, name, "AllDeleted").await;
    assert_eq!(status["jobID"], "a-job-of-nobody", "{status:#}");
    assert_eq!(effects(stage)[name], 1);
}
