//! IAM: tokens, temporary access keys, projects.

use serde_json::{Value, json};
use workspace_simulator::cloud::Response;

use super::support::{KEY, PROJECT, Sim, get, post, read, signed, with};

fn login(password: &str, scope: &Value) -> Value {
    json!({"auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "anna", "password": password, "domain": {"name": "acme"}}},
        },
        "scope": scope,
    }})
}

fn create_token(sim: &mut Sim, body: &Value) -> Response {
    sim.ask(&post("/v3/auth/tokens?nocatalog=true", body))
}

fn list_with(sim: &mut Sim, token: &str) -> u16 {
    let request = get(&format!("/v2/{PROJECT}/desktops"));
    sim.ask(&with(request, "x-auth-token", token)).status.as_u16()
}

#[test]
fn a_password_gives_a_token_that_works_for_a_day() {
    let mut sim = Sim::new();
    let response = create_token(&mut sim, &login("right", &json!({"project": {"id": PROJECT}})));
    let (status, body) = read(&response);
    assert_eq!(status, 201);
    let token = &body["token"];
    assert_eq!(token["expires_at"], "2026-11-25T12:00:00.000000Z");
    assert_eq!(token["issued_at"], "2026-11-24T12:00:00.000000Z");
    assert_eq!(
        (&token["project"]["id"], &token["user"]["name"]),
        (&json!(PROJECT), &json!("anna"))
    );
    let text = response.headers["x-subject-token"].to_str().unwrap().to_owned();
    assert_eq!(list_with(&mut sim, &text), 200);
    assert_eq!(sim.last().caller.as_deref(), Some("anna"));
    sim.pass(24 * 3600 - 1);
    assert_eq!(list_with(&mut sim, &text), 200);
    sim.pass(1);
    assert_eq!(list_with(&mut sim, &text), 401);
}

#[test]
fn a_new_token_does_not_end_the_old_one() {
    let mut sim = Sim::new();
    let tokens: Vec<String> = (0..2)
        .map(|_| {
            create_token(
                &mut sim,
                &login("right", &json!({"project": {"name": "local-1"}})),
            )
        })
        .map(|response| response.headers["x-subject-token"].to_str().unwrap().to_owned())
        .collect();
    assert_ne!(tokens[0], tokens[1]);
    for token in &tokens {
        assert_eq!(list_with(&mut sim, token), 200);
    }
}

#[test]
fn a_token_is_for_its_project_only() {
    let mut sim = Sim::new();
    let response = create_token(&mut sim, &login("right", &json!({"project": {"name": "second"}})));
    let token = response.headers["x-subject-token"].to_str().unwrap().to_owned();
    assert_eq!(list_with(&mut sim, &token), 403);
}

#[test]
fn wrong_logins_are_refused_in_the_shape_of_keystone() {
    let mut sim = Sim::new();
    let wrong_password = read(&create_token(&mut sim, &login("wrong", &json!({}))));
    let wrong_project = read(&create_token(
        &mut sim,
        &login("right", &json!({"project": {"name": "x"}})),
    ));
    for (status, body) in [wrong_password, wrong_project] {
        assert_eq!(status, 401);
        assert_eq!(
            (&body["error"]["code"], &body["error"]["title"]),
            (&json!(401), &json!("Unauthorized"))
        );
    }
    for body in [
        json!({}),
        json!({"auth": {"identity": {"methods": ["password"]}}}),
    ] {
        let (status, body) = read(&create_token(&mut sim, &body));
        assert_eq!((status, &body["error"]["code"]), (400, &json!(400)));
    }
    assert!(sim.cloud.ledger().iter().all(|entry| !entry.took_effect));
}

