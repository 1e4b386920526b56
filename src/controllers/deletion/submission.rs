//! From the signature to the record, in a task of the process: no time-out of a reconcile, no lost watch and no
//! shutdown cuts in between the answer of the cloud and its record. Exit waits for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use tracing::field::Empty;

use super::super::{Context, api};
use super::reconciliation::Reconciliation;
use super::{Error, execute, facts, report};
use crate::plan::observed::Submission;
use crate::plan::plan;
use crate::plan::step::{Batch, Step};

/// First and longest pause between two tries to store what came of a submission.
const RECORD_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often the API server may refuse what came of a submission, before that is reported elsewhere only.
const MOST_REFUSALS: u32 = 20;

/// The submissions that are under way; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Submissions {
    tasks: TaskTracker,
    uids: Arc<Mutex<HashSet<String>>>,
}

impl Submissions {
    /// A task of this process is sending or recording for the object.
    pub fn is_underway(&self, uid: &str) -> bool {
        self.uids.lock().contains(uid)
    }

    /// Waits until the last submission is recorded.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn begin(&self, uid: String) -> Underway {
        self.uids.lock().insert(uid.clone());
        Underway {
            uid,
            uids: self.uids.clone(),
        }
    }
}

/// Marks a submission until it is dropped, also by a panic.
struct Underway {
    uid: String,
    uids: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.uids.lock().remove(&self.uid);
    }
}

/// Submits, beginning with the signature, and gives the reconciliation back once nothing is in memory any more.
///
/// # Errors
/// The intent could not be stored, so nothing was sent.
pub async fn run(pass: Reconciliation, batch: Batch, context: Arc<Context>) -> Result<Reconciliation, Error> {
    let underway = context.requests.submissions.begin(pass.uid());
    let (sender, receiver) = oneshot::channel();
    let tasks = context.requests.submissions.tasks.clone();
    let submission = async move {
        let reference = pass.reference();
        let mut pass = pass;
        let result = Box::pin(submit(&mut pass, batch, &context)).await;
        // The claim outlives the reconciliation only if something may have reached the cloud.
        pass.release_claim(&context);
        let result = result.map(|()| pass);
        drop(underway);
        // Nobody waits any more if the reconcile was dropped; the object is then reconciled again.
        if sender.send(result).is_err() {
            context.requests.queue.add(reference);
        }
    };
    tasks.spawn(submission.instrument(tracing::info_span!("submit", attempt = Empty)));
    receiver
        .await
        .unwrap_or(Err(Error::Fault("panic in a submission; see the log")))
}

/// Signs, stores the intent, sends, and stores what came of it. What was signed is sent once or never.
async fn submit(pass: &mut Reconciliation, batch: Batch, context: &Context) -> Result<(), Error> {
    let Some(signed) = execute::sign(pass, batch, context)? else {
        return Ok(());
    };
    loop {
        match next(pass, context) {
            intent @ Step::RecordIntent(_) => store_intent(pass, intent, context).await?,
            // It is not sent any more, which is recorded next.
            release @ Step::ReleasePermit => execute::step(pass, release, context).await?,
            Step::Post => break,
            unsent => return record(pass, unsent, context).await,
        }
    }
    execute::post(pass, signed, context).await;
    let outcome = next(pass, context);
    record(pass, outcome, context).await
}

fn next(pass: &mut Reconciliation, context: &Context) -> Step {
    facts::refresh(pass, context);
    plan(&pass.seen)
}

/// Records what came of the submission, if there is something to record.
async fn record(pass: &mut Reconciliation, step: Step, context: &Context) -> Result<(), Error> {
    match step {
        Step::RecordOutcome(_) => {
            store_outcome(pass, step, context).await?;
            // What was read before the call says nothing about the time after it.
            pass.forget_reads(context.process.uptime.now());
            Ok(())
        }
        // What was signed and not sent is gone with this task.
        _ if matches!(pass.seen.submission, Submission::Armed { .. }) => Err(Error::StartOver),
        Step::StartOver => Err(Error::StartOver),
        _ => Ok(()),
    }
}

