//! An upgrade from a version without plans and approvals, and the way back, as docs/upgrade.md describes it, CRDs included.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::manifests;
use testkit::node::{Settings, Version};

use crate::fixture::{Fixture, assert_sent_once, outcomes, reason};

/// A call that is never answered expires within half a minute.
const SOON: [(&str, &str); 4] = [
    ("DESKTOP_DELETION_MAX_SIGNATURE_AGE", "3s"),
    ("DESKTOP_DELETION_SIGNATURE_WINDOW", "25s"),
    ("DESKTOP_DELETION_CLOCK_SKEW", "3s"),
    ("DESKTOP_DELETION_JOB_VISIBILITY_TIMEOUT", "1s"),
];

const DESKTOPS: [&str; 10] = [
    "pc-1", "pc-2", "pc-3", "pc-4", "pc-5", "pc-6", "pc-7", "pc-8", "pc-9", "pc-10",
];

on_nodes! {
    #[needs(Earlier)]
    async fn requests_in_every_state_survive_an_upgrade_and_the_documented_roll_back() {
        let fixture = Fixture::empty(Settings::default(), &DESKTOPS).await;
        let earlier = fixture.cluster.earlier().unwrap();
        fixture.deploy(&earlier, &SOON).await;
        fixture.rolled_out().await;
        fixture.connect().await;

        upgrade_under_way(&fixture).await;
        roll_back_with_requests_on_hold(&fixture, &earlier).await;
    }
}

/// Upgrades while one request is accepted, the response of another one is lost, and that of a third one has not come.
async fn upgrade_under_way(fixture: &Fixture) {
    let cloud = &fixture.cloud.cloud;
    let add = |fault: Value| cloud.add_fault(&fault).unwrap();
    // Its job runs on meanwhile.
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "1h"}});
    cloud.add_desktop(&slow).unwrap();
    fixture.request("accepted", &["pc-1"]).await;
    let job = fixture
        .until_request("accepted", "its job is stored", |status| {
            status["jobID"].is_string()
        })
        .await;
    let answers = [
        ("flying", "pc-3", json!({"delay": "1h"})),
        ("lost", "pc-2", json!("reset")),
    ];
    for (request, desktop, answer) in answers {
        add(json!({"operation": "batchDelete", "desktop": desktop, "effectFirst": true, "answer": answer}));
        fixture.request(request, &[desktop]).await;
        fixture.submitted().await;
    }
    // Nothing can be recovered before the upgrade is done, and its call, the last one, has not expired yet.
    add(json!({"operation": "listSubJobs", "answer": {"status": 503}}));

    let leader = fixture.leader().await;
    fixture.deploy(&Version::current(), &SOON).await;
    fixture.stops_in_flight(&leader, "flying").await;
    fixture.rolled_out().await;
    let accepted = fixture.status("accepted").await;
    assert_eq!(accepted["jobID"], job["jobID"]);
    assert_eq!(outcomes(&fixture.status("lost").await), ["Pending"]);
    let flying = |status: &Value| outcomes(status) == ["Accepted"];
    fixture
        .until_request("flying", "its response is recorded", flying)
        .await;

    cloud.clear_faults();
    cloud.simulator().end_jobs();
    let ends = [
        ("accepted", "pc-1", "Accepted"),
        ("lost", "pc-2", "Adopted"),
        ("flying", "pc-3", "Accepted"),
    ];
    for (request, desktop, outcome) in ends {
        assert_eq!(
            outcomes(&fixture.succeeded(request).await),
            [outcome],
            "{request}"
        );
        assert_sent_once(fixture, desktop);
    }
}

