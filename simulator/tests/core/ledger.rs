//! The ledger: what is written about each request.

use ring::digest;
use serde_json::{Value, json};

use super::support::{KEY, PROJECT, Sim, batch_delete, get, hex, signed, with};

#[test]
fn an_accepted_batch_is_written_with_every_field() {
    let mut sim = Sim::new();
    let body = json!({"desktop_ids": ["a"]});
    let request = signed(batch_delete(&body), sim.now, KEY);
    sim.pass(2);
    sim.ask(&request);
    let entry = serde_json::to_value(sim.last()).unwrap();
    let names: Vec<&String> = entry.as_object().unwrap().keys().collect();
    let mut expected = [
        "time",
        "operation",
        "method",
        "path",
        "query",
        "body",
        "bodyDigest",
        "caller",
        "signatureAge",
        "status",
        "tookEffect",
        "jobID",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(entry["time"], "2026-11-24T12:00:02Z");
    assert_eq!(entry["operation"], "batchDelete");
    assert_eq!(entry["method"], "POST");
    assert_eq!(entry["path"], format!("/v2/{PROJECT}/desktops/batch-delete"));
    assert_eq!(entry["query"], "");
    assert_eq!(entry["body"], body.to_string());
    let digest = hex(digest::digest(&digest::SHA256, body.to_string().as_bytes()).as_ref());
    assert_eq!(entry["bodyDigest"], format!("sha256:{digest}"));
    assert_eq!(entry["caller"], KEY.0);
    assert_eq!(entry["signatureAge"], 2.0);
    assert_eq!(entry["status"], 202);
    assert_eq!(entry["tookEffect"], true);
    assert_eq!(entry["jobID"].as_str().unwrap().len(), 36);
}

#[test]
fn refused_and_unknown_requests_are_written_too() {
    let mut sim = Sim::new();
    let request = signed(
        batch_delete(&json!({"desktop_ids": ["a"]})),
        sim.now,
        (KEY.0, "wrong"),
    );
    sim.ask(&request);
    sim.ask(&with(
        get(&format!("/v2/{PROJECT}/desktops?limit=1")),
        "x-auth-token",
        "ready-token",
    ));
    sim.ask(&get("/nowhere"));
    let entries: Vec<Value> = sim
        .cloud
        .ledger()
        .iter()
        .map(|entry| serde_json::to_value(entry).unwrap())
        .collect();
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                &entry["operation"],
                &entry["caller"],
                &entry["status"],
                &entry["tookEffect"],
                &entry["jobID"],
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            (
                &json!("batchDelete"),
                &json!(KEY.0),
                &json!(401),
                &json!(false),
                &json!(null)
            ),
            (
                &json!("listDesktops"),
                &json!("anna"),
                &json!(200),
                &json!(false),
                &json!(null)
            ),
            (
                &json!("unknown"),
                &json!(null),
                &json!(404),
                &json!(false),
                &json!(null)
            ),
        ]
    );
    assert_eq!(entries[1]["query"], "limit=1");
    assert_eq!(entries[1]["signatureAge"], json!(null));
}

#[test]
fn every_operation_has_its_name() {
    let mut sim = Sim::new();
    for (target, name) in [
        ("desktops", "listDesktops"),
        ("desktops/detail", "listDesktopsDetail"),
        ("desktops/a", "showDesktop"),
        ("workspace-jobs/x", "showJob"),
        ("workspace-sub-jobs", "listSubJobs"),
    ] {
        sim.get(target);
        assert_eq!(serde_json::to_value(sim.last().operation).unwrap(), name);
    }
    for (method, target, name) in [
        ("POST", "/v3/auth/tokens", "createToken"),
        (
            "POST",
            "/v3.0/OS-CREDENTIAL/securitytokens",
            "createTemporaryAccessKey",
        ),
        ("GET", "/v3/projects", "listProjects"),
        ("DELETE", "/v3/projects", "unknown"),
    ] {
        let mut request = get(target);
        request.method = method.parse().unwrap();
        sim.ask(&request);
        assert_eq!(serde_json::to_value(sim.last().operation).unwrap(), name);
    }
}
