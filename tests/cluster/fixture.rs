//! What most tests of behaviour begin with: a namespace of the shared control plane, a cloud, and the operator as a
//! process with the service account and the rights that `deploy/` ships.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{AuditEvent, Cloud, ControlPlane, Namespace, Operator, OperatorOptions, eventually, manifests};
use workspace_simulator::cloud::{LedgerEntry, Operation};

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType;

// Another suite includes this file from its own folder, hence the paths.
#[path = "fixture/read.rs"]
mod read;
#[path = "fixture/world.rs"]
mod world;

pub(crate) use read::{body, condition, entry, message, pair, refused_attempts, says};
pub(crate) use world::{console_world, desktop, endless};

/// Long enough for any machine: a wait ends as soon as its condition holds.
pub(crate) const BOUND: Duration = Duration::from_secs(300);

/// Short pauses, so that tests need not wait for the defaults. On a machine that stands still for ten seconds, a
/// response must still be accepted, and its `Date` must still agree with the clock.
const FLAGS: &[&str] = &[
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--poll-interval=300ms",
    "--initial-poll-delay=200ms",
    "--submission-timeout=60s",
    "--job-visibility-timeout=1s",
    "--clock-skew=30s",
    "--secret-refresh=500ms",
    "--retry-min=300ms",
    "--retry-max=2s",
    "--requests-per-minute=1000000",
];

/// One test's world.
pub(crate) struct Fixture {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) namespace: Namespace,
    pub(crate) cloud: Cloud,
    kubeconfig: PathBuf,
}

/// A running operator; the end of its log is printed when its test fails.
pub(crate) struct Running(pub(crate) Operator);

impl Deref for Running {
    type Target = Operator;

    fn deref(&self) -> &Operator {
        &self.0
    }
}

impl Running {
    /// Sends SIGTERM and gives the exit status.
    pub(crate) async fn stopped(&self) -> i32 {
        let ended = tokio::time::timeout(BOUND, self.0.terminate()).await;
        ended.expect("the operator ends after SIGTERM").unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the operator's log:\n{}", self.0.log_tail());
        }
    }
}

impl Fixture {
    /// A namespace with the operator's account, a cloud with these desktops, and a project that points to it.
    pub(crate) async fn set(name: &str, desktops: &[Value]) -> Self {
        Self::set_with(name, Cloud::world(), desktops).await
    }

    /// The same with a world of its own.
    pub(crate) async fn set_with(name: &str, world: Value, desktops: &[Value]) -> Self {
        let fixture = Self::without_project(name, world, desktops).await;
        fixture
            .namespace
            .apply(&fixture.cloud.secret("login"))
            .await
            .unwrap();
        let project = fixture.cloud.project("prod", "login");
        fixture.namespace.apply(&project).await.unwrap();
        fixture
    }

    /// The same without Secret and project.
    pub(crate) async fn without_project(name: &str, world: Value, desktops: &[Value]) -> Self {
        let control_plane = ControlPlane::shared().await;
        let namespace = control_plane.namespace(name).await.unwrap();
        let kubeconfig = control_plane
            .deploy("deploy/base", namespace.name())
            .await
            .unwrap();
        Self::deployed(control_plane, namespace, kubeconfig, world, desktops).await
    }

    /// The same where the operator's account is there already.
    pub(crate) async fn deployed(
        control_plane: &'static ControlPlane,
        namespace: Namespace,
        kubeconfig: PathBuf,
        world: Value,
        desktops: &[Value],
    ) -> Self {
        let cloud = Cloud::start(&world).await.unwrap();
        for desktop in desktops {
            cloud.add_desktop(desktop).unwrap();
        }
        Self {
            control_plane,
            namespace,
            cloud,
            kubeconfig,
        }
    }

    /// Starts an operator; flags given here win over the short pauses of all tests.
    pub(crate) fn operator(&self, flags: &[&str]) -> Running {
        self.operator_at(&self.kubeconfig, flags)
    }

