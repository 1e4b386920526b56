//! Carries out one step: the only place with effects. The result of each step becomes part of the input of the next
//! decision.
//!
//! | file | what |
//! | --- | --- |
//! | `claim` | claims the desktops |
//! | `reserve` | reserves desktops under the daily limit of the project |
//! | [`read`] | reads of the project, its Secret, and the cloud |
//! | [`write`](mod@write) | writes to the object |
//!
//! Signing and sending are in this file.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::Context;
use super::reconciliation::Reconciliation;
use super::{Error, report};
use crate::cloud::rate_limiter::Priority;
use crate::config::Timing;
use crate::crd::deletion::ErrorClass;
use crate::crd::deletion::{Attempt, AuthMethod, Outcome};
use crate::ids::AttemptID;
use crate::plan::error_policy::{classify, cloud_error};
use crate::plan::memory::{RequestMemory, SubmissionFailure};
use crate::plan::observed::{PostResult, SendPermit, Submission};
use crate::plan::progress::Progress;
use crate::plan::step::OutcomeUpdate;
use crate::plan::step::{Batch, Step};
use crate::plan::{deadlines, status};
use crate::workspace::api::{Authentication, BatchDelete, SignedRequest, Workspace};
use crate::workspace::error::Error as CloudFailure;

mod claim;
pub mod read;
mod reserve;
pub mod write;

/// Carries out a step. `Sign` and `Post` are carried out by the task that submits; `Wait`, `StartOver` and `Done` end the
/// reconciliation and have no effect of their own.
///
/// # Errors
/// The API server did not do what it was asked to, or the object changed meanwhile. A failed read of the cloud is no
/// error but an observation.
pub async fn step(reconciliation: &mut Reconciliation, step: Step, context: &Context) -> Result<(), Error> {
    let now = Time(context.process.clock.now());
    match step {
        Step::ReadProject => read::project(reconciliation, context).await,
        Step::ClaimDesktops => claim::claim(reconciliation, context).await,
        Step::ReadDesktops(ids) => read::desktops(reconciliation, &ids, context).await,
        Step::ReadDetails(ids) => read::details(reconciliation, &ids, context).await,
        Step::ReadDesktop(id) => read::desktop(reconciliation, &id, context).await,
        Step::ReadSubJobs => read::sub_jobs(reconciliation, context).await,
        Step::ReadOwner(job) => read::owner(reconciliation, &job, context).await,
        Step::ReadJob(job) => read::job(reconciliation, &job, context),
        Step::AddFinalizer => write::finalizers(reconciliation, true, context).await,
        Step::DropFinalizer => {
            write::finalizers(reconciliation, false, context).await?;
            reconciliation.remember(context, |memory| memory.finalizer_dropped = true);
            Ok(())
        }
        Step::AcquirePermit => acquire_permit(reconciliation).await,
        Step::ReleasePermit => {
            reconciliation.permit = None;
            reconciliation.observed.permit = SendPermit::Returned;
            Ok(())
        }
        Step::ReserveDesktops(count) => reserve::reserve(reconciliation, count, context).await,
        Step::RecordIntent(intent) => {
            let status = status::record_intent(&reconciliation.observed.request, &intent, &now)?;
            write::status(reconciliation, status, "RecordIntent", context).await
        }
        Step::RecordOutcome(outcome_update) => {
            let attempt = reconciliation.observed.request.attempt(&outcome_update.attempt);
            let open = attempt.is_some_and(|a| a.outcome == Outcome::Pending);
            let status = status::record_outcome(&reconciliation.observed.request, &outcome_update, &now)?;
            write::status(reconciliation, status, "RecordOutcome", context).await?;
            reconciliation.observed.submission = Submission::None;
            let attempt = reconciliation.observed.request.attempt(&outcome_update.attempt);
            let late = attempt.is_some_and(|a| a.outcome == Outcome::NoEffect);
            if late && !outcome_update.jobs.is_empty() {
                report::late_effect(reconciliation, &outcome_update, context).await;
            } else if open {
                count(&outcome_update, context);
            }
            Ok(())
        }
        Step::RefuseResolve(refusal) => {
            let status = status::refuse_resolve(&reconciliation.observed.request, &refusal);
            write::status(reconciliation, status, "RefuseResolve", context).await?;
            report::resolve_refused(reconciliation, &refusal, context).await;
            Ok(())
        }
        Step::RecordProgress(progress) => {
            let status = status::with_progress(&reconciliation.observed.request, &progress, &now);
            write::status(reconciliation, status, "RecordProgress", context).await?;
            let uptime = context.process.uptime.now();
            reconciliation.remember(context, |memory| memory.record_progress(&progress, uptime));
            Ok(())
        }
        Step::RecordApproval(progress) => {
            let status = status::with_progress(&reconciliation.observed.request, &progress, &now);
            write::status(reconciliation, status, "RecordApproval", context).await
        }
        Step::Finish(completion) => {
            let status = status::finish(&reconciliation.observed.request, &completion, &now);
            let uid = reconciliation.uid();
            let write = Box::pin(write::status(reconciliation, status, "Finish", context));
            context.requests.claims.while_finishing(&uid, write).await?;
            let desktops = reconciliation.observed.request.status.summary.unwrap_or_default();
            context.process.metrics.completed(completion.succeeded, desktops);
            context.requests.claims.mark_finished(&uid);
            Ok(())
        }
        Step::Sign(_) | Step::Post => Err(Error::Fault("a submission outside of its task")),
        Step::Wait(_) | Step::StartOver | Step::Done => Ok(()),
    }
}

