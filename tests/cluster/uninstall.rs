//! `docs/uninstall.md` as a user would follow it, on a separate cluster: every command of the page, in its order.

use std::path::Path;
use std::process::Stdio;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};
use testkit::{Cloud, ControlPlane, Operator, OperatorOptions, SERVICE_ACCOUNT, eventually, manifests};

use crate::fixture::{BOUND, desktop, endless};

const PAGE: &str = include_str!("../../docs/uninstall.md");

/// Where `deploy/` puts the operator, and the namespace that the page adds to it.
const OWN: &str = "desktop-deletion";
const ADDED: &str = "vdi-prod";

const FLAGS: &[&str] = &[
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--namespaces=desktop-deletion,vdi-prod",
    "--poll-interval=300ms",
    "--initial-poll-delay=200ms",
    "--job-visibility-timeout=1s",
    "--max-signature-age=3s",
    "--submission-timeout=20s",
    "--clock-skew=2s",
    "--secret-refresh=500ms",
];

struct Installed {
    cluster: ControlPlane,
    cloud: Cloud,
    operator: Operator,
}

/// A cluster where the operator serves two namespaces, under the policy of `deploy/policies`.
async fn install() -> Installed {
    let cluster = ControlPlane::start().await.unwrap();
    run(&cluster, "kubectl apply --kustomize deploy").await;
    run(&cluster, "kubectl create namespace vdi-prod").await;
    run(
        &cluster,
        "kubectl apply --kustomize deploy/watched-namespace --namespace vdi-prod",
    )
    .await;
    cluster.crds_established().await.unwrap();
    run(&cluster, "kubectl apply --kustomize deploy/policies").await;
    let cloud = Cloud::start(&Cloud::world()).await.unwrap();
    for id in ["pc-1", "pc-2"] {
        cloud.add_desktop(&desktop(id)).unwrap();
    }
    cloud.add_desktop(&endless("pc-3")).unwrap();
    let operator = operate(&cluster).await;
    for namespace in [OWN, ADDED] {
        apply(&cluster, namespace, &cloud.secret("login")).await;
        apply(&cluster, namespace, &cloud.project("prod", "login")).await;
    }
    Installed {
        cluster,
        cloud,
        operator,
    }
}

async fn operate(cluster: &ControlPlane) -> Operator {
    let kubeconfig = cluster
        .service_account_kubeconfig(OWN, SERVICE_ACCOUNT)
        .await
        .unwrap();
    let started = Operator::start(OperatorOptions {
        binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
        kubeconfig: Some(&kubeconfig),
        arguments: FLAGS,
        environment: &[],
    });
    started.unwrap()
}

async fn apply(cluster: &ControlPlane, namespace: &str, manifest: &Value) {
    let apply = ["apply", "--namespace", namespace, "--filename=-"];
    let applied = cluster.kubectl_with_input(apply, &manifest.to_string()).await;
    applied.unwrap().stdout().unwrap();
}

/// One request that ends, one whose job runs for an hour, and one that is suspended.
async fn request(installed: &Installed) {
    let cluster = &installed.cluster;
    apply(
        cluster,
        OWN,
        &manifests::desktop_deletion("ended", "prod", ["pc-1"]),
    )
    .await;
    let mut held = manifests::desktop_deletion("held", "prod", ["pc-2"]);
    held["spec"]["suspend"] = json!(true);
    apply(cluster, ADDED, &held).await;
    apply(
        cluster,
        ADDED,
        &manifests::desktop_deletion("running", "prod", ["pc-3"]),
    )
    .await;
    run(cluster, "kubectl wait --namespace desktop-deletion --for=jsonpath='{.status.completionTime}' --timeout=120s ddel/ended").await;
    run(
        cluster,
        "kubectl wait --namespace vdi-prod --for=jsonpath='{.status.jobID}' --timeout=120s ddel/running",
    )
    .await;
}

