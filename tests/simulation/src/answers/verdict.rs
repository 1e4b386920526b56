//! Whether a request that has not ended says why: `Stalled`, or being worked on, in either case with the call that goes
//! wrong or with a cause that is none of the cloud's answers.

use desktop_deletion_operator::workspace::error::Operation;
use jiff::Timestamp;
use serde_json::Value;

/// Reasons that are the cause themselves. Of every other one the message must name the call.
const CAUSES: [&str; 11] = [
    "Suspended",
    "ProjectSuspended",
    "Overlap",
    "DeletionInProgress",
    "ClockSkew",
    "AwaitingEvidence",
    "OutcomeUnknown",
    "JobRunning",
    "JobOverdue",
    "Verifying",
    "Expired",
];

/// How long a submission may be in flight, in seconds: the operator may crash meanwhile, and its clock may be wrong.
const SUBMITTING: i64 = 600;

/// What is wrong with how a request stands at `now`, if anything is.
pub fn unnamed(object: &Value, now: Timestamp) -> Option<String> {
    let status = &object["status"];
    if !status["completionTime"].is_null() {
        return None;
    }
    let condition = |kind: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.clone().find(|condition| condition["type"] == kind)
    };
    let is_true = |kind: &str| condition(kind).filter(|condition| condition["status"] == "True");
    let name = text(&object["metadata"]["name"]);
    let Some(shown) = is_true("Stalled")
        .or_else(|| is_true("Reconciling"))
        .or_else(|| condition("Submitted").filter(|submitted| is_cause(submitted)))
    else {
        return Some(format!(
            "{name} is neither finished nor Stalled nor being worked on: {status}"
        ));
    };
    let named = names_call(text(&shown["message"]))
        || is_cause(shown)
        || is_just_being_submitted(shown, now)
        || (shown["reason"] == "Retrying" && condition("Submitted").is_some_and(is_cause));
    (!named).then(|| {
        let (reason, message) = (text(&shown["reason"]), text(&shown["message"]));
        format!("{name} does not name the call that goes wrong: {reason}: {message}")
    })
}

fn is_cause(condition: &Value) -> bool {
    CAUSES.contains(&text(&condition["reason"]))
}

fn is_just_being_submitted(condition: &Value, now: Timestamp) -> bool {
    let since = text(&condition["lastTransitionTime"]).parse::<Timestamp>();
    let lately = since.is_ok_and(|since| now.duration_since(since).as_secs() < SUBMITTING);
    condition["reason"] == "Submitting" && lately
}

fn names_call(message: &str) -> bool {
    Operation::ALL
        .iter()
        .any(|operation| message.contains(operation.as_str()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
