//! The chart, with the real Helm on a cluster that runs what it installs.

use serde_json::{Value, json};
use testkit::eventually;
use testkit::node::{NAMESPACE, Settings};

use crate::fixture::{BOUND, Fixture, OPERATOR, assert_sent_once, outcomes, path};

/// Folder of the chart.
const CHART: &str = "deploy/helm/desktop-deletion-operator";

on_nodes! {
    #[needs(Helm)]
    async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled_beside_its_requests() {
        let fixture = Fixture::empty(Settings::default(), &["pc-1", "pc-2", "pc-3", "pc-4"]).await;
        fixture.kubectl(&["create", "namespace", NAMESPACE]).await;
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        fixture.kubectl(&["label", "namespace", NAMESPACE, restricted]).await;

        helm(&fixture, &["install", OPERATOR, &chart(), "--values", &values(&fixture, &policies())]).await;
        fixture.connect().await;
        fixture.request("first", &["pc-1"]).await;
        fixture.succeeded("first").await;

        // A submission is in flight in each case.
        let upgrade = ["upgrade", OPERATOR, &chart(), "--reset-then-reuse-values", "--set=operator.concurrency=8"];
        for (desktop, change, concurrency) in
            [("pc-2", &upgrade[..], Some("8")), ("pc-3", &["rollback", OPERATOR], None)]
        {
            fixture.answer_next_submission_late();
            let leader = fixture.leader().await;
            fixture.request(desktop, &[desktop]).await;
            fixture.submitted().await;
            tokio::join!(helm(&fixture, change), fixture.stops_in_flight(&leader, desktop));
            assert_eq!(variable(&fixture, "DESKTOP_DELETION_CONCURRENCY").await.as_deref(), concurrency);
            assert_eq!(outcomes(&fixture.succeeded(desktop).await), ["Accepted"], "{change:?}");
            assert_sent_once(&fixture, desktop);
        }

        helm(&fixture, &["uninstall", OPERATOR]).await;
        let left = async || match fixture.kubectl(&["get", "all", "--namespace", NAMESPACE, "--output=name"]).await {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        };
        eventually("nothing of the release runs", BOUND, left).await.unwrap_or_else(|error| panic!("{error}"));
        // The requests are still there, and are taken over by the next release.
        let before = fixture.kubectl(&["get", "ddel", "--namespace", NAMESPACE, "--output=json"]).await;
        helm(&fixture, &["install", OPERATOR, &chart(), "--values", &values(&fixture, &policies())]).await;
        fixture.request("last", &["pc-4"]).await;
        fixture.succeeded("last").await;
        let after = fixture.kubectl(&["get", "ddel", "--namespace", NAMESPACE, "--output=json"]).await;
        let statuses = |list: &str| -> Vec<(Value, Value)> {
            let list: Value = serde_json::from_str(list).unwrap();
            let items = list["items"].as_array().unwrap().iter();
            let old = items.filter(|item| item["metadata"]["name"] != "last");
            old.map(|item| (item["metadata"]["name"].clone(), item["status"].clone())).collect()
        };
        assert_eq!(statuses(&after), statuses(&before));
        assert_eq!(fixture.posts().len(), 4, "{:#?}", fixture.posts());
    }

    #[needs(Helm, Earlier)]
    async fn a_release_of_an_earlier_chart_is_upgraded_with_its_definitions_and_rolled_back() {
        let fixture = Fixture::empty(Settings::default(), &["pc-1", "pc-2", "pc-3"]).await;
        let earlier = fixture.cluster.earlier().unwrap();
        let old_chart = earlier.source.join(CHART).display().to_string();
        let values = values(&fixture, &json!({}));
        let tag = format!("--set=image.tag={}", earlier.tag);
        let install = ["install", OPERATOR, &old_chart, "--create-namespace", "--values", &values, &tag];
        helm(&fixture, &install).await;
        fixture.connect().await;
        fixture.request("first", &["pc-1"]).await;
        let first = fixture.succeeded("first").await;
        assert_eq!(first["plan"], json!(null), "it knows no plans");
        assert!(!defines_approvals(&fixture).await);

        // A submission is in flight in both directions.
        let upgrade = ["upgrade", OPERATOR, &chart(), "--reset-then-reuse-values", "--set=image.tag="];
        for (desktop, change) in [("pc-2", &upgrade[..]), ("pc-3", &["rollback", OPERATOR, "1"])] {
            fixture.answer_next_submission_late();
            let leader = fixture.leader().await;
            fixture.request(desktop, &[desktop]).await;
            fixture.submitted().await;
            tokio::join!(helm(&fixture, change), fixture.stops_in_flight(&leader, desktop));
            assert_eq!(outcomes(&fixture.succeeded(desktop).await), ["Accepted"], "{change:?}");
            assert_sent_once(&fixture, desktop);
            assert_eq!(defines_approvals(&fixture).await, change == upgrade, "{change:?}");
            assert_eq!(fixture.status("first").await["attempts"], first["attempts"], "{change:?}");
        }
        assert_eq!(fixture.posts().len(), 3, "{:#?}", fixture.posts());
    }
}

/// Whether the definition of requests is one with approvals.
async fn defines_approvals(fixture: &Fixture) -> bool {
    let definition = [
        "get",
        "crd",
        "desktopdeletions.cloud-desktops.dev",
        "--output=json",
    ];
    fixture.kubectl(&definition).await.contains("approvedPlan")
}

/// Policies of a release.
fn policies() -> Value {
    json!({"keepFinalizer": true, "approve": true})
}

fn chart() -> String {
    path(CHART).display().to_string()
}

/// Writes a file with the values that a test needs, and these.
fn values(fixture: &Fixture, policies: &Value) -> String {
    let environment = fixture.environment(&[]);
    let allowed: Vec<_> = fixture
        .cloud
        .allowed_endpoints()
        .split(';')
        .map(str::to_owned)
        .collect();
    let others = environment
        .iter()
        .filter(|(name, _)| name != "DESKTOP_DELETION_ALLOWED_ENDPOINTS");
    let variables: Vec<_> = others
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let values = json!({
        "allowedEndpoints": allowed,
        "extraEnv": variables,
        "policies": policies,
    });
    let file = fixture.cluster.control_plane().folder().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    file.display().to_string()
}

/// Runs Helm for the namespace of the operator, and waits until what it changed is ready.
async fn helm(fixture: &Fixture, arguments: &[&str]) {
    let program = testkit::go_tool("helm").unwrap();
    let control_plane = fixture.cluster.control_plane();
    let command = tokio::process::Command::new(program)
        .args(arguments)
        .args(["--namespace", NAMESPACE, "--wait", "--timeout=5m"])
        .env_clear()
        .env("HOME", control_plane.folder())
        .env("KUBECONFIG", control_plane.kubeconfig_path())
        .output();
    let output = command.await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {arguments:?}: {stderr}");
}

/// A variable of the operator's environment.
async fn variable(fixture: &Fixture, name: &str) -> Option<String> {
    let deployment = format!("deployment/{OPERATOR}");
    let text = fixture
        .kubectl(&["get", &deployment, "--namespace", NAMESPACE, "--output=json"])
        .await;
    let deployment: Value = serde_json::from_str(&text).unwrap();
    let variables = deployment
        .pointer("/spec/template/spec/containers/0/env")
        .unwrap();
    let found = variables
        .as_array()
        .unwrap()
        .iter()
        .find(|variable| variable["name"] == name);
    found
        .and_then(|variable| variable["value"].as_str())
        .map(str::to_owned)
}
