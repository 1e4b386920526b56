//! What can happen next.

use desktop_deletion_operator::crd::deletion::Outcome;

use crate::config::{Mutant, Replacing};
use crate::decide::Act;
use crate::moves::Protocol;
use crate::names;
use crate::requests::Known;
use crate::world::{CallState, Held, World};

/// How many objects of one name there are at most, one after the other.
pub const OBJECTS: u8 = 2;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator is woken and reads the object.
    Begin(usize),
    /// An operator takes its next step, with that result.
    Step(usize, StepResult),
    /// An operator stops waiting for the response to its POST.
    GiveUp(usize),
    /// An operator crashes, and starts again without memory.
    Crash(usize),
    /// An operator loses its lease or begins to shut down.
    Stop(usize),
    /// An operator that was shutting down has ended, and another takes its place.
    Restart(usize),
    /// A POST comes to its end.
    Arrive(usize, CallResult),
    /// A job shows in reads.
    Show(usize),
    /// A job is done with a desktop.
    End {
        /// Which job.
        job: usize,
        /// Which desktop.
        desktop: usize,
        /// It is deleted; else that failed.
        deleted: bool,
    },
    /// Time passes.
    Tick,
    /// A write takes effect whose sender has timed out.
    Land,
    /// A user deletes the object.
    Delete,
    /// A user creates an object with the same name and content.
    Recreate,
    /// A user suspends the request.
    Suspend,
    /// A user resumes it.
    Resume,
    /// A user deletes a desktop in the console.
    Console(usize),
    /// A user abandons an attempt.
    Abandon(usize),
    /// The deadline of the request passes.
    Deadline,
    /// A user approves the plan that is shown.
    Approve,
    /// A user sets the last approval again, regardless of the plan that is shown now, for example from Git.
    ApproveAgain,
    /// A user withdraws the approval.
    Withdraw,
    /// A user assigns a desktop to another user, or back to the first one.
    Reassign(usize),
    /// A client replaces the object, and takes our finalizer off without knowing.
    Replace,
    /// An operator checks its project, as it does every few minutes: the response has a date.
    CheckProject(usize),
    /// From now on the dates of the cloud's answers are so many ticks ahead.
    CloudClock(i8),
    /// From now on the clock of an operator's machine is so many ticks ahead.
    WallClock(usize, i8),
}

/// How a step of an operator goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepResult {
    /// As it should; a write over a newer object is a conflict.
    Well,
    /// A read of the cloud fails.
    ReadFailure,
    /// Not all sub-jobs could be read.
    Incomplete,
    /// The response of the cloud has a date that is so many ticks ahead of its clock.
    FalseDate(i8),
    /// A write never reaches the API server.
    RequestLost,
    /// A write is carried out, and its response is lost.
    ResponseLost,
    /// A write is in flight for longer than the operator waits.
    Late,
}

/// What happens to a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallResult {
    /// 202 with a job.
    Accepted,
    /// Accepted, and the response is lost.
    AcceptedResponseLost,
    /// Accepted, and the response is a 5xx.
    AcceptedWith5xx,
    /// A 5xx, and nothing happened.
    Failed5xx,
    /// It never reaches the service.
    RequestLost,
    /// It never left the operator.
    NotSent,
    /// 429.
    Throttled,
    /// 400.
    Invalid,
    /// It came too late, and is refused.
    Expired,
}

impl CallResult {
    /// Those of a POST that is in time, the faultless one first.
    const IN_TIME: [Self; 8] = [
        Self::Accepted,
        Self::AcceptedResponseLost,
        Self::AcceptedWith5xx,
        Self::Failed5xx,
        Self::RequestLost,
        Self::NotSent,
        Self::Throttled,
        Self::Invalid,
    ];

    /// The cloud carries it out.
    pub fn takes_effect(self) -> bool {
        matches!(
            self,
            Self::Accepted | Self::AcceptedResponseLost | Self::AcceptedWith5xx
        )
    }

    /// It has a meaning only while an operator waits for the response.
    fn needs_listener(self) -> bool {
        !matches!(self, Self::Accepted | Self::RequestLost)
    }
}

