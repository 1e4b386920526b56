//! The control plane with all its controllers, the network, and the nodes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::addresses::Family;
use super::commands;
use super::images::PAUSE_FILE;
use super::machine::Node;
use super::names::Names;
use super::programs::Programs;
use super::world::World;
use crate::cloud::{Cloud, REGION};
use crate::control_plane::{ControlPlane, Setting};
use crate::error::{Context, Error};
use crate::eventually::eventually;
use crate::process::Process;
use crate::{canary, paths};

/// How long nodes may take to become ready; on an idle machine it takes three seconds.
const BOUND: std::time::Duration = std::time::Duration::from_secs(300);

/// The port of Services and of the cloud.
const HTTPS: u16 = 443;

/// What a cluster is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many nodes it has.
    pub nodes: u8,
    /// Its addresses.
    pub family: Family,
    /// The port of the API server. With 443 it listens at the address of the Service `kubernetes`, since nothing translates
    /// addresses. With another one that Service leads nowhere, and pods must be told the API server's own address.
    pub port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: 2,
            family: Family::V4,
            port: HTTPS,
        }
    }
}

/// A running cluster, in the namespaces of this process. When the value is dropped, all that its pods have printed and what was
/// written to the API server are searched for secrets ([`canary`]); the test fails if there is one.
pub struct Cluster {
    // In this order, so that nothing sees its servers vanish.
    routers: Vec<Process>,
    nodes: Vec<Node>,
    _controllers: [Process; 2],
    control_plane: ControlPlane,
    settings: Settings,
    programs: Programs,
    images: PathBuf,
    _images: tempfile::TempDir,
}

