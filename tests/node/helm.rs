//! The chart, with the real Helm on a cluster that runs what it installs.

use serde_json::{Value, json};
use testkit::eventually;
use testkit::node::{NAMESPACE, Settings};

use crate::stage::{BOUND, OPERATOR, Stage, assert_sent_once, outcomes, path};

/// Folder of the chart.
const CHART: &str = "deploy/helm/desktop-deletion-operator";

on_nodes! {
    #[needs(Helm)]
    async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled_beside_its_requests() {
        let stage = Stage::empty(Settings::default(), &["pc-1", "pc-2", "pc-3", "pc-4"]).await;
        stage.kubectl(&["create", "namespace", NAMESPACE]).await;
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        stage.kubectl(&["label", "namespace", NAMESPACE, restricted]).await;

        helm(&stage, &["install", OPERATOR, &chart(), "--values", &values(&stage, &policies())]).await;
        stage.connect().await;
        stage.request("first", &["pc-1"]).await;
        stage.succeeded("first").await;

        // A submission is in flight in each case.
        let upgrade = ["upgrade", OPERATOR, &chart(), "--reset-then-reuse-values", "--set=operator.concurrency=8"];
        for (desktop, change, concurrency) in
            [("pc-2", &upgrade[..], Some("8")), ("pc-3", &["rollback", OPERATOR], None)]
        {
            stage.answer_next_submission_late();
            let leader = stage.leader().await;
            stage.request(desktop, &[desktop]).await;
            stage.submitted().await;
            tokio::join!(helm(&stage, change), stage.stops_in_flight(&leader, desktop));
            assert_eq!(variable(&stage, "DESKTOP_DELETION_CONCURRENCY").await.as_deref(), concurrency);
            assert_eq!(outcomes(&stage.succeeded(desktop).await), ["Accepted"], "{change:?}");
            assert_sent_once(&stage, desktop);
        }

        helm(&stage, &["uninstall", OPERATOR]).await;
        let left = async || match stage.kubectl(&["get", "all", "--namespace", NAMESPACE, "--output=name"]).await {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        };
        eventually("nothing of the release runs", BOUND, left).await.unwrap_or_else(|error| panic!("{error}"));
        // The requests are still there, and are taken over by the next release.
        let before = stage.kubectl(&["get", "ddel", "--namespace", NAMESPACE, "--output=json"]).await;
        helm(&stage, &["install", OPERATOR, &chart(), "--values", &values(&stage, &policies())]).await;
        stage.request("last", &["pc-4"]).await;
        stage.succeeded("last").await;
        let after = stage.kubectl(&["get", "ddel", "--namespace", NAMESPACE, "--output=json"]).await;
        let statuses = |list: &str| -> Vec<(Value, Value)> {
            let list: Value = serde_json::from_str(list).unwrap();
            let items = list["items"].as_array().unwrap().iter();
            let old = items.filter(|item| item["metadata"]["name"] != "last");
            old.map(|item| (item["metadata"]["name"].clone(), item["status"].clone())).collect()
        };
        assert_eq!(statuses(&after), statuses(&before));
        assert_eq!(stage.posts().len(), 4, "{:#?}", stage.posts());
    }

    #[needs(Helm, Earlier)]
    async fn a_release_of_an_earlier_chart_is_upgraded_with_its_definitions_and_rolled_back() {
        let stage = Stage::empty(Settings::default(), &["pc-1", "pc-2", "pc-3"]).await;
        let earlier = stage.cluster.earlier().unwrap();
        let old_chart = earlier.source.join(CHART).display().to_string();
        let values = values(&stage, &json!({}));
        let tag = format!("--set=image.tag={}", earlier.tag);
        let install = ["install", OPERATOR, &old_chart, "--create-namespace", "--values", &values, &tag];
        helm(&stage, &install).await;
        stage.connect().await;
        stage.request("first", &["pc-1"]).await;
        let first = stage.succeeded("first").await;
        assert_eq!(first["plan"], json!(null), "it knows no plans");
        assert!(!defines_approvals(&stage).await);

        // A submission is in flight in both directions.
        let upgrade = ["upgrade", OPERATOR, &chart(), "--reset-then-reuse-values", "--set=image.tag="];
        for (desktop, change) in [("pc-2", &upgrade[..]), ("pc-3", &["rollback", OPERATOR, "1"])] {
            stage.answer_next_submission_late();
            let leader = stage.leader().await;
            stage.request(desktop, &[desktop]).await;
            stage.submitted().await;
            tokio::join!(helm(&stage, change), stage.stops_in_flight(&leader, desktop));
            assert_eq!(outcomes(&stage.succeeded(desktop).await), ["Accepted"], "{change:?}");
            assert_sent_once(&stage, desktop);
            assert_eq!(defines_approvals(&stage).await, change == upgrade, "{change:?}");
            assert_eq!(stage.status("first").await["attempts"], first["attempts"], "{change:?}");
        }
        assert_eq!(stage.posts().len(), 3, "{:#?}", stage.posts());
    }
}

/// Whether the definition of requests is one with approvals.
async fn defines_approvals(stage: &Stage) -> bool {
    let definition = [
        "get",
        "crd",
        "desktopdeletions.cloud-desktops.dev",
        "--output=json",
    ];
    stage.kubectl(&definition).await.contains("approvedPlan")
}

/// Policies of a release.
fn policies() -> Value {
    json!({"keepFinalizer": true, "approve": true})
}

fn chart() -> String {
    path(CHART).display().to_string()
}

/// Writes a file with the values that a test needs, and these.
fn values(stage: &Stage, policies: &Value) -> String {
    let environment = stage.environment(&[]);
    let allowed: Vec<_> = stage
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
    let file = stage.cluster.control_plane().folder().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    file.display().to_string()
}

/// Runs Helm for the namespace of the operator, and waits until what it changed is ready.
async fn helm(stage: &Stage, arguments: &[&str]) {
    let program = testkit::go_tool("helm").unwrap();
    let control_plane = stage.cluster.control_plane();
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
async fn variable(stage: &Stage, name: &str) -> Option<String> {
    let deployment = format!("deployment/{OPERATOR}");
    let text = stage
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
