//! Approvals by chance, and facts that are often those that were approved.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::deletion::{ApprovedDesktop, ApprovedPlan};
use desktop_deletion_operator::crd::project::{
    Approval, DailyUsage, Guardrails, Permission, Reservation, SubmittedDesktops,
};
use desktop_deletion_operator::ids::{AttemptID, DesktopID};
use desktop_deletion_operator::plan::observed::Observed;
use desktop_deletion_operator::plan::plan_hash::{self, PlannedDesktop, project_key};
use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, Billing, DesktopFacts, DetailFacts, Fact, LoginStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::build::{id, minute, nonce};

/// The attempt that the reconciliation reserves desktops for.
const RESERVED: &str = "n2";

/// What was approved, what the project asks for, and what the cloud says now.
#[derive(Debug, Clone)]
pub(super) struct Approvals {
    guardrails: Option<Guardrails>,
    named: Option<Named>,
    recorded: Option<Recorded>,
    now: Vec<DesktopFacts>,
    usage: DailyUsage,
    reserved: bool,
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
    let guardrails = (guardrails, weighted(0.4, 2_u32..6)).prop_map(|(guardrails, per_day)| Guardrails {
        max_desktops_per_day: per_day,
        ..guardrails
    });
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
        usages(),
        any::<bool>(),
    )
        .prop_map(|(guardrails, named, recorded, now, usage, reserved)| Approvals {
            guardrails,
            named,
            recorded,
            now,
            usage,
            reserved,
        })
}

/// What was submitted or reserved: for the attempt that is armed, by this reconciliation, or by an earlier one of the request.
fn usages() -> impl Strategy<Value = DailyUsage> {
    let reservation = (select(vec!["n1", RESERVED, "n3"]), 1_i32..4, any::<bool>()).prop_map(
        |(attempt, desktops, is_ours)| Reservation {
            attempt_id: nonce(attempt),
            request: "leaver".to_owned(),
            uid: if is_ours { "request-1" } else { "request-2" }.to_owned(),
            resource_version: "7".to_owned(),
            desktops,
            reserved_at: minute(0),
        },
    );
    (vec(0_i32..3, 0..3), vec(reservation, 0..3)).prop_map(|(submitted, mut reservations)| {
        let interval = |(number, desktops): (i64, i32)| SubmittedDesktops {
            counts_until: minute(15 * number),
            desktops,
        };
        reservations.dedup_by_key(|reservation| reservation.attempt_id.clone());
        DailyUsage {
            submitted: (1..).zip(submitted).map(interval).collect(),
            reservations,
        }
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
            project.usage = self.usage;
        }
        seen.reserved = self.reserved.then(|| nonce(RESERVED));
        let names = ["a", "B", "c"].map(id);
        for (id, facts) in names.iter().zip(self.now) {
            if let Some(observation) = seen.desktops.get_mut(&id.folded()) {
                *observation.facts = facts;
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

/// Whether so many desktops are reserved for that attempt, or need not be.
pub(crate) fn is_reserved(seen: &Observed, attempt: Option<&AttemptID>, count: usize) -> bool {
    let Some(project) = &seen.project else {
        return false;
    };
    let limit = project.guardrails.as_ref().and_then(|g| g.max_desktops_per_day);
    let is_it = |r: &Reservation| {
        Some(&r.attempt_id) == attempt && usize::try_from(r.desktops).is_ok_and(|all| count <= all)
    };
    limit.is_none() || project.usage.reservations.iter().any(is_it)
}

/// Whether there is room for so many desktops besides what others use.
pub(crate) fn has_room(seen: &Observed, count: usize) -> bool {
    let Some(project) = &seen.project else {
        return false;
    };
    let limit = project.guardrails.as_ref().and_then(|g| g.max_desktops_per_day);
    let mut others = project.usage.clone();
    others
        .reservations
        .retain(|r| Some(&r.attempt_id) != seen.reserved.as_ref());
    limit.is_some_and(|limit| others.desktops() as usize + count <= limit as usize)
}
