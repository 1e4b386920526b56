//! Who approves: the policies of `deploy/policies` and `deploy/self-approval`, tried by users with every mixture of rights,
//! in every way to write. As the policies belong to the whole cluster, these tests have control planes of their own.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, eventually, manifests};

use super::finalizer::{kubectl, requests};
use super::forged_edits::{OWNER, WriteMethod};
use crate::fixture::BOUND;

mod approvers;
mod creators;

/// The annotation that names the creator.
const CREATOR: &str = "cloud-desktops.dev/created-by";

/// A plan, and another one.
const PLAN: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER: &str = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// What a write does to the approval: before and after.
const TRANSITIONS: [(&str, Option<&str>, Option<&str>); 4] = [
    ("set", None, Some(PLAN)),
    ("change", Some(OTHER), Some(PLAN)),
    ("remove", Some(PLAN), None),
    ("keep", Some(PLAN), Some(PLAN)),
];

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteResult {
    /// It went through.
    Allowed,
    /// RBAC refused it.
    NoRight,
    /// The policy `approve` refused it.
    MayNotApprove,
    /// The policy `deny-self-approval` refused it, since the user is the creator.
    OwnRequest,
    /// The same, since the creator is not known.
    UnknownCreator,
}

/// What a write does to the annotation that names the creator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgery {
    None,
    Name(&'static str),
    Removal,
}

impl Forgery {
    /// How many annotations an object has that was created with it.
    fn annotations(self) -> usize {
        match self {
            Self::None | Self::Removal => 1,
            Self::Name(_) => 2,
        }
    }
}

/// How an object is created.
#[derive(Debug, Clone, Copy)]
enum Creation {
    Post,
    GenerateName,
    Apply,
}

const CREATIONS: [Creation; 3] = [Creation::Post, Creation::GenerateName, Creation::Apply];

/// A user and a namespace.
#[derive(Clone)]
struct User {
    name: String,
    client: kube::Client,
    namespace: String,
}

