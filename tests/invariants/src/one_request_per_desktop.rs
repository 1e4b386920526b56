//! I10: under one leader, two requests do not have one desktop in flight. So no call of a request may take effect once
//! it is finished or gone either: the next one has its desktops then. An abandoned call may: that is what abandoning
//! means.

use crate::history::{Attempt, Effect, History, Post, Request, State};
use crate::invariant::{Invariant::OneRequestPerDesktop, Violation};

/// A submission takes effect while others have their desktops in flight; each with what is still open of it.
pub fn effect<'a>(ours: &Effect<'_>, in_flight: impl IntoIterator<Item = Effect<'a>>) -> Option<Violation> {
    in_flight.into_iter().find_map(|theirs| {
        let excused = theirs.request == ours.request || theirs.given_up || ours.given_up;
        let desktop = ours.shares(&theirs).filter(|_| !excused)?;
        Some(OneRequestPerDesktop.broken(
            "a POST took effect on a desktop that another request was deleting",
            format!(
                "desktop {desktop} by attempt {} of {}, while attempt {} of {} had it in flight",
                ours.attempt, ours.request, theirs.attempt, theirs.request
            ),
        ))
    })
}

/// A request is finished.
pub fn finished(something_can_land: bool, about: &str) -> Option<Violation> {
    OneRequestPerDesktop.unless(
        !something_can_land,
        "a request was finished while a POST of it could still take effect",
        || about.to_owned(),
    )
}

/// An object is released.
pub fn released(something_can_land: bool, about: &str) -> Option<Violation> {
    OneRequestPerDesktop.unless(
        !something_can_land,
        "an object was released while a POST of it could still take effect",
        || about.to_owned(),
    )
}

/// Judges every submission that took effect.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for request in &history.requests {
        for (post, attempt) in history.posts_of(request).filter(|(post, _)| post.job.is_some()) {
            broken.extend(landed_late(request, post, attempt));
            if attempt.is_some() && !history.two_leaders {
                broken.extend(beside_others(history, request, post, attempt));
            }
        }
    }
    broken
}

fn landed_late(request: &Request, post: &Post, attempt: Option<&Attempt>) -> Option<Violation> {
    let given_up = attempt.is_some_and(|attempt| attempt.given_up);
    let then = request.at(post.at).filter(|_| !given_up)?;
    let about = format!("{}: {post:?}", request.name);
    released(then.gone, &about).or_else(|| finished(then.object.status.finished.is_some(), &about))
}

fn beside_others(
    history: &History,
    request: &Request,
    post: &Post,
    attempt: Option<&Attempt>,
) -> Option<Violation> {
    let ours = Effect::of(request, post, attempt);
    let others = history.requests.iter().filter(|other| *other != request);
    let mut found = others.filter_map(|other| {
        let earlier = history.posts.iter().take_while(|earlier| *earlier != post);
        let took = earlier.filter(|earlier| earlier.job.is_some());
        let mut theirs = took.filter_map(|earlier| {
            let theirs = other.attempt_of(earlier)?;
            let open: Vec<_> = in_flight(other, earlier, theirs, post.at);
            let effect_of = Effect {
                desktops: &open,
                ..Effect::of(other, earlier, Some(theirs))
            };
            effect(&ours, [effect_of])
        });
        theirs.next()
    });
    found.next()
}

/// The desktops of a submission that its request had in flight at a time.
fn in_flight(request: &Request, post: &Post, attempt: &Attempt, moment: i64) -> Vec<String> {
    let Some(then) = request.at(moment).filter(|then| !then.gone) else {
        return vec![];
    };
    let status = &then.object.status;
    let settled = status
        .attempt(&attempt.id)
        .is_some_and(|a| a.outcome.is_without_effect());
    if settled || status.finished.is_some() {
        return vec![];
    }
    let ended = |id: &String| {
        let state = status.desktops.iter().find(|d| d.id == *id).map(|d| d.state);
        matches!(state, Some(State::Deleted | State::Failed | State::Absent))
    };
    post.desktops.iter().filter(|id| !ended(id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history, second_request};

    #[test]
    fn two_consecutive_requests_are_allowed() {
        assert_eq!(judge(&ordinary_history()), []);
        assert_eq!(judge(&second_request(20)), []);
    }

    #[test]
    fn two_requests_with_the_same_desktop_in_flight_are_reported() {
        let mut history = second_request(4);
        let broken = judge(&history);
        assert_eq!(
            hows(&broken),
            ["a POST took effect on a desktop that another request was deleting"]
        );
        assert_eq!(
            broken[0].about,
            "desktop pc-1 by attempt n1-twin of twin, while attempt n1 of leavers had it in flight"
        );
        history.two_leaders = true;
        assert_eq!(judge(&history), [], "only the cloud prevents this");
    }

    #[test]
    fn a_post_that_takes_effect_after_the_end_is_reported_unless_it_was_abandoned() {
        let mut history = ordinary_history();
        history.posts[0].at = 20;
        let how = ["a request was finished while a POST of it could still take effect"];
        assert_eq!(hows(&judge(&history)), how);
        let last = history.requests[0].versions.last_mut();
        last.expect("a version").gone = true;
        let how = ["an object was released while a POST of it could still take effect"];
        assert_eq!(hows(&judge(&history)), how);
        for version in &mut history.requests[0].versions {
            for attempt in &mut version.object.status.attempts {
                attempt.given_up = true;
            }
        }
        assert_eq!(judge(&history), []);
    }
}
