//! Situations in which the earliest time of the submission is ahead. By one clock alone it is not reached.

use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::plan::observed::NotBefore;
use desktop_deletion_operator::plan::views::DesktopView;

use super::super::build::{ready, untouched};
use super::super::tell::{Row, check, row};

#[test]
fn a_scheduled_request_waits_until_both_clocks_have_reached_its_start() {
    check(&rows());
}

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    let early = || untouched("a b").scheduled(NotBefore::Ahead);
    let unclear = || {
        untouched("a b")
            .scheduled(NotBefore::ClockUnknown)
            .service_clock_unknown()
    };
    let held = "Scheduled held until Start; a Pending, b Pending [PlanReady, NotRequired]";
    vec![
        row(
            "a problem of the project is reported meanwhile",
            early(),
            "read the project",
        ),
        row(
            "nothing is claimed; what it will do is read",
            early().project(),
            "list a b",
        ),
        row(
            "nor is it if everything is at hand",
            ready("a b").scheduled(NotBefore::Ahead),
            held,
        ),
        row(
            "suspended says more",
            ready("a b").scheduled(NotBefore::Ahead).suspended(),
            "Suspended held until Plan; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "only our clock is past it: the service is asked",
            unclear().project(),
            "list a b",
        ),
        row(
            "it responded without a date",
            unclear().project().all(DesktopView::Idle).sub_job_list(""),
            "Scheduled held until Backoff; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "it cannot be reached",
            unclear().project().read_failure(ErrorClass::Unreachable),
            "Scheduled held until Backoff [Planning]",
        ),
    ]
}
