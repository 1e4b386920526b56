//! I3: every accepted job id is stored, adopted, or reported as unknown for a named attempt.
//!
//! A job that the cloud never shows cannot be distinguished from one that another client began on the same desktop
//! meanwhile: `docs/assumptions.md` describes under A2 what happens then.

use crate::history::{Attempt, History, Outcome, Post, Version};
use crate::invariant::{Invariant::NoJobIsLost, Violation};

/// What the operator has made known of a job that the cloud accepted. One of these is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent of each other
pub struct JobRecord {
    /// It is in the status.
    pub stored: bool,
    /// Its attempt is said to have had an effect whose job is not known; or job or attempt are named in the log.
    pub declared: bool,
    /// A person gave its attempt up.
    pub given_up: bool,
    /// Its attempt is still open, in an object that is still there.
    pub open: bool,
}

/// A job that the cloud accepted, once nothing is in flight any more.
pub fn job(job: &str, record: JobRecord) -> Option<Violation> {
    let known = record.stored || record.declared || record.given_up || record.open;
    NoJobIsLost.unless(known, "the cloud accepted a job that is recorded nowhere", || {
        format!("job {job}")
    })
}

/// How an attempt stands that the cloud has accepted.
pub fn accepted(attempt: &Attempt) -> Option<Violation> {
    NoJobIsLost.unless(
        !attempt.is_over(),
        "an attempt was settled as NoEffect, but the cloud accepted it",
        || format!("attempt {} is {:?}", attempt.id, attempt.outcome),
    )
}

/// Judges every submission that took effect.
pub fn judge(history: &History) -> Vec<Violation> {
    let took = history.posts.iter().filter_map(|post| {
        let id = post.job.as_deref()?;
        let lost = job(id, job_record(history, post, id)).filter(|_| !is_behind_another(history, post, id));
        let lost = lost.map(|what| what.of(&format!("{post:?}")));
        let mut broken: Vec<_> = lost.into_iter().collect();
        broken.extend(settled_before(history, post));
        broken.extend(settled_after(history, post));
        Some(broken)
    });
    took.flatten().collect()
}

fn job_record(history: &History, post: &Post, job: &str) -> JobRecord {
    let every = history.requests.iter().flat_map(|request| &request.versions);
    let stored = every
        .flat_map(|version| &version.object.status.attempts)
        .any(|attempt| attempt.jobs.iter().any(|own| own == job));
    let (mut declared, mut given_up, mut open) = (history.declared.contains(job), false, false);
    if let Some((request, attempt)) = history.owner(post) {
        let unknown = request
            .versions
            .last()
            .is_some_and(|last| last.object.status.job_unknown);
        declared |= history.declared.contains(&attempt.id);
        declared |= attempt.outcome == Outcome::Adopted && unknown;
        given_up = attempt.outcome == Outcome::Abandoned;
        open = attempt.outcome == Outcome::Pending && !request.is_gone();
    }
    JobRecord {
        stored,
        declared,
        given_up,
        open,
    }
}

/// The cloud never shows the job, but shows one that another client began on one of its desktops, which was adopted.
fn is_behind_another(history: &History, post: &Post, job: &str) -> bool {
    let adopted = history.owner(post).map(|(_, attempt)| attempt);
    let adopted = adopted.filter(|attempt| attempt.outcome == Outcome::Adopted && !attempt.jobs.is_empty());
    history.unseen.contains(job)
        && adopted.is_some_and(|a| a.jobs.iter().all(|job| history.foreign.contains(job)))
}

