//! The status of a `DesktopDeletion`, and the rules that the API server enforces on it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ApprovedPlan, Attempt, CloudError, MissingFact, Plan};
use crate::crd::{limits, rules, schema};
use crate::ids::{DesktopID, JobID, ProjectID, ProjectKey, Region};

/// Observed state of the request. Written by the operator only.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
// The default of a new object shows that it was not processed yet, so that no tool considers it ready. The default also
// replaces a status that is removed, so that the rules below run and reject the removal.
#[schemars(extend("default" = json!({"observedGeneration": -1})))]
#[x_kube(
    validation = rules::write_once_stays("project"),
    validation = rules::write_once_stays("jobID"),
    validation = rules::write_once_stays("completionTime"),
    validation = rules::write_once_stays("startTime"),
    validation = rules::never_falls("refusedAttempts"),
    validation = rules::forbidden(
        &finished_is_immutable(),
        "the request is finished: its status cannot change, except for jobs that are found late and the observed generation"
    ),
    validation = rules::forbidden(
        SUCCESS_MEANS_GONE,
        "condition Succeeded is True only if every desktop is Deleted or Absent"
    )
    .field_path(".conditions"),
    validation = rules::forbidden(
        FINISHED_MEANS_STILL,
        "completionTime cannot be set while a desktop is Deleting"
    )
    .field_path(".completionTime"),
    validation = rules::forbidden(
        &summary_counts(),
        "summary must match status.desktops"
    )
    .field_path(".summary"),
    validation = rules::forbidden(FIRST_ATTEMPT, A_NEW_ATTEMPT).field_path(".attempts"),
    validation = rules::forbidden(
        APPROVED_WAS_SHOWN,
        "approved can only be the plan that status.plan showed"
    )
    .field_path(".approved"),
    validation = rules::forbidden(
        ATTEMPT_IS_APPROVED,
        "planHash of a Pending attempt must be status.approved.hash"
    )
    .field_path(".attempts"),
    validation = rules::forbidden(
        SUCCEEDED_IS_FINAL,
        "condition Succeeded is final: its status and reason can neither be changed nor removed"
    )
    .field_path(".conditions"),
    validation = rules::forbidden(
        FINISHED_MEANS_DECIDED,
        "completionTime can be set only if condition Succeeded is True or False and no attempt is Pending"
    )
    .field_path(".completionTime"),
    validation = rules::forbidden(
        "!has(oldSelf.attempts) || has(self.attempts) || oldSelf.attempts.all(a, a.outcome in ['Rejected', 'NotSent'])",
        ATTEMPTS_STAY
    )
    .field_path(".attempts"),
    validation = rules::forbidden(
        &rules::kept("desktops"),
        "desktops cannot be removed"
    )
    .field_path(".desktops")
)]
pub struct DesktopDeletionStatus {
    /// The `metadata.generation` last observed by the operator. -1 means that the operator has not observed the
    /// object yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = -1))]
    pub observed_generation: Option<i64>,

    /// Conditions of the request. `Succeeded` is the final result: Unknown while the request is active, then True or
    /// False; it never changes again. `Submitted` reports whether the delete request took effect. `Ready`
    /// mirrors `Succeeded` for tools that only read `Ready`. `Reconciling` is present only while the operator makes
    /// progress or retries, `Stalled` only while user action is required; its message names the cause and the
    /// remedy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<schema::ConditionSchema>", length(max = limits::CONDITIONS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Location of the desktops, taken from the `WorkspaceProject` and stored with the first attempt, or with the
    /// result if that is `AlreadyAbsent`. Written once: the request is never sent elsewhere, even if the
    /// `WorkspaceProject` is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProjectCoordinates")]
    #[x_kube(validation = rules::write_once("project"))]
    pub project: Option<ProjectCoordinates>,

    /// ID of the cloud job that deletes the desktops. Written once. Absent while nothing has been submitted, or if
    /// the job is unknown (condition `Submitted` with reason `JobUnknown`). If jobs name only some of the desktops, the
    /// first of them is written when the request finishes.
    #[serde(default, rename = "jobID", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobID")]
    #[x_kube(validation = rules::write_once("jobID"))]
    pub job_id: Option<JobID>,

