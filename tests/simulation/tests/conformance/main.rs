//! The simulated API server and a real one: given the same requests, they say the same.
//!
//! | file | what |
//! | --- | --- |
//! | this | plays sequences to both and compares |
//! | [`sequence`] | requests by chance, with "the version seen last" in place of numbers |
//! | [`server`] | the two servers, and what a client remembers of each |
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on says so by a panic

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use http::Method;
use simulation::dice::Dice;
use testkit::ControlPlane;
use tokio::task::JoinHandle;

mod sequence;
mod server;

use sequence::Step;
use server::{Client, Real, Server, Simulated};

/// How many sequences are played.
const SEQUENCES: u64 = 2_000;

/// How many are played at one time; each player has a namespace.
const PLAYERS: usize = 6;

/// Requests of one sequence.
const LENGTH: usize = 14;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_respond_equally_and_show_the_same_changes() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let players: Vec<JoinHandle<Vec<String>>> = (0..PLAYERS)
        .map(|_| tokio::spawn(play(control_plane, next.clone())))
        .collect();
    let found = join_all(players).await.into_iter().flat_map(Result::unwrap);
    let found: Vec<String> = found.collect();
    let shown = found.iter().take(5).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(
        found.is_empty(),
        "{} of {SEQUENCES} sequences differ:\n{shown}",
        found.len()
    );
}

/// Plays sequences to both servers, in a namespace of its own, until all are played.
async fn play(control_plane: &'static ControlPlane, next: Arc<AtomicU64>) -> Vec<String> {
    let namespace = control_plane.namespace("conformance").await.unwrap();
    let mut real = Client::of(Real(namespace.client()), namespace.name());
    let mut simulated = Client::of(Simulated::default(), namespace.name());
    let mut differences = Vec::new();
    real.mark_the_beginning().await;
    simulated.mark_the_beginning().await;
    // A real server forgets soon what a watch would show, so that it must be watched all along.
    let mut watching = Vec::new();
    for selector in ["", "status.completionTime=", "status.jobID=job-1"] {
        let begun = (real.newest().await, simulated.newest().await);
        let mut watcher = Client::of(Real(namespace.client()), namespace.name());
        let shown = tokio::spawn(async move { watcher.watch(begun.0, selector).await });
        watching.push((selector, shown, begun.1));
    }
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= SEQUENCES {
            break;
        }
        differences.extend(differ(number, &mut real, &mut simulated).await);
    }
    real.mark_the_end().await;
    simulated.mark_the_end().await;
    for (selector, shown, begun) in watching {
        let shown = shown.await.unwrap();
        let expected = simulated.watch(begun, selector).await;
        if let Some(place) = (0..shown.len().max(expected.len())).find(|i| shown.get(*i) != expected.get(*i))
        {
            differences.push(format!(
                "a watch with the selector {selector:?} differs at event {place}:\n  real      {:?}\n  simulated {:?}",
                shown.get(place),
                expected.get(place)
            ));
        }
    }
    differences
}

/// Plays one sequence; says where the responses differ, and what led to it.
async fn differ<A: Server, B: Server>(
    number: u64,
    real: &mut Client<A>,
    simulated: &mut Client<B>,
) -> Option<String> {
    let mut dice = Dice::new(number);
    let mut told = vec![format!("sequence {number}")];
    for _ in 0..LENGTH {
        let step = Step::draw(number, &mut dice);
        let answers = (real.take(&step).await, simulated.take(&step).await);
        told.push(format!("{step:?} -> {}", answers.0.code));
        if !answers.0.is_like(&answers.1) {
            told.push(format!(
                "  real      {:?}\n  simulated {:?}",
                answers.0, answers.1
            ));
            return Some(told.join("\n"));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_refuse_a_watch_from_a_compacted_version() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("forgotten").await.unwrap();
    let mut real = Client::of(Real(namespace.client()), namespace.name());
    let mut simulated = Client::of(Simulated::default(), namespace.name());
    simulated.server.0.store.compact_to(2);
    simulated.mark_the_end().await;
    let shown = (real.watch(1, "").await, simulated.watch(1, "").await);
    assert_eq!(shown.0, shown.1);
    assert_eq!(shown.0[0]["object"]["code"], 410, "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_return_404_for_unknown_resources() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("unknown").await.unwrap();
    let real = Real(namespace.client());
    let simulated = Simulated::default();
    let place = format!(
        "/apis/cloud-desktops.dev/v1alpha1/namespaces/{}",
        namespace.name()
    );
    let (mut real, mut simulated) = (real, simulated);
    for path in [
        format!("{place}/desktops"),
        format!("{place}/desktopdeletions?fieldSelector=spec.force%3Dtrue"),
    ] {
        let asked = |path: &str| (Method::GET, path.to_owned(), String::new(), String::new());
        let (a, b) = (real.ask(asked(&path)).await, simulated.ask(asked(&path)).await);
        assert_eq!(a.0, b.0, "{path}: {a:?} {b:?}");
    }
}
