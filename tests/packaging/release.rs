//! A release of the chart on a real API server: installed, upgraded, rolled back and uninstalled; requests and the
//! definitions of their kinds survive all of it.

use serde_json::{Value, json};
use testkit::{ControlPlane, manifests};

use crate::chart::{CHART, NAME, NAMESPACE, helm};
use crate::path;

/// The short names of the two kinds' definitions, as `kubectl get crd` wants them.
const CRDS: [&str; 2] = [
    "desktopdeletions.cloud-desktops.dev",
    "workspaceprojects.cloud-desktops.dev",
];

struct Release<'a> {
    cluster: &'a ControlPlane,
    chart: String,
}

impl Release<'_> {
    fn helm(&self, arguments: &[&str]) -> String {
        let arguments = [arguments, &["--namespace", NAMESPACE]].concat();
        let printed = helm(&arguments, Some(self.cluster.kubeconfig_path()));
        assert!(printed.success, "{arguments:?}: {}", printed.stderr);
        printed.stdout
    }

    fn upgrade(&self, values: &[&str]) -> String {
        self.helm(&[&["upgrade", NAME, &self.chart][..], values].concat())
    }

    async fn get(&self, resource: &str) -> Option<Value> {
        let arguments = [
            "get",
            "--namespace",
            NAMESPACE,
            resource,
            "--output=json",
            "--ignore-not-found",
        ];
        let shown = self.cluster.kubectl(arguments).await.unwrap().stdout().unwrap();
        (!shown.is_empty()).then(|| serde_json::from_str(&shown).unwrap())
    }

    async fn variable(&self, name: &str) -> Option<String> {
        let deployment = self.get(&format!("deployment/{NAME}")).await.unwrap();
        let variables = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
        let variables = variables.as_array().unwrap();
        let variable = variables.iter().find(|variable| variable["name"] == name)?;
        Some(variable["value"].as_str().unwrap().to_owned())
    }

    /// UID of a request, which changes when it or the definition of its kind is deleted and created again.
    async fn request(&self) -> Value {
        let request = self.get("desktopdeletions.cloud-desktops.dev/leavers").await;
        request.unwrap()["metadata"]["uid"].clone()
    }
}

#[tokio::test]
async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled_and_requests_stay() {
    let cluster = ControlPlane::start().await.unwrap();
    let release = Release {
        cluster: &cluster,
        chart: path(CHART).display().to_string(),
    };

    release.helm(&["install", NAME, &release.chart, "--create-namespace"]);
    // They are templates of the chart, for which helm does not wait.
    cluster.crds_established().await.unwrap();
    let request = manifests::desktop_deletion("leavers", "prod", ["34e25501-fd50-42b5-97ca-f4c5bb7b09b0"]);
    let apply = ["apply", "--namespace", NAMESPACE, "--filename=-"];
    let applied = cluster.kubectl_with_input(apply, &request.to_string()).await;
    applied.unwrap().stdout().unwrap();
    let uid = release.request().await;
    assert_eq!(release.variable("DESKTOP_DELETION_NAMESPACES").await, None);
    assert!(
        release
            .get("validatingadmissionpolicy/keep-finalizer.cloud-desktops.dev")
            .await
            .is_none()
    );

    let shown = release.upgrade(&[
        "--set-json=watchNamespaces=[\"*\"]",
        "--set=policies.keepFinalizer=true",
    ]);
    assert!(shown.contains("serves all namespaces"), "{shown}");
    assert_eq!(
        release.variable("DESKTOP_DELETION_NAMESPACES").await.as_deref(),
        Some("*")
    );
    assert!(release.get(&format!("clusterrolebinding/{NAME}")).await.is_some());
    assert!(
        release
            .get("validatingadmissionpolicy/keep-finalizer.cloud-desktops.dev")
            .await
            .is_some()
    );

    release.helm(&["rollback", NAME, "1"]);
    assert_eq!(release.variable("DESKTOP_DELETION_NAMESPACES").await, None);
    assert!(release.get(&format!("clusterrolebinding/{NAME}")).await.is_none());

    // The definitions leave the release and stay in the cluster.
    release.upgrade(&["--set=crds.install=false"]);
    assert_eq!(release.request().await, uid);
    release.upgrade(&["--set=crds.install=true"]);
    assert_eq!(release.request().await, uid);

    release.helm(&["uninstall", NAME]);
    assert!(release.get(&format!("deployment/{NAME}")).await.is_none());
    assert!(release.get(&format!("serviceaccount/{NAME}")).await.is_none());
    for name in CRDS {
        let crd = release.get(&format!("crd/{name}")).await.unwrap();
        assert_eq!(crd["metadata"]["deletionTimestamp"], json!(null), "{name}");
    }
    assert_eq!(release.request().await, uid);

    // What an earlier release left is no obstacle.
    release.helm(&["install", NAME, &release.chart]);
    assert_eq!(release.request().await, uid);
}

#[tokio::test]
async fn a_release_takes_over_what_kustomize_installed() {
    let cluster = ControlPlane::start().await.unwrap();
    let release = Release {
        cluster: &cluster,
        chart: path(CHART).display().to_string(),
    };
    let folder = path("deploy").display().to_string();
    let apply = cluster.kubectl(["apply", "--kustomize", &folder]).await;
    apply.unwrap().stdout().unwrap();
    let before = release.get(&format!("deployment/{NAME}")).await.unwrap();
    release.helm(&[
        "install",
        NAME,
        &release.chart,
        "--take-ownership",
        "--force-conflicts",
    ]);
    let after = release.get(&format!("deployment/{NAME}")).await.unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    // No pod is replaced.
    assert_eq!(after["spec"], before["spec"]);
}
