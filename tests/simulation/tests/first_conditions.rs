//! How soon a request has its first conditions, at the rate of production: it may wait long for a permit, but never
//! without conditions.
#![allow(clippy::unwrap_used)] // a test that cannot go on says so by a panic

use serde_json::json;
use simulation::run::{self, Report};
use simulation::scenario::{OWN, RequestPlan, Scenario};

/// Requests for these desktops, created within a second.
fn play(requests: Vec<Vec<String>>, present: &[String]) -> Report {
    let mut scenario = Scenario::draw(1, None).in_peace();
    scenario.cloud["desktops"] = present.iter().map(|id| json!({"id": id})).collect();
    scenario.desktops = present.to_vec();
    let request = |(n, desktops): (usize, Vec<String>)| RequestPlan {
        name: format!("leaver-{n}"),
        project: OWN.name,
        desktops,
        created: 60_000 + n as u64,
        suspended: false,
        copies: None,
    };
    scenario.requests = requests.into_iter().enumerate().map(request).collect();
    let report = run::scenario(scenario, false);
    assert_eq!(report.broken, Vec::<String>::new());
    report
}

/// For how many seconds the request that was so longest had no conditions.
fn longest_blank(report: &Report) -> u64 {
    let blank = |request: &RequestPlan| report.first_conditions[&request.name] - request.created;
    report.scenario.requests.iter().map(blank).max().unwrap() / 1000
}

/// So many requests, each for a desktop of its own.
fn many(count: usize) -> Report {
    let ids: Vec<_> = (0..count).map(|n| format!("pc-{n}")).collect();
    let report = play(ids.iter().map(|id| vec![id.clone()]).collect(), &ids);
    assert_eq!(report.covered.posts, count as u64);
    report
}

#[test]
fn while_fewer_than_200_requests_wait_each_has_conditions_within_10_seconds() {
    let blank = longest_blank(&many(199));
    assert!(blank < 10, "{blank}");
}

#[test]
fn while_more_requests_wait_each_has_conditions_within_a_minute() {
    let blank = longest_blank(&many(300));
    assert!(blank < 60, "{blank}");
}

#[test]
fn a_request_has_conditions_while_99_absent_desktops_are_looked_up() {
    let absent: Vec<_> = (0..99).map(|n| format!("absent-{n}")).collect();
    let here = "pc-1".to_owned();
    let report = play(
        vec![
            [absent, vec![here.clone()]].concat(),
            vec!["absent-100".to_owned()],
        ],
        &[here],
    );
    assert_eq!(report.covered.posts, 1);
    let blank = longest_blank(&report);
    assert!(blank < 10, "{blank}");
}
