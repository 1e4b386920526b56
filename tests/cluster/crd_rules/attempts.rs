//! `DesktopDeletion`: the write-ahead log. These rules prevent a second submission and the loss of one, even by a
//! faulty operator.

use serde_json::{Value, json};

use super::deletion_status::succeeded;
use super::{Allowed, Expected, Refused, Row, Status, lay_over};

const STAYS: &str = "an attempt that may have reached the cloud cannot be removed";
const NEW: &str = "a new attempt must be Pending, and can be added only if every other attempt is Rejected, NotSent or NoEffect";
const FACTS: &str = "an attempt is immutable except for outcome, jobIDs and error";
const OUTCOME: &str = "outcome is immutable once it is not Pending";
const JOBS: &str = "entries of jobIDs cannot be removed or changed, only added";

/// An attempt with these fields besides or instead.
pub(crate) fn attempt(id: &str, outcome: &str, fields: Value) -> Value {
    let mut attempt = json!({
        "id": id,
        "writer": "operator-0",
        "auth": "Signature",
        "desktopIDs": ["d1", "d2"],
        "baselineJobIDs": ["job-0"],
        "baselineFailedIDs": ["d2"],
        "bodyDigest": format!("sha256:{}", "0".repeat(64)),
        "signedAt": "2026-12-01T00:00:00Z",
        "notAfter": "2026-12-01T00:15:00Z",
        "outcome": outcome,
    });
    if outcome == "Accepted" {
        attempt["jobIDs"] = json!(["job-1"]);
    }
    lay_over(&mut attempt, fields);
    attempt
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    attempt
}

pub(super) fn rows() -> Vec<Row> {
    [next(), removal(), form(), outcomes(), facts(), jobs()]
        .into_iter()
        .flatten()
        .collect()
}

/// `before` and `after` are whole logs: ids and outcomes.
fn log(name: &'static str, before: &[(&str, &str)], after: &[(&str, &str)], expected: Expected) -> Row {
    let attempts = |log: &[(&str, &str)]| {
        let list: Vec<_> = log
            .iter()
            .map(|(id, outcome)| attempt(id, outcome, json!({})))
            .collect();
        json!({"attempts": list})
    };
    Row {
        name,
        before: json!({"status": attempts(before)}),
        change: Status(attempts(after)),
        expected,
    }
}

fn next() -> Vec<Row> {
    vec![
        log("record the first intent", &[], &[("a", "Pending")], Allowed),
        log(
            "try again after a refusal",
            &[("a", "Rejected")],
            &[("a", "Rejected"), ("b", "Pending")],
            Allowed,
        ),
        log(
            "try again after nothing was sent",
            &[("a", "NotSent")],
            &[("a", "NotSent"), ("b", "Pending")],
            Allowed,
        ),
        log(
            "try again after no effect",
            &[("a", "NoEffect")],
            &[("a", "NoEffect"), ("b", "Pending")],
            Allowed,
        ),
        log(
            "settle an attempt and try again at once",
            &[("a", "Pending")],
            &[("a", "NoEffect"), ("b", "Pending")],
            Allowed,
        ),
        log(
            "try again while a call may be in flight",
            &[("a", "Pending")],
            &[("a", "Pending"), ("b", "Pending")],
            Refused(NEW),
        ),
        log(
            "record two open attempts",
            &[("a", "Rejected")],
            &[("a", "Rejected"), ("b", "Pending"), ("c", "Pending")],
            Refused(
                "at most one attempt may be Pending, because a second delete request could take effect as well",
            ),
        ),
        log(
            "try again after a job",
            &[("a", "Accepted")],
            &[("a", "Accepted"), ("b", "Pending")],
            Refused(NEW),
        ),
        log(
            "try again after a job was found",
            &[("a", "Adopted")],
            &[("a", "Adopted"), ("b", "Pending")],
            Refused(NEW),
        ),
        log(
            "try again after a user abandoned the attempt",
            &[("a", "Abandoned")],
            &[("a", "Abandoned"), ("b", "Pending")],
            Refused(NEW),
        ),
        log(
            "record an attempt that was settled before",
            &[("a", "Rejected")],
            &[("a", "Rejected"), ("b", "Accepted")],
            Refused(NEW),
        ),
    ]
}

