//! The controller for `DesktopDeletion`: load the live object, ask [`plan`], execute one step, ask again, until
//! there is nothing to do but wait.
//!
//! | file | what |
//! | --- | --- |
//! | [`reconciliation`] | one run over one object: what was loaded and read so far |
//! | [`facts`] | hands the times to the rules of `plan`, and what follows to the decision |
//! | [`execute`] | carries out one step: the only place with effects |
//! | [`submission`] | sends and records in a task that nothing cancels |
//! | [`report`] | Events and log lines |
//! | [`slots`] | which passes may run |
//! | [`memory`] | what is remembered between two passes |
//! | [`event_recorder`] | who publishes the Events of which request |

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, future, stream};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::raw::Raw;
use super::undecodable::{Change, Sorted};
use super::{Context, Scope, api, watchdog};
use crate::cloud::rate_limiter::Priority;
use crate::crd::conditions::Reason;
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::plan::progress::{Progress, Requeue};
use crate::plan::status::{self, IllegalMove};
use crate::plan::step::Step;
use crate::plan::{deadlines, plan};

pub mod event_recorder;
pub mod execute;
pub mod facts;
pub mod memory;
pub mod reconciliation;
pub mod report;
pub mod slots;
pub mod submission;

pub use event_recorder::EventRecorders;
pub use memory::Memory;
pub use slots::Slots;
pub use submission::Submissions;

use reconciliation::Reconciliation;
use slots::Slot;

/// Most steps of one pass. The longest honest one reads a hundred desktops one by one.
const MOST_STEPS: usize = 400;

/// How soon a pass that met a newer object starts over.
const START_OVER: Duration = Duration::from_millis(250);

/// Selects unfinished requests on the server: finished ones cost the operator nothing.
const UNFINISHED: &str = "status.completionTime=";

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object, or what was known of it, is out of date.
    #[error("the object changed meanwhile")]
    StartOver,
    /// The API server did not do what it was asked to.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The status does not allow the move.
    #[error("the status does not allow the move: {0}")]
    Illegal(#[from] IllegalMove),
    /// The API server refuses to store the intent, so nothing is sent.
    #[error("the API server refuses to store the intent: {0}")]
    IntentRefused(String),
    /// This version cannot decode the object.
    #[error("the object cannot be decoded: {0}")]
    Undecodable(String),
    /// A fault in this program.
    #[error("a fault in the operator: {0}")]
    Fault(&'static str),
}

/// Runs the controller over one namespace, or over all of them, until the operator stops.
pub async fn run(context: Arc<Context>, scope: Scope, woken: UnboundedReceiver<ObjectRef<DesktopDeletion>>) {
    let requests: Api<Raw<DesktopDeletion>> = scope.api(&context.client);
    let projects: Api<PartialObjectMeta<WorkspaceProject>> = scope.api(&context.client);
    let (reader, writer) = reflector::store();
    let (watched, noting, echoing) = (scope.clone(), context.clone(), context.clone());
    let cache = reader.clone();
    let stream = watcher(requests, watcher::Config::default().fields(UNFINISHED))
        .default_backoff()
        .inspect_err({
            let (scope, context) = (scope.clone(), context.clone());
            move |error| context.claims.requests_failed(&scope, error)
        })
        .try_filter_map(move |event| future::ok(take_in(event, &watched, &cache, &noting)))
        .reflect(writer)
        .applied_objects()
        .predicate_filter(waking_hash, PredicateConfig::default())
        .try_filter(move |object| future::ready(!echoing.memory.foresaw(object)));
    let submissions = context.submissions.clone();
    let underway = move |uid: &str| submissions.is_underway(uid);
    context.metrics.watch_requests(reader.clone(), underway);
    let store = reader.clone();
    let ready = context.health.check(scope.check("desktopdeletions"));
    let unsynced = super::stopped_unsynced(reader.clone(), ready, context.stopping.clone());
    let interval = context.config.timing.watch_check;
    let pulse = context.health.pulse(
        format!("watch of {}", scope.check("desktopdeletions")),
        interval * 3,
    );
    let watchdog = watchdog::run(
        (context.client.clone(), scope, UNFINISHED),
        (reader.clone(), context.undecodable.clone()),
        interval,
        pulse,
        context.stopping.clone(),
    );
    let stop = context.stopping.clone();
    // Passes take permits by namespace, which the controller's own limit does not know.
    let controller = Controller::for_stream(stream, reader)
        .watches(projects, watcher::Config::default(), move |project| {
            of_project(&store, &project)
        })
        .reconcile_on(stream::unfold(woken, |mut woken| async move {
            Some((woken.recv().await?, woken))
        }))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, error_policy, context.clone())
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "controller for desktopdeletions");
            }
        });
    tokio::select! {
        _ = future::join(controller, watchdog) => {}
        () = unsynced => {}
    }
}