#[test]
fn a_token_is_exchanged_for_a_temporary_key_that_signs() {
    let mut sim = Sim::new();
    let body = json!({"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 1000}}}});
    let request = with(
        post("/v3.0/OS-CREDENTIAL/securitytokens", &body),
        "x-auth-token",
        "ready-token",
    );
    let (status, body) = read(&sim.ask(&request));
    assert_eq!(status, 201);
    let credential = &body["credential"];
    assert_eq!(credential["expires_at"], "2026-11-24T12:16:40.000000Z");
    let text = |name: &str| credential[name].as_str().unwrap().to_owned();
    let (access, secret, token) = (text("access"), text("secret"), text("securitytoken"));
    let list = with(
        get(&format!("/v2/{PROJECT}/desktops")),
        "x-security-token",
        &token,
    );
    let request = signed(list.clone(), sim.now, (&access, &secret));
    assert_eq!(sim.ask(&request).status.as_u16(), 200);
    sim.pass(1000);
    let request = signed(list, sim.now, (&access, &secret));
    assert_eq!(sim.ask(&request).status.as_u16(), 401);
}

#[test]
fn an_exchange_is_refused_for_bad_tokens_times_and_where_the_world_says_so() {
    let ask = |sim: &mut Sim, token: Value| {
        let body = json!({"auth": {"identity": {"methods": ["token"], "token": token}}});
        read(&sim.ask(&post("/v3.0/OS-CREDENTIAL/securitytokens", &body)))
    };
    let mut sim = Sim::new();
    assert_eq!(ask(&mut sim, json!({"id": "nobody"})).0, 401);
    assert_eq!(
        ask(&mut sim, json!({"id": "ready-token", "duration_seconds": 899})).0,
        400
    );
    assert_eq!(
        ask(&mut sim, json!({"id": "ready-token", "duration_seconds": 86_401})).0,
        400
    );
    assert_eq!(ask(&mut sim, json!({"id": "ready-token"})).0, 201);
    let mut sim = Sim::switched("{tokenExchange: false}");
    let (status, body) = ask(&mut sim, json!({"id": "ready-token"}));
    assert_eq!((status, &body["error_code"]), (403, &json!("IAM.0002")));
}

#[test]
fn projects_are_listed_by_name_for_their_account() {
    let mut sim = Sim::new();
    let ids = |sim: &mut Sim, target: &str| {
        let request = signed(get(target), sim.now, KEY);
        let (status, body) = read(&sim.ask(&request));
        assert_eq!(status, 200);
        let projects = body["projects"].as_array().unwrap();
        projects
            .iter()
            .map(|project| project["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&mut sim, "/v3/projects").len(), 2);
    assert_eq!(ids(&mut sim, "/v3/projects?name=local-1"), [PROJECT]);
    assert_eq!(ids(&mut sim, "/v3/projects?name=nowhere"), [""; 0]);
    assert_eq!(sim.ask(&get("/v3/projects")).status.as_u16(), 401);
}

#[test]
fn a_user_may_ask_when_their_own_token_ends() {
    let mut sim = Sim::new();
    let ask = |sim: &mut Sim, own: &str, subject: &str| {
        let request = with(get("/v3/auth/tokens?nocatalog=true"), "x-auth-token", own);
        read(&sim.ask(&with(request, "x-subject-token", subject)))
    };
    let response = create_token(&mut sim, &login("right", &json!({"project": {"id": PROJECT}})));
    let made = response.headers["x-subject-token"].to_str().unwrap().to_owned();
    let (status, body) = ask(&mut sim, &made, &made);
    assert_eq!(status, 200);
    assert_eq!(body["token"]["expires_at"], "2026-11-25T12:00:00.000000Z");
    assert_eq!(body["token"]["project"]["id"], PROJECT);
    let (status, body) = ask(&mut sim, "ready-token", "ready-token");
    assert_eq!(
        (status, &body["token"]["expires_at"]),
        (200, &json!("9998-12-31T23:59:59.000000Z"))
    );
    assert_eq!(ask(&mut sim, "old-token", "old-token").0, 401);
    assert_eq!(ask(&mut sim, &made, "old-token").0, 404);
}
