//! The clock of the operator's machine is wrong by twenty minutes, either way: nothing is submitted by it, and a lost
//! answer is settled by the clock of the cloud.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Operator, target, workspace};

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted};

use crate::oracle::{self, End};
use crate::points;
use crate::scene::{self, Scene, lost};
use crate::stage::{pair, says};
use crate::troupe::Troupe;

/// By how many seconds it is wrong.
const WRONG: [(&str, &str); 2] = [("ahead", "1200"), ("behind", "-1200")];

/// What became of the submission that a healthy operator had sent before.
const BEFORE: [(&str, Option<bool>); 3] = [
    ("nothing", None),
    ("lost-answer", Some(true)),
    ("lost-request", Some(false)),
];

/// Builds what makes a clock wrong, with the compiler that Rust links with.
fn wrong_clock() -> PathBuf {
    let source = workspace().join("tests/fixtures/clock.c");
    let folder = target().join("wrong-clock");
    std::fs::create_dir_all(&folder).unwrap();
    let library = folder.join("clock.so");
    // Complete before anybody loads it.
    let fresh = folder.join(format!("clock-{}.so", std::process::id()));
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&fresh, &source])
        .status();
    assert!(compiler.expect("a C compiler").success());
    std::fs::rename(&fresh, &library).unwrap();
    library
}

/// An operator whose clock is wrong.
fn off(troupe: &Troupe, library: &str, seconds: &str) -> Operator {
    let environment = [("LD_PRELOAD", library), ("CLOCK_OFFSET", seconds)];
    scene::operator_in(
        troupe.proxy.kubeconfig(),
        troupe.namespace.name(),
        &[],
        &environment,
    )
}

/// Waits until a request says that the clock is wrong, or has ended.
async fn rests(scene: &Scene) -> Result<Value, String> {
    let skewed = |status: &Value| says(status, Submitted) == pair("False", "ClockSkew");
    let rests = |status: &Value| status["completionTime"].is_string() || skewed(status);
    scene.until("the clock is wrong, or it has ended", rests).await
}

async fn play(name: &str, seconds: &str) {
    let library = wrong_clock().display().to_string();
    let mut troupe = Troupe::gather(&format!("clock-{name}")).await;
    for (before, effect) in BEFORE {
        let scene = troupe
            .add(&format!("{before}-{name}"), &points::desktops("failed"))
            .await;
        if let Some(effect) = effect {
            scene.cloud.add_fault(&lost(effect, &json!("reset"))).unwrap();
        }
    }
    let [nothing, sent @ ..] = troupe.scenes() else {
        panic!("no scenes")
    };
    let first = scene::operator(troupe.proxy.kubeconfig(), troupe.namespace.name());
    for scene in sent {
        scene.begin().await;
        scene.struck().await.unwrap();
    }
    first.kill().await.unwrap();
    nothing.begin().await;
    let second = off(&troupe, &library, seconds);
    for scene in troupe.scenes() {
        let status = rests(scene).await.unwrap();
        if status["completionTime"].is_null() {
            assert_eq!(says(&status, Stalled), pair("True", "ClockSkew"), "{status:#}");
        }
        let sent = scene.own_posts().len();
        assert_eq!(
            sent,
            usize::from(!std::ptr::eq(scene, nothing)),
            "{}: by a wrong clock nothing is sent",
            scene.name
        );
    }
    second.kill().await.unwrap();
    let third = scene::operator(troupe.proxy.kubeconfig(), troupe.namespace.name());
    let runs = troupe
        .play_under(vec![first, second, third], async |scene, _| scene.ended().await)
        .await;
    let mut broken = oracle::judge(&runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_whose_clock_is_wrong_submits_nothing_and_settles_by_the_clock_of_the_cloud() {
    for (name, seconds) in WRONG {
        play(name, seconds).await;
    }
}
