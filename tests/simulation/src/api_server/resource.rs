//! The kinds that are served.

use serde_json::{Value, json};

/// A kind. All of them live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `DesktopDeletion`.
    Deletions,
    /// `WorkspaceProject`.
    Projects,
    /// `Secret`.
    Secrets,
    /// `Event` of `events.k8s.io`.
    Events,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Deletions, Self::Projects, Self::Secrets, Self::Events];

    /// Group and version.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deletions | Self::Projects => "cloud-desktops.dev/v1alpha1",
            Self::Secrets => "v1",
            Self::Events => "events.k8s.io/v1",
        }
    }

    /// The name of the kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deletions => "DesktopDeletion",
            Self::Projects => "WorkspaceProject",
            Self::Secrets => "Secret",
            Self::Events => "Event",
        }
    }

    /// Its name in paths.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deletions => "desktopdeletions",
            Self::Projects => "workspaceprojects",
            Self::Secrets => "secrets",
            Self::Events => "events",
        }
    }

    /// It is defined by a custom resource definition: with a generation, a `/status`, and no unconditional replacement.
    pub fn is_custom(self) -> bool {
        matches!(self, Self::Deletions | Self::Projects)
    }

    /// Fields that a selector may name, beside name and namespace.
    pub fn selectable(self) -> &'static [&'static str] {
        match self {
            Self::Deletions => &["spec.projectRef.name", "status.jobID", "status.completionTime"],
            _ => &[],
        }
    }
}

/// The part of an object that a metadata-only request returns.
pub fn metadata_of(object: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": object["metadata"],
    })
}
