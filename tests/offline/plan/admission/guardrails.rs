//! Situations in which the project permits less than the request asks for.

use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::project::{Guardrails, Permission, Tag};
use desktop_deletion_operator::plan::guardrails::violation;
use desktop_deletion_operator::plan::observed::Window;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::views::Listed;
use desktop_deletion_operator::workspace::api::{
    Billing, DesktopFacts, DesktopKind, DetailFacts, Fact, LoginStatus,
};

use super::super::build::{Seen, id, minute, pay_per_use, ready};
use super::super::tell::{Row, check, describe, row};

#[test]
fn a_request_that_violates_a_guardrail_submits_nothing() {
    check(&rows());
}

fn guarded(change: impl FnOnce(&mut Guardrails)) -> Seen {
    let mut guardrails = Guardrails::default();
    change(&mut guardrails);
    ready("a b")
        .facts("a", "pc-1", "anna")
        .facts("b", "srv-1", "ben")
        .guarded(guardrails)
}

fn no_servers() -> Seen {
    guarded(|guardrails| guardrails.protected_names = vec!["SRV-*".to_owned()])
}

fn outside(window: Window) -> Seen {
    guarded(|_| {}).with(|o| o.facts.window = window)
}

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    [permitted(), detailed()].into_iter().flatten().collect()
}

fn permitted() -> Vec<Row> {
    const REFUSED: &str =
        "GuardrailViolated stalled until Change; a Pending, b Pending [GuardrailViolated, NotRequired]";
    vec![
        row("nothing is asked for", guarded(|_| {}), "sign a b"),
        row(
            "it names more desktops than one request may",
            guarded(|guardrails| guardrails.max_desktops_per_request = Some(1)),
            REFUSED,
        ),
        row(
            "it names as many as one request may",
            guarded(|guardrails| guardrails.max_desktops_per_request = Some(2)),
            "sign a b",
        ),
        row(
            "it may not force",
            guarded(|guardrails| guardrails.allow_force = false).with(|o| o.request.force = true),
            REFUSED,
        ),
        row(
            "it may not force, and does not",
            guarded(|guardrails| guardrails.allow_force = false),
            "sign a b",
        ),
        row(
            "it may not delete users",
            guarded(|guardrails| guardrails.allow_delete_users = false)
                .with(|o| o.request.delete_users = true),
            REFUSED,
        ),
        row(
            "a violated guardrail is reported before anything is claimed",
            guarded(|guardrails| guardrails.max_desktops_per_request = Some(1)).with(|o| o.claim = None),
            REFUSED,
        ),
        row(
            "one of its desktops may not be deleted, which blocks the whole request",
            no_servers(),
            "DesktopBlocked held until Plan; a Pending, b Blocked/GuardrailViolated [DesktopBlocked, NotRequired]",
        ),
        row(
            "no window is open",
            outside(Window::Closed {
                opens: Some(minute(9).0),
            })
            .with(|o| o.claim = None),
            "OutsideWindow held until Window; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "one is open by our clock alone: the service is asked for the time",
            outside(Window::ClockUnknown).service_clock_unknown().unread(),
            "list a b",
        ),
        row(
            "a time zone is not known",
            outside(Window::Unknown),
            "GuardrailViolated stalled until Change; a Pending, b Pending [PlanReady, NotRequired]",
        ),
        row(
            "its desktops cannot be read, so that its plan is not known: that is tried again soon",
            guarded(|guardrails| guardrails.max_desktops_per_request = Some(1))
                .unread()
                .read_failure(ErrorClass::Unreachable),
            "GuardrailViolated stalled until Backoff [Planning]",
        ),
        row(
            "that desktop is gone",
            no_servers().desktop_views("b Gone"),
            "sign a",
        ),
        row(
            "another client deletes that desktop: that is waited for first",
            no_servers().desktop_views("b Deleting"),
            "DeletionInProgress retrying until PollInterval; a Pending, b Blocked/DeletionInProgress [DesktopBlocked, NotRequired]",
        ),
    ]
}

