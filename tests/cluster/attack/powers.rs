//! What an administrator can still do: a user who may write `/status` is trusted where nothing in the object
//! contradicts.
//! `docs/security.md` describes the consequences of each.

use serde_json::{Value, json};
use testkit::ControlPlane;

use super::forged_edits::{Attempted, Edit, WriteMethod, drop, put, victim};
use super::victims::{approved, condition, digest, error, finished, followed, in_doubt, planned, waiting};
use crate::crd_rules::{attempt, causes};

/// One row: what is done, to whom, and how.
struct Power {
    name: &'static str,
    before: fn() -> Value,
    edits: Vec<Edit>,
}

fn power(name: &'static str, before: fn() -> Value, edits: impl Into<Vec<Edit>>) -> Power {
    let edits = edits.into();
    Power { name, before, edits }
}

/// Fields that anybody with the right to write `/status` may write at any time.
pub(super) fn fields() -> Vec<String> {
    vec!["/lastHandledResolve".to_owned()]
}

fn table() -> Vec<Power> {
    [settling(), beginning(), telling()]
        .into_iter()
        .flatten()
        .collect()
}

/// Settle an attempt with unknown outcome, without any evidence.
fn settling() -> Vec<Power> {
    let outcome = "/attempts/2/outcome";
    let job = || put("/attempts/2/jobIDs", json!(["job-9"]));
    vec![
        power(
            "settle the call with unknown outcome as rejected",
            in_doubt,
            [put(outcome, "Rejected")],
        ),
        power(
            "settle the call with unknown outcome as not sent",
            in_doubt,
            [put(outcome, "NotSent")],
        ),
        power(
            "settle the call with unknown outcome as without effect",
            in_doubt,
            [put(outcome, "NoEffect")],
        ),
        power(
            "settle the call with unknown outcome as accepted, with an invented job",
            in_doubt,
            [put(outcome, "Accepted"), job()],
        ),
        power(
            "settle the call with unknown outcome as adopted",
            in_doubt,
            [put(outcome, "Adopted")],
        ),
        power(
            "abandon the call with unknown outcome",
            in_doubt,
            [put(outcome, "Abandoned")],
        ),
        power(
            "change the error of the call with unknown outcome",
            in_doubt,
            [put("/attempts/2/error", error("Throttled", 429))],
        ),
        power(
            "put a foreign job to a call",
            followed,
            [put("/attempts/1/jobIDs", json!(["job-1", "job-9"]))],
        ),
        power(
            "put a late job to a finished request",
            finished,
            [put("/attempts/1/jobIDs", json!(["job-1", "job-9"]))],
        ),
        power("name a job that no call has", in_doubt, [put("/jobID", "job-9")]),
        power(
            "remove a refused call before the end",
            in_doubt,
            [drop("/attempts/0")],
        ),
    ]
}

/// Begin an attempt that will never be sent.
fn beginning() -> Vec<Power> {
    let elsewhere = || {
        json!({
            "region": "cn-north-4",
            "projectID": "fedcba9876543210",
            "endpoint": "https://workspace.cn-north-4.myhuaweicloud.com",
        })
    };
    let pending = || json!([attempt("new", "Pending", json!({}))]);
    vec![
        power(
            "record an intent that was not signed",
            waiting,
            [put("/attempts", pending())],
        ),
        power(
            "approve the plan that is shown",
            planned,
            [put("/approved", approved("0"))],
        ),
        power(
            "show another plan",
            planned,
            [put("/plan/hash", digest("2")), put("/plan/delete", 1)],
        ),
        power(
            "refuse an approval, or accept one that was refused",
            planned,
            [put("/refusedPlan", digest("0"))],
        ),
        power(
            "mark a fact as not reported by the cloud",
            in_doubt,
            [put("/desktops/0/missingFacts", json!(["Users"]))],
        ),
        power(
            "set the project of a request before it is admitted",
            waiting,
            [put("/project", elsewhere())],
        ),
        power("count more refusals", in_doubt, [put("/refusedAttempts", 9)]),
    ]
}

/// Say of an unfinished request what is not so.
fn telling() -> Vec<Power> {
    let failed = || put("/conditions/0", condition("Succeeded", "False", "Rejected"));
    let end = || put("/completionTime", "2026-12-01T01:00:00Z");
    let both_gone = || json!([{"id": "d1", "state": "Deleted"}, {"id": "d2", "state": "Deleted"}]);
    let counted = || super::victims::summary(&[("deleted", 2)]);
    vec![
        power(
            "end a request before anything was submitted",
            waiting,
            [failed(), end()],
        ),
        power(
            "report both desktops as deleted, and finish",
            followed,
            [
                put("/desktops", both_gone()),
                put("/summary", counted()),
                put("/conditions/0", condition("Succeeded", "True", "AllDeleted")),
                end(),
            ],
        ),
        power(
            "report it as ready",
            followed,
            [put("/conditions/-", condition("Ready", "True", "AllDeleted"))],
        ),
        power(
            "invent a last error",
            followed,
            [put("/lastError", error("Throttled", 429))],
        ),
        power(
            "set another observed generation",
            followed,
            [put("/observedGeneration", 9)],
        ),
        power(
            "mark the annotation as handled",
            finished,
            [put("/lastHandledResolve", "done=retry")],
        ),
    ]
}

#[tokio::test]
async fn the_list_of_what_an_administrator_can_still_write_is_complete() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("powers").await.unwrap();
    let mut wrong = Vec::new();
    for (number, power) in table().iter().enumerate() {
        let name = format!("victim-{number}");
        let before = victim(&namespace, &name, &(power.before)()).await.unwrap();
        let attempted = Attempted {
            namespace: &namespace,
            before: &before,
            edits: &power.edits,
            subresource: "/status",
        };
        if let Err(error) = attempted.by(WriteMethod::Put).await {
            wrong.push(format!(
                "{}: was refused: {}",
                power.name,
                causes(&error).join("; ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn attempts_without_effect_can_be_replaced_in_two_writes() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("two-writes").await.unwrap();
    let refused = || {
        let mut status = waiting();
        status["attempts"] = json!([attempt("a", "Rejected", json!({}))]);
        status
    };
    let mut object = victim(&namespace, "victim", &refused()).await.unwrap();
    let pending = json!([attempt("a", "Pending", json!({"desktopIDs": ["d1"]}))]);
    for edits in [[drop("/attempts")], [put("/attempts", pending)]] {
        let attempted = Attempted {
            namespace: &namespace,
            before: &object,
            edits: &edits,
            subresource: "/status",
        };
        object = attempted.by(WriteMethod::Put).await.unwrap();
    }
    assert_eq!(object.data["status"]["attempts"][0]["outcome"], "Pending");
}