/// It took effect although its attempt had been settled as one without effect.
fn settled_before(history: &History, post: &Post) -> Option<Violation> {
    let (request, attempt) = history.owner(post)?;
    request.at(post.at)?;
    // Its object may be gone by then, and another one have taken its name.
    let shown = |version: &&Version| version.object.status.attempts.iter().any(|a| a.may_be(post));
    let then = request.stored_by(post.at).filter(shown).last();
    let attempts = then
        .into_iter()
        .flat_map(|version| &version.object.status.attempts);
    let mut own = attempts.filter(|a| a.may_be(post));
    own.all(|a| a.outcome.is_without_effect()).then(|| {
        let about = format!("{}: attempt {} when {post:?} arrived", request.name, attempt.id);
        NoJobIsLost.broken(
            "a POST took effect after its attempt was settled, or without a recorded attempt",
            about,
        )
    })
}

/// It had taken effect when its attempt was settled as one without effect. Only a signature identifies it with
/// certainty.
fn settled_after(history: &History, post: &Post) -> Option<Violation> {
    post.signature.as_ref()?;
    let (request, own) = history.owner(post)?;
    let later = request.versions.iter().filter(|version| version.at > post.at);
    let mut settled = later.filter_map(|version| accepted(version.object.status.attempt(&own.id)?));
    settled.next().map(|what| what.of(&request.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history, second_attempt, without_the_job};

    const LOST: &str = "the cloud accepted a job that is recorded nowhere";

    #[test]
    fn a_job_that_is_stored_is_not_lost() {
        assert_eq!(judge(&ordinary_history()), []);
        assert_eq!(judge(&second_attempt()), []);
    }

    #[test]
    fn a_job_that_is_not_reported_anywhere_is_a_violation() {
        let history = without_the_job(Outcome::Accepted);
        let broken = judge(&history);
        assert_eq!(hows(&broken), [LOST]);
        assert!(broken[0].about.ends_with(": job j1"), "{}", broken[0]);
    }

    #[test]
    fn a_job_that_is_declared_unknown_or_abandoned_is_not_lost() {
        let mut unknown = without_the_job(Outcome::Adopted);
        assert_eq!(hows(&judge(&unknown)), [LOST]);
        for version in &mut unknown.requests[0].versions {
            version.object.status.job_unknown = true;
        }
        assert_eq!(judge(&unknown), []);
        assert_eq!(judge(&without_the_job(Outcome::Abandoned)), []);
        for named in ["j1", "n1"] {
            let mut history = without_the_job(Outcome::Accepted);
            history.declared.insert(named.to_owned());
            assert_eq!(judge(&history), []);
        }
    }

    #[test]
    fn only_a_job_that_is_never_visible_may_be_confused_with_that_of_another_client() {
        let mut history = without_the_job(Outcome::Adopted);
        for version in &mut history.requests[0].versions {
            let adopted = version.object.status.attempts.iter_mut();
            adopted
                .filter(|attempt| attempt.outcome == Outcome::Adopted)
                .for_each(|attempt| attempt.jobs.push("theirs".to_owned()));
        }
        assert_eq!(hows(&judge(&history)), [LOST]);
        history.foreign.insert("theirs".to_owned());
        assert_eq!(hows(&judge(&history)), [LOST], "the own job was visible");
        history.unseen.insert("j1".to_owned());
        assert_eq!(judge(&history), []);
        history.foreign.clear();
        assert_eq!(hows(&judge(&history)), [LOST], "it belongs to no client");
    }

    #[test]
    fn an_open_attempt_keeps_its_job_only_while_its_object_is_there() {
        let mut history = without_the_job(Outcome::Pending);
        assert_eq!(judge(&history), []);
        let last = history.requests[0].versions.last_mut();
        last.expect("a version").gone = true;
        assert_eq!(hows(&judge(&history)), [LOST]);
    }

    #[test]
    fn an_effect_of_an_attempt_that_was_settled_as_no_effect_is_reported() {
        let mut history = second_attempt();
        history.posts[0].job = Some("j0".to_owned());
        let said = "an attempt was settled as NoEffect, but the cloud accepted it";
        assert!(hows(&judge(&history)).contains(&said));
        history.posts[0].at = 6;
        let said = "a POST took effect after its attempt was settled, or without a recorded attempt";
        assert!(hows(&judge(&history)).contains(&said));
    }
}
