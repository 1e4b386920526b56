//! The controller for `DesktopDeletion`. Its loop is `run_steps`: start from the object in the cache, ask [`plan`], execute
//! one step, and ask again, until there is nothing to do but wait. The order of the steps of a submission is
//! in the docs of the crate (`src/lib.rs`).
//!
//! | file | content |
//! | --- | --- |
//! | [`watch`] | the watch of unfinished requests |
//! | [`queue`] | which request is reconciled next |
//! | [`reconciliation`] | the state of one reconciliation: what was loaded and read so far |
//! | [`facts`] | applies the rules about time in `plan`: the facts for the decision, and the delay until the next reconciliation |
//! | [`execute`] | carries out one step: the only place with effects |
//! | [`submission`] | sends the delete request and records the response, in a task that nothing cancels |
//! | [`in_progress`] | which submissions are in progress |
//! | [`report`] | Events and log lines |
//! | [`slots`] | how many reconciliations may run |
//! | [`first_report`] | the first conditions of a request that is still queued |
//! | [`memory`] | what is remembered between two reconciliations |

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::cache::{Source, version};
use super::{Context, api};
use crate::crd::conditions::Reason;
use crate::crd::{DesktopDeletion, RESOLVE_ANNOTATION};
use crate::plan::progress::{Progress, Requeue};
use crate::plan::status::{self, IllegalTransition};
use crate::plan::step::Step;
use crate::plan::{deadlines, plan};

pub mod execute;
pub mod facts;
pub mod first_report;
pub mod in_progress;
pub mod memory;
pub mod queue;
pub mod reconciliation;
pub mod report;
pub mod slots;
pub mod submission;
pub mod watch;

use queue::Work;
use reconciliation::Reconciliation;
use slots::Slot;

/// Most steps of one reconciliation. The longest legitimate one reads a hundred desktops one by one.
const MAX_STEPS: usize = 400;

/// From this many failures of the API server in a row on, they are reported like a rejection: an admission webhook that
/// is down rejects every write, and does not recover by itself.
const FAILURES_BEFORE_REPORT: u32 = 4;

/// How soon a reconciliation that met a newer object starts over.
const START_OVER_DELAY: Duration = Duration::from_millis(250);