/// Rolls back while requests wait for what the earlier version does not know and others have been submitted, and upgrades
/// again.
async fn roll_back_with_requests_on_hold(fixture: &Fixture, earlier: &Version) {
    let mut guarded = fixture.cloud.project("guarded", "login");
    guarded["spec"]["guardrails"] = json!({"approval": "Required"});
    fixture.namespace.apply(&guarded).await.unwrap();
    let held = manifests::desktop_deletion("held", "guarded", ["pc-4"]);
    fixture.namespace.apply(&held).await.unwrap();
    let mistaken = manifest(
        "mistaken",
        "pc-5",
        &json!({"expected": [{"id": "pc-5", "userName": "somebody-else"}]}),
    );
    let later = manifest("later", "pc-7", &json!({"notBefore": "2099-01-01T00:00:00Z"}));
    let mut approved = manifest("approved", "pc-8", &json!({"suspend": true}));
    for request in [&mistaken, &later, &approved] {
        fixture.namespace.apply(request).await.unwrap();
    }
    waits(fixture, "held", "AwaitingApproval").await;
    waits(fixture, "mistaken", "ExpectationFailed").await;
    waits(fixture, "later", "Scheduled").await;
    approved["spec"]["approvedPlan"] = approve(fixture, "approved").await;
    // Last, because from then on no plan can be read.
    let under_way = submit_before_the_roll_back(fixture).await;
    assert_eq!(fixture.posts().len(), 5, "{:#?}", fixture.posts());

    // The procedure of docs/upgrade.md: projects with guardrails, and requests with a field that an earlier version ignores.
    suspend(fixture, "wsp/guarded", true).await;
    for request in ["mistaken", "later", "approved", "approved-running"] {
        suspend(fixture, &format!("ddel/{request}"), true).await;
    }
    fixture.deploy(earlier, &SOON).await;
    fixture.rolled_out().await;
    for request in &under_way {
        assert!(fixture.status(request).await["completionTime"].is_null());
    }
    fixture.cloud.cloud.clear_faults();
    for (request, desktop) in under_way.iter().zip(["pc-9", "pc-10"]) {
        assert_eq!(
            outcomes(&fixture.succeeded(request).await),
            ["Accepted"],
            "{request}"
        );
        assert_sent_once(fixture, desktop);
    }
    fixture.request("between", &["pc-6"]).await;
    fixture.succeeded("between").await;
    waits(fixture, "held", "ProjectSuspended").await;
    for request in ["mistaken", "later", "approved"] {
        waits(fixture, request, "Suspended").await;
    }
    assert_eq!(fixture.posts().len(), 6, "{:#?}", fixture.posts());
    let all = fixture
        .kubectl(&["get", "ddel,wsp", "--all-namespaces", "--output=yaml"])
        .await;
    assert!(!all.contains("Undecodable"), "{all}");

    fixture.deploy(&Version::current(), &SOON).await;
    fixture.rolled_out().await;
    // The earlier CRDs drop what they do not know of every object that is written meanwhile.
    guarded["spec"]["suspend"] = json!(false);
    fixture.namespace.apply(&guarded).await.unwrap();
    fixture.namespace.apply(&approved).await.unwrap();
    // What they expect and when they begin may be gone, and cannot be added again.
    for (request, manifest) in [("mistaken", &mistaken), ("later", &later)] {
        let object = format!("ddel/{request}");
        let delete = ["delete", &object, "--namespace", testkit::node::NAMESPACE];
        fixture.kubectl(&delete).await;
        fixture.namespace.apply(manifest).await.unwrap();
    }
    waits(fixture, "held", "AwaitingApproval").await;
    waits(fixture, "mistaken", "ExpectationFailed").await;
    waits(fixture, "later", "Scheduled").await;
    assert_eq!(fixture.posts().len(), 6, "{:#?}", fixture.posts());
    approve(fixture, "held").await;
    // With the plan that it was of, an approval may be gone as well, and is given again.
    approve(fixture, "approved").await;
    suspend(fixture, "ddel/approved", false).await;
    for (request, desktop) in [("held", "pc-4"), ("approved", "pc-8")] {
        let status = fixture.succeeded(request).await;
        assert_eq!(status["attempts"][0]["planHash"], status["plan"]["hash"]);
        assert_sent_once(fixture, desktop);
    }
}

/// Two requests, one of them approved, that the cloud has accepted; nobody can see how far their jobs are until the faults
/// of the cloud are cleared. Gives their names.
async fn submit_before_the_roll_back(fixture: &Fixture) -> [&'static str; 2] {
    for desktop in ["pc-9", "pc-10"] {
        let slow = json!({"id": desktop, "outcome": {"result": "success", "running": "60s"}});
        fixture.cloud.cloud.add_desktop(&slow).unwrap();
    }
    fixture.request("running", &["pc-9"]).await;
    let approved = manifest("approved-running", "pc-10", &json!({"suspend": true}));
    fixture.namespace.apply(&approved).await.unwrap();
    approve(fixture, "approved-running").await;
    let requests = ["running", "approved-running"];
    suspend(fixture, "ddel/approved-running", false).await;
    for request in requests {
        let accepted = |status: &Value| status["jobID"].is_string();
        fixture
            .until_request(request, "its job is stored", accepted)
            .await;
    }
    let unseen = json!({"operation": "listSubJobs", "answer": {"status": 503}});
    fixture.cloud.cloud.add_fault(&unseen).unwrap();
    requests
}

/// A request to the project without guardrails, with further fields of its spec.
fn manifest(name: &str, desktop: &str, more: &Value) -> Value {
    let mut manifest = manifests::desktop_deletion(name, "prod", [desktop]);
    let spec = manifest["spec"].as_object_mut().unwrap();
    spec.extend(more.as_object().unwrap().clone());
    manifest
}

async fn waits(fixture: &Fixture, request: &str, wanted: &str) {
    let says = |status: &Value| reason(status, "Submitted") == wanted;
    fixture
        .until_request(request, &format!("it says {wanted}"), says)
        .await;
}

/// Approves the plan of a request as `kubectl desktops approve` does, unless it is approved, and waits until that is on
/// record. Gives its hash.
async fn approve(fixture: &Fixture, request: &str) -> Value {
    let requests = fixture.namespace.deletions();
    let set = async |plan: &Value| {
        let patch = Patch::Merge(json!({"spec": {"approvedPlan": plan}}));
        let parameters = PatchParams::default();
        requests.patch(request, &parameters, &patch).await.unwrap();
    };
    let judged =
        |status: &Value| status["plan"]["hash"].is_string() && !reason(status, "Approved").is_empty();
    let status = fixture.until_request(request, "its plan is shown", judged).await;
    if status["refusedPlan"].is_string() {
        set(&Value::Null).await;
        let forgotten = |status: &Value| status["refusedPlan"].is_null();
        fixture
            .until_request(request, "the refused approval is forgotten", forgotten)
            .await;
    }
    let hash = status["plan"]["hash"].clone();
    set(&hash).await;
    let recorded = |status: &Value| status["approved"]["hash"] == hash;
    fixture
        .until_request(request, "the approval is recorded", recorded)
        .await;
    hash
}

/// Suspends a project or a request, or lets it go on, as the documentation does.
async fn suspend(fixture: &Fixture, object: &str, suspend: bool) {
    let patch = json!({"spec": {"suspend": suspend}}).to_string();
    fixture
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
