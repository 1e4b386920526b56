//! I5, and I3 with it: once there are no more faults, every path comes to its end in bounded time, or waits for a user,
//! and then every job that the cloud accepted is in the status, or reported as unknown for a named attempt.

use desktop_deletion_operator::crd::conditions::{ConditionStatus, ConditionType};
use desktop_deletion_operator::crd::deletion::Outcome;
use invariants::history::Termination;
use invariants::no_job_is_lost::JobRecord;
use invariants::{every_request_ends, no_job_is_lost};

use crate::action::{Action, CallResult, StepResult};
use crate::moves::Protocol;
use crate::names::{self, CONSOLE};
use crate::requests::Known;
use crate::world::{CallState, Held, World};

/// Rounds within which it must settle: each is one tick.
const ROUNDS: usize = 40;
/// Checks of a project within a tick: as many responses as move a clock.
const CHECKS: usize = 3;
/// Steps of one reconciliation at most.
const STEPS: usize = 60;

impl Protocol {
    /// Continues without faults and user actions.
    ///
    /// # Errors
    /// It does not settle, or what it settled at is not true; in words.
    pub fn settles(&self, from: &World) -> Result<(), String> {
        if from.wrong.is_some() {
            return Ok(());
        }
        let mut world = World {
            faults: 0,
            clock_faults: 0,
            user_actions: 0,
            cloud_clock: 0,
            ..*from
        };
        for it in &mut world.operators {
            it.wall = 0;
        }
        for _ in 0..ROUNDS {
            self.check_projects(&mut world);
            self.deliver(&mut world);
            for operator in 0..self.config.operators {
                self.finish_pass(&mut world, operator)?;
                if world.operators[operator].stopping {
                    world = self.after(&world, Action::Restart(operator));
                }
            }
            if self.is_over(&world) {
                return self.keeps_every_job(&world);
            }
            self.carry_out_jobs(&mut world);
            for operator in 0..self.config.operators {
                if world.object.is_some() {
                    world = self.after(&world, Action::Begin(operator));
                    self.finish_pass(&mut world, operator)?;
                }
            }
            world = self.after(&world, Action::Tick);
            if let Some(wrong) = world.wrong {
                return Err(wrong.invariant.broken(wrong.how, "").to_string());
            }
        }
        Err(self.restless("within so many rounds", &world))
    }

    /// As often as it takes until no response is left that had a false date.
    fn check_projects(&self, world: &mut World) {
        for operator in 0..self.config.operators {
            for _ in 0..CHECKS {
                *world = self.after(world, Action::CheckProject(operator));
            }
        }
    }

    fn deliver(&self, world: &mut World) {
        if world.delayed_write.is_some() {
            *world = self.after(world, Action::Land);
        }
        for attempt in 0..world.calls.len() {
            let Some(call) = world.calls[attempt].filter(|call| call.state == CallState::InFlight) else {
                continue;
            };
            let result = if call.gateway_age.abs() >= self.config.true_window() {
                CallResult::Expired
            } else if call.body & !world.cloud.gone == 0 {
                CallResult::Invalid
            } else {
                CallResult::Accepted
            };
            *world = self.after(world, Action::Arrive(attempt, result));
        }
    }

    fn finish_pass(&self, world: &mut World, operator: usize) -> Result<(), String> {
        for _ in 0..STEPS {
            match world.operators[operator].reconciliation {
                None => return Ok(()),
                Some(reconciliation) if matches!(reconciliation.held, Held::Waiting(_)) => {
                    self.deliver(world);
                }
                Some(_) => *world = self.after(world, Action::Step(operator, StepResult::Well)),
            }
        }
        Err(self.restless("a reconciliation does not end", world))
    }

    fn restless(&self, what: &str, world: &World) -> String {
        let how = Termination::Not(format!("{what}: {}", self.tell(world)));
        every_request_ends::ends(&how).map_or_else(String::new, |broken| broken.to_string())
    }

    fn carry_out_jobs(&self, world: &mut World) {
        for job in 0..world.cloud.jobs.len() {
            let Some(state) = world.cloud.jobs[job] else {
                continue;
            };
            if !state.visible {
                *world = self.after(world, Action::Show(job));
            }
            for desktop in names::members(state.open()) {
                let end = Action::End {
                    job,
                    desktop,
                    deleted: true,
                };
                *world = self.after(world, end);
            }
        }
    }

    /// Finished, gone, or held back by a person before anything was submitted.
    fn is_over(&self, world: &World) -> bool {
        let Some(object) = world.object else {
            return world.operators.iter().all(|it| it.reconciliation.is_none());
        };
        let known = self.requests.get(object.request);
        let untouched = known.doubtful() == 0 && known.effective == 0;
        let waits = known.request.suspend || waits_for_an_approval(known);
        (known.finished && !known.request.finalizer)
            || (waits && untouched && !known.request.deleting && world.deadline.is_none())
    }

    fn keeps_every_job(&self, world: &World) -> Result<(), String> {
        let Some(object) = world.object else {
            return Ok(());
        };
        let known = self.requests.get(object.request);
        let given_up = known.with(|o| o == Outcome::Abandoned);
        let accepted = (0..CONSOLE).filter(|attempt| {
            let ours = world.calls[*attempt].is_some_and(|call| call.uid == object.uid);
            ours && world.cloud.jobs[*attempt].is_some()
        });
        let mut lost = accepted.filter_map(|attempt| {
            let record = JobRecord {
                stored: names::has(known.jobs, attempt),
                declared: known.object.status.job_unknown,
                given_up: names::has(given_up, attempt),
                open: false,
            };
            no_job_is_lost::job(names::job(attempt).as_str(), record)
        });
        lost.next()
            .map_or(Ok(()), |broken| Err(broken.of(&self.tell(world)).to_string()))
    }
}

/// It says that a person has to approve its plan.
fn waits_for_an_approval(known: &Known) -> bool {
    let mut conditions = known.request.status.conditions.iter();
    conditions
        .any(|c| c.type_ == ConditionType::Approved.as_str() && c.status == ConditionStatus::False.as_str())
}
