//! What the demo plays on: a control plane, a cloud, the project and its login, and the operator as a process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use desktop_deletion_operator::crd::deletion::DesktopDeletion;
use serde_json::{Value, json};
use testkit::{
    AuditEvent, Cloud, ControlPlane, Error, Namespace, Operator, OperatorOptions, SERVICE_ACCOUNT, manifests,
};
use tokio::process::Command;
use workspace_simulator::cloud::{LedgerEntry, Operation};

use crate::board::Board;
use crate::cast::{Project, Role};
use crate::samples::{self, Samples, name};
use crate::world::{READ_ONLY_KEY, READ_ONLY_PROJECT_ID, SIGNATURE_WINDOW, world};
use crate::{BoxError, binary};

/// Name of the third project, whose key may not delete.
const READ_ONLY_PROJECT: &str = "read-only";

/// Short pauses, so that the tour takes a minute and not half an hour.
const FLAGS: [&str; 14] = [
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--poll-interval=1s",
    "--initial-poll-delay=500ms",
    "--max-signature-age=4s",
    "--submission-timeout=5m",
    "--clock-skew=3s",
    "--job-visibility-timeout=2s",
    "--secret-refresh=1s",
    "--project-refresh=10s",
    "--retry-min=1s",
    "--retry-max=60s",
    "--requests-per-minute=1000",
];

/// All of it; what is dropped is stopped, the operator first.
pub(crate) struct Fixture {
    pub(crate) operator: Operator,
    pub(crate) cloud: Cloud,
    pub(crate) namespace: Namespace,
    pub(crate) control_plane: ControlPlane,
    /// `kubectl-desktops`.
    pub(crate) plugin: PathBuf,
    binary: PathBuf,
    kubeconfig: PathBuf,
    samples: Samples,
    desktops: BTreeSet<String>,
}

impl Fixture {
    /// Sets everything up, and says what it is doing.
    pub(crate) async fn set(board: &mut Board) -> Result<Self, BoxError> {
        board.say("building the operator and its kubectl plugin");
        let [binary, plugin] = binary::build("demo", [binary::OPERATOR, "kubectl-desktops"]).await?;
        board.say("starting etcd and kube-apiserver (built from source the first time, which takes minutes)");
        let control_plane = ControlPlane::start().await?;
        let namespace = control_plane.namespace("demo").await?;
        let kubeconfig = control_plane.deploy("deploy/base", namespace.name()).await?;
        board.say(&format!(
            "{} is running; deploy/base is applied to namespace {}",
            control_plane.url(),
            namespace.name()
        ));
        let samples = Samples::read()?;
        let cloud = Cloud::start(&world(&samples)).await?;
        let operator = start(&binary, &kubeconfig, &namespace, "operator-1")?;
        board.say(&format!(
            "the simulated cloud is at {}; the operator runs as {SERVICE_ACCOUNT}, process {}",
            cloud.simulator().workspace,
            operator.pid()
        ));
        let desktops = ids_of_desktops(&cloud);
        let fixture = Self {
            operator,
            cloud,
            namespace,
            control_plane,
            plugin,
            binary,
            kubeconfig,
            samples,
            desktops,
        };
        fixture.make_projects().await?;
        Ok(fixture)
    }

    /// Starts the operator again, as the kubelet would.
    pub(crate) fn start_again(&mut self) -> Result<(), Error> {
        self.operator = start(&self.binary, &self.kubeconfig, &self.namespace, "operator-2")?;
        Ok(())
    }

    /// Stops everything in good order.
    pub(crate) async fn strike(self, board: &mut Board) -> Result<(), BoxError> {
        board.say("stopping the operator, the cloud and the control plane");
        match self.operator.terminate().await? {
            0 => Ok(()),
            status => {
                Err(self.with_log(&format!("the operator ended with exit status {status} on SIGTERM").into()))
            }
        }
    }

    /// The error, with the end of the operator's log.
    pub(crate) fn with_log(&self, error: &BoxError) -> BoxError {
        format!(
            "{error}\nthe last lines of the operator's log:\n{}",
            self.operator.log_tail()
        )
        .into()
    }

    /// Applies the request of a role.
    pub(crate) async fn apply(&self, role: &Role) -> Result<(), Error> {
        let project = match role.project {
            Project::Open => name(&self.samples.open),
            Project::Guarded => name(&self.samples.guarded),
            Project::ReadOnly => READ_ONLY_PROJECT,
        };
        let mut manifest = manifests::desktop_deletion(role.name, project, role.ids());
        let expected = role.ids().zip(role.expected_users);
        let expected: Vec<_> = expected
            .map(|(id, user)| json!({"id": id, "userName": user}))
            .collect();
        if !expected.is_empty() {
            manifest["spec"]["expected"] = json!(expected);
        }
        self.namespace.apply(&manifest).await.map(drop)
    }

