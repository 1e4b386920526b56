//! The Helm chart: it renders what the kustomizations render, its schema takes what it should, and a real API server takes
//! what it renders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};
use testkit::ControlPlane;

use crate::{Printed, documents, files, path, read, run};

pub(crate) const CHART: &str = "deploy/helm/desktop-deletion-operator";
pub(crate) const NAME: &str = "desktop-deletion-operator";
pub(crate) const NAMESPACE: &str = "desktop-deletion";

/// Labels that the chart adds to every object.
const LABELS: [&str; 4] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
];
/// Annotation that the chart adds to the CRDs: Helm never deletes them.
const KEEP: (&str, &str) = ("helm.sh/resource-policy", "keep");
/// What the kustomizations have in addition: Helm creates the namespace itself, or takes an existing one.
const NOT_IN_THE_CHART: [&str; 1] = ["Namespace"];
/// Kinds of the Prometheus Operator, which the API server of the tests does not have.
const FOREIGN: &str = "monitoring.coreos.com/v1";

/// Runs Helm with a home of its own.
pub(crate) fn helm(arguments: &[&str], kubeconfig: Option<&Path>) -> Printed {
    let program = testkit::go_tool("helm").unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut environment = vec![("HOME", home.path())];
    environment.extend(kubeconfig.map(|path| ("KUBECONFIG", path)));
    run(&program, arguments, &environment, "")
}

/// `helm template` with more arguments.
fn template(arguments: &[&str]) -> Printed {
    let chart = path(CHART).display().to_string();
    let begin = ["template", NAME, &chart, "--namespace", NAMESPACE];
    helm(&[&begin[..], arguments].concat(), None)
}

pub(crate) fn rendered(arguments: &[&str]) -> Vec<Value> {
    let printed = template(arguments);
    assert!(printed.success, "{arguments:?}: {}", printed.stderr);
    assert_eq!(printed.stderr, "", "{arguments:?}");
    documents(&printed.stdout)
}

/// Objects by kind, namespace and name.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut named = BTreeMap::new();
    for object in objects {
        let metadata = &object["metadata"];
        let key = format!(
            "{} {} {}",
            object["kind"], metadata["namespace"], metadata["name"]
        );
        assert!(
            named.insert(key.clone(), object).is_none(),
            "{key} is there twice"
        );
    }
    named
}

/// Takes away what Helm adds, and fails where it did not add it.
fn without_additions(mut object: Value) -> Value {
    let labels = object["metadata"]["labels"].as_object_mut().unwrap();
    for label in LABELS {
        assert!(labels.remove(label).is_some(), "no label {label}");
    }
    if object["kind"] == "CustomResourceDefinition" {
        let metadata = object["metadata"].as_object_mut().unwrap();
        assert_eq!(metadata.remove("annotations"), Some(json!({KEEP.0: KEEP.1})));
    }
    object
}

/// Where two objects differ. 1 and 1.0 are the same number: kustomize writes the one for the other.
fn differences(place: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let fields: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            let null = Value::Null;
            let of = |object: &Map<String, Value>, field| object.get(field).unwrap_or(&null).clone();
            let fields = fields.into_iter();
            fields
                .flat_map(|field| {
                    differences(&format!("{place}/{field}"), &of(one, field), &of(other, field))
                })
                .collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .flat_map(|(index, (one, other))| differences(&format!("{place}/{index}"), one, other))
            .collect(),
        _ if one == other || (one.is_number() && one.as_f64() == other.as_f64()) => Vec::new(),
        _ => vec![format!("{place}: {one}, {other}")],
    }
}

