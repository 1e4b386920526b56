//! Which condition can have which reasons.

use super::ConditionStatus::{False, True, Unknown};
use super::ConditionType::{Approved, Planned, Ready, Reconciling, Stalled, Submitted, Succeeded};
use super::Reason::{
    Abandoned, AccessDenied, AllDeleted, AllFailed, AlreadyAbsent, AuthenticationFailed, AwaitingApproval,
    AwaitingEvidence, CheckingDesktops, ClockSkew, Conflict, CredentialsValid, DailyLimitReached,
    DeletionInProgress, DesktopBlocked, EndpointNotAllowed, EndpointUnreachable, ExpectationFailed, Expired,
    FinalizerRemoved, GuardrailViolated, IntentRefused, InternalError, InvalidRequest, JobAccepted,
    JobOverdue, JobRecovered, JobRunning, JobUnknown, NamespaceUnreadable, NoEffect, NotFound, NotRequired,
    NothingToDelete, OutcomeUnknown, OutsideWindow, Overlap, PartiallyFailed, PermissionDenied, PlanApproved,
    PlanChanged, PlanReady, Planning, ProjectChanged, ProjectNotReady, ProjectSuspended, Queued, Rejected,
    RequestRefused, Retrying, Scheduled, SecretInvalid, SecretNotFound, ServiceDisabled, ServiceUnavailable,
    Submitting, Suspended, Throttled, Undecodable, UnknownRegion, Verifying, Waiting, WrongEndpoint,
};
use super::{ConditionStatus, ConditionType, Reason};

/// A condition, a status of it, and the reasons that it can have with that status.
pub type Statement = (ConditionType, ConditionStatus, &'static [Reason]);

/// The reasons that the conditions of a `DesktopDeletion` can have. `Ready` is not listed: it has the reason of
/// `Succeeded` once that is decided, before that the one of `Reconciling` or `Stalled`, and while the request is
/// suspended or delayed on purpose the one of `Submitted`.
pub const DELETION: &[Statement] = &[
    (Submitted, True, &[JobAccepted, JobRecovered, JobUnknown]),
    (
        Submitted,
        False,
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
            InternalError,
            NamespaceUnreadable,
            Expired,
            NoEffect,
            Abandoned,
        ],
    ),
    (
        Submitted,
        Unknown,
        &[Submitting, AwaitingEvidence, OutcomeUnknown],
    ),
    (Succeeded, True, &[AllDeleted, AlreadyAbsent]),
    (
        Succeeded,
        False,
        &[PartiallyFailed, AllFailed, Rejected, Expired, NoEffect, Abandoned],
    ),
    (Succeeded, Unknown, &[Waiting, JobRunning, Verifying]),
    (Planned, True, &[PlanReady]),
    (
        Planned,
        False,
        &[DesktopBlocked, ExpectationFailed, GuardrailViolated],
    ),
    (Planned, Unknown, &[Planning]),
    (Approved, True, &[PlanApproved, NotRequired]),
    (Approved, False, &[AwaitingApproval, PlanChanged]),
    (
        Reconciling,
        True,
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
        Stalled,
        True,
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
            InternalError,
            NamespaceUnreadable,
            RequestRefused,
            Undecodable,
            OutcomeUnknown,
            JobOverdue,
        ],
    ),
];

/// The reasons that the conditions of a `WorkspaceProject` can have.
pub const PROJECT: &[Statement] = &[
    (Ready, True, &[CredentialsValid]),
    (
        Ready,
        False,
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
    (Stalled, True, &[EndpointUnreachable]),
];
