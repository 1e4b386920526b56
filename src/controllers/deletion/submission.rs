//! From the signature to the record, in a separate task: no reconcile timeout, no lost watch and no shutdown interrupts
//! the steps between the response of the cloud and its record. Unless a second signal ends it, the process exits only
//! after the task has ended.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tokio::sync::oneshot;
use tracing::Instrument;
use tracing::field::Empty;

use super::super::{Context, api};
use super::reconciliation::Reconciliation;
use super::{Error, execute, facts, report};
use crate::plan::observed::Submission;
use crate::plan::plan;
use crate::plan::step::{Batch, Step};

/// First and longest pause between two tries to store the outcome of a submission.
const RECORD_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often the API server may reject the outcome of a submission, before it is reported only in log, metrics and
/// Events.
const MAX_REJECTIONS: u32 = 20;

/// Submits, starting with the signature, and returns the reconciliation after the outcome is recorded.
///
/// # Errors
/// The intent could not be stored, so nothing was sent.
pub async fn run(
    reconciliation: Reconciliation,
    batch: Batch,
    context: Arc<Context>,
) -> Result<Reconciliation, Error> {
    let in_progress = context.requests.submissions.begin(reconciliation.uid());
    let (sender, receiver) = oneshot::channel();
    let submissions = context.requests.submissions.clone();
    let submission = async move {
        let reference = reconciliation.reference();
        let mut reconciliation = reconciliation;
        let result = Box::pin(submit(&mut reconciliation, batch, &context)).await;
        // The claim outlives the reconciliation only if the request may have reached the cloud.
        reconciliation.release_claim(&context);
        let result = result.map(|()| reconciliation);
        drop(in_progress);
        // If the reconcile was dropped, no caller waits; the object is then requeued.
        if sender.send(result).is_err() {
            context.requests.queue.add(reference);
        }
    };
    submissions.spawn(submission.instrument(tracing::info_span!("submit", attempt = Empty)));
    receiver
        .await
        .unwrap_or(Err(Error::Fault("panic in a submission; see the log")))
}

/// Signs, stores the intent, sends, and stores the outcome. A signed request is sent at most once.
async fn submit(reconciliation: &mut Reconciliation, batch: Batch, context: &Context) -> Result<(), Error> {
    let Some(signed) = execute::sign(reconciliation, batch, context)? else {
        return Ok(());
    };
    loop {
        match next(reconciliation, context) {
            intent @ Step::RecordIntent(_) => store_intent(reconciliation, intent, context).await?,
            // It is not sent any more, which is recorded next.
            release @ Step::ReleasePermit => execute::step(reconciliation, release, context).await?,
            Step::Post => break,
            unsent => return record(reconciliation, unsent, context).await,
        }
    }
    execute::post(reconciliation, signed, context).await;
    let outcome = next(reconciliation, context);
    record(reconciliation, outcome, context).await
}

fn next(reconciliation: &mut Reconciliation, context: &Context) -> Step {
    facts::refresh(reconciliation, context);
    plan(&reconciliation.observed)
}

/// Records the outcome of the submission, if there is one to record.
async fn record(reconciliation: &mut Reconciliation, step: Step, context: &Context) -> Result<(), Error> {
    match step {
        Step::RecordOutcome(_) => {
            store_outcome(reconciliation, step, context).await?;
            // Reads from before the call say nothing about the time after it.
            reconciliation.forget_reads(context.process.uptime.now());
            Ok(())
        }
        // A request that was signed but not sent ends with this task.
        _ if matches!(reconciliation.observed.submission, Submission::Signed { .. }) => Err(Error::StartOver),
        Step::StartOver => Err(Error::StartOver),
        _ => Ok(()),
    }
}

/// Stores the intent. If the response is lost, the object shows whether the intent was stored; then the submission
/// continues, as long as the guard in `plan` permits it. Otherwise the reconciliation starts over.
async fn store_intent(
    reconciliation: &mut Reconciliation,
    step: Step,
    context: &Context,
) -> Result<(), Error> {
    let error = match execute::step(reconciliation, step, context).await {
        Err(Error::Api(
            error @ (api::Error::Conflict | api::Error::Failed { .. } | api::Error::NoResponse { .. }),
        )) => error,
        Err(Error::Api(api::Error::Refused { reason, .. })) => return Err(Error::IntentRefused(reason)),
        result => return result,
    };
    reload(
        reconciliation,
        context,
        &error.to_string(),
        ReloadPolicy::UntilRefused,
    )
    .await?;
    let Submission::Signed { attempt, .. } = &reconciliation.observed.submission else {
        return Err(Error::StartOver);
    };
    match (reconciliation.observed.request.attempt(&attempt.id), error) {
        (Some(_), _) => Ok(()),
        (None, api::Error::Conflict) => Err(Error::StartOver),
        (None, error) => Err(Error::Api(error)),
    }
}