/// Stores the intent. If the answer is lost, the object says whether it is there: then it is ours to go on with, as
/// long as the guard holds. Otherwise everything is forgotten.
async fn store_intent(pass: &mut Reconciliation, step: Step, context: &Context) -> Result<(), Error> {
    let error = match execute::step(pass, step, context).await {
        Err(Error::Api(
            error @ (api::Error::Conflict | api::Error::Failed { .. } | api::Error::Unanswered { .. }),
        )) => error,
        Err(Error::Api(api::Error::Refused { reason, .. })) => return Err(Error::IntentRefused(reason)),
        result => return result,
    };
    reload(pass, context, &error.to_string(), Patience::UntilRefused).await?;
    let Submission::Armed { attempt, .. } = &pass.seen.submission else {
        return Err(Error::StartOver);
    };
    match (pass.seen.request.attempt(&attempt.id), error) {
        (Some(_), _) => Ok(()),
        (None, api::Error::Conflict) => Err(Error::StartOver),
        (None, error) => Err(Error::Api(error)),
    }
}

/// Stores what came of the submission, as often as it takes.
async fn store_outcome(pass: &mut Reconciliation, mut step: Step, context: &Context) -> Result<(), Error> {
    let mut pause = RECORD_PAUSES.0;
    let mut refusals = 0;
    loop {
        let result = execute::step(pass, step.clone(), context).await;
        refusals += u32::from(matches!(result, Err(Error::Api(api::Error::Refused { .. }))));
        match result {
            Ok(()) => return Ok(()),
            // The attempt stays open; recovery judges it by evidence.
            Err(_) if refusals > MOST_REFUSALS => {
                report::lost(pass, context).await;
                return Err(Error::StartOver);
            }
            Err(error @ (Error::Api(api::Error::NotFound) | Error::Illegal(_) | Error::Undecodable(_))) => {
                return Err(given_up(pass, &step, &error, context).await);
            }
            Err(error) => {
                let (name, namespace) = (pass.object.name_any(), pass.namespace());
                tracing::warn!(namespace, name, %error, "the outcome of a submission could not be stored, retrying");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECORD_PAUSES.1);
                if let Err(error) = reload(pass, context, &error.to_string(), Patience::Endless).await {
                    return Err(given_up(pass, &step, &error, context).await);
                }
            }
        }
        step = match plan(&pass.seen) {
            next @ Step::RecordOutcome(_) => next,
            // The attempt was settled meanwhile, and the answer is no job.
            Step::StartOver => return Err(Error::StartOver),
            _ => step,
        };
    }
}

/// The outcome cannot be stored. If the object is gone, its desktops stay held as what came of the call asks for.
async fn given_up(pass: &Reconciliation, step: &Step, error: &Error, context: &Context) -> Error {
    if matches!(error, Error::Api(_)) {
        context.requests.claims.deleted(&pass.uid());
        if let Step::RecordOutcome(settlement) = step {
            context.requests.claims.learn(&pass.uid(), settlement);
        }
    }
    report::lost(pass, context).await;
    Error::StartOver
}

/// How long the object is tried to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Until the API server refuses it: nothing was sent that would have to be recorded.
    UntilRefused,
    /// As often as it takes.
    Endless,
}

/// Reads the object again.
///
/// # Errors
/// It is gone, another one has taken its name, or it cannot be decoded any more; or the API server refuses to show it, if
/// that is not waited for.
async fn reload(
    pass: &mut Reconciliation,
    context: &Context,
    why: &str,
    patience: Patience,
) -> Result<(), Error> {
    let (name, uid) = (pass.object.name_any(), pass.object.uid());
    let requests = pass.requests(context);
    let mut pause = RECORD_PAUSES.0;
    loop {
        match api::call("read the DesktopDeletion", requests.get_opt(&name)).await {
            Ok(Some(object)) if object.uid() == uid => {
                return pass.update(object, context);
            }
            Ok(_) => return Err(Error::Api(api::Error::NotFound)),
            Err(error @ api::Error::Refused { .. }) if patience == Patience::UntilRefused => {
                return Err(Error::Api(error));
            }
            Err(error) => {
                tracing::warn!(namespace = pass.namespace(), name, why, %error, "reading the object again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECORD_PAUSES.1);
            }
        }
    }
}