impl Protocol {
    /// Everything that can happen in that state.
    pub fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        if world.wrong.is_some() {
            return;
        }
        for operator in 0..self.config.operators {
            self.of_operator(world, operator, actions);
        }
        self.of_cloud(world, actions);
        if world.delayed_write.is_some() {
            actions.push(Action::Land);
        }
        if world.faults > 0 || !world.is_slow() {
            actions.push(Action::Tick);
        }
        if world.user_actions > 0 {
            let other = actions.len();
            self.of_people(world, actions);
            let of_people = actions.split_off(other);
            actions.extend(
                of_people
                    .into_iter()
                    .filter(|action| self.config.people.may(*action)),
            );
        }
        if self.config.clock_faults > 0 {
            self.of_clocks(world, actions);
            actions.extend((0..self.config.operators).map(Action::CheckProject));
        }
    }

    fn of_operator(&self, world: &World, operator: usize, actions: &mut Vec<Action>) {
        let it = &world.operators[operator];
        match it.reconciliation {
            None => {
                let unfinished = world.object.filter(|o| {
                    let known = self.requests.get(o.request);
                    !known.finished || known.request.finalizer
                });
                if unfinished.is_some() {
                    actions.push(Action::Begin(operator));
                }
                if it.stopping {
                    actions.push(Action::Restart(operator));
                }
            }
            Some(reconciliation) if matches!(reconciliation.held, Held::Waiting(_)) => {
                if world.faults > 0 {
                    actions.push(Action::GiveUp(operator));
                }
            }
            Some(reconciliation) => {
                actions.push(Action::Step(operator, StepResult::Well));
                if reconciliation.reload.is_none() {
                    self.bad_luck(world, operator, actions);
                }
            }
        }
        if world.faults > 0 && *it != self.started(it.wall) {
            actions.push(Action::Crash(operator));
        }
        if world.user_actions > 0 && !it.stopping && self.config.people.may(Action::Stop(operator)) {
            actions.push(Action::Stop(operator));
        }
    }

    /// What can go wrong with the next step.
    fn bad_luck(&self, world: &World, operator: usize, actions: &mut Vec<Action>) {
        if world.faults == 0 && world.clock_faults == 0 {
            return;
        }
        let Some(act) = self.next_act(world, operator) else {
            return;
        };
        let step = |result| Action::Step(operator, result);
        if world.faults > 0 {
            let bad: &[StepResult] = match act {
                Act::ReadDesktops(_) | Act::ReadDesktop(_) | Act::ReadJob(_) => &[StepResult::ReadFailure],
                Act::ReadSubJobs => &[StepResult::ReadFailure, StepResult::Incomplete],
                Act::Write(..) if self.would_write(world, operator) => &[
                    StepResult::RequestLost,
                    StepResult::ResponseLost,
                    StepResult::Late,
                ],
                _ => &[],
            };
            actions.extend(bad.iter().copied().map(step));
        }
        if world.clock_faults > 0 && act.reads_the_cloud() {
            let far = self.config.far();
            actions.extend([-far, far].map(StepResult::FalseDate).map(step));
        }
    }

    fn of_cloud(&self, world: &World, actions: &mut Vec<Action>) {
        for (attempt, call) in world.calls.iter().enumerate() {
            let Some(call) = call.filter(|call| call.state == CallState::InFlight) else {
                continue;
            };
            if call.gateway_age.abs() >= self.config.true_window() {
                actions.push(Action::Arrive(attempt, CallResult::Expired));
                continue;
            }
            let something_there = call.body & !world.cloud.gone != 0;
            let heard = world.listener(attempt).is_some();
            for result in CallResult::IN_TIME {
                let fault = result != CallResult::Accepted;
                if (something_there || !result.takes_effect())
                    && (heard || !result.needs_listener())
                    && (!fault || world.faults > 0 || (!something_there && result == CallResult::Invalid))
                {
                    actions.push(Action::Arrive(attempt, result));
                }
            }
        }
        for (number, job) in world.cloud.jobs.iter().enumerate() {
            let Some(job) = job else { continue };
            if !job.visible {
                actions.push(Action::Show(number));
                continue;
            }
            for desktop in names::members(job.open()) {
                for deleted in [true, false] {
                    actions.push(Action::End {
                        job: number,
                        desktop,
                        deleted,
                    });
                }
            }
        }
    }

    fn of_people(&self, world: &World, actions: &mut Vec<Action>) {
        let Some(object) = world.object else {
            if world.made < OBJECTS {
                actions.push(Action::Recreate);
            }
            return;
        };
        let known = self.requests.get(object.request);
        let request = &known.request;
        if known.finished {
            return;
        }
        if !request.deleting && !world.replaced {
            actions.push(Action::Delete);
        }
        if self.may_be_replaced(known) {
            actions.push(Action::Replace);
        }
        actions.push(if request.suspend {
            Action::Resume
        } else {
            Action::Suspend
        });
        if world.deadline.is_none() {
            actions.push(Action::Deadline);
        }
        let pending = known.with(|o| o == Outcome::Pending);
        if request.resolve.is_none() {
            actions.extend(names::members(pending).map(Action::Abandon));
        }
        if self.config.requires_approval() {
            self.of_approvers(world, known, actions);
        }
        if world.cloud.jobs[names::CONSOLE].is_none() {
            let there = (0..self.config.desktops).filter(|d| !names::has(world.cloud.gone, *d));
            actions.extend(there.map(Action::Console));
        }
    }
}

impl Protocol {
    fn of_approvers(&self, world: &World, known: &Known, actions: &mut Vec<Action>) {
        if known.shown.is_some() && known.shown != known.approved {
            actions.push(Action::Approve);
        }
        if world
            .noted
            .is_some_and(|noted| known.approved != Some(noted.plan))
        {
            actions.push(Action::ApproveAgain);
        }
        if known.approved.is_some() {
            actions.push(Action::Withdraw);
        }
        let there = (0..self.config.desktops).filter(|d| !names::has(world.cloud.gone, *d));
        actions.extend(there.map(Action::Reassign));
    }

    /// A client can take the finalizer off by replacing the object. Where the shipped policy is installed, the API server
    /// refuses it while some attempt may take effect or show.
    fn may_be_replaced(&self, known: &Known) -> bool {
        let without_effect = |o| matches!(o, Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect);
        let allowed = match self.config.replacing {
            Replacing::Never => false,
            Replacing::AtAnyTime | Replacing::WithTime => true,
            Replacing::UnderPolicy => {
                self.config.lacks(Mutant::PolicyMissing) || known.with(|o| !without_effect(o)) == 0
            }
        };
        allowed && known.request.finalizer && !known.request.deleting
    }
}

impl World {
    /// The operator that waits for the response to a POST.
    pub fn listener(&self, attempt: usize) -> Option<usize> {
        self.operators.iter().position(|operator| {
            let held = operator.reconciliation.map(|reconciliation| reconciliation.held);
            matches!(held, Some(Held::Waiting(waited)) if usize::from(waited) == attempt)
        })
    }
}
