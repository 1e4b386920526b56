//! Another request reserves a desktop: what is read while that request is a deleted one, and what is reported.

use std::time::Duration;

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::plan::observed::{
    Claim, ConflictingRequest, DeletedRequest, Observed, UnreadableNamespace,
};
use desktop_deletion_operator::plan::progress::Activity;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::plan::{overlap, plan};

use super::build::{Seen, id, ids, jobs, minute, untouched};
use super::tell::{Row, check, row};

const WAITS: &str = "Overlap retrying until PollInterval";

/// A deleted request holds desktop `a`; the cloud accepted its call as these jobs, or nothing is known of it.
fn holder(name: Option<&str>, accepted_as: &str) -> DeletedRequest {
    DeletedRequest {
        uid: "gone".to_owned(),
        desktop: id("a"),
        name: name.map(ToOwned::to_owned),
        gone_since: Duration::ZERO,
        until: minute(23).0,
        jobs: jobs(accepted_as).into_iter().collect(),
    }
}

fn with_claim(mut seen: Seen, claim: Claim) -> Seen {
    seen.0.claim = Some(claim);
    seen
}

fn held(accepted_as: &str) -> Seen {
    let claim = Claim::ReservedByDeleted(holder(Some("leaver"), accepted_as));
    with_claim(untouched("a b").project(), claim)
}

fn reads() -> Vec<Row> {
    vec![
        row("the desktops are read", held("j1"), "list a b"),
        row(
            "those that are not known yet",
            held("j1").desktop_views("b Idle"),
            "list a",
        ),
        row(
            "one that the list lacks is asked for by its id",
            held("").desktop_views("a Missing b Idle"),
            "get a",
        ),
        row(
            "one that is gone is free",
            held("").desktop_views("a Gone b Idle"),
            "claim",
        ),
        row(
            "a known job may be visible by now",
            held("j1").desktop_views("a Idle b Idle"),
            "list sub-jobs",
        ),
        row(
            "it is visible for that desktop",
            held("j1")
                .desktop_views("a Idle b Idle")
                .sub_job_list("j1/A Running"),
            "claim",
        ),
        row(
            "it is visible for another one",
            held("j1")
                .desktop_views("a Idle b Idle")
                .sub_job_list("j1/b Running"),
            WAITS,
        ),
        row(
            "another job is visible",
            held("j1")
                .desktop_views("a Idle b Idle")
                .sub_job_list("j2/a Running"),
            WAITS,
        ),
        row(
            "no job is known of a call with unknown outcome, and a visible job may be another's",
            held("").desktop_views("a Deleting b Idle"),
            WAITS,
        ),
        row(
            "a read failed",
            held("j1")
                .desktop_views("a Idle b Idle")
                .read_failure(ErrorClass::Unreachable),
            WAITS,
        ),
    ]
}

#[test]
fn reads_that_can_end_the_claim_of_a_deleted_request_are_made() {
    check(&reads());
}

#[test]
fn each_desktop_is_reported_as_gone_or_with_a_visible_job() {
    let seen = held("j1")
        .desktop_views("a Gone b Missing")
        .sub_job_list("j1/B Running j2/a Running");
    let released = overlap::released(&seen.0, &holder(None, "j1"));
    assert_eq!(released.gone, ids("a"));
    assert_eq!(released.shown, ids("b"));
}

fn said(seen: &Observed) -> String {
    let (Step::RecordProgress(progress) | Step::Wait(progress)) = plan(seen) else {
        panic!("{:?}", plan(seen))
    };
    assert_eq!(progress.reason, Reason::Overlap);
    progress.message
}

#[test]
fn the_message_names_the_desktop_the_holder_and_the_time() {
    let read = |claim| {
        with_claim(
            untouched("a b").project().all(DesktopView::Idle).sub_job_list(""),
            claim,
        )
    };
    let rival = |name: Option<&str>| ConflictingRequest {
        desktop: id("a"),
        name: name.map(ToOwned::to_owned),
    };
    for (claim, message) in [
        (
            Claim::ReservedByDeleted(holder(Some("leaver"), "")),
            "desktop a is reserved by the deleted DesktopDeletion leaver: its delete request can take effect until about 2026-01-15T08:23:00Z; waiting",
        ),
        (
            Claim::ReservedByDeleted(holder(Some("leaver"), "j1")),
            "desktop a is reserved by the deleted DesktopDeletion leaver: the job of its delete request may not be visible until about 2026-01-15T08:23:00Z; waiting",
        ),
        (
            Claim::ReservedByDeleted(holder(None, "")),
            "desktop a is reserved by a deleted DesktopDeletion in another namespace: its delete request can take effect until about 2026-01-15T08:23:00Z; waiting",
        ),
        (
            Claim::OlderProjectUnchecked(rival(Some("older"))),
            "desktop a is also requested by the older DesktopDeletion older, whose WorkspaceProject has not been checked yet; waiting for that check, for at most one minute",
        ),
        (
            Claim::OlderProjectUnchecked(rival(None)),
            "desktop a is also requested by an older DesktopDeletion in another namespace, whose WorkspaceProject has not been checked yet; waiting for that check, for at most one minute",
        ),
    ] {
        assert_eq!(said(&read(claim).0), message);
    }
}

#[test]
fn a_namespace_that_cannot_be_read_is_reported_as_stalled_with_the_permission_and_the_time() {
    let claim = Claim::Unreadable(UnreadableNamespace {
        name: "vdi-prod".to_owned(),
        permission: "list desktopdeletions".to_owned(),
        until: "2026-01-15T08:23:00Z".parse().unwrap(),
    });
    let seen = with_claim(
        untouched("a b").project().all(DesktopView::Idle).sub_job_list(""),
        claim,
    );
    let Step::RecordProgress(progress) = plan(&seen.0) else {
        panic!("{:?}", plan(&seen.0))
    };
    assert_eq!(progress.reason, Reason::NamespaceUnreadable);
    assert_eq!(progress.activity, Activity::Stalled);
    for part in [
        "vdi-prod",
        "list desktopdeletions",
        "2026-01-15T08:23:00Z",
        "--namespaces",
    ] {
        assert!(progress.message.contains(part), "{}", progress.message);
    }
}