fn removal() -> Vec<Row> {
    vec![
        log(
            "replace a refused attempt",
            &[("a", "Rejected")],
            &[("b", "Pending")],
            Allowed,
        ),
        log(
            "replace an unsent attempt",
            &[("a", "NotSent")],
            &[("b", "Pending")],
            Allowed,
        ),
        log(
            "replace an attempt without effect",
            &[("a", "NoEffect")],
            &[("b", "Pending")],
            Refused(STAYS),
        ),
        log(
            "replace an attempt with unknown outcome",
            &[("a", "Pending")],
            &[("b", "Pending")],
            Refused(STAYS),
        ),
        log("remove a refused attempt", &[("a", "Rejected")], &[], Allowed),
        log(
            "remove an attempt with unknown outcome",
            &[("a", "Pending")],
            &[],
            Refused(STAYS),
        ),
        log(
            "remove an accepted attempt",
            &[("a", "Accepted"), ("b", "Rejected")],
            &[("b", "Rejected")],
            Refused(STAYS),
        ),
        log(
            "remove an abandoned attempt",
            &[("a", "Abandoned")],
            &[],
            Refused(STAYS),
        ),
        Row {
            name: "remove the log with an attempt with unknown outcome",
            before: json!({"status": {"attempts": [attempt("a", "Pending", json!({}))]}}),
            change: Status(json!({"attempts": null})),
            expected: Refused("only Rejected and NotSent attempts may be replaced"),
        },
        Row {
            name: "remove the log with refused attempts only",
            before: json!({"status": {"attempts": [attempt("a", "Rejected", json!({}))]}}),
            change: Status(json!({"attempts": null})),
            expected: Allowed,
        },
    ]
}

fn form() -> Vec<Row> {
    let eight: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .map(|id| (id, "Rejected"))
        .to_vec();
    let nine = [&eight[..], &[("i", "Pending")]].concat();
    let replaced = [&eight[1..], &[("i", "Pending")]].concat();
    vec![
        log(
            "keep nine attempts",
            &eight,
            &nine,
            Refused("must have at most 8 items"),
        ),
        log("replace the oldest refusal of eight", &eight, &replaced, Allowed),
        Row {
            name: "record an intent to delete a desktop that was not asked for",
            before: json!({}),
            change: Status(
                json!({"attempts": [attempt("a", "Pending", json!({"desktopIDs": ["d1", "d3"]}))]}),
            ),
            expected: Refused(
                "an attempt can only name desktops that spec.desktopIDs names, in the same spelling",
            ),
        },
        Row {
            name: "record an intent to delete some of the desktops",
            before: json!({}),
            change: Status(json!({"attempts": [attempt("a", "Pending", json!({"desktopIDs": ["d2"]}))]})),
            expected: Allowed,
        },
        log(
            "record an outcome that does not exist",
            &[("a", "Pending")],
            &[("a", "Perhaps")],
            Refused("Unsupported value"),
        ),
        log(
            "record one id twice",
            &[],
            &[("a", "Pending"), ("a", "Rejected")],
            Refused("Duplicate value"),
        ),
    ]
}

fn outcomes() -> Vec<Row> {
    let settled = [
        "NotSent",
        "Rejected",
        "Accepted",
        "Adopted",
        "NoEffect",
        "Abandoned",
    ];
    let mut rows = Vec::new();
    for outcome in settled {
        rows.push(log(
            "settle an attempt",
            &[("a", "Pending")],
            &[("a", outcome)],
            Allowed,
        ));
        rows.push(log(
            "set a settled attempt back to Pending",
            &[("a", outcome)],
            &[("a", "Pending")],
            Refused(OUTCOME),
        ));
        for other in settled.into_iter().filter(|other| *other != outcome) {
            rows.push(log(
                "settle an attempt with another outcome",
                &[("a", outcome)],
                &[("a", other)],
                Refused(OUTCOME),
            ));
        }
    }
    rows
}

/// `change` is merged into a pending attempt with all its fields; null removes a field.
fn change(name: &'static str, change: Value, expected: Expected) -> Row {
    let before = attempt("a", "Pending", json!({}));
    let after = attempt("a", "Pending", change);
    Row {
        name,
        before: json!({"status": {"attempts": [before]}}),
        change: Status(json!({"attempts": [after]})),
        expected,
    }
}

