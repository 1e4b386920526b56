//! `DesktopDeletion`: one batch of desktops to delete, and what became of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AttemptID, DesktopID, JobID, ProjectID, Region};

#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "cloud-desktops.dev",
    version = "v1alpha1",
    kind = "DesktopDeletion",
    plural = "desktopdeletions",
    shortname = "dd",
    category = "cloud-desktops",
    namespaced,
    status = "DesktopDeletionStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
/// What to delete, and how.
pub struct DesktopDeletionSpec {
    pub project_ref: ProjectRef,
    #[serde(rename = "desktopIDs")]
    pub desktop_ids: Vec<DesktopID>,
    #[serde(default)]
    pub delete_users: bool,
    #[serde(default = "yes")]
    pub email_notification: bool,
    #[serde(default)]
    pub force: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    #[serde(default)]
    pub suspend: bool,
}

fn yes() -> bool {
    true
}

/// Reference to a `WorkspaceProject` of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ProjectRef {
    pub name: String,
}

/// What the operator knows of the request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DesktopDeletionStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectCoordinates>,
    #[serde(default, rename = "jobID", skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobID>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    #[serde(default)]
    pub refused_attempts: i32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub desktops: Vec<DesktopStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<CloudError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_resolve: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

/// Where the request lives in the cloud, fixed at its first admission.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCoordinates {
    pub region: Region,
    #[serde(rename = "projectID")]
    pub project_id: ProjectID,
    pub endpoint: String,
}

/// One entry of the write-ahead log: an intent to send one batch-delete, stored before it is sent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub id: AttemptID,
    pub writer: String,
    pub auth: AuthMethod,
    #[serde(rename = "desktopIDs")]
    pub desktop_ids: Vec<DesktopID>,
    #[serde(default, rename = "baselineJobIDs", skip_serializing_if = "Vec::is_empty")]
    pub baseline_job_ids: Vec<JobID>,
    #[serde(default, rename = "baselineFailedIDs", skip_serializing_if = "Vec::is_empty")]
    pub baseline_failed_ids: Vec<DesktopID>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline_incomplete: bool,
    pub body_digest: String,
    pub signed_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    pub outcome: Outcome,
    #[serde(default, rename = "jobIDs", skip_serializing_if = "Vec::is_empty")]
    pub job_ids: Vec<JobID>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CloudError>,
}

/// How the request of an attempt proved who it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// An AK/SK signature, which the gateway refuses 15 minutes after it was made.
    Signature,
    /// An `X-Auth-Token`, good until the token expires.
    Token,
}

/// What became of an attempt.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No byte of the request left the operator.
    NotSent,
    /// The cloud refused it and did nothing.
    Rejected,
    /// The cloud answered 202 with a job.
    Accepted,
    /// The answer was lost; the job was found afterwards.
    Adopted,
    /// The answer was lost; it is proven that the request had no effect.
    NoEffect,
    /// A person gave the attempt up.
    Abandoned,
    /// The request may be on its way, or its answer was lost. (An unknown word from a newer version reads as this.)
    #[serde(other)]
    Pending,
}

/// One desktop of the request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DesktopStatus {
    pub id: DesktopID,
    pub state: DesktopState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// State of one desktop, as far as this request is concerned.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DesktopState {
    /// Not submitted.
    Pending,
    /// It did not exist before anything was submitted.
    Absent,
    /// Submitted; its deletion is running.
    Deleting,
    /// Gone.
    Deleted,
    /// It is still there and nothing deletes it any more.
    Failed,
    /// What became of it could not be found out.
    Unknown,
}

/// Number of desktops in each state; the states add up to `total`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub total: i32,
    pub absent: i32,
    pub deleted: i32,
    pub deleting: i32,
    pub failed: i32,
    pub pending: i32,
    pub unknown: i32,
}

/// An error answer of the cloud, or the failure to get one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CloudError {
    pub time: Time,
    pub operation: String,
    pub class: String,
    #[serde(default, rename = "httpStatus", skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, rename = "requestID", skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_authorization_message: Option<String>,
}
