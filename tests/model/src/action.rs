//! What can happen next.

use desktop_deletion_operator::crd::deletion::Outcome;

use crate::decide::Act;
use crate::moves::Protocol;
use crate::names;
use crate::world::{Held, Operator, Post, World};

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator is woken and reads the object.
    Begin(usize),
    /// An operator takes its next step, with that luck.
    Step(usize, Luck),
    /// An operator stops waiting for the answer to its POST.
    GiveUp(usize),
    /// An operator dies, and starts anew without memory.
    Crash(usize),
    /// An operator loses its lease or is told to stop.
    Stop(usize),
    /// An operator that was told to stop has ended, and another takes its place.
    Restart(usize),
    /// A POST comes to its end.
    Arrive(usize, Fate),
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
    /// A write lands whose sender has given up on it.
    Land,
    /// Somebody deletes the object.
    Delete,
    /// Somebody creates an object of the same name and content.
    Recreate,
    /// Somebody suspends the request.
    Suspend,
    /// Somebody resumes it.
    Resume,
    /// Somebody deletes a desktop in the console.
    Console(usize),
    /// Somebody gives up an attempt.
    Abandon(usize),
    /// The deadline of the request passes.
    Deadline,
}

/// How a step of an operator goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Luck {
    /// As it should; a write over a newer object is a conflict.
    Well,
    /// A read of the cloud fails.
    Trouble,
    /// Not all sub-jobs could be read.
    Incomplete,
    /// A write never reaches the API server.
    RequestLost,
    /// A write is carried out, and its answer is lost.
    AnswerLost,
    /// A write is on its way for longer than the operator waits.
    Late,
}

/// What becomes of a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// 202 with a job.
    Accepted,
    /// Accepted, and the answer is lost.
    AcceptedAnswerLost,
    /// Accepted, and the answer is a 5xx.
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

impl Fate {
    /// Those of a POST that is in time, the faultless one first.
    const IN_TIME: [Self; 8] = [
        Self::Accepted,
        Self::AcceptedAnswerLost,
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
            Self::Accepted | Self::AcceptedAnswerLost | Self::AcceptedWith5xx
        )
    }

    /// It has a meaning only while an operator waits for the answer.
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
        if world.stray.is_some() {
            actions.push(Action::Land);
        }
        if world.faults > 0 || !world.is_slow() {
            actions.push(Action::Tick);
        }
        if world.meddling > 0 {
            self.of_people(world, actions);
        }
    }

    fn of_operator(&self, world: &World, operator: usize, actions: &mut Vec<Action>) {
        let it = &world.operators[operator];
        match it.pass {
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
            Some(pass) if matches!(pass.held, Held::Waiting(_)) => {
                if world.faults > 0 {
                    actions.push(Action::GiveUp(operator));
                }
            }
            Some(pass) => {
                actions.push(Action::Step(operator, Luck::Well));
                if world.faults > 0 && pass.reload.is_none() {
                    let bad = self.bad_luck(world, operator);
                    actions.extend(bad.iter().map(|luck| Action::Step(operator, *luck)));
                }
            }
        }
        if world.faults > 0 && *it != Operator::default() {
            actions.push(Action::Crash(operator));
        }
        if world.meddling > 0 && !it.stopping {
            actions.push(Action::Stop(operator));
        }
    }

    /// What can go wrong with the next step.
    fn bad_luck(&self, world: &World, operator: usize) -> &'static [Luck] {
        match self.next_act(world, operator) {
            Some(Act::ReadDesktops(_) | Act::ReadDesktop(_) | Act::ReadJob(_)) => &[Luck::Trouble],
            Some(Act::ReadSubJobs) => &[Luck::Trouble, Luck::Incomplete],
            Some(Act::Write(..)) if self.would_write(world, operator) => {
                &[Luck::RequestLost, Luck::AnswerLost, Luck::Late]
            }
            _ => &[],
        }
    }

    fn of_cloud(&self, world: &World, actions: &mut Vec<Action>) {
        for (attempt, letter) in world.letters.iter().enumerate() {
            let Some(letter) = letter.filter(|letter| letter.post == Post::Flying) else {
                continue;
            };
            if letter.gateway_age >= self.config.true_window() {
                actions.push(Action::Arrive(attempt, Fate::Expired));
                continue;
            }
            let something_there = letter.body & !world.cloud.gone != 0;
            let heard = world.listener(attempt).is_some();
            for fate in Fate::IN_TIME {
                let fault = fate != Fate::Accepted;
                if (something_there || !fate.takes_effect())
                    && (heard || !fate.needs_listener())
                    && (!fault || world.faults > 0 || (!something_there && fate == Fate::Invalid))
                {
                    actions.push(Action::Arrive(attempt, fate));
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
            if world.made < 2 {
                actions.push(Action::Recreate);
            }
            return;
        };
        let known = self.requests.get(object.request);
        let request = &known.request;
        if known.finished {
            return;
        }
        if !request.deleting {
            actions.push(Action::Delete);
        }
        actions.push(if request.suspend {
            Action::Resume
        } else {
            Action::Suspend
        });
        if !world.late {
            actions.push(Action::Deadline);
        }
        let pending = known.with(|o| o == Outcome::Pending);
        if request.resolve.is_none() {
            actions.extend(names::members(pending).map(Action::Abandon));
        }
        if world.cloud.jobs[names::CONSOLE].is_none() {
            let there = (0..self.config.desktops).filter(|d| !names::has(world.cloud.gone, *d));
            actions.extend(there.map(Action::Console));
        }
    }
}

impl World {
    /// The operator that waits for the answer to a POST.
    pub fn listener(&self, attempt: usize) -> Option<usize> {
        self.operators.iter().position(|operator| {
            let held = operator.pass.map(|pass| pass.held);
            matches!(held, Some(Held::Waiting(waited)) if usize::from(waited) == attempt)
        })
    }
}