    /// Write-ahead log of the delete requests, at most 8: each entry is stored before its request is sent. Only
    /// attempts that certainly had no effect, `Rejected` and `NotSent`, may be replaced by a later one; all others
    /// are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::ATTEMPTS))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["id".into()]),
        validation = rules::forbidden(
            "oldSelf.all(o, o.outcome in ['Rejected', 'NotSent'] || self.exists(n, n.id == o.id))",
            ATTEMPTS_STAY
        ),
        validation = rules::forbidden(
            "self.filter(a, a.outcome == 'Pending').size() <= 1",
            "at most one attempt may be Pending, because a second delete request could take effect as well"
        ),
        validation = rules::forbidden(
            NEW_ATTEMPT,
            A_NEW_ATTEMPT
        ),
        validation = rules::forbidden(
            ATTEMPTS_IN_ORDER,
            "attempts cannot be reordered, and a new one must be appended"
        )
    )]
    pub attempts: Vec<Attempt>,

    /// Number of attempts that the cloud rejected or the operator could not send, including those whose entries were
    /// replaced. Absent means none.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub refused_attempts: i32,

    /// State of each desktop of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::DESKTOPS))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["id".into()]),
        validation = rules::forbidden(
            "oldSelf.all(o, self.exists(n, n.id == o.id))",
            "entries of status.desktops cannot be removed"
        )
    )]
    pub desktops: Vec<DesktopStatus>,

    /// Number of desktops in each state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Summary")]
    pub summary: Option<Summary>,

    /// What the request will do. Written before the submission only, and only for a request that is suspended, that has
    /// `expected`, `notBefore` or `approvedPlan`, or whose `WorkspaceProject` has guardrails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Plan")]
    pub plan: Option<Plan>,

    /// The approved plan. Only its desktops are submitted, and only if none of them has changed since the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApprovedPlan")]
    pub approved: Option<ApprovedPlan>,

    /// The value of `spec.approvedPlan` that was not accepted as an approval, because no plan with that hash was shown when
    /// the operator observed it. It is not accepted later either, as long as `spec.approvedPlan` is not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DIGEST), regex(pattern = rules::DIGEST))]
    pub refused_plan: Option<String>,

    /// Last error response of the cloud, or the failure to reach it. Cleared when a call succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CloudError")]
    pub last_error: Option<CloudError>,

    /// Last handled value of the annotation `cloud-desktops.dev/resolve`, so that a value that stays in the manifest
    /// is handled once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::HANDLED_RESOLVE))]
    pub last_handled_resolve: Option<String>,

    /// Time when the operator recorded the first attempt, or the result if there was no attempt. Absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time(), validation = rules::write_once("startTime"))]
    pub start_time: Option<Time>,

    /// Time when the request finished, successfully or not; nothing changes afterwards. Written once. Scripts wait
    /// for it with kubectl wait --for=jsonpath='{.status.completionTime}' and then read condition `Succeeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time(), validation = rules::write_once("completionTime"))]
    pub completion_time: Option<Time>,
}

const SUCCEEDED_IS_FINAL: &str = "!has(oldSelf.conditions) \
    || oldSelf.conditions.all(o, o.type != 'Succeeded' || o.status == 'Unknown' \
    || (has(self.conditions) && self.conditions.exists(n, \
    n.type == 'Succeeded' && n.status == o.status && n.reason == o.reason)))";

const FINISHED_MEANS_DECIDED: &str = "!has(self.completionTime) \
    || (has(self.conditions) && self.conditions.exists(c, c.type == 'Succeeded' && c.status != 'Unknown') \
    && (!has(self.attempts) || self.attempts.all(a, a.outcome != 'Pending')))";

/// What may still change in the status of a finished request: the record of a late response may add a job and the
/// annotation that it handles, and an edit of `suspend` may be recorded as observed.
fn finished_is_immutable() -> String {
    let optional = [
        "desktops",
        "summary",
        "lastError",
        "refusedAttempts",
        "plan",
        "approved",
        "refusedPlan",
    ];
    let same = optional.map(rules::same).join(" && ");
    format!(
        "!has(oldSelf.completionTime) || ({same} && {NOTICED} && {CONDITIONS_STAY} && (!has(oldSelf.attempts) \
        || (has(self.attempts) && self.attempts.size() == oldSelf.attempts.size())))"
    )
}