#[tokio::test]
async fn the_chart_renders_what_the_kustomizations_render() {
    let variants: [(&[&str], &[&str]); 5] = [
        (&[], &["deploy"]),
        (
            &["--set-json=watchNamespaces=[\"*\"]"],
            &["deploy/all-namespaces"],
        ),
        (&["--set=rbac.secretNames={prod-login}"], &["deploy/hardened"]),
        (
            &["--set=policies.keepFinalizer=true,policies.approve=true"],
            &["deploy", "deploy/policies"],
        ),
        (
            &["--set=policies.denySelfApproval=true"],
            &["deploy", "deploy/self-approval"],
        ),
    ];
    let cluster = ControlPlane::shared().await;
    for (values, folders) in variants {
        let mut expected = Vec::new();
        for folder in folders {
            let folder = path(folder).display().to_string();
            let output = cluster.kubectl(["kustomize", &folder]).await.unwrap();
            expected.extend(documents(&output.stdout().unwrap()));
        }
        expected.retain(|object| !NOT_IN_THE_CHART.iter().any(|&kind| object["kind"] == kind));
        let expected = by_name(expected);
        let found = rendered(values).into_iter().map(without_additions).collect();
        let found = by_name(found);
        let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{values:?}");
        for (name, object) in found {
            let differences = differences("", &object, &expected[&name]);
            assert!(
                differences.is_empty(),
                "{values:?}: {name}, chart and kustomization: {differences:#?}"
            );
        }
    }
}

#[tokio::test]
async fn every_values_file_passes_lint_and_renders_objects_that_an_api_server_accepts() {
    let cluster = ControlPlane::shared().await;
    cluster.install_crds().await.unwrap();
    for namespace in [NAMESPACE, "vdi-prod", "vdi-test"] {
        let manifest =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).to_string();
        let output = cluster
            .kubectl_with_input(["apply", "--filename=-"], &manifest)
            .await;
        output.unwrap().stdout().unwrap();
    }
    for file in files("tests/packaging/values") {
        let file = file.display().to_string();
        let chart = path(CHART).display().to_string();
        let linted = helm(
            &[
                "lint",
                "--strict",
                &chart,
                "--namespace",
                NAMESPACE,
                "--values",
                &file,
            ],
            None,
        );
        assert!(linted.success, "{file}: {}{}", linted.stdout, linted.stderr);
        let mut objects = rendered(&["--values", &file]);
        assert!(objects.iter().any(|object| object["kind"] == "Deployment"));
        objects.retain(|object| object["apiVersion"] != FOREIGN);
        let manifest = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        // Strict validation: an unknown or misplaced field is an error.
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--validate=strict",
            "--dry-run=server",
            "--filename=-",
        ];
        let output = cluster.kubectl_with_input(apply, &manifest).await.unwrap();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{file}");
    }
}

#[test]
fn invalid_values_are_refused_by_the_schema() {
    for file in files("tests/packaging/values/rejected") {
        let text = std::fs::read_to_string(&file).unwrap();
        let file = file.display().to_string();
        let expected = text.lines().next().unwrap().strip_prefix("# Expected: ").unwrap();
        let printed = template(&["--values", &file]);
        assert!(!printed.success, "{file} was accepted");
        assert!(
            printed
                .stderr
                .contains("values don't meet the specifications of the schema"),
            "{file}: {}",
            printed.stderr
        );
        assert!(printed.stderr.contains(expected), "{file}: {}", printed.stderr);
    }
}

#[test]
fn in_another_namespace_nothing_refers_to_the_usual_one() {
    let values = ["--namespace=vdi-ops", "--set=policies.keepFinalizer=true"];
    let objects = json!(rendered(&values)).to_string();
    for (reference, count) in [
        ("\"namespace\":\"desktop-deletion\"", 0),
        ("serviceaccount:desktop-deletion:", 0),
        // Otherwise the policy denies the operator what it must do.
        ("serviceaccount:vdi-ops:desktop-deletion-operator", 1),
    ] {
        assert_eq!(objects.matches(reference).count(), count, "{reference}");
    }
}

