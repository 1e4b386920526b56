//! The reasons of conditions and Events.

use std::fmt;

words! {
    /// Reasons of conditions and Events, one CamelCase word each (Kubernetes API conventions).
    Reason {
        /// The cloud took the batch and gave a job.
        JobAccepted,
        /// The answer of the cloud was lost; the job was found afterwards.
        JobRecovered,
        /// The submission took effect, but its job cannot be named.
        JobUnknown,
        /// None of the desktops existed. The message says where they were looked for: a wrong project is the likeliest
        /// cause.
        NothingToDelete,
        /// `spec.suspend` holds the request back.
        Suspended,
        /// The `WorkspaceProject` is missing or its login is not proven yet. Look at its condition `Ready`.
        ProjectNotReady,
        /// `spec.suspend` of the `WorkspaceProject` holds the request back.
        ProjectSuspended,
        /// The `WorkspaceProject` was replaced by one that points elsewhere than where this request began. Create one
        /// with the coordinates in `status.project`, or give the request up.
        ProjectChanged,
        /// Somebody else is deleting some of the desktops. The request waits until they are gone or idle again.
        DeletionInProgress,
        /// Another request holds some of the desktops. The message names it; this one waits for it.
        Overlap,
        /// The desktops are read one by one before the batch is submitted. The message says how far that is.
        CheckingDesktops,
        /// The cloud refuses what the request holds.
        InvalidRequest,
        /// The cloud refuses the request with a code that the operator does not know. It is retried every few minutes until
        /// the deadline. The message has the cloud's words.
        RequestRefused,
        /// The cloud does not accept the login. Look at the Secret of the `WorkspaceProject`.
        AuthenticationFailed,
        /// The login lacks a permission. The message names the action where the cloud does.
        PermissionDenied,
        /// The address is not the Workspace service of this region. Look at `spec.region` and `spec.endpoint` of the
        /// `WorkspaceProject`.
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
        /// The clocks of the operator's node and of the service (or the API server) are too far apart. Nothing is sent and
        /// nothing expires until they agree. Correct the clock that is wrong.
        ClockSkew,
        /// Another client keeps removing the operator's finalizer while a call may take effect. Stop replacing the object,
        /// or install the policy `keep-finalizer`.
        FinalizerRemoved,
        /// The deadline (`spec.notAfter`) passed before the batch was submitted. Nothing was deleted.
        Expired,
        /// It is proven that no submission had an effect, as often as is tried. Nothing was deleted.
        NoEffect,
        /// A person gave the request up.
        Abandoned,
        /// The batch is being submitted.
        Submitting,
        /// The answer of the cloud was lost; evidence is being gathered. The call is not repeated meanwhile.
        AwaitingEvidence,
        /// Whether the batch was submitted could not be found out. Look at the desktops in the console, then settle it
        /// with the annotation `cloud-desktops.dev/resolve`.
        OutcomeUnknown,
        /// Every desktop is gone.
        AllDeleted,
        /// Every desktop was gone before anything was submitted.
        AlreadyAbsent,
        /// Some desktops are gone, others are not. `status.desktops` tells which, and why.
        PartiallyFailed,
        /// No desktop was deleted. `status.desktops` tells why.
        AllFailed,
        /// The cloud refused the batch for good. Nothing was deleted.
        Rejected,
        /// The request waits for what condition `Submitted` names.
        Waiting,
        /// The job of the cloud runs.
        JobRunning,
        /// The job has ended; the desktops are being looked at.
        Verifying,
        /// The operator tries again by itself.
        Retrying,
        /// The API server refused to store the intent, so nothing is sent. The message has its words.
        IntentRefused,
        /// The API server refuses a call that the operator needs. The message has its words. Check the operator's rights
        /// (RBAC) and the admission policies of the cluster.
        AccessDenied,
        /// The operator lacks the right to read a namespace that it serves. The message names both. Requests elsewhere wait until
        /// no call of a request there can take effect any more. Grant the right, or stop serving the namespace.
        NamespaceUnreadable,
        /// This version of the operator cannot decode the object. It is skipped, and holds its desktops. Correct the field
        /// that the message names, or run the version of the operator that wrote it.
        Undecodable,
        /// The job runs longer than deletions should take. It is still followed. Look at it in the console.
        JobOverdue,
        /// The login of the project was proven by a read.
        CredentialsValid,
        /// The Secret of the project does not exist in the namespace of the project.
        SecretNotFound,
        /// The Secret of the project lacks a key or holds something that cannot be a login.
        SecretInvalid,
        /// The host of the project is not on the operator's allow-list (`--allowed-endpoints`).
        EndpointNotAllowed,
        /// The operator does not know the hosts of `spec.region`, and the project does not name them.
        UnknownRegion,
        /// The host of the project does not answer, or its certificate is not trusted.
        EndpointUnreachable,
    }
}