    /// The requests.
    pub(crate) fn requests(&self) -> kube::Api<DesktopDeletion> {
        self.namespace.api()
    }

    /// Every POST that named a desktop of a role, oldest first, as the cloud saw it.
    pub(crate) fn posts(&self, role: &Role) -> Vec<LedgerEntry> {
        let mut posts = self.cloud.calls(Operation::BatchDelete);
        posts.retain(|post| role.ids().any(|id| post.body.contains(id)));
        posts
    }

    /// Ids of the desktops that the cloud had at the start, and has left.
    pub(crate) fn desktops(&self) -> (&BTreeSet<String>, BTreeSet<String>) {
        (&self.desktops, ids_of_desktops(&self.cloud))
    }

    /// How often the operator wrote to the object of a role, as the API server saw it.
    pub(crate) fn writes(&self, role: &Role) -> Result<usize, Error> {
        let audit = self.control_plane.audit();
        let writes = audit.writes("desktopdeletions", self.namespace.name(), role.name)?;
        let ours = |event: &&Arc<AuditEvent>| event.by_service_account(SERVICE_ACCOUNT);
        Ok(writes.iter().filter(ours).count())
    }

    /// The three projects with their logins. The first two are those of `deploy/samples` with the simulated cloud's
    /// address, which is set without kubectl: so kubectl leaves the address alone whenever the samples themselves are
    /// applied.
    async fn make_projects(&self) -> Result<(), Error> {
        let sample = |file: &str| samples::folder().join(file).display().to_string();
        for project in [&self.samples.open, &self.samples.guarded] {
            self.namespace.apply(&self.at_cloud(project.clone())).await?;
        }
        for file in ["secret.yaml", "project.yaml", "project-guardrails.yaml"] {
            self.kubectl(&["apply", "--filename", &sample(file)]).await?;
        }

        let login = manifests::secret(
            "read-only-login",
            &[("accessKey", READ_ONLY_KEY.0), ("secretKey", READ_ONLY_KEY.1)],
        );
        self.namespace.apply(&login).await?;
        let project = manifests::workspace_project(
            READ_ONLY_PROJECT,
            self.samples.region(),
            READ_ONLY_PROJECT_ID,
            "read-only-login",
        );
        self.namespace.apply(&self.at_cloud(project)).await.map(drop)
    }

    fn at_cloud(&self, mut project: Value) -> Value {
        let simulator = self.cloud.simulator();
        project["spec"]["endpoint"] = json!(simulator.workspace);
        project["spec"]["iamEndpoint"] = json!(simulator.iam);
        project["spec"]["caBundle"] = json!(simulator.ca_pem);
        project
    }

    /// Runs `kubectl desktops`, with kubectl finding the plugin in `PATH`; standard input is empty.
    ///
    /// # Errors
    ///
    /// An exit code other than 0, with what was printed.
    pub(crate) async fn kubectl_desktops(&self, arguments: &[&str]) -> Result<String, BoxError> {
        let output = Command::new(self.control_plane.kubectl_path())
            .arg("desktops")
            .args(arguments)
            .args(["--namespace", self.namespace.name()])
            .env("KUBECONFIG", self.control_plane.kubeconfig_path())
            .env("PATH", self.plugin.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let (status, error) = (output.status, String::from_utf8_lossy(&output.stderr));
        Err(format!(
            "kubectl desktops {}: {status}: {text}{error}",
            arguments.join(" ")
        )
        .into())
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String, Error> {
        let namespace = ["--namespace", self.namespace.name()];
        self.control_plane
            .kubectl(arguments.iter().chain(&namespace))
            .await?
            .stdout()
    }
}

fn ids_of_desktops(cloud: &Cloud) -> BTreeSet<String> {
    cloud
        .simulator()
        .desktops()
        .into_iter()
        .map(|desktop| desktop.id)
        .collect()
}

fn start(binary: &Path, kubeconfig: &Path, namespace: &Namespace, identity: &str) -> Result<Operator, Error> {
    let own = [
        format!("--namespaces={}", namespace.name()),
        format!("--identity={identity}"),
        format!("--signature-window={SIGNATURE_WINDOW}"),
    ];
    let arguments: Vec<&str> = FLAGS.into_iter().chain(own.iter().map(String::as_str)).collect();
    Operator::start(OperatorOptions {
        binary: &binary.display().to_string(),
        kubeconfig: Some(kubeconfig),
        arguments: &arguments,
        environment: &[],
    })
}
