//! Desktops as the world file and the admin API write them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FieldOverride, Span};
use crate::digest::derived_id;

/// One desktop. Only `id` is required.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Desktop {
    /// The desktop's id, a UUID in the real cloud; any text of 1 to 255 characters here.
    pub id: String,

    /// Computer name; by default `desktop-` and the first eight characters of the id.
    #[serde(default)]
    pub name: String,

    /// ID of the project of the desktop; by default the first project of the world.
    #[serde(default)]
    pub project: String,

    /// Name of the user whom the desktop is assigned to; empty for none.
    #[serde(default)]
    pub user: String,

    /// All users and groups whom the desktop is assigned to; by default `user`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_users: Option<Vec<AttachedUser>>,

    /// Permission group of its user, such as `users` (the default), `administrators`, `default` or `sudo`.
    #[serde(default = "users")]
    pub user_group: String,

    /// When the desktop was created. Default: 2026-01-05T08:00:00Z.
    #[serde(default = "created")]
    pub created: Timestamp,

    /// Status while nothing happens to the desktop, such as `ACTIVE` (the default) or `SHUTOFF`.
    #[serde(default = "active")]
    pub status: String,

    /// Running task, such as `rebuilding`; empty (the default) when idle.
    #[serde(default)]
    pub task_status: String,

    /// `UNREGISTER`, `REGISTERED` (the default), `CONNECTED` or `DISCONNECTED`.
    #[serde(default = "registered")]
    pub login_status: String,

    /// How the desktop is paid for.
    #[serde(default)]
    pub charging_mode: ChargingMode,

    /// Order of a prepaid desktop; by default made up for one, and none for others.
    #[serde(default, rename = "orderID", skip_serializing_if = "String::is_empty")]
    pub order_id: String,

    /// Kind of desktop: dedicated to one user, shared, or of a pool.
    #[serde(default, rename = "type")]
    pub kind: DesktopType,

    /// Id of its pool; by default made up for a pooled desktop, and none for others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pool: String,

    /// Tags, key to value.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,

    /// The desktop is in maintenance mode.
    #[serde(default, skip_serializing_if = "is_false")]
    pub maintenance: bool,

    /// The desktop is frozen, for instance because a bill is open.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frozen: bool,

    /// Fields that read otherwise, after those of the switch `fields`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldOverride>,

    /// What the deletion of this desktop will do.
    #[serde(default)]
    pub outcome: Outcome,
}

impl Desktop {
    /// Users and groups whom the desktop is assigned to.
    pub(crate) fn attached(&self) -> Vec<AttachedUser> {
        let only = || AttachedUser {
            name: self.user.clone(),
            kind: AttachedType::User,
            group: None,
        };
        let default = || (!self.user.is_empty()).then(only).into_iter().collect();
        self.attached_users.clone().unwrap_or_else(default)
    }

    /// Id of its pool, if it is of one.
    pub(crate) fn pool_id(&self) -> Option<String> {
        match self.pool.as_str() {
            "" => (self.kind == DesktopType::Pooled).then(|| derived_id(0, "pool", &self.project)),
            pool => Some(pool.to_owned()),
        }
    }

    /// Its order, if it has one.
    pub(crate) fn order(&self) -> Option<&str> {
        match self.order_id.as_str() {
            "" => (self.charging_mode == ChargingMode::PrePaid).then_some("CS0000000000000000"),
            order => Some(order),
        }
    }
}

/// A user, or a group of users, whom a desktop is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttachedUser {
    /// Name of the user or group.
    pub name: String,

    /// A user (the default) or a group.
    #[serde(default, rename = "type")]
    pub kind: AttachedType,

    /// Permission group; by default that of the desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Whether a desktop is assigned to a user or to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AttachedType {
    /// One user.
    #[default]
    User,
    /// A group of users.
    Group,
}

/// How a desktop is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChargingMode {
    /// By use; such a desktop can be deleted at any time.
    #[default]
    PostPaid,
    /// Yearly or monthly; the console offers to unsubscribe from such a desktop instead.
    PrePaid,
}

/// Kind of desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DesktopType {
    /// One user's own.
    #[default]
    Dedicated,
    /// Several users share it.
    Shared,
    /// Part of a desktop pool.
    Pooled,
}

impl DesktopType {
    /// Its value in queries.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dedicated => "DEDICATED",
            Self::Shared => "SHARED",
            Self::Pooled => "POOLED",
        }
    }
}

/// What the deletion of a desktop will do: a plain string, or a mapping with `result` and details.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(from = "OutcomeForm", into = "OutcomeForm")]
pub struct Outcome {
    /// How it ends.
    pub result: DeletionResult,

    /// `error_code` of the failed sub-job.
    pub error_code: Option<String>,

    /// `fail_reason` of the failed sub-job.
    pub fail_reason: Option<String>,

    /// How long this desktop's sub-job stays WAITING; by default `timings.waiting`.
    pub waiting: Option<Span>,

    /// How long this desktop's sub-job stays RUNNING; by default `timings.running`.
    pub running: Option<Span>,
}

/// How the deletion of one desktop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeletionResult {
    /// The sub-job succeeds and the desktop is gone.
    #[default]
    Success,
    /// The sub-job fails; the desktop stays (see the switch `failedDesktop`).
    Failed,
    /// The sub-job stays RUNNING and the desktop is being deleted indefinitely.
    Stuck,
    /// The sub-job succeeds, yet the desktop stays as it was.
    SuccessButPresent,
    /// The sub-job fails, yet the desktop is gone.
    FailedButGone,
    /// The job has no sub-job for this desktop, yet the desktop is deleted.
    NoSubJob,
    /// The job has no sub-job for this desktop, and nothing happens to it.
    Ignored,
}

#[derive(Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "an outcome must be one of success, failed, stuck, successButPresent, failedButGone, noSubJob and \
                 ignored, or a mapping of result, errorCode, failReason, waiting and running"
)]
enum OutcomeForm {
    Word(DeletionResult),
    Details(OutcomeDetails),
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OutcomeDetails {
    result: DeletionResult,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    running: Option<Span>,
}

impl From<OutcomeForm> for Outcome {
    fn from(form: OutcomeForm) -> Self {
        match form {
            OutcomeForm::Word(result) => Self {
                result,
                ..Self::default()
            },
            OutcomeForm::Details(OutcomeDetails {
                result,
                error_code,
                fail_reason,
                waiting,
                running,
            }) => Self {
                result,
                error_code,
                fail_reason,
                waiting,
                running,
            },
        }
    }
}

impl From<Outcome> for OutcomeForm {
    fn from(outcome: Outcome) -> Self {
        let Outcome {
            result,
            error_code,
            fail_reason,
            waiting,
            running,
        } = outcome;
        if error_code.is_none() && fail_reason.is_none() && waiting.is_none() && running.is_none() {
            return Self::Word(result);
        }
        Self::Details(OutcomeDetails {
            result,
            error_code,
            fail_reason,
            waiting,
            running,
        })
    }
}

fn active() -> String {
    "ACTIVE".to_owned()
}

fn users() -> String {
    "users".to_owned()
}

fn created() -> Timestamp {
    Timestamp::constant(1_767_600_000, 0)
}

fn registered() -> String {
    "REGISTERED".to_owned()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field over by reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}
