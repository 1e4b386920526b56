//! One test's way from Git to the cluster, by either tool: a repository, and the `Application` or `Kustomization` that
//! follows it into a namespace of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use testkit::{AuditEvent, Cloud, ControlPlane, eventually, manifests};

use crate::argocd::{self, ArgoCd};
use crate::fixture::{BOUND, Fixture, Running};
use crate::flux::{self, Flux};
use crate::git::Repository;

/// The file of the project.
pub(crate) const PROJECT: &str = "project.yaml";

/// Makes Argo CD compare at once; it removes the annotation then.
const REFRESH: &str = "argocd.argoproj.io/refresh";

/// Who delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    ArgoCd,
    Flux,
}

/// What a tool makes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Suspended,
    Progressing,
    Degraded,
}

enum Program {
    ArgoCd(&'static ArgoCd),
    Flux(&'static Flux),
}

/// A repository and who follows it.
pub(crate) struct Delivery {
    pub(crate) tool: Tool,
    pub(crate) fixture: Fixture,
    pub(crate) repository: Repository,
    program: Program,
    /// The `Application` or the `Kustomization`.
    follower: Api<DynamicObject>,
    name: String,
    _operator: Running,
}

impl Delivery {
    /// A cloud with these desktops, an operator, and a repository whose project is delivered.
    pub(crate) async fn begin(tool: Tool, name: &str, desktops: &[Value]) -> Self {
        Self::begin_with(tool, name, desktops, &json!({}), json!({})).await
    }

    /// The same with further fields: of the Application's `syncPolicy` or the Kustomization's `spec`, and of the project.
    pub(crate) async fn begin_with(
        tool: Tool,
        name: &str,
        desktops: &[Value],
        policy: &Value,
        project: Value,
    ) -> Self {
        let fixture = Fixture::without_project(name, Cloud::world(), desktops).await;
        // Secrets are not in Git.
        fixture
            .namespace
            .apply(&fixture.cloud.secret("login"))
            .await
            .unwrap();
        let control_plane = fixture.control_plane;
        let name = fixture.namespace.name().to_owned();
        let folder = control_plane.folder().join("repositories").join(&name);
        let repository = Repository::new(folder);
        let mut manifest = fixture.cloud.project("prod", "login");
        manifest["metadata"]["namespace"] = json!(name);
        extend(&mut manifest["spec"], project);
        repository.write(PROJECT, &manifest);
        let (program, follower, name) = match tool {
            Tool::ArgoCd => {
                let program = Program::ArgoCd(ArgoCd::shared(control_plane).await);
                let applications = control_plane.existing_namespace(argocd::NAMESPACE).await.unwrap();
                let api =
                    applications.dynamic(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
                (program, api, name)
            }
            Tool::Flux => {
                let program = Program::Flux(Flux::shared(control_plane).await);
                let kind = GroupVersionKind::gvk("kustomize.toolkit.fluxcd.io", "v1", "Kustomization");
                (program, fixture.namespace.dynamic(&kind), flux::NAME.to_owned())
            }
        };
        // A request that is deleted in flight goes about a minute after its signature, and a lost finalizer comes back
        // until then: on a busy machine the tools may need more than a few seconds for either.
        let operator = fixture.operator(&["--max-signature-age=3s", "--submission-timeout=60s"]);
        let delivery = Self {
            tool,
            fixture,
            repository,
            program,
            follower,
            name,
            _operator: operator,
        };
        delivery.follow(policy).await;
        delivery.fixture.project_says("prod", "CredentialsValid").await;
        delivery
    }

    /// Makes the first commit, and lets the tool follow the repository.
    async fn follow(&self, policy: &Value) {
        let revision = self.repository.commit();
        let namespace = &self.fixture.namespace;
        match &self.program {
            Program::ArgoCd(_) => {
                let applications = self
                    .fixture
                    .control_plane
                    .existing_namespace(argocd::NAMESPACE)
                    .await;
                let application = argocd::application(&self.name, self.repository.folder(), policy);
                applications.unwrap().apply(&application).await.unwrap();
            }
            Program::Flux(_) => {
                for manifest in flux::manifests(policy) {
                    namespace.apply(&manifest).await.unwrap();
                }
            }
        }
        self.publish(&revision).await;
    }

    /// Writes a request into its file, with further fields of its spec. `suspend` stands in it always, as recommended.
    pub(crate) fn request(&self, name: &str, ids: &[&str], more: Value) {
        let mut manifest = manifests::desktop_deletion(name, "prod", ids);
        manifest["metadata"]["namespace"] = json!(self.fixture.namespace.name());
        extend(&mut manifest["spec"], json!({"suspend": false}));
        extend(&mut manifest["spec"], more);
        self.repository.write(&file(name), &manifest);
    }

    /// Changes fields of a request's spec in its file; null removes one.
    pub(crate) fn edit(&self, name: &str, spec: &Value) {
        let mut manifest = self.repository.read(&file(name));
        for (field, value) in spec.as_object().unwrap() {
            let fields = manifest["spec"].as_object_mut().unwrap();
            if value.is_null() {
                fields.remove(field);
            } else {
                fields.insert(field.clone(), value.clone());
            }
        }
        self.repository.write(&file(name), &manifest);
    }

    /// Annotates a request in its file.
    pub(crate) fn annotate_request(&self, name: &str, annotation: &str, value: &str) {
        let mut manifest = self.repository.read(&file(name));
        manifest["metadata"]["annotations"][annotation] = json!(value);
        self.repository.write(&file(name), &manifest);
    }

    /// Removes the file of a request.
    pub(crate) fn remove(&self, name: &str) {
        self.repository.remove(&file(name));
    }

    /// Commits what was written, and notifies the tool.
    pub(crate) async fn commit(&self) -> String {
        let revision = self.repository.commit();
        self.publish(&revision).await;
        revision
    }

    /// Reverts the last commit, and notifies the tool.
    pub(crate) async fn revert(&self) -> String {
        let revision = self.repository.revert();
        self.publish(&revision).await;
        revision
    }

    async fn publish(&self, revision: &str) {
        if let Program::Flux(flux) = &self.program {
            let namespace = &self.fixture.namespace;
            flux.publish(&self.repository, revision, namespace).await;
        } else {
            self.annotate(REFRESH, "normal").await;
        }
    }

    /// Annotates the `Application` or `Kustomization`.
    pub(crate) async fn annotate(&self, annotation: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {annotation: value}}}));
        let patched = self
            .follower
            .patch(&self.name, &PatchParams::default(), &patch)
            .await;
        patched.unwrap();
    }

    /// Waits until all of a commit is applied, regardless of the result.
    pub(crate) async fn applied(&self, revision: &str) {
        let wanted = |status: &Value| match self.tool {
            Tool::ArgoCd => {
                let state = &status["operationState"];
                let synced = status["sync"]["status"] == "Synced" && status["sync"]["revision"] == revision;
                synced || (state["phase"] == "Succeeded" && state["syncResult"]["revision"] == revision)
            }
            Tool::Flux => {
                let revision = flux::revision(revision);
                let tried = status["lastAttemptedRevision"] == revision;
                let unhealthy = ready(status)["reason"] == "HealthCheckFailed";
                status["lastAppliedRevision"] == revision || (tried && unhealthy)
            }
        };
        self.follower_says("the commit is applied", wanted).await;
    }

    /// Waits until the tool says that a commit could not be applied, for a reason with that text.
    pub(crate) async fn refused(&self, revision: &str, text: &str) -> String {
        let status = self
            .follower_says("the commit is refused", |status| match self.tool {
                // It may retry before it reports the failure.
                Tool::ArgoCd => {
                    let operation = &status["operationState"]["operation"];
                    operation["sync"]["revision"] == revision && said(status).contains(text)
                }
                Tool::Flux => {
                    let tried = status["lastAttemptedRevision"] == flux::revision(revision);
                    tried && ready(status)["status"] == "False" && said(status).contains(text)
                }
            })
            .await;
        said(&status)
    }

    /// Waits until the tool calls a request so. Flux calls a whole Kustomization so, and held requests healthy.
    pub(crate) async fn health(&self, name: &str, health: Health) {
        let what = format!("{name} is {health:?}");
        self.follower_says(&what, |status| match self.tool {
            Tool::ArgoCd => {
                let resources = status["resources"].as_array().into_iter().flatten();
                let mut resources = resources.filter(|r| r["kind"] == "DesktopDeletion" && r["name"] == name);
                resources.any(|resource| resource["health"]["status"] == format!("{health:?}"))
            }
            Tool::Flux => {
                let ready = ready(status);
                match health {
                    Health::Healthy | Health::Suspended => ready["status"] == "True",
                    Health::Progressing => ready["status"] == "Unknown",
                    Health::Degraded => ready["reason"] == "HealthCheckFailed",
                }
            }
        })
        .await;
    }

    /// Waits until the status of the `Application` or `Kustomization` is as wanted.
    pub(crate) async fn follower_says(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let object = self.follower.get(&self.name).await.unwrap();
            let status = object.data["status"].clone();
            if wanted(&status) {
                Ok(status)
            } else {
                Err(format!("{status:#}"))
            }
        };
        eventually(what, BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Why the comparison that Argo CD shows has failed; else what it shows.
    pub(crate) async fn comparison_error(&self) -> Result<String, String> {
        let object = self.follower.get(&self.name).await.unwrap();
        let status = &object.data["status"];
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let error = conditions.find(|condition| condition["type"] == "ComparisonError");
        error
            .map(|error| error["message"].to_string())
            .ok_or_else(|| format!("{status:#}"))
    }

    /// Lets the tool compare Git and cluster so many times.
    pub(crate) async fn compared(&self, times: usize) {
        for _ in 0..times {
            match self.tool {
                Tool::ArgoCd => {
                    self.annotate(REFRESH, "normal").await;
                    let look = async || {
                        let object = self.follower.get(&self.name).await.unwrap();
                        let annotations = object.metadata.annotations.unwrap_or_default();
                        if annotations.contains_key(REFRESH) {
                            Err("not yet")
                        } else {
                            Ok(())
                        }
                    };
                    eventually("the tool has compared", BOUND, look).await.unwrap();
                }
                Tool::Flux => {
                    let round = round();
                    self.annotate("reconcile.fluxcd.io/requestedAt", &round).await;
                    let handled = |status: &Value| status["lastHandledReconcileAt"] == round;
                    self.follower_says("the tool has compared", handled).await;
                }
            }
        }
    }

    /// Lets the tool apply all that is in Git so many times, whether or not it sees a difference. Each time it says itself
    /// that it has.
    pub(crate) async fn synced(&self, times: usize) {
        match self.tool {
            Tool::ArgoCd => {
                for _ in 0..times {
                    self.sync(&round()).await;
                }
            }
            // It always applies what it compares.
            Tool::Flux => self.compared(times).await,
        }
    }

    /// Has Argo CD sync, as its button does, and waits until that sync has succeeded.
    async fn sync(&self, round: &str) {
        let operation = json!({"sync": {}, "info": [{"name": "round", "value": round}]});
        let patch = Patch::Merge(json!({"operation": operation}));
        let patched = self
            .follower
            .patch(&self.name, &PatchParams::default(), &patch)
            .await;
        patched.unwrap();
        let synced = |status: &Value| {
            let state = &status["operationState"];
            state["operation"]["info"][0]["value"] == round && state["phase"] == "Succeeded"
        };
        self.follower_says("the sync has succeeded", synced).await;
    }

    /// The writes of the tool to a request so far which the API server has taken, dry-runs aside.
    pub(crate) async fn writes(&self, name: &str) -> Vec<Arc<AuditEvent>> {
        // What the operator asked comes after a mark in the log, and so does what this is about.
        self.fixture.asked(name).await;
        let account = match self.tool {
            Tool::ArgoCd => argocd::ACCOUNT,
            Tool::Flux => flux::ACCOUNT,
        };
        let log = self.fixture.control_plane.audit();
        let writes = log.writes("desktopdeletions", self.fixture.namespace.name(), name);
        let mut writes = writes.unwrap();
        writes.retain(|event| {
            event.by_service_account(account) && event.code() < 300 && !event.request_uri.contains("dryRun")
        });
        writes
    }

    /// Those of them that changed the spec. (Argo CD applies a commit once more if it compares before its own cache shows
    /// what it has applied; that changes nothing.)
    pub(crate) async fn changes(&self, name: &str) -> Vec<Arc<AuditEvent>> {
        let mut changes = self.writes(name).await;
        let generation = |event: &AuditEvent| {
            let object = event.response_object.as_ref();
            object.map(|object| object["metadata"]["generation"].clone())
        };
        changes.dedup_by_key(|event| generation(event));
        changes
    }

    /// Waits until the tool has compared so often, and has written nothing meanwhile, with or without an effect.
    pub(crate) async fn left_alone(&self, name: &str, times: usize) {
        self.writes_nothing(name, async || self.compared(times).await)
            .await;
    }

    /// Waits until the tool has applied everything so often, and has written nothing meanwhile, with or without an effect.
    pub(crate) async fn left_alone_by_syncs(&self, name: &str, times: usize) {
        self.writes_nothing(name, async || self.synced(times).await).await;
    }

    async fn writes_nothing(&self, name: &str, meanwhile: impl AsyncFnOnce()) {
        // What it had begun before is over.
        self.compared(2).await;
        let before = self.writes(name).await.len();
        meanwhile().await;
        let after = self.writes(name).await;
        assert_eq!(after.len(), before, "{after:#?}");
    }

    /// Changes the spec of an object as a person does with kubectl.
    pub(crate) async fn patch_by_hand(&self, object: &str, spec: &Value) {
        let namespace = self.fixture.namespace.name();
        let patch = json!({"spec": spec}).to_string();
        let arguments = [
            "patch",
            object,
            "--namespace",
            namespace,
            "--type=merge",
            "--patch",
            &patch,
        ];
        self.fixture
            .control_plane
            .kubectl(arguments)
            .await
            .unwrap()
            .stdout()
            .unwrap();
    }

    /// Waits until the spec of a request is as wanted.
    pub(crate) async fn spec_is(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) {
        self.request_is(name, what, |object| wanted(&object.data["spec"]))
            .await;
    }

    /// The uid of a request that is there.
    pub(crate) async fn uid(&self, name: &str) -> Option<String> {
        self.fixture.requests().get(name).await.unwrap().metadata.uid
    }

    /// Whether there is no request of that name.
    pub(crate) async fn is_absent(&self, name: &str) -> bool {
        self.fixture.requests().get_opt(name).await.unwrap().is_none()
    }

    /// Ends all deletions of desktops that are running.
    pub(crate) fn end_jobs(&self) {
        self.fixture.cloud.simulator().end_jobs();
    }

    /// Waits until a request is there whose object is another one than this.
    pub(crate) async fn there(&self, name: &str, not: Option<String>) {
        self.request_is(name, "it was created again", |object| object.metadata.uid != not)
            .await;
    }

    /// Waits until a client has requested the deletion of the request with that uid, which may be gone already.
    pub(crate) async fn leaving(&self, name: &str, uid: Option<String>) {
        let look = async || match self.fixture.requests().get_opt(name).await.unwrap() {
            Some(object) if object.metadata.uid == uid && object.metadata.deletion_timestamp.is_none() => {
                Err(format!("{:?}", object.metadata))
            }
            _ => Ok(()),
        };
        eventually(&format!("{name}: its deletion was requested"), BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    async fn request_is(&self, name: &str, what: &str, wanted: impl Fn(&DynamicObject) -> bool) {
        let look = async || match self.fixture.requests().get_opt(name).await.unwrap() {
            Some(object) if wanted(&object) => Ok(()),
            Some(object) => Err(format!("{:?}: {:#}", object.metadata, object.data)),
            None => Err("it is not there".to_owned()),
        };
        eventually(&format!("{name}: {what}"), BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the sync that runs, as the button `Terminate` of Argo CD does.
    pub(crate) async fn end_sync(&self) {
        let patch = Patch::Merge(json!({"status": {"operationState": {"phase": "Terminating"}}}));
        let patched = self
            .follower
            .patch(&self.name, &PatchParams::default(), &patch)
            .await;
        patched.unwrap();
    }

    /// Runs an action of `deploy/argocd` with parameters on an object, given by kind and name, as Argo CD's web page does.
    /// Gives what Argo CD says if it refuses.
    pub(crate) async fn act(
        &self,
        object: (&str, &str),
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(), String> {
        let Program::ArgoCd(argocd) = &self.program else {
            panic!("{:?} has no actions", self.tool)
        };
        // Argo CD knows an object once a comparison has found it in the cluster.
        let known = async || match argocd.act(&self.name, object, action, parameters).await {
            Err(refused) if refused.contains("not found as part of application") => Err(refused),
            said => Ok(said),
        };
        eventually("Argo CD knows the object", BOUND, known)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills the tool and starts it again.
    pub(crate) async fn restart_tool(&self) {
        match &self.program {
            Program::ArgoCd(argocd) => argocd.controller.restart().await,
            Program::Flux(flux) => flux.restart().await,
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if std::thread::panicking() {
            match &self.program {
                Program::ArgoCd(argocd) => {
                    eprintln!(
                        "the end of the repo-server's log:\n{}",
                        argocd.repo_server.log_tail()
                    );
                    eprintln!("the end of Argo CD's log:\n{}", argocd.controller.log_tail());
                }
                Program::Flux(flux) => eprintln!("the end of Flux's log:\n{}", flux.controller.log_tail()),
            }
        }
    }
}

/// A text by which a tool says what it has done last; another one each time.
fn round() -> String {
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    ROUND.fetch_add(1, Ordering::Relaxed).to_string()
}

/// The file of a request.
fn file(request: &str) -> String {
    format!("requests/{request}.yaml")
}

fn extend(object: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("no object: {more}")
    };
    object.as_object_mut().unwrap().extend(more);
}

/// The condition `Ready` of a Kustomization.
fn ready(status: &Value) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
    ready.next().cloned().unwrap_or(Value::Null)
}

/// All that a tool says about what it could not apply.
fn said(status: &Value) -> String {
    let state = &status["operationState"];
    let resources = state["syncResult"]["resources"].as_array().into_iter().flatten();
    let messages = resources.map(|resource| &resource["message"]);
    let own = [&state["message"], &ready(status)["message"]].map(Value::to_string);
    let messages: Vec<_> = messages.map(Value::to_string).chain(own).collect();
    messages.join("\n")
}

/// Applies what a tool comes with, and waits until its kinds are served.
pub(crate) async fn install(control_plane: &ControlPlane, option: &str, path: &Path) {
    let path = format!("{option}={}", path.display());
    let apply = ["apply", "--server-side", &path];
    // The API server tells kubectl of a new kind a moment after it has been established.
    let applied = async || control_plane.kubectl(apply).await.unwrap().stdout();
    eventually("it is applied", BOUND, applied).await.unwrap();
    // It fails as long as one of them has no status at all.
    let wait = [
        "wait",
        "crds",
        "--all",
        "--for=condition=Established",
        "--timeout=60s",
    ];
    let look = async || control_plane.kubectl(wait).await.unwrap().stdout();
    eventually("the kinds are served", BOUND, look).await.unwrap();
}

/// Makes a namespace and an account that may do everything, and gives a kubeconfig that speaks for it.
pub(crate) async fn administrator(control_plane: &ControlPlane, namespace: &str, account: &str) -> PathBuf {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    ]});
    let apply = ["apply", "--server-side", "-f", "-"];
    let applied = control_plane.kubectl_with_input(apply, &list.to_string()).await;
    applied.unwrap().stdout().unwrap();
    let kubeconfig = control_plane.service_account_kubeconfig(namespace, account).await;
    kubeconfig.unwrap()
}
