//! `DesktopDeletion`: what the operator, or anybody with its rights, may record.

use serde_json::{Value, json};

use super::attempts::attempt;
use super::{Allowed, Expected, Object, Refused, Row, Status, WholeStatus, under};

/// The condition `Succeeded`.
pub(super) fn succeeded(status: &str, reason: &str) -> Value {
    json!([{
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-12-01T00:00:00Z",
    }])
}

/// A request that has ended well.
pub(super) fn finished() -> Value {
    json!({"completionTime": "2026-12-01T00:00:00Z", "conditions": succeeded("True", "AllDeleted")})
}

pub(super) fn rows() -> Vec<Row> {
    [
        presence(),
        once(),
        verdict(),
        completion(),
        desktops(),
        plans(),
        form(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn row(name: &'static str, before: Value, change: Value, expected: Expected) -> Row {
    Row {
        name,
        before: under("status", before),
        change: Status(change),
        expected,
    }
}

fn presence() -> Vec<Row> {
    let before = || json!({"status": {"jobID": "job-1"}});
    vec![
        Row {
            name: "remove the status through the main resource, which ignores it",
            before: before(),
            change: Object(json!({"status": null})),
            expected: Allowed,
        },
        Row {
            name: "change the status through the main resource, which ignores it",
            before: before(),
            change: Object(json!({"status": {"jobID": "job-2"}})),
            expected: Allowed,
        },
        Row {
            name: "remove the status, which the default takes the place of",
            before: before(),
            change: Status(json!(null)),
            expected: Refused("jobID is written once and can neither be changed nor removed"),
        },
        Row {
            name: "write a status that lacks what was recorded",
            before: before(),
            change: WholeStatus(json!({"observedGeneration": 1})),
            expected: Refused("jobID is written once and can neither be changed nor removed"),
        },
        Row {
            name: "write a status of null, which the default takes the place of",
            before: before(),
            change: WholeStatus(json!(null)),
            expected: Refused("jobID is written once and can neither be changed nor removed"),
        },
        Row {
            name: "write the status as it is",
            before: before(),
            change: WholeStatus(json!({"jobID": "job-1"})),
            expected: Allowed,
        },
    ]
}

fn once() -> Vec<Row> {
    let project = |region: &str| {
        json!({"project": {
            "region": region,
            "projectID": "0123456789abcdef",
            "endpoint": "https://workspace.ap-southeast-1.myhuaweicloud.com",
        }})
    };
    vec![
        row("record the job", json!({}), json!({"jobID": "job-1"}), Allowed),
        row(
            "record another job instead",
            json!({"jobID": "job-1"}),
            json!({"jobID": "job-2"}),
            Refused("jobID is written once and can neither be changed nor removed"),
        ),
        row(
            "forget the job",
            json!({"jobID": "job-1"}),
            json!({"jobID": null}),
            Refused("jobID is written once"),
        ),
        row(
            "record the project of the request",
            json!({}),
            project("ap-southeast-1"),
            Allowed,
        ),
        row(
            "change the project of the request",
            project("ap-southeast-1"),
            project("cn-north-4"),
            Refused("project is written once and can neither be changed nor removed"),
        ),
        row(
            "remove the project of the request",
            project("ap-southeast-1"),
            json!({"project": null}),
            Refused("project is written once"),
        ),
    ]
}

fn verdict() -> Vec<Row> {
    let conditions = |conditions: Value| json!({"conditions": conditions});
    let waiting = || conditions(succeeded("Unknown", "Waiting"));
    let deleted = || conditions(succeeded("True", "AllDeleted"));
    let failed = || conditions(succeeded("False", "AllFailed"));
    vec![
        row(
            "write while the final result is Unknown",
            waiting(),
            conditions(succeeded("Unknown", "JobRunning")),
            Allowed,
        ),
        row("decide for success", waiting(), deleted(), Allowed),
        row("decide for failure", waiting(), failed(), Allowed),
        row(
            "turn success into failure",
            deleted(),
            failed(),
            Refused("condition Succeeded is final: its status and reason can neither be changed nor removed"),
        ),
        row(
            "turn failure into success",
            failed(),
            deleted(),
            Refused("condition Succeeded is final"),
        ),
        row(
            "set the final result back to Unknown",
            failed(),
            waiting(),
            Refused("condition Succeeded is final"),
        ),
        row(
            "change the reason of the final result",
            failed(),
            conditions(succeeded("False", "Rejected")),
            Refused("condition Succeeded is final"),
        ),
        row(
            "remove the final result",
            failed(),
            conditions(json!([])),
            Refused("condition Succeeded is final"),
        ),
        row(
            "remove all conditions",
            failed(),
            conditions(json!(null)),
            Refused("condition Succeeded is final"),
        ),
        row(
            "improve the message of the final result",
            failed(),
            conditions({
                let mut condition = succeeded("False", "AllFailed");
                condition[0]["message"] = json!("quota");
                condition
            }),
            Allowed,
        ),
    ]
}

fn completion() -> Vec<Row> {
    let time = || json!({"completionTime": "2026-12-01T00:00:00Z"});
    let cannot =
        "completionTime can be set only if condition Succeeded is True or False and no attempt is Pending";
    let with = |outcome: &str, conditions: Value| json!({"attempts": [attempt("a", outcome, json!({}))], "conditions": conditions});
    vec![
        row(
            "finish together with the final result",
            json!({}),
            finished(),
            Allowed,
        ),
        row(
            "finish without a final result",
            json!({}),
            time(),
            Refused(cannot),
        ),
        row(
            "finish while the final result is Unknown",
            json!({"conditions": succeeded("Unknown", "JobRunning")}),
            time(),
            Refused(cannot),
        ),
        row(
            "finish while a call may still be in flight",
            with("Pending", succeeded("False", "Abandoned")),
            time(),
            Refused(cannot),
        ),
        row(
            "finish when every call is settled",
            with("Accepted", succeeded("True", "AllDeleted")),
            time(),
            Allowed,
        ),
        row(
            "finish at another time",
            finished(),
            json!({"completionTime": "2026-12-02T00:00:00Z"}),
            Refused("completionTime is written once and can neither be changed nor removed"),
        ),
        row(
            "remove the completion time",
            finished(),
            json!({"completionTime": null}),
            Refused("completionTime is written once"),
        ),
    ]
}

fn desktops() -> Vec<Row> {
    let desktops = |states: &[(&str, &str)]| {
        let list: Vec<_> = states
            .iter()
            .map(|(id, state)| json!({"id": id, "state": state}))
            .collect();
        json!({"desktops": list})
    };
    let before = || desktops(&[("d1", "Deleted"), ("d2", "Deleting")]);
    vec![
        row(
            "record that a desktop is gone",
            before(),
            desktops(&[("d1", "Deleted"), ("d2", "Deleted")]),
            Allowed,
        ),
        row(
            "record that a desktop failed",
            before(),
            desktops(&[("d1", "Deleted"), ("d2", "Failed")]),
            Allowed,
        ),
        row(
            "set a deleted desktop to another state",
            before(),
            desktops(&[("d1", "Failed"), ("d2", "Deleting")]),
            Refused("state is immutable once it is Deleted"),
        ),
        row(
            "take a desktop off the list",
            before(),
            desktops(&[("d1", "Deleted")]),
            Refused("entries of status.desktops cannot be removed"),
        ),
        row(
            "remove the list of desktops",
            before(),
            json!({"desktops": null}),
            Refused("desktops cannot be removed"),
        ),
        row(
            "list a desktop twice",
            before(),
            desktops(&[("d1", "Deleted"), ("d1", "Deleted"), ("d2", "Deleting")]),
            Refused("Duplicate value"),
        ),
        row(
            "record a state that does not exist",
            json!({}),
            desktops(&[("d1", "Gone")]),
            Refused("Unsupported value"),
        ),
    ]
}

fn plans() -> Vec<Row> {
    let blocked = |state: &str, deleted: i32, pending: i32| {
        json!({
            "desktops": [{"id": "d1", "state": "Deleted"}, {"id": "d2", "state": state}],
            "summary": {
                "total": 2, "absent": 0, "deleted": deleted, "deleting": 0, "failed": 0, "pending": pending, "unknown": 0,
            },
        })
    };
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let plan = |digit: &str| {
        json!({
            "hash": digest(digit), "observedAt": "2026-12-01T00:00:00Z", "delete": 1, "absent": 1, "blocked": 0,
        })
    };
    vec![
        row(
            "count a blocked desktop as pending",
            json!({}),
            blocked("Blocked", 1, 1),
            Allowed,
        ),
        row(
            "write as an older version that does not know blocked desktops",
            json!({}),
            blocked("Blocked", 1, 0),
            Allowed,
        ),
        row(
            "count a deleted desktop as pending",
            json!({}),
            blocked("Deleted", 1, 1),
            Refused("summary must match status.desktops"),
        ),
        row(
            "count a pending desktop not at all",
            json!({}),
            blocked("Pending", 1, 0),
            Refused("summary must match status.desktops"),
        ),
        row("show a plan", json!({}), json!({"plan": plan("0")}), Allowed),
        row(
            "show another plan",
            json!({"plan": plan("0")}),
            json!({"plan": plan("1")}),
            Allowed,
        ),
        row(
            "show no plan any more",
            json!({"plan": plan("0")}),
            json!({"plan": null}),
            Allowed,
        ),
        row(
            "show a plan without a hash",
            json!({}),
            json!({"plan": plan("")}),
            Refused("should match '^sha256:[0-9a-f]{64}$'"),
        ),
        row(
            "copy an approved plan",
            json!({}),
            json!({"approved": {"hash": digest("0"), "desktops": [{"id": "d1", "name": "PC-1", "usersHash": digest("1")}]}}),
            Allowed,
        ),
    ]
}

fn form() -> Vec<Row> {
    let summary = |failed: i32| {
        json!({"summary": {
            "total": 2, "absent": 0, "deleted": 2, "deleting": 0, "failed": failed, "pending": 0, "unknown": 0,
        }})
    };
    let error = |message: &str| {
        json!({"lastError": {
            "time": "2026-12-01T00:00:00Z", "operation": "batchDelete", "class": "Throttled", "message": message,
        }})
    };
    vec![
        row("count the desktops", json!({}), summary(0), Allowed),
        row(
            "count below zero",
            json!({}),
            summary(-1),
            Refused("should be greater than or equal to 0"),
        ),
        row(
            "record an error of 1000 characters",
            json!({}),
            error(&"\u{6863}".repeat(1000)),
            Allowed,
        ),
        row(
            "record an error of 1001 characters",
            json!({}),
            error(&"x".repeat(1001)),
            Refused("Too long"),
        ),
        row(
            "clear the error",
            error("no"),
            json!({"lastError": null}),
            Allowed,
        ),
        row(
            "record a final result with an invalid status",
            json!({}),
            json!({"conditions": succeeded("Maybe", "Waiting")}),
            Refused("Unsupported value"),
        ),
    ]
}
