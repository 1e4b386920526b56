//! The seeds of the gate, and what the simulation must be able to see.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on says so by a panic

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;

use clap::ValueEnum;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulation::answers::{self, Original, Replaced, verdict};
use simulation::calls::Call;
use simulation::clock::START;
use simulation::dice::Dice;
use simulation::faults::{Fault, Rule};
use simulation::mutant::Mutant;
use simulation::run::{self, Covered, Report};
use simulation::scenario::Scenario;
use simulation::story;
use workspace_simulator::cloud::Response;

/// How many lines of a story are shown, and how much of each.
const SHOWN: usize = 80;
const WIDTH: usize = 400;

/// So many broken seeds are enough to stop.
const ENOUGH: usize = 3;

/// Plays the first seeds, whose worlds are drawn by `draw`, until enough of them are broken.
fn play(seeds: u64, draw: impl Fn(u64) -> Scenario + Sync) -> (Covered, Vec<Report>) {
    let (mut covered, mut broken) = (Covered::default(), Vec::new());
    run::each(0..seeds, draw, |report| {
        covered = covered.and(report.covered);
        if !report.broken.is_empty() {
            broken.push(report);
        }
        if broken.len() < ENOUGH {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
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
    let answers = if again.scenario.answers.is_empty() {
        ""
    } else {
        "--answers "
    };
    let _ = writeln!(
        text,
        "all of it: cargo run -p simulation -- {answers}--seed {seed} --trace"
    );
    text
}

#[test]
fn the_invariants_hold_with_random_faults_and_every_request_ends() {
    let seeds = if cfg!(debug_assertions) { 300 } else { 10_000 };
    let (covered, broken) = play(seeds, |seed| Scenario::draw(seed, None));
    println!("{seeds} seeds: {covered:?}");
    if let Some(first) = broken.first() {
        panic!(
            "at least {} of {seeds} seeds are broken, such as\n{}",
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
    assert!(covered.approved > seeds / 20, "{covered:?}");
    assert!(covered.changed > seeds / 100, "{covered:?}");
    assert!(covered.carried > seeds / 100, "{covered:?}");
    // The few seeds of an unoptimised run have hardly any.
    assert!(covered.limited > seeds / 400, "{covered:?}");
}

#[test]
fn with_arbitrary_responses_each_request_ends_or_reports_the_problem() {
    let seeds = if cfg!(debug_assertions) { 200 } else { 10_000 };
    let (covered, broken) = play(seeds, Scenario::draw_answers);
    println!("{seeds} worlds: {covered:?}");
    if let Some(first) = broken.first() {
        panic!(
            "at least {} of {seeds} worlds are broken, such as\n{}",
            broken.len(),
            tell(first)
        );
    }
    // The runs are not empty.
    assert!(covered.replaced > 4 * seeds, "{covered:?}");
    assert!(covered.jobs > seeds / 2, "{covered:?}");
    assert!(covered.adopted > seeds / 50, "{covered:?}");
    assert!(covered.without_effect > seeds / 50, "{covered:?}");
    assert!(covered.ended > seeds, "{covered:?}");
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
        assert_same(&one, &other, seed);
    }
    for seed in 0..20 {
        let [one, other] = [0, 1].map(|_| run::scenario(Scenario::draw_answers(seed), true).story);
        assert_same(&one, &other, seed);
    }
}

/// Of answers that are derived from a true list of sub-jobs.
#[test]
fn the_grammar_generates_responses_of_every_kind() {
    let row = |desktop: &str| json!({"id": format!("s-{desktop}"), "job_id": "job-1", "status": "RUNNING", "entities": {"desktop_id": desktop}});
    let list = json!({"total_count": 2, "jobs": [row("pc-1"), row("pc-2")]});
    let answer = Response {
        status: StatusCode::OK,
        headers: [(DATE, HeaderValue::from_static("Mon, 05 Jan 2026 08:00:00 GMT"))]
            .into_iter()
            .collect(),
        body: list.to_string().into(),
    };
    let truth = Original {
        call: Call::ListSubJobs,
        answer: &answer,
        carried_out: true,
        cheap: false,
    };
    let mut kinds = BTreeMap::<_, u32>::new();
    for seed in 0..3_000 {
        let Replaced { response, cut, how } = answers::replace(&truth, &mut Dice::new(seed));
        let read: Option<Value> = serde_json::from_slice(&response.body).ok();
        let is = |what: bool, name| what.then_some(name);
        let found = [
            is(cut, "breaks off"),
            is(response.status.as_u16() >= 500, "5xx"),
            is(response.status.is_client_error(), "4xx"),
            is(response.status.is_redirection(), "3xx"),
            is(response.status.is_informational(), "1xx"),
            is(!response.headers.contains_key(DATE), "no date"),
            is(response.headers.get_all(DATE).iter().count() > 1, "two dates"),
            is(response.headers.contains_key(RETRY_AFTER), "asks to wait"),
            is(response.body.is_empty(), "empty"),
            is(response.body.len() > 8 << 20, "larger than a list"),
            is(std::str::from_utf8(&response.body).is_err(), "no text"),
            is(read.is_none(), "no JSON"),
            is(
                read.as_ref().is_some_and(|list| list["jobs"].is_null()),
                "without jobs",
            ),
            is(
                read.as_ref().is_some_and(|list| !list["error_code"].is_null()),
                "an error",
            ),
            is(how.contains("comes twice"), "a key twice"),
            is(how.contains("deep"), "nested"),
        ];
        for kind in found.into_iter().flatten() {
            *kinds.entry(kind).or_default() += 1;
        }
        let (count, rows) = read.map_or((None, None), |list| {
            (
                list["total_count"].as_u64(),
                list["jobs"].as_array().map(Vec::len),
            )
        });
        let whole = response.status == 200 && count.is_some() && count == rows.map(|n| n as u64);
        assert!(
            !whole || rows >= Some(2),
            "seed {seed}: a whole list lacks a row: {how}"
        );
    }
    assert_eq!(kinds.len(), 16, "{kinds:?}");
}

/// What a request that has not ended says.
#[test]
fn a_request_that_does_not_name_the_failing_call_is_detected() {
    let request = |kind: &str, reason: &str, message: &str| {
        let condition = json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": START.to_string(),
        });
        json!({"metadata": {"name": "leavers"}, "status": {"conditions": [condition]}})
    };
    let now = START + SignedDuration::from_mins(20);
    for (object, is_right) in [
        (
            request("Stalled", "PermissionDenied", "listDesktops: HTTP 403"),
            true,
        ),
        (request("Reconciling", "Retrying", "showJob: HTTP 500"), true),
        (
            request("Reconciling", "JobRunning", "the cloud is deleting 1 desktop"),
            true,
        ),
        (
            request("Stalled", "ServiceUnavailable", "it does not work"),
            false,
        ),
        (request("Reconciling", "Retrying", "HTTP 500"), false),
        (
            request("Ready", "ServiceUnavailable", "listDesktops: HTTP 500"),
            false,
        ),
        (
            request("Reconciling", "Submitting", "submitting 1 desktop"),
            false,
        ),
        (json!({"metadata": {"name": "leavers"}, "status": {}}), false),
    ] {
        assert_eq!(verdict::unnamed(&object, now).is_none(), is_right, "{object}");
    }
}

fn assert_same(one: &[String], other: &[String], seed: u64) {
    let differs = one.iter().zip(other).find(|(a, b)| a != b);
    assert_eq!(differs, None, "seed {seed}");
    assert_eq!(one.len(), other.len(), "seed {seed}");
}

#[test]
fn each_mutant_of_the_simulated_world_is_detected_and_reported() {
    for mutant in Mutant::value_variants() {
        let caught = (0..3_000)
            .map(|seed| run::seed(seed, Some(*mutant), false))
            .find(|report| !report.broken.is_empty());
        let report = caught.unwrap_or_else(|| panic!("{mutant:?} is not detected"));
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

fn rule(call: Call, from: u32, count: u32, fault: Fault) -> Rule {
    Rule {
        call,
        from,
        count,
        fault,
    }
}

/// Found by a seed: the same lost response was recorded a second time.
#[test]
fn a_lost_response_is_not_recorded_again_if_only_the_write_response_was_lost() {
    let report = run::scenario(
        world_with(vec![
            rule(Call::BatchDelete, 1, 1, Fault::AnswerReset),
            rule(Call::WriteStatus, 2, 1, Fault::AnswerReset),
        ]),
        true,
    );
    assert!(report.broken.is_empty(), "{}", tell(&report));
    assert_eq!(report.covered.adopted, 1, "{}", tell(&report));
}

/// Found by a seed, a false alarm: two requests submitted one desktop within a second, the first of them in vain.
#[test]
fn requests_that_submit_the_same_desktop_within_a_second_are_distinguished() {
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

/// Found by a seed: a deleted request was to be reconciled again in two days, computed with a clock that was corrected
/// soon.
#[test]
fn a_wait_that_was_computed_with_a_wrong_clock_ends() {
    let report = run::seed(8_144, None, false);
    assert!(report.broken.is_empty(), "{}", tell(&report));
}

/// Found by a seed: the cloud never shows the job, and another client deletes its desktop meanwhile. It cannot be
/// determined whose job is visible.
#[test]
fn a_job_that_never_becomes_visible_may_be_confused_with_that_of_another_client() {
    let report = run::seed(6_468, None, false);
    assert!(report.broken.is_empty(), "{}", tell(&report));
    assert_eq!(report.covered.adopted, 1, "{}", tell(&report));
}

/// Found by seeds: a list of which no row could be read was read for so long that what had been read before was too old; and
/// a read that failed after a job had reported its final result was never repeated.
#[test]
fn a_request_does_not_wait_indefinitely_for_readable_responses() {
    for seed in [2_469, 3_712, 4_839] {
        let report = run::scenario(Scenario::draw_answers(seed), false);
        assert!(report.broken.is_empty(), "{}", tell(&report));
    }
}

/// Found by a seed: a code that usually means a rejection came with a status that leaves open whether the call was
/// carried out.
#[test]
fn an_inconclusive_status_is_not_overridden_by_an_error_code() {
    let report = run::scenario(Scenario::draw_answers(251_296), false);
    assert!(report.broken.is_empty(), "{}", tell(&report));
    assert_eq!(report.covered.jobs, 1, "{}", tell(&report));
}

/// Found by a seed: the operator waited forever for the response to its first list.
#[test]
fn a_list_request_without_a_response_is_repeated() {
    for call in [
        Call::ListProjects,
        Call::ListRequests,
        Call::WatchProjects,
        Call::WatchRequests,
    ] {
        let report = run::scenario(world_with(vec![rule(call, 1, 2, Fault::Lost)]), false);
        assert!(report.broken.is_empty(), "{call}: {}", tell(&report));
        assert_eq!(report.covered.jobs, 1, "{call}: {}", tell(&report));
    }
}
