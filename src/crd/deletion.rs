//! `DesktopDeletion`: one batch of desktops to delete, and its result.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{limits, rules};
use crate::ids::DesktopID;

mod attempt;
mod error;
mod expected;
mod planned;
mod status;

pub use attempt::{Attempt, AuthMethod, Outcome};
pub use error::{CloudError, ErrorClass};
pub use expected::Expectation;
pub use planned::{ApprovedDesktop, ApprovedPlan, MissingFact, Plan};
pub use status::{DesktopDeletionStatus, DesktopState, DesktopStatus, ProjectCoordinates, Summary};

const INSTEAD: &str = "create a new DesktopDeletion instead";

/// What to delete, and how. Every field except `suspend` and `approvedPlan` is immutable: to change a request, create a new
/// object.
///
/// If a client does not request strict field validation, the API server silently drops unknown fields, such as
/// `email_notification`, and the default applies instead. `kubectl apply` requests it, so unknown fields are rejected.
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
    doc = "A batch of cloud desktops to delete. The operator submits the batch to Huawei Cloud Workspace, follows the \
           job, verifies that the desktops are gone, and reports the result in conditions. It never submits the batch \
           again while an earlier delete request may take effect. A deletion cannot be undone. Deleting this object \
           deletes nothing in the cloud and does not recall a submitted request.",
    validation = rules::forbidden(
        BODY_IS_ADMITTED,
        "an attempt can only name desktops that spec.desktopIDs names, in the same spelling"
    )
    .field_path(".status.attempts"),
    validation = rules::forbidden(
        EVERY_DESKTOP_IS_LISTED,
        "status.desktops must list exactly the desktops of spec.desktopIDs, in the same spelling"
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
    printcolumn(
        name = "Planned",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Planned\")].reason",
        priority = "1"
    ),
    printcolumn(
        name = "Approved",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Approved\")].reason",
        priority = "1"
    ),
    printcolumn(name = "Job", type_ = "string", json_path = ".status.jobID", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::immutable_optional("expected", INSTEAD),
    validation = Rule::new(EXPECTED_IS_REQUESTED)
        .message("expected can only name desktops of desktopIDs, in the same spelling")
        .field_path(".expected"),
    validation = rules::immutable_optional("notBefore", INSTEAD),
    validation = rules::immutable_optional("notAfter", INSTEAD),
    validation = Rule::new(IN_ORDER)
        .message("notBefore must be earlier than notAfter")
        .field_path(".notBefore")
)]
pub struct DesktopDeletionSpec {
    /// The `WorkspaceProject` that the desktops belong to, in the namespace of this object. Required, so that a
    /// copied manifest cannot affect another project. Immutable.
    #[x_kube(validation = rules::immutable("projectRef", INSTEAD))]
    pub project_ref: ProjectRef,

    /// IDs (not computer names) of the desktops to delete: 1 to 100, the limit of the cloud API for one call. IDs
    /// must be unique, ignoring case. A desktop that no longer exists is reported as `Absent` and does not affect the
    /// others. Immutable, including the order.
    #[serde(rename = "desktopIDs")]
    #[schemars(length(min = 1, max = limits::DESKTOPS))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rules::immutable("desktopIDs", INSTEAD),
        validation = Rule::new("self.all(x, self.exists_one(y, y.lowerAscii() == x.lowerAscii()))")
            .message("desktopIDs must be unique, ignoring case; remove the duplicates")
    )]
    pub desktop_ids: Vec<DesktopID>,

    /// Expected computer names and users of the desktops, checked right before the submission. If an existing desktop has
    /// another computer name or user, nothing is submitted and the request waits with reason `ExpectationFailed`. Protects
    /// against wrong IDs. Optional, for all of `desktopIDs` or some of them. Immutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::DESKTOPS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub expected: Vec<Expectation>,

    /// Whether to also delete users who have no other desktop left (`delete_users` of the cloud API; Active Directory
    /// accounts are kept). Default: false. Immutable.
    #[serde(default)]
    #[x_kube(validation = rules::immutable("deleteUsers", INSTEAD))]
    pub delete_users: bool,

    /// Whether the cloud notifies users by email that their desktops were deleted (`email_notification` of the cloud
    /// API). Default: true. Immutable.
    #[serde(default = "yes")]
    #[x_kube(validation = rules::immutable("emailNotification", INSTEAD))]
    pub email_notification: bool,

    /// Whether to delete running desktops: they are stopped by force first, and connected users lose unsaved work
    /// (`is_force_delete` of the cloud API). Default: false. Immutable.
    #[serde(default)]
    #[x_kube(validation = rules::immutable("force", INSTEAD))]
    pub force: bool,

    /// Earliest time of the submission, such as the last day of an employee. Until then the request waits with reason
    /// `Scheduled`, and reserves no desktop. An RFC 3339 time with a time zone, such as 2026-12-01T18:00:00Z, earlier than
    /// `notAfter`. Default: as soon as possible. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::readable_time("notBefore to submit as soon as possible"))]
    pub not_before: Option<Time>,

    /// Deadline for the submission: a request that has not been submitted by then is never submitted and ends with
    /// reason `Expired`, so that an old request does not run months later when a missing permission is granted. A
    /// submitted request continues. An RFC 3339 time with a time zone, such as 2026-12-05T00:00:00Z. Default: 7 days
    /// after the creation of the object, or after `notBefore` (`--request-deadline` of the operator). Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::readable_time("notAfter to use the default deadline"))]
    pub not_after: Option<Time>,

    /// Whether to suspend the request: while it is true, nothing is submitted, and `status.plan` and `status.desktops` show
    /// what the request would do. The deadline still applies. A request that has been submitted cannot be stopped; the
    /// message of condition `Submitted` then states that `suspend` has no effect. Has no effect on a finished request.
    /// Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// The approved plan: the value of `status.plan.hash`, sha256: and 64 hexadecimal digits. If it is set, only this plan
    /// is submitted: if its desktops have changed since the approval, nothing is submitted (`PlanChanged`). It may be set,
    /// changed and removed at any time, which does not affect a request that has been submitted. Required if the guardrails
    /// of the `WorkspaceProject` require an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DIGEST), regex(pattern = rules::DIGEST))]
    pub approved_plan: Option<String>,
}

/// An edit of the desktops is rejected by a separate rule.
const EXPECTED_IS_REQUESTED: &str = "!has(self.expected) || self.expected.all(e, e.id in self.desktopIDs)";

const IN_ORDER: &str = "!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter";

/// An edit of the desktops is rejected by a separate rule, whose message is then the only one. Only the open attempt is
/// checked, which keeps the rule cheap: every attempt begins as Pending, and its body never changes.
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