/// Runs a script as a person would, in the folder of the project; gives what it printed.
async fn run(cluster: &ControlPlane, script: &str) -> String {
    let records = cluster.folder().join("desktop-deletion-records.yaml");
    let script = script.replace("desktop-deletion-records.yaml", &records.display().to_string());
    let tools = cluster.kubectl_path().parent().unwrap_or(Path::new("/"));
    let path = format!(
        "{}:{}",
        tools.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = tokio::process::Command::new("sh")
        .args(["-euc", &script])
        .env("PATH", path)
        .env("KUBECONFIG", cluster.kubeconfig_path())
        .env("HOME", cluster.folder())
        .current_dir(testkit::workspace())
        .stdin(Stdio::null())
        .output();
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// The blocks of commands below the heading.
fn steps() -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once("## Step by step").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// What the namespace controller does, which this cluster lacks: what is in a namespace is gone already as far as it
/// matters here.
async fn end_namespaces(cluster: &ControlPlane) {
    let namespaces: Api<Namespace> = Api::all(cluster.admin_client().await.unwrap());
    loop {
        for mut namespace in namespaces.list(&ListParams::default()).await.unwrap().items {
            if namespace.metadata.deletion_timestamp.is_none() {
                continue;
            }
            let name = namespace.metadata.name.clone().unwrap();
            namespace.spec.get_or_insert_default().finalizers = None;
            // It may be gone by now.
            namespaces
                .replace_subresource("finalize", &name, &PostParams::default(), &namespace)
                .await
                .ok();
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

async fn left(cluster: &ControlPlane) -> String {
    let kinds =
        "crds,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings";
    let list =
        format!("kubectl get {kinds} --output name | grep -e cloud-desktops -e desktop-deletion || true");
    run(cluster, &list).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_uninstallation_leaves_nothing_behind_and_loses_no_job() {
    let installed = install().await;
    let cluster = &installed.cluster;
    request(&installed).await;
    assert!(
        left(cluster)
            .await
            .contains("desktopdeletions.cloud-desktops.dev")
    );
    let steps = steps();
    assert_eq!(steps.len(), 8, "{steps:#?}");
    let walk = async {
        let mut printed = Vec::new();
        for step in &steps {
            printed.push(run(cluster, step).await);
        }
        printed
    };
    let printed = tokio::select! {
        printed = walk => printed,
        () = end_namespaces(cluster) => Vec::new(),
    };
    assert!(
        printed[1].contains("running") && !printed[1].contains("desktop-deletion "),
        "{}",
        printed[1]
    );
    let records = std::fs::read_to_string(cluster.folder().join("desktop-deletion-records.yaml")).unwrap();
    assert!(
        records.contains("jobID:") && !records.contains(testkit::canary::MARK),
        "{records}"
    );
    assert!(!printed[4].contains("NAME"), "{}", printed[4]);
    assert_eq!(printed[7], "");
    assert_eq!(left(cluster).await, "");
    let desktops = installed.cloud.simulator().desktops();
    assert!(
        desktops.iter().any(|d| d.id == "pc-2"),
        "desktops that were not submitted still exist: {desktops:?}"
    );
    assert_eq!(installed.operator.exit_status(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crds_that_are_deleted_too_early_disappear_once_the_operator_runs_again() {
    let mut installed = install().await;
    request(&installed).await;
    installed.operator.kill().await.unwrap();
    let cluster = &installed.cluster;
    let kinds = "kubectl delete --wait=false --filename crds/desktopdeletions.yaml --filename crds/workspaceprojects.yaml";
    run(cluster, kinds).await;
    let held = "kubectl get ddel --all-namespaces --output name";
    eventually(
        "only requests that can still take effect are kept",
        BOUND,
        async || match run(cluster, held).await {
            names if names == "desktopdeletion.cloud-desktops.dev/running\n" => Ok(()),
            names => Err(names),
        },
    )
    .await
    .unwrap();
    installed.operator = operate(&installed.cluster).await;
    let cluster = &installed.cluster;
    eventually("the kinds are gone", BOUND, async || {
        let left = run(cluster, "kubectl get crds --output name").await;
        if left.contains("cloud-desktops") {
            Err(left)
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
}
