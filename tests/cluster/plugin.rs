//! `kubectl desktops`, run as a process against a real API server: what it prints, what it writes, and its exit codes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, manifests};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::fixture::BOUND;

mod approving;
mod following;
mod waiting;
mod whole;

pub(crate) const HASH: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NEWER: &str = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// A namespace, and the plugin as its administrator.
pub(crate) struct PluginUser {
    namespace: Namespace,
    kubeconfig: PathBuf,
}

/// What a run of the plugin came to.
#[derive(Debug)]
pub(crate) struct PluginOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl PluginUser {
    async fn new(prefix: &str) -> Self {
        let cluster = ControlPlane::shared().await;
        cluster.install_crds().await.unwrap();
        let namespace = cluster.namespace(prefix).await.unwrap();
        Self::with(namespace, cluster.kubeconfig_path().to_owned())
    }

    /// The plugin as the user of a kubeconfig.
    pub(crate) fn with(namespace: Namespace, kubeconfig: PathBuf) -> Self {
        Self {
            namespace,
            kubeconfig,
        }
    }

    /// Starts the plugin.
    fn start(&self, arguments: &[&str]) -> Child {
        let program = Path::new(env!("CARGO_BIN_EXE_kubectl-desktops"));
        let own = [
            format!("--namespace={}", self.namespace.name()),
            format!("--kubeconfig={}", self.kubeconfig.display()),
        ];
        Command::new(program)
            .args(arguments)
            .args(own)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Runs the plugin with that on its standard input.
    pub(crate) async fn run(&self, arguments: &[&str], input: &str) -> PluginOutput {
        ended(self.start(arguments), input).await
    }

    /// A request for `d1` and `d2` with that status, as the operator would write it.
    pub(crate) async fn request(&self, name: &str, status: &Value) -> DynamicObject {
        let manifest = manifests::desktop_deletion(name, "prod", ["d1", "d2"]);
        self.namespace.apply(&manifest).await.unwrap();
        self.write(name, status).await
    }

    /// Replaces the status.
    async fn write(&self, name: &str, status: &Value) -> DynamicObject {
        let api = self.namespace.deletions();
        let mut object = api.get(name).await.unwrap();
        object.data["status"] = status.clone();
        let parameters = PostParams::default();
        api.replace_status(name, &parameters, &object).await.unwrap()
    }

    async fn spec(&self, name: &str) -> Value {
        self.namespace.deletions().get(name).await.unwrap().data["spec"].clone()
    }

    async fn annotate(&self, name: &str, key: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let api = self.namespace.deletions();
        api.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
}

async fn ended(mut child: Child, input: &str) -> PluginOutput {
    if let Some(mut stdin) = child.stdin.take() {
        // It may end without reading.
        stdin.write_all(input.as_bytes()).await.ok();
    }
    let output = child.wait_with_output().await.unwrap();
    PluginOutput {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Reads the standard output until a text is in it.
async fn printed(child: &mut Child, text: &str) {
    let mut seen = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    let read = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = out.read_buf(&mut seen).await.unwrap();
            assert_ne!(count, 0, "it ended: {}", String::from_utf8_lossy(&seen));
        }
    };
    let read = tokio::time::timeout(BOUND, read).await;
    assert!(read.is_ok(), "{text} is not printed");
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": format!("{reason} it is"),
        "observedGeneration": 1,
        "lastTransitionTime": "2026-12-01T00:00:00Z",
    })
}

/// A plan for one desktop that exists and one that does not, which waits for approval.
pub(crate) fn planned() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Submitted", "False", "AwaitingApproval"),
            condition("Succeeded", "Unknown", "Waiting"),
            condition("Ready", "False", "AwaitingApproval"),
            condition("Planned", "True", "PlanReady"),
            condition("Approved", "False", "AwaitingApproval"),
        ],
        "plan": {"hash": HASH, "observedAt": "2026-12-01T08:00:00Z", "delete": 1, "absent": 1, "blocked": 0},
        "desktops": [
            {"id": "d1", "state": "Pending", "name": "VDI-\u{1b}[2J01", "user": "anna"},
            {"id": "d2", "state": "Absent"},
        ],
        "summary": {"total": 2, "absent": 1, "deleted": 0, "deleting": 0, "failed": 0, "pending": 1, "unknown": 0},
    })
}
