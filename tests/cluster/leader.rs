//! Two replicas: one leads and the other is a standby, work is handed over however the leader ends, and without leader
//! election both work at the same time. In every case, each request is submitted once.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{ApiServerProxy, Cloud, Moment, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};
use desktop_deletion_operator::runtime::lease::NAME;

use crate::doubt;
use crate::fixture::{BOUND, Fixture, Running, body, desktop, endless, pair, says};
use crate::metrics::shows;
use crate::shutdown::{answers, stops};

/// A lease that runs out soon, for a leader that another replica is to replace: that one waits for as long as the
/// leader wrote into the lease.
const SHORT: &[&str] = &[
    "--leader-elect",
    "--lease-duration=6s",
    "--renew-deadline=4s",
    "--lease-retry=250ms",
];

/// A lease that is renewed for longer than it lasts, by calls that may take some seconds.
const RENEWED: &[&str] = &[
    "--leader-elect",
    "--lease-duration=20s",
    "--renew-deadline=15s",
    "--lease-retry=250ms",
];

/// A lease that does not run out in any test.
const LONG: &[&str] = &[
    "--leader-elect",
    "--lease-duration=1h",
    "--renew-deadline=30m",
    "--lease-retry=250ms",
];

/// A replica with that identity, with the times of [`doubt::LONG_LIVED`].
fn replica(fixture: &Fixture, name: &str, election: &[&str]) -> Running {
    let name = format!("--identity={name}");
    fixture.operator(&[&[name.as_str()], election, doubt::LONG_LIVED].concat())
}

