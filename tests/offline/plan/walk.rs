//! A process, an API server and a cloud in which anything goes wrong, step by step. What must hold is checked at each
//! step; once the throws are used up all goes well, and the request must come to its end.

use std::collections::{BTreeMap, BTreeSet};

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, DesktopState, Outcome};
use desktop_deletion_operator::ids::{AttemptID, DesktopID};
use desktop_deletion_operator::plan::classify::{ALL, Class};
use desktop_deletion_operator::plan::observed::{Facts, Observed, PostAnswer, Request, Sight, Submission};
use desktop_deletion_operator::plan::recovery::{self, Evidence};
use desktop_deletion_operator::plan::standing::{Hold, Wake};
use desktop_deletion_operator::plan::{Step, plan};
use proptest::prelude::*;

use super::build::{Seen, attempt, cases, failure, here, ids, minute, nonce, sighting, untouched};
use super::properties::violations;
use super::rules;
use super::tell::tell;
use super::world::{Answer, Cloud, Dice, SETTLE, SIGNATURE, TOKEN};

/// Allowance for clocks, and how long a job may take, in minutes.
const SKEW: i64 = 5;
const OVERDUE: i64 = 60;
const DEADLINE: i64 = 7 * 24 * 60;

/// How the project and the other requests look to the process.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // independent of each other
struct Surroundings {
    missing: bool,
    elsewhere: bool,
    project_suspended: bool,
    claimed_by_another: bool,
    clock_skewed: bool,
    stopping: bool,
}

/// What a process remembers between two passes, and loses with a crash.
#[derive(Debug, Default)]
struct Memory {
    idle_since: BTreeMap<DesktopID, i64>,
    evidence: Option<(AttemptID, i64, Evidence)>,
}

/// Everything.
struct Walk {
    dice: Dice,
    cloud: Cloud,
    around: Surroundings,
    /// The object as the API server has it, with a number that each write raises.
    object: Request,
    version: u64,
    exists: bool,
    deadline: i64,
    memory: Memory,
    attempts_made: usize,
    trace: Vec<String>,
}

/// One run over the object.
struct Pass {
    seen: Observed,
    version: u64,
    began: i64,
    read_at: Option<i64>,
    armed_at: i64,
}

/// Whether a pass goes on.
enum Then {
    GoOn,
    End { sleep: i64 },
}

impl Walk {
    fn new(throws: Vec<u8>) -> Self {
        let mut dice = Dice::new(throws);
        let desktop_ids = ids("a B c");
        let cloud = Cloud::new(&desktop_ids, &mut dice);
        Self {
            cloud,
            around: Surroundings::default(),
            object: untouched("a B c").0.request,
            version: 0,
            exists: true,
            deadline: if dice.bad() { 40 } else { DEADLINE },
            memory: Memory::default(),
            attempts_made: 0,
            trace: vec![],
            dice,
        }
    }

    /// Runs until the request has come to its end.
    fn run(&mut self) -> Result<(), String> {
        for _ in 0..2000 {
            if self.dice.is_used_up() {
                self.mend();
            }
            if !self.exists {
                return self.gone();
            }
            if self.object.status.completion_time.is_some() {
                self.ended()?;
                if !self.object.finalizer {
                    return Ok(());
                }
            }
            self.pass()?;
        }
        let resolved_by_a_person = rules::condition(&self.object.status, "Submitted")
            .is_some_and(|c| c.reason == Reason::OutcomeUnknown.as_str());
        if resolved_by_a_person {
            return Ok(());
        }
        Err("I5: the request does not come to an end".to_owned())
    }

    /// Whoever could mend something has done so.
    fn mend(&mut self) {
        let home = self.object.status.project.as_ref();
        self.around = Surroundings {
            elsewhere: home.is_some_and(|home| *home != here()),
            ..Surroundings::default()
        };
        self.set_suspend(false);
    }

    fn pass(&mut self) -> Result<(), String> {
        let mut pass = self.load();
        for _ in 0..100 {
            self.facts(&mut pass);
            let step = plan(&pass.seen);
            self.note(&pass, &step);
            let wrong = violations(&pass.seen, &step);
            if !wrong.is_empty() {
                return Err(wrong.join("\n"));
            }
            if let Then::End { sleep } = self.take(&mut pass, step)? {
                return self.sleep(sleep);
            }
            if self.dice.bad() {
                // The process dies between two steps.
                self.trace.push("-- crash".to_owned());
                self.memory = Memory::default();
                return self.sleep(0);
            }
            self.meddle()?;
        }
        Err("a pass does not come to an end".to_owned())
    }

