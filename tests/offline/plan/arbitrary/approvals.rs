//! Approvals by chance, and facts that are often those that were approved.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::deletion::{ApprovedDesktop, ApprovedPlan};
use desktop_deletion_operator::crd::project::{Approval, Guardrails, Permission};
use desktop_deletion_operator::ids::DesktopID;
use desktop_deletion_operator::plan::observed::Observed;
use desktop_deletion_operator::plan::plan_hash::{self, PlannedDesktop, project_key};
use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, Billing, DesktopFacts, DetailFacts, Fact, LoginStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::super::build::{id, minute};

/// What was approved, what the project asks for, and what the cloud says now.
#[derive(Debug, Clone)]
pub(super) struct Approvals {
    guardrails: Option<Guardrails>,
    named: Option<Named>,
    recorded: Option<Recorded>,
    now: Vec<DesktopFacts>,
}

/// What `spec.approvedPlan` says.
#[derive(Debug, Clone, Copy)]
enum Named {
    TheRecord,
    Another,
}

/// What `status.approved` holds.
#[derive(Debug, Clone)]
struct Recorded {
    facts: Vec<Option<DesktopFacts>>,
    /// It was made for an object of this uid, not for the one at hand.
    uid: Option<&'static str>,
}

fn another_hash() -> String {
    format!("sha256:{}", "1".repeat(64))
}

/// Mostly the same.
fn some_facts() -> impl Strategy<Value = DesktopFacts> {
    let one_of = |usual: &str, other: &str| {
        let given = |text: &str| Fact::Given(text.to_owned());
        prop_oneof![8 => Just(given(usual)), 1 => Just(given(other)), 1 => Just(Fact::NotGiven)]
    };
    let created = prop_oneof![
        8 => Just(Fact::Given(minute(0).0)),
        1 => Just(Fact::Given(minute(1).0)),
        1 => Just(Fact::NotGiven),
    ];
    let attached = prop_oneof![
        4 => Just(Fact::NotGiven),
        2 => Just(Fact::Given(BTreeSet::new())),
        1 => Just(Fact::Given(BTreeSet::from([AttachedUser { name: "ben".to_owned(), kind: AttachedKind::User }]))),
    ];
    (one_of("pc-1", "pc-2"), one_of("anna", "ben"), attached, created).prop_map(
        |(computer_name, user_name, attached, created)| DesktopFacts {
            computer_name,
            user_name,
            attached,
            created,
            ..DesktopFacts::default()
        },
    )
}

/// What the detailed list says, if it was read.
pub(super) fn details() -> impl Strategy<Value = Option<Box<DetailFacts>>> {
    let one_of = |usual: Fact<Billing>| prop_oneof![6 => Just(usual), 1 => Just(Fact::NotGiven), 1 => Just(Fact::Given(Billing::Prepaid))];
    let status = prop_oneof![
        6 => Just(Fact::Given(LoginStatus::Registered)),
        1 => Just(Fact::Given(LoginStatus::Connected)),
        1 => Just(Fact::NotGiven),
    ];
    let details = (
        status,
        one_of(Fact::Given(Billing::PayPerUse)),
        one_of(Fact::NotGiven),
    )
        .prop_map(|(login_status, charge_mode, charging_mode)| {
            Box::new(DetailFacts {
                login_status,
                charge_mode,
                charging_mode,
                ..DetailFacts::default()
            })
        });
    weighted(0.8, details)
}

pub(super) fn approvals() -> impl Strategy<Value = Approvals> {
    let approval = (any::<bool>(), weighted(0.3, 1_u32..4));
    let rarely = || prop::bool::weighted(0.1);
    let limits = (
        weighted(0.2, 1_u32..4),
        rarely(),
        rarely(),
        rarely(),
        any::<bool>(),
        rarely(),
    );
    let guardrails = (approval, limits).prop_map(
        |((required, above), (most, no_force, no_servers, no_pools, prepaid, no_sessions))| Guardrails {
            approval: if required {
                Approval::Required
            } else {
                Approval::None
            },
            approval_above: above.filter(|_| required),
            max_desktops_per_request: most,
            allow_force: !no_force,
            protected_names: no_servers.then(|| "*-2".to_owned()).into_iter().collect(),
            pooled_desktops: permission(no_pools),
            prepaid_desktops: permission(!prepaid),
            connected_sessions: permission(no_sessions),
            ..Guardrails::default()
        },
    );
    let named = prop_oneof![3 => Just(Named::TheRecord), 1 => Just(Named::Another)];
    let recorded = (
        vec(weighted(0.9, some_facts()), 3),
        weighted(0.1, Just("another")),
    );
    (
        weighted(0.5, guardrails),
        weighted(0.5, named),
        weighted(0.8, recorded.prop_map(|(facts, uid)| Recorded { facts, uid })),
        vec(some_facts(), 3),
    )
        .prop_map(|(guardrails, named, recorded, now)| Approvals {
            guardrails,
            named,
            recorded,
            now,
        })
}