    /// The same, on another way to the API server.
    pub(crate) fn operator_at(&self, kubeconfig: &Path, flags: &[&str]) -> Running {
        self.operator_with(kubeconfig, flags, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn operator_among(&self, environment: &[(&str, &str)], flags: &[&str]) -> Running {
        self.operator_with(&self.kubeconfig, flags, environment)
    }

    fn operator_with(&self, kubeconfig: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Running {
        let own = format!("--namespaces={}", self.namespace.name());
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let named = |flag: &str| flags.iter().any(|given| name(given) == name(flag));
        let mut arguments: Vec<&str> = FLAGS.iter().copied().filter(|flag| !named(flag)).collect();
        arguments.extend(flags);
        if !named(&own) {
            arguments.push(&own);
        }
        let started = Operator::start(OperatorOptions {
            binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
            kubeconfig: Some(kubeconfig),
            arguments: &arguments,
            environment,
        });
        Running(started.unwrap())
    }

    /// The kubeconfig of the operator.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Applies a request for these desktops.
    pub(crate) async fn request(&self, name: &str, ids: &[&str]) -> DynamicObject {
        self.request_with(name, ids, json!({})).await
    }

    /// Applies a request with further fields of its spec.
    pub(crate) async fn request_with(&self, name: &str, ids: &[&str], more: Value) -> DynamicObject {
        let mut manifest = manifests::desktop_deletion(name, "prod", ids);
        let spec = manifest["spec"].as_object_mut().unwrap();
        spec.extend(more.as_object().unwrap().clone());
        self.namespace.apply(&manifest).await.unwrap()
    }

    /// The requests of the namespace, as admin.
    pub(crate) fn requests(&self) -> Api<DynamicObject> {
        self.namespace.deletions()
    }

    /// Changes fields of a request's spec.
    pub(crate) async fn change(&self, name: &str, spec: Value) {
        change(&self.requests(), name, spec).await;
    }

    /// Settles an attempt by hand.
    pub(crate) async fn resolve(&self, name: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {RESOLVE_ANNOTATION: value}}}));
        let patched = self.requests().patch(name, &PatchParams::default(), &patch).await;
        patched.unwrap();
    }

    /// Changes fields of a project's spec.
    pub(crate) async fn change_project(&self, name: &str, spec: Value) {
        change(&self.namespace.projects(), name, spec).await;
    }

    /// Asks for the deletion of a request.
    pub(crate) async fn delete(&self, name: &str) {
        let deleted = self.requests().delete(name, &DeleteParams::default()).await;
        deleted.unwrap();
    }

    /// Waits until a request is gone.
    pub(crate) async fn gone(&self, name: &str) {
        let what = format!("{name} is gone");
        let look = async || match self.requests().get_opt(name).await.unwrap() {
            None => Ok(()),
            Some(object) => Err(format!("{:#}", object.data)),
        };
        eventually(&what, BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The status of a request as it stands.
    pub(crate) async fn status(&self, name: &str) -> Value {
        self.requests().get(name).await.unwrap().data["status"].clone()
    }

    /// Waits until the request has ended, and gives its status.
    pub(crate) async fn completed(&self, name: &str) -> Value {
        self.until(name, "it has ended", |status| {
            status["completionTime"].is_string()
        })
        .await
    }

    /// Waits until the request was submitted and its job is known, and gives the status.
    pub(crate) async fn accepted(&self, name: &str) -> Value {
        self.until(name, "its job is stored", |status| status["jobID"].is_string())
            .await
    }

    /// Waits until a condition has that reason, and gives the status.
    pub(crate) async fn reason(&self, name: &str, kind: ConditionType, reason: &str) -> Value {
        let what = format!("{} says {reason}", kind.as_str());
        self.until(name, &what, |status| condition(status, kind)["reason"] == reason)
            .await
    }

    /// The first status of a request that was stored with that reason of a condition, however short it
    /// lasted.
    pub(crate) async fn stored(&self, name: &str, kind: ConditionType, reason: &str) -> Value {
        let writes = self.writes(name).await;
        let status = writes.iter().find_map(|write| {
            let status = &write.response_object.as_ref()?["status"];
            (condition(status, kind)["reason"] == reason).then(|| status.clone())
        });
        status.unwrap_or_else(|| panic!("{} of {name} never said {reason}: {writes:#?}", kind.as_str()))
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&self.requests(), name, what, wanted).await
    }

    /// Waits until the condition `Ready` of a project has that reason for the project's present generation, and gives
    /// the condition.
    pub(crate) async fn project_says(&self, name: &str, reason: &str) -> Value {
        let projects = self.namespace.projects();
        let look = async || {
            // It may not be there yet.
            let object = projects.get_opt(name).await.unwrap();
            let object = object.ok_or("it does not exist".to_owned())?;
            let ready = condition(&object.data["status"], ConditionType::Ready);
            let present = ready["observedGeneration"].as_i64() == object.metadata.generation;
            if present && ready["reason"] == reason {
                Ok(ready)
            } else {
                let (generation, status) = (object.metadata.generation, &object.data["status"]);
                Err(format!("generation {generation:?}: {status:#}"))
            }
        };
        eventually(&format!("{name}: Ready says {reason}"), BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until every fault was applied, that is, until the requests for which they are have arrived.
    pub(crate) async fn struck(&self) {
        let look = async || {
            let faults = self.cloud.simulator().faults();
            if faults.iter().all(|fault| fault.struck > 0) {
                Ok(())
            } else {
                Err(format!("{faults:#?}"))
            }
        };
        eventually("every fault was applied", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Bodies of the batch-deletes that took effect, oldest first.
    pub(crate) fn effective_posts(&self) -> Vec<Value> {
        let posts = self.posts();
        posts
            .iter()
            .filter(|p| p["tookEffect"] == true)
            .map(body)
            .collect()
    }

    /// The ledger's lines of all batch-deletes of the operator, oldest first.
    pub(crate) fn posts(&self) -> Vec<Value> {
        let calls = self.cloud.calls(Operation::BatchDelete);
        calls
            .iter()
            .filter(|call| call.caller.as_deref() != Some("console"))
            .map(|call| serde_json::to_value(call).unwrap())
            .collect()
    }

    /// Polls of the open jobs of a cloud project: lists of sub-jobs by status.
    pub(crate) fn ticks(&self, project_id: &str) -> Vec<LedgerEntry> {
        let mut calls = self.cloud.calls(Operation::ListSubJobs);
        calls.retain(|call| call.query.contains("status=WAITING") && call.path.contains(project_id));
        calls
    }

    /// Waits until the open jobs of a cloud project have been polled so many times more.
    pub(crate) async fn more_ticks(&self, project_id: &str, more: usize) {
        let wanted = self.ticks(project_id).len() + more;
        let look = async || match self.ticks(project_id).len() {
            count if count >= wanted => Ok(()),
            count => Err(format!("{count} of {wanted}")),
        };
        eventually("the poller has polled again", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The audit log so far, complete about the object of that name: what a write has changed can be seen a
    /// moment before the write is over and in the log.
    pub(crate) async fn audited(
        &self,
        api: &Api<DynamicObject>,
        resource: &str,
        name: &str,
    ) -> Vec<Arc<AuditEvent>> {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let namespace = self.namespace.name();
        let object = api.get_opt(name).await.unwrap();
        let version = object.and_then(|object| object.metadata.resource_version);
        let made_it = |event: &Arc<AuditEvent>| {
            let after = event.response_object.as_ref();
            let after = after.filter(|_| event.concerns(resource, namespace, name));
            after.is_some_and(|object| object["metadata"]["resourceVersion"].as_str() == version.as_deref())
        };
        // Once the log shows this read, it shows all requests that were over before.
        let mark = format!("mark-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        api.get_opt(&mark).await.unwrap();
        let look = async || {
            let events = self.control_plane.audit().events().unwrap();
            let marked = events
                .iter()
                .any(|event| event.concerns(resource, namespace, &mark));
            if marked && (version.is_none() || events.iter().any(made_it)) {
                Ok(events)
            } else {
                Err("it is not complete")
            }
        };
        eventually("the audit log is complete", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// All that the operator has asked about a request so far, watches aside.
    pub(crate) async fn asked(&self, name: &str) -> Vec<Arc<AuditEvent>> {
        let resource = "desktopdeletions";
        let mut events = self.audited(&self.requests(), resource, name).await;
        let account = format!(
            "system:serviceaccount:{}:{}",
            self.namespace.name(),
            testkit::SERVICE_ACCOUNT
        );
        events.retain(|event| {
            event.user.username == account
                && event.verb != "watch"
                && event.concerns(resource, self.namespace.name(), name)
        });
        events
    }

    /// The operator's writes to a request so far, its status included, in any outcome.
    pub(crate) async fn writes(&self, name: &str) -> Vec<Arc<AuditEvent>> {
        let mut events = self.asked(name).await;
        events.retain(|event| event.is_write());
        events
    }

    /// Waits for an Event about a request with that reason and that text in its note.
    pub(crate) async fn event(&self, name: &str, reason: &str, text: &str) -> Event {
        let what = format!("an Event {reason} of {name} says {text:?}");
        let wanted = |event: &Event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
                && event.reason.as_deref() == Some(reason)
                && event.note.as_deref().is_some_and(|note| note.contains(text))
        };
        let events = self.namespace.api::<Event>();
        let look = async || {
            let all = events.list(&ListParams::default()).await.unwrap();
            let found = all.items.iter().find(|event| wanted(event)).cloned();
            found.ok_or_else(|| format!("{:#?}", all.items))
        };
        eventually(&what, BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Deletes desktops in the cloud as another client would, in a world of [`console_world`].
    pub(crate) async fn delete_elsewhere(&self, ids: &[&str]) {
        let simulator = self.cloud.simulator();
        let url = format!(
            "{}/v2/{}/desktops/batch-delete",
            simulator.workspace,
            testkit::cloud::PROJECT_ID
        );
        let call = self.http().post(url).header("X-Auth-Token", world::CONSOLE);
        let answer = call.json(&json!({"desktop_ids": ids})).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    }

    /// Changes `timings` of the cloud.
    pub(crate) async fn change_timings(&self, timings: Value) {
        let url = format!("{}/timings", self.cloud.simulator().admin);
        let answer = self.http().patch(url).json(&timings).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// A client that trusts the cloud.
    pub(crate) fn http(&self) -> reqwest::Client {
        rustls::crypto::ring::default_provider().install_default().ok();
        let authority = reqwest::Certificate::from_pem(self.cloud.simulator().ca_pem.as_bytes());
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority.unwrap()]);
        client.build().unwrap()
    }
}

async fn change(api: &Api<DynamicObject>, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    let patched = api.patch(name, &PatchParams::default(), &patch).await;
    patched.unwrap();
}

pub(crate) async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let what = format!("{name}: {what}");
    let look = async || {
        // It may not be there yet.
        let object = api.get_opt(name).await.unwrap();
        let status = object.map_or(Value::Null, |object| object.data["status"].clone());
        if wanted(&status) {
            Ok(status)
        } else {
            Err(format!("{status:#}"))
        }
    };
    eventually(&what, BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}