/// Takes in what the watch says, and gives what the cache is to hold of it.
fn take_in(
    event: watcher::Event<Raw<DesktopDeletion>>,
    scope: &Scope,
    cache: &Store<DesktopDeletion>,
    context: &Context,
) -> Option<watcher::Event<DesktopDeletion>> {
    let change = Change::of(&event);
    match context
        .undecodable
        .sort(scope, event, cache, context.uptime.now())
    {
        Sorted::Known(event, decodable_again) => {
            for gone in context.claims.note(scope, &event) {
                context.forget(&gone);
            }
            if let Some(object) = decodable_again {
                // Its spec need not have changed, so nothing else would.
                context.pollers.wake(object);
            }
            Some(event)
        }
        Sorted::Unknown {
            json,
            metadata,
            remove,
        } => {
            if change == Change::Deleted {
                let gone = context.claims.undecodable_is_gone(scope, &json, &metadata);
                context.undecodable.forget(&gone);
                context.forget(&gone);
            } else {
                let listed = change == Change::Listed;
                context.claims.note_undecodable(scope, &json, &metadata, listed);
            }
            remove
        }
    }
}

/// A hash of what wakes a request when it changes: spec, finalizers, annotations. Status is written by us alone.
pub fn waking_hash(object: &DesktopDeletion) -> Option<u64> {
    predicates::generation
        .combine(predicates::finalizers)
        .combine(predicates::annotations)
        .hash_property(object)
}

/// The unfinished requests of a project that changed.
fn of_project(
    store: &Store<DesktopDeletion>,
    project: &PartialObjectMeta<WorkspaceProject>,
) -> Vec<ObjectRef<DesktopDeletion>> {
    let (name, namespace) = (project.name_any(), project.namespace());
    let concerned = |object: &&Arc<DesktopDeletion>| {
        object.spec.project_ref.name == name && object.namespace() == namespace
    };
    store
        .state()
        .iter()
        .filter(concerned)
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}

/// Runs the pass as a task, which is aborted with the reconcile. All reconciles of kube's controller are polled whenever
/// one of them can go on: a task that is not ready costs next to nothing then, however many wait in line.
async fn reconcile(object: Arc<DesktopDeletion>, context: Arc<Context>) -> Result<Action, Error> {
    let begun = Instant::now();
    let pass = tokio::spawn(reconcile_when_permitted(object, context.clone()).in_current_span());
    // One poisoned object must not end the operator, which would be every object's end.
    AbortOnDropHandle::new(pass).await.unwrap_or_else(|_panic| {
        context
            .metrics
            .reconcile("DesktopDeletion", "error", begun.elapsed());
        Err(Error::Fault("panic in reconcile; see the log"))
    })
}

/// Waits for its permit, and counts how the pass ended.
async fn reconcile_when_permitted(
    object: Arc<DesktopDeletion>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let asked = context.uptime.now();
    context
        .memory
        .change(&object.uid().unwrap_or_default(), |memory| {
            memory.first_seen.get_or_insert(asked);
        });
    let in_line = context.upcoming.announce(&object);
    let slot = tokio::select! {
        slot = context.passes.enter(&object) => slot,
        // Whoever leads next goes on from what is stored.
        () = context.stopping.cancelled() => return Ok(Action::await_change()),
    };
    drop(in_line);
    let started = Instant::now();
    let result = Box::pin(run_pass(&object, asked, slot, &context)).await;
    if result.is_ok() {
        context.memory.api_is_well(&object.uid().unwrap_or_default());
    }
    let word = match &result {
        Ok(_) => "ok",
        Err(Error::StartOver | Error::Api(api::Error::Conflict)) => "conflict",
        Err(_) => "error",
    };
    context
        .metrics
        .reconcile("DesktopDeletion", word, started.elapsed());
    result
}

async fn run_pass(
    object: &DesktopDeletion,
    asked: Duration,
    mut slot: Slot,
    context: &Arc<Context>,
) -> Result<Action, Error> {
    let Some(pass) = Reconciliation::load(object, asked, context).await? else {
        context.forget(&object.uid().unwrap_or_default());
        return Ok(Action::await_change());
    };
    let mut current = Some(pass);
    let result = Box::pin(drive(&mut current, &mut slot, context)).await;
    if let Some(pass) = current {
        context.claims.settle(&pass.object);
    }
    if let Err(Error::Api(error @ api::Error::Refused { .. })) = &result {
        access_denied(object, error, context).await?;
    }
    result
}

/// Says that the API server refuses what the operator needs, which a status write may not be hindered by.
async fn access_denied(object: &DesktopDeletion, error: &api::Error, context: &Context) -> Result<(), Error> {
    let message = format!("{error}; check the operator's rights (RBAC) and the cluster's admission policies");
    say(
        object,
        Progress::stalled(Reason::AccessDenied, message, Requeue::Retry),
        context,
    )
    .await
}

