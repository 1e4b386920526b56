//! `WorkspaceProject`: one Huawei Cloud project and its credentials.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::conditions::{self, ConditionType};
use super::{limits, rules, schema};
use crate::ids::{ProjectID, Region};

mod daily_usage;

pub use daily_usage::{DailyUsage, Reservation, SubmittedDesktops};

const INSTEAD: &str = "create a new WorkspaceProject instead";

/// A project of the cloud and the credentials to access it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "cloud-desktops.dev",
    version = "v1alpha1",
    kind = "WorkspaceProject",
    plural = "workspaceprojects",
    shortname = "wsp",
    category = "cloud-desktops",
    namespaced,
    status = "WorkspaceProjectStatus",
    derive = "PartialEq",
    doc = "A project of Huawei Cloud Workspace and the credentials to access it. DesktopDeletions of the same namespace \
           refer to it by name. Deleting it deletes nothing in the cloud; unfinished requests wait until it exists again.",
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectID"),
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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::immutable_optional("endpoint", INSTEAD),
    validation = rules::immutable_optional("iamEndpoint", INSTEAD),
    validation = rules::forbidden(
        "!has(self.credentials.password) || !has(self.endpoint) || has(self.iamEndpoint)",
        "a password requires iamEndpoint if endpoint is set, so that it is not sent to the identity service of another cloud; create a new WorkspaceProject with both"
    )
)]
pub struct WorkspaceProjectSpec {
    /// Region of the project, such as ap-southeast-1. For a region that the operator does not know, `endpoint` must
    /// be set as well. Immutable.
    #[schemars(length(max = 63), regex(pattern = REGION))]
    #[x_kube(validation = rules::immutable("region", INSTEAD))]
    pub region: Region,

    /// ID of the project: 32 hexadecimal digits, shown in the console under My Credentials. An account has a
    /// different project ID in each region. Immutable.
    #[serde(rename = "projectID")]
    #[x_kube(validation = rules::immutable("projectID", INSTEAD))]
    pub project_id: ProjectID,

    /// URL of the Workspace service (https, without a path), for private and sovereign clouds. The host must match
    /// the operator's allow-list (`--allowed-endpoints`). Default: `https://workspace.{region}.myhuaweicloud.com`.
    /// Immutable, including whether it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::ENDPOINT), regex(pattern = rules::ENDPOINT))]
    #[x_kube(validation = rules::port())]
    pub endpoint: Option<String>,

    /// URL of the identity service (IAM), https, without a path, in the same form as `endpoint`. The operator logs in
    /// there with a password, and reads the expiry time of a token there. Default: `https://iam.{region}.myhuaweicloud.com`
    /// (for eu-west-101, `https://iam.eu-west-101.myhuaweicloud.eu`) if `endpoint` is not set. If `endpoint` is set, there
    /// is no default, so that credentials are never sent to another cloud. Immutable, including whether it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::ENDPOINT), regex(pattern = rules::ENDPOINT))]
    #[x_kube(validation = rules::port())]
    pub iam_endpoint: Option<String>,

    /// PEM bundle of the certificate authorities of the project's hosts, at most 64 KiB, for private clouds. It
    /// replaces the system's authorities for this project. The certificates are public, so no Secret is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::CA_BUNDLE), regex(pattern = CERTIFICATE))]
    #[x_kube(validation = rules::forbidden(
        "!self.contains('PRIVATE KEY')",
        "caBundle contains a private key; set certificates only, and replace that key, since it was sent in plain text"
    ))]
    pub ca_bundle: Option<String>,

    /// Source of the credentials: exactly one of the fields below.
    pub credentials: Credentials,

    /// Whether to suspend the project: while it is true, no request of this project is submitted. The operator still follows
    /// jobs that are running in the cloud. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// Limits set by the owner of the credentials, which requests cannot override. Without it there are no limits. It can be
    /// changed at any time and is evaluated right before each submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Guardrails")]
    pub guardrails: Option<Guardrails>,
}

impl WorkspaceProject {
    /// The condition of this type, unless it is about an earlier generation.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        let condition = conditions::find(&self.status.as_ref()?.conditions, kind);
        condition.filter(|c| c.observed_generation == self.metadata.generation)
    }
}

/// What the owner of the credentials permits.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.approvalAbove) || self.approval == 'Required'")
        .message("approvalAbove requires approval: Required")
        .field_path(".approvalAbove")
)]
pub struct Guardrails {
    /// Whether a request is submitted only after its plan was approved (`spec.approvedPlan` of the `DesktopDeletion`):
    /// `None` or `Required`. Default: None.
    #[serde(default)]
    pub approval: Approval,

    /// The approval is required only for requests with more desktops than this. Splitting a list into several requests
    /// bypasses it. Default: required for every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = limits::DESKTOPS - 1))]
    pub approval_above: Option<u32>,

    /// Maximum number of desktops per request. Splitting a list into several requests bypasses it. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = limits::DESKTOPS))]
    pub max_desktops_per_request: Option<u32>,

    /// Maximum number of desktops that are submitted within 24 hours, by all requests of this project. A request with
    /// more desktops than this is not submitted unless the limit is raised. Counting begins when the limit is set;
    /// another `WorkspaceProject` with the same credentials, or this one after it was deleted and created again, has
    /// its own count. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = limits::DESKTOPS_PER_DAY))]
    pub max_desktops_per_day: Option<u32>,

    /// Whether requests may set `force`. Default: true.
    #[serde(default = "allowed")]
    pub allow_force: bool,

    /// Whether requests may set `deleteUsers`. Default: true.
    #[serde(default = "allowed")]
    pub allow_delete_users: bool,

