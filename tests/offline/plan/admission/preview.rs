//! Situations in which the plan of a request is shown.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::{ErrorClass, MissingFact};
use desktop_deletion_operator::crd::project::Guardrails;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::progress::{PlanSummary, Progress};
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::workspace::api::{DesktopFacts, DesktopKind, Fact};

use super::super::build::{Seen, minute, ready, untouched};
use super::super::rules;
use super::super::tell::{Row, check, describe, row};

#[test]
fn the_plan_of_a_request_is_shown_before_anything_is_sent() {
    check(&rows());
}

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    let held = || untouched("a b").suspended();
    vec![
        row(
            "the project is known: the desktops are read",
            held().project(),
            "list a b",
        ),
        row(
            "one that the list lacks is asked for",
            held().project().desktop_views("a Idle b Missing"),
            "get b",
        ),
        row(
            "neither a claim nor jobs are needed for that",
            held().project().all(DesktopView::Idle),
            "Suspended held until Plan; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "one of them is gone, another client deletes the other one",
            held().project().desktop_views("a Gone b Deleting"),
            "Suspended held until Plan; a Absent, b Blocked/DeletionInProgress [DesktopBlocked, NotRequired]",
        ),
        row(
            "nothing is left: a request that is suspended does not end by that",
            held().project().all(DesktopView::Gone),
            "Suspended held until Plan; a Absent, b Absent [PlanReady, NotRequired]",
        ),
        row(
            "the project cannot be used",
            held().obstacle(Reason::ProjectNotReady, true),
            "Suspended held until Refresh [Planning]",
        ),
        row(
            "the cloud cannot be read",
            held().project().read_failure(ErrorClass::Unreachable),
            "Suspended held until Backoff [Planning]",
        ),
        row(
            "nor can one desktop, and nothing is known of it",
            held()
                .project()
                .desktop_views("a Missing b Idle")
                .unreadable("a", ErrorClass::InDoubt, 1),
            "Suspended held until Backoff [Planning]",
        ),
        row(
            "it cannot be read any more: the plan stays as it is shown",
            shown(ready("a b").suspended())
                .unread()
                .read_failure(ErrorClass::Unreachable),
            "Suspended held until Plan",
        ),
        row(
            "a read says less than the plan on show, which stays",
            shown(ready("a b").facts("a", "pc-1", "anna").suspended())
                .with_facts("a", DesktopFacts::default()),
            "Suspended held until PollInterval [PlanReady, NotRequired]",
        ),
        row(
            "so it does when nothing holds the request up",
            shown(ready("a b").facts("a", "pc-1", "anna").suspended())
                .with_facts("a", DesktopFacts::default())
                .with(|o| o.request.suspend = false),
            "sign a b",
        ),
        row(
            "the project is suspended, and its requests are guarded",
            ready("a b").guarded(Guardrails::default()).with(|o| {
                if let Some(project) = &mut o.project {
                    project.suspended = true;
                }
            }),
            "ProjectSuspended held until Change; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "guardrails that ask for nothing hold up nothing",
            ready("a b").guarded(Guardrails::default()),
            "sign a b",
        ),
    ]
}

/// What the step that shows a plan says.
fn told(seen: &Seen) -> Progress {
    match plan(&seen.0) {
        Step::RecordProgress(progress) => progress,
        step => panic!("{}", describe(&step)),
    }
}

fn content(seen: &Seen) -> PlanSummary {
    told(seen).preview.unwrap().summary.unwrap()
}

/// The plan of that situation is on show.
pub(super) fn shown(mut seen: Seen) -> Seen {
    let step = Step::RecordProgress(told(&seen));
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(5)).unwrap();
    seen
}

#[test]
fn an_unchanged_plan_is_not_written_again_and_keeps_its_time() {
    let seen = shown(ready("a b").facts("a", "pc-1", "anna").suspended());
    assert!(matches!(plan(&seen.0), Step::Wait(_)), "nothing has changed");
    let changed = seen.facts("a", "pc-1", "ben");
    let step = plan(&changed.0);
    let status = rules::written(&changed.0.request, &step, &minute(9)).unwrap();
    let before = changed.0.request.status.plan.unwrap();
    let after = status.plan.unwrap();
    assert_ne!(before.hash, after.hash);
    assert_eq!((before.observed_at, after.observed_at), (minute(5), minute(9)));
}

