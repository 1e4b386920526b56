//! What people do with `deploy/`: one command each, on a cluster that has nothing of it yet.

use testkit::{ControlPlane, Output, eventually};

use crate::fixture::BOUND;

const NAMESPACE: &str = "desktop-deletion";
const OPERATOR: &str = "--as=system:serviceaccount:desktop-deletion:desktop-deletion-operator";

#[tokio::test]
async fn one_command_installs_the_operator_and_the_overlays_change_only_its_permissions() {
    let cluster = ControlPlane::start().await.unwrap();

    // The base: its own namespace, and there no more than it needs.
    apply(&cluster, "deploy").await;
    for allowed in [
        "list desktopdeletions",
        "list workspaceprojects",
        "update desktopdeletions --subresource=status",
        "get secrets/any",
        "create events.events.k8s.io",
        "create leases",
        "update leases/desktop-deletion-operator",
    ] {
        granted(&cluster, NAMESPACE, allowed).await;
    }
    for denied in [
        "list secrets",
        "watch secrets",
        "update secrets",
        "create desktopdeletions",
        "update desktopdeletions",
        "delete desktopdeletions",
        "patch desktopdeletions --subresource=status",
        "patch workspaceprojects",
        "patch workspaceprojects --subresource=status",
        "get pods",
        "get configmaps",
        "get leases/other",
        "update leases/other",
        "list leases",
    ] {
        assert!(!can(&cluster, NAMESPACE, denied).await, "{denied}");
    }
    for denied in ["list desktopdeletions", "get secrets/any"] {
        assert!(
            !can(&cluster, "default", denied).await,
            "{denied} in another namespace"
        );
    }

    // The same again changes nothing. (Of a budget kubectl says "configured" whenever it is applied: by the API's schema
    // its selector is replaced as a whole.)
    let budget = "poddisruptionbudget.policy/desktop-deletion-operator";
    let version = async || {
        let field = "--output=jsonpath={.metadata.resourceVersion}";
        kubectl(&cluster, &["get", "--namespace", NAMESPACE, budget, field]).await
    };
    let before = version().await;
    let again = apply(&cluster, "deploy").await;
    let changed: Vec<_> = again
        .lines()
        .filter(|line| !line.ends_with(" unchanged"))
        .collect();
    assert!(changed.iter().all(|line| line.starts_with(budget)), "{again}");
    assert_eq!(version().await, before);

    // A second namespace.
    kubectl(
        &cluster,
        &[
            "apply",
            "--namespace=default",
            "--kustomize",
            &path("deploy/watched-namespace"),
        ],
    )
    .await;
    granted(&cluster, "default", "list desktopdeletions").await;
    assert!(!can(&cluster, "kube-system", "list desktopdeletions").await);

    // Named Secrets only.
    apply(&cluster, "deploy/hardened").await;
    denied(&cluster, NAMESPACE, "get secrets/any").await;
    granted(&cluster, NAMESPACE, "get secrets/prod-login").await;

    // Every namespace.
    let shown = apply(&cluster, "deploy/all-namespaces").await;
    assert!(
        shown.contains("deployment.apps/desktop-deletion-operator configured"),
        "{shown}"
    );
    granted(&cluster, "kube-system", "list desktopdeletions").await;
    granted(&cluster, "kube-system", "get secrets/any").await;
    assert!(!can(&cluster, "kube-system", "list secrets").await);
    // The Lease is in the operator's namespace, regardless of the namespaces that it serves.
    assert!(can(&cluster, NAMESPACE, "update leases/desktop-deletion-operator").await);
    assert!(!can(&cluster, "kube-system", "create leases").await);
}

#[tokio::test]
async fn the_policies_for_older_clusters_differ_only_in_their_api_version() {
    let cluster = ControlPlane::shared().await;
    let newer = kubectl(cluster, &["kustomize", &path("deploy/self-approval")]).await;
    let older = kubectl(cluster, &["kustomize", &path("deploy/self-approval-v1beta1")]).await;
    let with_version = |version: &str| {
        let version =
            format!("apiVersion: admissionregistration.k8s.io/{version}\nkind: MutatingAdmissionPolicy");
        move |manifests: &str| manifests.matches(&version).count()
    };
    // The policy and its binding.
    assert_eq!(
        (with_version("v1")(&newer), with_version("v1beta1")(&older)),
        (2, 2)
    );
    let sorted = |manifests: &str| {
        let mut documents: Vec<_> = manifests.split("---\n").map(str::to_owned).collect();
        documents.sort();
        documents
    };
    assert_eq!(
        sorted(&newer),
        sorted(&older.replace("k8s.io/v1beta1", "k8s.io/v1"))
    );
}

#[tokio::test]
async fn samples_are_accepted() {
    let cluster = ControlPlane::shared().await;
    cluster.install_crds().await.unwrap();
    let namespace = cluster.namespace("samples").await.unwrap();
    let samples = path("deploy/samples");
    kubectl(
        cluster,
        &["apply", "--namespace", namespace.name(), "--filename", &samples],
    )
    .await;
}

/// Applies a kustomization; no warning may come with it, such as one that the pod would be refused.
async fn apply(cluster: &ControlPlane, folder: &str) -> String {
    kubectl(cluster, &["apply", "--kustomize", &path(folder)]).await
}

async fn kubectl(cluster: &ControlPlane, arguments: &[&str]) -> String {
    let output = cluster.kubectl(arguments).await.unwrap();
    assert_eq!(output.stderr, "", "{arguments:?}");
    output.stdout().unwrap()
}

/// Whether the operator may do `VERB RESOURCE [--subresource=NAME]` in a namespace.
async fn can(cluster: &ControlPlane, namespace: &str, verb_and_resource: &str) -> bool {
    let output = can_i(cluster, namespace, verb_and_resource).await;
    assert_eq!(output.stderr, "", "{verb_and_resource}");
    output.status == 0
}

/// Waits until the operator may do that: the API server learns of new kinds and new rights by watches.
async fn granted(cluster: &ControlPlane, namespace: &str, verb_and_resource: &str) {
    let look = async || match can_i(cluster, namespace, verb_and_resource).await {
        output if output.status == 0 && output.stderr.is_empty() => Ok(()),
        output => Err(format!("{output:?}")),
    };
    eventually("the operator has the right", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Waits until the operator may no longer do that.
async fn denied(cluster: &ControlPlane, namespace: &str, verb_and_resource: &str) {
    let look = async || match can_i(cluster, namespace, verb_and_resource).await {
        output if output.status != 0 && output.stderr.is_empty() => Ok(()),
        output => Err(format!("{output:?}")),
    };
    eventually("the operator no longer has the right", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

async fn can_i(cluster: &ControlPlane, namespace: &str, verb_and_resource: &str) -> Output {
    let arguments = ["auth", "can-i", "--quiet", OPERATOR, "--namespace", namespace];
    let output = cluster.kubectl(arguments.into_iter().chain(verb_and_resource.split(' ')));
    output.await.unwrap()
}

fn path(folder: &str) -> String {
    testkit::workspace().join(folder).display().to_string()
}
