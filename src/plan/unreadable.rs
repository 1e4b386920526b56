//! Layer 5, shared by phases: a namespace that the operator lacks permission to read.
//!
//! It is not known which desktops the requests of such a namespace have reserved, so others wait as long as a call of an
//! earlier process may take effect.

use super::observed::{ProjectUnavailable, UnreadableNamespace};
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;

/// The wait of a request elsewhere, which could be for the same desktops.
pub fn requests(namespace: &UnreadableNamespace) -> Progress {
    let UnreadableNamespace {
        name,
        permission,
        until,
    } = namespace;
    let message = format!(
        "cannot read namespace {name}: the operator lacks permission to {permission} there. A delete request from that namespace for the same desktops may be in flight; waiting until about {until}, when none can take effect any more. Grant the permission (deploy/watched-namespace), or remove the namespace from --namespaces (see deploy/README.md)"
    );
    Progress::stalled(Reason::NamespaceUnreadable, message, Requeue::PollInterval)
}

/// What keeps a project of such a namespace from being checked.
pub fn projects(namespace: &str, project: &str, permission: &str) -> ProjectUnavailable {
    let message = format!(
        "WorkspaceProject {project} is not checked: the operator lacks permission to {permission} in namespace \
         {namespace}; grant it (deploy/watched-namespace, or deploy/all-namespaces if the operator serves all \
         namespaces)"
    );
    ProjectUnavailable {
        reason: Reason::NamespaceUnreadable,
        message,
        needs_user: true,
    }
}
