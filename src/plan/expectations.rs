//! Floor 5, shared by phases.
//!
//! What the author of a request believes of its desktops (`spec.expected`), against what the last read shows. One desktop
//! that is another holds up the whole request: half of a batch is not what was asked for.

use std::collections::BTreeSet;

use super::observed::Observed;
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;
use crate::crd::deletion::Expectation;
use crate::ids::DesktopID;
use crate::workspace::api::{AttachedKind, AttachedUser, DesktopFacts, Fact};

/// So many desktops are described in the message, the rest is counted.
const DESCRIBED: usize = 3;

/// The wait while one of these desktops, which exist, is not what the request expects.
pub fn failed(seen: &Observed, present: &[DesktopID]) -> Option<Progress> {
    let of_present = seen.request.expected.iter().filter(|e| present.contains(&e.id));
    let wrong: Vec<_> = of_present
        .filter_map(|expected| {
            let facts = &seen.desktops.get(&expected.id.folded())?.facts;
            differences(expected, facts).map(|differences| format!("desktop {}: {differences}", expected.id))
        })
        .collect();
    if wrong.is_empty() {
        return None;
    }
    let more = match wrong.len().saturating_sub(DESCRIBED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!(
        "spec.expected does not match the desktops, so nothing is submitted: {}{more}. Check the IDs, and create a corrected request",
        wrong[..wrong.len().min(DESCRIBED)].join("; ")
    );
    // A desktop may be renamed or assigned to another user, but only a person does that.
    Some(Progress::stalled(
        Reason::ExpectationFailed,
        message,
        Requeue::Change,
    ))
}

/// What is not as expected, if something is.
fn differences(expected: &Expectation, facts: &DesktopFacts) -> Option<String> {
    let name = expected.computer_name.as_deref().and_then(|name| {
        let is = match &facts.computer_name {
            Fact::Given(is) if same(is, name) => return None,
            Fact::Given(is) if is.is_empty() => "empty".to_owned(),
            Fact::Given(is) => is.clone(),
            Fact::NotGiven => "not given by the cloud".to_owned(),
            Fact::Unreadable(_) => "not readable".to_owned(),
        };
        Some(format!("the computer name is {is}, expected {name}"))
    });
    let user = expected.user_name.as_deref().and_then(|name| {
        let is = match users(facts) {
            Some(users) if users.len() == 1 && users.iter().all(|user| same(user, name)) => return None,
            Some(users) if users.is_empty() => "it is not assigned to a user".to_owned(),
            Some(users) => format!(
                "it is assigned to {}",
                users.into_iter().collect::<Vec<_>>().join(", ")
            ),
            None => "the cloud does not say to whom it is assigned".to_owned(),
        };
        Some(format!("{is}, expected {name}"))
    });
    let all: Vec<_> = name.into_iter().chain(user).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Users and groups that the desktop is assigned to, each once; `None` if that cannot be told.
fn users(facts: &DesktopFacts) -> Option<BTreeSet<String>> {
    let user = match &facts.user_name {
        Fact::Given(name) => Some(name.clone()).filter(|name| !name.is_empty()),
        Fact::NotGiven => None,
        Fact::Unreadable(_) => return None,
    };
    let attached = match &facts.attached {
        Fact::Given(attached) => attached.iter().map(shown).collect(),
        Fact::NotGiven if facts.user_name == Fact::NotGiven => return None,
        Fact::NotGiven => BTreeSet::new(),
        Fact::Unreadable(_) => return None,
    };
    let other = |name: &String| !attached.iter().any(|known| same(known, name));
    let user = user.filter(other);
    Some(attached.into_iter().chain(user).collect())
}

/// A group is not the user of its name.
fn shown(attached: &AttachedUser) -> String {
    match attached.kind {
        AttachedKind::User => attached.name.clone(),
        AttachedKind::Group => format!("group {}", attached.name),
    }
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
