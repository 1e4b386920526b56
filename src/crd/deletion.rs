//! `DesktopDeletion`: one batch of desktops to delete, and what became of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{limits, rules};
use crate::ids::DesktopID;

mod attempt;
mod status;

pub use attempt::{Attempt, AuthMethod, Outcome};
pub use status::{
    CloudError, DesktopDeletionStatus, DesktopState, DesktopStatus, ProjectCoordinates, Summary,
};

const INSTEAD: &str = "create a new DesktopDeletion instead";

/// What to delete, and how. Everything but `suspend` is immutable: a new wish is a new object.
///
/// A client without strict validation drops a field that it does not know, such as `email_notification`, in
/// silence, and the default holds. `kubectl apply` refuses it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "cloud-desktops.dev",
    version = "v1alpha1",
    kind = "DesktopDeletion",
    plural = "desktopdeletions",
    shortname = "ddel",
    category = "cloud-desktops",
    namespaced,
    status = "DesktopDeletionStatus",
    derive = "PartialEq",
    doc = "A batch of cloud desktops to delete, once and for ever. The operator submits the batch to Huawei Cloud \
           Workspace at most once, follows the job, looks whether the desktops are gone, and says in conditions what \
           became of it. Deleting this object deletes nothing in the cloud, and does not take back what was submitted.",
    validation = rules::forbidden(
        BODY_IS_ADMITTED,
        "an attempt can only name desktops that spec.desktopIDs names, in the same spelling"
    )
    .field_path(".status.attempts"),
    validation = rules::forbidden(
        EVERY_DESKTOP_IS_LISTED,
        "status.desktops lists the desktops of spec.desktopIDs, each one of them and no other, in the same spelling"
    )
    .field_path(".status.desktops"),
    selectable = ".spec.projectRef.name",
    selectable = ".status.jobID",
    selectable = ".status.completionTime",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectRef.name"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.summary.total"),
    printcolumn(name = "Deleted", type_ = "integer", json_path = ".status.summary.deleted"),
    printcolumn(name = "Absent", type_ = "integer", json_path = ".status.summary.absent"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.summary.failed"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Job", type_ = "string", json_path = ".status.jobID", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable_optional("notAfter", INSTEAD))]
pub struct DesktopDeletionSpec {
    /// The `WorkspaceProject` that the desktops belong to, in the namespace of this object. Required, so that a
    /// copied manifest cannot hit another project. Immutable.
    #[x_kube(validation = rules::immutable("projectRef", INSTEAD))]
    pub project_ref: ProjectRef,

    /// The desktops to delete, by their IDs (not their names): 1 to 100, the most that the cloud takes in one call.
    /// No ID twice, also not in different case. A desktop that does not exist any more is reported as `Absent` and
    /// does not hinder the others. Immutable, the order included.
    #[serde(rename = "desktopIDs")]
    #[schemars(length(min = 1, max = limits::DESKTOPS))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rules::immutable("desktopIDs", INSTEAD),
        validation = Rule::new("self.all(x, self.exists_one(y, y.lowerAscii() == x.lowerAscii()))")
            .message("desktopIDs names a desktop twice (upper and lower case are the same desktop); list each one once")
    )]
    pub desktop_ids: Vec<DesktopID>,

    /// Whether the users of the desktops are deleted too, each if no other desktop is left to that user
    /// (`delete_users` of the cloud; accounts in an Active Directory stay). Default: false. Immutable.
    #[serde(default)]
    #[x_kube(validation = rules::immutable("deleteUsers", INSTEAD))]
    pub delete_users: bool,

    /// Whether the cloud mails the users that their desktops were deleted (`email_notification` of the cloud).
    /// Default: true, so users get mail unless this says false. Immutable.
    #[serde(default = "yes")]
    #[x_kube(validation = rules::immutable("emailNotification", INSTEAD))]
    pub email_notification: bool,

    /// Whether desktops are deleted although they run: they are force-stopped first, and unsaved work of people who
    /// are connected is lost (`is_force_delete` of the cloud). Default: false. Immutable.
    #[serde(default)]
    #[x_kube(validation = rules::immutable("force", INSTEAD))]
    pub force: bool,

    /// The deadline: a batch that was not submitted by then never is, and the request ends with reason `Expired`, so
    /// that an old request does not fire months later when somebody repairs a permission. What was submitted before
    /// goes on. A time by RFC 3339 with its zone, such as 2026-12-05T00:00:00Z. Default: 7 days after the creation
    /// of the object (`--request-deadline` of the operator). Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::readable_time())]
    pub not_after: Option<Time>,

    /// Holds the batch back while it is true; the deadline runs on. Once the batch was submitted it is too late: the
    /// cloud cannot be stopped, and the message of condition `Submitted` says so. It has no effect on a finished request.
    /// Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// An edit of the desktops is refused by a rule of its own, whose sentence is then the only one.
/// Only the open attempt is looked at, which keeps the rule cheap: every attempt begins as Pending, and its body never
/// changes.
const BODY_IS_ADMITTED: &str = "!has(self.status) || !has(self.status.attempts) \
    || self.spec.desktopIDs != oldSelf.spec.desktopIDs \
    || self.status.attempts.all(a, a.outcome != 'Pending' || a.desktopIDs.all(id, id in self.spec.desktopIDs))";

const EVERY_DESKTOP_IS_LISTED: &str = "!has(self.status) || !has(self.status.desktops) \
    || self.spec.desktopIDs != oldSelf.spec.desktopIDs \
    || (self.status.desktops.size() == self.spec.desktopIDs.size() \
    && self.status.desktops.all(d, d.id in self.spec.desktopIDs))";

fn yes() -> bool {
    true
}

/// Reference to a `WorkspaceProject` of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ProjectRef {
    /// Name of the `WorkspaceProject`. It may be created after this object; until then the request waits.
    #[schemars(length(min = 1, max = limits::OBJECT_NAME), regex(pattern = rules::OBJECT_NAME))]
    pub name: String,
}
