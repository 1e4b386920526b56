//! Flux: its kustomize-controller as a process. In place of its source-controller, a few lines serve the files of a commit
//! and say so in the status of a `GitRepository`.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use kube::api::{Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard};

use crate::delivery::install;
use crate::git::{BRANCH, Repository};
use crate::service::{Command, Service};

/// The account that applies the manifests from Git, with a name of its own, so that the audit log distinguishes its
/// requests.
pub(crate) const ACCOUNT: &str = "kustomize-controller";

/// Its namespace.
const NAMESPACE: &str = "flux-system";

/// Names of a test's `GitRepository` and of its `Kustomization`.
pub(crate) const NAME: &str = "desktops";

/// Written by a restart of the controller, and read by tests that must not meet one.
static RESTARTS: RwLock<()> = RwLock::const_new(());

/// A running Flux, shared by all tests.
pub(crate) struct Flux {
    pub(crate) controller: Service,
    artifacts: PathBuf,
    url: String,
}

impl Flux {
    /// The one of all tests; started by the first that asks.
    pub(crate) async fn shared(control_plane: &ControlPlane) -> &'static Self {
        static SHARED: OnceCell<Flux> = OnceCell::const_new();
        SHARED
            .get_or_init(async || Self::start(control_plane).await)
            .await
    }

    /// Kills the controller and starts it again, once no test needs it [`undisturbed`].
    pub(crate) async fn restart(&self) {
        let _alone = RESTARTS.write().await;
        self.controller.restart().await;
    }

    async fn start(control_plane: &ControlPlane) -> Self {
        let build = || testkit::go_tool("kustomize-controller").unwrap();
        let program = tokio::task::spawn_blocking(build).await.unwrap();
        let module = "github.com/fluxcd/kustomize-controller";
        let module = testkit::go_module_folder("kustomize-controller", module).unwrap();
        let crds = [
            module.join("config/crd/bases"),
            testkit::workspace().join("tests/gitops/manifests/source-crds.yaml"),
        ];
        for crds in crds {
            install(control_plane, "--filename", &crds).await;
        }
        let kubeconfig = crate::delivery::administrator(control_plane, NAMESPACE, ACCOUNT).await;
        let controller = Service::start(|[metrics, health]| Command {
            name: "kustomize-controller",
            program: program.clone(),
            arguments: [
                "--watch-all-namespaces",
                "--enable-leader-election=false",
                "--events-addr=",
                "--requeue-dependency=1s",
                "--http-retry=1",
            ]
            .map(str::to_owned)
            .into_iter()
            .chain([
                format!("--metrics-addr=127.0.0.1:{metrics}"),
                format!("--health-addr=127.0.0.1:{health}"),
            ])
            .collect(),
            environment: vec![
                ("KUBECONFIG", kubeconfig.display().to_string()),
                ("RUNTIME_NAMESPACE", NAMESPACE.to_owned()),
            ],
        });
        let controller = controller.await;
        let artifacts = control_plane.folder().join("artifacts");
        std::fs::create_dir_all(&artifacts).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, artifacts.clone());
        Self {
            controller,
            artifacts,
            url,
        }
    }

    /// Does what the source-controller does after a commit.
    pub(crate) async fn publish(&self, repository: &Repository, revision: &str, namespace: &Namespace) {
        let file = format!("{}-{revision}.tar.gz", namespace.name());
        let path = self.artifacts.join(&file);
        repository.archive(&path);
        let bytes = std::fs::read(&path).unwrap();
        let mut digest = "sha256:".to_owned();
        for byte in ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref() {
            write!(digest, "{byte:02x}").unwrap();
        }
        let now = jiff::Timestamp::from_second(now()).unwrap().to_string();
        let status = json!({"status": {
            "observedGeneration": 1,
            "artifact": {
                "url": format!("{}/{file}", self.url), "path": file, "revision": self::revision(revision),
                "digest": digest, "size": bytes.len(), "lastUpdateTime": now,
            },
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact",
                "lastTransitionTime": now, "observedGeneration": 1,
            }],
        }});
        let patched = namespace
            .dynamic(&GroupVersionKind::gvk(
                "source.toolkit.fluxcd.io",
                "v1",
                "GitRepository",
            ))
            .patch_status(NAME, &PatchParams::default(), &Patch::Merge(status))
            .await;
        patched.unwrap();
    }
}

/// No test restarts the controller as long as this is held: the one that does so waits.
pub(crate) async fn undisturbed() -> RwLockReadGuard<'static, ()> {
    RESTARTS.read().await
}

/// As Flux writes a commit.
pub(crate) fn revision(commit: &str) -> String {
    format!("{BRANCH}@sha1:{commit}")
}

/// Source and Kustomization of a test: those of `deploy/flux` with short pauses.
pub(crate) fn manifests(more: &Value) -> [Value; 2] {
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": NAME},
        "spec": {"interval": "1h", "url": "https://git.example.com/desktops.git"},
    });
    let sample = testkit::workspace().join("deploy/flux/kustomization.yaml");
    let mut kustomization: Value = serde_saphyr::from_str(&std::fs::read_to_string(sample).unwrap()).unwrap();
    let metadata = kustomization["metadata"].as_object_mut().unwrap();
    metadata.remove("namespace");
    let spec = kustomization["spec"].as_object_mut().unwrap();
    let short = json!({"path": "./", "interval": "10s", "retryInterval": "2s", "timeout": "5m"});
    for fields in [&short, more] {
        spec.extend(fields.as_object().unwrap().clone());
    }
    [source, kustomization]
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a commit, by the real clock"
)]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Answers every GET with the file of that name. In threads, since it outlives the runtime of the test that starts it.
fn serve(listener: TcpListener, folder: PathBuf) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that is gone asks again.
            answer(&stream, &folder).ok();
        }
    });
}

fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let file = request
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .trim_start_matches('/');
    let body = std::fs::read(folder.join(file))?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}
