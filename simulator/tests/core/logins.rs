//! Who is let in, and what each may do.

use http::Method;
use serde_json::{Value, json};

use super::support::{KEY, PROJECT, Sim, batch_delete, get, read, signed, with};

const TEMPORARY: (&str, &str) = ("AK-TEMPORARY", "secret of AK-TEMPORARY");

fn desktops() -> workspace_simulator::cloud::Request {
    get(&format!("/v2/{PROJECT}/desktops"))
}

/// Status, code and message of the answer.
fn ask(sim: &mut Sim, request: &workspace_simulator::cloud::Request) -> (u16, String, String) {
    let (status, body) = read(&sim.ask(request));
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (status, text("error_code"), text("error_msg"))
}

fn assert_refused(answer: &(u16, String, String), why: &str) {
    let (status, code, message) = answer;
    assert_eq!((*status, code.as_str()), (401, "APIGW.0301"), "{message}");
    assert!(
        message.starts_with("Incorrect IAM authentication information: "),
        "{message}"
    );
    assert!(message.contains(why), "{message} lacks {why}");
}

#[test]
fn a_signed_request_is_let_in() {
    let mut sim = Sim::new();
    let request = signed(desktops(), sim.now, KEY);
    assert_eq!(ask(&mut sim, &request).0, 200);
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_refused() {
    let mut sim = Sim::new();
    let request = signed(desktops(), sim.now, (KEY.0, "wrong"));
    assert_refused(&ask(&mut sim, &request), "verify aksk signature fail");
    let request = signed(desktops(), sim.now, ("AK-NOBODY", KEY.1));
    assert_refused(
        &ask(&mut sim, &request),
        "Get secretKey failed,ak:AK-NOBODY,err:ak not exist",
    );
}

#[test]
fn a_date_outside_the_window_is_refused_either_way() {
    for (age, status) in [
        (0, 200),
        (15 * 60, 200),
        (15 * 60 + 1, 401),
        (-15 * 60, 200),
        (-15 * 60 - 1, 401),
    ] {
        let mut sim = Sim::new();
        let request = signed(desktops(), sim.now, KEY);
        sim.pass(age);
        let answer = ask(&mut sim, &request);
        assert_eq!(answer.0, status, "{age} s: {}", answer.2);
    }
    let mut sim = Sim::timed("{signatureWindow: 5s}");
    let request = signed(desktops(), sim.now, KEY);
    sim.pass(6);
    assert_refused(&ask(&mut sim, &request), "signature expired");
}

#[test]
fn the_age_is_measured_by_the_services_clock_which_dates_its_answers() {
    let mut sim = Sim::timed("{clockAhead: 20m}");
    let request = signed(desktops(), sim.now, KEY);
    let response = sim.ask(&request);
    assert_eq!(response.status.as_u16(), 401);
    assert_eq!(response.headers["date"], "Tue, 24 Nov 2026 12:20:00 GMT");
    sim.pass(1200);
    let request = signed(desktops(), sim.now, KEY);
    sim.pass(-1200);
    assert_eq!(sim.ask(&request).status.as_u16(), 200);

    let mut sim = Sim::timed("{clockBehind: 1h}");
    let response = sim.ask(&get("/nowhere"));
    assert_eq!(response.headers["date"], "Tue, 24 Nov 2026 11:00:00 GMT");
}

#[test]
fn a_change_after_signing_is_refused() {
    let mut sim = Sim::new();
    let original = signed(batch_delete(&json!({"desktop_ids": ["a"]})), sim.now, KEY);

    let mut body = original.clone();
    body.body = json!({"desktop_ids": ["b"]}).to_string().into();
    let mut query = original.clone();
    query.query = "x=1".to_owned();
    let mut path = original.clone();
    path.path = path.path.replace(PROJECT, "00000000000000000000000000000002");
    let mut method = original.clone();
    method.method = Method::GET;
    method.path = format!("/v2/{PROJECT}/desktops");
    for (what, request) in [
        ("body", body),
        ("query", query),
        ("path", path),
        ("method", method),
    ] {
        let mut sim = Sim::new();
        assert_refused(&ask(&mut sim, &request), "verify aksk signature fail");
        assert!(
            sim.cloud
                .desktops(sim.now)
                .iter()
                .all(|desktop| desktop.task_status.is_empty()),
            "{what}"
        );
    }
    assert_eq!(ask(&mut sim, &original).0, 202);
}

#[test]
fn a_named_body_hash_must_be_the_bodys() {
    let mut sim = Sim::new();
    let request = with(
        batch_delete(&json!({"desktop_ids": ["a"]})),
        "x-sdk-content-sha256",
        &"0".repeat(64),
    );
    let request = signed(request, sim.now, KEY);
    assert_refused(
        &ask(&mut sim, &request),
        "the body does not match X-Sdk-Content-Sha256",
    );
}

#[test]
fn a_signed_header_that_is_missing_is_refused() {
    let mut sim = Sim::new();
    let mut request = signed(desktops(), sim.now, KEY);
    request.headers.remove("host");
    assert_refused(&ask(&mut sim, &request), "a signed header is missing");
}

#[test]
fn a_header_that_is_not_signed_may_be_added() {
    let mut sim = Sim::new();
    let request = with(signed(desktops(), sim.now, KEY), "x-project-id", PROJECT);
    assert_eq!(ask(&mut sim, &request).0, 200);
}

#[test]
fn a_temporary_key_needs_its_token_and_a_permanent_one_must_not_have_any() {
    let mut sim = Sim::new();
    let now = sim.now;
    let request = signed(with(desktops(), "x-security-token", "the token"), now, TEMPORARY);
    assert_eq!(ask(&mut sim, &request).0, 200);
    let request = signed(desktops(), now, TEMPORARY);
    assert_refused(&ask(&mut sim, &request), "X-Security-Token is missing");
    let request = signed(with(desktops(), "x-security-token", "another"), now, TEMPORARY);
    assert_refused(&ask(&mut sim, &request), "decrypt security token fail");
    let request = signed(with(desktops(), "x-security-token", "the token"), now, KEY);
    assert_refused(
        &ask(&mut sim, &request),
        "does not belong to a permanent access key",
    );
}

#[test]
fn the_sixth_failure_in_a_row_locks_the_key_for_five_minutes() {
    let mut sim = Sim::new();
    let right = signed(desktops(), sim.now, KEY);
    let wrong = signed(desktops(), sim.now, (KEY.0, "wrong"));
    for _ in 0..5 {
        assert_refused(&ask(&mut sim, &wrong), "verify aksk signature fail");
    }
    assert_eq!(ask(&mut sim, &right).0, 200, "five do not lock it yet");
    for _ in 0..6 {
        assert_refused(&ask(&mut sim, &wrong), "verify aksk signature fail");
    }
    assert_refused(
        &ask(&mut sim, &right),
        "AK access failed to reach the limit,forbidden",
    );
    sim.pass(299);
    assert_refused(&ask(&mut sim, &right), "forbidden");
    sim.pass(1);
    assert_eq!(ask(&mut sim, &right).0, 200);
}

#[test]
fn a_token_is_let_in_until_it_ends() {
    let mut sim = Sim::new();
    assert_eq!(
        ask(&mut sim, &with(desktops(), "x-auth-token", "ready-token")).0,
        200
    );
    assert_refused(
        &ask(&mut sim, &with(desktops(), "x-auth-token", "old-token")),
        "decrypt token fail",
    );
    assert_refused(
        &ask(&mut sim, &with(desktops(), "x-auth-token", "no-token")),
        "decrypt token fail",
    );
    assert_refused(&ask(&mut sim, &desktops()), "x-auth-token not found");
}

#[test]
fn the_gateways_prefix_may_be_the_older_one() {
    let mut sim = Sim::switched("{gatewayPrefix: APIG}");
    assert_eq!(ask(&mut sim, &desktops()).1, "APIG.0301");
}

#[test]
fn projects_of_others_and_projects_that_differ_are_unavailable() {
    let foreign = get("/v2/00000000000000000000000000000009/desktops");
    let header_foreign = with(desktops(), "x-project-id", "00000000000000000000000000000009");
    let header_differs = with(desktops(), "x-project-id", "00000000000000000000000000000002");
    let domain = with(desktops(), "x-domain-id", "not-acme");
    for request in [foreign, header_foreign, header_differs, domain] {
        let mut sim = Sim::new();
        let request = signed(request, sim.now, KEY);
        let (status, code, message) = ask(&mut sim, &request);
        assert_eq!((status, code.as_str()), (403, "APIGW.0310"), "{message}");
    }
    let mut sim = Sim::new();
    let (status, code, _) = ask(&mut sim, &with(desktops(), "x-auth-token", "token-of-second"));
    assert_eq!((status, code.as_str()), (403, "APIGW.0310"));
}

#[test]
fn a_missing_right_is_refused_by_workspace_with_principal_action_and_resource() {
    let reader = ("AK-READER", "secret of AK-READER");
    let mut sim = Sim::new();
    let request = signed(desktops(), sim.now, reader);
    assert_eq!(ask(&mut sim, &request).0, 200);
    let request = signed(batch_delete(&json!({"desktop_ids": ["a"]})), sim.now, reader);
    let (status, body) = read(&sim.ask(&request));
    assert_eq!((status, &body["error_code"]), (403, &json!("WKS.0403")));
    let message = body["error_msg"].as_str().unwrap();
    for part in [
        "iam::acme-id:user:rita",
        "workspace:desktops:batchDelete",
        "workspace:local-1:acme-id:desktop:*",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert_eq!(body["encoded_authorization_message"], Value::Null);

    let mut sim = Sim::switched("{encodedAuthorizationMessage: true}");
    let (_, body) = read(&sim.ask(&request));
    assert!(!body["encoded_authorization_message"].as_str().unwrap().is_empty());
}

#[test]
fn each_read_has_an_action_of_its_own() {
    let deleter = ("AK-TAGGED", "secret of AK-TAGGED");
    for (path, action) in [
        ("desktops", "workspace:desktops:list "),
        ("desktops/detail", "workspace:desktops:listDetail "),
        ("desktops/a", "workspace:desktops:get"),
        ("workspace-jobs/x", "workspace:jobs:get"),
        ("workspace-sub-jobs", "workspace:jobs:listSubJobs"),
    ] {
        let mut sim = Sim::new();
        let request = signed(get(&format!("/v2/{PROJECT}/{path}")), sim.now, deleter);
        let (status, _, message) = ask(&mut sim, &request);
        assert_eq!(status, 403);
        assert!(message.contains(action), "{message} lacks {action}");
    }
}

#[test]
fn a_disabled_service_is_said_by_its_code() {
    let mut sim = Sim::switched("{serviceDisabled: true}");
    let request = signed(desktops(), sim.now, KEY);
    let (status, code, _) = ask(&mut sim, &request);
    assert_eq!((status, code.as_str()), (403, "WKS.00010099"));
}

#[test]
fn every_call_of_workspace_must_have_the_content_type_of_json() {
    for (value, status) in [
        (Some("application/json"), 200),
        (Some("application/json; charset=utf-8"), 200),
        (Some("application/json;charset=UTF-8"), 200),
        (Some("text/plain"), 400),
        (Some("application/json; charset=latin1"), 400),
        (None, 400),
    ] {
        let mut request = desktops();
        request.headers.remove("content-type");
        if let Some(value) = value {
            request = with(request, "content-type", value);
        }
        let mut sim = Sim::new();
        let request = signed(request, sim.now, KEY);
        assert_eq!(ask(&mut sim, &request).0, status, "{value:?}");
        let mut sim = Sim::switched("{requireContentType: false}");
        assert_eq!(ask(&mut sim, &request).0, 200, "{value:?}");
    }
}

#[test]
fn wrong_paths_and_methods_do_not_exist_for_the_gateway() {
    let mut sim = Sim::new();
    let mut put = desktops();
    put.method = Method::PUT;
    for request in [get("/"), get("/v2"), get(&format!("/v1/{PROJECT}/desktops")), put] {
        let (status, code, _) = ask(&mut sim, &request);
        assert_eq!(
            (status, code.as_str()),
            (404, "APIGW.0101"),
            "{} {}",
            request.method,
            request.path
        );
    }
}

#[test]
fn too_large_a_request_is_refused_by_the_gateway() {
    let mut body = batch_delete(&json!({}));
    body.body = vec![b' '; 12 * 1024 * 1024 + 1].into();
    let target = get(&format!("/v2/{PROJECT}/desktops?x={}", "x".repeat(33_000)));
    let header = with(desktops(), "x-auth-token", &"x".repeat(33_000));
    for (request, expected) in [(body, 413), (target, 414), (header, 400)] {
        let (status, code, _) = ask(&mut Sim::new(), &request);
        assert_eq!((status, code.as_str()), (expected, "APIGW.0201"));
    }
}

#[test]
fn the_throttle_counts_each_callers_operations_by_the_minute() {
    let mut sim = Sim::switched("{throttle: {readsPerMinute: 2, writesPerMinute: 1, retryAfter: 1500ms}}");
    let read_request = signed(desktops(), sim.now, KEY);
    let write_request = signed(batch_delete(&json!({"desktop_ids": ["a"]})), sim.now, KEY);
    assert_eq!(ask(&mut sim, &read_request).0, 200);
    assert_eq!(ask(&mut sim, &read_request).0, 200);
    let response = sim.ask(&read_request);
    assert_eq!(response.headers["retry-after"], "2");
    let (status, body) = read(&response);
    assert_eq!((status, &body["error_code"]), (429, &json!("APIGW.0308")));
    assert!(
        body["error_msg"]
            .as_str()
            .unwrap()
            .contains("limit:2,time:1 minute"),
        "{body}"
    );
    assert_eq!(ask(&mut sim, &write_request).0, 202);
    assert_eq!(ask(&mut sim, &write_request).0, 429);
    assert_eq!(
        ask(&mut sim, &with(desktops(), "x-auth-token", "ready-token")).0,
        200,
        "another caller"
    );
    sim.pass(60);
    assert_eq!(ask(&mut sim, &read_request).0, 200);
}

#[test]
fn an_account_can_be_replaced_while_the_cloud_runs() {
    let mut sim = Sim::new();
    let old = signed(desktops(), sim.now, KEY);
    let account = json!({"name": "acme", "accessKeys": [{"id": "AK-NEW", "secret": "new"}]});
    assert!(
        !sim.cloud
            .put_account(serde_json::from_value(account).unwrap())
            .unwrap()
    );
    assert_refused(&ask(&mut sim, &old), "ak not exist");
    assert_refused(
        &ask(&mut sim, &with(desktops(), "x-auth-token", "ready-token")),
        "decrypt token fail",
    );
    let new = signed(desktops(), sim.now, ("AK-NEW", "new"));
    assert_eq!(ask(&mut sim, &new).0, 200);
    let clash = json!({"name": "third", "accessKeys": [{"id": "AK-NEW", "secret": "x"}]});
    let error = sim
        .cloud
        .put_account(serde_json::from_value(clash).unwrap())
        .unwrap_err();
    assert!(
        error.to_string().contains("access key AK-NEW is there twice"),
        "{error}"
    );
    assert_eq!(ask(&mut sim, &new).0, 200, "a refused account changes nothing");
}
