//! Condition types and reasons, named once, and the merge that keeps transition times (pure, time given).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::fmt;

/// Types of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// Whether the batch was submitted to the cloud.
    Submitted,
    /// The verdict: Unknown while active, then True or False for ever.
    Succeeded,
    /// The same, for tools that look at nothing else.
    Ready,
    /// Present only while the operator is at work or will try again by itself (kstatus).
    Reconciling,
    /// Present only while a person must look (kstatus).
    Stalled,
}

impl ConditionType {
    /// The type as it stands in `status.conditions`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "Submitted",
            Self::Succeeded => "Succeeded",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// Status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`.
    Unknown,
}

impl Truth {
    /// The status as it stands in `status.conditions`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Reasons of conditions and Events, one CamelCase word each (Kubernetes API conventions).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason there is, in the order of this list.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason as it stands in conditions and Events.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// The cloud took the batch and gave a job.
    JobAccepted,
    /// The answer of the cloud was lost; the job was found afterwards.
    JobRecovered,
    /// The submission took effect, but its job cannot be named.
    JobUnknown,
    /// None of the desktops existed.
    NothingToDelete,
    /// `spec.suspend` holds the request back.
    Suspended,
    /// The `WorkspaceProject` is missing or its login is not proven yet.
    ProjectNotReady,
    /// `spec.suspend` of the `WorkspaceProject` holds the request back.
    ProjectSuspended,
    /// The `WorkspaceProject` points elsewhere than where this request began.
    ProjectChanged,
    /// Somebody else is deleting some of the desktops.
    DeletionInProgress,
    /// Another request holds some of the desktops.
    Overlap,
    /// The cloud refuses the request as it stands.
    InvalidRequest,
    /// The cloud does not accept the login.
    AuthenticationFailed,
    /// The login lacks a permission.
    PermissionDenied,
    /// The address is not the Workspace service of this region.
    WrongEndpoint,
    /// The Workspace service is not enabled for the account.
    ServiceDisabled,
    /// The cloud says that a desktop does not exist although it is listed.
    NotFound,
    /// The state of a desktop denies its deletion at the moment.
    Conflict,
    /// The cloud asks to slow down.
    Throttled,
    /// The cloud cannot be reached or cannot answer at the moment.
    ServiceUnavailable,
    /// This machine's clock and the service's are too far apart to sign a request.
    ClockSkew,
    /// The deadline passed before the batch was submitted.
    Expired,
    /// It is proven that no submission had an effect, as often as is tried.
    NoEffect,
    /// A person gave the request up.
    Abandoned,
    /// The batch is being submitted.
    Submitting,
    /// The answer of the cloud was lost; evidence is being gathered.
    AwaitingEvidence,
    /// Whether the batch was submitted could not be found out; a person must look.
    OutcomeUnknown,
    /// Every desktop is gone.
    AllDeleted,
    /// Every desktop was gone before anything was submitted.
    AlreadyAbsent,
    /// Some desktops are gone, others are not.
    PartiallyFailed,
    /// No desktop was deleted.
    AllFailed,
    /// The cloud refused the batch for good.
    Rejected,
    /// The request waits.
    Waiting,
    /// The job of the cloud runs.
    JobRunning,
    /// The job has ended; the desktops are being looked at.
    Verifying,
    /// The operator tries again by itself.
    Retrying,
    /// The API server refused to store the intent.
    IntentRefused,
    /// The job runs longer than deletions should take.
    JobOverdue,
    /// The login of the project was proven by a read.
    CredentialsValid,
    /// The Secret of the project does not exist.
    SecretNotFound,
    /// The Secret of the project lacks a key or holds something that cannot be a login.
    SecretInvalid,
    /// The host of the project is not on the operator's allow-list.
    EndpointNotAllowed,
    /// The host of the project does not answer.
    EndpointUnreachable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one condition should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which condition.
    pub kind: ConditionType,
    /// Its status.
    pub status: Truth,
    /// Its reason.
    pub reason: Reason,
    /// Text for people: cause and cure.
    pub message: String,
}

/// The conditions that say `claims` and nothing else. A condition whose status stays keeps its transition time;
/// one that is not claimed vanishes.
#[must_use]
pub fn merge(old: &[Condition], claims: &[Claim], generation: i64, now: &Time) -> Vec<Condition> {
    claims
        .iter()
        .map(|claim| {
            let same = old.iter().find(|c| c.type_ == claim.kind.as_str() && c.status == claim.status.as_str());
            Condition {
                type_: claim.kind.as_str().to_owned(),
                status: claim.status.as_str().to_owned(),
                reason: claim.reason.as_str().to_owned(),
                message: claim.message.clone(),
                observed_generation: Some(generation),
                last_transition_time: same.map_or_else(|| now.clone(), |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}