/// Reports that the request is queued. This write is not part of the usual path, so it is counted separately.
///
/// # Errors
/// As [`step`].
pub async fn report_queued(reconciliation: &mut Reconciliation, context: &Context) -> Result<(), Error> {
    let now = Time(context.process.clock.now());
    let status = status::with_progress(&reconciliation.observed.request, &Progress::queued(), &now);
    write::status(reconciliation, status, "RecordQueued", context).await
}

/// Waits for a permit to send, if the circuit breaker lets a submission through: another one may have been faster, and then
/// the next decision knows.
async fn acquire_permit(reconciliation: &mut Reconciliation) -> Result<(), Error> {
    if !reconciliation.admit()? {
        return Ok(());
    }
    // A request that returned its permit to read again does not queue again, or a long queue would never end.
    let priority = match reconciliation.observed.permit {
        SendPermit::Returned => Priority::Resumption,
        SendPermit::None | SendPermit::Held => Priority::Submission,
    };
    let session = reconciliation.session()?.clone();
    reconciliation.permit = session.acquire(priority).await;
    if reconciliation.permit.is_some() {
        reconciliation.observed.permit = SendPermit::Held;
    }
    Ok(())
}

/// A signed request that was not sent yet; [`post`] sends it and consumes it.
#[must_use = "what is signed is sent, or recorded as not sent"]
pub struct Signed {
    request: SignedRequest,
    attempt: AttemptID,
    cloud: Arc<dyn Workspace>,
}