fn detailed() -> Vec<Row> {
    vec![
        row(
            "what only the detailed list says is asked for where a rule needs it",
            guarded(|_| {}).details("b", None),
            "details b",
        ),
        row(
            "it is not asked for where no rule needs it",
            guarded(|guardrails| guardrails.prepaid_desktops = Permission::Allow).details("b", None),
            "sign a b",
        ),
        row(
            "it is not asked for of a desktop that does not exist",
            guarded(|_| {}).details("b", None).desktop_views("b Gone"),
            "sign a",
        ),
        row(
            "it is not asked for without guardrails",
            ready("a b").details("b", None),
            "sign a b",
        ),
        row(
            "a user is connected to one of its desktops, which is waited for",
            guarded(|guardrails| guardrails.connected_sessions = Permission::Refuse).details(
                "a",
                Some(DetailFacts {
                    login_status: Fact::Given(LoginStatus::Connected),
                    ..pay_per_use()
                }),
            ),
            "DesktopBlocked held until Plan; a Blocked/GuardrailViolated, b Pending [DesktopBlocked, NotRequired]",
        ),
    ]
}

fn tag(key: &str, value: Option<&str>) -> Tag {
    Tag {
        key: key.to_owned(),
        value: value.map(ToOwned::to_owned),
    }
}

fn tagged(tags: &[(&str, &str)]) -> DesktopFacts {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    DesktopFacts {
        tags: Fact::Given(tags.iter().map(own).collect()),
        ..DesktopFacts::default()
    }
}

/// What is wrong with a desktop of these facts.
fn said(guardrails: &Guardrails, facts: DesktopFacts) -> Option<String> {
    let seen = ready("a")
        .guarded(guardrails.clone())
        .with(|o| *o.desktops.get_mut(&id("a")).unwrap().facts = facts);
    violation(&seen.0, &id("a"))
}

#[test]
fn sessions_and_billing_are_checked_with_the_detailed_list() {
    let said = |guardrails: &Guardrails, details: DetailFacts| {
        let seen = ready("a").guarded(guardrails.clone()).details("a", Some(details));
        violation(&seen.0, &id("a"))
    };
    let sessions = Guardrails {
        connected_sessions: Permission::Refuse,
        prepaid_desktops: Permission::Allow,
        ..Guardrails::default()
    };
    let unknown = || Fact::Unreadable("LOGGING_IN".to_owned());
    for (login_status, wrong) in [
        (
            Fact::Given(LoginStatus::Connected),
            Some("a user is connected to it"),
        ),
        (Fact::Given(LoginStatus::Disconnected), None),
        (Fact::Given(LoginStatus::Registered), None),
        (Fact::Given(LoginStatus::Unregistered), None),
        (
            Fact::NotGiven,
            Some("the cloud does not report whether a user is connected to it"),
        ),
        (
            unknown(),
            Some("the cloud reports whether a user is connected to it in an unknown form (LOGGING_IN)"),
        ),
    ] {
        let wrong = wrong.map(|wrong| format!("{wrong} (connectedSessions)"));
        let details = DetailFacts {
            login_status,
            ..DetailFacts::default()
        };
        assert_eq!(said(&sessions, details.clone()), wrong, "{details:?}");
        let free = said(
            &Guardrails::default(),
            DetailFacts {
                charge_mode: Fact::Given(Billing::PayPerUse),
                ..details
            },
        );
        assert_eq!(free, None);
    }

    let (prepaid, by_use) = (
        || Fact::Given(Billing::Prepaid),
        || Fact::Given(Billing::PayPerUse),
    );
    let order = |id: &str| Fact::Given(id.to_owned());
    let odd = |word: &str| Fact::Unreadable(word.to_owned());
    let is_prepaid = || Some("it is prepaid (yearly/monthly billing)");
    for (charge_mode, charging_mode, order_id, wrong) in [
        (by_use(), Fact::NotGiven, Fact::NotGiven, None),
        (Fact::NotGiven, by_use(), order(""), None),
        (by_use(), by_use(), order(""), None),
        (prepaid(), Fact::NotGiven, Fact::NotGiven, is_prepaid()),
        (Fact::NotGiven, prepaid(), Fact::NotGiven, is_prepaid()),
        (by_use(), prepaid(), Fact::NotGiven, is_prepaid()),
        (by_use(), by_use(), order("CS1"), is_prepaid()),
        (
            Fact::NotGiven,
            Fact::NotGiven,
            Fact::NotGiven,
            Some("the cloud does not report how it is billed"),
        ),
        (
            by_use(),
            Fact::Unreadable("2".to_owned()),
            Fact::NotGiven,
            Some("the cloud reports how it is billed in an unknown form (2)"),
        ),
        (
            by_use(),
            Fact::NotGiven,
            odd("a list of 2"),
            Some("the cloud reports how it is billed in an unknown form (a list of 2)"),
        ),
    ] {
        let wrong = wrong.map(|wrong| format!("{wrong} (prepaidDesktops)"));
        let details = DetailFacts {
            charge_mode,
            charging_mode,
            order_id,
            ..DetailFacts::default()
        };
        assert_eq!(
            said(&Guardrails::default(), details.clone()),
            wrong,
            "{details:?}"
        );
        assert_eq!(
            said(
                &Guardrails {
                    prepaid_desktops: Permission::Allow,
                    ..Guardrails::default()
                },
                details
            ),
            None
        );
    }
}

