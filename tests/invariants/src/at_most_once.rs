//! I2: for each attempt at most one POST; attempt n+1 exists only if every earlier one is `Rejected`, `NotSent` or
//! `NoEffect`. And what that is for: no desktop of a request is submitted twice with effect.

use std::collections::BTreeSet;

use crate::history::{Attempt, Effect, History, Outcome, Post, Request};
use crate::invariant::{Invariant::AtMostOnce, Violation};

/// A further attempt is begun beside these.
pub fn may_begin<'a>(others: impl IntoIterator<Item = &'a Attempt>, new: &str) -> Option<Violation> {
    let open = others.into_iter().find(|attempt| !attempt.is_over())?;
    let (id, outcome) = (&open.id, open.outcome);
    Some(AtMostOnce.broken(
        "a further attempt was begun while an earlier one may have had an effect",
        format!(
            "attempt {new} beside attempt {id}, which is {outcome:?} with jobs {:?}",
            open.jobs
        ),
    ))
}

/// The attempts of a status become those.
pub fn change(before: &[Attempt], after: &[Attempt]) -> Option<Violation> {
    let mut new = after
        .iter()
        .filter(|attempt| before.iter().all(|known| known.id != attempt.id));
    new.find_map(|new| may_begin(after.iter().filter(|a| a.id != new.id), &new.id))
}

/// An attempt is sent, which was sent so often before.
pub fn sent(before: usize, attempt: &str) -> Option<Violation> {
    AtMostOnce.unless(before == 0, "one attempt was sent twice", || {
        format!("attempt {attempt}")
    })
}

/// An attempt whose response is missing is settled.
pub fn settled(expired: bool, attempt: &str) -> Option<Violation> {
    AtMostOnce.unless(
        expired,
        "an attempt was settled while its POST could still take effect",
        || format!("attempt {attempt}"),
    )
}

/// A submission takes effect after those.
pub fn effect<'a>(ours: &Effect<'_>, earlier: impl IntoIterator<Item = Effect<'a>>) -> Option<Violation> {
    earlier.into_iter().find_map(|earlier| {
        if earlier.request != ours.request {
            return None;
        }
        let desktop = ours.shares(&earlier)?;
        let how = if earlier.attempt == ours.attempt {
            "one attempt took effect twice"
        } else {
            "two POSTs of one request took effect on one desktop"
        };
        let about = format!(
            "desktop {desktop} by attempt {} and by attempt {}",
            earlier.attempt, ours.attempt
        );
        Some(AtMostOnce.broken(how, about))
    })
}

/// Judges all requests.
pub fn judge(history: &History) -> Vec<Violation> {
    let of = |request: &Request| {
        let mut broken = more_posts_than_attempts(history, request);
        broken.extend(effects(history, request));
        broken.extend(beside(request));
        broken.extend(early_verdicts(request));
        broken
            .into_iter()
            .map(|what| what.of(&request.name))
            .collect::<Vec<_>>()
    };
    history.requests.iter().flat_map(of).collect()
}

/// Of attempts that cannot be distinguished there are at most as many POSTs as attempts.
fn more_posts_than_attempts(history: &History, request: &Request) -> Vec<Violation> {
    let posts: Vec<_> = history.posts_of(request).collect();
    let repeated = posts.iter().enumerate().filter_map(|(n, (post, attempt))| {
        let attempt = (*attempt)?;
        let alike = |(other, _): &&(&Post, _)| attempt.may_be(other);
        let earlier = posts[..n].iter().filter(alike).count();
        let stored = request.stored_by(post.at);
        let known = stored
            .flat_map(|v| &v.object.status.attempts)
            .filter(|a| a.may_be(post));
        let known: BTreeSet<_> = known.map(|a| &a.id).collect();
        sent((earlier + 1).saturating_sub(known.len().max(1)), &attempt.id)
    });
    repeated.collect()
}

