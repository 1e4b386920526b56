//! A process, an API server and a cloud with random faults, step by step. The invariants are checked at each step; once
//! the throws are used up there are no more faults, and the request must come to its end.

use std::time::Duration;

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::Attempt;
use desktop_deletion_operator::crd::project::DailyUsage;
use desktop_deletion_operator::plan::clocks::{Clocks, DateSample, RemoteClock};
use desktop_deletion_operator::plan::daily_usage;
use desktop_deletion_operator::plan::deadlines::{self, Deadlines, FactInputs};
use desktop_deletion_operator::plan::memory::RequestMemory;
use desktop_deletion_operator::plan::observed::{Circuit, Observed, ReadTimes, Request};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;
use invariants::every_request_ends;
use invariants::history::Termination;
use proptest::prelude::*;

use super::build::{Seen, cases, ids, minute, timing, untouched};
use super::properties::violations;
use super::rules;
use super::tell::describe;
use dice::Dice;
use world::Cloud;

mod daily_limit;
mod dice;
mod people;
mod steps;
mod store;
mod truth;
mod world;

/// Reconciliations until a request must have come to its end: a token lives for a day, and it is reconciled every
/// minute.
const MAX_PASSES: usize = 8000;

/// The state of the project and of other requests as the process sees it.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // independent of each other
struct Environment {
    missing: bool,
    elsewhere: bool,
    project_suspended: bool,
    /// The project requires an approval.
    guarded: bool,
    /// The project takes so many desktops within a day.
    limit: Option<u32>,
    /// How often the desktops were renamed.
    renamed: u8,
    claimed_by_another: bool,
    stopping: bool,
    /// How many minutes the clock of the process is ahead of the true time.
    ahead: i64,
}

/// What a process remembers between two reconciliations, and loses with a crash.
#[derive(Debug, Default)]
struct Memory {
    plan: RequestMemory,
    service_clock: RemoteClock,
}

/// Everything.
struct Walk {
    dice: Dice,
    cloud: Cloud,
    around: Environment,
    /// The object as the API server has it, with a number that each write raises.
    object: Request,
    version: u64,
    exists: bool,
    /// What counts under the project's limit, with a number that each write raises.
    usage: DailyUsage,
    usage_version: u64,
    /// What the controller of the project is about to store, and the version that it has read.
    settling: Option<(u64, DailyUsage)>,
    memory: Memory,
    attempts_made: usize,
    trace: Vec<String>,
}

/// One run over the object.
struct Reconciliation {
    seen: Observed,
    version: u64,
    usage_version: u64,
    began: i64,
    reads: ReadTimes,
    armed_at: i64,
}

/// Whether a reconciliation goes on.
enum Then {
    GoOn,
    End { sleep: i64 },
}

impl Walk {
    fn new(throws: Vec<u8>) -> Self {
        let mut dice = Dice::new(throws);
        let desktop_ids = ids("a B c");
        let cloud = Cloud::new(&desktop_ids, &mut dice);
        let mut object = untouched("a B c").0.request;
        object.not_after = dice.bad().then(|| minute(40).0);
        object.not_before = dice.bad().then(|| minute(20).0);
        Self {
            cloud,
            around: Environment::default(),
            object,
            version: 0,
            exists: true,
            usage: DailyUsage::default(),
            usage_version: 0,
            settling: None,
            memory: Memory::default(),
            attempts_made: 0,
            trace: vec![],
            dice,
        }
    }