#[test]
fn tags_are_compared_by_key_and_by_value_if_one_is_named() {
    let required = Guardrails {
        required_tags: vec![tag("leaver", None), tag("stage", Some("test"))],
        ..Guardrails::default()
    };
    let lacks = |tag: &str| Some(format!("it lacks the tag {tag} (requiredTags)"));
    for (tags, wrong) in [
        (&[("leaver", ""), ("stage", "test")][..], None),
        (&[("stage", "test")], lacks("leaver")),
        (&[("leaver", "x"), ("stage", "prod")], lacks("stage=test")),
        (&[("LEAVER", "x"), ("stage", "test")], lacks("leaver")),
        (&[], lacks("leaver")),
    ] {
        assert_eq!(said(&required, tagged(tags)), wrong, "{tags:?}");
    }
    let protected = Guardrails {
        protected_tags: vec![tag("keep", None), tag("stage", Some("prod"))],
        ..Guardrails::default()
    };
    let has = |tag: &str| Some(format!("it has the tag {tag} (protectedTags)"));
    for (tags, wrong) in [
        (&[][..], None),
        (&[("stage", "test")], None),
        (&[("keep", "no")], has("keep")),
        (&[("stage", "prod")], has("stage=prod")),
    ] {
        assert_eq!(said(&protected, tagged(tags)), wrong, "{tags:?}");
    }
}

#[test]
fn name_patterns_are_case_insensitive() {
    for (pattern, name, matches) in [
        ("srv-*", "SRV-1", true),
        ("SRV-?", "srv-1", true),
        ("srv-?", "srv-12", false),
        ("*admin*", "pc-Admin-2", true),
        ("srv", "srv-1", false),
        ("[a-z]*", "srv-1", false),
    ] {
        let guardrails = Guardrails {
            protected_names: vec!["other".to_owned(), pattern.to_owned()],
            ..Guardrails::default()
        };
        let facts = DesktopFacts {
            computer_name: Fact::Given(name.to_owned()),
            ..DesktopFacts::default()
        };
        assert_eq!(said(&guardrails, facts).is_some(), matches, "{pattern} {name}");
    }
}