/// Why a reconciliation ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object, or what was known of it, is out of date.
    #[error("the object changed meanwhile")]
    StartOver,
    /// A call to the API server failed.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The status does not allow the move.
    #[error("illegal transition of the status: {0}")]
    IllegalTransition(#[from] IllegalTransition),
    /// The API server rejects the write of the intent, so nothing is sent.
    #[error("the API server rejected the status update that records the delete request: {0}")]
    IntentRefused(String),
    /// This version cannot decode the object.
    #[error("the object cannot be decoded: {0}")]
    Undecodable(String),
    /// A fault in this program.
    #[error("internal error of the operator: {0}")]
    Fault(&'static str),
}

/// Reconciles what is due until the operator stops, and waits for the reconciliations that are running then.
pub async fn run(context: Arc<Context>) {
    let mut running = JoinSet::new();
    let stopping = context.process.stopping.clone();
    while let Some(work) = stopping.run_until_cancelled(context.requests.queue.next()).await {
        let Some(slot) = stopping
            .run_until_cancelled(context.requests.slots.acquire(&work.key.namespace))
            .await
        else {
            break;
        };
        while running.try_join_next().is_some() {}
        running.spawn(handle_work(work, slot, context.clone()));
    }
    while running.join_next().await.is_some() {}
}

/// Reconciles a request, and schedules its next reconciliation if there is one.
async fn handle_work(work: Work, slot: Slot, context: Arc<Context>) {
    let Work { key, since } = work;
    let since = context.process.uptime.at(since);
    // Read only now, so that events of the watch during the wait for the slot are included.
    let Some((object, source)) = context.requests.cache.source(&key.namespace, &key.name) else {
        return context.requests.queue.done(key, None, None);
    };
    let Reconciled {
        decided_version,
        result,
    } = reconcile(&object, source, since, slot, &context).await;
    let requeue = result.unwrap_or_else(|error| retry_after(&object, &error, &context));
    let cached = context.requests.cache.get(&key.namespace, &key.name);
    if cached.is_none_or(|cached| cached.uid() != object.uid()) {
        // What its end removed may have been recorded again in the meantime.
        context.forget_memory(&object.uid().unwrap_or_default());
    }
    context.requests.queue.done(key, decided_version, requeue);
}

/// The result of a reconciliation.
struct Reconciled {
    /// The version of the object that the last decision is based on.
    decided_version: Option<u64>,
    /// Delay until the next reconciliation if nothing changes.
    result: Result<Option<Duration>, Error>,
}

impl Reconciled {
    fn undecided(result: Result<Option<Duration>, Error>) -> Self {
        Self {
            decided_version: None,
            result,
        }
    }
}

/// Reconciles a request that is due `since` then, and counts how that ended.
async fn reconcile(
    object: &DesktopDeletion,
    source: Source,
    since: Duration,
    slot: Slot,
    context: &Arc<Context>,
) -> Reconciled {
    let started = Instant::now();
    let span = tracing::info_span!(
        "reconcile",
        namespace = object.namespace(),
        name = object.name_any(),
        uid = object.uid(),
        result = Empty,
        otel.status_code = Empty,
    );
    let reconciled = Box::pin(load_and_run(object, source, since, slot, context)).instrument(span.clone());
    // A panic on one object must not stop the operator.
    let reconciled = match AssertUnwindSafe(reconciled).catch_unwind().await {
        Ok(reconciled) => reconciled,
        Err(_) => after_panic(object, since, context).await,
    };
    if reconciled.result.is_ok() {
        context
            .requests
            .memory
            .reset_api_failures(&object.uid().unwrap_or_default());
    }
    let result_label = match &reconciled.result {
        Ok(_) => "ok",
        Err(Error::StartOver | Error::Api(api::Error::Conflict)) => "conflict",
        Err(_) => {
            span.record("otel.status_code", "ERROR");
            "error"
        }
    };
    span.record("result", result_label);
    context
        .process
        .metrics
        .reconcile("DesktopDeletion", result_label, started.elapsed());
    reconciled
}

async fn load_and_run(
    object: &DesktopDeletion,
    source: Source,
    since: Duration,
    mut slot: Slot,
    context: &Arc<Context>,
) -> Reconciled {
    let began = match source {
        Source::Wait(remaining) => return Reconciled::undecided(Ok(Some(remaining))),
        Source::Cache => Ok(Some(Reconciliation::cached(object, since, context))),
        Source::Live => Reconciliation::live(object, since, context).await,
    };
    let reconciliation = match began {
        Ok(Some(reconciliation)) => reconciliation,
        Ok(None) => return Reconciled::undecided(Ok(None)),
        Err(error) => return Reconciled::undecided(Err(error)),
    };
    let (reconciliation, result) = Box::pin(run_steps(reconciliation, &mut slot, context)).await;
    let decided_version = reconciliation
        .as_ref()
        .and_then(|reconciliation| version(&reconciliation.object.metadata));
    if let Some(reconciliation) = reconciliation {
        reconciliation.release_claim(context);
        if reconciliation.has_ended() {
            context.forget(&reconciliation.uid());
        }
    }
    match result {
        Ok(_) => Reconciled {
            decided_version,
            result,
        },
        Err(error) => handle_failure(object, decided_version, error, context).await,
    }
}

/// Releases what a reconciliation that panicked has claimed, and reports it.
async fn after_panic(object: &DesktopDeletion, since: Duration, context: &Context) -> Reconciled {
    // Only a live read shows whether the request has reached the cloud.
    if let Ok(Some(live)) = Reconciliation::live(object, since, context).await {
        live.release_claim(context);
    }
    handle_failure(object, None, Error::Fault("the reconciliation panicked"), context).await
}

/// Handles the failure of a reconciliation.
async fn handle_failure(
    object: &DesktopDeletion,
    decided_version: Option<u64>,
    error: Error,
    context: &Context,
) -> Reconciled {
    let earlier = context
        .requests
        .memory
        .api_failures(&object.uid().unwrap_or_default());
    let failures = earlier + 1;
    let reported_version = match &error {
        Error::IntentRefused(reason) => {
            let message = format!(
                "the API server rejected the status update that records the delete request, so nothing was sent: {reason}; check the validation rules of the CRD and the operator's permissions"
            );
            report_failure(object, Reason::IntentRefused, message, context).await
        }
        Error::Api(refused @ api::Error::Refused { .. }) => access_denied(object, refused, context).await,
        // Only a live read shows its present state.
        Error::Api(api::Error::Failed { .. }) | Error::Fault(_) | Error::IllegalTransition(_)
            if failures < FAILURES_BEFORE_REPORT =>
        {
            context.requests.cache.mark_uncertain(object);
            Ok(None)
        }
        Error::Api(failed @ api::Error::Failed { .. }) => {
            context.requests.cache.mark_uncertain(object);
            access_denied(object, failed, context).await
        }
        Error::Fault(_) | Error::IllegalTransition(_) => {
            context.requests.cache.mark_uncertain(object);
            let message =
                format!("{error}. Report this to the maintainers of the operator, with its log; retrying");
            report_failure(object, Reason::InternalError, message, context).await
        }
        Error::StartOver | Error::Api(api::Error::Conflict | api::Error::NoResponse { .. }) => {
            context.requests.cache.mark_uncertain(object);
            Ok(None)
        }
        Error::Api(api::Error::NotFound) => {
            context.requests.cache.mark_not_found(object);
            Ok(None)
        }
        _ => Ok(None),
    };
    let (reported, result) = match (reported_version, error) {
        (Err(report_error), _) => (None, Err(report_error)),
        (Ok(reported), Error::IntentRefused(_)) => {
            (reported, Ok(Some(context.process.config.timing.retry_max)))
        }
        (Ok(reported), error) => (reported, Err(error)),
    };
    Reconciled {
        decided_version: reported.or(decided_version),
        result,
    }
}

/// Reports that the API server rejects a call that the operator needs; a status write may still be permitted.
async fn access_denied(
    object: &DesktopDeletion,
    error: &api::Error,
    context: &Context,
) -> Result<Option<u64>, Error> {
    let message =
        format!("{error}; check the operator's permissions (RBAC) and the cluster's admission policies");
    report_failure(object, Reason::AccessDenied, message, context).await
}

/// Stores that a request is stalled, unless the conditions report that already or it has ended. Returns the present
/// version if the request has not been edited since the copy `object`: the decision would be the same.
async fn report_failure(
    object: &DesktopDeletion,
    reason: Reason,
    message: String,
    context: &Context,
) -> Result<Option<u64>, Error> {
    let Some(mut reconciliation) = live_or_copy(object, context).await? else {
        return Ok(None);
    };
    let unedited = user_editable_parts(object) == user_editable_parts(&reconciliation.object);
    let request = &reconciliation.observed.request;
    let progress = Progress::stalled(reason, message, Requeue::Retry);
    if request.status.completion_time.is_none() && status::would_change(request, &progress) {
        execute::step(&mut reconciliation, Step::RecordProgress(progress), context).await?;
    }
    Ok(version(&reconciliation.object.metadata).filter(|_| unedited))
}

/// The live request, or the copy `object` if the API server forbids the read. The write is conditional on the
/// resourceVersion, so an outdated copy changes nothing; a copy that lacks parts of the status would remove these.
async fn live_or_copy(object: &DesktopDeletion, context: &Context) -> Result<Option<Reconciliation>, Error> {
    let now = context.process.uptime.now();
    match Reconciliation::live(object, now, context).await {
        Err(Error::Api(api::Error::Refused { .. })) if !context.requests.cache.is_partial(object) => {
            Ok(Some(Reconciliation::cached(object, now, context)))
        }
        live => live,
    }
}

/// The parts of a request that users may change.
fn user_editable_parts(object: &DesktopDeletion) -> impl PartialEq {
    let metadata = &object.metadata;
    let resolve = object.annotations().get(RESOLVE_ANNOTATION).cloned();
    let deleted = metadata.deletion_timestamp.clone();
    (metadata.generation, metadata.finalizers.clone(), deleted, resolve)
}

/// Takes one step after another, until there is nothing to do but wait. Returns the reconciliation, unless it was lost
/// in its submission, and the delay until the request is due again.
async fn run_steps(
    mut reconciliation: Reconciliation,
    slot: &mut Slot,
    context: &Arc<Context>,
) -> (Option<Reconciliation>, Result<Option<Duration>, Error>) {
    for _ in 0..MAX_STEPS {
        facts::refresh(&mut reconciliation, context);
        if reconciliation.observed.facts.stopping {
            // The next leader continues from what is stored.
            return (Some(reconciliation), Ok(None));
        }
        let result = match plan(&reconciliation.observed) {
            Step::Done => return (Some(reconciliation), Ok(None)),
            Step::Wait(progress) => {
                reconciliation.remember_wait(&progress, context);
                let delay = facts::delay(&reconciliation, progress.requeue, context);
                return (Some(reconciliation), Ok(Some(delay)));
            }
            Step::StartOver => Err(Error::StartOver),
            // Nothing may interrupt the steps from the signature to the record.
            Step::Sign(batch) => {
                slot.release();
                match submission::run(reconciliation, batch, context.clone()).await {
                    Ok(submitted) => reconciliation = submitted,
                    Err(error) => return (None, Err(error)),
                }
                Ok(())
            }
            step => {
                if step.may_wait_long() {
                    slot.release();
                }
                execute::step(&mut reconciliation, step, context).await
            }
        };
        if let Err(error) = result {
            return (Some(reconciliation), Err(error));
        }
        slot.reacquire().await;
    }
    (
        Some(reconciliation),
        Err(Error::Fault(
            "a reconciliation exceeded the maximum number of steps",
        )),
    )
}

/// Delay until a request whose reconciliation failed is due again.
fn retry_after(object: &DesktopDeletion, error: &Error, context: &Context) -> Option<Duration> {
    let pause = match error {
        // Its watch reports it, and wakes it once that has changed.
        Error::Undecodable(_) => return None,
        Error::StartOver | Error::Api(api::Error::Conflict | api::Error::NotFound) => START_OVER_DELAY,
        Error::Api(_) | Error::IntentRefused(_) | Error::IllegalTransition(_) | Error::Fault(_) => {
            let uid = object.uid().unwrap_or_default();
            let failures = context.requests.memory.api_failed(&uid);
            let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
            tracing::warn!(namespace, name, %error, "failed to reconcile DesktopDeletion; retrying");
            deadlines::exponential(failures, &context.process.config.timing)
        }
    };
    Some(deadlines::with_jitter(pause, context.process.clock.random()))
}
