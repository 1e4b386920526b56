//! Situations in which the deadline has passed. That ends a request for good, so it is not said by this machine's clock
//! alone while the service can be asked.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::plan::views::DesktopView;

use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;

use super::super::build::{Seen, minute, untouched};
use super::super::rules;
use super::super::tell::{Row, check, row};

#[test]
fn the_service_is_asked_for_the_time_before_a_request_expires() {
    check(&rows());
}

#[test]
fn the_message_of_an_expired_request_names_its_last_status_and_no_retry() {
    let mut seen = untouched("a")
        .project()
        .claimed()
        .read_failure(ErrorClass::Throttled);
    let step = plan(&seen.0);
    let Step::RecordProgress(waiting) = &step else {
        panic!("{step:?}");
    };
    assert!(waiting.message.contains("; retrying ("), "{}", waiting.message);
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(1)).unwrap();
    let step = plan(&seen.too_late().0);
    let Step::Finish(completion) = &step else {
        panic!("{step:?}");
    };
    let message = &completion.message;
    assert!(
        message.contains("; last status: rate limited by the cloud API ("),
        "{message}"
    );
}

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    let late = || untouched("a b").too_late().service_clock_unknown();
    let known = |seen: Seen| seen.too_late();
    let expired = "finish Expired (submitted: Expired)";
    vec![
        row("nothing is known", late(), "read the project"),
        row(
            "any response of the service has its time",
            late().project(),
            "list a b",
        ),
        row(
            "it is asked for a suspended request too",
            late().suspended().project(),
            "list a b",
        ),
        row(
            "its clock differs from ours: it is asked again, or it would never be corrected",
            untouched("a b")
                .late_by_one_clock()
                .clock_skewed()
                .project()
                .claimed(),
            "list a b",
        ),
        row(
            "one response alone does not count",
            late().project().all(DesktopView::Idle),
            "list sub-jobs",
        ),
        row(
            "it responded without a date: the API server's clock counts",
            late().project().all(DesktopView::Idle).sub_job_list(""),
            expired,
        ),
        row(
            "it cannot be reached: the same",
            late().project().read_failure(ErrorClass::Unreachable),
            expired,
        ),
        row(
            "the project cannot be used: the same",
            late().obstacle(Reason::ProjectNotReady, true),
            expired,
        ),
        row(
            "the project has changed: no call is made there",
            late().begun().project_at("another"),
            expired,
        ),
        row(
            "its time is known: nothing is read for it",
            known(untouched("a b").project()),
            expired,
        ),
    ]
}
