//! How states of desktops and jobs in the service are classified.

use std::collections::BTreeSet;

use desktop_deletion_operator::ids::DesktopID;
use desktop_deletion_operator::plan::views::{DesktopView, JobView, SubJobList, SubJobResult};
use desktop_deletion_operator::workspace::api::{Desktop, Job, SubJob, SubJobStatus};

use super::build::{id, ids, job, jobs};

/// `status` and `task_status` of a desktop, and what that is taken for.
const DESKTOPS: &[(&str, &str, DesktopView)] = &[
    ("ACTIVE", "", DesktopView::Idle),
    ("SHUTOFF", "", DesktopView::Idle),
    ("Hibernated", "", DesktopView::Idle),
    // The meaning of these is unknown: no evidence that nothing happens.
    ("RECYCLED", "", DesktopView::Busy),
    ("true", "", DesktopView::Busy),
    ("RECYCLED", "deleting", DesktopView::Deleting),
    ("RECYCLED", "deleteFailed", DesktopView::DeleteFailed),
    ("ACTIVE", "scheduling", DesktopView::Busy),
    ("ACTIVE", "deleting", DesktopView::Deleting),
    ("ACTIVE", "DELETING", DesktopView::Deleting),
    ("DELETING", "", DesktopView::Deleting),
    ("deleting", "scheduling", DesktopView::Deleting),
    // A machine that is gone underneath while its deletion finishes.
    ("", "", DesktopView::Deleting),
    ("", "scheduling", DesktopView::Deleting),
    ("ACTIVE", "deleteFailed", DesktopView::DeleteFailed),
    ("ERROR", "deletefailed", DesktopView::DeleteFailed),
    ("", "deleteFailed", DesktopView::DeleteFailed),
    ("DELETED", "", DesktopView::Missing),
    ("deleted", "deleting", DesktopView::Missing),
    ("DELETED", "deleteFailed", DesktopView::Missing),
];

#[test]
fn every_state_of_a_desktop_is_classified() {
    for (status, task, view) in DESKTOPS {
        let desktop = Desktop {
            id: id("a"),
            name: None,
            status: (*status).to_owned(),
            task_status: (*task).to_owned(),
            facts: Box::default(),
        };
        assert_eq!(DesktopView::of(&desktop), *view, "{status:?} {task:?}");
    }
}

fn sub_job(parent: &str, desktop: &str, status: SubJobStatus) -> SubJob {
    SubJob {
        id: format!("sub-{parent}-{desktop}"),
        job: job(parent),
        desktop: id(desktop),
        status,
        code: match status {
            SubJobStatus::Failed => Some("WKS.1".to_owned()),
            SubJobStatus::Other => Some("SKIPPED".to_owned()),
            _ => None,
        },
        reason: (status == SubJobStatus::Failed).then(|| "so it is".to_owned()),
    }
}

fn failed() -> SubJobResult {
    SubJobResult::Failed {
        code: Some("WKS.1".to_owned()),
        reason: Some("so it is".to_owned()),
    }
}

/// What a job has said of desktop `a` after rows of these statuses, in that order.
fn last_word(statuses: &[SubJobStatus]) -> Option<SubJobResult> {
    let rows: Vec<_> = statuses
        .iter()
        .map(|status| sub_job("j1", "a", *status))
        .collect();
    let mut view = JobView::default();
    view.merge_sub_jobs(&rows);
    view.results.get(&id("a")).cloned()
}

#[test]
fn a_final_result_of_a_job_is_not_replaced_by_a_later_open_one() {
    use SubJobStatus::{Failed, Other, Running, Success, Waiting};
    let other = || SubJobResult::Other {
        code: Some("SKIPPED".to_owned()),
    };
    for (statuses, word) in [
        (&[][..], None),
        (&[Waiting], Some(SubJobResult::Open)),
        (&[Running], Some(SubJobResult::Open)),
        (&[Success], Some(SubJobResult::Success)),
        (&[Failed], Some(failed())),
        (&[Waiting, Running, Success], Some(SubJobResult::Success)),
        // Rows of an old page may come after newer ones.
        (&[Success, Running], Some(SubJobResult::Success)),
        (&[Failed, Waiting], Some(failed())),
        // What is not documented is no end, and undoes none.
        (&[Other], Some(other())),
        (&[Other, Running], Some(SubJobResult::Open)),
        (&[Waiting, Other], Some(other())),
        (&[Success, Other], Some(SubJobResult::Success)),
        (&[Other, Success], Some(SubJobResult::Success)),
        // The cloud tried again, and says so in a row of its own.
        (&[Failed, Success], Some(SubJobResult::Success)),
        (&[Success, Failed], Some(failed())),
    ] {
        assert_eq!(last_word(statuses), word, "{statuses:?}");
    }
}

