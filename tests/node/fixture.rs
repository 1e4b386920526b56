//! What most tests begin with: a cluster of two nodes, a simulated cloud, and the operator as `deploy/` ships it.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};
use testkit::node::{Cluster, NAMESPACE, PAUSE, ReachableCloud, Settings, Version};
use testkit::{Cloud, Namespace, eventually, manifests};
use workspace_simulator::cloud::Operation;

/// Long enough for any machine: a wait ends as soon as its condition holds.
pub(crate) const BOUND: Duration = Duration::from_secs(300);

/// Name of the Deployment, of the Lease and of the label of the pods.
pub(crate) const OPERATOR: &str = "desktop-deletion-operator";

/// Short pauses, and no limit of the vendor on the calls that they make, so that tests need not wait for the defaults. The
/// times of probes and of the Lease are those that are shipped. A submission may take a minute less than a pod has to
/// stop, so that a roll-out on a slow machine reaches the leader while the response is awaited.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("DESKTOP_DELETION_SUBMISSION_TIMEOUT", "180s"),
    ("DESKTOP_DELETION_POLL_INTERVAL", "500ms"),
    ("DESKTOP_DELETION_INITIAL_POLL_DELAY", "300ms"),
    ("DESKTOP_DELETION_SECRET_REFRESH", "500ms"),
    ("DESKTOP_DELETION_RETRY_MIN", "300ms"),
    ("DESKTOP_DELETION_RETRY_MAX", "2s"),
    ("DESKTOP_DELETION_REQUESTS_PER_MINUTE", "1000000"),
];

/// One test's world.
pub(crate) struct Fixture {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: Namespace,
    pub(crate) cloud: ReachableCloud,
}

impl Fixture {
    /// The operator on two nodes, both replicas ready, a cloud with these desktops, and a project that is ready.
    pub(crate) async fn set(desktops: &[&str]) -> Self {
        Self::set_with(desktops, &[]).await
    }

    /// The same with more variables of the operator's environment.
    pub(crate) async fn set_with(desktops: &[&str], environment: &[(&str, &str)]) -> Self {
        let fixture = Self::empty(Settings::default(), desktops).await;
        fixture.deploy(&Version::current(), environment).await;
        fixture.rolled_out().await;
        fixture.connect().await;
        fixture
    }

    /// A cluster with a cloud, and without the operator.
    pub(crate) async fn empty(settings: Settings, desktops: &[&str]) -> Self {
        let cluster = Cluster::start(settings).await.unwrap();
        let cloud = cluster.cloud(&Cloud::world()).await.unwrap();
        for desktop in desktops {
            cloud.cloud.add_desktop(&json!({"id": desktop})).unwrap();
        }
        let namespace = cluster
            .control_plane()
            .existing_namespace(NAMESPACE)
            .await
            .unwrap();
        Self {
            cluster,
            namespace,
            cloud,
        }
    }

    /// Applies `deploy/` of a version.
    pub(crate) async fn deploy(&self, version: &Version, environment: &[(&str, &str)]) {
        let variables = self.environment(environment);
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        self.cluster.deploy(version, "deploy", &variables).await.unwrap();
    }

    /// The variables that every operator gets, and more.
    pub(crate) fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let allowed = self.cloud.allowed_endpoints();
        let all = ENVIRONMENT
            .iter()
            .copied()
            .chain([("DESKTOP_DELETION_ALLOWED_ENDPOINTS", &*allowed)]);
        let own = all.filter(|(name, _)| more.iter().all(|(given, _)| given != name));
        own.chain(more.iter().copied())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Runs kubectl as the administrator, and gives what it printed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.cluster.control_plane().kubectl(arguments).await.unwrap();
        output.stdout().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until the Deployment has only pods of its last version, and all are ready.
    pub(crate) async fn rolled_out(&self) {
        let deployment = format!("deployment/{OPERATOR}");
        self.kubectl(&[
            "rollout",
            "status",
            "--namespace",
            NAMESPACE,
            &deployment,
            "--timeout=300s",
        ])
        .await;
    }

    /// Applies a Secret and the project `prod`, and waits until the operator has verified them.
    pub(crate) async fn connect(&self) {
        self.namespace
            .apply(&self.cloud.cloud.secret("login"))
            .await
            .unwrap();
        self.namespace
            .apply(&self.cloud.project("prod", "login"))
            .await
            .unwrap();
        self.until(&self.namespace.projects(), "prod", "it is ready", |status| {
            condition(status, "Ready") == "True"
        })
        .await;
    }

