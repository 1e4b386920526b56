//! The API server or its etcd is unavailable, or restored to an earlier state; or the watch fails silently.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::ControlPlane;
use tokio::time::sleep;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{pair, says};
use crate::oracle::{self, End};
use crate::points::{self, POINTS, Point};
use crate::trial::{self, Trial};
use crate::trial_group::TrialGroup;

/// How long a server is away: longer than a signature lives and longer than one call is waited for.
const AWAY: Duration = Duration::from_secs(20);

/// Calls of the cloud that are in flight when it goes.
const IN_FLIGHT: [&str; 7] = ["p01", "p02", "p08", "p09", "p12", "p13", "p22"];

#[derive(Debug, Clone, Copy)]
enum Server {
    Etcd,
    Api,
}

async fn run(server: Server) {
    let control_plane = ControlPlane::start().await.unwrap();
    let name = format!("{server:?}-away").to_lowercase();
    let mut group = TrialGroup::new_on(&control_plane, &name).await;
    let points: Vec<_> = POINTS
        .iter()
        .filter(|point| IN_FLIGHT.contains(&point.id))
        .collect();
    for point in &points {
        let name = format!("{}-{name}", point.id);
        group.add(&name, &points::desktops()).await;
    }
    let lay = |(trial, point): (&Trial, &&Point)| point.lay_for(&group.proxy, trial, "6s");
    let laid: Vec<_> = group.trials().iter().zip(&points).map(lay).collect();
    let operator = trial::operator(group.proxy.kubeconfig(), group.namespace.name());
    group.begin().await;
    let held = laid.into_iter().zip(group.trials());
    let held = join_all(held.map(|(laid, trial)| laid.held(trial))).await;
    assert!(held.iter().all(Result::is_ok), "not all are in flight");
    match server {
        Server::Etcd => control_plane.kill_etcd().await.unwrap(),
        Server::Api => control_plane.kill_api_server().await.unwrap(),
    }
    sleep(AWAY).await;
    match server {
        Server::Etcd => control_plane.start_etcd().await.unwrap(),
        Server::Api => control_plane.start_api_server().await.unwrap(),
    }
    let runs = group
        .run_under(vec![operator], async |trial, _| trial.ended().await)
        .await;
    let mut broken = oracle::judge_on(&control_plane, &runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_were_in_progress_when_etcd_was_killed_are_finished() {
    run(Server::Etcd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_were_in_progress_when_the_api_server_was_killed_are_finished() {
    run(Server::Api).await;
}

/// The state of the deletion that the restored etcd does not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgotten {
    Running,
    Done,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_is_restored_from_before_the_intent_causes_no_second_submission() {
    let control_plane = ControlPlane::start().await.unwrap();
    let mut group = TrialGroup::new_on(&control_plane, "restored").await;
    let forgotten = [(Forgotten::Running, "1h"), (Forgotten::Done, "300ms")];
    for (what, running) in forgotten {
        let name = format!("{what:?}").to_lowercase();
        group.add(&name, &[trial::desktop("pc-1", running)]).await;
    }
    group.begin().await;
    let snapshot = control_plane.snapshot().await.unwrap();
    let first = trial::operator(group.proxy.kubeconfig(), group.namespace.name());
    let [running, done] = group.trials() else {
        panic!("no trials")
    };
    let has_job = |status: &Value| status["jobID"].is_string();
    running.until("its job is stored", has_job).await.unwrap();
    done.ended().await.unwrap();
    // Who restores a cluster restarts what works in it.
    first.kill().await.unwrap();
    control_plane.restore(&snapshot).await.unwrap();
    for trial in group.trials() {
        assert_eq!(trial.status().await["attempts"], json!(null), "{}", trial.name);
    }
    let second = trial::operator(group.proxy.kubeconfig(), group.namespace.name());
    let held = |status: &Value| says(status, Submitted) == pair("False", "DeletionInProgress");
    let [running, _] = group.trials() else {
        panic!("no trials")
    };
    running
        .until("it waits for the running deletion", held)
        .await
        .unwrap();
    running.cloud.simulator().end_jobs();
    let runs = group
        .run_under(vec![first, second], async |trial, _| trial.ended().await)
        .await;
    for run in &runs {
        let status = run.ended.as_ref().unwrap();
        assert_eq!(
            says(status, Succeeded),
            pair("True", "AlreadyAbsent"),
            "{status:#}"
        );
        assert_eq!(run.trial.own_posts().len(), 1, "{}", run.trial.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_silently_fails_is_detected_and_a_restart_recovers_it() {
    let mut group = TrialGroup::new("silent-watch").await;
    for name in ["seen", "unseen"] {
        group.add(name, &points::desktops()).await;
    }
    // A list that takes longer than three checks would end a healthy operator too.
    let flags = ["--watch-check=10s"];
    let first = trial::operator_with(group.proxy.kubeconfig(), group.namespace.name(), &flags);
    let [seen, unseen] = group.trials() else {
        panic!("no trials")
    };
    seen.begin().await;
    seen.effective_job().await.unwrap();
    group.proxy.freeze_watches();
    unseen.begin().await;
    // It exits by itself, to be restarted.
    assert_ne!(first.wait().await.unwrap(), 0);
    for words in [
        "the cache of the watch is stale",
        "a loop of the operator has stalled",
        "watch of",
    ] {
        assert!(first.log().contains(words), "{words}: {}", first.log_tail());
    }
    // Objects that no watch shows are left alone.
    assert_eq!(unseen.own_posts().len(), 0);
    group.proxy.thaw_watches();
    let second = trial::operator(group.proxy.kubeconfig(), group.namespace.name());
    let runs = group
        .run_under(vec![first, second], async |trial: &Trial, _| trial.ended().await)
        .await;
    let mut broken = oracle::judge(&runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}
