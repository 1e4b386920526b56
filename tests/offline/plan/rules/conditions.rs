//! The rules of the conditions.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::conditions::DELETION;
use desktop_deletion_operator::crd::deletion::{Attempt, DesktopDeletionStatus};
use desktop_deletion_operator::plan::observed::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Wrong, condition};

/// What is wrong with the conditions of that status.
pub(crate) fn conditions(request: &Request, status: &DesktopDeletionStatus) -> Vec<String> {
    let mut wrong = Wrong::default();
    let types: BTreeSet<_> = status.conditions.iter().map(|c| &c.type_).collect();
    wrong.unless(types.len() == status.conditions.len(), "a condition stands twice");
    wrong.unless(
        status.observed_generation == Some(request.generation),
        "observedGeneration is old",
    );
    for condition in &status.conditions {
        let (kind, truth, reason) = (&condition.type_, &condition.status, &condition.reason);
        let told = format!("{kind} {truth} {reason}");
        wrong.unless(in_table(condition), &format!("{told} is in no table"));
        wrong.unless(!condition.message.is_empty(), &format!("{told} says nothing"));
        // What was read for a plan stays until it is read again.
        let of_the_plan = ["Planned", "Approved"].contains(&&**kind);
        wrong.unless(
            of_the_plan || condition.observed_generation == Some(request.generation),
            &format!("{told} is of an old generation"),
        );
    }
    let (Some(submitted), Some(succeeded), Some(ready)) = (
        condition(status, "Submitted"),
        condition(status, "Succeeded"),
        condition(status, "Ready"),
    ) else {
        wrong.say("Submitted, Succeeded or Ready is missing");
        return wrong.0;
    };
    submitted_tells_about_the_post(status, submitted, &mut wrong);
    let reconciling = condition(status, "Reconciling");
    let stalled = condition(status, "Stalled");
    wrong.unless(
        reconciling.is_none() || stalled.is_none(),
        "both Reconciling and Stalled",
    );
    wrong.unless(
        (succeeded.status == "Unknown") == status.completion_time.is_none(),
        "Succeeded is Unknown exactly while the request is active",
    );
    if succeeded.status == "Unknown" {
        // `Ready` reports why it is not ready yet: with the reason of the work in progress, of what a user must fix, or
        // of what delays it on purpose.
        let mirrored = match (reconciling, stalled) {
            (Some(reconciling), _) => ready.status == "Unknown" && ready.reason == reconciling.reason,
            (None, Some(stalled)) => ready.status == "False" && ready.reason == stalled.reason,
            (None, None) => ready.status == "False" && ready.reason == submitted.reason,
        };
        wrong.unless(mirrored, "Ready does not mirror what goes on");
    } else {
        wrong.unless(
            (&ready.status, &ready.reason) == (&succeeded.status, &succeeded.reason),
            "Ready does not mirror Succeeded",
        );
        wrong.unless(reconciling.is_none(), "Reconciling after the end");
        let failed = succeeded.status == "False";
        wrong.unless(
            stalled.map(|c| &c.reason) == failed.then_some(&succeeded.reason),
            "Stalled stands exactly for a failed end",
        );
    }
    wrong.0
}

fn submitted_tells_about_the_post(status: &DesktopDeletionStatus, submitted: &Condition, wrong: &mut Wrong) {
    let (expected, why) = if status.attempts.iter().any(Attempt::took_effect) {
        ("True", "a POST took effect")
    } else if status.completion_time.is_none() && status.attempts.iter().any(Attempt::is_open) {
        ("Unknown", "an attempt is open")
    } else {
        ("False", "nothing was submitted")
    };
    wrong.unless(
        submitted.status == expected,
        &format!("Submitted is {} though {why}", submitted.status),
    );
}

/// Whether the tables of the API say that this condition can have that reason with that status.
fn in_table(condition: &Condition) -> bool {
    let lists = |kind: &str| {
        DELETION.iter().any(|(listed, truth, reasons)| {
            listed.as_str() == kind
                && truth.as_str() == condition.status
                && reasons.iter().any(|reason| reason.as_str() == condition.reason)
        })
    };
    let word = |truth, kind| condition.status == truth && reason_of(kind, condition);
    match &*condition.type_ {
        // It has no reasons of its own.
        "Ready" => {
            lists("Succeeded")
                || word("Unknown", "Reconciling")
                || word("False", "Stalled")
                || word("False", "Submitted")
        }
        kind => lists(kind),
    }
}

fn reason_of(kind: &str, condition: &Condition) -> bool {
    DELETION.iter().any(|(listed, _, reasons)| {
        listed.as_str() == kind && reasons.iter().any(|reason| reason.as_str() == condition.reason)
    })
}
