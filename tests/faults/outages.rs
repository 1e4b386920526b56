//! The API server or its etcd is away, or comes back with the state of an earlier time; or the watch is dead and nobody
//! says so.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::ControlPlane;
use tokio::time::sleep;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::oracle::{self, End};
use crate::points::{self, POINTS, Point};
use crate::scene::{self, Scene};
use crate::stage::{pair, says};
use crate::troupe::Troupe;

/// How long a server is away: longer than a signature lives and longer than one call is waited for.
const AWAY: Duration = Duration::from_secs(20);

/// Calls of the cloud that are in flight when it goes.
const IN_FLIGHT: [&str; 7] = ["p01", "p02", "p08", "p09", "p12", "p13", "p22"];

#[derive(Debug, Clone, Copy)]
enum Server {
    Etcd,
    Api,
}

async fn play(server: Server) {
    let control_plane = ControlPlane::start().await.unwrap();
    let name = format!("{server:?}-away").to_lowercase();
    let mut troupe = Troupe::gather_on(&control_plane, &name).await;
    let points: Vec<_> = POINTS
        .iter()
        .filter(|point| IN_FLIGHT.contains(&point.id))
        .collect();
    for point in &points {
        let name = format!("{}-{name}", point.id);
        troupe.add(&name, &points::desktops()).await;
    }
    let lay = |(scene, point): (&Scene, &&Point)| point.lay_for(&troupe.proxy, scene, "6s");
    let laid: Vec<_> = troupe.scenes().iter().zip(&points).map(lay).collect();
    let operator = scene::operator(troupe.proxy.kubeconfig(), troupe.namespace.name());
    troupe.begin().await;
    let held = laid.into_iter().zip(troupe.scenes());
    let held = join_all(held.map(|(laid, scene)| laid.held(scene))).await;
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
    let runs = troupe
        .play_under(vec![operator], async |scene, _| scene.ended().await)
        .await;
    let mut broken = oracle::judge_on(&control_plane, &runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_when_etcd_was_killed_is_brought_to_its_end() {
    play(Server::Etcd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_when_the_api_server_was_killed_is_brought_to_its_end() {
    play(Server::Api).await;
}

/// What became of the deletion of which etcd knows nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgotten {
    Running,
    Done,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_of_the_time_before_the_intent_makes_nobody_submit_what_was_submitted() {
    let control_plane = ControlPlane::start().await.unwrap();
    let mut troupe = Troupe::gather_on(&control_plane, "restored").await;
    let forgotten = [(Forgotten::Running, "40s"), (Forgotten::Done, "300ms")];
    for (what, running) in forgotten {
        let name = format!("{what:?}").to_lowercase();
        troupe.add(&name, &[scene::desktop("pc-1", running)]).await;
    }
    troupe.begin().await;
    let snapshot = control_plane.snapshot().await.unwrap();
    let first = scene::operator(troupe.proxy.kubeconfig(), troupe.namespace.name());
    let [running, done] = troupe.scenes() else {
        panic!("no scenes")
    };
    let has_job = |status: &Value| status["jobID"].is_string();
    running.until("its job is stored", has_job).await.unwrap();
    done.ended().await.unwrap();
    // Who restores a cluster restarts what works in it.
    first.kill().await.unwrap();
    control_plane.restore(&snapshot).await.unwrap();
    for scene in troupe.scenes() {
        assert_eq!(scene.status().await["attempts"], json!(null), "{}", scene.name);
    }
    let second = scene::operator(troupe.proxy.kubeconfig(), troupe.namespace.name());
    let held = |status: &Value| says(status, Submitted) == pair("False", "DeletionInProgress");
    let [running, _] = troupe.scenes() else {
        panic!("no scenes")
    };
    running
        .until("it waits for the deletion that runs", held)
        .await
        .unwrap();
    let runs = troupe
        .play_under(vec![first, second], async |scene, _| scene.ended().await)
        .await;
    for run in &runs {
        let status = run.ended.as_ref().unwrap();
        assert_eq!(
            says(status, Succeeded),
            pair("True", "AlreadyAbsent"),
            "{status:#}"
        );
        assert_eq!(run.scene.own_posts().len(), 1, "{}", run.scene.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_is_dead_without_a_word_is_noticed_and_a_restart_heals_it() {
    let mut troupe = Troupe::gather("silent-watch").await;
    for name in ["seen", "unseen"] {
        troupe.add(name, &points::desktops()).await;
    }
    let flags = ["--watch-check=1s"];
    let start = || scene::operator_with(troupe.proxy.kubeconfig(), troupe.namespace.name(), &flags);
    let first = start();
    let [seen, unseen] = troupe.scenes() else {
        panic!("no scenes")
    };
    seen.begin().await;
    seen.effective_job().await.unwrap();
    troupe.proxy.freeze_watches();
    unseen.begin().await;
    // It exits by itself, for whoever restarts it.
    assert_ne!(first.wait().await.unwrap(), 0);
    for words in [
        "the cache of the watch is stale",
        "a loop of the operator has stalled",
        "watch of",
    ] {
        assert!(first.log().contains(words), "{words}: {}", first.log_tail());
    }
    // What nobody sees is left alone.
    assert_eq!(unseen.own_posts().len(), 0);
    troupe.proxy.thaw_watches();
    let second = start();
    let runs = troupe
        .play_under(vec![first, second], async |scene: &Scene, _| scene.ended().await)
        .await;
    let mut broken = oracle::judge(&runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}
