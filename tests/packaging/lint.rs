//! The findings of kube-score in the manifests: only expected ones, and each expected finding has its reason here.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::ControlPlane;

use crate::chart::rendered;
use crate::{files, path, run};

/// Its findings in each variant that has the Deployment; each must occur as long as it is listed here.
const MEANT: [&str; 7] = [
    // The tag is a version or a digest is given: a pod also starts again while the registry is away.
    "container-image-pull-policy: ImagePullPolicy is not set to Always",
    // The root file system is read-only and there are no volumes; only the log grows, which the kubelet rotates.
    "container-ephemeral-storage-request-and-limit: Ephemeral Storage limit is not set",
    "container-ephemeral-storage-request-and-limit: Ephemeral Storage request is not set",
    // A throttled process would let signatures grow old.
    "container-resources: CPU limit is not set",
    // The image names the user, 65532: OpenShift refuses a pod that names one, and gives it another.
    "container-security-context-user-group-id: The container is running with a low user ID",
    "container-security-context-user-group-id: The container running with a low group ID",
    // Spread by topologySpreadConstraints, which do not prevent a new pod from starting if there is one node.
    "deployment-has-host-podantiaffinity: Deployment does not have a host podAntiAffinity set",
];

/// The values file that leaves out what is optional, what is found in it besides, and what is not: it has one replica.
const LEAST: (&str, &str, &str) = (
    "least.yaml",
    "pod-networkpolicy: The pod does not have a matching NetworkPolicy",
    "deployment-has-host-podantiaffinity: Deployment does not have a host podAntiAffinity set",
);

/// Checks that are off by default.
const MORE: &str = "--enable-optional-test=container-seccomp-profile,container-ports-check";

/// What is found in objects: the check and what it says.
fn findings(objects: &[Value]) -> BTreeSet<String> {
    let program = testkit::go_tool("kube-score").unwrap();
    let text = objects
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join("\n---\n");
    let arguments = [
        "score",
        "--output-format=json",
        "--kubernetes-version=v1.37",
        MORE,
        "-",
    ];
    let printed = run(&program, arguments, &[], &text);
    let judged: Value = serde_json::from_str(&printed.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", printed.stdout, printed.stderr));
    let judged = judged.as_array().into_iter().flatten();
    let checks = judged.flat_map(|object| object["checks"].as_array().unwrap());
    let failed = checks.filter(|check| check["skipped"] == false && check["grade"].as_u64() < Some(10));
    let failed = failed.flat_map(|check| {
        let comments = check["comments"].as_array().unwrap();
        comments.iter().map(move |comment| (check, comment))
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    failed
        .map(|(check, comment)| format!("{}: {}", text(&check["check"]["id"]), text(&comment["summary"])))
        .collect()
}

fn meant() -> BTreeSet<String> {
    MEANT.map(str::to_owned).into()
}

#[tokio::test]
async fn every_finding_in_a_kustomization_is_expected() {
    let cluster = ControlPlane::shared().await;
    for (folder, expected) in [
        ("deploy", meant()),
        ("deploy/all-namespaces", meant()),
        ("deploy/hardened", meant()),
        ("deploy/policies", BTreeSet::new()),
        ("deploy/self-approval", BTreeSet::new()),
        ("deploy/self-approval-v1beta1", BTreeSet::new()),
        ("deploy/watched-namespace", BTreeSet::new()),
    ] {
        let rendered = cluster
            .kubectl(["kustomize", &path(folder).display().to_string()])
            .await;
        let objects = crate::documents(&rendered.unwrap().stdout().unwrap());
        assert_eq!(findings(&objects), expected, "{folder}");
    }
}

#[test]
fn every_finding_in_the_chart_is_expected() {
    for file in files("tests/packaging/values") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut expected = meant();
        if name == LEAST.0 {
            expected.insert(LEAST.1.to_owned());
            assert!(expected.remove(LEAST.2));
        }
        let objects = rendered(&["--values", file.to_str().unwrap()]);
        assert_eq!(findings(&objects), expected, "{name}");
    }
}

#[test]
fn a_pod_with_more_privileges_is_found() {
    let objects = rendered(&[]);
    let mut deployment = objects
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let container = "/spec/template/spec/containers/0";
    *deployment
        .pointer_mut(&format!("{container}/securityContext"))
        .unwrap() = json!({"privileged": true});
    *deployment.pointer_mut(&format!("{container}/image")).unwrap() = json!("operator:latest");
    let found = findings(&[deployment]);
    for check in ["container-security-context-privileged", "container-image-tag"] {
        assert!(
            found.iter().any(|finding| finding.starts_with(check)),
            "{check}: {found:?}"
        );
    }
}
