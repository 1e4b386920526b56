//! Layer 5, shared by phases: do the desktops match spec.expected.
//!
//! What the author of a request expects of its desktops (`spec.expected`), against what the last read shows. A desktop
//! that differs blocks the whole request: a part of a batch is not what was requested.

use super::messages::describe_desktops;
use super::observed::Observed;
use super::plan_hash::{self, Assignee, assigned};
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;
use crate::crd::deletion::Expectation;
use crate::ids::DesktopID;
use crate::workspace::api::{DesktopFacts, Fact};

/// The wait while one of these desktops, which exist, is not what the request expects.
pub fn failed(observed: &Observed, present: &[DesktopID]) -> Option<Progress> {
    let wrong = describe_desktops(present, |id| differing(observed, id))?;
    let message = format!(
        "spec.expected does not match the desktops, so nothing is submitted: {wrong}. Check the IDs; then delete this \
         request and create a corrected one"
    );
    // Only a user renames a desktop or assigns it to another user, so user action is required.
    Some(Progress::stalled(
        Reason::ExpectationFailed,
        message,
        Requeue::Change,
    ))
}

/// How an existing desktop differs from what the request expects.
pub fn differing(observed: &Observed, id: &DesktopID) -> Option<String> {
    let expected = observed
        .request
        .expected
        .iter()
        .find(|expected| expected.id == *id)?;
    differences(
        expected,
        &observed.desktops.get(&id.folded())?.facts,
        observed.facts.hide_users,
    )
}

/// The differences, if there are any.
fn differences(expected: &Expectation, facts: &DesktopFacts, hide_users: bool) -> Option<String> {
    let name = expected.computer_name.as_deref().and_then(|name| {
        let is = match &facts.computer_name {
            Fact::Given(is) if same(is, name) => return None,
            Fact::Given(is) if is.is_empty() => "empty".to_owned(),
            Fact::Given(is) => is.clone(),
            Fact::NotGiven => "not reported by the cloud".to_owned(),
            Fact::Unreadable(_) => "not readable".to_owned(),
        };
        Some(format!("the computer name is {is}, expected {name}"))
    });
    let user = expected.user_name.as_deref().and_then(|name| {
        let is_it = |assignee: &Assignee| assignee.user().is_some_and(|user| same(user, name));
        let is = match assigned(facts) {
            Some(assigned) if assigned.is_empty() => "it is not assigned to a user".to_owned(),
            Some(assigned) if assigned.iter().all(is_it) => return None,
            Some(_) if hide_users => "it is not assigned only to that user".to_owned(),
            Some(assigned) => format!("it is assigned to {}", plan_hash::shown(&assigned)),
            None => "the cloud does not report to whom it is assigned".to_owned(),
        };
        Some(format!("{is}, expected {name}"))
    });
    let all: Vec<_> = name.into_iter().chain(user).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
