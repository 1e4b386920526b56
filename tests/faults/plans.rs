//! The plans by name, and how many there are. Each plan is a point of a request's life times a fault; its name is that
//! of its request, and is the first word of a failure message. One plan, or those that have a word in common, are run
//! again by `FAULT_PLAN=<name> cargo test --test faults`.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::edits::Edit;
use crate::points::{POINTS, Point};
use crate::{answers, api_server, approvals, kill, process, replicas};

/// Names the plans that are to be run; all of them if it is not set.
const VARIABLE: &str = "FAULT_PLAN";

/// Whether a plan is to be run.
pub(crate) fn is_wanted(plan: &str) -> bool {
    std::env::var(VARIABLE).map_or(true, |wanted| plan.contains(&wanted))
}

/// What the points mean that a report names, and how one of its plans is run again.
pub(crate) fn legend(report: &str) -> String {
    let mut legend = String::new();
    let named = |point: &&Point| report.contains(&format!("- {}-", point.id));
    for point in POINTS.iter().filter(named) {
        let _ = writeln!(legend, "  {}: {}", point.id, point.meaning);
    }
    let _ = writeln!(legend, "again: {VARIABLE}=<its name> cargo test --test faults");
    legend
}

/// At least so many there must be.
const PLANS: usize = 350;

/// The plans that are a point times a fault.
fn of_points() -> Vec<String> {
    let mut plans = process::plans();
    for point in &POINTS {
        plans.extend(Edit::ALL.map(|edit| edit.plan(point)));
        plans.push(replicas::plan(point));
    }
    plans
}

#[test]
fn there_are_many_fault_plans_and_each_has_a_unique_name() {
    let mut plans = of_points();
    plans.extend(kill::cases().iter().map(|case| format!("kill {}", case.name)));
    plans.extend(
        approvals::CASES
            .iter()
            .map(|case| format!("approval {}", case.name)),
    );
    let api_server = [
        api_server::answered(),
        api_server::unanswered(),
        api_server::without_effect(),
    ];
    plans.extend(
        api_server
            .iter()
            .flatten()
            .map(|case| format!("API server {}", case.name)),
    );
    plans.extend(
        answers::cases()
            .iter()
            .map(|case| format!("answer {}", case.name)),
    );
    let distinct: BTreeSet<_> = plans.iter().collect();
    assert_eq!(distinct.len(), plans.len(), "{plans:#?}");
    println!("{} plans", plans.len());
    assert!(plans.len() >= PLANS, "{} plans", plans.len());
}
