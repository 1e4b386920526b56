//! Times in the status of both kinds: one that the operator cannot read back cannot be written.

use serde_json::{Value, json};

use super::attempts::attempt;
use super::{Allowed, Expected, Refused, Row, Status};

/// Times, and the expected result of each.
fn times() -> [(&'static str, Expected); 6] {
    [
        ("2026-12-01T00:00:00Z", Allowed),
        ("2026-12-01T08:00:00.5+08:00", Allowed),
        ("2026-12-01T00:00:00+99:99", Refused("should match")),
        ("2026-12-01t00:00:00Z", Refused("should match")),
        (
            "0000-01-01T00:00:00Z",
            Refused("must be between the years 1970 and 9998"),
        ),
        (
            "9999-12-31T23:59:59Z",
            Refused("must be between the years 1970 and 9998"),
        ),
    ]
}

fn rows(name: &'static str, status: impl Fn(&str) -> Value) -> Vec<Row> {
    let row = |(time, expected): (&str, Expected)| Row {
        name,
        before: json!({}),
        change: Status(status(time)),
        expected,
    };
    times().into_iter().map(row).collect()
}

fn condition(time: &str) -> Value {
    json!({"conditions": [{
        "type": "Ready", "status": "False", "reason": "Waiting", "message": "", "lastTransitionTime": time,
    }]})
}

fn error(time: &str) -> Value {
    json!({"time": time, "operation": "batchDelete", "class": "Throttled"})
}

pub(super) fn deletions() -> Vec<Row> {
    let of_attempt = |fields| json!({"attempts": [attempt("a1", "Pending", fields)]});
    [
        rows("record since when a condition holds", condition),
        rows("record when it was taken up", |time| json!({"startTime": time})),
        rows("record the time of an error", |time| json!({"lastError": error(time)})),
        rows("record when a call was signed", |time| of_attempt(json!({"signedAt": time}))),
        rows("record when a call ends", |time| of_attempt(json!({"notAfter": time}))),
        rows("record the time of an attempt's error", |time| {
            of_attempt(json!({"error": error(time)}))
        }),
        rows("record when it was finished", |time| {
            json!({"completionTime": time, "conditions": super::deletion_status::succeeded("True", "AllDeleted")})
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn projects() -> Vec<Row> {
    rows("record since when a project is ready", condition)
}
