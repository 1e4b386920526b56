//! The local world of tests and demo: a real control plane, the simulated cloud, the operator as a process.
//!
//! ```no_run
//! # async fn example() -> Result<(), testkit::Error> {
//! let control_plane = testkit::ControlPlane::shared().await;
//! let namespace = control_plane.namespace("happy-path").await?;
//! let pods = control_plane.kubectl(["get", "pods", "-n", namespace.name()]).await?.stdout()?;
//! let asked = control_plane.audit().events()?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything listens on loopback addresses only, or in network namespaces of its own ([`node`]), keeps its files below the
//! target folder, and ends no later than the process that started it.

mod api_proxy;
mod audit;
mod binaries;
pub mod canary;
pub mod cloud;
mod connect_proxy;
mod control_plane;
mod deploy;
mod error;
mod eventually;
mod go_tools;
mod growing_file;
mod kubeconfig;
mod kubectl;
pub mod manifests;
mod namespace;
pub mod node;
mod operator;
mod otlp;
mod paths;
mod port;
mod process;
mod supervised;

pub use api_proxy::{ApiRequest, ApiServerProxy, Caught, Moment, Trap};
pub use audit::{AuditEvent, AuditLog, AuditUser, ObjectRef, ResponseStatus};
pub use cloud::Cloud;
pub use connect_proxy::ConnectProxy;
pub use control_plane::{ControlPlane, Snapshot};
pub use deploy::SERVICE_ACCOUNT;
pub use error::Error;
pub use eventually::{GENEROUS, eventually};
pub use go_tools::{control_plane_program, go_module_folder, go_tool, prometheus_tool, provide_programs};
pub use kubectl::Output;
pub use namespace::Namespace;
pub use operator::{Operator, OperatorOptions};
pub use otlp::{OtlpCollector, OtlpSpan};
pub use paths::{target, workspace};
pub use port::ReservedPort;
pub use process::Process;
