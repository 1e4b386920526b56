//! I13: the desktops that are submitted within 24 hours do not exceed the daily limit of their project.
//!
//! What had no effect does not count, nor what was submitted while the project had no limit.

use crate::history::{History, IntentBasis, Moment};
use crate::invariant::{Invariant::WithinTheDailyLimit, Violation};

/// A day, in milliseconds.
const DAY: Moment = 24 * 60 * 60 * 1000;

/// A submission that took effect, of a project with a limit.
#[derive(Debug, Clone, Copy)]
struct Counted<'a> {
    left: Moment,
    desktops: usize,
    limit: u32,
    request: &'a str,
}

/// Judges each submission that took effect by the limit that its intent rests on. All requests of a history are of one
/// project.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut counted: Vec<_> = counted(history).collect();
    counted.sort_by_key(|one| one.left);
    let judged = counted.iter().enumerate().filter_map(|(place, last)| {
        let within = counted[..=place].iter().filter(|one| last.left - one.left < DAY);
        let sum: usize = within.map(|one| one.desktops).sum();
        effect(sum, last.limit, || last.request.to_owned())
    });
    judged.collect()
}

/// A submission takes effect with which so many desktops were submitted within a day.
pub fn effect(sum: usize, limit: u32, whose: impl FnOnce() -> String) -> Option<Violation> {
    WithinTheDailyLimit.unless(
        sum <= limit as usize,
        "more desktops were submitted within a day than the project permits",
        || format!("{}: {sum} of {limit}", whose()),
    )
}

fn counted(history: &History) -> impl Iterator<Item = Counted<'_>> {
    let effective = history.posts.iter().filter(|post| post.job.is_some());
    effective.filter_map(|post| {
        let (request, attempt) = history.owner(post)?;
        let IntentBasis { daily_limit, .. } = request.bases.get(&attempt.id)?;
        Some(Counted {
            left: post.left?,
            desktops: post.desktops.len(),
            limit: (*daily_limit)?,
            request: &request.name,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, second_request};

    /// Two requests for two desktops each, the second one so many milliseconds later, in a project with that limit.
    fn submitted(later: Moment, limit: Option<u32>) -> History {
        let mut history = second_request(100);
        for (request, attempt) in history.requests.iter_mut().zip(["n1", "n1-twin"]) {
            let basis = IntentBasis {
                daily_limit: limit,
                ..IntentBasis::default()
            };
            request.bases = [(attempt.to_owned(), basis)].into();
        }
        for (post, left) in history.posts.iter_mut().zip([0, later]) {
            post.left = Some(left);
        }
        history
    }

    #[test]
    fn the_limit_may_be_used_up_and_again_on_the_next_day() {
        for (later, limit) in [(0, Some(4)), (DAY - 1, Some(4)), (DAY, Some(2)), (0, None)] {
            assert_eq!(judge(&submitted(later, limit)), [], "{later} {limit:?}");
        }
    }

    #[test]
    fn a_submission_that_exceeds_the_limit_is_reported() {
        for later in [0, DAY - 1] {
            let broken = judge(&submitted(later, Some(3)));
            assert_eq!(
                hows(&broken),
                ["more desktops were submitted within a day than the project permits"],
                "{later}"
            );
            assert_eq!(broken[0].about, "twin: 4 of 3");
        }
    }

    #[test]
    fn submissions_without_effect_do_not_count() {
        let mut history = submitted(0, Some(3));
        history.posts[0].job = None;
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn each_submission_is_checked_against_the_limit_that_it_was_based_on() {
        let mut history = submitted(1, Some(3));
        let later = history.requests[1].bases.get_mut("n1-twin").unwrap();
        later.daily_limit = Some(4);
        assert_eq!(judge(&history), []);
    }
}
