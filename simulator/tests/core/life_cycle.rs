//! Desktops and jobs over time.

use serde_json::json;

use super::support::{Sim, WORLD};

fn pair(status: &str, task: &str) -> (String, String) {
    (status.to_owned(), task.to_owned())
}

#[test]
fn a_desktop_goes_from_active_over_deleting_and_the_empty_status_to_404() {
    let mut sim = Sim::new();
    assert_eq!(sim.desktop("a"), pair("ACTIVE", ""));
    sim.delete(&["a"]);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", "deleting"));
    sim.pass(24);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", "deleting"));
    sim.pass(1);
    assert_eq!(sim.desktop("a"), pair("", "deleting"));
    sim.pass(4);
    assert_eq!(sim.desktop("a"), pair("", "deleting"));
    sim.pass(1);
    assert_eq!(sim.desktop("a"), pair("404", ""));
}

#[test]
fn a_deleted_desktop_reads_deleted_where_the_world_says_so() {
    let mut sim = Sim::switched("{deletedDesktop: deleted, emptyStatus: 'null'}");
    sim.delete(&["a"]);
    sim.pass(29);
    assert_eq!(sim.desktop("a"), pair("null", "deleting"));
    sim.pass(1);
    assert_eq!(sim.desktop("a"), pair("DELETED", ""));
    let (_, body) = sim.get("desktops/a");
    assert_eq!(body["desktop"]["attach_state"], "DEATTACHED");
}

#[test]
fn sub_jobs_wait_run_and_succeed_and_the_parent_follows() {
    let mut sim = Sim::new();
    let job = sim.delete(&["a", "b"]);
    let path = format!("workspace-jobs/{job}");
    let both = |status: &str| vec![pair("a", status), pair("b", status)];
    assert_eq!(sim.sub_jobs(&job), both("WAITING"));
    assert_eq!(sim.get(&path).1["status"], "WAITING");
    sim.pass(10);
    assert_eq!(sim.sub_jobs(&job), both("RUNNING"));
    assert_eq!(sim.get(&path).1["status"], "RUNNING");
    sim.pass(20);
    assert_eq!(sim.sub_jobs(&job), both("SUCCESS"));
    let (status, parent) = sim.get(&path);
    assert_eq!(
        (status, &parent["status"], &parent["sub_jobs_total"]),
        (200, &json!("SUCCESS"), &json!(2))
    );
    assert_eq!(parent["id"], job.as_str());
    assert_eq!(parent["job_type"], "deleteDesktops");
    assert_eq!(parent["begin_time"], "2026-11-24 12:00:00");
    assert_eq!(parent["end_time"], "2026-11-24 12:00:30");
    assert_eq!(parent["sub_jobs"][0]["job_id"], job.as_str());
    assert_ne!(parent["sub_jobs"][0]["id"], job.as_str());
    assert_eq!(parent["sub_jobs"][0]["process"], 100);
}

#[test]
fn a_failed_desktop_comes_back_and_the_parent_fails_with_its_reason() {
    let mut sim = Sim::new();
    let job = sim.delete(&["a", "c"]);
    assert_eq!(sim.desktop("c"), pair("ACTIVE", "deleting"));
    sim.pass(30);
    assert_eq!(
        sim.sub_jobs(&job),
        vec![pair("a", "SUCCESS"), pair("c", "FAILED")]
    );
    assert_eq!(sim.desktop("c"), pair("ACTIVE", ""));
    let (_, parent) = sim.get(&format!("workspace-jobs/{job}"));
    assert_eq!(
        (&parent["status"], &parent["job_error_code"]),
        (&json!("FAIL"), &json!("WKS.1"))
    );
    let failed = &parent["sub_jobs"][1];
    assert_eq!(
        (&failed["error_code"], &failed["fail_reason"]),
        (&json!("WKS.1"), &json!("the port is in use"))
    );
    assert_eq!(parent["sub_jobs"][0]["error_code"], json!(null));
}