const NOTICED: &str = "(!has(oldSelf.observedGeneration) \
    || (has(self.observedGeneration) && self.observedGeneration >= oldSelf.observedGeneration))";

/// Their types are distinct, so as many of the same types are all of them.
const CONDITIONS_STAY: &str = "has(self.conditions) == has(oldSelf.conditions) && (!has(self.conditions) \
    || (self.conditions.size() == oldSelf.conditions.size() && self.conditions.all(n, oldSelf.conditions.exists(o, \
    o.type == n.type && o.status == n.status && o.reason == n.reason && o.message == n.message \
    && o.lastTransitionTime == n.lastTransitionTime))))";

const SUCCESS_MEANS_GONE: &str = "!has(self.desktops) || !has(self.conditions) \
    || !self.conditions.exists(c, c.type == 'Succeeded' && c.status == 'True') \
    || self.desktops.all(d, d.state in ['Deleted', 'Absent'])";

const FINISHED_MEANS_STILL: &str = "!has(self.completionTime) || !has(self.desktops) \
    || self.desktops.all(d, d.state != 'Deleting')";

/// The states are few, so each is counted. An older version of the operator does not count what is blocked as pending.
fn summary_counts() -> String {
    let states = ["Absent", "Deleted", "Deleting", "Failed", "Unknown"];
    let count = |state: &str| {
        let field = state.to_lowercase();
        format!("summary.{field} == states.filter(state, state == '{state}').size()")
    };
    let counts = states.map(count).join(" && ");
    let pending = "summary.pending >= states.filter(state, state == 'Pending').size() \
        && summary.pending <= states.filter(state, state in ['Pending', 'Blocked']).size()";
    format!(
        "!has(self.summary) || !has(self.desktops) || [self.summary].all(summary, \
        [self.desktops.map(desktop, desktop.state)].all(states, \
        summary.total == states.size() && {counts} && {pending}))"
    )
}

/// The status of an object that was not observed yet may contain earlier attempts: the object may have been restored
/// from a backup.
const FIRST_ATTEMPT: &str = "has(oldSelf.attempts) || !has(self.attempts) \
    || !has(oldSelf.observedGeneration) || oldSelf.observedGeneration == -1 \
    || self.attempts.all(a, a.outcome == 'Pending')";

/// The status of an object that was not observed may have a past.
const APPROVED_WAS_SHOWN: &str = "!has(self.approved) \
    || (has(oldSelf.approved) && self.approved.hash == oldSelf.approved.hash) \
    || (has(oldSelf.plan) && self.approved.hash == oldSelf.plan.hash) \
    || !has(oldSelf.observedGeneration) || oldSelf.observedGeneration == -1";

const ATTEMPT_IS_APPROVED: &str = "!has(self.attempts) \
    || self.attempts.all(a, a.outcome != 'Pending' || !has(a.planHash) \
    || (has(self.approved) && self.approved.hash == a.planHash))";

const A_NEW_ATTEMPT: &str = "a new attempt must be Pending, and can be added only if every other attempt is Rejected, NotSent or NoEffect";

const ATTEMPTS_IN_ORDER: &str = "oldSelf.filter(o, self.exists(n, n.id == o.id)).map(o, o.id) \
    + self.filter(n, !oldSelf.exists(o, o.id == n.id)).map(n, n.id) == self.map(n, n.id)";

const ATTEMPTS_STAY: &str = "an attempt that may have reached the cloud cannot be removed; \
    only Rejected and NotSent attempts may be replaced";

const NEW_ATTEMPT: &str = "self.all(n, oldSelf.exists(o, o.id == n.id) \
    || (n.outcome == 'Pending' \
    && self.all(a, a.id == n.id || a.outcome in ['Rejected', 'NotSent', 'NoEffect'])))";

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Location of the request in the cloud, fixed when the request is first admitted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCoordinates {
    /// Region of the project, such as ap-southeast-1.
    pub region: Region,

    /// ID of the project in the cloud.
    #[serde(rename = "projectID")]
    pub project_id: ProjectID,

    /// URL of the Workspace service that the request is sent to.
    #[schemars(length(max = limits::ENDPOINT))]
    pub endpoint: String,
}

