//! Situations in which another client removed the finalizer that holds the object while a call may take effect.

use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::plan::views::DesktopView;

use super::build::{accepted, attempt, in_doubt};
use super::tell::{Row, check, row};

#[test]
fn a_removed_finalizer_is_restored_with_backoff() {
    check(&rows());
}

/// Every situation of the table, for the conditions.
pub(crate) fn rows() -> Vec<Row> {
    let doubt = || in_doubt("a b", attempt("a b"));
    let looked = || doubt().all(DesktopView::Idle).sub_job_list("");
    let abandoned = Attempt {
        outcome: Outcome::Abandoned,
        ..attempt("a b")
    };
    vec![
        row("in doubt", doubt().finalizer_missing(), "finalizer on"),
        row(
            "accepted, and its job need not show yet",
            accepted().finalizer_missing(),
            "finalizer on",
        ),
        row(
            "abandoned, and it may still take effect",
            in_doubt("a b", abandoned).finalizer_missing(),
            "finalizer on",
        ),
        row(
            "removed again and again: the work goes on",
            doubt().finalizer_missing().finalizer_not_due(),
            "list sub-jobs",
        ),
        row(
            "and what is waited for says so",
            looked().finalizer_missing().finalizer_not_due(),
            "FinalizerRemoved stalled until Expiry",
        ),
        row(
            "user action is required anyway",
            looked().finalizer_missing().finalizer_not_due().clock_skewed(),
            "ClockSkew stalled until Expiry",
        ),
        row(
            "the process stops",
            looked().finalizer_missing().stopping(),
            "FinalizerRemoved stalled until Expiry",
        ),
        row(
            "everything has ended: it was removed to finish the request",
            accepted()
                .job("j1", "a Success b Success")
                .desktop_views("a Missing b Missing")
                .finalizer_missing(),
            "finish AllDeleted (submitted: AllDeleted); a Deleted, b Deleted",
        ),
    ]
}
