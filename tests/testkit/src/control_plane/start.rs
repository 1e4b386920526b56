//! Starting etcd and kube-apiserver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::{Certificates, Pair};
use super::server::{Command, Server};
use crate::binaries::Binaries;
use crate::error::{Context, Error};
use crate::eventually::eventually;
use crate::port::ReservedPort;
use crate::{kubeconfig, paths};

/// How long a start may take; on an idle machine it takes three seconds.
const BOUND: Duration = Duration::from_secs(180);

/// Writes of all that the operator writes are kept with their bodies, so that tests can read what was written and when;
/// of others only who asked for what, so that Secrets stay out of the log.
const AUDIT_POLICY: &str = r"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
omitManagedFields: true
rules:
  - level: RequestResponse
    verbs: [create, update, patch, delete]
    resources: [{group: cloud-desktops.dev}, {group: events.k8s.io}, {group: coordination.k8s.io}]
  - level: Metadata
";

/// Where the API server listens, and whether it has nodes.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The address at which it listens.
    pub(crate) address: IpAddr,
    /// The port there; a reserved one if `None`.
    pub(crate) port: Option<u16>,
    /// The address that it names as its own.
    pub(crate) advertised: IpAddr,
    /// Addresses of Services, comma-separated ranges.
    pub(crate) services: &'static str,
    /// Whether nodes join, so that controllers and kubelets run.
    pub(crate) nodes: bool,
}

impl Setting {
    /// On the loopback address, without nodes.
    pub(super) fn alone() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: None,
            advertised: Ipv4Addr::LOCALHOST.into(),
            services: "10.0.0.0/24",
            nodes: false,
        }
    }

    /// The settings of the API server that depend on its environment.
    fn arguments(&self, kubelet_client: &Pair) -> Vec<String> {
        let mut arguments = vec![
            format!("--bind-address={}", self.address),
            format!("--advertise-address={}", self.advertised),
            format!("--service-cluster-ip-range={}", self.services),
        ];
        if self.nodes {
            arguments.extend([
                "--authorization-mode=Node,RBAC".to_owned(),
                "--enable-admission-plugins=NodeRestriction".to_owned(),
                "--kubelet-preferred-address-types=InternalIP".to_owned(),
                format!(
                    "--kubelet-client-certificate={}",
                    kubelet_client.certificate.display()
                ),
                format!("--kubelet-client-key={}", kubelet_client.key.display()),
            ]);
        } else {
            arguments.extend([
                "--authorization-mode=RBAC".to_owned(),
                // No controller makes the default accounts that this plug-in wants for Pods.
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
            ]);
        }
        arguments
    }
}

/// The servers of a control plane and their folder.
pub(super) struct Started {
    // In this order, so that the API server does not see etcd vanish.
    pub(super) kube_apiserver: Server,
    pub(super) etcd: Server,
    pub(super) folder: TempDir,
    pub(super) url: String,
    pub(super) kubeconfig: PathBuf,
    pub(super) authority: String,
    pub(super) certificates: Certificates,
}

/// Starts both servers and waits until the API server is ready.
pub(super) async fn start(binaries: &Binaries, setting: &Setting) -> Result<Started, Error> {
    let folder = paths::temporary_folder("control-plane")?;
    let certificates = Certificates::write(folder.path(), &[setting.address, setting.advertised])?;
    let etcd = start_etcd(binaries, &certificates)?;
    let (kube_apiserver, url) = start_kube_apiserver(binaries, &certificates, setting, &etcd, folder.path())?;

    let authority = read(&certificates.authority)?;
    let kubeconfig = folder.path().join("kubeconfig");
    let user = kubeconfig::User::Certificate {
        certificate: read(&certificates.admin.certificate)?,
        key: read(&certificates.admin.key)?,
    };
    kubeconfig::write(&kubeconfig, &url, &authority, &user, "default")?;

    let started = Started {
        kube_apiserver,
        etcd,
        folder,
        url,
        kubeconfig,
        authority,
        certificates,
    };
    started.ready().await?;
    Ok(started)
}