#[test]
fn a_failed_desktop_says_so_where_the_world_says_so_and_may_be_deleted_again() {
    let mut sim =
        Sim::switched("{failedDesktop: deleteFailed, parentPartial: COMPLETE, parentFailure: FAILED}");
    let job = sim.delete(&["a", "c"]);
    sim.pass(30);
    assert_eq!(sim.desktop("c"), pair("ACTIVE", "deleteFailed"));
    assert_eq!(sim.get(&format!("workspace-jobs/{job}")).1["status"], "COMPLETE");
    let again = sim.delete(&["c"]);
    assert_ne!(job, again);
    assert_eq!(sim.desktop("c"), pair("ACTIVE", "deleting"));
    sim.pass(30);
    assert_eq!(sim.get(&format!("workspace-jobs/{again}")).1["status"], "FAILED");
}

#[test]
fn a_stuck_deletion_never_ends() {
    let mut sim = Sim::new();
    let job = sim.delete(&["d"]);
    sim.pass(100_000);
    assert_eq!(sim.sub_jobs(&job), vec![pair("d", "RUNNING")]);
    assert_eq!(sim.desktop("d"), pair("ACTIVE", "deleting"));
    assert_eq!(sim.get(&format!("workspace-jobs/{job}")).1["status"], "RUNNING");
}

#[test]
fn sub_jobs_and_desktops_may_disagree() {
    for (outcome, sub_jobs, desktop) in [
        ("successButPresent", vec!["SUCCESS"], "ACTIVE"),
        ("failedButGone", vec!["FAILED"], "404"),
        ("noSubJob", vec![], "404"),
        ("ignored", vec![], "ACTIVE"),
    ] {
        let mut sim = Sim::new();
        let desktop_of_outcome = serde_json::from_value(json!({"id": "e", "outcome": outcome})).unwrap();
        sim.cloud.put_desktop(desktop_of_outcome).unwrap();
        let job = sim.delete(&["e"]);
        sim.pass(30);
        let found: Vec<String> = sim.sub_jobs(&job).into_iter().map(|(_, status)| status).collect();
        assert_eq!(found, sub_jobs, "{outcome}");
        assert_eq!(sim.desktop("e").0, desktop, "{outcome}");
    }
}

#[test]
fn jobs_and_desktops_show_an_accepted_call_as_late_as_the_world_says() {
    let mut sim =
        Sim::timed("{waiting: 10s, running: 20s, jobVisibleAfter: 3s, desktopVisibleAfter: 5s, listLag: 7s}");
    let job = sim.delete(&["a"]);
    sim.pass(2);
    assert_eq!(sim.get(&format!("workspace-jobs/{job}")).0, 404);
    assert_eq!(sim.sub_jobs(&job), vec![]);
    sim.pass(1);
    assert_eq!(sim.get(&format!("workspace-jobs/{job}")).0, 200);
    assert_eq!(sim.sub_jobs(&job), vec![pair("a", "WAITING")]);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", ""));
    sim.pass(2);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", "deleting"));
    let listed = |sim: &mut Sim| sim.get("desktops?desktop_id=a").1["desktops"][0]["task_status"].clone();
    sim.pass(6);
    assert_eq!(listed(&mut sim), "", "the list is seven seconds old");
    sim.pass(1);
    assert_eq!(listed(&mut sim), "deleting");
    sim.pass(24);
    assert_eq!(sim.desktop("a"), pair("404", ""));
    assert_eq!(sim.get("desktops?desktop_id=a").1["total_count"], 1);
    sim.pass(1);
    assert_eq!(sim.get("desktops?desktop_id=a").1["total_count"], 0);
}

#[test]
fn a_call_that_does_not_show_yet_has_happened_all_the_same() {
    let mut sim = Sim::timed("{desktopVisibleAfter: 5s}");
    sim.delete(&["a"]);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", ""));
    assert_eq!(sim.post(&json!({"desktop_ids": ["a"]})).0, 409);
}