/// Signs a submission; `None` if it cannot be made now, which the next decision knows.
///
/// # Errors
/// The project was not read before.
pub fn sign(
    reconciliation: &mut Reconciliation,
    batch: Batch,
    context: &Context,
) -> Result<Option<Signed>, Error> {
    // The circuit may have opened during the wait for the permit.
    if !reconciliation.admit()? {
        return Ok(None);
    }
    let spec = &reconciliation.object.spec;
    let body = BatchDelete {
        desktop_ids: batch.desktop_ids.clone(),
        delete_users: spec.delete_users,
        email_notification: spec.email_notification,
        force: spec.force,
    };
    let since = context.process.uptime.now();
    let cloud = reconciliation.cloud()?;
    let request = match cloud.sign_batch_delete(&body, context.process.clock.now()) {
        Ok(request) => request,
        Err(error) => {
            read::read_failure(reconciliation, &error, context);
            return Ok(None);
        }
    };
    let (auth, not_after) = validity(&request, &context.process.config.timing);
    let attempt = Attempt {
        // The reservation is valid for this attempt only.
        id: reconciliation
            .observed
            .reserved
            .take()
            .unwrap_or_else(|| new_attempt_id(context)),
        writer: context.process.config.identity.clone(),
        auth,
        desktop_ids: batch.desktop_ids,
        baseline_job_ids: batch.baseline_job_ids,
        baseline_failed_ids: batch.baseline_failed_ids,
        baseline_incomplete: batch.baseline_incomplete,
        body_digest: request.digest().to_owned(),
        plan_hash: batch.plan_hash,
        signed_at: Time(request.signed_at()),
        not_after: not_after.map(Time),
        outcome: Outcome::Pending,
        job_ids: vec![],
        error: None,
    };
    // In a trace, the attempt is found by the ID that the status has.
    tracing::Span::current().record("attempt", attempt.id.as_str());
    // Whether a desktop was idle before says nothing about the effect of the job.
    reconciliation.remember(context, RequestMemory::forget_idle);
    reconciliation.signed_uptime = Some(since);
    let signed = Signed {
        request,
        attempt: attempt.id.clone(),
        cloud,
    };
    reconciliation.observed.submission = Submission::Signed { attempt, fresh: true };
    Ok(Some(signed))
}

/// How a request is authenticated, and until when it can be accepted.
fn validity(signed: &SignedRequest, timing: &Timing) -> (AuthMethod, Option<Timestamp>) {
    match signed.authentication() {
        Authentication::Signature { key_ends } => {
            let end = deadlines::end_of_signature(signed.signed_at(), key_ends, timing);
            (AuthMethod::Signature, Some(end))
        }
        Authentication::Token { ends } => (AuthMethod::Token, ends),
    }
}

fn new_attempt_id(context: &Context) -> AttemptID {
    // Sixteen hexadecimal digits are always an identifier.
    #[allow(clippy::expect_used)]
    AttemptID::try_from(format!("{:016x}", context.process.clock.random()))
        .expect("hexadecimal digits are an identifier")
}

/// Sends the signed request.
pub async fn post(reconciliation: &mut Reconciliation, signed: Signed, context: &Context) {
    let Signed {
        request,
        attempt,
        cloud,
    } = signed;
    // Between the guard in `plan` and this call there is no await.
    let result = match cloud.send(request).await {
        Ok(answer) => PostResult::Accepted(answer.value),
        Err(error) => record_post_failure(reconciliation, &attempt, &error, context),
    };
    (reconciliation.permit, reconciliation.half_open_permit) = (None, None);
    reconciliation.observed.permit = SendPermit::None;
    reconciliation.observed.submission = Submission::Responded { attempt, result };
}

fn record_post_failure(
    reconciliation: &Reconciliation,
    attempt: &AttemptID,
    error: &CloudFailure,
    context: &Context,
) -> PostResult {
    let stored = cloud_error(error, Time(context.process.clock.now()));
    let failure = SubmissionFailure {
        attempt: attempt.clone(),
        at: context.process.uptime.now(),
        class: classify(error),
        in_a_row: 1,
        retry_after: error.error_response().and_then(|response| response.retry_after),
        credentials: reconciliation
            .project_session
            .as_ref()
            .map(|project_session| project_session.version.clone()),
    };
    reconciliation.remember(context, |memory| memory.record_failure(failure));
    match classify(error) {
        _ if error.was_not_sent() => PostResult::NotSent(stored),
        ErrorClass::InDoubt => PostResult::OutcomeUnknown(stored),
        _ => PostResult::Rejected(stored),
    }
}

fn count(outcome_update: &OutcomeUpdate, context: &Context) {
    let class = outcome_update.error.as_ref().map(|error| error.class);
    match outcome_update.outcome {
        Outcome::Pending => context.process.metrics.response_lost(),
        outcome => context
            .process
            .metrics
            .attempt_settled(outcome, class.map(ErrorClass::as_str)),
    }
}
