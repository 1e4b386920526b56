//! Situations in which a request has expectations of its desktops.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::Expectation;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, DesktopFacts, DetailFacts, Fact,
};

use super::super::build::{Seen, id, ready};
use super::super::tell::{Row, check, row};

#[test]
fn a_desktop_that_does_not_match_expectations_blocks_the_whole_request() {
    check(&rows());
}

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    let anna = || ready("a b").expecting("a", Some("PC-1"), Some("anna"));
    let wrong = "ExpectationFailed stalled until Change; a Blocked/ExpectationFailed, b Pending \
                 [ExpectationFailed, NotRequired]";
    vec![
        row("it is as expected", anna().facts("a", "pc-1", "Anna"), "sign a b"),
        row(
            "it has another computer name",
            anna().facts("a", "pc-2", "anna"),
            wrong,
        ),
        row("it is of another user", anna().facts("a", "pc-1", "ben"), wrong),
        row("it has no user", anna().facts("a", "pc-1", ""), wrong),
        row("the cloud does not report its facts", anna(), wrong),
        row(
            "it does not exist any more, so there is nothing to judge",
            anna().desktop_views("a Gone"),
            "sign b",
        ),
        row(
            "another client deletes it: that is waited for first",
            anna().desktop_views("a Deleting"),
            "DeletionInProgress retrying until PollInterval; a Blocked/DeletionInProgress, b Pending [DesktopBlocked, NotRequired]",
        ),
    ]
}

fn said(seen: &Seen) -> Option<String> {
    match plan(&seen.0) {
        Step::RecordProgress(progress) => {
            assert_eq!(progress.reason, Reason::ExpectationFailed);
            Some(progress.message)
        }
        step => {
            assert!(matches!(step, Step::AcquirePermit), "{step:?}");
            None
        }
    }
}

fn attached(users: &[(&str, AttachedKind)]) -> DesktopFacts {
    let user = |(name, kind): &(&str, AttachedKind)| AttachedUser {
        name: (*name).to_owned(),
        kind: *kind,
    };
    DesktopFacts {
        attached: Fact::Given(users.iter().map(user).collect()),
        ..DesktopFacts::default()
    }
}

#[test]
fn a_desktop_must_be_assigned_to_the_expected_user_only() {
    use AttachedKind::{Group, User};
    let given = |name: &str| Fact::Given(name.to_owned());
    let both = |facts: DesktopFacts| DesktopFacts {
        user_name: given("anna"),
        ..facts
    };
    for (facts, wrong) in [
        (attached(&[("Anna", User)]), None),
        (both(attached(&[("Anna", User)])), None),
        (both(attached(&[])), None),
        (both(DesktopFacts::default()), None),
        (
            attached(&[("anna", User), ("ben", User)]),
            Some("it is assigned to anna, ben, expected anna"),
        ),
        (
            both(attached(&[("staff", Group)])),
            Some("it is assigned to anna, group staff, expected anna"),
        ),
        (
            attached(&[("anna", Group)]),
            Some("it is assigned to group anna, expected anna"),
        ),
        (
            both(attached(&[("anna", Group)])),
            Some("it is assigned to anna, group anna, expected anna"),
        ),
        (attached(&[]), Some("it is not assigned to a user, expected anna")),
        (
            DesktopFacts::default(),
            Some("the cloud does not report to whom it is assigned, expected anna"),
        ),
        (
            both(DesktopFacts {
                attached: Fact::Unreadable("a list of 2".to_owned()),
                ..DesktopFacts::default()
            }),
            Some("the cloud does not report to whom it is assigned, expected anna"),
        ),
        (
            DesktopFacts {
                user_name: Fact::Unreadable("7".to_owned()),
                ..attached(&[("anna", User)])
            },
            Some("the cloud does not report to whom it is assigned, expected anna"),
        ),
    ] {
        let seen = ready("a")
            .expecting("a", None, Some("anna"))
            .with_facts("a", facts.clone());
        let said = said(&seen);
        assert_eq!(said.is_some(), wrong.is_some(), "{facts:?}: {said:?}");
        if let (Some(said), Some(wrong)) = (said, wrong) {
            assert!(said.contains(&format!("desktop a: {wrong}")), "{facts:?}: {said}");
        }
    }
}

#[test]
fn the_message_names_what_differs_and_counts_the_rest() {
    let seen = "a b c d".split(' ').fold(ready("a b c d"), |seen, desktop| {
        seen.expecting(desktop, Some("PC"), Some("anna"))
            .facts(desktop, "other", "ben")
    });
    assert_eq!(
        said(&seen).unwrap(),
        "spec.expected does not match the desktops, so nothing is submitted: desktop a: the computer name is other, expected PC, \
         it is assigned to ben, expected anna; desktop b: the computer name is other, expected PC, it is assigned to ben, \
         expected anna; desktop c: the computer name is other, expected PC, it is assigned to ben, expected anna; and 1 more. \
         Check the IDs; then delete this request and create a corrected one"
    );
}

impl Seen {
    /// Its author expects that of a desktop.
    pub(crate) fn expecting(self, name: &str, computer_name: Option<&str>, user_name: Option<&str>) -> Self {
        let expectation = Expectation {
            id: id(name),
            computer_name: computer_name.map(ToOwned::to_owned),
            user_name: user_name.map(ToOwned::to_owned),
        };
        self.with(|o| o.request.expected.push(expectation))
    }

    /// The cloud says so of a desktop.
    pub(crate) fn facts(self, name: &str, computer_name: &str, user_name: &str) -> Self {
        let facts = DesktopFacts {
            computer_name: Fact::Given(computer_name.to_owned()),
            user_name: Fact::Given(user_name.to_owned()),
            ..DesktopFacts::default()
        };
        self.with_facts(name, facts)
    }

    pub(crate) fn with_facts(self, name: &str, facts: DesktopFacts) -> Self {
        self.with(|o| {
            if let Some(observation) = o.desktops.get_mut(&id(name).folded()) {
                *observation.facts = facts;
            }
        })
    }

    /// What the detailed list says of a desktop; `None`: it was not read.
    pub(crate) fn details(self, name: &str, details: Option<DetailFacts>) -> Self {
        self.with(|o| o.desktops.get_mut(&id(name).folded()).unwrap().details = details.map(Box::new))
    }
}
