//! Floor 5, shared by phases.
//!
//! What the owner of the credentials permits (`spec.guardrails` of the project), against what the request asks for and what
//! the last read shows of its desktops. A desktop that may not be deleted blocks the whole request: half of a batch is not
//! what was asked for. What a rule needs and the cloud does not report blocks too.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use super::messages::{describe_some, desktops};
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;
use crate::crd::project::{Guardrails, Permission, Tag};
use crate::ids::DesktopID;
use crate::workspace::api::{Billing, DesktopFacts, DesktopKind, DetailFacts, Fact, LoginStatus};

/// The wait of a request that asks for what the project does not permit, whatever its desktops are.
pub fn violated(seen: &Observed) -> Option<Progress> {
    let (guardrails, request) = (seen.guardrails()?, &seen.request);
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
            "the request names {names}, the maximum is {} ({limit})",
            desktops(most)
        )
    } else if request.force && !guardrails.allow_force {
        "a request may not set spec.force (allowForce)".to_owned()
    } else if request.delete_users && !guardrails.allow_delete_users {
        "a request may not set spec.deleteUsers (allowDeleteUsers)".to_owned()
    } else {
        return None;
    };
    let message = format!(
        "the guardrails of WorkspaceProject {} do not permit this request: {what}. Create a request that they permit, or ask the owner of the project",
        request.project
    );
    Some(Progress::stalled(
        Reason::GuardrailViolated,
        message,
        Requeue::Change,
    ))
}

/// The wait while it cannot be told when the project takes submissions.
pub fn unknown_time_zone(project: &str) -> Progress {
    let message = format!(
        "a time zone in spec.guardrails.windows of WorkspaceProject {project} is not known, so nothing is submitted: use a name of the IANA database, such as Europe/Berlin"
    );
    Progress::stalled(Reason::GuardrailViolated, message, Requeue::Change)
}

/// The wait while one of these desktops, which exist, may not be deleted.
pub fn blocked(seen: &Observed, present: &[DesktopID]) -> Option<Progress> {
    let violations: Vec<_> = present
        .iter()
        .filter_map(|id| Some(format!("desktop {id}: {}", violation(seen, id)?)))
        .collect();
    if violations.is_empty() {
        return None;
    }
    let message = format!(
        "the guardrails of WorkspaceProject {} block the request: {}. Nothing is submitted until this changes; to delete the others, create a request without the blocked desktops",
        seen.request.project,
        describe_some(&violations)
    );
    Some(Progress::held(Reason::DesktopBlocked, message, Requeue::Plan))
}

/// Why that desktop, which exists, may not be deleted.
pub fn violation(seen: &Observed, id: &DesktopID) -> Option<String> {
    let guardrails = seen.guardrails()?;
    let desktop = seen.desktops.get(&id.folded())?;
    // Details that were not read are as if the cloud did not report them.
    let (facts, details) = (&desktop.facts, desktop.details.clone().unwrap_or_default());
    missing_tag(guardrails, facts)
        .or_else(|| protected_tag(guardrails, facts))
        .or_else(|| protected_name(guardrails, facts))
        .or_else(|| pooled(guardrails, facts, seen.single_reads.contains_key(&id.folded())))
        .or_else(|| not_in_maintenance(guardrails, facts))
        .or_else(|| connected(guardrails, &details))
        .or_else(|| prepaid(guardrails, &details))
}

fn missing_tag(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let required = &guardrails.required_tags;
    if required.is_empty() {
        return None;
    }
    let missing = given(&facts.tags, "its tags").map(|tags| {
        let missing = required.iter().find(|tag| !has(tags, tag))?;
        Some(format!("it lacks the tag {}", shown(missing)))
    });
    by_rule(missing, "requiredTags")
}

fn protected_tag(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let protected = &guardrails.protected_tags;
    if protected.is_empty() {
        return None;
    }
    let found = given(&facts.tags, "its tags").map(|tags| {
        let found = protected.iter().find(|tag| has(tags, tag))?;
        Some(format!("it has the tag {}", shown(found)))
    });
    by_rule(found, "protectedTags")
}