impl Cluster {
    /// Starts a cluster, and waits until its nodes are ready.
    ///
    /// # Errors
    ///
    /// This process is not in namespaces of its own, or a part does not start.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let mut cluster = Self::without_nodes(settings).await?;
        cluster.add_nodes(settings.nodes).await?;
        Ok(cluster)
    }

    /// Starts all but the nodes.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn without_nodes(settings: Settings) -> Result<Self, Error> {
        let world = World::own()?;
        let outside = || Error::Other("a cluster with nodes needs namespaces of its own".to_owned());
        let programs = world.ok_or_else(outside)?.programs;
        network(settings.family)?;
        let network = settings.family.primary();
        let control_plane = ControlPlane::start_with(&Setting {
            address: if settings.port == HTTPS {
                network.service()
            } else {
                network.host()
            },
            advertised: network.host(),
            port: Some(settings.port),
            services: settings.family.services(),
            nodes: true,
        })
        .await?;
        let controllers = [
            controller_manager(&control_plane, &programs)?,
            scheduler(&control_plane, &programs)?,
        ];
        let folder = paths::temporary_folder("images")?;
        let images = folder.path().to_path_buf();
        link(&programs.pause, &images.join(PAUSE_FILE))?;
        link(&programs.operator, &images.join("operator.tar"))?;
        if let Some(earlier) = &programs.earlier {
            link(&earlier.join("image.tar"), &images.join("earlier.tar"))?;
        }
        Ok(Self {
            routers: Vec::new(),
            nodes: Vec::new(),
            _controllers: controllers,
            control_plane,
            settings,
            programs,
            images,
            _images: folder,
        })
    }

    /// Starts nodes, and waits until all are ready.
    ///
    /// # Errors
    ///
    /// One does not become ready.
    pub async fn add_nodes(&mut self, count: u8) -> Result<(), Error> {
        let first = u8::try_from(self.nodes.len()).unwrap_or(u8::MAX) + 1;
        let starts = (first..first + count).map(|number| {
            Node::start(
                &self.control_plane,
                &self.programs,
                &self.images,
                self.settings.family,
                number,
            )
        });
        let started = try_join_all(starts).await?;
        self.nodes.extend(started);
        self.ready(self.nodes.len()).await
    }

    /// Waits until so many nodes are ready.
    async fn ready(&self, wanted: usize) -> Result<(), Error> {
        let nodes = Api::<NodeObject>::all(self.control_plane.admin_client().await?);
        let ready = eventually("the nodes are ready", BOUND, async || {
            let list = nodes
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            let ready = list.items.iter().filter(|node| is_ready(node)).count();
            if ready == wanted {
                Ok(())
            } else {
                Err(format!("{ready} of {wanted}"))
            }
        });
        let logs = || self.nodes.iter().map(Node::log_tail).collect::<String>();
        ready
            .await
            .map_err(|error| Error::Other(format!("{error}\n{}", logs())))
    }

    pub(super) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Has network policies enforced, in a test that [needs](super::Need) it. It takes a moment until they are.
    ///
    /// # Errors
    ///
    /// The test does not say so, or a node has failed.
    pub fn enforce_network_policies(&mut self) -> Result<(), Error> {
        let unsaid = || Error::Other("the test does not say that it needs it".to_owned());
        let router = self.programs.router.as_ref().ok_or_else(unsaid)?;
        let pair = self
            .control_plane
            .sign("kube-router", "kube-router", "system:masters", &[])?;
        let kubeconfig = self.control_plane.kubeconfig_of(&pair)?;
        for node in &self.nodes {
            self.routers
                .push(router.start(node, &kubeconfig, self.settings.family)?);
        }
        Ok(())
    }

    /// The address of the machine that all nodes are connected to, at which the API server is, and that of the cloud.
    pub fn host_and_cloud(&self) -> [IpAddr; 2] {
        let network = self.settings.family.primary();
        [network.host(), network.cloud()]
    }

    /// The control plane: kubectl, clients of an administrator, the audit log, outages.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The nodes, in the order of their start.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Starts a simulated cloud that pods reach by the names of its hosts.
    ///
    /// # Errors
    ///
    /// As [`Cloud::start`].
    pub async fn cloud(&self, world: &Value) -> Result<ReachableCloud, Error> {
        let hosts = ["workspace", "iam"].map(|service| format!("{service}.{REGION}.sim.example"));
        let networks = self.settings.family.networks();
        let addresses: Vec<_> = networks.iter().map(|network| network.cloud()).collect();
        let ranges: Vec<_> = networks
            .iter()
            .map(|n| format!("{}/{}", n.cloud(), n.prefix()))
            .collect();
        let zone = hosts
            .iter()
            .map(|host| (host.clone(), addresses.clone()))
            .collect::<BTreeMap<_, _>>();
        let network = self.settings.family.primary();
        let names = Names::serve(network.host(), zone).await?;
        let cloud = Cloud::start_at(world, SocketAddr::new(network.cloud(), HTTPS), &hosts).await?;
        Ok(ReachableCloud {
            cloud,
            _names: names,
            hosts,
            allowed: ranges.join(","),
        })
    }

    /// What can be learned of a cluster in which a test failed.
    fn post_mortem(&self) -> String {
        let namespace = ["--namespace", super::NAMESPACE];
        let logs = [
            "logs",
            "--selector=app.kubernetes.io/name=desktop-deletion-operator",
            "--prefix",
            "--tail=30",
        ];
        let questions: [&[&str]; 4] = [
            &["get", "nodes,pods", "--all-namespaces", "--output=wide"],
            &[&["describe", "pods"], &namespace[..]].concat(),
            &[&logs[..], &namespace].concat(),
            &[&logs[..], &["--previous"], &namespace].concat(),
        ];
        let mut text: String = self.nodes.iter().map(Node::log_tail).collect();
        text.extend(self.routers.iter().map(Process::log_tail));
        for question in questions {
            let mut kubectl = Command::new(self.control_plane.kubectl_path());
            kubectl
                .args(question)
                .env("KUBECONFIG", self.control_plane.kubeconfig_path());
            let answer = kubectl.arg("--request-timeout=20s").output();
            let answer = answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "kubectl {}\n{}",
                question.join(" "),
                answer.unwrap_or_default()
            );
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.post_mortem());
        }
        let logs = self.nodes.iter().filter_map(Node::leak);
        let audit = canary::search_audit(self.control_plane.kubeconfig_path());
        canary::report(&logs.chain(audit).collect::<Vec<_>>());
    }
}

