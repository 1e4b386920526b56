//! The outcome of the call is recorded.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "response-dropped-on-conflict",
        does: "The response is not recorded if its object changed meanwhile",
        edits: &[Edit {
            file: "src/controllers/deletion/submission.rs",
            find: "error @ (Error::Api(api::Error::NotFound)\n",
            replace: "error @ (Error::Api(api::Error::NotFound | api::Error::Conflict)\n",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_response_is_stored_although_its_object_changed_meanwhile"],
        }],
    },
    Mutant {
        name: "not-sent-not-recorded",
        does: "A signed call that was not sent is not recorded as NotSent, so recovery treats it as possibly sent",
        edits: &[Edit {
            file: "src/controllers/deletion/submission.rs",
            find: "            // It is not sent any more, which is recorded next.
            release @ Step::ReleasePermit => execute::step(reconciliation, release, context).await?,
",
            replace: "",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_shutdown_between_the_intent_and_the_call_records_that_nothing_was_sent"],
        }],
    },
    Mutant {
        name: "exit-before-recording",
        does: "The process exits without waiting for the response to a call and its record",
        edits: &[Edit {
            file: "src/controllers/deletion/in_progress.rs",
            find: "        self.tasks.wait().await;
",
            replace: "",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            // A controller that shuts down waits for its reconciliations anyway; one whose lease is lost is dropped.
            tests: &["a_leader_that_lost_the_lease_records_the_pending_response"],
        }],
    },
    Mutant {
        name: "outcome-overwritten",
        does: "A recorded outcome is overwritten by another one",
        edits: &[Edit {
            file: "src/plan/status.rs",
            find: "    if attempt.outcome == Outcome::Pending {
        attempt.outcome = outcome_update.outcome;",
            replace:
                "    if attempt.outcome == Outcome::Pending || outcome_update.outcome != Outcome::Pending {
        attempt.outcome = outcome_update.outcome;",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::status", "plan::submission"],
        }],
    },
    Mutant {
        name: "final-result-overwritten",
        does: "The final result of a finished request is decided again",
        edits: &[Edit {
            file: "src/plan.rs",
            find: "    if request.status.completion_time.is_some() {
        return match",
            replace: "    if request.status.completion_time.is_some() && request.deleting {
        return match",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::properties", "plan::job"],
        }],
    },
    Mutant {
        name: "attempts-without-effect-removed",
        does: "The record of an attempt with outcome NoEffect is replaced by the next attempt",
        edits: &[Edit {
            file: "src/plan/status.rs",
            find: "        .retain(|a| !matches!(a.outcome, Outcome::Rejected | Outcome::NotSent) || counts(a));",
            replace: "        .retain(|a| {
            !matches!(
                a.outcome,
                Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect
            ) || counts(a)
        });",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::status", "plan::submission"],
        }],
    },
];
