//! A process, an API server and a cloud in which anything goes wrong, step by step. What must hold is checked at each
//! step; once the throws are used up all goes well, and the request must come to its end.

use std::collections::BTreeMap;

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::Attempt;
use desktop_deletion_operator::ids::{AttemptID, DesktopID};
use desktop_deletion_operator::plan::observed::{Facts, Observed, Request, Submission};
use desktop_deletion_operator::plan::recovery::Evidence;
use desktop_deletion_operator::plan::{Step, plan};
use invariants::history::Rest;
use invariants::it_comes_to_rest;
use proptest::prelude::*;

use super::build::{Seen, cases, ids, minute, untouched};
use super::properties::violations;
use super::rules;
use super::tell::tell;
use dice::Dice;
use world::{Cloud, SETTLE, TOKEN};

mod dice;
mod people;
mod steps;
mod store;
mod truth;
mod world;

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
        let restless = Rest::Not("2000 passes were not enough".to_owned());
        rules::holds(it_comes_to_rest::rest(&restless))
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
            if let Then::End { sleep } = self.take(&mut pass, &step)? {
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
        let mut facts = Facts {
            stopping: self.around.stopping,
            deadline_passed: self.deadline <= now,
            retry_due: refused.is_none_or(|error| minutes(&error.time) < now),
            clock_skewed: self.around.clock_skewed,
            settled: effective.is_none_or(|at| at + 1 + SETTLE <= now),
            overdue: effective.is_some_and(|at| at + OVERDUE <= now),
            surely_dead: dead_at.is_some_and(|at| at <= pass.began),
            ..Facts::default()
        };
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
