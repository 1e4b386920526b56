//! A node: containerd and kubelet in namespaces of their own, on a port of the cluster's bridge.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::addresses::{Family, Network};
use super::images::PAUSE;
use super::pod_logs::PodLogs;
use super::programs::Programs;
use super::{cgroups, commands};
use crate::control_plane::ControlPlane;
use crate::error::{Context, Error};
use crate::eventually::{GENEROUS, eventually};
use crate::process::Process;
use crate::supervised::{Options, Supervised, tail};
use crate::{canary, paths};

/// The port at which kubelet answers without asking who asks.
const READ_ONLY_PORT: u16 = 10255;

/// The folder of a node into which its pods print.
const POD_LOGS: &str = "pods";

/// The bridge of a node's pods.
const BRIDGE: &str = "cni0";

/// Moves itself to the cgroups `$1` and enters fresh namespaces, whose first process is the rest. It ends if it cannot.
const ENTER: &str = r#"
set -e
name=$1; shift
for file in /sys/fs/cgroup/*/"$name"/cgroup.procs; do echo $$ >"$file"; done
exec unshare --mount --net --pid --cgroup --uts --ipc --fork --kill-child --mount-proc "$@"
"#;

/// The first process: what of the file system is replaced, and then the node.
const SCRIPT: &str = concat!(include_str!("filesystem.sh"), include_str!("node.sh"));

/// A running node. It ends as if its power failed when the value is dropped.
pub struct Node {
    name: String,
    // Before the process, with which its folder goes.
    pod_logs: PodLogs,
    process: Supervised,
    folder: PathBuf,
    /// Process id of the first process in its namespaces.
    init: String,
    network: Network,
    address: IpAddr,
}

impl Node {
    /// Starts a node and connects it. It joins the cluster when it is ready.
    pub(super) async fn start(
        control_plane: &ControlPlane,
        programs: &Programs,
        images: &Path,
        family: Family,
        number: u8,
    ) -> Result<Self, Error> {
        let name = format!("node{number}");
        // Its supervisor removes the folder.
        let folder = paths::temporary_folder(&name)?.keep();
        configure(control_plane, programs, &folder, family, number)?;
        let pod_logs = PodLogs::follow(folder.join(POD_LOGS), folder.join("kept-logs"))?;
        cgroups_of(&name)?;
        let addresses: Vec<_> = family
            .networks()
            .iter()
            .map(|network| network.node(number).to_string())
            .collect();
        let path = [&programs.runtime, &programs.kubernetes].map(|folder| folder.display().to_string());
        let environment = (
            "PATH".to_owned(),
            format!("{}:{}", path.join(":"), commands::path()),
        );
        let arguments = [
            "-c",
            ENTER,
            "sh",
            &name,
            "sh",
            "-c",
            SCRIPT,
            "node",
            &name,
            &folder.display().to_string(),
            &images.display().to_string(),
            &format!("--node-ip={}", addresses.join(",")),
        ];
        let options = Options {
            name: &name,
            log: folder.join("log"),
            folder: Some(&folder),
        };
        let process = Supervised::spawn(options, Path::new("sh"), arguments, &[environment])?;
        let init = init(&process).await?;
        connect(&init, &name, family, number)?;
        Ok(Self {
            name,
            pod_logs,
            process,
            folder,
            init,
            network: family.primary(),
            address: family.primary().node(number),
        })
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it as if its power failed: everything that runs on it is gone at once.
    ///
    /// # Errors
    ///
    /// Its supervisor was ended by another caller.
    pub async fn fail(&self) -> Result<(), Error> {
        self.process.signal("KILL");
        self.process.wait().await?;
        let init = Path::new("/proc").join(&self.init);
        eventually("the processes of the node are gone", GENEROUS, async || {
            if init.exists() {
                Err("they are there")
            } else {
                Ok(())
            }
        })
        .await
    }

    /// Where its kubelet serves its metrics without authentication.
    pub fn read_only_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, READ_ONLY_PORT)
    }

    /// Where its kubelet answers those who may ask.
    pub fn kubelet_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, 10250)
    }

    /// Drops what its pods send to Services, as if the network were not set up yet.
    ///
    /// # Errors
    ///
    /// The node has failed.
    pub fn block_services(&self) -> Result<(), Error> {
        self.rule("add")
    }

    /// The end of [`Node::block_services`].
    ///
    /// # Errors
    ///
    /// It had not begun.
    pub fn unblock_services(&self) -> Result<(), Error> {
        self.rule("del")
    }

    fn rule(&self, change: &str) -> Result<(), Error> {
        let service = self.network.service().to_string();
        let rule = ["rule", change, "dev", BRIDGE, "to", &service, "blackhole"];
        self.inside(&[&["ip", self.network.option()], &rule[..]].concat())
            .map(drop)
    }

    /// Starts a program in the namespaces of the node, with this environment.
    pub(super) fn start_inside(
        &self,
        name: &str,
        command: &[String],
        environment: &[(&str, &str)],
    ) -> Result<Process, Error> {
        let nsenter =
            commands::find("nsenter").ok_or_else(|| Error::Other("nsenter is missing".to_owned()))?;
        // Not for the shell that supervises it, which searches its own programs.
        let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
        let target = ["--target", &self.init, "--all", "env"].map(str::to_owned);
        let arguments: Vec<_> = target
            .into_iter()
            .chain(variables)
            .chain(command.iter().cloned())
            .collect();
        Process::start(name, &nsenter, arguments, &[])
    }

    /// Runs a command in the network of the node.
    pub(super) fn inside(&self, command: &[&str]) -> Result<String, Error> {
        commands::run("nsenter", [&["--target", &self.init, "--net"], command].concat())
    }

    /// All that its pods have printed, also those that are gone.
    ///
    /// # Errors
    ///
    /// A log cannot be read.
    pub fn pod_logs(&self) -> Result<String, Error> {
        self.pod_logs.text()
    }

    /// Where the logs of its pods show a secret.
    pub(super) fn leak(&self) -> Option<String> {
        let place = format!("the logs of pods on {}", self.name);
        match self.pod_logs() {
            Ok(text) => canary::search(&place, &text),
            Err(error) => Some(format!("{place} cannot be searched: {error}")),
        }
    }

    /// All that its kubelet has logged.
    pub fn kubelet_log(&self) -> String {
        self.log("kubelet.log")
    }

    fn log(&self, file: &str) -> String {
        let text = std::fs::read(self.folder.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The end of its logs, for the message of a test that failed.
    pub fn log_tail(&self) -> String {
        let log = |file: &str| format!("{file} of {}:\n{}\n", self.name, tail(&self.log(file), 15));
        ["log", "containerd.log", "kubelet.log"].map(log).concat()
    }
}

/// Makes the node's cgroups below those of this process.
fn cgroups_of(name: &str) -> Result<(), Error> {
    let root = Path::new("/sys/fs/cgroup");
    for entry in std::fs::read_dir(root).context(|| format!("list {}", root.display()))? {
        let hierarchy = entry.context(|| format!("list {}", root.display()))?.path();
        // Controllers that share one are links to it.
        if !hierarchy.is_symlink() {
            cgroups::make(&hierarchy.join(name))?;
        }
    }
    Ok(())
}

/// The process id of the first process in the namespaces, once it is there.
async fn init(process: &Supervised) -> Result<String, Error> {
    let pid = process.pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    eventually("the namespaces of the node are there", GENEROUS, async || {
        let text = std::fs::read_to_string(&children).map_err(|error| error.to_string())?;
        match text.trim() {
            "" => Err("no process is in them".to_owned()),
            init => Ok(init.to_owned()),
        }
    })
    .await
    .map_err(|error| process.not_started(error.to_string()))
}

/// Lays a cable between the node and the cluster's bridge.
fn connect(init: &str, name: &str, family: Family, number: u8) -> Result<(), Error> {
    let port = format!("port-{name}");
    commands::run(
        "ip",
        [
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", init,
        ],
    )?;
    commands::run("ip", ["link", "set", &port, "master", "br0", "up"])?;
    for network in family.networks() {
        let (pods, node) = (network.pods(number), network.node(number).to_string());
        commands::run("ip", [network.option(), "route", "add", &pods, "via", &node])?;
    }
    Ok(())
}

/// Writes all that the programs of the node read.
fn configure(
    control_plane: &ControlPlane,
    programs: &Programs,
    folder: &Path,
    family: Family,
    number: u8,
) -> Result<(), Error> {
    let name = format!("node{number}");
    let addresses: Vec<_> = family
        .networks()
        .iter()
        .map(|network| network.node(number))
        .collect();
    let pair = control_plane.sign(&name, &format!("system:node:{name}"), "system:nodes", &addresses)?;
    let kubeconfig = control_plane.kubeconfig_of(&pair)?;
    let [authority, _] = control_plane.authority_and_token_key();
    let host = family.primary().host();
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "failSwapOn": false,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "podLogsDir": folder.join(POD_LOGS),
        "volumePluginDir": folder.join("volume-plugins"),
        "resolvConf": "/run/resolv.conf",
        "clusterDNS": [host],
        "clusterDomain": "cluster.local",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": authority},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pair.certificate,
        "tlsPrivateKeyFile": pair.key,
        // How full the disks of this machine are decides no test.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "imagefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        // It only reads the settings of the kernel, and ends where one is not as it wants.
        "protectKernelDefaults": true,
        "nodeStatusUpdateFrequency": "2s",
        "readOnlyPort": READ_ONLY_PORT,
    });
    let write = |file: &str, text: String| {
        let path = folder.join(file);
        std::fs::write(&path, text).context(|| format!("write {}", path.display()))
    };
    write("kubelet.json", kubelet.to_string())?;
    write("containerd.toml", containerd(programs, folder))?;
    write("network", network(family, number))?;
    write("resolv.conf", format!("nameserver {host}\n"))?;
    let plugins = folder.join("cni");
    std::fs::create_dir(&plugins).context(|| format!("create {}", plugins.display()))?;
    write("cni/pods.conflist", pods(family, number).to_string())?;
    let copied = folder.join("kubeconfig");
    std::fs::copy(&kubeconfig, &copied).context(|| format!("write {}", copied.display()))?;
    Ok(())
}

/// The configuration of containerd, in TOML.
fn containerd(programs: &Programs, folder: &Path) -> String {
    let folder = folder.display();
    let plugins = programs.runtime.display();
    let runc = programs.runc.display();
    // A privileged process can lack the right to score its children below itself.
    format!(
        r#"
version = 3
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{folder}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = "{runc}"
    SystemdCgroup = false
"#
    )
}

/// The network of the pods: a bridge of the node, without any translation of addresses.
fn pods(family: Family, number: u8) -> Value {
    let networks = family.networks().iter();
    let ranges: Vec<_> = networks
        .clone()
        .map(|n| json!([{"subnet": n.pods(number)}]))
        .collect();
    let routes: Vec<_> = networks
        .map(|network| json!({"dst": network.anywhere()}))
        .collect();
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": ranges, "routes": routes},
        }],
    })
}

/// What `ip` is to set up on the node: its address, and the way to everything else.
fn network(family: Family, number: u8) -> String {
    let mut lines = String::new();
    for network in family.networks() {
        let (address, prefix, host) = (network.node(number), network.prefix(), network.host());
        let unchecked = if *network == Network::V6 { " nodad" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "address add {address}/{prefix} dev eth0{unchecked}");
        let _ = writeln!(lines, "route add default via {host}");
    }
    lines
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_node_without_cgroups_is_not_started() {
        // What would be started only says how to use it.
        let arguments = ["-c", ENTER, "sh", "no-such-cgroup", "--help"];
        let refused = Command::new("sh").args(arguments).output().unwrap();
        assert!(
            !refused.status.success() && refused.stdout.is_empty(),
            "{refused:?}"
        );
    }
}