fn effects(history: &History, request: &Request) -> Vec<Violation> {
    let took = history.posts_of(request).filter(|(post, _)| post.job.is_some());
    let took: Vec<_> = took
        .map(|(post, attempt)| Effect::of(request, post, attempt))
        .collect();
    let each = took.iter().enumerate();
    each.filter_map(|(n, ours)| effect(ours, took[..n].iter().copied()))
        .collect()
}

/// A further attempt neither begins nor exists while an earlier one may have had an effect.
fn beside(request: &Request) -> Vec<Violation> {
    let begins = request
        .changes()
        .filter_map(|(before, after)| change(&before.status.attempts, &after.status.attempts));
    let exists = request.versions.iter().filter_map(|version| {
        let (last, others) = version.object.status.attempts.split_last()?;
        may_begin(others, &last.id)
    });
    let mut broken: Vec<_> = begins.chain(exists).collect();
    broken.dedup();
    broken
}

fn early_verdicts(request: &Request) -> Vec<Violation> {
    let of = |version: &crate::history::Version| {
        let without = version
            .object
            .status
            .attempts
            .iter()
            .filter(|a| a.outcome == Outcome::NoEffect);
        let early = without.filter(|a| a.not_after.is_some_and(|end| version.at <= end));
        early.filter_map(|a| settled(false, &a.id)).collect::<Vec<_>>()
    };
    request.versions.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history, second_attempt};

    #[test]
    fn one_post_and_a_further_attempt_after_one_without_effect_are_allowed() {
        assert_eq!(judge(&ordinary_history()), []);
        assert_eq!(judge(&second_attempt()), []);
    }

    #[test]
    fn a_post_that_is_sent_again_is_reported() {
        let mut history = ordinary_history();
        let mut again = history.posts[0].clone();
        again.job = None;
        history.posts.push(again);
        let broken = judge(&history);
        assert_eq!(hows(&broken), ["one attempt was sent twice"]);
        assert_eq!(broken[0].about, "leavers: attempt n1");
    }

    #[test]
    fn a_desktop_that_is_deleted_twice_is_reported() {
        let mut history = ordinary_history();
        let mut again = history.posts[0].clone();
        again.job = Some("j2".to_owned());
        again.digest = "of nobody".to_owned();
        again.desktops = vec!["pc-2".to_owned()];
        history.posts.push(again);
        let broken = judge(&history);
        assert_eq!(
            hows(&broken),
            ["two POSTs of one request took effect on one desktop"]
        );
        assert_eq!(
            broken[0].about,
            "leavers: desktop pc-2 by attempt n1 and by attempt of nobody"
        );
    }

    #[test]
    fn an_attempt_beside_an_open_one_is_reported() {
        for outcome in [
            Outcome::Pending,
            Outcome::Accepted,
            Outcome::Adopted,
            Outcome::Abandoned,
        ] {
            let mut history = second_attempt();
            for version in &mut history.requests[0].versions {
                if let [first, _] = &mut version.object.status.attempts[..] {
                    first.outcome = outcome;
                }
            }
            let broken = judge(&history);
            assert_eq!(
                hows(&broken),
                ["a further attempt was begun while an earlier one may have had an effect"],
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn an_attempt_with_a_job_does_not_count_as_without_effect() {
        let mut history = second_attempt();
        for version in &mut history.requests[0].versions {
            if let [first, _] = &mut version.object.status.attempts[..] {
                first.jobs = vec!["j9".to_owned()];
            }
        }
        assert!(!judge(&history).is_empty());
    }

    #[test]
    fn an_outcome_while_the_post_can_still_take_effect_is_reported() {
        let mut history = second_attempt();
        for version in &mut history.requests[0].versions {
            for attempt in &mut version.object.status.attempts {
                attempt.not_after = Some(100);
            }
        }
        let broken = judge(&history);
        assert!(
            hows(&broken).contains(&"an attempt was settled while its POST could still take effect"),
            "{broken:?}"
        );
    }
}