    /// Every desktop must have all of these tags; otherwise it blocks its request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::GUARDRAIL_TAGS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub required_tags: Vec<Tag>,

    /// A desktop with any of these tags blocks its request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::GUARDRAIL_TAGS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub protected_tags: Vec<Tag>,

    /// Patterns for computer names of desktops that must not be deleted, ignoring case: `*` matches any number of
    /// characters, `?` matches one. A desktop with a matching name blocks its request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::GUARDRAIL_NAMES), inner(length(min = 1, max = limits::DESKTOP_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub protected_names: Vec<String>,

    /// Whether desktops of a desktop pool may be deleted: `Allow` or `Refuse`. Default: Allow.
    #[serde(default)]
    pub pooled_desktops: Permission,

    /// Whether prepaid desktops (yearly/monthly billing) may be deleted: `Allow` or `Refuse`. `Refuse` needs the permission
    /// `workspace:desktops:listDetail`. Default: Refuse.
    #[serde(default = "refused")]
    pub prepaid_desktops: Permission,

    /// Whether desktops that a user is connected to may be deleted: `Allow` or `Refuse`. A user who connects after the last
    /// read is not protected. `Refuse` needs the permission `workspace:desktops:listDetail`. Default: Allow.
    #[serde(default)]
    pub connected_sessions: Permission,

    /// Whether a desktop must be in maintenance mode before it is deleted. Default: false.
    #[serde(default)]
    pub require_maintenance: bool,

    /// Time windows for submissions. A window must be open by both the operator's clock and that of the service. Running
    /// jobs continue after it closes. Default: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::GUARDRAIL_WINDOWS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub windows: Vec<SubmissionWindow>,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            approval: Approval::None,
            approval_above: None,
            max_desktops_per_request: None,
            max_desktops_per_day: None,
            allow_force: true,
            allow_delete_users: true,
            required_tags: vec![],
            protected_tags: vec![],
            protected_names: vec![],
            pooled_desktops: Permission::Allow,
            prepaid_desktops: Permission::Refuse,
            connected_sessions: Permission::Allow,
            require_maintenance: false,
            windows: vec![],
        }
    }
}

fn allowed() -> bool {
    true
}

fn refused() -> Permission {
    Permission::Refuse
}

/// A tag of a desktop.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tag {
    /// Key of the tag, case-sensitive.
    #[schemars(length(min = 1, max = limits::TAG_KEY))]
    pub key: String,

    /// Value of the tag, case-sensitive. Default: any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::TAG_VALUE))]
    pub value: Option<String>,
}

/// Hours in which requests may be submitted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionWindow {
    /// Days on which the window begins. Default: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub days: Vec<Weekday>,

    /// Time of day at which the window begins, such as 22:00.
    #[schemars(length(max = 5), regex(pattern = TIME_OF_DAY))]
    pub from: String,

    /// Time of day at which the window ends, such as 06:00. If it is not after `from`, the window ends on the next day.
    #[schemars(length(max = 5), regex(pattern = TIME_OF_DAY))]
    pub to: String,

    /// Name of the time zone of `from` and `to` in the IANA database, such as Europe/Berlin or UTC.
    #[schemars(length(min = 1, max = limits::TIME_ZONE))]
    pub time_zone: String,
}

const TIME_OF_DAY: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

/// A day of the week.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the days of the week
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// Whether it is that day.
    pub fn is(self, day: jiff::civil::Weekday) -> bool {
        self as i8 == day.to_monday_zero_offset()
    }
}

/// Whether something may be deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    #[default]
    Allow,
    /// It may not.
    Refuse,
}

/// Whether requests need an approval.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// No approval is needed; a request may still name the plan that it approves.
    #[default]
    None,
    /// A request is submitted only after its plan was approved.
    Required,
}

/// A label of a host name.
const REGION: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----";

/// Exactly one source of credentials.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.accessKey), has(self.token), has(self.password)].exists_one(set, set)")
    .message("credentials requires exactly one source: set one of accessKey, token and password"))]
pub struct Credentials {
    /// An access key of an IAM user: the operator signs its calls with it. Keys of the Secret: accessKey, secretKey,
    /// and securityToken if the access key is a temporary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretSource")]
    pub access_key: Option<SecretSource>,

    /// A token that is obtained and renewed outside of the operator, sent as X-Auth-Token. Key of the Secret: token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretSource")]
    pub token: Option<SecretSource>,

    /// An IAM user and its password: the operator obtains a token from IAM, exchanges it for a temporary access key,
    /// and signs its calls with that; if IAM rejects the exchange, it sends the token. Keys of the Secret: domainName
    /// (the account's name), userName, password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretSource")]
    pub password: Option<SecretSource>,
}

/// Where the credentials are stored.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// The Secret, in the namespace of this object. Changes take effect within 30 seconds while the
    /// project or a request waits for it.
    pub secret_ref: SecretRef,
}

/// Reference to a Secret of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = limits::OBJECT_NAME), regex(pattern = rules::OBJECT_NAME))]
    pub name: String,
}

/// Observed state of the project. Written by the operator only.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
// The default of a new object shows that it was not processed yet, so that no tool considers it ready.
#[schemars(extend("default" = json!({"observedGeneration": -1})))]
pub struct WorkspaceProjectStatus {
    /// The `metadata.generation` last observed by the operator. -1 means that the operator has not observed the
    /// object yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = -1))]
    pub observed_generation: Option<i64>,

    /// Conditions of the project. `Ready` is True when the credentials were verified with a read-only request;
    /// otherwise its reason and message state the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<schema::ConditionSchema>", length(max = limits::CONDITIONS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Desktops that count against `spec.guardrails.maxDesktopsPerDay`. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DailyUsage")]
    pub daily_usage: Option<DailyUsage>,
}