#[test]
fn flags_hosts_proxy_and_ports_reach_the_objects() {
    let file = path("tests/packaging/values/everything.yaml")
        .display()
        .to_string();
    let objects = rendered(&["--values", &file]);
    let of = |kind: &str| {
        let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
        assert_eq!(found.len(), 1, "{kind}");
        found[0]
    };
    let deployment = of("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        container["image"],
        format!("registry.example/ddo@sha256:{}", "0".repeat(64))
    );
    assert_eq!(container["args"], json!(["run", "--identity=blue"]));
    let variables: BTreeMap<_, _> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?)))
        .collect();
    let expected = BTreeMap::from([
        (
            "DESKTOP_DELETION_ALLOWED_ENDPOINTS",
            "workspace.cloud.example=10.20.0.0/16,fd00::/8;iam.cloud.example",
        ),
        ("DESKTOP_DELETION_CLOUD_PROXY", "http://proxy.example:3128"),
        (
            "DESKTOP_DELETION_CLOUD_PROXY_CREDENTIALS_FILE",
            "/var/run/cloud-proxy/userpass",
        ),
        ("DESKTOP_DELETION_CONCURRENCY", "32"),
        ("DESKTOP_DELETION_LEADER_ELECT", "true"),
        ("DESKTOP_DELETION_LOG_FORMAT", "text"),
        ("DESKTOP_DELETION_NAMESPACES", "vdi-prod,vdi-test"),
        (
            "DESKTOP_DELETION_OTLP_ENDPOINT",
            "http://otel-collector.observability:4318",
        ),
        ("DESKTOP_DELETION_REQUEST_DEADLINE", "24h"),
        ("DESKTOP_DELETION_SUBMISSION_TIMEOUT", "90s"),
        ("RUST_BACKTRACE", "1"),
    ]);
    assert_eq!(variables, expected);
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "cloud-proxy");
    assert_eq!(pod["terminationGracePeriodSeconds"], 180);
    let egress = of("NetworkPolicy")["spec"]["egress"].to_string();
    for port in [53, 443, 5443, 3128, 4318, 8443] {
        assert!(egress.contains(&format!("\"port\":{port}")), "{port}: {egress}");
    }
    assert!(
        !egress.contains("6443"),
        "only the ports that were listed: {egress}"
    );
    let roles: Vec<_> = objects
        .iter()
        .filter(|object| object["kind"] == "Role")
        .map(|role| {
            format!(
                "{}/{}",
                role["metadata"]["namespace"].as_str().unwrap(),
                role["metadata"]["name"].as_str().unwrap()
            )
        })
        .collect();
    let mut roles: Vec<_> = roles.iter().map(String::as_str).collect();
    roles.sort_unstable();
    assert_eq!(
        roles,
        [
            "desktop-deletion/desktop-deletion-operator-lease",
            "vdi-prod/desktop-deletion-operator",
            "vdi-prod/desktop-deletion-operator-secrets",
            "vdi-test/desktop-deletion-operator",
            "vdi-test/desktop-deletion-operator-secrets",
        ]
    );
    let alerts: Value = serde_saphyr::from_str(&read("docs/alerts.yaml")).unwrap();
    assert_eq!(of("PrometheusRule")["spec"], alerts);
    let dashboard = of("ConfigMap")["data"]["desktop-deletion-operator.json"]
        .as_str()
        .unwrap();
    assert_eq!(
        dashboard.trim_end(),
        read("deploy/monitoring/dashboard.json").trim_end()
    );
    let monitored = &of("ServiceMonitor")["spec"]["selector"]["matchLabels"];
    let labels = &of("Service")["metadata"]["labels"];
    for (label, value) in monitored.as_object().unwrap() {
        assert_eq!(labels[label], *value, "the ServiceMonitor selects the Service");
    }
    assert_eq!(
        of("Service")["spec"]["selector"],
        deployment["spec"]["selector"]["matchLabels"]
    );
}

#[test]
fn exempted_users_with_special_characters_reach_the_policy() {
    let file = path("tests/packaging/values/everything.yaml")
        .display()
        .to_string();
    let objects = rendered(&["--values", &file]);
    let mut policies = objects.iter();
    let policy = policies.find(|object| {
        object["kind"] == "ValidatingAdmissionPolicy"
            && object["metadata"]["name"] == "deny-self-approval.cloud-desktops.dev"
    });
    let exempt = &policy.unwrap()["spec"]["variables"][0]["expression"];
    assert_eq!(
        serde_json::from_str::<Value>(exempt.as_str().unwrap()).unwrap(),
        json!([
            "system:serviceaccount:argocd:argocd-application-controller",
            "Jane <&> Doe"
        ])
    );
}
