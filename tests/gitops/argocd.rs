//! Argo CD: its repo-server, its application-controller and its API server as processes, with the configuration that `deploy/argocd` ships.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::ControlPlane;
use tokio::sync::OnceCell;

use crate::delivery::install;
use crate::git::BRANCH;
use crate::service::{Command, Service};

/// The account that applies the manifests from Git, with a name of its own, so that the audit log distinguishes its
/// requests.
pub(crate) const ACCOUNT: &str = "argocd-application-controller";

/// Its namespace, where the Applications of all tests are too.
pub(crate) const NAMESPACE: &str = "argocd";

const MODULE: &str = "github.com/argoproj/argo-cd/v3";

/// A running Argo CD, shared by all tests.
pub(crate) struct ArgoCd {
    pub(crate) controller: Service,
    pub(crate) repo_server: Service,
    /// What the web page and the command line talk to.
    server: Service,
    _redis: Service,
    _garbage_collector: Service,
}

/// What is built for it.
struct Programs {
    argocd: PathBuf,
    redis: PathBuf,
    garbage_collector: PathBuf,
    module: PathBuf,
}

impl Programs {
    fn build() -> Self {
        Self {
            argocd: testkit::go_tool("argocd").unwrap(),
            redis: testkit::go_tool("miniredis").unwrap(),
            garbage_collector: testkit::control_plane_program("garbage-collector").unwrap(),
            module: testkit::go_module_folder("argocd", MODULE).unwrap(),
        }
    }
}

impl ArgoCd {
    /// The one of all tests; started by the first that asks.
    pub(crate) async fn shared(control_plane: &ControlPlane) -> &'static Self {
        static SHARED: OnceCell<ArgoCd> = OnceCell::const_new();
        SHARED
            .get_or_init(async || Self::start(control_plane).await)
            .await
    }

    async fn start(control_plane: &ControlPlane) -> Self {
        let programs = tokio::task::spawn_blocking(Programs::build).await.unwrap();
        let kubeconfig = crate::delivery::administrator(control_plane, NAMESPACE, ACCOUNT).await;
        configure(control_plane, &programs.module).await;
        // Argo CD prunes in the foreground, so that an object goes only when the garbage collector has seen it.
        let garbage_collector = Service::start(|[]| Command {
            name: "garbage-collector",
            program: programs.garbage_collector.clone(),
            arguments: Vec::new(),
            environment: vec![(
                "KUBECONFIG",
                control_plane.kubeconfig_path().display().to_string(),
            )],
        });
        let garbage_collector = garbage_collector.await;
        let redis = Service::start(|[port]| Command {
            name: "miniredis",
            program: programs.redis.clone(),
            arguments: vec![port.to_string()],
            environment: Vec::new(),
        });
        let redis = redis.await;
        let environment = environment(control_plane.folder(), &kubeconfig, &programs.module);
        let redis_address = format!("127.0.0.1:{}", redis.port(0));
        let argocd = |part: &'static str, arguments: Vec<String>| {
            let mut environment = environment.clone();
            environment.push(("ARGOCD_BINARY_NAME", part.to_owned()));
            let common = ["--redis".to_owned(), redis_address.clone()];
            Command {
                name: part,
                program: programs.argocd.clone(),
                arguments: arguments.into_iter().chain(common).collect(),
                environment,
            }
        };
        let repo_server = Service::start(|[port, metrics]| {
            let arguments = [
                "--disable-tls".to_owned(),
                // Its default is a file, which cannot be without TLS.
                "--client-ca-path=".to_owned(),
                "--address=127.0.0.1".to_owned(),
                format!("--port={port}"),
                "--metrics-address=127.0.0.1".to_owned(),
                format!("--metrics-port={metrics}"),
            ];
            argocd("argocd-repo-server", arguments.to_vec())
        });
        let repo_server = repo_server.await;
        let controller = Service::start(|[metrics]| {
            let arguments = [
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--namespace={NAMESPACE}"),
                format!("--repo-server=127.0.0.1:{}", repo_server.port(0)),
                "--repo-server-plaintext".to_owned(),
                format!("--metrics-port={metrics}"),
                "--app-resync=10".to_owned(),
                "--app-resync-jitter=0".to_owned(),
                // The tests read the health of each object.
                "--persist-resource-health".to_owned(),
            ];
            argocd(ACCOUNT, arguments.to_vec())
        });
        let controller = controller.await;
        let server = Service::start(|[port, metrics]| {
            let arguments = [
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--namespace={NAMESPACE}"),
                "--insecure".to_owned(),
                // Everybody may do everything.
                "--disable-auth".to_owned(),
                format!("--repo-server=127.0.0.1:{}", repo_server.port(0)),
                "--repo-server-plaintext".to_owned(),
                "--address=127.0.0.1".to_owned(),
                format!("--port={port}"),
                "--metrics-address=127.0.0.1".to_owned(),
                format!("--metrics-port={metrics}"),
            ];
            argocd("argocd-server", arguments.to_vec())
        });
        let server = server.await;
        Self {
            controller,
            repo_server,
            server,
            _redis: redis,
            _garbage_collector: garbage_collector,
        }
    }
}

