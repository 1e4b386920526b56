//! What the documents of the cloud leave open, as switches with a documented default.

use serde::{Deserialize, Serialize};

use super::{FieldOverride, Span};

/// Every behaviour that the vendor's documentation does not specify, or that differs by region or version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the world file"
)]
pub struct Switches {
    /// A batch names a desktop that does not exist. Default: `refuse`.
    pub unknown_desktop: UnknownDesktop,

    /// A batch names a desktop that is being deleted already. Default: `conflict`.
    pub repeated_desktop: RepeatedDesktop,

    /// A batch names one desktop twice. Default: `refuse`.
    pub duplicate_ids: DuplicateIds,

    /// A batch names a desktop that runs a task, is in maintenance or frozen. Default: `conflict`.
    pub busy_desktop: RestrictedDesktop,

    /// A batch names a prepaid desktop. Default: `refuse`.
    pub prepaid_desktop: RestrictedDesktop,

    /// A batch without `is_force_delete` names a desktop that a user is connected to. Default: `delete`.
    pub connected_desktop: RestrictedDesktop,

    /// The caller may delete some desktops of the batch, but not all. Default: `refuse`.
    pub mixed_authorization: MixedAuthorization,

    /// How a deleted desktop reads. Default: `notFound`.
    pub deleted_desktop: DeletedDesktop,

    /// The lists still hold desktops that read `DELETED`. Default: false.
    pub lists_show_deleted: bool,

    /// How the status late in a deletion reads. Default: `empty`.
    pub empty_status: EmptyStatus,

    /// How a desktop reads whose deletion failed. Default: `idle`.
    pub failed_desktop: FailedDesktop,

    /// One desktop is returned as an array of one element. Default: false.
    pub desktop_as_array: bool,

    /// The lists ignore the filter `desktop_id`, as older regions may. Default: false.
    pub ignore_desktop_filter: bool,

    /// Statuses of desktops are in lower case. Default: false.
    pub lower_case_status: bool,

    /// Fields with overridden values for every desktop. Default: none.
    pub fields: Vec<FieldOverride>,

    /// The status of a parent job that succeeded, `SUCCESS` or `COMPLETE`. Default: `SUCCESS`.
    pub parent_success: String,

    /// The status of a parent job that failed, `FAIL` or `FAILED`. Default: `FAIL`.
    pub parent_failure: String,

    /// The status of a parent job of which some sub-jobs failed; empty for the value of `parentFailure`. Default:
    /// empty.
    pub parent_partial: String,

    /// Sub-jobs carry `begin_time` and `end_time`. Default: true.
    pub job_times: bool,

    /// Sub-jobs are listed with the newest job first. Default: true.
    pub newest_job_first: bool,

    /// Every call of Workspace must carry `Content-Type: application/json`. Default: true.
    pub require_content_type: bool,

    /// The prefix of the gateway's codes, `APIGW` or `APIG`. Default: `APIGW`.
    pub gateway_prefix: String,

    /// An error response for missing permissions contains `encoded_authorization_message`. Default: false.
    pub encoded_authorization_message: bool,

    /// The service is disabled for the tenant: 403 `WKS.00010099` on every call. Default: false.
    pub service_disabled: bool,

    /// Failures in a row after which the next one locks the access key. Default: 5.
    pub failures_before_lock: u32,

    /// IAM exchanges a token for a temporary access key. Default: true.
    pub token_exchange: bool,

    /// How many calls a minute each caller may make. Default: no limit.
    pub throttle: Throttle,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            unknown_desktop: UnknownDesktop::default(),
            repeated_desktop: RepeatedDesktop::default(),
            duplicate_ids: DuplicateIds::default(),
            busy_desktop: RestrictedDesktop::Conflict,
            prepaid_desktop: RestrictedDesktop::Refuse,
            connected_desktop: RestrictedDesktop::Delete,
            mixed_authorization: MixedAuthorization::default(),
            deleted_desktop: DeletedDesktop::default(),
            lists_show_deleted: false,
            empty_status: EmptyStatus::default(),
            failed_desktop: FailedDesktop::default(),
            desktop_as_array: false,
            ignore_desktop_filter: false,
            lower_case_status: false,
            fields: Vec::new(),
            parent_success: "SUCCESS".to_owned(),
            parent_failure: "FAIL".to_owned(),
            parent_partial: String::new(),
            job_times: true,
            newest_job_first: true,
            require_content_type: true,
            gateway_prefix: "APIGW".to_owned(),
            encoded_authorization_message: false,
            service_disabled: false,
            failures_before_lock: 5,
            token_exchange: true,
            throttle: Throttle::default(),
        }
    }
}

/// What a batch does about a desktop that does not exist, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownDesktop {
    /// The whole call is rejected with 404.
    #[default]
    Refuse,
    /// The desktop is left out of the job; 404 only when none is left.
    Skip,
    /// The desktop gets a sub-job that fails.
    Fail,
}

/// What a batch does about a desktop that is being deleted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RepeatedDesktop {
    /// The whole call is rejected with 409 `WKS.00010032`.
    #[default]
    Conflict,
    /// A second job whose sub-job ends like the first.
    Accept,
    /// A second job whose sub-job fails.
    Fail,
    /// The whole call is rejected with 404.
    NotFound,
}

/// What a batch does about a desktop that is named twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DuplicateIds {
    /// The whole call is rejected with 400.
    #[default]
    Refuse,
    /// The desktop gets one sub-job.
    Merge,
    /// The desktop gets as many sub-jobs as it is named.
    Repeat,
}

/// What a batch does about a desktop in a special condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RestrictedDesktop {
    /// It is deleted like any other.
    Delete,
    /// The whole call is rejected with 409 `WKS.00010032`.
    Conflict,
    /// The whole call is rejected with 400.
    Refuse,
    /// The desktop gets a sub-job that fails; the desktop stays as it is.
    Fail,
}

/// What a batch does when the caller may delete only some of its desktops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MixedAuthorization {
    /// The whole call is rejected with 403.
    #[default]
    Refuse,
    /// The others get a sub-job that fails.
    Fail,
}

/// How a deleted desktop reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeletedDesktop {
    /// HTTP 404.
    #[default]
    NotFound,
    /// HTTP 200 with `status` `DELETED`, an empty `task_status` and `attach_state` `DEATTACHED`.
    Deleted,
}

/// How the status of a desktop late in its deletion reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyStatus {
    /// An empty text.
    #[default]
    Empty,
    /// JSON null.
    Null,
}

/// How a desktop reads whose deletion failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FailedDesktop {
    /// As before the deletion, with no task.
    #[default]
    Idle,
    /// With `task_status` `deleteFailed`.
    DeleteFailed,
}

/// How many calls a minute each caller may make; further calls are rejected with 429.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttle {
    /// Calls of each writing operation. Default: no limit.
    pub writes_per_minute: Option<u32>,

    /// Calls of each reading operation. Default: no limit.
    pub reads_per_minute: Option<u32>,

    /// The value of `Retry-After`, rounded up to seconds. Default: the header is absent.
    pub retry_after: Option<Span>,
}