    /// Applies a request for these desktops.
    pub(crate) async fn request(&self, name: &str, desktops: &[&str]) {
        let manifest = manifests::desktop_deletion(name, "prod", desktops);
        self.namespace.apply(&manifest).await.unwrap();
    }

    /// Waits until a request has ended well, and gives its status.
    pub(crate) async fn succeeded(&self, name: &str) -> Value {
        let requests = self.namespace.deletions();
        let status = self.until(&requests, name, "it has ended", |status| {
            status["completionTime"].is_string()
        });
        let status = status.await;
        assert_eq!(condition(&status, "Succeeded"), "True", "{status:#}");
        status
    }

    /// The status of a request as it stands.
    pub(crate) async fn status(&self, name: &str) -> Value {
        self.namespace.deletions().get(name).await.unwrap().data["status"].clone()
    }

    /// Waits until the status of a request is as wanted, and gives it.
    pub(crate) async fn until_request(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.until(&self.namespace.deletions(), name, what, wanted).await
    }

    /// Waits until a status is as wanted, and gives it.
    pub(crate) async fn until(
        &self,
        objects: &Api<DynamicObject>,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let look = async || {
            let object = objects.get(name).await.map_err(|error| error.to_string())?;
            let status = object.data["status"].clone();
            if wanted(&status) {
                Ok(status)
            } else {
                Err(format!("{status:#}"))
            }
        };
        let found = eventually(&format!("{name}: {what}"), BOUND, look).await;
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Replaces all pods, one at a time, and waits until that is done.
    pub(crate) async fn restart(&self) {
        let deployment = format!("deployment/{OPERATOR}");
        self.kubectl(&["rollout", "restart", "--namespace", NAMESPACE, &deployment])
            .await;
        self.rolled_out().await;
    }

    /// The pods of the operator that are not about to end.
    pub(crate) async fn pods(&self) -> Vec<Replica> {
        let label = ListParams::default().labels(&format!("app.kubernetes.io/name={OPERATOR}"));
        let pods = self.namespace.api::<Pod>().list(&label).await.unwrap();
        let living = pods
            .items
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        living.map(Replica::of).collect()
    }

    /// The pod that leads.
    pub(crate) async fn leader(&self) -> Replica {
        let look = async || {
            let (holder, pods) = (self.holder().await, self.pods().await);
            let leader = pods.into_iter().find(|pod| Some(&pod.name) == holder.as_ref());
            leader.ok_or_else(|| format!("the Lease is held by {holder:?}"))
        };
        eventually("a pod leads", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until another pod leads than this one.
    pub(crate) async fn other_leader(&self, than: &str) -> Replica {
        let look = async || match self.leader().await {
            leader if leader.name == than => Err(format!("{than} leads")),
            leader => Ok(leader),
        };
        eventually("another pod leads", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until this pod is to stop, makes sure that the answer to the submission of a request has not come by then,
    /// and has the cloud send it.
    pub(crate) async fn stops_in_flight(&self, leader: &Replica, request: &str) {
        let look = async || {
            let pods = self.pods().await;
            if pods.iter().any(|pod| pod.uid == leader.uid) {
                Err(format!("{pods:?}"))
            } else {
                Ok(())
            }
        };
        eventually("the leader is being stopped", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let status = self.status(request).await;
        assert_eq!(
            outcomes(&status),
            ["Pending"],
            "the response came first: {status:#}"
        );
        self.cloud.cloud.simulator().end_delays();
    }

    /// The pod that holds the Lease, if one does.
    pub(crate) async fn holder(&self) -> Option<String> {
        let lease = self.namespace.api::<Lease>().get_opt(OPERATOR).await.unwrap()?;
        let holder = lease.spec?.holder_identity?;
        // The suffix after the name distinguishes a process from an earlier one of the same pod.
        holder
            .split('_')
            .next()
            .filter(|pod| !pod.is_empty())
            .map(str::to_owned)
    }

    /// Has the next submission carried out by the cloud, and answered when [`Fixture::stops_in_flight`] has seen that
    /// the leader stops.
    pub(crate) fn answer_next_submission_late(&self) {
        self.answer_next_submission(&json!({"delay": "1h"}));
    }

    /// Has the next submission carried out by the cloud, and answered as this says.
    pub(crate) fn answer_next_submission(&self, answer: &Value) {
        let cloud = &self.cloud.cloud;
        cloud.clear_faults();
        let fault = json!({"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": answer});
        cloud.add_fault(&fault).unwrap();
    }

    /// Waits until every fault of the cloud has struck, so that the submissions that they are for have reached it.
    pub(crate) async fn submitted(&self) {
        let look = async || {
            let faults = self.cloud.cloud.simulator().faults();
            if faults.iter().all(|fault| fault.struck > 0) {
                Ok(())
            } else {
                Err("it has not")
            }
        };
        let reached = eventually("the submission has reached the cloud", BOUND, look).await;
        reached.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The batch-deletes that reached the cloud, as lines of its ledger.
    pub(crate) fn posts(&self) -> Vec<Value> {
        let calls = self.cloud.cloud.calls(Operation::BatchDelete);
        calls
            .iter()
            .map(|call| serde_json::to_value(call).unwrap())
            .collect()
    }
}

/// Exit status of an operator that gives up by itself, as it does when it has lost the Lease because the API server was
/// slow. Then the other replica leads, and nothing is wrong.
const GAVE_UP: i32 = 1;

/// A pod of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) restarts: i32,
    /// Its container ended last time otherwise than by [`GAVE_UP`]: it was killed for its memory or after failed
    /// probes, or it crashed.
    pub(crate) killed: bool,
    pub(crate) ready: bool,
}

impl Replica {
    fn of(pod: Pod) -> Self {
        let status = pod
            .status
            .unwrap_or_default()
            .container_statuses
            .unwrap_or_default();
        let mut ends = status
            .iter()
            .flat_map(|container| [&container.state, &container.last_state])
            .filter_map(|state| state.as_ref()?.terminated.as_ref());
        Self {
            name: pod.metadata.name.unwrap_or_default(),
            uid: pod.metadata.uid.unwrap_or_default(),
            node: pod.spec.and_then(|spec| spec.node_name).unwrap_or_default(),
            restarts: status.iter().map(|container| container.restart_count).sum(),
            killed: ends.any(|end| end.exit_code != GAVE_UP),
            ready: !status.is_empty() && status.iter().all(|container| container.ready),
        }
    }
}

/// Runs a pod that does nothing, on this node, with this much of its CPUs reserved.
pub(crate) async fn pause(fixture: &Fixture, name: &str, node: &str, cpu: Option<&str>) {
    let mut container = json!({"name": "pause", "image": PAUSE});
    if let Some(cpu) = cpu {
        container["resources"] = json!({"requests": {"cpu": cpu}});
    }
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [container], "automountServiceAccountToken": false},
    });
    let namespace = fixture
        .cluster
        .control_plane()
        .existing_namespace("default")
        .await
        .unwrap();
    namespace.apply(&manifest).await.unwrap();
    let pod = format!("pod/{name}");
    fixture
        .kubectl(&["wait", "--for=condition=Ready", &pod, "--timeout=300s"])
        .await;
}

/// A file or folder of the project.
pub(crate) fn path(path: &str) -> PathBuf {
    testkit::workspace().join(path)
}

/// The status of a condition, empty if it is not there.
pub(crate) fn condition(status: &Value, kind: &str) -> String {
    of_condition(status, kind, "status")
}

/// The reason of a condition, empty if it is not there.
pub(crate) fn reason(status: &Value, kind: &str) -> String {
    of_condition(status, kind, "reason")
}

fn of_condition(status: &Value, kind: &str, field: &str) -> String {
    let all = status["conditions"].as_array();
    let found = all
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    let text = found.and_then(|condition| condition[field].as_str());
    text.unwrap_or_default().to_owned()
}

/// The outcomes of a request's attempts.
pub(crate) fn outcomes(status: &Value) -> Vec<&str> {
    let attempts = status["attempts"].as_array().into_iter().flatten();
    attempts
        .map(|attempt| attempt["outcome"].as_str().unwrap_or_default())
        .collect()
}

/// One submission named this desktop, and took effect.
pub(crate) fn assert_sent_once(fixture: &Fixture, desktop: &str) {
    let posts = fixture.posts();
    let names = |post: &&Value| {
        post["body"]
            .as_str()
            .is_some_and(|body| body.contains(&format!("\"{desktop}\"")))
    };
    let of_it: Vec<_> = posts.iter().filter(names).collect();
    assert!(of_it.len() == 1 && of_it[0]["tookEffect"] == true, "{posts:#?}");
}
