//! The requests that are attacked, as the operator would have recorded them. Each is for the desktops `d1` and `d2`.

use serde_json::{Value, json};

use crate::crd_rules::attempt;

/// Its call was refused, the next one had no effect, and the response to the last one was lost.
pub(super) fn in_doubt() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [condition("Succeeded", "Unknown", "Waiting"), condition("Submitted", "Unknown", "AwaitingEvidence")],
        "project": project(),
        "attempts": [
            attempt("refused", "Rejected", json!({"error": error("Throttled", 429)})),
            attempt("vain", "NoEffect", json!({"error": error("InDoubt", 504)})),
            attempt("lost", "Pending", json!({"error": error("InDoubt", 504)})),
        ],
        "refusedAttempts": 3,
        "desktops": [{"id": "d1", "state": "Pending", "name": "PC-1"}, {"id": "d2", "state": "Pending"}],
        "summary": summary(&[("pending", 2)]),
        "lastError": error("InDoubt", 504),
        "startTime": "2026-12-01T00:00:00Z",
    })
}

/// Its job runs: one desktop is gone, the other one is being deleted.
pub(super) fn followed() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [condition("Succeeded", "Unknown", "JobRunning"), condition("Submitted", "True", "JobAccepted")],
        "project": project(),
        "jobID": "job-1",
        "attempts": [
            attempt("refused", "Rejected", json!({"error": error("Throttled", 429)})),
            attempt("done", "Accepted", json!({"jobIDs": ["job-1"], "planHash": digest("0")})),
        ],
        "refusedAttempts": 3,
        "desktops": [{"id": "d1", "state": "Deleted", "name": "PC-1"}, {"id": "d2", "state": "Deleting"}],
        "summary": summary(&[("deleted", 1), ("deleting", 1)]),
        "startTime": "2026-12-01T00:00:00Z",
    })
}

/// It has ended: one desktop could not be deleted.
pub(super) fn finished() -> Value {
    let mut status = followed();
    status["conditions"] = json!([
        condition("Succeeded", "False", "PartiallyFailed"),
        condition("Ready", "False", "PartiallyFailed"),
        condition("Stalled", "True", "PartiallyFailed"),
        condition("Submitted", "True", "JobAccepted"),
    ]);
    status["desktops"][1] =
        json!({"id": "d2", "state": "Failed", "name": "PC-2", "code": "WKS.1", "message": "quota"});
    status["summary"] = summary(&[("deleted", 1), ("failed", 1)]);
    status["lastError"] = error("InvalidRequest", 400);
    status["lastHandledResolve"] = json!("done=abandon");
    status["completionTime"] = json!("2026-12-01T01:00:00Z");
    status["plan"] = plan();
    status["approved"] = approved("0");
    status
}

fn plan() -> Value {
    json!({
        "hash": digest("0"), "observedAt": "2026-12-01T00:00:00Z", "delete": 2, "absent": 0, "blocked": 0,
    })
}

/// The record of an approved plan.
pub(super) fn approved(digit: &str) -> Value {
    let desktop = |id: &str| {
        json!({
            "id": id, "name": "PC", "users": "anna", "usersHash": digest("1"), "created": "2026-01-01T00:00:00Z",
        })
    };
    json!({"hash": digest(digit), "desktops": [desktop("d1"), desktop("d2")]})
}

pub(super) fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

/// Its plan is shown, and waits for an approval.
pub(super) fn planned() -> Value {
    let mut status = waiting();
    status["plan"] = plan();
    status
}

/// It was seen, and nothing was submitted yet.
pub(super) fn waiting() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [condition("Succeeded", "Unknown", "Waiting"), condition("Submitted", "False", "ProjectNotReady")],
        "summary": summary(&[("pending", 2)]),
    })
}

pub(super) fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "as it was",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-12-01T00:00:00Z",
    })
}

pub(super) fn error(class: &str, status: u16) -> Value {
    json!({"time": "2026-12-01T00:00:00Z", "operation": "batchDelete", "class": class, "httpStatus": status})
}

/// Counts of two desktops.
pub(super) fn summary(counts: &[(&str, u32)]) -> Value {
    let mut summary = json!({"total": 2, "absent": 0, "deleted": 0, "deleting": 0, "failed": 0, "pending": 0, "unknown": 0});
    for (state, count) in counts {
        summary[state] = json!(count);
    }
    summary
}

fn project() -> Value {
    json!({
        "region": "ap-southeast-1",
        "projectID": "0123456789abcdef",
        "endpoint": "https://workspace.ap-southeast-1.myhuaweicloud.com",
    })
}