fn permission(refused: bool) -> Permission {
    if refused {
        Permission::Refuse
    } else {
        Permission::Allow
    }
}

impl Approvals {
    /// The situation with all that.
    pub(super) fn over(self, mut seen: Observed) -> Observed {
        if let Some(project) = &mut seen.project {
            project.guardrails = self.guardrails;
        }
        let names = ["a", "B", "c"].map(id);
        for (id, facts) in names.iter().zip(self.now) {
            if let Some(sighting) = seen.desktops.get_mut(&id.folded()) {
                *sighting.facts = facts;
            }
        }
        seen.request.status.approved = self
            .recorded
            .map(|recorded| recorded.by(&seen, &names).unwrap_or_else(nothing));
        let recorded = seen.request.status.approved.as_ref();
        seen.request.approved_plan = self.named.map(|named| match (named, recorded) {
            (Named::TheRecord, Some(approved)) => approved.hash.clone(),
            _ => another_hash(),
        });
        seen
    }
}

impl Recorded {
    /// The record; `None` while the project is not known.
    fn by(self, seen: &Observed, names: &[DesktopID]) -> Option<ApprovedPlan> {
        let mut request = seen.request.clone();
        request.uid = self.uid.map_or(request.uid, ToOwned::to_owned);
        let desktops: Vec<_> = names
            .iter()
            .zip(self.facts)
            .filter_map(|(id, facts)| Some(record(id, &facts?)))
            .collect();
        let facts: Vec<_> = desktops.iter().map(PlannedDesktop::from).collect();
        Some(ApprovedPlan {
            hash: plan_hash::plan_hash(&request, &project_key(seen)?, &facts),
            desktops,
        })
    }
}

fn nothing() -> ApprovedPlan {
    ApprovedPlan {
        hash: another_hash(),
        desktops: vec![],
    }
}

fn record(id: &DesktopID, facts: &DesktopFacts) -> ApprovedDesktop {
    let planned = PlannedDesktop::of(id, facts);
    ApprovedDesktop {
        id: id.clone(),
        users: None,
        users_hash: planned.users_hash,
        user_name_hash: planned.user_name_hash,
        pooled: planned.pooled,
        name: planned.computer_name,
        created: planned.created.map(Time),
    }
}

/// Whether these desktops may be submitted, as far as approvals go: none is needed and none was given, or each desktop is as
/// it was approved.
pub(crate) fn may_go(seen: &Observed, body: &[DesktopID], plan_hash: Option<&String>) -> bool {
    let Some(named) = &seen.request.approved_plan else {
        let guardrails = seen
            .project
            .as_ref()
            .and_then(|project| project.guardrails.as_ref());
        let above = |guardrails: &Guardrails| guardrails.approval_above.unwrap_or(0) as usize;
        let required = guardrails
            .is_some_and(|g| g.approval == Approval::Required && seen.request.desktop_ids.len() > above(g));
        return !required && plan_hash.is_none();
    };
    let approved = seen.request.status.approved.as_ref();
    let Some(approved) = approved.filter(|approved| approved.hash == *named) else {
        return false;
    };
    let facts: Vec<_> = approved.desktops.iter().map(PlannedDesktop::from).collect();
    let is_about_this = project_key(seen)
        .is_some_and(|project| plan_hash::plan_hash(&seen.request, &project, &facts) == approved.hash);
    is_about_this
        && plan_hash == Some(named)
        && body.iter().all(|id| {
            let facts = &seen.desktops[&id.folded()].facts;
            let same = |then: &ApprovedDesktop| {
                ApprovedDesktop {
                    users: None,
                    ..then.clone()
                } == record(&then.id, facts)
            };
            approved.desktops.iter().any(|then| then.id == *id && same(then))
        })
}
