//! Enforcement of network policies: kube-router on each node, with the iptables and ipset of this machine's Debian release.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::addresses::Family;
use super::debian;
use super::machine::Node;
use crate::error::{Context, Error};
use crate::go_tools::go_tool;
use crate::process::Process;

/// The tools, and the libraries that they need.
const PACKAGES: [&str; 10] = [
    "iptables",
    "ipset",
    "libip4tc2",
    "libip6tc2",
    "libipset13",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
];

/// The names by which one program knows what it is to do.
const NAMES: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// Where the programs lie.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Router {
    program: PathBuf,
    /// Folder with the unpacked packages.
    tools: PathBuf,
}

impl Router {
    /// Builds what is not there yet. Blocks, the first time for minutes.
    pub(super) fn provide() -> Result<Self, Error> {
        Ok(Self {
            program: go_tool("kube-router")?,
            tools: debian::unpacked("kube-router-tools", &PACKAGES, link)?,
        })
    }

    /// Starts it on a node, with nothing of the machine in its reach that could load modules of the kernel.
    pub(super) fn start(&self, node: &Node, kubeconfig: &Path, family: Family) -> Result<Process, Error> {
        let libraries = self
            .tools
            .join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
        let environment = [
            ("PATH", self.tools.join("usr/sbin")),
            ("XTABLES_LIBDIR", libraries.join("xtables")),
            ("LD_LIBRARY_PATH", libraries),
        ]
        .map(|(name, path)| (name, path.display().to_string()));
        let environment = environment.each_ref().map(|(name, value)| (*name, &**value));
        // Connections are tracked from their start on, as where kube-proxy runs: of one that is older, the answers would be taken
        // for connections of their own, and dropped. The rules have no target, so that they do nothing else.
        for program in ["iptables", "ip6tables"] {
            let variables: Vec<_> = environment
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let rule = [
                program,
                "--append",
                "FORWARD",
                "--match",
                "conntrack",
                "--ctstate",
                "ESTABLISHED",
            ];
            let command = ["env"]
                .into_iter()
                .chain(variables.iter().map(String::as_str))
                .chain(rule);
            node.inside(&command.collect::<Vec<_>>())?;
        }
        let arguments = [
            self.program.display().to_string(),
            "--run-firewall=true".to_owned(),
            "--run-router=false".to_owned(),
            "--run-service-proxy=false".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={}", node.name()),
            format!("--service-cluster-ip-range={}", family.services()),
            "--health-port=0".to_owned(),
        ];
        node.start_inside("kube-router", &arguments, &environment)
    }
}

/// Does what Debian leaves to its alternatives.
fn link(folder: &Path) -> Result<(), Error> {
    for name in NAMES {
        let path = folder.join("usr/sbin").join(name);
        symlink("xtables-nft-multi", &path).context(|| format!("link {}", path.display()))?;
    }
    Ok(())
}
