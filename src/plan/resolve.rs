//! A person settles what the operator cannot find out: the annotation `cloud-desktops.dev/resolve`, answered once.

use super::Step;
use super::conditions::{Progress, Requeue};
use super::observed::Observed;
use super::recovery;
use super::status::Settlement;
use super::{admission, job};
use crate::crd::conditions::Reason;
use crate::crd::deletion::{Attempt, Outcome};
use crate::ids::{AttemptID, JobID};

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// Which attempt.
    pub attempt: AttemptID,
    /// What to do with it.
    pub verb: Verb,
}

/// What to do with an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// It had no effect: submit anew.
    Retry,
    /// Give the request up.
    Abandon,
    /// It took effect as this job.
    Adopt(JobID),
}

/// A refused annotation.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The annotation's value.
    pub value: String,
    /// Why, and what would be right.
    pub why: String,
}

/// How the annotation is written.
const FORM: &str = "write <attempt id>=retry, <attempt id>=abandon or <attempt id>=adopt:<job id>";

/// Longest value that is looked at; `status.lastHandledResolve` holds no more.
const LONGEST: usize = 1024;

impl Resolve {
    /// Reads the annotation.
    ///
    /// # Errors
    /// It has not the form; the text says which form it has.
    pub fn parse(value: &str) -> Result<Self, String> {
        let (attempt, verb) = value.trim().split_once('=').ok_or(FORM)?;
        let attempt = AttemptID::try_from(attempt).map_err(|_| FORM)?;
        let verb = match verb.split_once(':') {
            None if verb == "retry" => Verb::Retry,
            None if verb == "abandon" => Verb::Abandon,
            Some(("adopt", job)) => Verb::Adopt(JobID::try_from(job).map_err(|_| FORM)?),
            _ => return Err(FORM.to_owned()),
        };
        Ok(Self { attempt, verb })
    }
}

/// The annotation that was not answered yet, as the status would store it.
pub fn unanswered(seen: &Observed) -> Option<String> {
    let value: String = seen.request.resolve.as_ref()?.chars().take(LONGEST).collect();
    (seen.request.status.last_handled_resolve.as_ref() != Some(&value)).then_some(value)
}

/// The next step for an annotation that was not answered yet, if there is one.
pub fn next(seen: &Observed) -> Option<Step> {
    let value = unanswered(seen)?;
    let refuse = |why: String| {
        Some(Step::RefuseResolve(Refusal {
            value: value.clone(),
            why,
        }))
    };
    let resolve = match Resolve::parse(&value) {
        Ok(resolve) => resolve,
        Err(why) => return refuse(why),
    };
    let Some(attempt) = seen.request.attempt(&resolve.attempt) else {
        return refuse(format!(
            "attempt {} is not in the status; {FORM}",
            resolve.attempt
        ));
    };
    if resolve.verb == Verb::Abandon && attempt.took_effect() && !seen.facts.overdue && seen.project.is_none()
    {
        return Some(Step::ReadProject);
    }
    if resolve.verb == Verb::Abandon && attempt.took_effect() && may_give_up(seen) {
        return Some(admission::end(seen, job::abandoned(seen, Some(value))));
    }
    if resolve.verb == Verb::Abandon && attempt.took_effect() {
        return refuse(format!(
            "attempt {} took effect and its job is followed; it can be abandoned once the job is overdue: set the annotation again then",
            attempt.id
        ));
    }
    if attempt.outcome != Outcome::Pending {
        return refuse(format!(
            "attempt {} is settled already ({:?})",
            attempt.id, attempt.outcome
        ));
    }
    match resolve.verb {
        Verb::Abandon => Some(Step::RecordOutcome(abandoned(attempt, value))),
        Verb::Retry if !seen.facts.expired => refuse(format!(
            "the request of attempt {} can still take effect, so it must not be repeated yet: take the annotation away and set it again later, or abandon it",
            attempt.id
        )),
        Verb::Retry => Some(Step::RecordOutcome(retried(attempt, value))),
        Verb::Adopt(job) => adopt(seen, attempt, &job, value),
    }
}

/// A job that is overdue may be given up, and one that can no longer be followed once it must show: its desktops are free then.
fn may_give_up(seen: &Observed) -> bool {
    let home = seen.request.status.project.as_ref();
    let now = seen.project.as_ref().and_then(|p| p.coordinates.as_ref());
    let elsewhere = home.zip(now).is_some_and(|(home, now)| home.key() != now.key());
    seen.facts.overdue || (elsewhere && seen.facts.settled)
}

/// A job is adopted only if it names desktops of the attempt.
fn adopt(seen: &Observed, attempt: &Attempt, job: &JobID, value: String) -> Option<Step> {
    match recovery::look(seen, attempt) {
        // While the evidence cannot be read to its end, the annotation waits.
        Err(Step::Wait(_)) => None,
        Err(read) => Some(read),
        Ok(mut evidence) => {
            let named = seen
                .sweep
                .as_ref()
                .is_some_and(|s| s.jobs_naming(&attempt.desktop_ids).contains(job));
            let earlier = attempt.baseline_job_ids.contains(job);
            if !named && !earlier && !evidence.complete && !seen.facts.evidence_overdue {
                return None;
            }
            if !named || earlier {
                let why = format!(
                    "job {job} names no desktop of attempt {}; check the job in the console",
                    attempt.id
                );
                return Some(Step::RefuseResolve(Refusal { value, why }));
            }
            evidence.jobs = [job.clone()].into();
            let naming = |s: &&crate::workspace::api::SubJob| s.job == *job;
            let sub_jobs = seen.sweep.iter().flat_map(|sweep| &sweep.sub_jobs).filter(naming);
            evidence.touched.extend(sub_jobs.map(|s| s.desktop.folded()));
            let settlement = Settlement {
                answers: Some(value),
                ..recovery::adopted(seen, attempt, &evidence)
            };
            Some(Step::RecordOutcome(settlement))
        }
    }
}

fn abandoned(attempt: &Attempt, value: String) -> Settlement {
    Settlement {
        attempt: attempt.id.clone(),
        outcome: Outcome::Abandoned,
        jobs: vec![],
        job: None,
        error: attempt.error.clone(),
        answers: Some(value),
        hold: job::landing(attempt),
    }
}

fn retried(attempt: &Attempt, value: String) -> Settlement {
    let message = format!(
        "attempt {} was declared without effect by annotation; submitting again",
        attempt.id
    );
    Settlement {
        attempt: attempt.id.clone(),
        outcome: Outcome::NoEffect,
        jobs: vec![],
        job: None,
        error: attempt.error.clone(),
        answers: Some(value),
        hold: Progress::retrying(Reason::NoEffect, message, Requeue::Retry),
    }
}

/// What a person can do about an attempt whose outcome stays unknown.
pub fn advice(attempt: &Attempt) -> String {
    format!(
        "check the desktops and their deletion jobs in the console, then annotate this object with {}={}=adopt:<job id>, =retry or =abandon",
        crate::crd::RESOLVE_ANNOTATION,
        attempt.id
    )
}
