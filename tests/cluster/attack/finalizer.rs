//! The policy of `deploy/policies`: only the operator can remove its finalizer while a call can still take effect. As
//! the policy belongs to the whole cluster, these tests have a control plane of their own.

use std::path::Path;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use testkit::{
    ApiServerProxy, Cloud, ControlPlane, Moment, Namespace, SERVICE_ACCOUNT, eventually, manifests,
};
use tokio::sync::OnceCell;

use desktop_deletion_operator::crd::FINALIZER;
use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use super::forged_edits::{OWNER, WRITE_METHODS, WriteMethod, victim};
use super::victims::{finished, followed, in_doubt, waiting};
use crate::crd_rules::attempt;
use crate::fixture::{BOUND, Fixture, desktop, endless, pair, says};

/// Where `deploy/` puts the operator.
const OWN: &str = "desktop-deletion";

const POLICY: &str = "keep-finalizer.cloud-desktops.dev";

/// A control plane with all of `deploy/` and the policy, which is in effect.
pub(super) async fn policed() -> &'static ControlPlane {
    static POLICED: OnceCell<ControlPlane> = OnceCell::const_new();
    POLICED
        .get_or_init(async || {
            let cluster = ControlPlane::start().await.unwrap();
            kubectl(&cluster, &["apply", "--kustomize", &path("deploy")]).await;
            cluster.crds_established().await.unwrap();
            kubectl(&cluster, &["apply", "--kustomize", &path("deploy/policies")]).await;
            in_effect(&cluster).await;
            cluster
        })
        .await
}

/// Waits until the API server enforces the policy, which takes it a moment.
async fn in_effect(cluster: &ControlPlane) {
    let namespace = cluster.namespace("probe").await.unwrap();
    let client = namespace.client();
    held(&namespace, "probe", Some(&in_doubt())).await;
    let refused = async || match strip(WriteMethod::MergePatch, &client, namespace.name(), "probe").await {
        Ok(_) => {
            hold(&namespace, "probe").await;
            Err("the finalizer could be removed".to_owned())
        }
        Err(error) => refusal(&error),
    };
    eventually("the policy is in effect", BOUND, refused)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Whether the policy refused it, in its own words.
fn refusal(error: &kube::Error) -> Result<(), String> {
    match error {
        kube::Error::Api(status)
            if status.code == 403
                && [POLICY, FINALIZER, "(Argo CD: no Replace=true)", "delete it"]
                    .iter()
                    .all(|text| status.message.contains(text)) =>
        {
            Ok(())
        }
        error => Err(format!("refused otherwise: {error}")),
    }
}

/// The states of a request, and whether the policy keeps the finalizer in it.
fn states() -> Vec<(&'static str, Option<Value>, bool)> {
    let with = |outcomes: &[&str]| {
        let mut status = waiting();
        let attempts = outcomes.iter().enumerate();
        let attempts = attempts.map(|(number, outcome)| attempt(&format!("a{number}"), outcome, json!({})));
        status["attempts"] = attempts.collect();
        Some(status)
    };
    vec![
        ("not seen by the operator", None, false),
        ("no attempt", Some(waiting()), false),
        ("Pending", with(&["Pending"]), true),
        ("Pending after others", Some(in_doubt()), true),
        ("Abandoned, unfinished", with(&["Abandoned"]), true),
        ("Accepted, unfinished", Some(followed()), true),
        ("Adopted, unfinished", with(&["Adopted"]), true),
        ("Rejected", with(&["Rejected"]), false),
        ("NotSent", with(&["NotSent"]), false),
        ("NoEffect", with(&["NoEffect"]), false),
        (
            "all without effect",
            with(&["Rejected", "NotSent", "NoEffect"]),
            false,
        ),
        ("finished", Some(finished()), false),
    ]
}

/// Creates a request with that status and the operator's finalizer.
async fn held(namespace: &Namespace, name: &str, status: Option<&Value>) -> DynamicObject {
    if let Some(status) = status {
        victim(namespace, name, status).await.unwrap();
    } else {
        let manifest = manifests::desktop_deletion(name, "prod", ["d1", "d2"]);
        namespace.apply(&manifest).await.unwrap();
    }
    hold(namespace, name).await
}

/// Puts the finalizer on, so that it belongs to [`OWNER`] alone.
async fn hold(namespace: &Namespace, name: &str) -> DynamicObject {
    let api = namespace.deletions();
    apply(&api, name, json!({"finalizers": [FINALIZER]}))
        .await
        .unwrap()
}

async fn apply(api: &Api<DynamicObject>, name: &str, mut metadata: Value) -> kube::Result<DynamicObject> {
    metadata["name"] = json!(name);
    let manifest = json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "metadata": metadata,
    });
    let parameters = PatchParams::apply(OWNER).force();
    api.patch(name, &parameters, &Patch::Apply(manifest)).await
}