    fn load(&self) -> Pass {
        let Seen(mut seen) = untouched("a B c");
        seen.request = self.object.clone();
        Pass {
            seen,
            version: self.version,
            began: self.cloud.now,
            read_at: None,
            armed_at: 0,
        }
    }

    /// Times as facts, and reads that have grown old are forgotten.
    fn facts(&mut self, pass: &mut Pass) {
        let now = self.cloud.now;
        let status = &pass.seen.request.status;
        let open = status.attempts.iter().find(|a| a.is_open());
        let dead_at = open.map(dead_at);
        let effective = status.attempts.iter().find(|a| a.took_effect()).map(signed_at);
        let refused = status.attempts.last().and_then(|a| a.error.as_ref());
        let mut facts = Facts::default();
        facts.stopping = self.around.stopping;
        facts.deadline_passed = self.deadline <= now;
        facts.retry_due = refused.is_none_or(|error| minutes(&error.time) < now);
        facts.clock_skewed = self.around.clock_skewed;
        facts.settled = effective.is_none_or(|at| at + 1 + SETTLE <= now);
        facts.overdue = effective.is_some_and(|at| at + OVERDUE <= now);
        facts.surely_dead = dead_at.is_some_and(|at| at <= pass.began);
        facts.evidence_overdue = dead_at.is_some_and(|at| at + 30 <= pass.began);
        let earlier = self
            .memory
            .evidence
            .as_ref()
            .filter(|(id, began, _)| open.is_some_and(|a| a.id == *id) && began + SETTLE <= pass.began);
        pass.seen.earlier_evidence = earlier.map(|(.., evidence)| evidence.clone());
        pass.seen.facts = facts;
        if let Submission::Armed { fresh, .. } = &mut pass.seen.submission {
            *fresh = pass.armed_at == now;
        } else if pass.read_at.is_some_and(|at| at < now) {
            pass.read_at = None;
            pass.seen.desktops.clear();
            pass.seen.sweep = None;
        }
    }

    /// Carries out a step.
    fn take(&mut self, pass: &mut Pass, step: Step) -> Result<Then, String> {
        match &step {
            Step::ReadProject => self.read_project(pass),
            Step::Claim => {
                let seen = Seen(pass.seen.clone());
                let asked = if self.around.claimed_by_another {
                    seen.rival(None)
                } else {
                    seen.claimed()
                };
                pass.seen = asked.0;
            }
            Step::ReadOwner(job) => {
                let others = !self.cloud.effects.iter().any(|(_, ours, _)| ours == job) && self.dice.bad();
                pass.seen.owned_elsewhere.insert(job.clone(), others);
            }
            Step::ReadDesktops(ids) => self.read_desktops(pass, ids),
            Step::ReadDesktop(id) => {
                if self.readable(pass) {
                    let sight = self.cloud.look(id, &mut self.dice);
                    self.saw(pass, id, sight);
                }
            }
            Step::ReadSubJobs => {
                if self.readable(pass) {
                    pass.seen.sweep = Some(self.cloud.sweep(&mut self.dice));
                }
            }
            Step::ReadJob(job) => {
                let view = self.cloud.view(job, &mut self.dice);
                pass.seen.jobs.insert(job.clone(), view);
            }
            Step::AddFinalizer => return Ok(self.set_finalizer(pass, true)),
            Step::DropFinalizer => return Ok(self.set_finalizer(pass, false)),
            Step::Sign(batch) => {
                self.attempts_made += 1;
                let token = self.dice.bad();
                let signed = Attempt {
                    id: nonce(&format!("n{}", self.attempts_made)),
                    auth: if token {
                        AuthMethod::Token
                    } else {
                        AuthMethod::Signature
                    },
                    desktop_ids: batch.desktop_ids.clone(),
                    baseline_job_ids: batch.baseline_job_ids.clone(),
                    baseline_failed_ids: batch.baseline_failed_ids.clone(),
                    baseline_incomplete: batch.baseline_incomplete,
                    signed_at: minute(self.cloud.now),
                    not_after: (!token).then(|| minute(self.cloud.now + SIGNATURE)),
                    ..attempt("a")
                };
                self.memory.idle_since.clear();
                pass.armed_at = self.cloud.now;
                pass.seen.submission = Submission::Armed {
                    attempt: signed,
                    fresh: true,
                };
            }
            Step::RecordIntent(_) => return self.store_intent(pass, &step),
            Step::Post => self.post(pass)?,
            Step::RecordOutcome(_) => return self.store_outcome(pass, &step),
            Step::RefuseResolve(_) | Step::RecordProgress(_) | Step::Finish(_) => {
                return self.write(pass, &step);
            }
            Step::Wait(hold) => {
                self.remember(pass, hold);
                let sleep = self.until(pass, hold.wake);
                return Ok(Then::End { sleep });
            }
            Step::StartOver => return Ok(Then::End { sleep: 0 }),
            Step::Rest => return Ok(Then::End { sleep: 10 }),
        }
        Ok(Then::GoOn)
    }

