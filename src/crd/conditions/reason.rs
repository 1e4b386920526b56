//! The reasons of conditions and Events. Which condition may have which reason is in `super::allowed_reasons`.

api_enum! {
    /// Reasons of conditions and Events, one CamelCase word each (Kubernetes API conventions).
    Reason {
        /// The cloud accepted the request and returned a job ID.
        JobAccepted,
        /// The response of the cloud was lost; the job was recovered.
        JobRecovered,
        /// The submission took effect, but its job is unknown.
        JobUnknown,
        /// None of the desktops exists. The message names the project and region that were searched. If the desktops should
        /// exist, a wrong project is the most likely cause.
        NothingToDelete,
        /// `spec.suspend` prevents the submission.
        Suspended,
        /// The request is not submitted before `spec.notBefore`.
        Scheduled,
        /// The `WorkspaceProject` is missing or its credentials are not verified yet. Check its condition `Ready`.
        ProjectNotReady,
        /// `spec.suspend` of the `WorkspaceProject` prevents the submission.
        ProjectSuspended,
        /// The `WorkspaceProject` was replaced and now points to another project, region or endpoint than the one in which
        /// this request started. Recreate it with the values in `status.project`. Otherwise, delete the request and
        /// create a new one, or abandon the request if a delete request may have taken effect.
        ProjectChanged,
        /// Some of the desktops are being deleted by another client. The request waits until they are gone or idle
        /// again.
        DeletionInProgress,
        /// Another request has reserved some of the desktops. The message names that request if it is in the same
        /// namespace; this request waits for it.
        Overlap,
        /// A desktop does not match `spec.expected`. Nothing is submitted. Check the IDs, delete the request
        /// and create a corrected one.
        ExpectationFailed,
        /// The request is queued: many requests are due, or the cloud API responds slowly. Nothing was sent.
        Queued,
        /// The plan is shown in `status.plan` and `status.desktops`.
        PlanReady,
        /// The guardrails of the `WorkspaceProject` do not permit the request. Nothing is submitted. Delete the
        /// request and create one that they permit, or ask the owner of the project to change them.
        GuardrailViolated,
        /// No submission window of the `WorkspaceProject` is open (`spec.guardrails.windows`). The request is submitted when
        /// the next window opens.
        OutsideWindow,
        /// The request would exceed the daily limit of the `WorkspaceProject` (`spec.guardrails.maxDesktopsPerDay`). It is
        /// submitted when there is room.
        DailyLimitReached,
        /// A desktop cannot be deleted at the moment, which blocks the whole request. The message names the desktop and
        /// the cause.
        DesktopBlocked,
        /// The plan is not known yet.
        Planning,
        /// The plan is approved. It is submitted only if its desktops have not changed since the approval.
        PlanApproved,
        /// No approval is needed.
        NotRequired,
        /// The project requires an approval. Check `status.plan` and `status.desktops`, then set `spec.approvedPlan` to
        /// `status.plan.hash`.
        AwaitingApproval,
        /// `spec.approvedPlan` is not the hash of the plan, or the desktops have changed since it was approved. Nothing is
        /// submitted. Check the new plan, then approve it.
        PlanChanged,
        /// The desktops are read one by one before the batch is submitted. The message shows the progress.
        CheckingDesktops,
        /// The cloud rejects the content of the request.
        InvalidRequest,
        /// The cloud rejects the request with an unknown error code. It is retried every few minutes until the
        /// deadline. The message contains the cloud's error message.
        RequestRefused,
        /// The cloud rejects the credentials. Check the Secret of the `WorkspaceProject`.
        AuthenticationFailed,
        /// The credentials lack a permission. The message names the action if the cloud does.
        PermissionDenied,
        /// The endpoint is not the Workspace service of this region. Check `spec.region` and `spec.endpoint` of the
        /// `WorkspaceProject`.
        WrongEndpoint,
        /// The Workspace service is not enabled for the account.
        ServiceDisabled,
        /// The cloud reports that a desktop does not exist although it is listed.
        NotFound,
        /// A desktop cannot be deleted in its current state.
        Conflict,
        /// Rate limited by the cloud API.
        Throttled,
        /// The cloud API is unreachable or unavailable.
        ServiceUnavailable,
        /// The clocks of the operator's node and of the service (or the API server) are too far apart. Nothing is
        /// submitted, and no request expires at its deadline, until they agree. Correct the clock that is wrong.
        ClockSkew,
        /// Another client repeatedly removes the operator's finalizer while a delete request may still take effect. Update
        /// the object without replacing it, or install the policy `keep-finalizer`.
        FinalizerRemoved,
        /// The deadline (`spec.notAfter` or its default) passed before a delete request took effect. Nothing was deleted.
        Expired,
        /// The delete request had no effect. On condition `Succeeded`, this is final: the limit of attempts is reached, and
        /// nothing was deleted.
        NoEffect,
        /// Abandoned by annotation.
        Abandoned,
        /// The batch is being submitted.
        Submitting,
        /// The response of the cloud was lost; the outcome is being verified. The request is not sent again in the meantime.
        AwaitingEvidence,
        /// The outcome of the submission could not be determined. Check the desktops in the console, then resolve it
        /// with the annotation `cloud-desktops.dev/resolve`.
        OutcomeUnknown,
        /// Every desktop is gone.
        AllDeleted,
        /// Every desktop was gone before anything was submitted.
        AlreadyAbsent,
        /// Some desktops were deleted, others were not. See `status.desktops` for details.
        PartiallyFailed,
        /// No desktop was deleted. See `status.desktops` for details.
        AllFailed,
        /// The cloud rejected the request permanently. Nothing was deleted.
        Rejected,
        /// The request waits. The reason of condition `Submitted` states what it waits for.
        Waiting,
        /// The job of the cloud is running.
        JobRunning,
        /// The job has ended; the desktops are being verified.
        Verifying,
        /// The operator is retrying.
        Retrying,
        /// The API server refused to store the record of the delete request (the intent), so nothing is sent. The message
        /// contains the API server's error.
        IntentRefused,
        /// The API server refuses a call that the operator needs. The message contains the API server's error. Check the
        /// operator's permissions (RBAC) and the admission policies of the cluster.
        AccessDenied,
        /// The operator failed to process the request because of a fault in the operator itself. It retries. Report the fault
        /// to its maintainers with the log.
        InternalError,
        /// The operator lacks permission to read a namespace that it serves. The message names the namespace and the
        /// permission. Requests in other namespaces wait until no delete request from that namespace can take effect any
        /// more. Grant the permission, or stop serving the namespace.
        NamespaceUnreadable,
        /// This version of the operator cannot decode the object. It is skipped, and its desktops stay reserved. Correct the
        /// field that the message names, or run the version of the operator that wrote it.
        Undecodable,
        /// The job is taking longer than expected. The operator continues to follow it. Check the job in the console.
        JobOverdue,
        /// The credentials of the project were verified with a read-only request.
        CredentialsValid,
        /// The Secret of the project does not exist in the namespace of the project, or the operator lacks permission to
        /// read it.
        SecretNotFound,
        /// The Secret of the project lacks a key or contains invalid credentials.
        SecretInvalid,
        /// The host of the project is not on the operator's allow-list (`--allowed-endpoints`).
        EndpointNotAllowed,
        /// The operator does not know the hosts of `spec.region`, and the project does not name them.
        UnknownRegion,
        /// The host of the project does not respond, or its certificate is not trusted.
        EndpointUnreachable,
    }
}
