//! I6: no intent for an object that at commit time is deleted, suspended or changed.

use std::collections::BTreeSet;

use crate::history::{BaseVersion, History, Object, Request};
use crate::invariant::{Invariant::IntentForTheLiveObject, Violation};

/// An object for which an intent is stored, or something is done towards one.
pub fn live(deleting: bool, suspended: bool, about: &str) -> Vec<Violation> {
    let deleting =
        IntentForTheLiveObject.unless(!deleting, "an intent for an object that is being deleted", || {
            about.to_owned()
        });
    let suspended = IntentForTheLiveObject.unless(!suspended, "an intent for a suspended object", || {
        about.to_owned()
    });
    deleting.into_iter().chain(suspended).collect()
}

/// An object becomes another one by one write.
pub fn change(before: &Object, after: &Object) -> Vec<Violation> {
    let new = after
        .status
        .attempts
        .iter()
        .find(|attempt| before.status.attempt(&attempt.id).is_none());
    new.map_or_else(Vec::new, |new| stored(Some(before), after, &new.id))
}

fn stored(before: Option<&Object>, after: &Object, attempt: &str) -> Vec<Violation> {
    let about = || format!("attempt {attempt}");
    let mut broken = live(after.deleting, after.suspended, &about());
    if let Some(before) = before {
        broken.extend(IntentForTheLiveObject.unless(
            before.status.finished.is_none(),
            "an intent for a finished object",
            about,
        ));
        broken.extend(IntentForTheLiveObject.unless(
            before.spec == after.spec,
            "an intent was stored in the same write as a change of the spec",
            about,
        ));
    }
    broken
}

/// Judges where each attempt shows for the first time, and that no write could pass over a change unseen.
pub fn judge(history: &History) -> Vec<Violation> {
    history.requests.iter().flat_map(of_request).collect()
}

fn of_request(request: &Request) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut known = BTreeSet::new();
    for (n, version) in request.versions.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| &request.versions[n]);
        let before = before.filter(|before| before.uid == version.uid);
        for attempt in &version.object.status.attempts {
            if known.insert(&attempt.id) {
                broken.extend(stored(before.map(|v| &v.object), &version.object, &attempt.id));
            }
        }
    }
    for write in request
        .writes
        .iter()
        .filter(|write| write.from == BaseVersion::Any)
    {
        broken.push(IntentForTheLiveObject.broken(
            "a write has no resourceVersion, so it could overwrite any change",
            &write.name,
        ));
    }
    broken.into_iter().map(|what| what.of(&request.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{INTENT, hows, ordinary_history};

    #[test]
    fn an_intent_for_a_live_object_is_allowed_regardless_of_later_changes() {
        let mut history = ordinary_history();
        for version in &mut history.requests[0].versions[INTENT + 1..] {
            version.object.deleting = true;
            version.object.suspended = true;
        }
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn an_intent_for_a_deleted_suspended_or_changed_object_is_reported() {
        type Calling = (fn(&mut Request), &'static str);
        let calls: [Calling; 5] = [
            (
                |r| r.versions[INTENT].object.deleting = true,
                "an intent for an object that is being deleted",
            ),
            (
                |r| r.versions[INTENT].object.suspended = true,
                "an intent for a suspended object",
            ),
            (
                |r| r.versions[INTENT - 1].object.status.finished = Some("done".to_owned()),
                "an intent for a finished object",
            ),
            (
                |r| r.versions[INTENT].object.spec = "another".to_owned(),
                "an intent was stored in the same write as a change of the spec",
            ),
            (
                |r| r.writes[0].from = BaseVersion::Any,
                "a write has no resourceVersion, so it could overwrite any change",
            ),
        ];
        for (call_off, how) in calls {
            let mut history = ordinary_history();
            call_off(&mut history.requests[0]);
            assert_eq!(hows(&judge(&history)), [how]);
        }
    }

    #[test]
    fn a_write_without_a_new_attempt_is_not_an_intent() {
        let history = ordinary_history();
        let versions = &history.requests[0].versions;
        let mut deleted = versions[INTENT].object.clone();
        deleted.deleting = true;
        assert_eq!(change(&versions[INTENT].object, &deleted), []);
        assert_ne!(change(&versions[INTENT - 1].object, &deleted), []);
    }
}