    fn read_project(&mut self, pass: &mut Pass) {
        let seen = Seen(pass.seen.clone());
        let seen = if self.around.missing {
            let person = self.dice.throw(2) == 1;
            seen.obstacle(Reason::ProjectNotReady, person)
        } else if self.around.elsewhere {
            seen.project_at("another")
        } else if self.around.project_suspended {
            seen.project_suspended()
        } else {
            seen.project()
        };
        pass.seen = seen.last_look().0;
    }

    /// A read of the cloud, which may fail.
    fn readable(&mut self, pass: &mut Pass) -> bool {
        pass.seen.last_look = false;
        pass.read_at = pass.read_at.or(Some(self.cloud.now));
        if !self.dice.bad() {
            return true;
        }
        let class = ALL[usize::from(self.dice.throw(11))];
        pass.seen = Seen(pass.seen.clone()).trouble(class).0;
        false
    }

    fn read_desktops(&mut self, pass: &mut Pass, ids: &[DesktopID]) {
        if !self.readable(pass) {
            return;
        }
        let cut = self.dice.bad();
        for id in ids {
            let sight = match self.cloud.look(id, &mut self.dice) {
                Sight::Gone if cut => Sight::Unlisted,
                Sight::Gone => Sight::Missing,
                there => there,
            };
            self.saw(pass, id, sight);
        }
    }

    fn saw(&mut self, pass: &mut Pass, id: &DesktopID, sight: Sight) {
        let now = self.cloud.now;
        let mut seen = sighting(sight);
        if sight.is_idle() {
            let since = *self.memory.idle_since.entry(id.folded()).or_insert(now);
            seen.idle_twice = since + SETTLE <= now;
        } else {
            self.memory.idle_since.remove(&id.folded());
        }
        pass.seen.desktops.insert(id.folded(), seen);
    }

    /// The first look for evidence is remembered for the second.
    fn remember(&mut self, pass: &Pass, hold: &Hold) {
        let Some(attempt) = pass
            .seen
            .request
            .pending()
            .filter(|_| hold.wake == Wake::SecondLook)
        else {
            return;
        };
        let Some(evidence) = recovery::evidence(&pass.seen, attempt) else {
            return;
        };
        let known = self.memory.evidence.as_ref();
        if known.is_none_or(|(id, _, first)| *id != attempt.id || !first.complete) {
            self.memory.evidence = Some((attempt.id.clone(), pass.began, evidence));
        }
    }

    fn until(&self, pass: &Pass, wake: Wake) -> i64 {
        let open = pass.seen.request.status.attempts.iter().find(|a| a.is_open());
        let dead = open.map_or(1, |a| dead_at(a) - self.cloud.now);
        match wake {
            Wake::Dead => dead.max(1),
            Wake::Settle | Wake::SecondLook => SETTLE + 1,
            Wake::Change => 10,
            _ => 2,
        }
    }

    // The API server.

    /// Writes the status that a step makes, unless the object changed meanwhile.
    fn write(&mut self, pass: &mut Pass, step: &Step) -> Result<Then, String> {
        if self.conflicts(pass) {
            return Ok(Then::End { sleep: 0 });
        }
        self.store(step)?;
        self.reload(pass);
        Ok(Then::GoOn)
    }

    fn store(&mut self, step: &Step) -> Result<(), String> {
        let now = minute(self.cloud.now);
        if self.object.status.completion_time.is_some() {
            return Err("I4: a finished request was written".to_owned());
        }
        let wrong = rules::wrongs(&self.object, step, &now);
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        self.object.status = rules::written(&self.object, step, &now).unwrap();
        self.version += 1;
        Ok(())
    }

    fn conflicts(&mut self, pass: &Pass) -> bool {
        !self.exists || pass.version != self.version || self.dice.bad()
    }

    fn reload(&self, pass: &mut Pass) {
        pass.seen.request = self.object.clone();
        pass.version = self.version;
    }