/// Stores what the conditions say, unless they say so already or the request has ended.
async fn say(object: &DesktopDeletion, hold: Progress, context: &Context) -> Result<(), Error> {
    let Some(mut pass) = Reconciliation::load(object, context.uptime.now(), context).await? else {
        return Ok(());
    };
    let request = &pass.seen.request;
    if request.status.completion_time.is_none() && status::would_change(request, &hold) {
        execute::step(&mut pass, Step::RecordProgress(hold), context).await?;
    }
    Ok(())
}

/// Takes one step after another. The pass is handed over while it is submitted, and lost if that fails. It leaves its slot to
/// others while it waits for the cloud.
async fn drive(
    current: &mut Option<Reconciliation>,
    slot: &mut Slot,
    context: &Arc<Context>,
) -> Result<Action, Error> {
    for _ in 0..MOST_STEPS {
        let resumed_at_once = slot.resume().await;
        let Some(pass) = current.as_mut() else {
            return Err(Error::StartOver);
        };
        pass.seen.last_look &= resumed_at_once;
        facts::refresh(pass, context);
        if pass.seen.facts.stopping {
            // Whoever leads next goes on from what is stored.
            return Ok(Action::await_change());
        }
        match plan(&pass.seen) {
            Step::Done => return Ok(Action::await_change()),
            Step::Wait(hold) => {
                pass.note_wait(&hold, context);
                return Ok(Action::requeue(facts::delay(pass, hold.wake, context)));
            }
            Step::StartOver => return Err(Error::StartOver),
            // Another one was faster: the next decision knows.
            Step::Sign(_) if !pass.admit()? => {}
            Step::Sign(_) if pass.permit.is_none() => {
                // Who had to read anew meanwhile does not wait in line again, or a long one would never end.
                let priority = if pass.had_permit {
                    Priority::Resumption
                } else {
                    Priority::Submission
                };
                let line = pass.line()?.clone();
                slot.leave();
                pass.permit = line.enter(priority).await;
                let at_once = pass.permit.as_ref().is_some_and(|permit| permit.waited.is_none());
                pass.seen.last_look &= at_once;
            }
            // From the signature to the record nothing may cut in.
            step @ Step::Sign(_) => {
                slot.leave();
                if let Some(pass) = current.take() {
                    let object = pass.object.clone();
                    match submission::run(pass, step, context.clone()).await {
                        Ok(pass) => *current = Some(pass),
                        Err(Error::IntentRefused(reason)) => {
                            return Box::pin(intent_refused(&object, &reason, context)).await;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            step => {
                // A read of the cloud takes a permit of its own: two passes that kept theirs meanwhile would wait for each
                // other for ever.
                if step != Step::ReadProject {
                    pass.had_permit |= pass.permit.take().is_some();
                }
                if matches!(
                    step,
                    Step::ReadDesktops(_) | Step::ReadDesktop(_) | Step::ReadSubJobs
                ) {
                    slot.leave();
                }
                execute::step(pass, step, context).await?;
            }
        }
    }
    Err(Error::Fault("a pass did not come to an end"))
}

/// Tells that nothing was sent, since the API server refuses to store the intent, and tries again much later.
async fn intent_refused(object: &DesktopDeletion, reason: &str, context: &Context) -> Result<Action, Error> {
    let message = format!(
        "the API server refuses to store the intent, so nothing was sent: {reason}; check the rules of the CRD and the operator's rights"
    );
    say(
        object,
        Progress::stalled(Reason::IntentRefused, message, Requeue::Retry),
        context,
    )
    .await?;
    Ok(Action::requeue(context.config.timing.retry_max))
}

#[allow(clippy::needless_pass_by_value)] // the signature is kube's
fn error_policy(object: Arc<DesktopDeletion>, error: &Error, context: Arc<Context>) -> Action {
    let again = |delay| Action::requeue(deadlines::with_jitter(delay, context.clock.random()));
    match error {
        // Its watch reports it, and wakes it once that has changed.
        Error::Undecodable(_) => Action::await_change(),
        Error::StartOver | Error::Api(api::Error::Conflict | api::Error::NotFound) => again(START_OVER),
        Error::Api(_) | Error::IntentRefused(_) | Error::Illegal(_) | Error::Fault(_) => {
            let uid = object.uid().unwrap_or_default();
            let failures = context.memory.api_failed(&uid);
            let (name, namespace) = (object.name_any(), object.namespace());
            tracing::warn!(namespace, name, %error, "a pass over a DesktopDeletion failed, tried again");
            again(deadlines::exponential(failures, &context.config.timing))
        }
    }
}
