//! The two kinds and their conditions: the contract with users.
//!
//! The Rust types here are the only source of `crds/*.yaml`, which `desktop-deletion-operator crds --output crds` writes,
//! and of `crds/README.md`, which `tests/offline/reference.rs` does.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub mod conditions;
#[expect(
    unreachable_pub,
    reason = "the derived schemas copy each struct into a function"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four of the fields of the spec are yes or no"
)]
pub mod deletion;
pub mod limits;
#[expect(
    unreachable_pub,
    reason = "the derived schemas copy each struct into a function"
)]
#[expect(
    clippy::duplicated_attributes,
    reason = "columns of a table have their keys in common"
)]
pub mod project;

mod files;
mod rules;
mod schema;

/// Finalizer that keeps an object while a submission of it may still reach the cloud or be recorded.
pub const FINALIZER: &str = "cloud-desktops.dev/submission";
/// Annotation by which a user resolves an attempt whose outcome stays unknown.
pub const RESOLVE_ANNOTATION: &str = "cloud-desktops.dev/resolve";

pub use deletion::{DesktopDeletion, DesktopDeletionSpec, DesktopDeletionStatus};
pub use files::{files, yaml};
pub use project::{WorkspaceProject, WorkspaceProjectSpec, WorkspaceProjectStatus};

/// Both kinds, as a cluster takes them.
pub fn all() -> Vec<CustomResourceDefinition> {
    [DesktopDeletion::crd(), WorkspaceProject::crd()]
        .into_iter()
        .map(schema::finish)
        .collect()
}
