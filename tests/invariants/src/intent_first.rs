//! I7: no POST without an earlier stored intent.

use crate::history::{Attempt, History, Outcome, Post};
use crate::invariant::{Invariant::IntentFirst, Violation};

/// A submission is sent.
pub fn sent(intent_is_stored: bool, about: impl FnOnce() -> String) -> Option<Violation> {
    IntentFirst.unless(intent_is_stored, "a POST was sent without a stored intent", about)
}

/// Every submission had an intent that was open, with its desktops and its digest, stored before it arrived.
pub fn judge(history: &History) -> Vec<Violation> {
    let meant = |attempt: &Attempt, post: &Post| {
        attempt.outcome == Outcome::Pending && attempt.may_be(post) && attempt.desktops == post.desktops
    };
    let is_stored = |post: &Post| {
        let stored = history
            .requests
            .iter()
            .flat_map(|request| request.stored_by(post.at));
        let mut attempts = stored.flat_map(|version| &version.object.status.attempts);
        attempts.any(|attempt| meant(attempt, post))
    };
    let each = history.posts.iter();
    each.filter_map(|post| sent(is_stored(post), || format!("{post:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history};

    const HOW: [&str; 1] = ["a POST was sent without a stored intent"];

    #[test]
    fn a_post_after_its_intent_is_allowed() {
        assert_eq!(judge(&ordinary_history()), []);
    }

    #[test]
    fn a_post_before_its_intent_is_reported() {
        let mut history = ordinary_history();
        history.posts[0].at = 0;
        assert_eq!(hows(&judge(&history)), HOW);
    }

    #[test]
    fn a_post_with_another_body_or_signature_than_the_intent_is_reported() {
        type Change = fn(&mut Post);
        let changes: [Change; 3] = [
            |post| post.digest = "another".to_owned(),
            |post| post.signature = Some("another".to_owned()),
            |post| post.desktops = vec!["pc-1".to_owned()],
        ];
        for change in changes {
            let mut history = ordinary_history();
            change(&mut history.posts[0]);
            assert_eq!(hows(&judge(&history)), HOW);
        }
    }
}
