//! I8: attempts that may have reached the cloud are never removed.

use crate::history::{Attempt, BaseVersion, History, Request};
use crate::invariant::{Invariant::AttemptsStay, Violation};

/// The attempts of a status become those.
pub fn change(before: &[Attempt], after: &[Attempt]) -> Option<Violation> {
    let removed = before
        .iter()
        .filter(|attempt| after.iter().all(|now| now.id != attempt.id));
    let mut wrongly = removed.filter(|attempt| !attempt.outcome.is_refusal() || !attempt.jobs.is_empty());
    wrongly.next().map(|attempt| {
        AttemptsStay.broken(
            "an attempt that may have reached the cloud was removed from the status",
            format!(
                "attempt {}, which is {:?} with jobs {:?}",
                attempt.id, attempt.outcome, attempt.jobs
            ),
        )
    })
}

/// Judges every write, also those that were refused.
pub fn judge(history: &History) -> Vec<Violation> {
    let of = |request: &Request| {
        let removed = request.writes.iter().filter_map(|write| {
            let BaseVersion::Version(from) = write.from else {
                return None;
            };
            let before = &request.versions[from].object.status.attempts;
            let what = change(before, &write.status.as_ref()?.attempts)?;
            Some(what.of(&write.name).of(&request.name))
        });
        removed.collect::<Vec<_>>()
    };
    history.requests.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history, with_outcome};
    use crate::history::Outcome;

    const HOW: &str = "an attempt that may have reached the cloud was removed from the status";

    #[test]
    fn only_rejected_and_unsent_attempts_may_be_replaced() {
        for outcome in [Outcome::Rejected, Outcome::NotSent] {
            assert_eq!(change(&[with_outcome(outcome)], &[]), None);
        }
        for outcome in [
            Outcome::Pending,
            Outcome::Accepted,
            Outcome::Adopted,
            Outcome::NoEffect,
            Outcome::Abandoned,
        ] {
            let removed = change(&[with_outcome(outcome)], &[]);
            assert_eq!(removed.map(|what| what.how), Some(HOW), "{outcome:?}");
        }
    }

    #[test]
    fn a_rejected_attempt_with_a_job_must_be_kept() {
        let mut attempt = with_outcome(Outcome::Rejected);
        attempt.jobs = vec!["j1".to_owned()];
        assert!(change(&[attempt], &[]).is_some());
    }

    #[test]
    fn a_history_in_which_an_attempt_is_removed_is_reported() {
        let mut history = ordinary_history();
        assert_eq!(judge(&history), []);
        let last = history.requests[0].writes.last_mut().expect("a write");
        last.status.as_mut().expect("a status").attempts.clear();
        let broken = judge(&history);
        assert_eq!(hows(&broken), [HOW]);
        assert_eq!(
            broken[0].about,
            "leavers: the verdict: attempt n1, which is Accepted with jobs [\"j1\"]"
        );
    }
}
