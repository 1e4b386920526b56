//! An upgrade from a version without plans and approvals, and the way back, as docs/upgrade.md describes it, CRDs included.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::manifests;
use testkit::node::{Settings, Version};

use crate::stage::{Stage, assert_sent_once, outcomes, reason};

/// A call that is never answered expires within half a minute.
const SOON: [(&str, &str); 4] = [
    ("DESKTOP_DELETION_MAX_SIGNATURE_AGE", "3s"),
    ("DESKTOP_DELETION_SIGNATURE_WINDOW", "25s"),
    ("DESKTOP_DELETION_CLOCK_SKEW", "3s"),
    ("DESKTOP_DELETION_JOB_VISIBILITY_TIMEOUT", "1s"),
];

const DESKTOPS: [&str; 6] = ["pc-1", "pc-2", "pc-3", "pc-4", "pc-5", "pc-6"];

on_nodes! {
    #[needs(Earlier)]
    async fn requests_in_every_state_survive_an_upgrade_and_the_documented_roll_back() {
        let stage = Stage::empty(Settings::default(), &DESKTOPS).await;
        let earlier = stage.cluster.earlier().unwrap();
        stage.deploy(&earlier, &SOON).await;
        stage.rolled_out().await;
        stage.connect().await;

        upgrade_under_way(&stage).await;
        roll_back_with_requests_on_hold(&stage, &earlier).await;
    }
}

/// Upgrades while one request is accepted, the answer of another one is lost, and that of a third one has not come.
async fn upgrade_under_way(stage: &Stage) {
    let cloud = &stage.cloud.cloud;
    let add = |fault: Value| cloud.add_fault(&fault).unwrap();
    // Its job runs on meanwhile.
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "40s"}});
    cloud.add_desktop(&slow).unwrap();
    stage.request("accepted", &["pc-1"]).await;
    let job = stage
        .until_request("accepted", "its job is stored", |status| {
            status["jobID"].is_string()
        })
        .await;
    let answers = [
        ("lost", "pc-2", json!("reset")),
        ("flying", "pc-3", json!({"delay": "20s"})),
    ];
    for (request, desktop, answer) in answers {
        add(json!({"operation": "batchDelete", "desktop": desktop, "effectFirst": true, "answer": answer}));
        stage.request(request, &[desktop]).await;
    }
    stage.submitted().await;
    // Nothing can be recovered before the upgrade is done, and its call has not expired yet.
    add(json!({"operation": "listSubJobs", "answer": {"status": 503}}));

    stage.deploy(&Version::current(), &SOON).await;
    stage.rolled_out().await;
    let accepted = stage.status("accepted").await;
    assert_eq!(accepted["jobID"], job["jobID"]);
    assert_eq!(outcomes(&stage.status("lost").await), ["Pending"]);
    let flying = |status: &Value| outcomes(status) == ["Accepted"];
    stage
        .until_request("flying", "its answer is recorded", flying)
        .await;

    cloud.clear_faults();
    let ends = [
        ("accepted", "pc-1", "Accepted"),
        ("lost", "pc-2", "Adopted"),
        ("flying", "pc-3", "Accepted"),
    ];
    for (request, desktop, outcome) in ends {
        assert_eq!(outcomes(&stage.succeeded(request).await), [outcome], "{request}");
        assert_sent_once(stage, desktop);
    }
}

/// Rolls back while requests wait for what the earlier version does not know, and upgrades again.
async fn roll_back_with_requests_on_hold(stage: &Stage, earlier: &Version) {
    let mut guarded = stage.cloud.project("guarded", "login");
    guarded["spec"]["guardrails"] = json!({"approval": "Required"});
    stage.namespace.apply(&guarded).await.unwrap();
    let held = manifests::desktop_deletion("held", "guarded", ["pc-4"]);
    stage.namespace.apply(&held).await.unwrap();
    let mut mistaken = manifests::desktop_deletion("mistaken", "prod", ["pc-5"]);
    mistaken["spec"]["expected"] = json!([{"id": "pc-5", "userName": "somebody-else"}]);
    stage.namespace.apply(&mistaken).await.unwrap();
    let waits = |wanted: &'static str| move |status: &Value| reason(status, "Submitted") == wanted;
    stage
        .until_request("held", "it waits for an approval", waits("AwaitingApproval"))
        .await;
    stage
        .until_request(
            "mistaken",
            "it is expected to be another one's",
            waits("ExpectationFailed"),
        )
        .await;

    suspend(stage, "wsp/guarded", true).await;
    suspend(stage, "ddel/mistaken", true).await;
    stage.deploy(earlier, &SOON).await;
    stage.rolled_out().await;
    stage.request("between", &["pc-6"]).await;
    stage.succeeded("between").await;
    stage
        .until_request("held", "its project is suspended", waits("ProjectSuspended"))
        .await;
    stage
        .until_request("mistaken", "it is suspended", waits("Suspended"))
        .await;
    assert_eq!(stage.posts().len(), 4, "{:#?}", stage.posts());

    stage.deploy(&Version::current(), &SOON).await;
    stage.rolled_out().await;
    // The earlier CRDs drop what they do not know of every object that is written meanwhile.
    guarded["spec"]["suspend"] = json!(false);
    stage.namespace.apply(&guarded).await.unwrap();
    // Its expectations may be gone, and cannot be added again.
    let delete = ["delete", "ddel/mistaken", "--namespace", testkit::node::NAMESPACE];
    stage.kubectl(&delete).await;
    stage.namespace.apply(&mistaken).await.unwrap();
    let status = stage
        .until_request("held", "it waits for an approval", waits("AwaitingApproval"))
        .await;
    stage
        .until_request(
            "mistaken",
            "it is expected to be another one's",
            waits("ExpectationFailed"),
        )
        .await;
    assert_eq!(stage.posts().len(), 4, "{:#?}", stage.posts());
    let approval = Patch::Merge(json!({"spec": {"approvedPlan": status["plan"]["hash"]}}));
    let requests = stage.namespace.deletions();
    requests
        .patch("held", &PatchParams::default(), &approval)
        .await
        .unwrap();
    let status = stage.succeeded("held").await;
    assert_eq!(status["attempts"][0]["planHash"], status["plan"]["hash"]);
    assert_sent_once(stage, "pc-4");
}

/// Suspends a project or a request, or lets it go on, as the documentation does.
async fn suspend(stage: &Stage, object: &str, suspend: bool) {
    let patch = json!({"spec": {"suspend": suspend}}).to_string();
    stage
        .kubectl(&[
            "patch",
            object,
            "--namespace",
            testkit::node::NAMESPACE,
            "--type=merge",
            "--patch",
            &patch,
        ])
        .await;
}
