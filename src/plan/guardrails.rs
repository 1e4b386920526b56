//! Layer 5, shared by phases: does the project permit the request.
//!
//! What the owner of the credentials permits (`spec.guardrails` of the project), against what the request asks for and
//! what the last read shows of its desktops. A desktop that may not be deleted blocks the whole request: a part of a
//! batch is not what was requested. A fact that a rule needs and the cloud does not report blocks the request as well.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use super::messages::{describe_desktops, desktops};
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use super::views::Listed;
use crate::crd::conditions::Reason;
use crate::crd::project::{Guardrails, Permission, Tag};
use crate::ids::DesktopID;
use crate::workspace::api::{Billing, DesktopFacts, DesktopKind, DetailFacts, Fact, LoginStatus};

/// The wait of a request that the project does not permit, regardless of its desktops.
pub fn violated(observed: &Observed) -> Option<Progress> {
    let (guardrails, request) = (observed.guardrails()?, &observed.request);
    let limits = [
        ("maxDesktopsPerRequest", guardrails.max_desktops_per_request),
        ("maxDesktopsPerDay", guardrails.max_desktops_per_day),
    ];
    let names = request.desktop_ids.len();
    let exceeded = limits
        .into_iter()
        .filter_map(|(limit, most)| Some((limit, most? as usize)))
        .find(|(_, most)| names > *most);
    let what = if let Some((limit, most)) = exceeded {
        format!(
            "the request has {}, more than the maximum of {most} ({limit})",
            desktops(names)
        )
    } else if request.force && !guardrails.allow_force {
        "requests must not set spec.force (allowForce)".to_owned()
    } else if request.delete_users && !guardrails.allow_delete_users {
        "requests must not set spec.deleteUsers (allowDeleteUsers)".to_owned()
    } else {
        return None;
    };
    let message = format!(
        "the guardrails of WorkspaceProject {} do not permit this request: {what}. Delete this request and create one \
         that they permit, or ask the owner of the project to change them",
        request.project
    );
    Some(Progress::stalled(
        Reason::GuardrailViolated,
        message,
        Requeue::Change,
    ))
}

/// The wait while the submission windows of the project cannot be evaluated.
pub fn unknown_time_zone(project: &str) -> Progress {
    let message = format!(
        "a time zone in spec.guardrails.windows of WorkspaceProject {project} is not known, so nothing is submitted: use a name from the IANA time zone database, such as Europe/Berlin"
    );
    Progress::stalled(Reason::GuardrailViolated, message, Requeue::Change)
}

/// The wait while one of these desktops, which exist, may not be deleted.
pub fn blocked(observed: &Observed, present: &[DesktopID]) -> Option<Progress> {
    let violations = describe_desktops(present, |id| violation(observed, id))?;
    let message = format!(
        "the guardrails of WorkspaceProject {} block the request: {}. Nothing is submitted until this changes; to \
         delete the others now, delete this request and create one without the blocked desktops",
        observed.request.project, violations
    );
    Some(Progress::paused(Reason::DesktopBlocked, message, Requeue::Plan))
}

/// Why an existing desktop may not be deleted.
pub fn violation(observed: &Observed, id: &DesktopID) -> Option<String> {
    let guardrails = observed.guardrails()?;
    let desktop = observed.desktops.get(&id.folded())?;
    // Details that were not read are as if the cloud did not report them.
    let (facts, details) = (&desktop.facts, desktop.details.clone().unwrap_or_default());
    missing_tag(guardrails, facts)
        .or_else(|| protected_tag(guardrails, facts))
        .or_else(|| protected_name(guardrails, facts))
        .or_else(|| pooled(guardrails, facts, desktop.listed))
        .or_else(|| not_in_maintenance(guardrails, facts))
        .or_else(|| connected(guardrails, &details))
        .or_else(|| prepaid(guardrails, &details))
}

fn missing_tag(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let required = &guardrails.required_tags;
    by_rule("requiredTags", !required.is_empty(), || {
        let tags = given(&facts.tags, "its tags")?;
        let missing = required.iter().find(|tag| !has(tags, tag));
        Ok(missing.map(|tag| format!("it lacks the tag {}", shown(tag))))
    })
}

fn protected_tag(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let protected = &guardrails.protected_tags;
    by_rule("protectedTags", !protected.is_empty(), || {
        let tags = given(&facts.tags, "its tags")?;
        let found = protected.iter().find(|tag| has(tags, tag));
        Ok(found.map(|tag| format!("it has the tag {}", shown(tag))))
    })
}

