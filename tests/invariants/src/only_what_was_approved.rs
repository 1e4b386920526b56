//! I12: where an approval is required or given, an attempt names only desktops of the approved plan, as they were
//! approved.

use std::collections::BTreeSet;

use crate::history::{Attempt, Facts, History, IntentBasis, Object, Request};
use crate::invariant::{Invariant::OnlyWhatWasApproved, Violation};

/// An attempt whose intent is stored over that version of the object.
pub fn intent(over: &Object, attempt: &Attempt, basis: &IntentBasis) -> Vec<Violation> {
    let is_free = !basis.approval_required && over.approved_plan.is_none() && attempt.plan.is_none();
    if is_free {
        return vec![];
    }
    let about = || format!("attempt {}", attempt.id);
    let named = over
        .approved_plan
        .as_ref()
        .filter(|_| attempt.plan == over.approved_plan);
    let Some(named) = named else {
        return vec![
            OnlyWhatWasApproved.broken("an intent names another plan than spec.approvedPlan", about()),
        ];
    };
    let Some(approved) = over.status.approved.as_ref().filter(|a| a.hash == *named) else {
        return vec![
            OnlyWhatWasApproved.broken("an intent whose approved plan is not in status.approved", about()),
        ];
    };
    let desktops = attempt.desktops.iter();
    let judged = desktops.filter_map(|id| desktop(id, approved.desktops.get(id), basis));
    judged.map(|what| what.of(&about())).collect()
}

fn desktop(id: &str, approved: Option<&Facts>, basis: &IntentBasis) -> Option<Violation> {
    let Some(approved) = approved else {
        return Some(OnlyWhatWasApproved.broken("an intent for a desktop that was not approved", id));
    };
    let same = basis.shown.get(id).is_none_or(|shown| shown.contains(approved));
    OnlyWhatWasApproved.unless(
        same,
        "an intent for a desktop that has changed since its approval",
        || format!("{id} was {approved:?}, and is {:?}", basis.shown.get(id)),
    )
}

/// A user approved the plan of the attempt, as this very object showed it: an approval does not count for another one.
fn given(attempt: &Attempt, approvals: Option<&BTreeSet<String>>) -> Option<Violation> {
    let (plan, approvals) = (attempt.plan.as_ref()?, approvals?);
    OnlyWhatWasApproved.unless(
        approvals.contains(plan),
        "an intent for a plan that was not approved while the object showed it",
        || format!("attempt {}", attempt.id),
    )
}

/// A POST leaves an operator, whose copy of the object names that plan as approved.
pub fn sent(attempt: &Attempt, named: Option<&String>) -> Option<Violation> {
    let stands = attempt.plan.is_none() || attempt.plan.as_ref() == named;
    OnlyWhatWasApproved.unless(
        stands,
        "a POST was sent although its approval was withdrawn",
        || format!("attempt {}", attempt.id),
    )
}

/// An object becomes another one by one write, which rests on that.
pub fn change(before: &Object, after: &Object, basis: &IntentBasis) -> Vec<Violation> {
    let attempts = after.status.attempts.iter();
    let new = attempts.filter(|attempt| before.status.attempt(&attempt.id).is_none());
    new.flat_map(|new| intent(before, new, basis)).collect()
}

/// Judges where each attempt shows for the first time.
pub fn judge(history: &History) -> Vec<Violation> {
    history.requests.iter().flat_map(of_request).collect()
}

