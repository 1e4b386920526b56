//! What counts against `maxDesktopsPerDay`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{limits, rules};
use crate::ids::AttemptID;

/// What counts against `spec.guardrails.maxDesktopsPerDay`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DailyUsage {
    /// Submitted desktops, grouped by the time until which they count, in steps of 15 minutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::USAGE_INTERVALS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub submitted: Vec<SubmittedDesktops>,

    /// Desktops of submissions that are about to be made, or whose outcome is not known yet. They count in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::RESERVATIONS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub reservations: Vec<Reservation>,
}

/// Desktops that count until the same time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SubmittedDesktops {
    /// Time until which these desktops count: 24 hours after the end of the 15-minute interval in which they were submitted.
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub counts_until: Time,

    /// Number of desktops.
    #[schemars(range(min = 0))]
    pub desktops: i32,
}

/// Desktops of one submission, reserved before it is signed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// ID of the attempt that the submission will have in `status.attempts` of the request.
    #[serde(rename = "attemptID")]
    pub attempt_id: AttemptID,

    /// Name of the `DesktopDeletion`, in the namespace of the project.
    #[schemars(length(max = limits::OBJECT_NAME))]
    pub request: String,

    /// `metadata.uid` of the request.
    #[schemars(length(max = limits::UID))]
    pub uid: String,

    /// `metadata.resourceVersion` of the request when the desktops were reserved. The attempt can be stored only while the
    /// request still has this version.
    #[schemars(length(max = limits::RESOURCE_VERSION))]
    pub resource_version: String,

    /// Number of desktops.
    #[schemars(range(min = 1))]
    pub desktops: i32,

    /// When the desktops were reserved.
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub reserved_at: Time,
}

impl DailyUsage {
    /// Number of desktops.
    pub fn desktops(&self) -> u32 {
        let submitted = self.submitted.iter().map(|interval| interval.desktops);
        let reserved = self.reservations.iter().map(|reservation| reservation.desktops);
        let counts = submitted
            .chain(reserved)
            .map(|count| u32::try_from(count).unwrap_or(0));
        counts.fold(0, u32::saturating_add)
    }

    /// Nothing counts.
    pub fn is_empty(&self) -> bool {
        self.submitted.is_empty() && self.reservations.is_empty()
    }
}
