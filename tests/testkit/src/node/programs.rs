//! What the nodes run, built or fetched once, before there is a cluster.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::router::Router;
use super::{commands, debian, earlier, images};
use crate::error::Error;
use crate::go_tools::{go_programs, go_tool};

/// Leaves out what the tests do not use of containerd: it takes time, or wants libraries of C.
const RUNTIME_TAGS: &str = "urfave_cli_no_docs,no_btrfs,no_devmapper,no_zfs";

/// Where everything lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Programs {
    /// Folder with kubelet, kube-controller-manager and kube-scheduler.
    pub(super) kubernetes: PathBuf,
    /// Folder with containerd and the plug-ins of the network.
    pub(super) runtime: PathBuf,
    /// The program that starts containers.
    pub(super) runc: PathBuf,
    /// The image that holds the namespaces of a pod.
    pub(super) pause: PathBuf,
    /// The operator's image.
    pub(super) operator: PathBuf,
    /// Source and image of an earlier operator, if the test wants it.
    pub(super) earlier: Option<PathBuf>,
    /// What enforces network policies, if the test wants it.
    pub(super) router: Option<Router>,
}

/// What some tests need besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Helm.
    Helm,
    /// The operator of an earlier commit.
    Earlier,
    /// What enforces network policies.
    NetworkPolicies,
}

impl Need {
    /// Why it cannot be had here, if so.
    pub(super) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Earlier if !earlier::available() => {
                Some("it needs a commit that is not in the history of this copy")
            }
            Self::NetworkPolicies if !debian::available() => Some("it needs packages of Debian"),
            _ => None,
        }
    }
}

impl Programs {
    /// Builds what is not there yet. Blocks, the first time for many minutes.
    pub(super) fn provide(needs: &[Need]) -> Result<Self, Error> {
        if needs.contains(&Need::Helm) {
            go_tool("helm")?;
        }
        let earlier = needs
            .contains(&Need::Earlier)
            .then(earlier::provide)
            .transpose()?;
        let runtime = go_programs("node-runtime", &["pause"], RUNTIME_TAGS)?;
        let router = needs
            .contains(&Need::NetworkPolicies)
            .then(Router::provide)
            .transpose()?;
        Ok(Self {
            router,
            kubernetes: go_programs("node-kubernetes", &[], "")?,
            runc: runc()?,
            pause: images::pause(&runtime)?,
            operator: images::operator()?,
            runtime,
            earlier,
        })
    }
}

/// The runc of this machine, or that of its Debian release. It needs libseccomp, a library of C.
fn runc() -> Result<PathBuf, Error> {
    match commands::find("runc") {
        Some(installed) => Ok(installed),
        None => Ok(debian::unpacked("runc", &["runc"], |_| Ok(()))?.join("usr/sbin/runc")),
    }
}
