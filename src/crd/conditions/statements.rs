//! Which condition can have which reasons.

use super::Reason::{
    Abandoned, AccessDenied, AllDeleted, AllFailed, AlreadyAbsent, AuthenticationFailed, AwaitingApproval,
    AwaitingEvidence, CheckingDesktops, ClockSkew, Conflict, CredentialsValid, DailyLimitReached,
    DeletionInProgress, DesktopBlocked, EndpointNotAllowed, EndpointUnreachable, ExpectationFailed, Expired,
    FinalizerRemoved, GuardrailViolated, IntentRefused, InvalidRequest, JobAccepted, JobOverdue,
    JobRecovered, JobRunning, JobUnknown, NamespaceUnreadable, NoEffect, NotFound, NotRequired,
    NothingToDelete, OutcomeUnknown, OutsideWindow, Overlap, PartiallyFailed, PermissionDenied, PlanApproved,
    PlanChanged, PlanReady, Planning, ProjectChanged, ProjectNotReady, ProjectSuspended, Queued, Rejected,
    RequestRefused, Retrying, Scheduled, SecretInvalid, SecretNotFound, ServiceDisabled, ServiceUnavailable,
    Submitting, Suspended, Throttled, Undecodable, UnknownRegion, Verifying, Waiting, WrongEndpoint,
};
use super::{ConditionStatus, ConditionType, Reason};

/// A condition, a status of it, and the reasons that it can have with that status.
pub type Statement = (ConditionType, ConditionStatus, &'static [Reason]);

/// What the conditions of a `DesktopDeletion` can say. `Ready` is not listed: it has the reason of `Succeeded` once that
/// is decided, before that the one of `Reconciling` or `Stalled`, and while the request is suspended or delayed on purpose
/// the one of `Submitted`.
pub const DELETION: &[Statement] = &[
    (
        ConditionType::Submitted,
        ConditionStatus::True,
        &[JobAccepted, JobRecovered, JobUnknown],
    ),
    (
        ConditionType::Submitted,
        ConditionStatus::False,
        &[
            NothingToDelete,
            Suspended,
            Scheduled,
            ProjectNotReady,
            ProjectSuspended,
            ProjectChanged,
            DeletionInProgress,
            Overlap,
            Queued,
            CheckingDesktops,
            ExpectationFailed,
            OutsideWindow,
            DailyLimitReached,
            GuardrailViolated,
            DesktopBlocked,
            AwaitingApproval,
            PlanChanged,
            InvalidRequest,
            RequestRefused,
            AuthenticationFailed,
            PermissionDenied,
            WrongEndpoint,
            ServiceDisabled,
            NotFound,
            Conflict,
            Throttled,
            ServiceUnavailable,
            ClockSkew,
            FinalizerRemoved,
            IntentRefused,
            AccessDenied,
            NamespaceUnreadable,
            Expired,
            NoEffect,
            Abandoned,
        ],
    ),
    (
        ConditionType::Submitted,
        ConditionStatus::Unknown,
        &[Submitting, AwaitingEvidence, OutcomeUnknown],
    ),
    (
        ConditionType::Succeeded,
        ConditionStatus::True,
        &[AllDeleted, AlreadyAbsent],
    ),
    (
        ConditionType::Succeeded,
        ConditionStatus::False,
        &[PartiallyFailed, AllFailed, Rejected, Expired, NoEffect, Abandoned],
    ),
    (
        ConditionType::Succeeded,
        ConditionStatus::Unknown,
        &[Waiting, JobRunning, Verifying],
    ),
    (ConditionType::Planned, ConditionStatus::True, &[PlanReady]),
    (
        ConditionType::Planned,
        ConditionStatus::False,
        &[DesktopBlocked, ExpectationFailed, GuardrailViolated],
    ),
    (ConditionType::Planned, ConditionStatus::Unknown, &[Planning]),
    (
        ConditionType::Approved,
        ConditionStatus::True,
        &[PlanApproved, NotRequired],
    ),
    (
        ConditionType::Approved,
        ConditionStatus::False,
        &[AwaitingApproval, PlanChanged],
    ),
    (
        ConditionType::Reconciling,
        ConditionStatus::True,
        &[
            Queued,
            CheckingDesktops,
            Submitting,
            JobRunning,
            Verifying,
            Retrying,
            AwaitingEvidence,
        ],
    ),
    (
        ConditionType::Stalled,
        ConditionStatus::True,
        &[
            PartiallyFailed,
            AllFailed,
            Rejected,
            Expired,
            NoEffect,
            Abandoned,
            AuthenticationFailed,
            PermissionDenied,
            WrongEndpoint,
            ServiceDisabled,
            ServiceUnavailable,
            ProjectNotReady,
            ProjectChanged,
            ExpectationFailed,
            GuardrailViolated,
            ClockSkew,
            FinalizerRemoved,
            IntentRefused,
            AccessDenied,
            NamespaceUnreadable,
            RequestRefused,
            Undecodable,
            OutcomeUnknown,
            JobOverdue,
        ],
    ),
];

/// What the condition of a `WorkspaceProject` can say.
pub const PROJECT: &[Statement] = &[
    (ConditionType::Ready, ConditionStatus::True, &[CredentialsValid]),
    (
        ConditionType::Ready,
        ConditionStatus::False,
        &[
            SecretNotFound,
            SecretInvalid,
            AuthenticationFailed,
            PermissionDenied,
            ServiceDisabled,
            WrongEndpoint,
            RequestRefused,
            EndpointNotAllowed,
            UnknownRegion,
            EndpointUnreachable,
            Throttled,
            ServiceUnavailable,
            ClockSkew,
        ],
    ),
    (
        ConditionType::Stalled,
        ConditionStatus::True,
        &[EndpointUnreachable],
    ),
];