/// Removes all finalizers.
async fn strip(
    method: WriteMethod,
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> kube::Result<DynamicObject> {
    let api = requests(client, namespace);
    match method {
        WriteMethod::Put => {
            let mut object = api.get(name).await?;
            object.metadata.finalizers = None;
            api.replace(name, &PostParams::default(), &object).await
        }
        WriteMethod::MergePatch => {
            let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            api.patch(name, &PatchParams::default(), &patch).await
        }
        WriteMethod::JsonPatch => {
            let uri =
                format!("/apis/cloud-desktops.dev/v1alpha1/namespaces/{namespace}/desktopdeletions/{name}");
            let operations = json!([{"op": "remove", "path": "/metadata/finalizers"}]);
            let request = http::Request::patch(uri)
                .header("content-type", "application/json-patch+json")
                .body(operations.to_string().into_bytes())
                .unwrap();
            client.request(request).await
        }
        WriteMethod::Apply => apply(&api, name, json!({})).await,
    }
}

pub(super) fn requests(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cloud-desktops.dev", "v1alpha1", "DesktopDeletion");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

/// A client of a service account, once it has the rights on requests that `deploy/` gives it.
async fn account(cluster: &ControlPlane, home: &str, name: &str, namespace: &str) -> kube::Client {
    let kubeconfig = cluster.service_account_kubeconfig(home, name).await.unwrap();
    let file = Kubeconfig::read_from(&kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    let client = kube::Client::try_from(config.unwrap()).unwrap();
    let may = async || {
        let user = format!("--as=system:serviceaccount:{home}:{name}");
        let question = [
            "auth",
            "can-i",
            "patch",
            "desktopdeletions",
            &user,
            "--namespace",
            namespace,
        ];
        let answer = cluster.kubectl(question).await.unwrap();
        if answer.status == 0 {
            Ok(())
        } else {
            Err(answer.stdout)
        }
    };
    eventually("the account has its permissions", BOUND, may)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    client
}

/// A tenant who may update requests: the shipped role of requesters, in one namespace.
async fn tenant(cluster: &ControlPlane, namespace: &Namespace) -> kube::Client {
    let account_of_tenant =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant"}});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "tenant"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "desktop-deletion-requester",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace.name()}],
    });
    namespace.apply(&account_of_tenant).await.unwrap();
    namespace.apply(&binding).await.unwrap();
    account(cluster, namespace.name(), "tenant", namespace.name()).await
}

/// One try; says what came out otherwise than the policy promises.
struct Try<'a> {
    namespace: &'a Namespace,
    client: &'a kube::Client,
    name: String,
    status: Option<&'a Value>,
    kept: bool,
    deleting: bool,
    method: WriteMethod,
}

