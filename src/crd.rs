//! The two kinds and their conditions: the contract with users.
//!
//! The Rust types here are the only source of `crds/*.yaml` and of `crds/README.md`
//! (`desktop-deletion-operator crds` prints the former).

pub mod conditions;
pub mod deletion;
pub mod project;

/// API group of both kinds.
pub const GROUP: &str = "cloud-desktops.dev";
/// Version of both kinds.
pub const VERSION: &str = "v1alpha1";
/// Finalizer that keeps an object while a submission of it may still reach the cloud or be recorded.
pub const FINALIZER: &str = "cloud-desktops.dev/submission";
/// Annotation by which a person settles an attempt whose outcome stays unknown.
pub const RESOLVE_ANNOTATION: &str = "cloud-desktops.dev/resolve";

pub use deletion::{DesktopDeletion, DesktopDeletionSpec, DesktopDeletionStatus};
pub use project::{WorkspaceProject, WorkspaceProjectSpec, WorkspaceProjectStatus};
