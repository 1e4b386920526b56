//! Approvals by chance, and facts that are often those that were approved.

use desktop_deletion_operator::crd::deletion::{ApprovedDesktop, ApprovedPlan};
use desktop_deletion_operator::crd::project::{Approval, Guardrails, Permission};
use desktop_deletion_operator::ids::DesktopID;
use desktop_deletion_operator::plan::observed::Observed;
use desktop_deletion_operator::plan::plan_hash::PlannedDesktop;
use desktop_deletion_operator::workspace::api::{DesktopFacts, Fact};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::super::build::{id, minute};

/// What was approved, what the project asks for, and what the cloud says now.
#[derive(Debug, Clone)]
pub(super) struct Approvals {
    guardrails: Option<Guardrails>,
    named: Option<String>,
    recorded: Option<Vec<Option<DesktopFacts>>>,
    now: Vec<DesktopFacts>,
}

fn hash(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
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
    (one_of("pc-1", "pc-2"), one_of("anna", "ben"), created).prop_map(
        |(computer_name, user_name, created)| DesktopFacts {
            computer_name,
            user_name,
            created,
            ..DesktopFacts::default()
        },
    )
}

pub(super) fn approvals() -> impl Strategy<Value = Approvals> {
    let approval = (any::<bool>(), weighted(0.3, 1_u32..4));
    let rarely = || prop::bool::weighted(0.1);
    let limits = (weighted(0.2, 1_u32..4), rarely(), rarely(), rarely());
    let guardrails =
        (approval, limits).prop_map(|((required, above), (most, no_force, no_servers, no_pools))| {
            Guardrails {
                approval: if required {
                    Approval::Required
                } else {
                    Approval::None
                },
                approval_above: above.filter(|_| required),
                max_desktops_per_request: most,
                allow_force: !no_force,
                protected_names: no_servers.then(|| "*-2".to_owned()).into_iter().collect(),
                pooled_desktops: if no_pools {
                    Permission::Refuse
                } else {
                    Permission::Allow
                },
                ..Guardrails::default()
            }
        });
    let named = prop_oneof![3 => Just(hash('0')), 1 => Just(hash('1'))];
    (
        weighted(0.5, guardrails),
        weighted(0.5, named),
        weighted(0.8, vec(weighted(0.9, some_facts()), 3)),
        vec(some_facts(), 3),
    )
        .prop_map(|(guardrails, named, recorded, now)| Approvals {
            guardrails,
            named,
            recorded,
            now,
        })
}

impl Approvals {
    /// The situation with all that.
    pub(super) fn over(self, mut seen: Observed) -> Observed {
        if let Some(project) = &mut seen.project {
            project.guardrails = self.guardrails;
        }
        seen.request.approved_plan = self.named;
        let names = ["a", "B", "c"].map(id);
        for (id, facts) in names.iter().zip(self.now) {
            if let Some(sighting) = seen.desktops.get_mut(&id.folded()) {
                *sighting.facts = facts;
            }
        }
        seen.request.status.approved = self.recorded.map(|recorded| ApprovedPlan {
            hash: hash('0'),
            desktops: names
                .iter()
                .zip(recorded)
                .filter_map(|(id, facts)| Some(record(id, &facts?)))
                .collect(),
        });
        seen
    }
}

fn record(id: &DesktopID, facts: &DesktopFacts) -> ApprovedDesktop {
    let planned = PlannedDesktop::of(id, facts);
    ApprovedDesktop {
        id: id.clone(),
        users: None,
        users_hash: planned.users_hash(),
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
    plan_hash == Some(named)
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