/// Stores the outcome of the submission, retrying until it succeeds.
async fn store_outcome(
    reconciliation: &mut Reconciliation,
    mut step: Step,
    context: &Context,
) -> Result<(), Error> {
    let mut pause = RECORD_BACKOFF.0;
    let mut rejections = 0;
    loop {
        let result = execute::step(reconciliation, step.clone(), context).await;
        rejections += u32::from(matches!(result, Err(Error::Api(api::Error::Refused { .. }))));
        match result {
            Ok(()) => return Ok(()),
            // The attempt stays open; recovery decides its outcome by evidence.
            Err(_) if rejections > MAX_REJECTIONS => {
                report::outcome_not_recorded(reconciliation, context).await;
                return Err(Error::StartOver);
            }
            Err(
                error @ (Error::Api(api::Error::NotFound)
                | Error::IllegalTransition(_)
                | Error::Undecodable(_)),
            ) => {
                return Err(outcome_not_stored(reconciliation, &step, &error, context).await);
            }
            Err(error) => {
                let (name, namespace) = (reconciliation.object.name_any(), reconciliation.namespace());
                tracing::warn!(namespace, name, %error, "the outcome of a submission could not be stored, retrying");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECORD_BACKOFF.1);
                if let Err(error) =
                    reload(reconciliation, context, &error.to_string(), ReloadPolicy::Endless).await
                {
                    return Err(outcome_not_stored(reconciliation, &step, &error, context).await);
                }
            }
        }
        step = match plan(&reconciliation.observed) {
            next @ Step::RecordOutcome(_) => next,
            // The attempt was settled in the meantime, and the response contains no job.
            Step::StartOver => return Err(Error::StartOver),
            _ => step,
        };
    }
}

/// The outcome cannot be stored. If the object is gone, its desktops stay reserved depending on the outcome of the
/// call.
async fn outcome_not_stored(
    reconciliation: &Reconciliation,
    step: &Step,
    error: &Error,
    context: &Context,
) -> Error {
    if matches!(error, Error::Api(_)) {
        context.requests.claims.mark_deleted(&reconciliation.uid());
        if let Step::RecordOutcome(outcome_update) = step {
            context
                .requests
                .claims
                .record_outcome(&reconciliation.uid(), outcome_update);
        }
    }
    report::outcome_not_recorded(reconciliation, context).await;
    Error::StartOver
}

/// How long reading the object is retried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReloadPolicy {
    /// Until the API server rejects it: nothing was sent that would have to be recorded.
    UntilRefused,
    /// Without limit.
    Endless,
}

/// Reads the object again.
///
/// # Errors
/// It is gone, was replaced by another one of the same name, or can no longer be decoded; or the API server rejects the
/// read and `UntilRefused` applies.
async fn reload(
    reconciliation: &mut Reconciliation,
    context: &Context,
    why: &str,
    policy: ReloadPolicy,
) -> Result<(), Error> {
    let (name, uid) = (reconciliation.object.name_any(), reconciliation.object.uid());
    let requests = reconciliation.requests(context);
    let mut pause = RECORD_BACKOFF.0;
    loop {
        match api::call("read the DesktopDeletion", requests.get_opt(&name)).await {
            Ok(Some(object)) if object.uid() == uid => {
                return reconciliation.update(object, context);
            }
            Ok(_) => return Err(Error::Api(api::Error::NotFound)),
            Err(error @ api::Error::Refused { .. }) if policy == ReloadPolicy::UntilRefused => {
                return Err(Error::Api(error));
            }
            Err(error) => {
                tracing::warn!(namespace = reconciliation.namespace(), name, why, %error, "failed to read the object; retrying");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECORD_BACKOFF.1);
            }
        }
    }
}
