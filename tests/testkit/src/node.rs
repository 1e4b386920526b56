//! A cluster with real nodes: beside etcd and kube-apiserver the controllers, the scheduler, and nodes that run containerd and
//! kubelet, in namespaces of their own on this machine.
//!
//! A test of this kind runs twice. First in the namespaces of this machine, where it has everything built that it needs, and
//! starts itself once more in fresh namespaces ([`in_own_namespaces`]). There the test itself is played: it makes the
//! network, the control plane and the nodes ([`Cluster`]), and reaches them at addresses that mean nothing outside.
//!
//! Each node has in turn namespaces of its own. All processes end with the first one of the namespaces, which ends with the
//! process that started it; the cgroups and the folder are removed afterwards, also if the test was killed.

mod addresses;
mod cgroups;
mod cluster;
mod commands;
mod debian;
mod earlier;
mod images;
mod machine;
mod names;
mod operator;
mod pod_logs;
mod pods;
mod programs;
mod requirements;
mod router;
mod world;

pub use addresses::Family;
pub use cluster::{Cluster, ReachableCloud, Settings};
pub use earlier::EARLIER;
pub use images::PAUSE;
pub use machine::Node;
pub use operator::{NAMESPACE, Version};
pub use programs::Need;
pub use world::in_own_namespaces;
