//! Many answers to submissions are lost, at the rate of production: what recovery may cost the other requests.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on says so by a panic

use std::collections::BTreeMap;

use serde_json::json;
use simulation::calls::Call;
use simulation::faults::{Fault, Rule};
use simulation::run::{self, Report};
use simulation::scenario::{OWN, RequestPlan, Scenario};

/// Requests, each for a desktop of its own.
const REQUESTS: usize = 80;

const MINUTE: u64 = 60_000;

/// Requests of one project that are created within seconds, with such calls going wrong.
fn burst(rules: Vec<Rule>) -> Report {
    let report = run::scenario(scenario(rules), false);
    assert_eq!(report.broken, Vec::<String>::new());
    report
}

fn scenario(rules: Vec<Rule>) -> Scenario {
    let ids: Vec<_> = (1..=REQUESTS).map(|n| format!("pc-{n}")).collect();
    let mut scenario = Scenario::draw(1, None).in_peace();
    scenario.cloud["desktops"] = ids.iter().map(|id| json!({"id": id})).collect();
    let request = |(n, id): (usize, &String)| RequestPlan {
        name: format!("leaver-{n}"),
        project: OWN.name,
        desktops: vec![id.clone()],
        created: n as u64 * 50,
        suspended: false,
        copies: None,
    };
    scenario.requests = ids.iter().enumerate().map(request).collect();
    scenario.desktops = ids;
    scenario.rules = rules;
    scenario
}

/// The submissions of these numbers are carried out, and their responses lost.
fn lost(numbers: impl Iterator<Item = u32>, count: u32) -> Vec<Rule> {
    let rule = |from| Rule {
        call: Call::BatchDelete,
        from,
        count,
        fault: Fault::AnswerReset,
    };
    numbers.map(rule).collect()
}

/// How many calls of each kind were made in this time.
fn calls(report: &Report, minutes: std::ops::Range<u64>) -> BTreeMap<Call, usize> {
    let mut counts = BTreeMap::new();
    for (at, call) in &report.cloud_calls {
        if minutes.contains(&(at / MINUTE)) {
            *counts.entry(*call).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_burst_is_played_the_same_way_every_time() {
    let story = || run::scenario(scenario(vec![]), true).story;
    let (first, second) = (story(), story());
    let differs = first.iter().zip(&second).find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(first.len(), second.len());
}

#[test]
fn without_lost_responses_a_burst_costs_little_more_than_its_submissions() {
    let report = burst(vec![]);
    let calls = calls(&report, 0..60);
    assert_eq!(calls[&Call::BatchDelete], REQUESTS, "{calls:?}");
    let all: usize = calls.values().sum();
    assert!(all <= REQUESTS * 5 / 2, "{calls:?}");
}

#[test]
fn forty_lost_responses_do_not_use_up_the_rate_of_other_requests() {
    let every_other = (1..80).step_by(2);
    let report = burst(lost(every_other, 1));
    assert_eq!(report.covered.adopted, 40);
    let minutes: Vec<_> = (0..40).map(|n| calls(&report, n..n + 1)).collect();
    // Within the time that the rate takes for the submissions and as much again.
    assert_eq!(calls(&report, 0..4)[&Call::BatchDelete], REQUESTS, "{minutes:?}");
    // No signature has run out yet, so that nothing can be decided: one list of the jobs, of two calls, every few minutes.
    let waiting = calls(&report, 5..20);
    assert!(waiting.values().sum::<usize>() <= 20, "{minutes:?}");
}

#[test]
fn after_three_lost_responses_in_a_row_one_submission_at_a_time_tests_the_service() {
    let report = burst(lost(1..=1, 3));
    assert_eq!(report.covered.adopted, 3);
    let minutes: Vec<_> = (0..10).map(|n| calls(&report, n..n + 1)).collect();
    assert_eq!(calls(&report, 0..5)[&Call::BatchDelete], REQUESTS, "{minutes:?}");
}

#[test]
fn if_every_response_is_lost_few_requests_have_an_unknown_outcome() {
    let report = burst(lost(1..=1, 1_000));
    let minutes: Vec<_> = (0..15).map(|n| calls(&report, n..n + 1)).collect();
    // Two at one time, until three are lost; then one each after 20, 40, 80, 160 and 300 seconds, and every 300 seconds.
    assert!(calls(&report, 0..10)[&Call::BatchDelete] <= 9, "{minutes:?}");
    // Nothing goes wrong any more after a quarter of an hour.
    assert_eq!(report.covered.posts, REQUESTS as u64);
    assert_eq!(report.covered.ended, REQUESTS as u64);
    assert!(report.covered.adopted <= 11, "{:?}", report.covered);
    // Requests that are held read nothing while they wait.
    let reads = calls(&report, 2..10);
    assert!(reads.values().sum::<usize>() <= 60, "{minutes:?}");
}