fn start_etcd(binaries: &Binaries, certificates: &Certificates) -> Result<Server, Error> {
    // Its supervisor removes the folder, also when this process is killed.
    let folder = paths::temporary_folder("etcd")?.keep();
    let port = ReservedPort::reserve()?;
    let url = etcd_url(port.number());
    let peers = "http://127.0.0.1:0";
    let arguments = [
        format!("--data-dir={}", folder.join("data").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peers}"),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", certificates.authority.display()),
        format!("--cert-file={}", certificates.etcd.certificate.display()),
        format!("--key-file={}", certificates.etcd.key.display()),
        // The data need not survive a loss of power.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    let command = Command {
        name: "etcd",
        program: &binaries.etcd,
        arguments: arguments.into(),
        log: folder.join("log"),
        folder: &folder,
        port,
    };
    Server::start(command)
}

fn etcd_url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn start_kube_apiserver(
    binaries: &Binaries,
    certificates: &Certificates,
    setting: &Setting,
    etcd: &Server,
    folder: &Path,
) -> Result<(Server, String), Error> {
    let policy = folder.join("audit-policy.yaml");
    std::fs::write(&policy, AUDIT_POLICY).context(|| format!("write {}", policy.display()))?;
    let reserved = ReservedPort::reserve()?;
    let port = setting.port.unwrap_or(reserved.number());
    let mut arguments = setting.arguments(&certificates.sign(
        "kubelet-client",
        "kube-apiserver-kubelet-client",
        "system:masters",
        &[],
    )?);
    arguments.extend([
        format!("--etcd-servers={}", etcd_url(etcd.port())),
        format!("--etcd-cafile={}", certificates.authority.display()),
        format!("--etcd-certfile={}", certificates.etcd.certificate.display()),
        format!("--etcd-keyfile={}", certificates.etcd.key.display()),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", folder.display()),
        format!("--tls-cert-file={}", certificates.server.certificate.display()),
        format!("--tls-private-key-file={}", certificates.server.key.display()),
        format!("--client-ca-file={}", certificates.authority.display()),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!(
            "--service-account-key-file={}",
            certificates.token_public_key.display()
        ),
        format!(
            "--service-account-signing-key-file={}",
            certificates.token_signing_key.display()
        ),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", folder.join(crate::audit::FILE).display()),
        // An event stands in the file when its request is over, and the file is never rotated.
        "--audit-log-mode=blocking".to_owned(),
        "--audit-log-maxsize=100000".to_owned(),
        // Tests list what was there earlier, however long ago that is.
        "--etcd-compaction-interval=0".to_owned(),
    ]);
    let command = Command {
        name: "kube-apiserver",
        program: &binaries.kube_apiserver,
        arguments,
        log: folder.join("kube-apiserver.log"),
        folder,
        port: reserved,
    };
    let address = SocketAddr::new(setting.address, port);
    Ok((Server::start(command)?, format!("https://{address}")))
}

impl Started {
    /// Waits for `/readyz`, and fails at once when a server has ended.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let client = kubeconfig::client(&self.kubeconfig).await?;
        let answer = eventually("the API server is ready", BOUND, async || {
            for server in [self.etcd.newest(), self.kube_apiserver.newest()] {
                let server = server.map_err(|error| error.to_string())?;
                if let Some(status) = server.exit_status() {
                    return Ok(Err(
                        server.not_started(format!("it ended with exit status {status}"))
                    ));
                }
            }
            let request = http::Request::get("/readyz").body(Vec::new());
            let request = request.map_err(|error| error.to_string())?;
            client
                .request_text(request)
                .await
                .map(|_| Ok(()))
                .map_err(|error| error.to_string())
        });
        match answer.await {
            Ok(answer) => answer,
            Err(error) => Err(self.kube_apiserver.newest()?.not_started(error.to_string())),
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).context(|| format!("read {}", path.display()))
}
