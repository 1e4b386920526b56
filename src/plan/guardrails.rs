//! Floor 5, shared by phases.
//!
//! What the owner of the credentials permits (`spec.guardrails` of the project), against what the request asks for and what
//! the last read shows of its desktops. A desktop that may not be deleted blocks the whole request: half of a batch is not
//! what was asked for. What a rule needs and the cloud does not say blocks too.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use super::messages::desktops;
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;
use crate::crd::project::{Guardrails, Permission, Tag};
use crate::ids::DesktopID;
use crate::workspace::api::{DesktopFacts, DesktopKind, Fact};

/// So many desktops are described in the message, the rest is counted.
const DESCRIBED: usize = 3;

/// The wait of a request that asks for what the project does not permit, whatever its desktops are.
pub fn violated(seen: &Observed) -> Option<Progress> {
    let (guardrails, request) = (seen.guardrails()?, &seen.request);
    let most = guardrails.max_desktops_per_request;
    let what = if most.is_some_and(|most| request.desktop_ids.len() > most as usize) {
        format!(
            "a request may name at most {} (maxDesktopsPerRequest), this one names {}",
            desktops(most.unwrap_or_default() as usize),
            request.desktop_ids.len()
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
    let more = match violations.len().saturating_sub(DESCRIBED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!(
        "the guardrails of WorkspaceProject {} block the request: {}{more}. Nothing is submitted until that has changed; to delete the others, create a request without the blocked desktops",
        seen.request.project,
        violations[..violations.len().min(DESCRIBED)].join("; ")
    );
    Some(Progress::held(Reason::DesktopBlocked, message, Requeue::Plan))
}

/// Why that desktop, which exists, may not be deleted.
pub fn violation(seen: &Observed, id: &DesktopID) -> Option<String> {
    let guardrails = seen.guardrails()?;
    let facts = &seen.desktops.get(&id.folded())?.facts;
    missing_tag(guardrails, facts)
        .or_else(|| protected_tag(guardrails, facts))
        .or_else(|| protected_name(guardrails, facts))
        .or_else(|| pooled(guardrails, facts))
        .or_else(|| not_in_maintenance(guardrails, facts))
}

fn missing_tag(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let required = &guardrails.required_tags;
    if required.is_empty() {
        return None;
    }
    match given(&facts.tags) {
        Ok(tags) => {
            let missing = required.iter().find(|tag| !has(tags, tag))?;
            Some(format!("it lacks the tag {} (requiredTags)", shown(missing)))
        }
        Err(unknown) => Some(format!("the cloud {unknown} its tags (requiredTags)")),
    }
}

fn protected_tag(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let protected = &guardrails.protected_tags;
    if protected.is_empty() {
        return None;
    }
    match given(&facts.tags) {
        Ok(tags) => {
            let found = protected.iter().find(|tag| has(tags, tag))?;
            Some(format!("it has the tag {} (protectedTags)", shown(found)))
        }
        Err(unknown) => Some(format!("the cloud {unknown} its tags (protectedTags)")),
    }
}

fn protected_name(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    let patterns = &guardrails.protected_names;
    if patterns.is_empty() {
        return None;
    }
    match given(&facts.computer_name) {
        Ok(name) => {
            let matches = |pattern: &&String| WildMatch::new_case_insensitive(pattern).matches(name);
            let pattern = patterns.iter().find(matches)?;
            Some(format!(
                "its computer name {name} matches {pattern} (protectedNames)"
            ))
        }
        Err(unknown) => Some(format!("the cloud {unknown} its computer name (protectedNames)")),
    }
}

fn pooled(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    if guardrails.pooled_desktops == Permission::Allow {
        return None;
    }
    let in_pool = matches!(&facts.pool, Fact::Given(pool) if !pool.is_empty());
    if in_pool || facts.kind == Fact::Given(DesktopKind::Pooled) {
        return Some("it belongs to a desktop pool (pooledDesktops)".to_owned());
    }
    let unknown = match (&facts.kind, &facts.pool) {
        (Fact::Unreadable(_), _) | (_, Fact::Unreadable(_)) => "says in no known word",
        (Fact::NotGiven, Fact::NotGiven) => "does not say",
        (Fact::Given(_), _) | (_, Fact::Given(_)) => return None,
    };
    Some(format!(
        "the cloud {unknown} whether it belongs to a desktop pool (pooledDesktops)"
    ))
}

fn not_in_maintenance(guardrails: &Guardrails, facts: &DesktopFacts) -> Option<String> {
    if !guardrails.require_maintenance {
        return None;
    }
    match given(&facts.maintenance) {
        Ok(true) => None,
        Ok(false) => Some("it is not in maintenance mode (requireMaintenance)".to_owned()),
        Err(unknown) => Some(format!(
            "the cloud {unknown} whether it is in maintenance mode (requireMaintenance)"
        )),
    }
}

/// What a fact says, or how it is that it says nothing.
fn given<T>(fact: &Fact<T>) -> Result<&T, &'static str> {
    match fact {
        Fact::Given(value) => Ok(value),
        Fact::NotGiven => Err("does not say"),
        Fact::Unreadable(_) => Err("says in no known form"),
    }
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