#[test]
fn desktops_of_a_batch_may_start_one_after_another_and_take_their_own_time() {
    let mut sim = Sim::timed("{waiting: 10s, running: 20s, stagger: 4s}");
    let slow = json!({"id": "slow", "outcome": {"result": "success", "waiting": "0s", "running": "60s"}});
    sim.cloud
        .put_desktop(serde_json::from_value(slow).unwrap())
        .unwrap();
    let job = sim.delete(&["a", "b", "slow"]);
    sim.pass(10);
    let now = |words: [&str; 3]| vec![pair("a", words[0]), pair("b", words[1]), pair("slow", words[2])];
    assert_eq!(sim.sub_jobs(&job), now(["RUNNING", "WAITING", "RUNNING"]));
    sim.pass(24);
    assert_eq!(sim.sub_jobs(&job), now(["SUCCESS", "SUCCESS", "RUNNING"]));
    sim.pass(34);
    assert_eq!(sim.sub_jobs(&job), now(["SUCCESS", "SUCCESS", "SUCCESS"]));
}

#[test]
fn records_of_jobs_vanish_when_erased_or_after_their_time() {
    let mut sim = Sim::timed("{waiting: 10s, running: 20s, jobRetention: 60s}");
    let first = sim.delete(&["a"]);
    sim.pass(89);
    assert_eq!(sim.sub_jobs(&first).len(), 1);
    sim.pass(1);
    assert_eq!(sim.sub_jobs(&first).len(), 0);
    let second = sim.delete(&["b"]);
    assert_eq!(sim.sub_jobs(&second).len(), 1);
    sim.cloud.erase_jobs();
    assert_eq!(sim.sub_jobs(&second).len(), 0);
    assert_eq!(sim.get(&format!("workspace-jobs/{second}")).0, 404);
    sim.pass(30);
    assert_eq!(sim.desktop("b"), pair("404", ""), "the deletion goes on");
}

#[test]
fn what_was_to_be_seen_late_is_seen_once_it_is_shown() {
    let mut sim = Sim::timed("{waiting: 10s, running: 20s, jobVisibleAfter: 1h, desktopVisibleAfter: 1h}");
    let job = sim.delete(&["a"]);
    sim.pass(5);
    assert_eq!(sim.sub_jobs(&job).len(), 0);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", ""));
    sim.cloud.show_jobs(sim.now);
    assert_eq!(sim.sub_jobs(&job), vec![pair("a", "WAITING")]);
    assert_eq!(sim.desktop("a"), pair("ACTIVE", "deleting"));
    let later = sim.delete(&["b"]);
    assert_eq!(
        sim.sub_jobs(&later).len(),
        0,
        "what comes after is seen late again"
    );
}

#[test]
fn what_was_to_take_long_ends_when_it_is_told_to() {
    let mut sim = Sim::timed("{waiting: 10s, running: 1h, goneAfter: 5s}");
    let job = sim.delete(&["a"]);
    sim.pass(5);
    assert_eq!(sim.sub_jobs(&job), vec![pair("a", "WAITING")]);
    sim.cloud.end_jobs(sim.now);
    assert_eq!(sim.sub_jobs(&job), vec![pair("a", "SUCCESS")]);
    assert_eq!(sim.desktop("a"), pair("", "deleting"));
    sim.pass(5);
    assert_eq!(sim.desktop("a"), pair("404", ""));
}

#[test]
fn the_same_requests_at_the_same_times_give_the_same_answers() {
    let run = || {
        let mut sim = Sim::new();
        let job = sim.delete(&["a", "c"]);
        sim.pass(40);
        (
            job.clone(),
            sim.get(&format!("workspace-jobs/{job}")),
            sim.get("desktops"),
        )
    };
    assert_eq!(run(), run());
    let mut sim = Sim::new();
    sim.get("desktops");
    assert_eq!(
        sim.delete(&["a"]),
        run().0,
        "ids of jobs do not depend on the reads before"
    );
    assert_ne!(Sim::of(&format!("{WORLD}\nseed: 1\n")).delete(&["a"]), run().0);
}