impl Try<'_> {
    async fn outcome(&self) -> Result<(), String> {
        let api = self.namespace.deletions();
        held(self.namespace, &self.name, self.status).await;
        if self.deleting {
            api.delete(&self.name, &DeleteParams::default()).await.unwrap();
        }
        let stripped = strip(self.method, self.client, self.namespace.name(), &self.name).await;
        let after = api.get_opt(&self.name).await.unwrap();
        let finalizers = after.map(|object| object.metadata.finalizers.unwrap_or_default());
        match stripped {
            Err(error) if self.kept => {
                refusal(&error)?;
                let same = finalizers == Some(vec![FINALIZER.to_owned()]);
                same.then_some(()).ok_or(format!("left {finalizers:?}"))
            }
            Err(error) => Err(format!("was refused: {error}")),
            Ok(_) if self.kept => Err("was allowed".to_owned()),
            Ok(_) => {
                let expected = (!self.deleting).then(Vec::new);
                (finalizers == expected)
                    .then_some(())
                    .ok_or(format!("left {finalizers:?}"))
            }
        }
    }
}

#[tokio::test]
async fn the_finalizer_can_only_be_removed_once_no_call_can_take_effect() {
    let cluster = policed().await;
    let namespace = cluster.namespace("finalizer").await.unwrap();
    let tenant = tenant(cluster, &namespace).await;
    let admin = namespace.client();
    let states = states();
    let mut wrong = Vec::new();
    let mut number = 0;
    for (state, status, kept) in &states {
        for (person, client) in [("admin", &admin), ("tenant", &tenant)] {
            for (deleting, method) in [false, true]
                .iter()
                .flat_map(|d| WRITE_METHODS.map(|method| (*d, method)))
            {
                number += 1;
                let attempted = Try {
                    namespace: &namespace,
                    client,
                    name: format!("victim-{number}"),
                    status: status.as_ref(),
                    kept: *kept,
                    deleting,
                    method,
                };
                if let Err(found) = attempted.outcome().await {
                    wrong.push(format!(
                        "{state}, {person}, {method:?}, being deleted: {deleting}: {found}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {number} tries:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_operator_may_remove_the_finalizer_in_every_state() {
    let cluster = policed().await;
    let namespace = cluster.namespace("finalizer-operator").await.unwrap();
    let rights = path("deploy/watched-namespace");
    kubectl(
        cluster,
        &["apply", "--namespace", namespace.name(), "--kustomize", &rights],
    )
    .await;
    let operator = account(cluster, OWN, SERVICE_ACCOUNT, namespace.name()).await;
    let mut wrong = Vec::new();
    for (number, (state, status, _)) in states().iter().enumerate() {
        for deleting in [false, true] {
            let attempted = Try {
                namespace: &namespace,
                client: &operator,
                name: format!("request-{number}-{deleting}"),
                status: status.as_ref(),
                kept: false,
                deleting,
                // The operator has no right to replace the object.
                method: WriteMethod::MergePatch,
            };
            if let Err(found) = attempted.outcome().await {
                wrong.push(format!("{state}, being deleted: {deleting}: {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_update_that_keeps_the_finalizer_goes_through() {
    let cluster = policed().await;
    let namespace = cluster.namespace("finalizer-kept").await.unwrap();
    let tenant = tenant(cluster, &namespace).await;
    let mut object = held(&namespace, "leaver", Some(&in_doubt())).await;
    let api = requests(&tenant, namespace.name());
    let both = vec!["example.com/other".to_owned(), FINALIZER.to_owned()];
    for finalizers in [both, vec![FINALIZER.to_owned()]] {
        object.metadata.finalizers = Some(finalizers.clone());
        object.metadata.managed_fields = None;
        object = api
            .replace("leaver", &PostParams::default(), &object)
            .await
            .unwrap();
        assert_eq!(object.metadata.finalizers, Some(finalizers));
    }
    object.metadata.finalizers = Some(vec!["example.com/other".to_owned()]);
    let exchanged = api.replace("leaver", &PostParams::default(), &object).await;
    refusal(&exchanged.unwrap_err()).unwrap();

    // What people have in a file: without finalizers and status.
    let mut file = manifests::desktop_deletion("leaver", "prod", ["d1", "d2"]);
    file["spec"]["suspend"] = json!(true);
    for arguments in [&["apply"][..], &["apply", "--server-side", "--force-conflicts"]] {
        let own = ["--namespace", namespace.name(), "--filename=-"];
        let applied = cluster
            .kubectl_with_input(arguments.iter().copied().chain(own), &file.to_string())
            .await;
        applied.unwrap().stdout().unwrap();
    }
    let replace = ["replace", "--namespace", namespace.name(), "--filename=-"];
    let replaced = cluster
        .kubectl_with_input(replace, &file.to_string())
        .await
        .unwrap();
    assert_ne!(replaced.status, 0);
    for text in [
        POLICY,
        "attempt lost (Pending) is not finished",
        "(Argo CD: no Replace=true)",
    ] {
        assert!(replaced.stderr.contains(text), "{}", replaced.stderr);
    }
    file["metadata"]["finalizers"] = json!([FINALIZER]);
    let replaced = cluster
        .kubectl_with_input(replace, &file.to_string())
        .await
        .unwrap();
    replaced.stdout().unwrap();
    let object = api.get("leaver").await.unwrap();
    assert_eq!(object.metadata.finalizers, Some(vec![FINALIZER.to_owned()]));
    assert_eq!(object.data["status"], in_doubt());
}

#[tokio::test]
async fn the_operator_completes_and_releases_requests_under_the_policy() {
    let cluster = policed().await;
    let namespace = cluster.existing_namespace(OWN).await.unwrap();
    let kubeconfig = cluster
        .service_account_kubeconfig(OWN, SERVICE_ACCOUNT)
        .await
        .unwrap();
    let desktops = [desktop("pc-1"), endless("pc-2")];
    let fixture = Fixture::deployed(cluster, namespace, kubeconfig, Cloud::world(), &desktops).await;
    fixture
        .namespace
        .apply(&fixture.cloud.secret("login"))
        .await
        .unwrap();
    let project = fixture.cloud.project("prod", "login");
    fixture.namespace.apply(&project).await.unwrap();
    let proxy = ApiServerProxy::start(cluster, OWN, SERVICE_ACCOUNT)
        .await
        .unwrap();
    // The operator releases the object half a minute after the signature, but not before the policy has been tried.
    let release = proxy.trap(Moment::Before, 1, |asked| {
        asked.writes("desktopdeletions", "", "running") && asked.body["metadata"]["finalizers"] == json!([])
    });
    let flags = ["--max-signature-age=3s", "--submission-timeout=30s"];
    let _operator = fixture.operator_at(proxy.kubeconfig(), &flags);
    fixture.request("ended", &["pc-1"]).await;
    fixture.request("running", &["pc-2"]).await;

    let status = fixture.completed("ended").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let ended = fixture.requests().get("ended").await.unwrap();
    assert_eq!(
        ended.metadata.finalizers.unwrap_or_default(),
        Vec::<String>::new()
    );

    fixture.accepted("running").await;
    let admin = fixture.namespace.client();
    let stripped = strip(WriteMethod::MergePatch, &admin, OWN, "running").await;
    refusal(&stripped.unwrap_err()).unwrap();
    fixture.delete("running").await;
    let stripped = strip(WriteMethod::MergePatch, &admin, OWN, "running").await;
    refusal(&stripped.unwrap_err()).unwrap();
    release.sprung().await.unwrap().go_on();
    fixture.gone("running").await;
    fixture.delete("ended").await;
    fixture.gone("ended").await;
    assert_eq!(fixture.posts().len(), 2);
}

pub(super) async fn kubectl(cluster: &ControlPlane, arguments: &[&str]) -> String {
    let output = cluster.kubectl(arguments).await.unwrap();
    assert_eq!(super::errors(&output), "", "{arguments:?}");
    output.stdout().unwrap()
}

pub(super) fn path(folder: &str) -> String {
    Path::new(&testkit::workspace())
        .join(folder)
        .display()
        .to_string()
}