fn protected_name(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let patterns = &guardrails.protected_names;
    by_rule("protectedNames", !patterns.is_empty(), || {
        let name = given(&facts.computer_name, "its computer name")?;
        let matches = |pattern: &&String| WildMatch::new_case_insensitive(pattern).matches(name);
        let found = patterns.iter().find(matches);
        Ok(found.map(|pattern| format!("its computer name {name} matches {pattern}")))
    })
}

/// Whether a guardrail needs the list of desktops: the response to a single GET has no `pool_id`, even if the desktop
/// belongs to a pool.
pub fn need_list(observed: &Observed) -> bool {
    observed
        .guardrails()
        .is_some_and(|guardrails| guardrails.pooled_desktops == Permission::Refuse)
}

fn pooled(guardrails: &Guardrails, facts: &DesktopFacts, listed: Listed) -> Option<String> {
    let whether = "whether it belongs to a desktop pool";
    let in_pool = matches!(&facts.pool, Fact::Given(pool) if !pool.is_empty());
    by_rule(
        "pooledDesktops",
        guardrails.pooled_desktops == Permission::Refuse,
        || {
            if in_pool || facts.kind == Fact::Given(DesktopKind::Pooled) {
                return Ok(Some("it belongs to a desktop pool".to_owned()));
            }
            if listed != Listed::Yes {
                return Err(format!(
                    "the cloud does not list it, and therefore does not report {whether}"
                ));
            }
            match facts.pool {
                Fact::NotGiven => given(&facts.kind, whether).map(|_| None),
                _ => given(&facts.pool, whether).map(|_| None),
            }
        },
    )
}

fn not_in_maintenance(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    by_rule("requireMaintenance", guardrails.require_maintenance, || {
        let is = given(&facts.maintenance, "whether it is in maintenance mode")?;
        Ok((!is).then(|| "it is not in maintenance mode".to_owned()))
    })
}

/// Whether a guardrail needs the detailed list, which alone reports sessions and billing.
pub fn need_details(observed: &Observed) -> bool {
    observed.guardrails().is_some_and(|guardrails| {
        guardrails.connected_sessions == Permission::Refuse
            || guardrails.prepaid_desktops == Permission::Refuse
    })
}

fn connected(guardrails: &Guardrails, details: &DetailFacts) -> Option<String> {
    by_rule(
        "connectedSessions",
        guardrails.connected_sessions == Permission::Refuse,
        || {
            let status = given(&details.login_status, "whether a user is connected to it")?;
            Ok((*status == LoginStatus::Connected).then(|| "a user is connected to it".to_owned()))
        },
    )
}

/// Each of three fields may show that a desktop is prepaid, and they may contradict each other.
fn prepaid(guardrails: &Guardrails, details: &DetailFacts) -> Option<String> {
    let what = "how it is billed";
    let modes = [&details.charge_mode, &details.charging_mode];
    let ordered = matches!(&details.order_id, Fact::Given(order) if !order.is_empty());
    by_rule(
        "prepaidDesktops",
        guardrails.prepaid_desktops == Permission::Refuse,
        || {
            if ordered || modes.contains(&&Fact::Given(Billing::Prepaid)) {
                return Ok(Some("it is prepaid (yearly/monthly billing)".to_owned()));
            }
            if matches!(details.order_id, Fact::Unreadable(_)) {
                return given(&details.order_id, what).map(|_| None);
            }
            let unreadable = modes.iter().find(|mode| matches!(mode, Fact::Unreadable(_)));
            let known = modes.iter().find(|mode| matches!(mode, Fact::Given(_)));
            given(unreadable.or(known).unwrap_or(&&Fact::NotGiven), what).map(|_| None)
        },
    )
}

/// The value of a fact, or a message that `what` is not known.
fn given<'a, T>(fact: &'a Fact<T>, what: &str) -> Result<&'a T, String> {
    match fact {
        Fact::Given(value) => Ok(value),
        Fact::NotGiven => Err(format!("the cloud does not report {what}")),
        Fact::Unreadable(word) => Err(format!("the cloud reports {what} in an unknown form ({word})")),
    }
}

/// What violates a rule or is not known; nothing if the rule does not apply.
fn by_rule(
    rule: &str,
    applies: bool,
    found: impl FnOnce() -> Result<Option<String>, String>,
) -> Option<String> {
    let wrong = applies.then(found)?.unwrap_or_else(Some)?;
    Some(format!("{wrong} ({rule})"))
}

fn has(tags: &BTreeMap<String, String>, tag: &Tag) -> bool {
    let value = tags.get(&tag.key);
    value.is_some_and(|value| tag.value.as_ref().is_none_or(|wanted| wanted == value))
}

fn shown(tag: &Tag) -> String {
    match &tag.value {
        Some(value) => format!("{}={value}", tag.key),
        None => tag.key.clone(),
    }
}
