//! The largest request that the schema admits can be stored: its record must never fail for its size.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::ControlPlane;

use super::attempts::attempt;
use super::deletion;
use desktop_deletion_operator::crd::limits;

/// etcd refuses a request of more than this (`--max-request-bytes`), before the API server refuses a body of 3 MiB.
const ETCD_REQUEST: usize = 1_572_864;

/// What the request itself may take, so that there is room for its annotations.
const WITHOUT_ANNOTATIONS: usize = 1_400_000;

#[tokio::test]
async fn the_largest_request_fits_into_etcd_and_the_cost_limit_of_validation_rules() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("size").await.unwrap();
    let api = namespace.deletions();
    let mut manifest = deletion();
    manifest["metadata"]["name"] = json!("largest");
    // All annotations together may have this size.
    manifest["metadata"]["annotations"]["a"] = json!("x".repeat(256 * 1024 - 1));
    manifest["spec"]["desktopIDs"] = ids('d', limits::DESKTOPS);
    manifest["spec"]["expected"] = desktops(
        &|id| json!({"id": id, "computerName": text(limits::EXPECTED_NAME), "userName": text(limits::EXPECTED_NAME)}),
    );
    manifest["spec"]["approvedPlan"] = json!(digest());
    let created = api
        .create(&PostParams::default(), &serde_json::from_value(manifest).unwrap())
        .await
        .unwrap();

    // First everything but the last outcome, then all of it, so that the rules compare two objects of this size.
    let mut object = created;
    for last in ["Pending", "Accepted"] {
        object.data["status"] = largest_status(last);
        object = api
            .replace_status("largest", &PostParams::default(), &object)
            .await
            .unwrap();
    }
    let suspend = Patch::Merge(json!({"spec": {"suspend": true}}));
    object = api
        .patch("largest", &PatchParams::default(), &suspend)
        .await
        .unwrap();
    let bytes = serde_json::to_vec(&object).unwrap().len();
    assert!(
        bytes < ETCD_REQUEST,
        "{bytes} bytes are more than the {ETCD_REQUEST} that etcd takes"
    );
    object.metadata.annotations = None;
    let bytes = serde_json::to_vec(&object).unwrap().len();
    assert!(bytes < WITHOUT_ANNOTATIONS, "{bytes} bytes without annotations");
}

/// Ids of 255 characters that differ at the end, where comparing them costs most.
fn ids(letter: char, count: u32) -> Value {
    (0..count)
        .map(|number| format!("{}{number:03}", letter.to_string().repeat(252)))
        .collect()
}

fn largest_status(last_outcome: &str) -> Value {
    let attempts: Vec<_> = (0..limits::ATTEMPTS)
        .map(|number| {
            let outcome = if number + 1 == limits::ATTEMPTS {
                last_outcome
            } else {
                "NoEffect"
            };
            largest_attempt(number, outcome)
        })
        .collect();
    let conditions: Vec<_> = (0..limits::CONDITIONS).map(largest_condition).collect();
    json!({
        "observedGeneration": i64::MAX,
        "conditions": conditions,
        "project": {
            "region": "r".repeat(255),
            "projectID": "p".repeat(255),
            "endpoint": text(limits::ENDPOINT),
        },
        "jobID": "j".repeat(255),
        "attempts": attempts,
        "refusedAttempts": i32::MAX,
        "desktops": desktops(&largest_desktop),
        "plan": {
            "hash": digest(), "observedAt": "2026-12-01T00:00:00Z", "delete": 0, "absent": 0, "blocked": 100,
        },
        "approved": {"hash": digest(), "desktops": desktops(&largest_approved)},
        "refusedPlan": digest(),
        "summary": {
            "total": 100, "absent": 0, "deleted": 0, "deleting": 100, "failed": 0, "pending": 0, "unknown": 0,
        },
        "lastError": largest_error(),
        "lastHandledResolve": text(limits::HANDLED_RESOLVE),
        "startTime": "2026-12-01T00:00:00Z",
    })
}

fn largest_attempt(number: u32, outcome: &str) -> Value {
    let fields = json!({
        "writer": "w".repeat(limits::OBJECT_NAME as usize),
        "desktopIDs": ids('d', limits::DESKTOPS),
        "baselineJobIDs": ids('b', limits::BASELINE_JOBS),
        "baselineFailedIDs": ids('d', limits::DESKTOPS),
        "baselineIncomplete": true,
        "planHash": digest(),
        "jobIDs": ids('j', limits::JOBS_PER_ATTEMPT),
        "error": largest_error(),
    });
    attempt(&format!("{}{number}", "a".repeat(254)), outcome, fields)
}

fn largest_error() -> Value {
    json!({
        "time": "2026-12-01T00:00:00Z",
        "operation": text(limits::ERROR_CODE),
        "class": text(limits::ERROR_CODE),
        "httpStatus": 999,
        "code": text(limits::ERROR_CODE),
        "message": text(limits::ERROR_TEXT),
        "detail": text(limits::ERROR_TEXT),
        "requestID": text(limits::REQUEST_ID),
        // Base64, hence one byte a character.
        "encodedAuthorizationMessage": "x".repeat(limits::AUTHORIZATION_MESSAGE as usize),
    })
}

fn largest_condition(number: u32) -> Value {
    json!({
        "type": format!("{}{number}", "T".repeat(limits::CONDITION_TYPE as usize - 1)),
        "status": "Unknown",
        "reason": "R".repeat(limits::CONDITION_REASON as usize),
        "message": text(limits::CONDITION_MESSAGE),
        "observedGeneration": i64::MAX,
        "lastTransitionTime": "2026-12-01T00:00:00Z",
    })
}

fn largest_desktop(id: &Value) -> Value {
    json!({
        "id": id,
        "state": "Deleting",
        "name": text(limits::DESKTOP_NAME),
        "user": text(limits::DESKTOP_USER),
        "missingFacts": ["ComputerName", "Created", "Users", "AllUsers"],
        "code": text(limits::ERROR_CODE),
        "message": text(limits::DESKTOP_MESSAGE),
    })
}

fn largest_approved(id: &Value) -> Value {
    json!({
        "id": id,
        "name": text(limits::DESKTOP_NAME),
        "users": text(limits::DESKTOP_USER),
        "usersHash": digest(),
        "created": "2026-12-01T00:00:00Z",
    })
}

fn desktops(describe: &dyn Fn(&Value) -> Value) -> Value {
    let ids = ids('d', limits::DESKTOPS);
    ids.as_array().unwrap().iter().map(describe).collect()
}

fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

/// A text of the largest characters there are: four bytes each.
fn text(length: u32) -> String {
    "\u{1f5d1}".repeat(length as usize)
}