impl ArgoCd {
    /// Runs an action with parameters on an object, given by kind and name, of an Application and the namespace of the same name.
    /// Gives what Argo CD says if it refuses.
    pub(crate) async fn act(
        &self,
        application: &str,
        (kind, name): (&str, &str),
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(), String> {
        let path = format!("/api/v1/applications/{application}/resource/actions/v2");
        let url = format!("http://127.0.0.1:{}{path}", self.server.port(0));
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let body = json!({
            "namespace": application, "group": "cloud-desktops.dev", "version": "v1alpha1",
            "kind": kind, "resourceName": name, "action": action, "resourceActionParameters": parameters,
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(url).json(&body).send().await.unwrap();
        if answer.status().is_success() {
            return Ok(());
        }
        Err(answer.text().await.unwrap())
    }
}

/// CRDs and the objects that Argo CD reads at its start, and the health checks as a user adds them.
async fn configure(control_plane: &ControlPlane, module: &Path) {
    install(control_plane, "--kustomize", &module.join("manifests/crds")).await;
    let own = testkit::workspace().join("tests/gitops/manifests/argocd.yaml");
    install(control_plane, "--filename", &own).await;
    let checks = testkit::workspace().join("deploy/argocd/argocd-cm.yaml");
    let patch = [
        "patch",
        "configmap",
        "argocd-cm",
        "--namespace",
        NAMESPACE,
        "--type=merge",
        "--patch-file",
    ];
    let patch = patch.map(AsRef::as_ref).into_iter().chain([checks.as_os_str()]);
    control_plane.kubectl(patch).await.unwrap().stdout().unwrap();
}

/// Folders in place of those of its image.
fn environment(folder: &Path, kubeconfig: &Path, module: &Path) -> Vec<(&'static str, String)> {
    let folder = folder.join("argocd");
    let made = |name: &str| {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder.display().to_string()
    };
    let programs = made("bin");
    // The repo-server calls it by its name.
    let script = Path::new(&programs).join("git-verify-wrapper.sh");
    std::fs::write(
        &script,
        std::fs::read(module.join("hack/git-verify-wrapper.sh")).unwrap(),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    vec![
        ("ARGOCD_FAKE_IN_CLUSTER", "true".to_owned()),
        ("ARGOCD_GNUPGHOME", made("gnupg")),
        ("ARGOCD_GPG_DATA_PATH", made("gpg")),
        ("ARGOCD_GPG_ENABLED", "false".to_owned()),
        ("ARGOCD_PLUGINSOCKFILEPATH", made("plugins")),
        ("ARGOCD_SSH_DATA_PATH", made("ssh")),
        ("ARGOCD_TLS_DATA_PATH", made("tls")),
        ("HOSTNAME", format!("{ACCOUNT}-0")),
        ("KUBECONFIG", kubeconfig.display().to_string()),
        (
            "PATH",
            format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()),
        ),
    ]
}

/// The Application of a test, named as its namespace.
pub(crate) fn application(name: &str, repository: &Path, more: &Value) -> Value {
    let mut application = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": format!("file://{}", repository.display()),
                "targetRevision": BRANCH,
                "path": ".",
                "directory": {"recurse": true},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true},
                // A sync that failed is tried again with the newest commit.
                "retry": {"limit": 5, "refresh": true, "backoff": {"duration": "2s", "factor": 1}},
            },
        },
    });
    let policy = application["spec"]["syncPolicy"].as_object_mut().unwrap();
    policy.extend(more.as_object().unwrap().clone());
    application
}