impl ProjectCoordinates {
    /// The project in a normalized form for comparisons. The stored value is not normalized, so coordinates must be
    /// compared by their keys.
    pub fn key(&self) -> ProjectKey {
        ProjectKey::of(&self.endpoint, &self.project_id)
    }
}

/// One desktop of the request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::forbidden(
        "oldSelf.state != 'Deleted' || self.state == 'Deleted'",
        "state is immutable once it is Deleted"
    )
    .field_path(".state")
)]
pub struct DesktopStatus {
    /// ID of the desktop, as the spec spells it.
    pub id: DesktopID,

    /// State of the desktop. `Pending`: not submitted yet. `Absent`: did not exist before the submission. `Deleting`:
    /// submitted, its deletion is running. `Deleted`: gone. `Failed`: still exists and is no longer being deleted.
    /// `Unknown`: its state could not be determined. `Blocked`: not submitted yet, and cannot be deleted at the moment;
    /// `code` and `message` state the reason.
    pub state: DesktopState,

    /// Computer name of the desktop when it was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DESKTOP_NAME))]
    pub name: Option<String>,

    /// Users and groups that the desktop is assigned to, separated by commas; may be truncated. Part of the plan
    /// (`status.plan`). Absent with `--show-users=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DESKTOP_USER))]
    pub user: Option<String>,

    /// Facts about the desktop that the cloud does not report and that are therefore not part of the plan (`status.plan`).
    /// `ComputerName` and `Created`: its computer name and its time of creation. `Users`: the users and groups that it is
    /// assigned to. `AllUsers`: the cloud reports one user, and does not report whether there are others. Absent if the
    /// cloud reports all of them, and after the submission.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::MISSING_FACTS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub missing_facts: Vec<MissingFact>,

    /// Error code of the cloud, or a code of the operator such as `StillPresent` or `NotSubmitted`. Absent if there
    /// is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::ERROR_CODE))]
    pub code: Option<String>,

    /// Error message, as given by the cloud where available. Absent if there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::DESKTOP_MESSAGE))]
    pub message: Option<String>,
}

impl DesktopState {
    /// The state is final for this request.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Absent | Self::Deleted | Self::Failed)
    }
}

impl DesktopStatus {
    /// A desktop in that state, without an error.
    pub fn new(id: &DesktopID, state: DesktopState) -> Self {
        Self {
            id: id.clone(),
            state,
            name: None,
            user: None,
            missing_facts: Vec::new(),
            code: None,
            message: None,
        }
    }

    /// A desktop in that state, and why.
    pub fn with_message(id: &DesktopID, state: DesktopState, code: Option<&str>, message: &str) -> Self {
        Self {
            code: code.map(ToOwned::to_owned),
            message: Some(message.to_owned()),
            ..Self::new(id, state)
        }
    }
}

/// State of one desktop, as far as this request is concerned.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DesktopState {
    /// Not submitted.
    Pending,
    /// It did not exist before the submission.
    Absent,
    /// Submitted; its deletion is running.
    Deleting,
    /// Gone.
    Deleted,
    /// It still exists and is no longer being deleted.
    Failed,
    /// Its state could not be determined.
    Unknown,
    /// Not submitted, and cannot be deleted at the moment.
    Blocked,
    /// A value of a newer version. A status write keeps it, unless this version determines the state.
    #[serde(other)]
    #[schemars(skip)]
    Other,
}

/// Number of desktops in each state; the states add up to `total`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Desktops of the request.
    #[schemars(range(min = 0))]
    pub total: i32,

    /// Desktops that did not exist before the submission.
    #[schemars(range(min = 0))]
    pub absent: i32,

    /// Desktops deleted by this request.
    #[schemars(range(min = 0))]
    pub deleted: i32,

    /// Desktops whose deletion is running.
    #[schemars(range(min = 0))]
    pub deleting: i32,

    /// Desktops that still exist and are no longer being deleted.
    #[schemars(range(min = 0))]
    pub failed: i32,

    /// Desktops that have not been submitted yet, the blocked ones included.
    #[schemars(range(min = 0))]
    pub pending: i32,

    /// Desktops whose state could not be determined.
    #[schemars(range(min = 0))]
    pub unknown: i32,
}
