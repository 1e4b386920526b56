//! The batch deletion: limits of its fields, and what the documents leave open.

use serde_json::{Value, json};
use workspace_simulator::world::Desktop;

use super::support::{KEY, PROJECT, Sim, batch_delete, post, read, signed};

fn put(sim: &mut Sim, desktop: Value) {
    let desktop: Desktop = serde_json::from_value(desktop).unwrap();
    sim.cloud.put_desktop(desktop).unwrap();
}

fn delete(sim: &mut Sim, ids: &[&str]) -> (u16, Value) {
    sim.post(&json!({"desktop_ids": ids}))
}

/// `error_code` of each sub-job of the job that an answer names, null for none.
fn errors(sim: &mut Sim, accepted: &(u16, Value)) -> Vec<Value> {
    assert_eq!(accepted.0, 202, "{}", accepted.1);
    sim.pass(60);
    let (_, job) = sim.get(&format!(
        "workspace-jobs/{}",
        accepted.1["job_id"].as_str().unwrap()
    ));
    job["sub_jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sub_job| sub_job["error_code"].clone())
        .collect()
}

#[test]
fn a_batch_is_accepted_with_a_job_id_in_the_form_of_a_uuid() {
    let mut sim = Sim::new();
    let body = json!({
        "desktop_ids": ["a", "b"], "delete_users": false, "email_notification": true, "is_force_delete": false
    });
    let (status, answer) = sim.post(&body);
    assert_eq!(status, 202);
    let id = answer["job_id"].as_str().unwrap();
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
}

#[test]
fn wrong_fields_are_refused_with_400() {
    let long = "x".repeat(256);
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for body in [
        json!({}),
        json!([]),
        json!("text"),
        json!({"desktop_ids": null}),
        json!({"desktop_ids": "a"}),
        json!({"desktop_ids": []}),
        json!({"desktop_ids": [1]}),
        json!({"desktop_ids": [long]}),
        json!({"desktop_ids": many}),
        json!({"desktop_ids": ["a"], "delete_users": "false"}),
        json!({"desktop_ids": ["a"], "email_notification": 0}),
        json!({"desktop_ids": ["a"], "is_force_delete": "yes"}),
    ] {
        let mut sim = Sim::new();
        let (status, answer) = sim.post(&body);
        assert_eq!(status, 400, "{body} {answer}");
        assert!(
            answer["error_code"].as_str().unwrap().starts_with("WKS."),
            "{answer}"
        );
        assert!(!sim.last().took_effect, "{body}");
        assert_eq!(sim.desktop("a").1, "", "{body}");
    }
}

#[test]
fn a_body_that_is_empty_or_no_json_is_refused_with_400() {
    for (text, code) in [("", "WKS.0001"), ("{", "WKS.00010001")] {
        let mut sim = Sim::new();
        let mut request = batch_delete(&json!({}));
        request.body = text.into();
        let (status, answer) = read(&sim.ask(&signed(request, sim.now, KEY)));
        assert_eq!((status, answer["error_code"].as_str().unwrap()), (400, code));
    }
}

#[test]
fn a_hundred_desktops_fit_into_one_batch() {
    let mut sim = Sim::new();
    let ids: Vec<String> = (0..100).map(|number| format!("desktop-{number}")).collect();
    for id in &ids {
        put(&mut sim, json!({"id": id}));
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let job = sim.delete(&ids);
    assert_eq!(sim.sub_jobs(&job).len(), 100);
}

#[test]
fn an_unknown_desktop_is_refused_skipped_or_fails() {
    let mut sim = Sim::new();
    assert_eq!(delete(&mut sim, &["a", "nobody"]).0, 404);
    assert_eq!(sim.desktop("a").1, "", "nothing of the call took effect");

    let mut sim = Sim::switched("{unknownDesktop: skip}");
    let accepted = delete(&mut sim, &["a", "nobody"]);
    assert_eq!(errors(&mut sim, &accepted), [Value::Null]);
    assert_eq!(delete(&mut sim, &["nobody"]).0, 404);

    let mut sim = Sim::switched("{unknownDesktop: fail}");
    let accepted = delete(&mut sim, &["a", "nobody"]);
    assert_eq!(errors(&mut sim, &accepted), [Value::Null, json!("WKS.00010404")]);
}

#[test]
fn a_desktop_of_another_project_is_unknown() {
    let mut sim = Sim::new();
    put(
        &mut sim,
        json!({"id": "foreign", "project": "00000000000000000000000000000002"}),
    );
    assert_eq!(delete(&mut sim, &["foreign"]).0, 404);
}

#[test]
fn a_desktop_that_is_gone_is_unknown() {
    for deleted in ["notFound", "deleted"] {
        let mut sim = Sim::switched(&format!("{{deletedDesktop: {deleted}}}"));
        sim.delete(&["a"]);
        sim.pass(30);
        assert_eq!(delete(&mut sim, &["a"]).0, 404, "{deleted}");
    }
}

#[test]
fn a_repeated_deletion_conflicts_is_accepted_fails_or_finds_nothing() {
    let mut sim = Sim::new();
    sim.delete(&["a"]);
    let (status, answer) = delete(&mut sim, &["a", "b"]);
    assert_eq!((status, &answer["error_code"]), (409, &json!("WKS.00010032")));
    assert_eq!(sim.desktop("b").1, "", "nothing of the call took effect");

    let mut sim = Sim::switched("{repeatedDesktop: accept}");
    let first = sim.delete(&["a"]);
    let second = delete(&mut sim, &["a"]);
    assert_ne!(second.1["job_id"], first.as_str());
    assert_eq!(errors(&mut sim, &second), [Value::Null]);

    let mut sim = Sim::switched("{repeatedDesktop: fail}");
    sim.delete(&["a"]);
    let second = delete(&mut sim, &["a"]);
    assert_eq!(errors(&mut sim, &second), ["WKS.00010032"]);
    assert_eq!(sim.desktop("a").0, "404", "the first deletion went on");

    let mut sim = Sim::switched("{repeatedDesktop: notFound}");
    sim.delete(&["a"]);
    assert_eq!(delete(&mut sim, &["a"]).0, 404);
}

#[test]
fn a_desktop_named_twice_is_refused_merged_or_repeated() {
    assert_eq!(delete(&mut Sim::new(), &["a", "a"]).0, 400);
    for (rule, sub_jobs) in [("merge", 1), ("repeat", 2)] {
        let mut sim = Sim::switched(&format!("{{duplicateIds: {rule}}}"));
        let accepted = delete(&mut sim, &["a", "a"]);
        assert_eq!(errors(&mut sim, &accepted).len(), sub_jobs, "{rule}");
    }
}

#[test]
fn prepaid_busy_and_connected_desktops_are_received_as_the_world_says() {
    let prepaid = json!({"id": "x", "chargingMode": "prePaid"});
    let busy = json!({"id": "x", "taskStatus": "rebuilding"});
    let maintenance = json!({"id": "x", "maintenance": true});
    let frozen = json!({"id": "x", "frozen": true});
    let connected = json!({"id": "x", "loginStatus": "CONNECTED"});
    for (desktop, switch, default) in [
        (prepaid, "prepaidDesktop", 400),
        (busy, "busyDesktop", 409),
        (maintenance, "busyDesktop", 409),
        (frozen, "busyDesktop", 409),
        (connected, "connectedDesktop", 202),
    ] {
        let mut sim = Sim::new();
        put(&mut sim, desktop.clone());
        assert_eq!(delete(&mut sim, &["x"]).0, default, "{desktop}");
        for (reception, expected) in [("delete", 202), ("conflict", 409), ("refuse", 400)] {
            let mut sim = Sim::switched(&format!("{{{switch}: {reception}}}"));
            put(&mut sim, desktop.clone());
            assert_eq!(delete(&mut sim, &["x"]).0, expected, "{desktop} {reception}");
        }
        let mut sim = Sim::switched(&format!("{{{switch}: fail}}"));
        put(&mut sim, desktop.clone());
        let accepted = delete(&mut sim, &["a", "x"]);
        assert_eq!(
            errors(&mut sim, &accepted),
            [Value::Null, json!("WKS.00010002")],
            "{desktop}"
        );
        assert_eq!(sim.desktop("x").0, "ACTIVE", "{desktop}");
    }
}

#[test]
fn force_passes_over_a_connected_user() {
    let mut sim = Sim::switched("{connectedDesktop: conflict}");
    put(&mut sim, json!({"id": "x", "loginStatus": "CONNECTED"}));
    assert_eq!(delete(&mut sim, &["x"]).0, 409);
    assert_eq!(
        sim.post(&json!({"desktop_ids": ["x"], "is_force_delete": true}))
            .0,
        202
    );
}

#[test]
fn a_desktop_whose_deletion_failed_is_not_busy() {
    let mut sim = Sim::new();
    put(&mut sim, json!({"id": "x", "taskStatus": "deleteFailed"}));
    assert_eq!(delete(&mut sim, &["x"]).0, 202);
}

#[test]
fn a_mixed_list_is_refused_or_fails_in_part() {
    let key = ("AK-TAGGED", "secret of AK-TAGGED");
    let ask = |sim: &mut Sim, ids: &[&str]| {
        let request = signed(batch_delete(&json!({"desktop_ids": ids})), sim.now, key);
        read(&sim.ask(&request))
    };
    let mut sim = Sim::new();
    let (status, answer) = ask(&mut sim, &["a", "b"]);
    assert_eq!(status, 403);
    let message = answer["error_msg"].as_str().unwrap();
    assert!(
        message.contains("workspace:local-1:acme-id:desktop:a"),
        "{message}"
    );
    assert_eq!(ask(&mut sim, &["b"]).0, 202);

    let mut sim = Sim::switched("{mixedAuthorization: fail}");
    let accepted = ask(&mut sim, &["a", "b"]);
    assert_eq!(errors(&mut sim, &accepted), [json!("WKS.0403"), Value::Null]);
    assert_eq!(ask(&mut sim, &["a"]).0, 403, "none of them may be deleted");
}

#[test]
fn a_trailing_slash_in_the_path_is_no_matter() {
    let mut sim = Sim::new();
    let mut request = post(
        &format!("/v2/{PROJECT}/desktops/batch-delete"),
        &json!({"desktop_ids": ["a"]}),
    );
    request = signed(request, sim.now, KEY);
    request.path.push('/');
    assert_eq!(sim.ask(&request).status.as_u16(), 202);
}