fn protected_name(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let patterns = &guardrails.protected_names;
    if patterns.is_empty() {
        return None;
    }
    let found = given(&facts.computer_name, "its computer name").map(|name| {
        let matches = |pattern: &&String| WildMatch::new_case_insensitive(pattern).matches(name);
        let pattern = patterns.iter().find(matches)?;
        Some(format!("its computer name {name} matches {pattern}"))
    });
    by_rule(found, "protectedNames")
}

/// A desktop that was read by itself has no `pool_id`, whether it belongs to a pool or not.
fn pooled(guardrails: &Guardrails, facts: &DesktopFacts, read_by_itself: bool) -> Option<String> {
    if guardrails.pooled_desktops == Permission::Allow {
        return None;
    }
    let whether = "whether it belongs to a desktop pool";
    let in_pool = matches!(&facts.pool, Fact::Given(pool) if !pool.is_empty());
    let found = if in_pool || facts.kind == Fact::Given(DesktopKind::Pooled) {
        Ok(Some("it belongs to a desktop pool".to_owned()))
    } else if read_by_itself {
        Err(format!(
            "the cloud does not list it, and therefore does not report {whether}"
        ))
    } else if matches!(facts.pool, Fact::NotGiven) {
        given(&facts.kind, whether).map(|_| None)
    } else {
        given(&facts.pool, whether).map(|_| None)
    };
    by_rule(found, "pooledDesktops")
}

fn not_in_maintenance(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    if !guardrails.require_maintenance {
        return None;
    }
    let is = given(&facts.maintenance, "whether it is in maintenance mode");
    let wrong = is.map(|is| (!is).then(|| "it is not in maintenance mode".to_owned()));
    by_rule(wrong, "requireMaintenance")
}

/// Whether a guardrail needs the detailed list, which alone reports sessions and billing.
pub fn need_details(seen: &Observed) -> bool {
    seen.guardrails().is_some_and(|guardrails| {
        guardrails.connected_sessions == Permission::Refuse
            || guardrails.prepaid_desktops == Permission::Refuse
    })
}

fn connected(guardrails: &Guardrails, details: &DetailFacts) -> Option<String> {
    if guardrails.connected_sessions == Permission::Allow {
        return None;
    }
    let status = given(&details.login_status, "whether a user is connected to it");
    let is = |status: &LoginStatus| *status == LoginStatus::Connected;
    let wrong = status.map(|status| is(status).then(|| "a user is connected to it".to_owned()));
    by_rule(wrong, "connectedSessions")
}

/// Each of three fields may say that a desktop is prepaid, and they may contradict each other.
fn prepaid(guardrails: &Guardrails, details: &DetailFacts) -> Option<String> {
    if guardrails.prepaid_desktops == Permission::Allow {
        return None;
    }
    let what = "how it is billed";
    let modes = [&details.charge_mode, &details.charging_mode];
    let ordered = matches!(&details.order_id, Fact::Given(order) if !order.is_empty());
    let found = if ordered || modes.contains(&&Fact::Given(Billing::Prepaid)) {
        Ok(Some("it is prepaid (yearly/monthly billing)".to_owned()))
    } else if matches!(details.order_id, Fact::Unreadable(_)) {
        given(&details.order_id, what).map(|_| None)
    } else {
        let unreadable = modes.iter().find(|mode| matches!(mode, Fact::Unreadable(_)));
        let told = modes.iter().find(|mode| matches!(mode, Fact::Given(_)));
        given(unreadable.or(told).unwrap_or(&&Fact::NotGiven), what).map(|_| None)
    };
    by_rule(found, "prepaidDesktops")
}

/// What a fact says, or that it does not say `what`.
fn given<'a, T>(fact: &'a Fact<T>, what: &str) -> Result<&'a T, String> {
    match fact {
        Fact::Given(value) => Ok(value),
        Fact::NotGiven => Err(format!("the cloud does not report {what}")),
        Fact::Unreadable(word) => Err(format!("the cloud reports {what} in an unknown form ({word})")),
    }
}

/// What is wrong, or not known, with the rule that asks for it.
fn by_rule(found: Result<Option<String>, String>, rule: &str) -> Option<String> {
    let wrong = found.unwrap_or_else(Some)?;
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
