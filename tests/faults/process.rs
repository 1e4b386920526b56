//! SIGKILL and SIGSTOP at every point. One operator is struck for several trials at a time.

use futures::future::join_all;

use crate::operator_group::{self, ProcessFault};
use crate::oracle::{self, End, Run};
use crate::plans;
use crate::points::{POINTS, Point};

/// Points at which one operator is struck at a time: they come about together.
const AT_ONCE: usize = 5;

/// The points at which [`crate::kill`] does not kill.
const NOT_KILLED_ELSEWHERE: [&str; 7] = ["p00", "p01", "p02", "p05", "p12", "p13", "p22"];

/// The points of a blow.
fn points(fault: ProcessFault) -> Vec<&'static Point> {
    let killed = |point: &&Point| fault != ProcessFault::Kill || NOT_KILLED_ELSEWHERE.contains(&point.id);
    POINTS.iter().filter(killed).collect()
}

/// The names of the plans of this file.
pub(crate) fn plans() -> Vec<String> {
    let faults = [
        ProcessFault::Kill,
        ProcessFault::KillStale,
        ProcessFault::FreezeLed,
        ProcessFault::FreezeExpired,
    ];
    let each = faults
        .iter()
        .flat_map(|fault| points(*fault).into_iter().map(|point| (*fault, point)));
    each.map(|(fault, point)| operator_group::plan(point, fault))
        .collect()
}

async fn run(fault: ProcessFault) {
    let mut points = points(fault);
    points.retain(|point| plans::is_wanted(&operator_group::plan(point, fault)));
    let groups = points
        .chunks(AT_ONCE)
        .map(|group| operator_group::run(group, fault));
    let runs: Vec<Run> = join_all(groups).await.into_iter().flatten().collect();
    let mut broken = oracle::judge(&runs).await;
    let undisturbed = End::one_of_two_failed();
    for run in &runs {
        broken.extend(run.expect_end(&undisturbed));
    }
    oracle::report(runs.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_while_a_call_is_in_flight_the_next_operator_can_finish_the_request() {
    run(ProcessFault::Kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_starts_with_an_outdated_list_does_not_act_on_it() {
    run(ProcessFault::KillStale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_was_frozen_until_another_one_leads_has_no_further_effect() {
    run(ProcessFault::FreezeLed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_was_frozen_until_all_was_settled_has_no_further_effect() {
    run(ProcessFault::FreezeExpired).await;
}
