//! Lists of desktops and sub-jobs: filters, pages, fields, limits.

use serde_json::{Value, json};
use workspace_simulator::world::Desktop;

use super::support::Sim;

fn ids(body: &Value, list: &str, field: &str) -> Vec<String> {
    body[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

fn listed(sim: &mut Sim, rest: &str) -> Vec<String> {
    let (status, body) = sim.get(rest);
    assert_eq!(status, 200, "{rest} {body}");
    ids(&body, "desktops", "desktop_id")
}

#[test]
fn both_lists_hold_the_desktops_of_the_project() {
    let mut sim = Sim::new();
    let foreign = json!({"id": "foreign", "project": "00000000000000000000000000000002"});
    sim.cloud
        .put_desktop(serde_json::from_value(foreign).unwrap())
        .unwrap();
    for list in ["desktops", "desktops/detail"] {
        assert_eq!(listed(&mut sim, list), ["a", "b", "c", "d"]);
    }
}

#[test]
fn filters_narrow_the_lists() {
    let mut sim = Sim::new();
    for (query, expected) in [
        ("desktop_id=a&desktop_id=c&desktop_id=nobody", vec!["a", "c"]),
        ("desktop_id=nobody", vec![]),
        ("user_name=anna", vec!["a"]),
        ("computer_name=desktop-b", vec!["b"]),
        ("status=ACTIVE", vec!["a", "b", "c", "d"]),
        ("status=SHUTOFF", vec![]),
    ] {
        for list in ["desktops", "desktops/detail"] {
            assert_eq!(
                listed(&mut sim, &format!("{list}?{query}")),
                expected,
                "{list}?{query}"
            );
        }
    }
}

#[test]
fn an_older_region_ignores_the_filter_by_id() {
    let mut sim = Sim::switched("{ignoreDesktopFilter: true}");
    assert_eq!(listed(&mut sim, "desktops?desktop_id=a").len(), 4);
}

#[test]
fn pages_are_cut_from_the_whole_and_the_count_stays_whole() {
    let mut sim = Sim::new();
    for (query, expected) in [
        ("limit=2", vec!["a", "b"]),
        ("limit=2&offset=3", vec!["d"]),
        ("limit=0", vec![]),
        ("offset=9", vec![]),
    ] {
        let (_, body) = sim.get(&format!("desktops?{query}"));
        assert_eq!(ids(&body, "desktops", "desktop_id"), expected, "{query}");
        assert_eq!(body["total_count"], 4, "{query}");
    }
}

#[test]
fn parameters_beyond_their_limits_are_refused() {
    let many = vec!["desktop_id=a"; 101].join("&");
    let long = format!("user_name={}", "x".repeat(256));
    let mut sim = Sim::new();
    for query in [
        "limit=1001",
        "limit=-1",
        "limit=x",
        "offset=-1",
        "offset=10001",
        &many,
        &long,
    ] {
        for list in ["desktops", "desktops/detail"] {
            assert_eq!(sim.get(&format!("{list}?{query}")).0, 400, "{list}?{query}");
        }
    }
    for query in ["limit=1001", "offset=10001", "status=DONE", "status=running"] {
        assert_eq!(sim.get(&format!("workspace-sub-jobs?{query}")).0, 400, "{query}");
    }
    let hundred = vec!["desktop_id=a"; 100].join("&");
    assert_eq!(sim.get(&format!("desktops?{hundred}")).0, 200);
    assert_eq!(sim.get(&format!("desktops/{}", "x".repeat(256))).0, 400);
}

#[test]
fn the_detailed_form_tells_logins_billing_and_tags() {
    let mut sim = Sim::new();
    let desktop: Desktop = serde_json::from_value(json!({
        "id": "x", "name": "pc", "user": "ben", "status": "SHUTOFF", "loginStatus": "DISCONNECTED",
        "chargingMode": "prePaid", "type": "POOLED", "tags": {"team": "vdi"}, "frozen": true,
    }))
    .unwrap();
    sim.cloud.put_desktop(desktop).unwrap();
    let (_, body) = sim.get("desktops/x");
    let desktop = &body["desktop"];
    for (field, expected) in [
        ("computer_name", json!("pc")),
        ("user_name", json!("ben")),
        ("status", json!("SHUTOFF")),
        ("task_status", json!("")),
        ("login_status", json!("DISCONNECTED")),
        ("attach_state", json!("ATTACHED")),
        ("desktop_type", json!("POOLED")),
        ("tags", json!([{"key": "team", "value": "vdi"}])),
        ("is_freeze", json!(true)),
        ("process", json!(null)),
    ] {
        assert_eq!(desktop[field], expected, "{field}");
    }
    assert_eq!(
        (
            &desktop["product"]["charge_mode"],
            &desktop["metadata"]["charging_mode"]
        ),
        (&json!("0"), &json!("1"))
    );
    let (_, list) = sim.get("desktops/detail?desktop_id=x");
    assert_eq!(list["desktops"][0], *desktop);
    let (_, list) = sim.get("desktops?desktop_id=x");
    assert_eq!(
        list["desktops"][0]["product"],
        json!(null),
        "the short form has no billing"
    );
}

#[test]
fn oddities_of_reads_can_be_switched_on() {
    let mut sim = Sim::switched("{desktopAsArray: true, lowerCaseStatus: true}");
    let (_, body) = sim.get("desktops/a");
    assert_eq!(body["desktop"][0]["status"], "active");

    let mut sim = Sim::switched("{deletedDesktop: deleted, listsShowDeleted: true}");
    sim.delete(&["a"]);
    sim.pass(30);
    assert_eq!(
        sim.get("desktops?desktop_id=a").1["desktops"][0]["status"],
        "DELETED"
    );
    let mut sim = Sim::switched("{deletedDesktop: deleted}");
    sim.delete(&["a"]);
    sim.pass(30);
    assert_eq!(sim.get("desktops?desktop_id=a").1["total_count"], 0);
    assert_eq!(sim.desktop("a").0, "DELETED");
}

#[test]
fn sub_jobs_are_filtered_by_repeated_status_job_and_type_and_paged() {
    let mut sim = Sim::new();
    let first = sim.delete(&["a"]);
    sim.pass(15);
    let second = sim.delete(&["b", "c"]);
    let desktops = |sim: &mut Sim, query: &str| {
        let (status, body) = sim.get(&format!("workspace-sub-jobs?{query}"));
        assert_eq!(status, 200, "{body}");
        let jobs = body["jobs"].as_array().unwrap();
        jobs.iter()
            .map(|job| job["entities"]["desktop_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        desktops(&mut sim, "job_type=deleteDesktops"),
        ["b", "c", "a"],
        "the newest job comes first"
    );
    assert_eq!(desktops(&mut sim, "job_type=createDesktops"), [""; 0]);
    assert_eq!(
        desktops(&mut sim, "status=RUNNING&status=WAITING"),
        ["b", "c", "a"]
    );
    assert_eq!(desktops(&mut sim, "status=RUNNING"), ["a"]);
    assert_eq!(desktops(&mut sim, &format!("job_id={first}")), ["a"]);
    assert_eq!(
        desktops(&mut sim, &format!("job_id={second}&limit=1&offset=1")),
        ["c"]
    );
    assert_eq!(sim.get("workspace-sub-jobs?limit=1").1["total_count"], 3);
    sim.pass(15);
    assert_eq!(desktops(&mut sim, "status=SUCCESS"), ["a"]);
    let (_, body) = sim.get(&format!("workspace-sub-jobs?job_id={first}"));
    let job = &body["jobs"][0];
    assert_eq!(
        (&job["job_id"], &job["begin_time"], &job["end_time"]),
        (
            &json!(first),
            &json!("2026-11-24 12:00:00"),
            &json!("2026-11-24 12:00:30")
        )
    );
}

#[test]
fn sub_jobs_may_come_oldest_first_and_without_times() {
    let mut sim = Sim::switched("{newestJobFirst: false, jobTimes: false}");
    sim.delete(&["a"]);
    sim.delete(&["b"]);
    let (_, body) = sim.get("workspace-sub-jobs");
    assert_eq!(body["jobs"][0]["entities"]["desktop_id"], "a");
    assert_eq!(body["jobs"][0]["begin_time"], json!(null));
}

#[test]
fn jobs_belong_to_their_project() {
    let mut sim = Sim::new();
    let foreign = json!({"id": "foreign", "project": "00000000000000000000000000000002"});
    sim.cloud
        .put_desktop(serde_json::from_value(foreign).unwrap())
        .unwrap();
    let job = sim.delete(&["a"]);
    let path = format!("/v2/00000000000000000000000000000002/workspace-jobs/{job}");
    let request = super::support::signed(super::support::get(&path), sim.now, super::support::KEY);
    assert_eq!(sim.ask(&request).status.as_u16(), 404);
}