#[test]
fn a_desktop_of_a_pool_is_known_by_its_kind_or_by_its_pool() {
    let guardrails = Guardrails {
        pooled_desktops: Permission::Refuse,
        ..Guardrails::default()
    };
    let pool = |name: &str| Fact::Given(name.to_owned());
    let word = || Fact::Unreadable("ROBOT".to_owned());
    for (kind, pool, wrong) in [
        (Fact::Given(DesktopKind::Dedicated), Fact::NotGiven, None),
        (Fact::Given(DesktopKind::Shared), pool(""), None),
        (Fact::NotGiven, pool(""), None),
        (Fact::Given(DesktopKind::Pooled), Fact::NotGiven, Some("belongs")),
        (Fact::Given(DesktopKind::Dedicated), pool("p-1"), Some("belongs")),
        (word(), pool("p-1"), Some("it belongs")),
        (word(), Fact::NotGiven, Some("in an unknown form (ROBOT)")),
        (Fact::NotGiven, Fact::NotGiven, Some("does not report")),
    ] {
        let facts = DesktopFacts {
            kind: kind.clone(),
            pool: pool.clone(),
            ..DesktopFacts::default()
        };
        let said = said(&guardrails, facts);
        let right = match (&said, wrong) {
            (Some(said), Some(part)) => said.contains(part),
            (None, None) => true,
            _ => false,
        };
        assert!(right, "{kind:?} {pool:?}: {said:?}");
    }
}

#[test]
fn a_desktop_that_is_only_known_from_a_single_read_may_belong_to_a_pool() {
    let guardrails = Guardrails {
        pooled_desktops: Permission::Refuse,
        ..Guardrails::default()
    };
    let seen = ready("a").guarded(guardrails).with(|o| {
        o.desktops.get_mut(&id("a")).unwrap().facts.kind = Fact::Given(DesktopKind::Dedicated);
    });
    assert_eq!(violation(&seen.0, &id("a")), None);
    let listed = |listed| {
        seen.clone()
            .asked_singly("a")
            .with(|o| o.desktops.get_mut(&id("a")).unwrap().listed = listed)
    };
    assert_eq!(describe(&plan(&listed(Listed::Unknown).0)), "list a");
    assert_eq!(violation(&listed(Listed::Yes).0, &id("a")), None);
    let said = violation(&listed(Listed::No).0, &id("a")).unwrap();
    assert!(said.contains("does not list it"), "{said}");
}

#[test]
fn a_missing_fact_that_a_guardrail_needs_blocks_the_desktop_and_is_named() {
    let none = Guardrails::default;
    let rules = [
        (
            Guardrails {
                required_tags: vec![tag("leaver", None)],
                ..none()
            },
            "requiredTags",
        ),
        (
            Guardrails {
                protected_tags: vec![tag("keep", None)],
                ..none()
            },
            "protectedTags",
        ),
        (
            Guardrails {
                protected_names: vec!["srv".to_owned()],
                ..none()
            },
            "protectedNames",
        ),
        (
            Guardrails {
                pooled_desktops: Permission::Refuse,
                ..none()
            },
            "pooledDesktops",
        ),
        (
            Guardrails {
                require_maintenance: true,
                ..none()
            },
            "requireMaintenance",
        ),
    ];
    let unreadable = DesktopFacts {
        computer_name: Fact::Unreadable("number".to_owned()),
        tags: Fact::Unreadable("string".to_owned()),
        maintenance: Fact::Unreadable("string".to_owned()),
        kind: Fact::Unreadable("ROBOT".to_owned()),
        ..DesktopFacts::default()
    };
    for (guardrails, rule) in rules {
        for (facts, how) in [
            (DesktopFacts::default(), "the cloud does not report"),
            (unreadable.clone(), "in an unknown form ("),
        ] {
            let said = said(&guardrails, facts).unwrap();
            assert!(said.contains(rule) && said.contains(how), "{said}");
        }
    }
}

#[test]
fn maintenance_mode_is_waited_for_only_where_it_is_required() {
    for (required, is, wrong) in [(true, true, false), (true, false, true), (false, false, false)] {
        let guardrails = Guardrails {
            require_maintenance: required,
            ..Guardrails::default()
        };
        let facts = DesktopFacts {
            maintenance: Fact::Given(is),
            ..DesktopFacts::default()
        };
        assert_eq!(said(&guardrails, facts).is_some(), wrong, "{required} {is}");
    }
}
