//! A real etcd and kube-apiserver on loopback ports.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;

use crate::audit::AuditLog;
use crate::binaries::Binaries;
use crate::error::{Context, Error};
use crate::eventually::{GENEROUS, eventually};
use crate::namespace::Namespace;
use crate::{kubeconfig, paths};

mod certificates;
mod outage;
mod server;
mod start;

pub(crate) use certificates::Pair;
pub use outage::Snapshot;
pub(crate) use start::Setting;

/// The oldest minor version of Kubernetes 1 that the operator supports: selectable fields of custom resources
/// are stable since 1.32.
const OLDEST_MINOR: u32 = 32;

/// A running control plane: etcd and kube-apiserver, without controllers, scheduler and nodes.
///
/// Authorization is RBAC, and every request is audited. Both servers listen on the loopback address only, under
/// certificates of their own, and end with this value or, at the latest, with this process.
pub struct ControlPlane {
    started: start::Started,
    pub(crate) binaries: Binaries,
    audit: AuditLog,
    namespaces: AtomicU32,
    crds: OnceCell<()>,
}

impl ControlPlane {
    /// Starts a control plane of its own; the first time ever its binaries are built, which takes minutes.
    ///
    /// # Errors
    ///
    /// Neither Go nor `KUBEBUILDER_ASSETS`, a failed build, or a server that does not become ready.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(&Setting::alone()).await
    }

    /// The same at another address, or for nodes.
    pub(crate) async fn start_with(setting: &Setting) -> Result<Self, Error> {
        let binaries = tokio::task::spawn_blocking(Binaries::provide).await;
        let binaries =
            binaries.map_err(|error| Error::Other(format!("provide the control plane: {error}")))??;
        let started = start::start(&binaries, setting).await?;
        let audit = AuditLog::new(started.folder.path().join(crate::audit::FILE));
        let namespaces = AtomicU32::new(0);
        let control_plane = Self {
            started,
            binaries,
            audit,
            namespaces,
            crds: OnceCell::new(),
        };
        control_plane.check_version().await?;
        Ok(control_plane)
    }

    /// The control plane that all tests of one process share; started by the first that asks.
    ///
    /// It holds nothing that belongs to a test's runtime: make clients with [`ControlPlane::admin_client`].
    ///
    /// # Panics
    ///
    /// When it could not be started; every test that asks fails with the same message.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Result<ControlPlane, Error>> = OnceCell::const_new();
        match SHARED.get_or_init(Self::start).await {
            Ok(control_plane) => control_plane,
            #[expect(clippy::panic, reason = "called by tests, which cannot go on without it")]
            Err(error) => panic!("{error}"),
        }
    }

    /// Address of the API server, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.started.url
    }

    /// Folder for files that live as long as this control plane.
    pub fn folder(&self) -> &Path {
        self.started.folder.path()
    }

    /// Kubeconfig of an administrator (group `system:masters`).
    pub fn kubeconfig_path(&self) -> &Path {
        &self.started.kubeconfig
    }

    /// A client of that administrator, for the runtime that it is made on.
    ///
    /// # Errors
    ///
    /// The kubeconfig is gone or damaged.
    pub async fn admin_client(&self) -> Result<kube::Client, Error> {
        kubeconfig::client(self.kubeconfig_path()).await
    }

    /// What was asked of the API server.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// All that kube-apiserver has logged.
    pub fn server_log(&self) -> String {
        self.started.kube_apiserver.log()
    }

    /// Process ids of kube-apiserver and etcd.
    ///
    /// # Errors
    ///
    /// One of them was never started.
    pub fn pids(&self) -> Result<[u32; 2], Error> {
        let start::Started {
            kube_apiserver, etcd, ..
        } = &self.started;
        Ok([kube_apiserver.newest()?.pid(), etcd.newest()?.pid()])
    }

    /// A certificate for a part of the cluster; it is a client, and also a server at these addresses. `file` names its files.
    pub(crate) fn sign(
        &self,
        file: &str,
        user: &str,
        group: &str,
        addresses: &[IpAddr],
    ) -> Result<Pair, Error> {
        self.started.certificates.sign(file, user, group, addresses)
    }

    /// Writes a kubeconfig for such a part.
    pub(crate) fn kubeconfig_of(&self, pair: &Pair) -> Result<PathBuf, Error> {
        let read = |path: &Path| std::fs::read_to_string(path).context(|| format!("read {}", path.display()));
        let path = pair.certificate.with_extension("kubeconfig");
        let user = kubeconfig::User::Certificate {
            certificate: read(&pair.certificate)?,
            key: read(&pair.key)?,
        };
        kubeconfig::write(&path, self.url(), self.authority(), &user, "default")?;
        Ok(path)
    }

    /// Files of the authority that signed all certificates, and of the key that signs tokens.
    pub(crate) fn authority_and_token_key(&self) -> [&Path; 2] {
        let certificates = &self.started.certificates;
        [&certificates.authority, &certificates.token_signing_key]
    }

    /// PEM of the authority that signed the API server's certificate.
    pub(crate) fn authority(&self) -> &str {
        &self.started.authority
    }

    /// Makes a namespace whose name begins with `prefix` and is new on this control plane.
    ///
    /// # Errors
    ///
    /// The API server refuses it, for instance because `prefix` is no DNS label.
    pub async fn namespace(&self, prefix: &str) -> Result<Namespace, Error> {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        Namespace::create(self.admin_client().await?, format!("{prefix}-{number}")).await
    }

    /// A namespace that exists already, such as the one that `deploy/` makes.
    ///
    /// # Errors
    ///
    /// The kubeconfig is gone or damaged.
    pub async fn existing_namespace(&self, name: &str) -> Result<Namespace, Error> {
        Ok(Namespace::existing(self.admin_client().await?, name.to_owned()))
    }

    /// Installs the project's custom resource definitions, once per control plane, and waits until they are served.
    ///
    /// # Errors
    ///
    /// There are none in `crds/`, or the API server refuses them.
    pub async fn install_crds(&self) -> Result<(), Error> {
        self.crds
            .get_or_try_init(async || self.apply_crds().await)
            .await
            .map(|&()| ())
    }

    async fn apply_crds(&self) -> Result<(), Error> {
        let folder = paths::workspace().join("crds");
        let list = || -> Result<Vec<_>, std::io::Error> {
            std::fs::read_dir(&folder)?
                .map(|entry| Ok(entry?.path()))
                .collect()
        };
        let mut files = list().context(|| format!("list {}", folder.display()))?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.retain(|file| !file.ends_with("kustomization.yaml"));
        if files.is_empty() {
            return Err(Error::Other(format!(
                "no custom resource definitions in {}",
                folder.display()
            )));
        }
        let mut arguments = vec!["apply".to_owned(), "--server-side".to_owned()];
        arguments.extend(files.iter().map(|file| format!("--filename={}", file.display())));
        self.kubectl(&arguments).await?.stdout()?;
        self.crds_established().await
    }

    /// Waits until all custom resource definitions are served.
    ///
    /// # Errors
    ///
    /// One of them is not.
    pub async fn crds_established(&self) -> Result<(), Error> {
        let wait = [
            "wait",
            "crds",
            "--all",
            "--for=condition=Established",
            "--timeout=10s",
        ];
        // It fails at once as long as one of them has no conditions at all.
        let established = async || self.kubectl(wait).await?.stdout().map(drop);
        eventually("the kinds are established", GENEROUS, established).await?;
        // The API server learns by watches of its own what it has to serve.
        let all = ["get", "desktopdeletions,workspaceprojects", "--all-namespaces"];
        let served = async || self.kubectl(all).await?.stdout().map(drop);
        eventually("the kinds are served", GENEROUS, served).await
    }

    async fn check_version(&self) -> Result<(), Error> {
        let version = self.admin_client().await?.apiserver_version().await;
        let version = version.context(|| "ask the API server for its version".to_owned())?;
        // Some distributions add a sign: "32+".
        let minor = version.minor.trim_end_matches('+').parse::<u32>().unwrap_or(0);
        if version.major == "1" && minor < OLDEST_MINOR {
            return Err(Error::TooOld {
                found: version.git_version,
            });
        }
        Ok(())
    }
}