    /// Runs until the request has come to its end.
    fn run(&mut self) -> Result<(), String> {
        for _ in 0..MAX_PASSES {
            if self.dice.is_used_up() {
                self.fix_everything();
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
        let restless = Termination::Not(format!("{MAX_PASSES} reconciliations were not enough"));
        rules::holds(every_request_ends::ends(&restless))
    }

    fn pass(&mut self) -> Result<(), String> {
        let mut reconciliation = self.load();
        for _ in 0..100 {
            self.facts(&mut reconciliation);
            let step = plan(&reconciliation.seen);
            self.note(&reconciliation, &step);
            let wrong = violations(&reconciliation.seen, &step);
            if !wrong.is_empty() {
                return Err(wrong.join("\n"));
            }
            if let Then::End { sleep } = self.take(&mut reconciliation, &step)? {
                return self.sleep(sleep);
            }
            if self.dice.bad() {
                // The process crashes between two steps.
                self.trace.push("-- crash".to_owned());
                self.memory = Memory::default();
                return self.sleep(0);
            }
            self.act_as_user()?;
        }
        Err("a reconciliation does not end".to_owned())
    }

    fn load(&self) -> Reconciliation {
        let Seen(mut seen) = untouched("a B c");
        seen.request = self.stored();
        Reconciliation {
            seen,
            version: self.version,
            usage_version: 0,
            began: self.cloud.now,
            reads: ReadTimes::default(),
            armed_at: 0,
        }
    }

    /// What the shipped rules make of the time.
    fn facts(&mut self, reconciliation: &mut Reconciliation) {
        let (clocks, timing) = (self.clocks(), timing());
        if let Some(project) = &mut reconciliation.seen.project {
            daily_usage::expire(&mut project.usage, &clocks, &timing);
        }
        let memory = &mut self.memory.plan;
        memory.observe(&reconciliation.seen.request, clocks.uptime);
        let rules = Deadlines {
            request: &reconciliation.seen.request,
            memory,
            clocks,
            timing: &timing,
            windows: &[],
            submitted: reconciliation
                .seen
                .project
                .as_ref()
                .map_or(&[], |project| project.usage.submitted.as_slice()),
        };
        reconciliation.seen.facts = rules.facts(&FactInputs {
            hide_users: false,
            stopping: self.around.stopping,
            credentials: None,
            began: uptime(reconciliation.began),
            circuit: Circuit::Closed,
        });
        let earlier = memory.earlier_evidence(
            &reconciliation.seen.request,
            uptime(reconciliation.began),
            timing.job_visibility_timeout,
        );
        reconciliation.seen.earlier_evidence = earlier.cloned();
        let armed = Some(uptime(reconciliation.armed_at));
        deadlines::drop_stale(
            &mut reconciliation.seen,
            armed,
            &reconciliation.reads,
            clocks.uptime,
            &timing,
        );
    }

    /// What every clock shows.
    fn clocks(&self) -> Clocks {
        let uptime = uptime(self.cloud.now);
        Clocks {
            uptime,
            local: self.wall(),
            service: self.memory.service_clock.at(uptime),
            api_server: Some(minute(self.cloud.now).0),
        }
    }

    /// The time of day by the clock of the process.
    fn wall(&self) -> jiff::Timestamp {
        minute(self.cloud.now + self.around.ahead).0
    }

    /// The service responds, and its time becomes known: mostly its own.
    fn answered(&mut self) {
        let lie = if self.dice.bad() {
            [25, -25, 1500, -1500][usize::from(self.dice.throw(4))]
        } else {
            0
        };
        self.memory.service_clock.observe_date(DateSample {
            date: minute(self.cloud.now + lie).0,
            at: uptime(self.cloud.now),
        });
    }

    fn sleep(&mut self, least: i64) -> Result<(), String> {
        self.settle();
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

    fn note(&mut self, reconciliation: &Reconciliation, step: &Step) {
        let facts = if reconciliation.seen.facts.call_expired {
            " (dead)"
        } else {
            ""
        };
        self.trace
            .push(format!("{}{facts}: {}", self.cloud.now, describe(step)));
    }
}

/// Minutes of the walk as time since the process began.
fn uptime(minutes: i64) -> Duration {
    Duration::from_secs(u64::try_from(minutes * 60).unwrap_or_default())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_invariants_hold_in_every_random_walk_and_it_ends(
        throws in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        let mut walk = Walk::new(throws);
        if let Err(wrong) = walk.run() {
            return Err(TestCaseError::fail(format!("{wrong}\n{}", walk.trace.join("\n"))));
        }
    }
}
