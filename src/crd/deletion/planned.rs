//! What a request will do, and what was approved of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{limits, rules};
use crate::ids::DesktopID;

/// What the request will do, by the last read of its desktops.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// SHA-256 of the plan, sha256: and 64 hexadecimal digits: the value for `spec.approvedPlan`. It covers the uid of
    /// the request, the project, `deleteUsers`, `emailNotification` and `force`, and for each desktop that exists its
    /// ID, computer name, users and groups, time of creation, and whether it belongs to a desktop pool. The page
    /// docs/approval.md has a script that computes it.
    #[schemars(length(max = limits::DIGEST), regex(pattern = rules::DIGEST))]
    pub hash: String,

    /// Time of the first read that showed this plan.
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub observed_at: Time,

    /// Number of desktops that will be deleted.
    #[schemars(range(min = 0))]
    pub delete: i32,

    /// Number of desktops that do not exist.
    #[schemars(range(min = 0))]
    pub absent: i32,

    /// Number of desktops that cannot be deleted at the moment. One of them blocks the whole request.
    #[schemars(range(min = 0))]
    pub blocked: i32,
}

/// A fact of a desktop that the cloud does not report, or reports in an unknown form.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissingFact {
    /// Its computer name.
    ComputerName,
    /// Any user or group that it is assigned to.
    Users,
    /// Whether it is assigned to others than the one user that is reported.
    AllUsers,
    /// When it was created.
    Created,
    /// A value of a newer version.
    #[serde(other)]
    #[schemars(skip)]
    Other,
}

impl MissingFact {
    /// The fact, as text for users.
    pub fn description(self) -> &'static str {
        match self {
            Self::ComputerName => "the computer name",
            Self::Users => "the users",
            Self::AllUsers => "all users",
            Self::Created => "the creation time",
            Self::Other => "another fact",
        }
    }
}

/// The plan that `spec.approvedPlan` approved, as it was shown then. Kept until `spec.approvedPlan` changes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedPlan {
    /// Hash of the plan.
    #[schemars(length(max = limits::DIGEST), regex(pattern = rules::DIGEST))]
    pub hash: String,

    /// The desktops that may be deleted. If one of them has changed since the approval, nothing is submitted; one that
    /// no longer exists is left out of the submission.
    #[schemars(length(max = limits::DESKTOPS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub desktops: Vec<ApprovedDesktop>,
}

/// A desktop of an approved plan. Facts that the cloud did not report are absent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedDesktop {
    /// ID of the desktop, as the spec spells it.
    pub id: DesktopID,

    /// Computer name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DESKTOP_NAME))]
    pub name: Option<String>,

    /// Users and groups that the desktop is assigned to, separated by commas, for display; may be truncated. Absent with
    /// `--show-users=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DESKTOP_USER))]
    pub users: Option<String>,

    /// SHA-256 of the users and groups, sha256: and 64 hexadecimal digits. The comparison before the submission uses this
    /// hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DIGEST), regex(pattern = rules::DIGEST))]
    pub users_hash: Option<String>,

    /// SHA-256 of the one user that the cloud reported, if it did not list all users and groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DIGEST), regex(pattern = rules::DIGEST))]
    pub user_name_hash: Option<String>,

    /// Whether the desktop belongs to a desktop pool. If it does, its users are not part of the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooled: bool,

    /// When the desktop was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub created: Option<Time>,
}