    /// The answer to the intent may be lost; then the object says whether it is there.
    fn store_intent(&mut self, pass: &mut Pass, step: &Step) -> Result<Then, String> {
        let Step::RecordIntent(intent) = step else {
            return Ok(Then::GoOn);
        };
        if self.conflicts(pass) {
            return Ok(Then::End { sleep: 0 });
        }
        let way = self.dice.throw(3);
        if way != 2 {
            self.store(step)?;
        }
        if way != 0 {
            // Lost: the object is read again, and somebody may have changed it since.
            self.meddle()?;
        }
        self.reload(pass);
        let stored = self
            .object
            .status
            .attempts
            .iter()
            .any(|a| a.id == intent.attempt.id);
        if self.exists && stored {
            Ok(Then::GoOn)
        } else {
            Ok(Then::End { sleep: 0 })
        }
    }

    /// Stored as often as it takes.
    fn store_outcome(&mut self, pass: &mut Pass, step: &Step) -> Result<Then, String> {
        if !self.exists {
            return Ok(Then::End { sleep: 0 });
        }
        if self.conflicts(pass) {
            self.reload(pass);
            return Ok(Then::GoOn);
        }
        self.store(step)?;
        self.reload(pass);
        pass.seen.submission = Submission::None;
        Ok(Then::GoOn)
    }

    fn set_finalizer(&mut self, pass: &mut Pass, on: bool) -> Then {
        if self.conflicts(pass) {
            return Then::End { sleep: 0 };
        }
        self.object.finalizer = on;
        self.version += 1;
        if !on && self.object.deleting {
            self.exists = false;
            return Then::End { sleep: 0 };
        }
        self.reload(pass);
        pass.seen.last_look = false;
        Then::GoOn
    }

    fn set_suspend(&mut self, suspend: bool) {
        let frozen = self.object.status.completion_time.is_some();
        if self.object.suspend != suspend && !frozen {
            self.object.suspend = suspend;
            self.object.generation += 1;
            self.version += 1;
        }
    }

    // The cloud.

    fn post(&mut self, pass: &mut Pass) -> Result<(), String> {
        let Submission::Armed { attempt, .. } = pass.seen.submission.clone() else {
            return Err("I7: nothing is signed".to_owned());
        };
        let intent = self.object.status.attempts.iter().find(|a| a.id == attempt.id);
        if intent.is_none_or(|a| a.outcome != Outcome::Pending || a.body_digest != attempt.body_digest) {
            return Err("I7: a request without a stored intent".to_owned());
        }
        let life = if attempt.not_after.is_some() {
            SIGNATURE
        } else {
            TOKEN
        };
        let answer = self
            .cloud
            .submit(&attempt.id, &attempt.desktop_ids, life, &mut self.dice)?;
        let error = |class: Class| {
            let mut error = failure(class);
            error.time = minute(self.cloud.now);
            error
        };
        self.trace.push(format!("-- answer: {answer:?}"));
        pass.seen.submission = Submission::Answered {
            attempt: attempt.id,
            answer: match answer {
                Answer::Accepted(job) => PostAnswer::Accepted(job),
                Answer::Refused(class) => PostAnswer::Refused(error(class)),
                Answer::NotSent => PostAnswer::NotSent(error(Class::Unreachable)),
                Answer::Lost => PostAnswer::Doubt(error(Class::InDoubt)),
            },
        };
        Ok(())
    }

    /// Somebody does something.
    fn meddle(&mut self) -> Result<(), String> {
        if !self.dice.bad() {
            return Ok(());
        }
        match self.dice.throw(11) {
            0 => {}
            1 => self.set_suspend(!self.object.suspend),
            2 => {
                self.object.deleting = true;
                self.version += 1;
                // Without a finalizer it is gone at once.
                self.exists = self.object.finalizer;
            }
            3 => self.around.missing ^= true,
            4 => self.around.elsewhere ^= true,
            5 => self.around.project_suspended ^= true,
            6 => self.around.claimed_by_another ^= true,
            7 => self.around.clock_skewed ^= true,
            8 => self.around.stopping ^= true,
            9 => self.resolve(),
            _ => self.cloud.meddle(&mut self.dice),
        }
        let (now, around, object) = (self.cloud.now, self.around, &self.object);
        self.trace.push(format!(
            "-- at {now}: {around:?}, suspend {}, deleting {}",
            object.suspend, object.deleting
        ));
        if self.dice.bad() { self.sleep(1) } else { Ok(()) }
    }

