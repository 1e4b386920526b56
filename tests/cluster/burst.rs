//! Many requests at one time: what they cost, and that the many requests of one tenant do not delay those of another.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use testkit::cloud::PROJECT_ID;
use testkit::{
    Cloud, ControlPlane, Namespace, Operator, OperatorOptions, SERVICE_ACCOUNT, eventually, manifests,
};
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Succeeded};

use crate::fixture::{BOUND, Fixture, Running, condition, desktop, pair, refused_attempts, says};

/// Long enough for hundreds of requests on any machine.
const LONG: Duration = Duration::from_secs(600);

/// Long pauses, and reads that count for minutes: how much is read must not depend on how fast the machine is.
const PAUSES: &[&str] = &[
    "--poll-interval=45s",
    "--initial-poll-delay=20s",
    "--job-visibility-timeout=10m",
    "--max-signature-age=10m",
    "--submission-timeout=120s",
    "--first-report=1h",
];

async fn create(namespace: &Namespace, names: &[String]) {
    let apply = |name: &String| {
        let manifest = manifests::desktop_deletion(name, "prod", [name]);
        async move { namespace.apply(&manifest).await.unwrap() }
    };
    stream::iter(names.iter().map(apply))
        .buffer_unordered(8)
        .count()
        .await;
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

#[tokio::test]
async fn two_hundred_requests_share_their_reads_and_cost_five_writes_each() {
    const COUNT: usize = 200;
    let names = names("pc", COUNT);
    let desktops: Vec<_> = names.iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("burst", &desktops).await;
    // Verified before, and created while no operator runs: how fast the machine creates them must not matter either.
    let before = fixture.operator(PAUSES);
    fixture.project_says("prod", "CredentialsValid").await;
    assert_eq!(before.stopped().await, 0);
    create(&fixture.namespace, &names).await;
    let _operator = fixture.operator(PAUSES);
    all_ended(&fixture.namespace).await;
    let requests = fixture.requests();
    let ended = requests.list(&ListParams::default()).await.unwrap();
    assert_eq!(ended.items.len(), COUNT);
    let mut refused = BTreeMap::new();
    for object in ended.items {
        let status = &object.data["status"];
        assert_eq!(says(status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
        refused.insert(object.name_any(), refused_attempts(status));
    }

    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in fixture.cloud.ledger() {
        *calls.entry(format!("{:?}", call.operation)).or_default() += 1;
    }
    let all: usize = calls.values().sum();
    assert_eq!(calls["BatchDelete"], COUNT);
    assert!(
        all * 100 <= COUNT * 115,
        "{all} calls for {COUNT} requests: {calls:#?}"
    );

    // The log is in order: once the last one's writes show, all do.
    fixture.writes(&names[COUNT - 1]).await;
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for event in fixture.control_plane.audit().events().unwrap() {
        let Some(object) = &event.object_ref else { continue };
        let own = object.resource == "desktopdeletions" && object.namespace == fixture.namespace.name();
        if own && event.is_write() && event.by_service_account(SERVICE_ACCOUNT) {
            *writes.entry(object.name.clone()).or_default() += 1;
        }
    }
    assert_eq!(writes.len(), COUNT);
    let refusals: usize = refused.values().sum();
    assert!(
        refusals <= COUNT / 20,
        "only a slow machine delays a few calls: {refused:#?}"
    );
    writes.retain(|name, count| *count > 5 + 2 * refused[name]);
    assert!(writes.is_empty(), "more than five writes: {writes:#?}");
}

async fn all_ended(namespace: &Namespace) {
    let requests = namespace.deletions();
    let unfinished = ListParams::default().fields("status.completionTime=").limit(1);
    let look = async || match requests.list(&unfinished).await.unwrap().items.first() {
        None => Ok(()),
        Some(object) => Err(format!("{:#}", object.data)),
    };
    let waited = eventually("all requests have ended", LONG, look).await;
    waited.unwrap_or_else(|error| panic!("{error}"));
}

/// Requests of the tenant that asks for much.
const CROWD: usize = 1000;

/// The maximum number of POSTs of the crowd between the creation of another tenant's single request and its POST: those
/// of the reconciliations in progress when it is created, sixteen, and those that receive permits while it is read,
/// stored and sent.
const BETWEEN: usize = 48;

/// A tenant with a namespace and a project of its own, whose desktops are called like it.
async fn tenant(
    fixture: &Fixture,
    namespace: &Namespace,
    project_id: &str,
    secret: &Value,
    desktops: &[String],
) {
    for name in desktops {
        let desktop = json!({"id": name, "project": project_id});
        fixture.cloud.add_desktop(&desktop).unwrap();
    }
    namespace.apply(secret).await.unwrap();
    let mut project = fixture.cloud.project("prod", "login");
    project["spec"]["projectID"] = json!(project_id);
    namespace.apply(&project).await.unwrap();
}

/// An operator over two namespaces, with the rights that the overlay for all namespaces gives.
async fn operator(control_plane: &ControlPlane, namespaces: [&Namespace; 2], flags: &[&str]) -> Running {
    let [first, second] = namespaces.map(Namespace::name);
    let kubeconfig = control_plane
        .deploy("deploy/all-namespaces", first)
        .await
        .unwrap();
    let watched = format!("--namespaces={first},{second}");
    let own = [
        "run",
        "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
        "--listen=127.0.0.1:0",
        &watched,
    ];
    let started = Operator::start(OperatorOptions {
        binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
        kubeconfig: Some(&kubeconfig),
        arguments: &[&own, flags].concat(),
        environment: &[],
    });
    Running(started.unwrap())
}

/// Waits until the credentials of the project are verified.
async fn verified(namespace: &Namespace) {
    let look = async || {
        let status = namespace.projects().get("prod").await.unwrap().data["status"].clone();
        let proven = condition(&status, Ready)["reason"] == "CredentialsValid";
        if proven {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    };
    let waited = eventually("the credentials are verified", BOUND, look).await;
    waited.unwrap_or_else(|error| panic!("{error}"));
}

/// Lets the crowd come first and the single one afterwards, and counts the crowd's POSTs in between.
async fn posts_in_between(name: &str, login_of_its_own: bool, flags: &[&str]) -> usize {
    const OTHER_PROJECT: &str = "1b5f3a7c9d1e4f60826b4a5c7d8e9f02";
    const OTHER_KEY: (&str, &str) = ("TESTACCESSKEY0000002", "canary-secret-key-of-the-other-tenant");
    let mut world = Cloud::world();
    let owner = if login_of_its_own { "other" } else { "test" };
    world["projects"] = json!([{"id": PROJECT_ID}, {"id": OTHER_PROJECT, "account": owner}]);
    let account = json!({"name": "other", "accessKeys": [{"id": OTHER_KEY.0, "secret": OTHER_KEY.1}]});
    world["accounts"].as_array_mut().unwrap().push(account);
    let crowd = names("crowd", CROWD);
    let single = names("single", 1);
    let fixture = Fixture::without_project(name, world, &[]).await;
    let other = fixture
        .control_plane
        .namespace(&format!("{name}-other"))
        .await
        .unwrap();
    let shared_login = fixture.cloud.secret("login");
    let own_login = manifests::secret("login", &[("accessKey", OTHER_KEY.0), ("secretKey", OTHER_KEY.1)]);
    let login = if login_of_its_own {
        own_login
    } else {
        shared_login.clone()
    };
    tenant(&fixture, &fixture.namespace, PROJECT_ID, &shared_login, &crowd).await;
    tenant(&fixture, &other, OTHER_PROJECT, &login, &single).await;
    create(&fixture.namespace, &crowd).await;
    // With two calls at a time, the crowd makes four POSTs a second, however fast the machine is: a slow API server
    // must not look like an unfair queue.
    let slow = json!({"operation": "batchDelete", "effectFirst": true, "answer": {"delay": "500ms"}});
    fixture.cloud.add_fault(&slow).unwrap();
    let operator = operator(fixture.control_plane, [&fixture.namespace, &other], flags).await;
    let posts = || {
        let calls = fixture.cloud.calls(Operation::BatchDelete);
        let of_single = calls.iter().position(|call| call.body.contains("single"));
        (calls.len(), of_single)
    };
    let look = async || if posts().0 > 0 { Ok(()) } else { Err("no POST") };
    let begun = eventually("the crowd is served", BOUND, look).await;
    begun.unwrap_or_else(|error| panic!("{error}\n{}", operator.log_tail()));
    verified(&other).await;
    assert!(posts().0 < CROWD / 2, "the crowd is not served yet");
    create(&other, &single).await;
    let before = posts().0;
    let look = async || posts().1.ok_or("it is not sent");
    let place = eventually("the single request is sent", LONG, look).await;
    let place = place.unwrap_or_else(|error| panic!("{error}\n{}", operator.log_tail()));
    // It may have been sent while its creation was being answered.
    place.saturating_sub(before)
}

#[tokio::test]
async fn a_tenant_with_a_thousand_requests_does_not_delay_the_single_request_of_another() {
    let between = posts_in_between("tenants", true, &["--requests-per-minute=1000000"]).await;
    assert!(between <= BETWEEN, "{between} POSTs of the crowd came first");
}

#[tokio::test]
async fn the_rate_of_shared_credentials_is_distributed_fairly_between_namespaces() {
    let between = posts_in_between("one-login", false, &["--requests-per-minute=240"]).await;
    assert!(between <= BETWEEN, "{between} POSTs of the crowd came first");
}

#[tokio::test]
async fn requests_that_wait_for_the_cloud_do_not_delay_other_projects() {
    /// So many that their calls take longer, one every ten seconds, than a test waits.
    const HELD: usize = 40;
    let held = names("held", HELD);
    let desktops: Vec<_> = held.iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("held-passes", &desktops).await;
    let other = Cloud::start(&Cloud::world()).await.unwrap();
    other.add_desktop(&desktop("single")).unwrap();
    let project = other.project("other", "login");
    fixture.namespace.apply(&project).await.unwrap();
    let _operator = fixture.operator(&["--concurrency=1", "--requests-per-minute=8"]);
    for project in ["prod", "other"] {
        fixture.project_says(project, "CredentialsValid").await;
    }
    create(&fixture.namespace, &held).await;
    let look = async || match fixture.cloud.calls(Operation::ListSubJobs).len() {
        0 => Err("none is in progress"),
        _ => Ok(()),
    };
    let begun = eventually("the others are in progress", BOUND, look).await;
    begun.unwrap();
    let there = json!({"projectRef": {"name": "other"}});
    fixture.request_with("single", &["single"], there).await;
    fixture.accepted("single").await;
    let posts = fixture.posts().len();
    assert!(posts < HELD, "the others were still waiting");
}