impl User {
    async fn new(cluster: &ControlPlane, namespace: &Namespace, name: &str) -> Self {
        let file = Kubeconfig::read_from(cluster.kubeconfig_path()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let mut config = config.unwrap();
        config.auth_info.impersonate = Some(name.to_owned());
        Self {
            name: name.to_owned(),
            client: kube::Client::try_from(config).unwrap(),
            namespace: namespace.name().to_owned(),
        }
    }

    fn requests(&self) -> Api<DynamicObject> {
        requests(&self.client, &self.namespace)
    }

    /// Creates a request, and returns the result.
    async fn creates(
        &self,
        creation: Creation,
        name: &str,
        plan: Option<&str>,
        forgery: Forgery,
    ) -> Result<DynamicObject, String> {
        let mut manifest = manifest(name, plan);
        if let Forgery::Name(forged) = forgery {
            manifest["metadata"]["annotations"] = json!({CREATOR: forged, "example.com/note": "kept"});
        }
        match creation {
            Creation::Apply => self.applies(name, &manifest).await,
            Creation::Post => self.posts(manifest).await,
            Creation::GenerateName => {
                manifest["metadata"]["name"] = Value::Null;
                manifest["metadata"]["generateName"] = json!(format!("{name}-"));
                self.posts(manifest).await
            }
        }
        .map_err(|error| error.to_string())
    }

    async fn posts(&self, manifest: Value) -> kube::Result<DynamicObject> {
        let object = serde_json::from_value(manifest).unwrap();
        self.requests().create(&PostParams::default(), &object).await
    }

    async fn applies(&self, name: &str, manifest: &Value) -> kube::Result<DynamicObject> {
        let parameters = PatchParams::apply(OWNER).force();
        self.requests()
            .patch(name, &parameters, &Patch::Apply(manifest))
            .await
    }

    /// Sets or removes the approval. It resumes or suspends the request as well, so that it is a change in any case.
    async fn writes(
        &self,
        method: WriteMethod,
        before: &DynamicObject,
        plan: Option<&str>,
        forgery: Forgery,
    ) -> kube::Result<DynamicObject> {
        let name = before.metadata.name.as_deref().unwrap();
        let suspend = before.data["spec"]["suspend"] != json!(true);
        let annotation = match forgery {
            Forgery::Name(forged) => json!(forged),
            Forgery::None | Forgery::Removal => Value::Null,
        };
        match method {
            WriteMethod::Put => {
                let mut object = before.clone();
                let spec = object.data["spec"].as_object_mut().unwrap();
                spec.remove("approvedPlan");
                spec.extend(plan.map(|plan| ("approvedPlan".to_owned(), json!(plan))));
                spec.insert("suspend".to_owned(), json!(suspend));
                let annotations = object.metadata.annotations.get_or_insert_default();
                match forgery {
                    Forgery::None => {}
                    Forgery::Name(forged) => drop(annotations.insert(CREATOR.to_owned(), forged.to_owned())),
                    Forgery::Removal => drop(annotations.remove(CREATOR)),
                }
                self.requests()
                    .replace(name, &PostParams::default(), &object)
                    .await
            }
            WriteMethod::MergePatch => {
                let mut patch = json!({"spec": {"approvedPlan": plan, "suspend": suspend}});
                if forgery != Forgery::None {
                    patch["metadata"] = json!({"annotations": {CREATOR: annotation}});
                }
                let patch = Patch::Merge(patch);
                self.requests().patch(name, &PatchParams::default(), &patch).await
            }
            WriteMethod::JsonPatch => {
                let path = format!("/metadata/annotations/{}", CREATOR.replace('/', "~1"));
                let mut operations =
                    vec![json!({"op": "replace", "path": "/spec/suspend", "value": suspend})];
                operations.push(match plan {
                    Some(plan) => json!({"op": "add", "path": "/spec/approvedPlan", "value": plan}),
                    None => json!({"op": "remove", "path": "/spec/approvedPlan"}),
                });
                operations.extend(match forgery {
                    Forgery::None => None,
                    Forgery::Name(forged) => Some(json!({"op": "add", "path": path, "value": forged})),
                    Forgery::Removal => Some(json!({"op": "remove", "path": path})),
                });
                self.json_patches(name, &operations).await
            }
            // What is not in the manifest is removed, since one manager owns all of it.
            WriteMethod::Apply => {
                let mut manifest = manifest(name, plan);
                manifest["spec"]["suspend"] = json!(suspend);
                if let Forgery::Name(_) = forgery {
                    manifest["metadata"]["annotations"] = json!({CREATOR: annotation});
                }
                self.applies(name, &manifest).await
            }
        }
    }

    async fn json_patches(&self, name: &str, operations: &[Value]) -> kube::Result<DynamicObject> {
        let uri = format!(
            "/apis/cloud-desktops.dev/v1alpha1/namespaces/{}/desktopdeletions/{name}",
            self.namespace
        );
        let request = http::Request::patch(uri)
            .header("content-type", "application/json-patch+json")
            .body(serde_json::to_vec(operations).unwrap())
            .unwrap();
        self.client.request(request).await
    }

    /// Runs kubectl as this user.
    async fn kubectl(
        &self,
        cluster: &ControlPlane,
        arguments: &[&str],
        manifest: &Value,
    ) -> Result<(), String> {
        let own = [
            format!("--as={}", self.name),
            format!("--namespace={}", self.namespace),
        ];
        let arguments = arguments.iter().copied().chain(own.iter().map(String::as_str));
        let output = cluster.kubectl_with_input(arguments, &manifest.to_string()).await;
        output
            .unwrap()
            .stdout()
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

fn manifest(name: &str, plan: Option<&str>) -> Value {
    let mut manifest = manifests::desktop_deletion(name, "prod", ["d1", "d2"]);
    if let Some(plan) = plan {
        manifest["spec"]["approvedPlan"] = json!(plan);
    }
    manifest
}

/// Which error it is. All texts that the error must contain are checked.
fn answer<T>(user: &str, name: &str, result: &Result<T, String>) -> Result<WriteResult, String> {
    let Err(error) = result else {
        return Ok(WriteResult::Allowed);
    };
    let approve = format!(
        "user {user} cannot set or change spec.approvedPlan: this needs the verb approve on desktopdeletions.cloud-desktops.dev"
    );
    let own =
        format!("user {user} cannot set or change spec.approvedPlan: the same user created this request");
    let says: [(WriteResult, &[&str]); 4] = [
        (
            WriteResult::MayNotApprove,
            &[
                "'approve.cloud-desktops.dev'",
                &approve,
                &format!("for {name}"),
                "removing it is allowed",
                "by the ClusterRole desktop-deletion-approver",
            ],
        ),
        (
            WriteResult::OwnRequest,
            &[
                "'deny-self-approval.cloud-desktops.dev'",
                &own,
                "removing it is allowed",
                "approved by another user",
            ],
        ),
        (
            WriteResult::UnknownCreator,
            &[
                "'deny-self-approval.cloud-desktops.dev'",
                "the creator of this request is unknown",
                "Delete the request and create it again",
            ],
        ),
        (
            WriteResult::NoRight,
            &["User \"", "\" cannot ", "resource \"desktopdeletions\""],
        ),
    ];
    let found = says
        .iter()
        .find(|(_, texts)| texts.iter().all(|text| error.contains(text)));
    found
        .map(|(answer, _)| *answer)
        .ok_or_else(|| format!("refused otherwise: {error}"))
}

/// The approval of an object.
fn approval(object: &DynamicObject) -> Option<&str> {
    object.data["spec"]["approvedPlan"].as_str()
}

fn creator(object: &DynamicObject) -> Option<&str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(CREATOR).map(String::as_str)
}

/// Gives a user a cluster role in a namespace.
async fn bind(namespace: &Namespace, user: &str, role: &str) {
    give(namespace, user, "ClusterRole", role).await;
}

/// Gives a user rights in a namespace.
async fn grant(namespace: &Namespace, user: &str, rules: Value) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": format!("{user}-rights")},
        "rules": rules,
    });
    namespace.apply(&role).await.unwrap();
    give(namespace, user, "Role", &format!("{user}-rights")).await;
}

async fn give(namespace: &Namespace, user: &str, kind: &str, role: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": format!("{}-{role}", user.replace(':', "-"))},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    namespace.apply(&binding).await.unwrap();
}

/// Waits until the API server knows the rights that were given: it learns of roles, and of
/// bindings, in their order.
async fn known(cluster: &ControlPlane, namespace: &Namespace) {
    let list =
        json!([{"apiGroups": ["cloud-desktops.dev"], "resources": ["desktopdeletions"], "verbs": ["list"]}]);
    grant(namespace, "last", list).await;
    bind(namespace, "last-approver", "desktop-deletion-approver").await;
    for (user, verb) in [("last", "list"), ("last-approver", "approve")] {
        let may = async || {
            let user = format!("--as={user}");
            let question = [
                "auth",
                "can-i",
                verb,
                "desktopdeletions",
                &user,
                "--namespace",
                namespace.name(),
            ];
            let answer = cluster.kubectl(question).await.unwrap();
            (answer.status == 0).then_some(()).ok_or(answer.stdout)
        };
        eventually("the API server knows the permissions", BOUND, may)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
}