/// Waits until `/readyz` of a replica says its part.
async fn plays(fixture: &Fixture, replica: &Running, part: &str) {
    let look = async || {
        let text = answers(fixture, replica, "/readyz", 200).await;
        if text.contains(part) { Ok(()) } else { Err(text) }
    };
    eventually(&format!("a replica says {part:?}"), BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

async fn leads(fixture: &Fixture, replica: &Running) {
    plays(
        fixture,
        replica,
        "[+]leader-election ok: this replica is the leader",
    )
    .await;
}

/// Waits until a replica says that it has lost the lease.
async fn loses(fixture: &Fixture, replica: &Running) {
    let look = async || match answers(fixture, replica, "/readyz", 500).await {
        text if text.contains("[-]leader-election failed: the Lease is lost") => Ok(()),
        text => Err(text),
    };
    eventually("the lease is lost", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// A leader with that lease, and a standby that began after it.
async fn two(fixture: &Fixture, election: &[&str]) -> (Running, Running) {
    let a = replica(fixture, "a", election);
    leads(fixture, &a).await;
    let b = replica(fixture, "b", LONG);
    plays(fixture, &b, "[+]leader-election ok: standby; the leader is a_").await;
    (a, b)
}

async fn lease(fixture: &Fixture) -> Value {
    let lease = fixture.namespace.api::<Lease>().get(NAME).await.unwrap();
    serde_json::to_value(lease.spec).unwrap()
}

fn renew_time(lease: &Value) -> Timestamp {
    lease["renewTime"].as_str().unwrap().parse().unwrap()
}

/// Names and desktops of the requests of a test: `request-N` deletes `N-a` and `N-b`.
fn batch(count: usize) -> Vec<(String, [String; 2])> {
    (0..count)
        .map(|n| (format!("request-{n}"), [format!("{n}-a"), format!("{n}-b")]))
        .collect()
}

/// A cloud with the desktops of the requests that answers each batch-delete late, every other one before it took
/// effect. It takes a signature for as long as the replicas assume.
async fn set(name: &str, batch: &[(String, [String; 2])]) -> Fixture {
    let desktops: Vec<_> = batch
        .iter()
        .flat_map(|(_, ids)| ids.iter().map(|id| desktop(id)))
        .collect();
    let mut world = Cloud::world();
    world["timings"]["signatureWindow"] = json!("30s");
    let fixture = Fixture::set_with(name, world, &desktops).await;
    for (number, (_, ids)) in batch.iter().enumerate() {
        let late = json!({
            "operation": "batchDelete", "desktop": ids[0], "effectFirst": number % 2 == 0, "answer": {"delay": "1s"},
        });
        fixture.cloud.add_fault(&late).unwrap();
    }
    fixture
}

async fn apply(fixture: &Fixture, batch: &[(String, [String; 2])]) {
    for (name, [first, second]) in batch {
        fixture.request(name, &[first, second]).await;
    }
}

/// Waits until the first submission has arrived in the cloud.
async fn first_submission(fixture: &Fixture) {
    let look = async || {
        let faults = fixture.cloud.simulator().faults();
        faults
            .iter()
            .find(|fault| fault.struck > 0)
            .ok_or("none")
            .map(|_| ())
    };
    eventually("a submission has arrived", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Every request ends well, and took effect by one POST.
async fn each_was_submitted_once(fixture: &Fixture, batch: &[(String, [String; 2])]) {
    for (name, ids) in batch {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
        let mut effective = fixture.posts();
        effective.retain(|post| {
            post["tookEffect"] == true
                && body(post)["desktop_ids"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(ids[0]))
        });
        assert_eq!(effective.len(), 1, "{name}: {effective:#?}");
        assert_eq!(status["jobID"], effective[0]["jobID"], "{name}");
    }
}

#[tokio::test]
async fn a_standby_takes_over_when_the_leader_releases_the_lease() {
    let fixture = Fixture::set("standby", &["pc-1", "pc-2"].map(desktop)).await;
    // Only a lease that is given back is ever taken here.
    let (a, b) = two(&fixture, LONG).await;
    shows(&fixture, &a, &[("leader ", 1.0)]).await;
    let text = answers(&fixture, &b, "/metrics", 200).await;
    assert!(text.contains("\ndesktop_deletion_leader 0\n"), "{text}");
    for work in ["reconciles_total{", "unfinished_requests", "projects{"] {
        assert!(!text.contains(work), "it watches nothing: {text}");
    }
    answers(&fixture, &b, "/livez", 200).await;
    fixture.request("first", &["pc-1"]).await;
    let status = fixture.completed("first").await;
    assert_eq!(status["attempts"][0]["writer"], "a");

    assert_eq!(a.stopped().await, 0);
    leads(&fixture, &b).await;
    shows(&fixture, &b, &[("leader ", 1.0)]).await;
    assert_eq!(lease(&fixture).await["leaseTransitions"], 1);
    fixture.request("second", &["pc-2"]).await;
    let status = fixture.completed("second").await;
    assert_eq!(status["attempts"][0]["writer"], "b");
    assert_eq!(fixture.posts().len(), 2);

    // A standby that shuts down does not change the lease.
    let c = replica(&fixture, "c", LONG);
    plays(&fixture, &c, "standby; the leader is b_").await;
    assert_eq!(c.stopped().await, 0);
    assert!(
        lease(&fixture).await["holderIdentity"]
            .as_str()
            .unwrap()
            .starts_with("b_")
    );
    assert_eq!(b.stopped().await, 0);
    assert_eq!(lease(&fixture).await["holderIdentity"], "");
}

#[tokio::test]
async fn a_leader_that_shuts_down_hands_over_its_work() {
    let batch = batch(6);
    let fixture = set("hand-over", &batch).await;
    let (a, b) = two(&fixture, LONG).await;
    apply(&fixture, &batch).await;
    first_submission(&fixture).await;
    assert_eq!(a.stopped().await, 0);
    // What it had sent was answered and recorded before it went.
    for (name, _) in &batch {
        let status = fixture.status(name).await;
        assert_ne!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    }
    leads(&fixture, &b).await;
    each_was_submitted_once(&fixture, &batch).await;
}

#[tokio::test]
async fn a_leader_that_shuts_down_leads_until_its_last_submission_is_recorded() {
    let fixture = Fixture::set("drain", &[endless("pc-1")]).await;
    let late = json!({"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let (a, b) = two(&fixture, &[RENEWED, &["--submission-timeout=10m"]].concat()).await;
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    let renewed = async {
        stops(&fixture, &a).await;
        // For longer than a lease lasts that is not renewed.
        let end = renew_time(&lease(&fixture).await) + SignedDuration::from_secs(20);
        let look = async || match lease(&fixture).await {
            lease if renew_time(&lease) > end => Ok(lease),
            lease => Err(format!("{lease:#}")),
        };
        let lease = eventually("the lease is renewed", BOUND, look).await;
        let lease = lease.unwrap_or_else(|error| panic!("{error}"));
        let holder = lease["holderIdentity"].as_str().unwrap();
        assert!(holder.starts_with("a_"), "{lease:#}");
        fixture.cloud.simulator().end_delays();
    };
    let (exit, ()) = tokio::join!(a.stopped(), renewed);
    assert_eq!(exit, 0);
    assert!(a.log().contains("released the Lease"), "{}", a.log());
    let status = fixture.status("leaver").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    leads(&fixture, &b).await;
    assert_eq!(lease(&fixture).await["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_leader_that_is_killed_in_the_middle_of_its_work_is_replaced() {
    let batch = batch(6);
    let fixture = set("killed-leader", &batch).await;
    let (a, b) = two(&fixture, SHORT).await;
    apply(&fixture, &batch).await;
    first_submission(&fixture).await;
    a.kill().await.unwrap();
    leads(&fixture, &b).await;
    each_was_submitted_once(&fixture, &batch).await;
}

#[tokio::test]
async fn a_leader_that_was_frozen_starts_no_new_work_when_it_resumes() {
    let batch = batch(6);
    let fixture = set("frozen-leader", &batch).await;
    let (a, b) = two(&fixture, SHORT).await;
    apply(&fixture, &batch).await;
    first_submission(&fixture).await;
    a.freeze();
    leads(&fixture, &b).await;
    let led_by_b = lease(&fixture).await;
    a.thaw();
    let exit = tokio::time::timeout(BOUND, a.wait()).await;
    assert_eq!(exit.expect("it ends by itself").unwrap(), 1);
    let log = a.log();
    let told = log
        .lines()
        .filter(|line| line.contains("ERROR") && line.contains("the Lease"));
    assert_eq!(told.count(), 1, "{log}");
    each_was_submitted_once(&fixture, &batch).await;
    assert_eq!(lease(&fixture).await["acquireTime"], led_by_b["acquireTime"]);
}

#[tokio::test]
async fn a_leader_that_lost_the_lease_records_the_pending_response_starts_nothing_and_exits() {
    let fixture = Fixture::set("lost-lease", &["pc-1", "pc-2"].map(endless)).await;
    let late = json!({"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let a = replica(&fixture, "a", &[LONG, &["--submission-timeout=10m"]].concat());
    leads(&fixture, &a).await;
    fixture.request("on-its-way", &["pc-1"]).await;
    fixture.struck().await;

    let somebody = Patch::Merge(json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 6}}));
    let leases = fixture.namespace.api::<Lease>();
    leases
        .patch(NAME, &PatchParams::default(), &somebody)
        .await
        .unwrap();
    loses(&fixture, &a).await;
    let status = fixture.status("on-its-way").await;
    assert_eq!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    fixture.request("too-late", &["pc-2"]).await;
    fixture.cloud.simulator().end_delays();

    let exit = tokio::time::timeout(BOUND, a.wait()).await;
    assert_eq!(exit.expect("it ends by itself").unwrap(), 1);
    assert!(a.log().contains("is now held by somebody"), "{}", a.log());
    let status = fixture.status("on-its-way").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    assert_eq!(fixture.posts().len(), 1);
    assert_eq!(fixture.status("too-late").await["attempts"], Value::Null);
    assert_eq!(lease(&fixture).await["holderIdentity"], "somebody");

    // The lease of the other replica is not renewed and expires.
    let _again = replica(&fixture, "again", LONG);
    fixture.accepted("too-late").await;
    assert_eq!(fixture.posts().len(), 2);
}

#[tokio::test]
async fn a_leader_that_cannot_renew_the_lease_stops_and_still_records_its_response() {
    let fixture = Fixture::set("silence", &["pc-1", "pc-2"].map(endless)).await;
    let late = json!({"operation": "batchDelete", "desktop": "pc-1", "effectFirst": true, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let proxy = ApiServerProxy::start(
        fixture.control_plane,
        fixture.namespace.name(),
        testkit::SERVICE_ACCOUNT,
    )
    .await;
    let proxy = proxy.unwrap();
    let own = ["--identity=a", "--submission-timeout=10m"];
    let flags = [&own, SHORT, doubt::LONG_LIVED].concat();
    let a = fixture.operator_at(proxy.kubeconfig(), &flags);
    leads(&fixture, &a).await;
    let b = replica(&fixture, "b", LONG);
    plays(&fixture, &b, "standby; the leader is a_").await;
    fixture.request("on-its-way", &["pc-1"]).await;
    fixture.struck().await;

    // From now on no call about the lease is answered.
    let hanging = async {
        let mut held = Vec::new();
        loop {
            let trap = proxy.trap(Moment::Before, 1, |request| request.resource == "leases");
            held.push(trap.sprung().await.unwrap());
        }
    };
    let exit = async {
        loses(&fixture, &a).await;
        fixture.cloud.simulator().end_delays();
        let ended = tokio::time::timeout(BOUND, a.wait()).await;
        ended.expect("it ends by itself").unwrap()
    };
    let exit = tokio::select! {
        exit = exit => exit,
        never = hanging => never,
    };
    assert_eq!(exit, 1);
    assert!(a.log().contains("was not renewed for 4s"), "{}", a.log());
    let status = fixture.status("on-its-way").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );

    leads(&fixture, &b).await;
    fixture.request("next", &["pc-2"]).await;
    let status = fixture.accepted("next").await;
    assert_eq!(status["attempts"][0]["writer"], "b");
    assert_eq!(fixture.posts().len(), 2);
}

#[tokio::test]
async fn two_active_replicas_submit_each_request_once() {
    let batch = batch(10);
    let fixture = set("two-leaders", &batch).await;
    let both = ["a", "b"].map(|name| replica(&fixture, name, &["--leader-elect=false"]));
    for replica in &both {
        answers(&fixture, replica, "/readyz", 200).await;
        let text = answers(&fixture, replica, "/metrics", 200).await;
        assert!(text.contains("desktop_deletion_leader 1\n"), "{text}");
    }
    apply(&fixture, &batch).await;
    each_was_submitted_once(&fixture, &batch).await;
    assert_eq!(
        fixture.posts().len(),
        batch.len(),
        "not even one that was rejected"
    );
    for replica in &both {
        assert_eq!(replica.stopped().await, 0);
    }
}