#[test]
fn the_hash_covers_what_is_deleted_and_nothing_else() {
    let suspended = || ready("a b").facts("a", "pc-1", "anna").suspended();
    let hash = content(&suspended()).hash;
    let with_facts = |change: &dyn Fn(&mut DesktopFacts)| {
        let mut facts = DesktopFacts {
            computer_name: Fact::Given("pc-1".to_owned()),
            user_name: Fact::Given("anna".to_owned()),
            ..DesktopFacts::default()
        };
        change(&mut facts);
        suspended().with_facts("a", facts)
    };
    for (what, other) in vec![
        ("the object", suspended().with(|o| o.request.uid.push('x'))),
        ("the project", suspended().project_at("elsewhere")),
        ("deleteUsers", suspended().with(|o| o.request.delete_users = true)),
        (
            "emailNotification",
            suspended().with(|o| o.request.email_notification = false),
        ),
        ("force", suspended().with(|o| o.request.force = true)),
        ("the name", suspended().facts("a", "pc-2", "anna")),
        ("the user", suspended().facts("a", "pc-1", "ben")),
        ("a user that is nobody", suspended().facts("a", "pc-1", "")),
        (
            "a user that is not given",
            with_facts(&|facts| facts.user_name = Fact::NotGiven),
        ),
        (
            "the creation",
            with_facts(&|facts| facts.created = Fact::Given(minute(1).0)),
        ),
        ("the number of desktops", suspended().desktop_views("b Gone")),
    ] {
        assert_ne!(content(&other).hash, hash, "{what}");
    }
    for (what, same) in [
        (
            "the resourceVersion",
            suspended().with(|o| o.request.generation += 1),
        ),
        ("the approval", suspended().approving(&hash)),
        ("guardrails", suspended().guarded(Guardrails::default())),
        (
            "tags",
            with_facts(&|facts| facts.tags = Fact::Given([("a".to_owned(), "b".to_owned())].into())),
        ),
        ("that a desktop is busy", suspended().desktop_views("b Busy")),
        (
            "that another client deletes it",
            suspended().desktop_views("b Deleting"),
        ),
        (
            "that users are not shown",
            suspended().with(|o| o.facts.hide_users = true),
        ),
    ] {
        assert_eq!(content(&same).hash, hash, "{what}");
    }
}

#[test]
fn the_users_of_a_pool_are_no_part_of_the_plan() {
    let pooled = |user: &str| {
        let facts = DesktopFacts {
            computer_name: Fact::Given("pc-1".to_owned()),
            user_name: Fact::Given(user.to_owned()),
            created: Fact::Given(minute(1).0),
            kind: Fact::Given(DesktopKind::Pooled),
            ..DesktopFacts::default()
        };
        ready("a").with_facts("a", facts).suspended()
    };
    assert_eq!(content(&pooled("anna")), content(&pooled("ben")));
    let progress = told(&pooled("anna"));
    assert_eq!(progress.desktops[0].user, None);
    let updates = progress.preview.unwrap().updates;
    assert!(
        updates[0]
            .message
            .ends_with("; an approval does not cover the users of 1 desktop in a desktop pool"),
        "{}",
        updates[0].message
    );
}

#[test]
fn facts_that_the_cloud_does_not_report_are_listed_for_each_desktop() {
    use MissingFact::{AllUsers, ComputerName, Created, Users};
    let facts = |name: Fact<String>, attached| DesktopFacts {
        computer_name: name,
        user_name: Fact::Given("anna".to_owned()),
        created: Fact::Given(minute(1).0),
        attached,
        ..DesktopFacts::default()
    };
    let name = || Fact::Given("pc-1".to_owned());
    let seen = ready("a b c d")
        .with_facts("a", facts(name(), Fact::Given([].into())))
        .with_facts("b", facts(name(), Fact::NotGiven))
        .with_facts("c", facts(Fact::Unreadable("7".to_owned()), Fact::NotGiven))
        .with_facts("d", DesktopFacts::default())
        .suspended();
    let progress = told(&seen);
    let missing: Vec<_> = progress
        .desktops
        .iter()
        .map(|d| d.missing_facts.clone())
        .collect();
    assert_eq!(
        missing,
        [
            vec![],
            vec![AllUsers],
            vec![ComputerName, AllUsers],
            vec![ComputerName, Users, Created]
        ]
    );
    assert_eq!(
        progress.preview.unwrap().updates[0].message,
        "deletes 4 desktops; an approval does not cover facts that the cloud does not report: desktop c: the computer name; desktop d: the computer name, the users, the creation time"
    );
}

#[test]
fn users_are_shown_unless_that_is_not_wanted() {
    let seen = ready("a b").facts("a", "pc-1", "anna").suspended();
    assert_eq!(told(&seen).desktops[0].user.as_deref(), Some("anna"));
    let seen = shown(seen);
    let hidden = seen.with(|o| o.facts.hide_users = true);
    let step = plan(&hidden.0);
    let status = rules::written(&hidden.0.request, &step, &minute(9)).unwrap();
    assert_eq!(status.desktops[0].user, None, "it is taken off");
    assert_eq!(status.plan, hidden.0.request.status.plan);
    let wrong = ready("a")
        .expecting("a", None, Some("anna"))
        .facts("a", "pc-1", "ben")
        .with(|o| o.facts.hide_users = true);
    assert!(!format!("{:?}", told(&wrong)).contains("ben"));
}

impl Seen {
    /// The project has these guardrails.
    pub(crate) fn guarded(self, guardrails: Guardrails) -> Self {
        self.with(|o| {
            if let Some(project) = &mut o.project {
                project.guardrails = Some(guardrails);
            }
        })
    }

    /// `spec.approvedPlan` says so.
    pub(crate) fn approving(self, hash: &str) -> Self {
        self.with(|o| {
            o.request.approved_plan = Some(hash.to_owned());
            o.request.generation += 1;
        })
    }
}