fn of_request(request: &Request) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut known = BTreeSet::new();
    let nothing = IntentBasis::default();
    for (n, version) in request.versions.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| &request.versions[n]);
        let over = before
            .filter(|before| before.uid == version.uid)
            .unwrap_or(version);
        for attempt in &version.object.status.attempts {
            if known.insert(&attempt.id) {
                let basis = request.bases.get(&attempt.id).unwrap_or(&nothing);
                broken.extend(intent(&over.object, attempt, basis));
                broken.extend(given(attempt, request.approvals.as_ref()));
            }
        }
    }
    broken.into_iter().map(|what| what.of(&request.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{INTENT, hows, ordinary_history};
    use crate::history::Approved;

    fn of(users: &str) -> Facts {
        Facts {
            name: Some("pc".to_owned()),
            users: Some(users.to_owned()),
            created: None,
        }
    }

    /// The same life in a project that requires an approval, which was given.
    fn approved() -> History {
        let mut history = ordinary_history();
        let request = &mut history.requests[0];
        let desktops = request.admitted.iter().map(|id| (id.clone(), of("alice")));
        let plan = Approved {
            hash: "sha256:p".to_owned(),
            desktops: desktops.collect(),
        };
        for version in &mut request.versions {
            version.object.approved_plan = Some(plan.hash.clone());
            version.object.status.approved = Some(plan.clone());
            for attempt in &mut version.object.status.attempts {
                attempt.plan = Some(plan.hash.clone());
            }
        }
        let shown = request
            .admitted
            .iter()
            .map(|id| (id.clone(), vec![of("bob"), of("alice")]));
        let basis = IntentBasis {
            approval_required: true,
            shown: shown.collect(),
            ..IntentBasis::default()
        };
        request.bases = [("n1".to_owned(), basis)].into();
        history
    }

    fn grounds(history: &mut History) -> &mut IntentBasis {
        history.requests[0].bases.get_mut("n1").unwrap()
    }

    #[test]
    fn approved_desktops_may_be_deleted_and_so_may_all_if_no_approval_is_required() {
        assert_eq!(judge(&approved()), []);
        assert_eq!(judge(&ordinary_history()), []);
    }

    #[test]
    fn an_approval_that_changes_after_the_intent_is_allowed() {
        let mut history = approved();
        for version in &mut history.requests[0].versions[INTENT..] {
            version.object.approved_plan = None;
            version.object.status.approved = None;
        }
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn an_intent_without_a_matching_approval_is_reported() {
        const NOT_NAMED: &str = "an intent names another plan than spec.approvedPlan";
        const NOT_ON_RECORD: &str = "an intent whose approved plan is not in status.approved";
        type Change = fn(&mut Object);
        let changes: [(Change, &str); 4] = [
            (|before| before.approved_plan = None, NOT_NAMED),
            (
                |before| before.approved_plan = Some("sha256:q".to_owned()),
                NOT_NAMED,
            ),
            (|before| before.status.approved = None, NOT_ON_RECORD),
            (
                |before| before.status.approved = Some(Approved::default()),
                NOT_ON_RECORD,
            ),
        ];
        for (change, how) in changes {
            let mut history = approved();
            change(&mut history.requests[0].versions[INTENT - 1].object);
            assert_eq!(hows(&judge(&history)), [how]);
        }
        let mut history = ordinary_history();
        let required = IntentBasis {
            approval_required: true,
            ..IntentBasis::default()
        };
        history.requests[0].bases = [("n1".to_owned(), required)].into();
        assert_eq!(hows(&judge(&history)), [NOT_NAMED]);
    }

    #[test]
    fn a_desktop_that_was_not_approved_or_has_changed_is_reported() {
        let mut history = approved();
        grounds(&mut history)
            .shown
            .insert("pc-1".to_owned(), vec![of("bob")]);
        let before = &mut history.requests[0].versions[INTENT - 1].object;
        before.status.approved.as_mut().unwrap().desktops.remove("pc-2");
        assert_eq!(
            hows(&judge(&history)),
            [
                "an intent for a desktop that has changed since its approval",
                "an intent for a desktop that was not approved"
            ]
        );
    }

    #[test]
    fn an_approval_of_another_object_is_reported() {
        let mut history = approved();
        history.requests[0].approvals = Some(["sha256:p".to_owned()].into());
        assert_eq!(judge(&history), []);
        history.requests[0].approvals = Some(["sha256:q".to_owned()].into());
        assert_eq!(
            hows(&judge(&history)),
            ["an intent for a plan that was not approved while the object showed it"]
        );
        let mut history = ordinary_history();
        history.requests[0].approvals = Some([].into());
        assert_eq!(judge(&history), [], "no approval was needed");
    }

    #[test]
    fn without_observed_reads_only_the_recorded_plan_counts() {
        let mut history = approved();
        grounds(&mut history).shown.clear();
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn a_post_after_its_approval_was_withdrawn_is_reported() {
        let history = approved();
        let attempt = history.requests[0].attempts()["n1"];
        assert_eq!(sent(attempt, attempt.plan.as_ref()), None);
        assert!(sent(attempt, None).is_some());
    }
}
