//! What most tests of behaviour begin with: a namespace of the shared control plane, a cloud, and the operator as a
//! process with the ServiceAccount and the rights that `deploy/` ships.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use testkit::{Cloud, ControlPlane, Namespace, Operator, OperatorOptions, eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType;

/// Long enough for any machine: a wait ends as soon as its condition holds.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// Short pauses, so that tests need not wait for the defaults.
const FLAGS: &[&str] = &[
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--poll-interval=300ms",
    "--first-look=200ms",
    "--settle=1s",
    "--clock-skew=3s",
    "--secret-refresh=500ms",
    "--retry-min=300ms",
    "--retry-max=2s",
];

/// One test's world.
pub(crate) struct Stage {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) namespace: Namespace,
    pub(crate) cloud: Cloud,
    kubeconfig: PathBuf,
}

impl Stage {
    /// A namespace with the operator's account, a cloud with these desktops, and a project that points to it.
    pub(crate) async fn set(name: &str, desktops: &[Value]) -> Self {
        Self::set_with(name, Cloud::world(), desktops).await
    }

    /// The same with a world of its own.
    pub(crate) async fn set_with(name: &str, world: Value, desktops: &[Value]) -> Self {
        let control_plane = ControlPlane::shared().await;
        let namespace = control_plane.namespace(name).await.unwrap();
        let kubeconfig = control_plane
            .deploy("deploy/base", namespace.name())
            .await
            .unwrap();
        let cloud = Cloud::start(&world).await.unwrap();
        for desktop in desktops {
            cloud.add_desktop(desktop).unwrap();
        }
        namespace.apply(&cloud.secret("login")).await.unwrap();
        namespace.apply(&cloud.project("prod", "login")).await.unwrap();
        Self {
            control_plane,
            namespace,
            cloud,
            kubeconfig,
        }
    }

    /// Starts an operator; flags given here win over the short pauses of all tests.
    pub(crate) fn operator(&self, flags: &[&str]) -> Operator {
        let namespaces = format!("--namespaces={}", self.namespace.name());
        let named = |flag: &str| {
            flags
                .iter()
                .any(|own| own.split('=').next() == flag.split('=').next())
        };
        let mut arguments: Vec<&str> = FLAGS.iter().copied().filter(|flag| !named(flag)).collect();
        arguments.extend(flags);
        arguments.push(&namespaces);
        Operator::start(OperatorOptions {
            binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
            kubeconfig: Some(&self.kubeconfig),
            arguments: &arguments,
            environment: &[],
        })
        .unwrap()
    }

    /// Applies a request for these desktops.
    pub(crate) async fn request(&self, name: &str, ids: &[&str]) -> DynamicObject {
        self.namespace
            .apply(&manifests::desktop_deletion(name, "prod", ids))
            .await
            .unwrap()
    }

    /// The requests of the namespace, as admin.
    pub(crate) fn requests(&self) -> Api<DynamicObject> {
        self.namespace.deletions()
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

    /// Waits until a condition has that reason, and gives the status.
    pub(crate) async fn reason(&self, name: &str, kind: ConditionType, reason: &str) -> Value {
        let what = format!("{} says {reason}", kind.as_str());
        self.until(name, &what, |status| condition(status, kind)["reason"] == reason)
            .await
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{name}: {what}");
        eventually(&what, BOUND, async || {
            let status = self.status(name).await;
            if wanted(&status) {
                Ok(status)
            } else {
                Err(format!("{status:#}"))
            }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Bodies of the batch-deletes that took effect, oldest first.
    pub(crate) fn effective_posts(&self) -> Vec<Value> {
        let posts = self.posts();
        posts
            .iter()
            .filter(|p| p["tookEffect"] == true)
            .map(|p| body(p))
            .collect()
    }

    /// The ledger's lines of all batch-deletes, oldest first.
    pub(crate) fn posts(&self) -> Vec<Value> {
        let calls = self
            .cloud
            .calls(workspace_simulator::cloud::Operation::BatchDelete);
        calls
            .iter()
            .map(|call| serde_json::to_value(call).unwrap())
            .collect()
    }
}

/// The body of a ledger line, read.
pub(crate) fn body(line: &Value) -> Value {
    serde_json::from_str(line["body"].as_str().unwrap()).unwrap()
}

/// A condition of a status; null if it is not there.
pub(crate) fn condition(status: &Value, kind: ConditionType) -> Value {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter()
        .find(|c| c["type"] == kind.as_str())
        .unwrap_or(Value::Null)
}

/// `(status, reason)` of a condition.
pub(crate) fn says(status: &Value, kind: ConditionType) -> (String, String) {
    let condition = condition(status, kind);
    let text = |field: &str| condition[field].as_str().unwrap_or("absent").to_owned();
    (text("status"), text("reason"))
}

/// A desktop of that id whose deletion succeeds.
pub(crate) fn desktop(id: &str) -> Value {
    json!({"id": id})
}