fn facts() -> Vec<Row> {
    vec![
        change("write the attempt as it is", json!({}), Allowed),
        change(
            "record the error of the cloud",
            json!({"error": error()}),
            Allowed,
        ),
        change(
            "claim another writer",
            json!({"writer": "operator-1"}),
            Refused(FACTS),
        ),
        change(
            "claim another authentication method",
            json!({"auth": "Token"}),
            Refused(FACTS),
        ),
        change(
            "claim another body",
            json!({"desktopIDs": ["d1"]}),
            Refused(FACTS),
        ),
        change(
            "change the order of the body",
            json!({"desktopIDs": ["d2", "d1"]}),
            Refused(FACTS),
        ),
        change(
            "claim another digest",
            json!({"bodyDigest": format!("sha256:{}", "1".repeat(64))}),
            Refused(FACTS),
        ),
        change(
            "claim that a plan was approved",
            json!({"planHash": format!("sha256:{}", "1".repeat(64))}),
            Refused(FACTS),
        ),
        change(
            "record no digest",
            json!({"bodyDigest": "md5:00"}),
            Refused("should match '^sha256:[0-9a-f]{64}$'"),
        ),
        change(
            "claim a later signature",
            json!({"signedAt": "2026-12-01T00:01:00Z"}),
            Refused(FACTS),
        ),
        change(
            "extend the expiry of the signature",
            json!({"notAfter": "2026-12-01T01:00:00Z"}),
            Refused(FACTS),
        ),
        change(
            "remove the expiry of the signature",
            json!({"notAfter": null}),
            Refused(FACTS),
        ),
        change(
            "add an earlier job",
            json!({"baselineJobIDs": ["job-0", "job-1"]}),
            Refused(FACTS),
        ),
        change(
            "forget the earlier jobs",
            json!({"baselineJobIDs": null}),
            Refused(FACTS),
        ),
        change(
            "exchange the failed desktops",
            json!({"baselineFailedIDs": ["d1"]}),
            Refused(FACTS),
        ),
        change(
            "forget the failed desktops",
            json!({"baselineFailedIDs": null}),
            Refused(FACTS),
        ),
        change(
            "claim that the baseline was incomplete",
            json!({"baselineIncomplete": true}),
            Refused(FACTS),
        ),
        change(
            "say that the baseline was complete",
            json!({"baselineIncomplete": false}),
            Allowed,
        ),
        change(
            "record an attempt without desktops",
            json!({"desktopIDs": []}),
            Refused("should have at least 1 items"),
        ),
    ]
}

fn error() -> Value {
    json!({"time": "2026-12-01T00:00:00Z", "operation": "batchDelete", "class": "InDoubt", "httpStatus": 504})
}

fn jobs() -> Vec<Row> {
    let row = |name, outcome: &str, before: Value, after: Value, expected| Row {
        name,
        before: json!({"status": {"attempts": [attempt("a", outcome, json!({"jobIDs": before}))]}}),
        change: Status(json!({"attempts": [attempt("a", outcome, json!({"jobIDs": after}))]})),
        expected,
    };
    let late = json!({
        "attempts": [attempt("a", "Abandoned", json!({"jobIDs": ["job-1"]}))],
        "conditions": succeeded("False", "Abandoned"),
    });
    vec![
        row("record a job", "Adopted", json!(null), json!(["job-1"]), Allowed),
        row(
            "record a second job",
            "Adopted",
            json!(["job-1"]),
            json!(["job-1", "job-2"]),
            Allowed,
        ),
        row(
            "record a job in another place of the list",
            "Adopted",
            json!(["job-1"]),
            json!(["job-2", "job-1"]),
            Allowed,
        ),
        row(
            "exchange a job",
            "Accepted",
            json!(["job-1"]),
            json!(["job-2"]),
            Refused(JOBS),
        ),
        row(
            "remove a job",
            "Adopted",
            json!(["job-1", "job-2"]),
            json!(["job-1"]),
            Refused(JOBS),
        ),
        row(
            "remove every job",
            "Accepted",
            json!(["job-1"]),
            json!(null),
            Refused(JOBS),
        ),
        row(
            "keep five jobs",
            "Adopted",
            json!(["1", "2", "3", "4"]),
            json!(["1", "2", "3", "4", "5"]),
            Refused("must have at most 4 items"),
        ),
        Row {
            name: "add a job that becomes visible late to a finished request",
            before: json!({"status": {
                "attempts": [attempt("a", "Abandoned", json!({}))],
                "conditions": succeeded("False", "Abandoned"),
                "completionTime": "2026-12-01T00:00:00Z",
            }}),
            change: Status(late),
            expected: Allowed,
        },
    ]
}
