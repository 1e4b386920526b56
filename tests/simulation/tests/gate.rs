//! The seeds of the gate, and what the simulation must be able to see.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on says so by a panic

use std::fmt::Write;

use clap::ValueEnum;
use simulation::calls::Call;
use simulation::faults::{Fate, Rule};
use simulation::mutant::Mutant;
use simulation::run::{self, Covered, Report};
use simulation::scenario::Scenario;
use simulation::story;

/// How many lines of a story are shown, and how much of each.
const SHOWN: usize = 80;
const WIDTH: usize = 400;

/// Plays the first seeds.
fn play(seeds: u64) -> (Covered, Vec<Report>) {
    let (mut covered, mut broken) = (Covered::default(), Vec::new());
    run::seeds(0..seeds, None, |report| {
        covered = covered.and(report.covered);
        if !report.broken.is_empty() {
            broken.push(report);
        }
    });
    (covered, broken)
}

/// What is wrong with a run, and how it came to it.
fn tell(report: &Report) -> String {
    let again = run::scenario(report.scenario.clone(), true);
    let mut text = format!("{}", again.scenario);
    for what in &report.broken {
        let _ = writeln!(text, "  broken: {what}");
    }
    let _ = writeln!(text, "{}", story::LEGEND);
    for line in story::essence(&again.story).take(SHOWN) {
        let line: String = line.chars().take(WIDTH).collect();
        let _ = writeln!(text, "{line}");
    }
    let seed = again.scenario.seed;
    let _ = writeln!(
        text,
        "all of it: cargo run -p simulation -- --seed {seed} --trace"
    );
    text
}

#[test]
fn whatever_goes_wrong_the_invariants_hold_and_everything_settles() {
    let seeds = if cfg!(debug_assertions) { 300 } else { 10_000 };
    let (covered, broken) = play(seeds);
    println!("{seeds} seeds: {covered:?}");
    if let Some(first) = broken.first() {
        panic!(
            "{} of {seeds} seeds are broken, such as\n{}",
            broken.len(),
            tell(first)
        );
    }
    // The runs are not empty.
    assert!(covered.jobs > seeds / 2, "{covered:?}");
    assert!(covered.adopted > seeds / 20, "{covered:?}");
    assert!(covered.without_effect > seeds / 50, "{covered:?}");
    assert!(covered.ended > seeds, "{covered:?}");
    assert!(covered.operators > seeds, "{covered:?}");
}

#[test]
fn where_nothing_goes_wrong_each_request_is_submitted_once() {
    for seed in 0..20 {
        let scenario = Scenario::draw(seed, None).in_peace();
        let requests = scenario.requests.len() as u64;
        let report = run::scenario(scenario, false);
        assert!(report.broken.is_empty(), "{}", tell(&report));
        assert!(report.covered.posts <= requests, "{}", tell(&report));
        assert_eq!(report.covered.ended, requests, "{}", tell(&report));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..60 {
        let [one, other] = [0, 1].map(|_| run::seed(seed, None, true).story);
        let differs = one.iter().zip(&other).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}

#[test]
fn what_is_broken_on_purpose_is_noticed_and_told() {
    for mutant in Mutant::value_variants() {
        let caught = (0..3_000)
            .map(|seed| run::seed(seed, Some(*mutant), false))
            .find(|report| !report.broken.is_empty());
        let report = caught.unwrap_or_else(|| panic!("{mutant:?} is not noticed"));
        let story = tell(&report);
        assert!(story.contains(mutant.words()), "{story}");
        println!("{story}");
    }
}

/// A world in which this alone goes wrong.
fn world_with(rules: Vec<Rule>) -> Scenario {
    Scenario {
        rules,
        ..Scenario::draw(1, None).in_peace()
    }
}

fn rule(call: Call, from: u32, count: u32, fate: Fate) -> Rule {
    Rule {
        call,
        from,
        count,
        fate,
    }
}

/// Found by a seed: the same doubt was stored a second time.
#[test]
fn a_doubt_is_not_stored_again_when_only_the_answer_was_lost() {
    let report = run::scenario(
        world_with(vec![
            rule(Call::BatchDelete, 1, 1, Fate::AnswerReset),
            rule(Call::WriteStatus, 2, 1, Fate::AnswerReset),
        ]),
        true,
    );
    assert!(report.broken.is_empty(), "{}", tell(&report));
    assert_eq!(report.covered.adopted, 1, "{}", tell(&report));
}

/// Found by a seed, a false alarm: two requests submitted one desktop within a second, the first of them in vain.
#[test]
fn requests_that_submit_the_same_within_a_second_are_told_apart() {
    let report = run::seed(52_311, None, false);
    assert!(report.broken.is_empty(), "{}", tell(&report));
}

/// Found by seeds, a false alarm: a watch that fell silent twice showed what was old after what was new.
#[test]
fn a_watch_that_falls_silent_twice_keeps_its_order() {
    for seed in [139_827, 174_616, 189_655, 194_320, 300_981] {
        let report = run::seed(seed, None, false);
        assert!(report.broken.is_empty(), "{}", tell(&report));
    }
}

/// Found by a seed: a deleted request was to be looked at again in two days, reckoned by a clock that was corrected soon.
#[test]
fn a_wait_that_was_reckoned_by_a_wrong_clock_ends() {
    let report = run::seed(8_144, None, false);
    assert!(report.broken.is_empty(), "{}", tell(&report));
}

/// Found by seeds: the cloud never shows the job, and somebody else deletes its desktop meanwhile. Nobody can tell whose
/// the job is that shows.
#[test]
fn a_job_that_never_shows_may_be_taken_for_that_of_somebody_else() {
    for seed in [6_468, 8_764] {
        let report = run::seed(seed, None, false);
        assert!(report.broken.is_empty(), "{}", tell(&report));
        assert_eq!(report.covered.adopted, 1, "{}", tell(&report));
    }
}

/// Found by a seed: the operator waited for ever for the answer to its first list.
#[test]
fn a_list_that_is_never_answered_is_asked_for_again() {
    for call in [
        Call::ListProjects,
        Call::ListRequests,
        Call::WatchProjects,
        Call::WatchRequests,
    ] {
        let report = run::scenario(world_with(vec![rule(call, 1, 2, Fate::Lost)]), false);
        assert!(report.broken.is_empty(), "{call}: {}", tell(&report));
        assert_eq!(report.covered.jobs, 1, "{call}: {}", tell(&report));
    }
}
