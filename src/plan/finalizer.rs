//! Layer 5, shared by phases: keep the object while its call may take effect.
//!
//! The finalizer keeps the object while its call may take effect or its job may not be visible yet. A client that replaces
//! the object removes the finalizer by accident; it is restored, but not in a race with a client that removes it
//! repeatedly.

use super::observed::Observed;
use super::progress::{Activity, Progress, Requeue};
use super::step::{Completion, Step};
use crate::crd::conditions::Reason;

const REMOVED: &str = "another client repeatedly removed the operator's finalizer, so deleting this object would let a \
    new one submit while the delete request may still take effect. Update the object without replacing it (Argo CD: no Replace=true), or \
    install the policy keep-finalizer. The operator restores the finalizer later";

const REMOVED_BEFORE_SUBMISSION: &str = "another client repeatedly removed the operator's finalizer, without which \
    nothing is submitted. Update the object without replacing it (Argo CD: no Replace=true). The operator adds the \
    finalizer later";

/// Restores the finalizer if it is missing and may be added.
pub fn restore(observed: &Observed) -> Option<Step> {
    (observed.facts.finalizer_missing && observed.facts.finalizer_due && !observed.facts.stopping)
        .then_some(Step::AddFinalizer)
}

/// Puts the finalizer on before anything is signed.
pub fn add(observed: &Observed) -> Step {
    if observed.facts.finalizer_due {
        Step::AddFinalizer
    } else {
        Step::Wait(Progress::stalled(
            Reason::FinalizerRemoved,
            REMOVED_BEFORE_SUBMISSION.to_owned(),
            Requeue::PollInterval,
        ))
    }
}

/// A message without what [`with_finalizer_note`] added.
pub fn without_finalizer_note(message: &str) -> &str {
    let mention = message.strip_suffix(REMOVED);
    mention
        .and_then(|rest| rest.strip_suffix("; "))
        .unwrap_or(message)
}

/// A wait whose message states that the finalizer is missing, if it is and cannot be restored yet.
pub fn with_finalizer_note(observed: &Observed, mut progress: Progress) -> Progress {
    if !observed.facts.finalizer_missing || progress.reason == Reason::FinalizerRemoved {
        return progress;
    }
    progress.message = format!("{}; {REMOVED}", progress.message);
    if progress.activity != Activity::Stalled {
        progress.reason = Reason::FinalizerRemoved;
        progress.activity = Activity::Stalled;
    }
    progress
}

/// Finishes a request. The finalizer is removed first, since no event follows the last write.
pub fn finish(observed: &Observed, completion: Completion) -> Step {
    if observed.request.finalizer {
        Step::DropFinalizer
    } else {
        Step::Finish(completion)
    }
}