#[test]
fn desktop_ids_in_jobs_are_compared_case_insensitively() {
    let mut view = JobView::default();
    view.merge_sub_jobs(&[
        sub_job("j1", "A", SubJobStatus::Running),
        sub_job("j1", "a", SubJobStatus::Success),
    ]);
    assert_eq!(
        view.results.into_iter().collect::<Vec<_>>(),
        [(id("a"), SubJobResult::Success)]
    );
}

#[test]
fn a_read_of_the_parent_job_shows_whether_and_why_it_ended() {
    for (code, reason, told) in [
        (None, None, None),
        (Some("WKS.9"), None, Some("WKS.9")),
        (Some("WKS.9"), Some("quota"), Some("quota")),
    ] {
        let mut view = JobView::default();
        view.merge_job(&Job {
            id: job("j1"),
            finished: true,
            code: code.map(ToOwned::to_owned),
            reason: reason.map(ToOwned::to_owned),
            end_unknown: false,
            sub_jobs: vec![sub_job("j1", "a", SubJobStatus::Success)],
            complete: true,
        });
        assert!(view.finished && view.complete);
        assert_eq!(view.parent_reason.as_deref(), told);
        assert_eq!(view.results.get(&id("a")), Some(&SubJobResult::Success));
    }
}

/// Whether nothing more is to be learned about `a b` from a job that has said this.
fn has_ended(results: &[(&str, SubJobResult)], finished: bool) -> bool {
    let view = JobView {
        finished,
        end_unknown: false,
        complete: finished,
        parent_reason: None,
        results: results
            .iter()
            .map(|(name, word)| (id(name), word.clone()))
            .collect(),
    };
    view.has_ended(&ids("a b"))
}

#[test]
fn a_job_has_ended_once_it_can_report_nothing_more_about_the_desktops() {
    let success = |name| (name, SubJobResult::Success);
    let open = |name| (name, SubJobResult::Open);
    for (what, results, finished, ended) in [
        ("it has reported nothing", vec![], false, false),
        ("it has reported nothing, and has ended", vec![], true, true),
        ("one has its final result", vec![success("a")], false, false),
        ("one has, and it has ended", vec![success("a")], true, true),
        ("both have", vec![success("a"), ("b", failed())], false, true),
        ("one is open", vec![success("a"), open("b")], false, false),
        (
            "one is open, though the parent has ended",
            vec![success("a"), open("b")],
            true,
            false,
        ),
        ("both are open", vec![open("a"), open("b")], false, false),
        (
            "a desktop of another request is open",
            vec![success("a"), success("b"), open("z")],
            false,
            true,
        ),
    ] {
        assert_eq!(has_ended(&results, finished), ended, "{what}");
    }
}

#[test]
fn sub_jobs_are_found_by_desktop_and_by_job_however_they_are_spelled() {
    use SubJobStatus::{Failed, Running, Success, Waiting};
    let sub_job_list = SubJobList {
        sub_jobs: vec![
            sub_job("j1", "A", Success),
            sub_job("j2", "b", Waiting),
            sub_job("j2", "C", Failed),
            sub_job("j3", "c", Running),
        ],
        complete: true,
    };
    let naming = |text| {
        sub_job_list
            .jobs_naming(&ids(text))
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(naming("a"), jobs("j1"));
    assert_eq!(naming("c B"), jobs("j2 j3"));
    assert_eq!(naming("z"), []);
    let named = |text| sub_job_list.named_by(&job(text)).collect::<BTreeSet<DesktopID>>();
    assert_eq!(named("j2"), ids("b c").into_iter().collect());
    assert_eq!(named("j9"), BTreeSet::new());
    let open = |text| sub_job_list.open_job_of(&id(text)).map(ToString::to_string);
    assert_eq!(open("a"), None);
    assert_eq!(open("B").as_deref(), Some("j2"));
    assert_eq!(open("C").as_deref(), Some("j3"));
}
