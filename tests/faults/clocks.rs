//! The clock of the operator's machine is wrong by twenty minutes, in either direction: nothing is submitted and no
//! attempt with unknown outcome is settled with it, and the status reports which clock to correct. The next operator,
//! whose clock is right, continues.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Operator, target, workspace};

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted};

use crate::fixture::{message, pair, says};
use crate::oracle::{self, End};
use crate::points;
use crate::trial::{self, Trial, lost};
use crate::trial_group::TrialGroup;

/// By how many seconds it is wrong. The cloud refuses the operator's signatures then, as it does wrong ones.
const WRONG: [(&str, &str); 2] = [("ahead", "1200"), ("behind", "-1200")];

/// The state of the submission that a healthy operator had sent before.
const BEFORE: [(&str, Option<bool>); 3] = [
    ("nothing", None),
    ("lost-answer", Some(true)),
    ("lost-request", Some(false)),
];

static WRONG_CLOCK: LazyLock<PathBuf> = LazyLock::new(wrong_clock);

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
fn off(group: &TrialGroup, library: &str, seconds: &str) -> Operator {
    let environment = [("LD_PRELOAD", library), ("CLOCK_OFFSET", seconds)];
    trial::operator_in(
        group.proxy.kubeconfig(),
        group.namespace.name(),
        &[],
        &environment,
    )
}

/// Waits until a request says that the clock is wrong.
async fn rests(trial: &Trial, effect: Option<bool>) {
    let submitted = match effect {
        Some(_) => pair("Unknown", "AwaitingEvidence"),
        None => pair("False", "ClockSkew"),
    };
    let reported = |status: &Value| {
        says(status, Submitted) == submitted
            && message(status, Stalled).contains("Fix the clock that is wrong")
    };
    let status = trial.until("it reports that the clock is wrong", reported).await;
    status.unwrap_or_else(|error| panic!("{}: {error}", trial.name));
    let sent = usize::from(effect.is_some());
    assert_eq!(
        trial.own_posts().len(),
        sent,
        "{}: nothing is sent with a wrong clock",
        trial.name
    );
}

/// Waits until the submission was sent, and keeps its outcome unknown until the faults are cleared: the healthy
/// operator cannot determine it, even if it is killed late.
async fn in_doubt(trial: &Trial) {
    trial.begin().await;
    trial.struck().await.unwrap();
    let unavailable = json!({"operation": "listSubJobs", "answer": {"status": 503}});
    trial.cloud.add_fault(&unavailable).unwrap();
}

async fn run((name, seconds): (&str, &str)) {
    let library = WRONG_CLOCK.display().to_string();
    let mut group = TrialGroup::new(&format!("clock-{name}")).await;
    for (before, effect) in BEFORE {
        let trial = group.add(&format!("{before}-{name}"), &points::desktops()).await;
        if let Some(effect) = effect {
            trial.cloud.add_fault(&lost(effect, &json!("reset"))).unwrap();
        }
    }
    let [nothing, sent @ ..] = group.trials() else {
        panic!("no trials")
    };
    // No evidence is read before it is made unreadable.
    let window = ["--signature-window=20s"];
    let first = trial::operator_with(group.proxy.kubeconfig(), group.namespace.name(), &window);
    join_all(sent.iter().map(in_doubt)).await;
    first.kill().await.unwrap();
    for trial in sent {
        trial.cloud.clear_faults();
    }
    nothing.begin().await;
    let second = off(&group, &library, seconds);
    for (trial, (_, effect)) in group.trials().iter().zip(BEFORE) {
        rests(trial, effect).await;
    }
    second.kill().await.unwrap();
    let third = trial::operator(group.proxy.kubeconfig(), group.namespace.name());
    let runs = group
        .run_under(vec![first, second, third], async |trial, _| trial.ended().await)
        .await;
    let mut broken = oracle::judge(&runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_whose_clock_is_wrong_submits_and_settles_nothing_and_reports_it() {
    join_all(WRONG.map(run)).await;
}