/// A simulated cloud with names.
pub struct ReachableCloud {
    /// The cloud.
    pub cloud: Cloud,
    _names: Names,
    hosts: [String; 2],
    allowed: String,
}

impl ReachableCloud {
    /// What `--allowed-endpoints` has to say, so that the operator takes it for no trap.
    pub fn allowed_endpoints(&self) -> String {
        self.hosts
            .iter()
            .map(|host| format!("{host}={}", self.allowed))
            .collect::<Vec<_>>()
            .join(";")
    }

    /// A `WorkspaceProject` at these names.
    pub fn project(&self, name: &str, secret: &str) -> Value {
        let mut manifest = self.cloud.project(name, secret);
        for (field, host) in ["endpoint", "iamEndpoint"].iter().zip(&self.hosts) {
            manifest["spec"][field] = json!(format!("https://{host}"));
        }
        manifest
    }
}

/// Makes the switch that all nodes are connected to, which this process stands at too.
fn network(family: Family) -> Result<(), Error> {
    // A bridge without an address of its own takes the lowest of its ports, and would change it when that node fails.
    commands::run(
        "ip",
        [
            "link",
            "add",
            "br0",
            "address",
            "02:00:00:00:00:01",
            "type",
            "bridge",
        ],
    )?;
    for network in family.networks() {
        let prefix = network.prefix();
        for address in [network.host(), network.cloud()] {
            let mut arguments = vec![
                "address".to_owned(),
                "add".to_owned(),
                format!("{address}/{prefix}"),
            ];
            arguments.extend(["dev".to_owned(), "br0".to_owned()]);
            arguments.extend(address.is_ipv6().then(|| "nodad".to_owned()));
            commands::run("ip", arguments)?;
        }
        // In place of a translation of the Service's address.
        commands::run(
            "ip",
            ["address", "add", &network.service().to_string(), "dev", "lo"],
        )?;
    }
    commands::run("ip", ["link", "set", "br0", "up"])?;
    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let path = Path::new("/proc/sys/net").join(setting);
        std::fs::write(&path, "1").context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn controller_manager(control_plane: &ControlPlane, programs: &Programs) -> Result<Process, Error> {
    let [authority, token_key] = control_plane.authority_and_token_key();
    let own = [
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={}", token_key.display()),
        format!("--root-ca-file={}", authority.display()),
        "--allocate-node-cidrs=false".to_owned(),
        format!(
            "--flex-volume-plugin-dir={}",
            control_plane.folder().join("volume-plugins").display()
        ),
    ];
    controller(control_plane, programs, "kube-controller-manager", &own)
}

fn scheduler(control_plane: &ControlPlane, programs: &Programs) -> Result<Process, Error> {
    controller(control_plane, programs, "kube-scheduler", &[])
}

fn controller(
    control_plane: &ControlPlane,
    programs: &Programs,
    name: &str,
    own: &[String],
) -> Result<Process, Error> {
    let pair = control_plane.sign(name, &format!("system:{name}"), name, &[])?;
    let kubeconfig = control_plane.kubeconfig_of(&pair)?;
    let kubeconfig = kubeconfig.display();
    let mut arguments = vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={}", control_plane.folder().display()),
    ];
    arguments.extend_from_slice(own);
    Process::start(name, &programs.kubernetes.join(name), &arguments, &[])
}

fn is_ready(node: &NodeObject) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn link(from: &Path, to: &Path) -> Result<(), Error> {
    symlink(from, to).context(|| format!("link {} to {}", to.display(), from.display()))
}