    /// A person who knows what became of an open attempt says so, or gives up.
    fn resolve(&mut self) {
        let Some(open) = self
            .object
            .status
            .attempts
            .iter()
            .rfind(|a| !a.job_ids.is_empty() || a.is_open())
        else {
            return;
        };
        let effect = self
            .cloud
            .effects
            .iter()
            .find(|(attempt, ..)| *attempt == open.id);
        let verb = match (self.dice.throw(3), effect) {
            (0, Some((_, job, _))) => format!("adopt:{job}"),
            (0, None) if !self.cloud.is_awaited() => "retry".to_owned(),
            (1, None) if !self.cloud.is_awaited() => "adopt:j1".to_owned(),
            _ => "abandon".to_owned(),
        };
        self.trace.push(format!("-- {}={verb}", open.id));
        self.object.resolve = Some(format!("{}={verb}", open.id));
        self.version += 1;
    }

    fn was_abandoned(&self) -> bool {
        let status = &self.object.status;
        let attempts = status.attempts.iter().any(|a| a.outcome == Outcome::Abandoned);
        attempts || rules::condition(status, "Succeeded").is_some_and(|c| c.reason == "Abandoned")
    }

    fn sleep(&mut self, least: i64) -> Result<(), String> {
        let more = match self.dice.throw(6) {
            1 => 1,
            2 => 5,
            3 => 20,
            4 => 100,
            _ => 0,
        };
        let open = self.object.status.attempts.iter().any(Attempt::is_open);
        let none = self.object.status.attempts.is_empty();
        self.cloud.pass(least + more, open || none, &mut self.dice)
    }

    // The end.

    /// The object is gone: nothing of ours may arrive any more, for a twin would post over it.
    fn gone(&self) -> Result<(), String> {
        if self.cloud.is_awaited() && !self.was_abandoned() {
            return Err("the object went while its request may still arrive".to_owned());
        }
        Ok(())
    }

    /// What was said last is true.
    fn ended(&self) -> Result<(), String> {
        let status = &self.object.status;
        if self.cloud.is_awaited() {
            return Err("finished while a request may still arrive".to_owned());
        }
        let known: BTreeSet<_> = status.attempts.iter().flat_map(|a| &a.job_ids).collect();
        let recovered = rules::condition(status, "Submitted").is_some_and(|c| c.reason == "JobUnknown");
        for (attempt, job, ids) in &self.cloud.effects {
            if !known.contains(job) && !recovered && !self.was_abandoned() {
                return Err(format!("I3: job {job} of {attempt} is not known"));
            }
            let mut ours = status.desktops.iter().filter(|d| ids.contains(&d.id));
            if let Some(d) = ours.find(|d| !self.is_true(&d.id, d.state)) {
                return Err(format!("wrong verdict: {} is not {:?}", d.id, d.state));
            }
        }
        for d in &status.desktops {
            let gone = matches!(d.state, DesktopState::Deleted | DesktopState::Absent);
            if gone && !self.cloud.is_gone(&d.id) {
                return Err(format!("wrong verdict: {} is not {:?}", d.id, d.state));
            }
        }
        Ok(())
    }

    /// Whether the state of a desktop that was submitted with effect is as it is.
    fn is_true(&self, id: &DesktopID, state: DesktopState) -> bool {
        match state {
            DesktopState::Deleted => self.cloud.is_gone(id),
            // Somebody else may have deleted it since.
            DesktopState::Failed => !self.cloud.is_ours(id),
            DesktopState::Unknown => self.was_abandoned(),
            _ => false,
        }
    }

    fn note(&mut self, pass: &Pass, step: &Step) {
        let facts = if pass.seen.facts.surely_dead {
            " (dead)"
        } else {
            ""
        };
        self.trace
            .push(format!("{}{facts}: {}", self.cloud.now, tell(step)));
    }
}

fn minutes(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> i64 {
    time.0.duration_since(minute(0).0).as_mins()
}

fn signed_at(attempt: &Attempt) -> i64 {
    minutes(&attempt.signed_at)
}

/// When the request of an attempt can no longer take effect, nor its effect be invisible.
fn dead_at(attempt: &Attempt) -> i64 {
    let until = attempt
        .not_after
        .as_ref()
        .map_or(signed_at(attempt) + TOKEN, minutes);
    until + SKEW + SETTLE
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn whatever_goes_wrong_the_invariants_hold_and_it_ends(
        throws in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        let mut walk = Walk::new(throws);
        if let Err(wrong) = walk.run() {
            return Err(TestCaseError::fail(format!("{wrong}\n{}", walk.trace.join("\n"))));
        }
    }
}
