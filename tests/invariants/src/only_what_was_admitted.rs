//! I1: the ids of every POST are a subset of the admitted ids, and its digest is that of the intent.

use crate::history::{Attempt, History, Post};
use crate::invariant::{Invariant::OnlyWhatWasAdmitted, Violation};

/// A body that is signed, recorded or sent.
pub fn body(desktops: &[String], admitted: &[String]) -> Option<Violation> {
    let foreign = desktops.iter().find(|id| !admitted.contains(id));
    if desktops.is_empty() {
        return Some(OnlyWhatWasAdmitted.broken("a body names no desktop", ""));
    }
    foreign.map(|id| {
        OnlyWhatWasAdmitted.broken(
            "a body names a desktop that the request does not name",
            format!("desktop {id}, and the request names {admitted:?}"),
        )
    })
}

/// A submission, and the intent that was stored for it.
pub fn post(post: &Post, intent: &Attempt) -> Option<Violation> {
    let same = post.desktops == intent.desktops && post.digest == intent.digest;
    OnlyWhatWasAdmitted.unless(same, "a POST differs from its intent", || {
        format!("{post:?} does not match attempt {}", intent.id)
    })
}

/// Every submission is judged against the request that it is of.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for request in &history.requests {
        for (sent, attempt) in history.posts_of(request) {
            let foreign = body(&sent.desktops, &request.admitted);
            let mut intents = request.attempts().into_values().filter(|a| a.may_be(sent));
            let other = attempt
                .and_then(|attempt| post(sent, attempt))
                .filter(|_| intents.all(|intent| post(sent, intent).is_some()));
            let both = [foreign, other].into_iter().flatten();
            broken.extend(both.map(|what| what.of(&request.name)));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history};

    #[test]
    fn a_post_of_some_of_the_admitted_desktops_is_allowed() {
        let mut history = ordinary_history();
        history.requests[0].admitted.push("another".to_owned());
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn a_desktop_that_was_not_admitted_is_reported() {
        let mut history = ordinary_history();
        history.requests[0].admitted = vec!["pc-1".to_owned()];
        let broken = judge(&history);
        assert_eq!(
            hows(&broken),
            ["a body names a desktop that the request does not name"]
        );
        assert_eq!(
            broken[0].to_string(),
            "a body names a desktop that the request does not name: leavers: desktop pc-2, and the request names [\"pc-1\"]. \
             This breaks I1: the ids of every POST are a subset of the admitted ids, and its digest is that of the intent"
        );
    }

    #[test]
    fn a_post_without_desktops_and_a_post_that_differs_from_its_intent_are_reported() {
        let mut history = ordinary_history();
        history.posts[0].desktops.clear();
        assert_eq!(
            hows(&judge(&history)),
            ["a body names no desktop", "a POST differs from its intent"]
        );
    }

    #[test]
    fn a_body_that_differs_from_that_of_the_intent_is_reported() {
        let history = ordinary_history();
        let attempt = history.requests[0].attempts()["n1"].clone();
        let other = Post {
            digest: "another".to_owned(),
            ..history.posts[0].clone()
        };
        assert_eq!(post(&history.posts[0], &attempt), None);
        assert!(post(&other, &attempt).is_some());
    }
}
