//! What can happen, and what the world is like then.

use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::plan::daily_usage::ReservationOwner;
use invariants::within_the_daily_limit;

use super::decide::{self, Act};
use super::world::{DESKTOPS, LIMIT, OPERATORS, Outcome, Reconciliation, Reserved, Settling, World};
use crate::cache::Cache;
use crate::config::Config;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator begins with a request.
    Begin(usize, usize),
    /// It goes on with it.
    Step(usize, usize, StepResult),
    /// Its signature grows old.
    Expire(usize, usize),
    /// The first operator reads the project, and the requests for which something is reserved.
    Find,
    /// It stores what follows from that.
    Settle,
    /// The outcome of a call is found whose response was lost, and that can no longer be made.
    Recover(usize),
    /// An operator crashes, and another one takes its place.
    Crash(usize),
    /// A person changes a request.
    Change(usize),
    /// A person deletes a request.
    Delete(usize),
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepResult {
    /// It is carried out and answered.
    Good,
    /// It is lost.
    Lost,
    /// It is carried out, and the response is lost.
    ResponseLost,
    /// The cloud refuses it.
    Refused,
}

/// What is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The status of the project is written regardless of its version.
    ProjectWithoutVersion,
    /// An intent is stored regardless of the version of the request.
    IntentWithoutVersion,
    /// What is reserved for an attempt that is not stored is given back at once.
    GivenBackAtOnce,
}

/// The rules of this world.
pub struct Day {
    /// The shipped durations.
    pub timing: Timing,
    /// What is taken away.
    pub mutant: Option<Mutant>,
    /// What was decided already.
    made: Cache<(Reconciliation, usize), Act>,
}

impl Day {
    /// The rules without that.
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self {
            timing: Config::default().timing(),
            mutant,
            made: Cache::default(),
        }
    }

    fn next(&self, reconciliation: &Reconciliation, number: usize) -> Act {
        let key = (reconciliation.clone(), number);
        self.made.get(&key, || decide::next(reconciliation, number))
    }

    /// What can happen.
    pub fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        for operator in 0..OPERATORS {
            // Of a second leader one request is enough.
            for request in 0..DESKTOPS.len() - operator {
                self.of_pass(world, operator, request, actions);
            }
            let works = world.reconciliations[operator].iter().any(Option::is_some);
            let settles = operator == 0 && world.settling.is_some();
            if world.left.faults > 0 && (works || settles) {
                actions.push(Action::Crash(operator));
            }
        }
        match &world.settling {
            None if !world.project.reservations.is_empty() => actions.push(Action::Find),
            None => {}
            Some(_) => actions.push(Action::Settle),
        }
        for (number, request) in world.requests.iter().enumerate().filter(|(_, r)| !r.gone) {
            let pending = request.pending();
            if pending.is_some_and(|attempt| !world.can_be_sent(attempt)) {
                actions.push(Action::Recover(number));
            }
            if world.left.user_actions > 0 && !request.is_submitted() {
                actions.push(Action::Change(number));
                // Its finalizer holds it while a call may take effect.
                actions.extend(pending.is_none().then_some(Action::Delete(number)));
            }
        }
    }

    fn of_pass(&self, world: &World, operator: usize, number: usize, actions: &mut Vec<Action>) {
        let request = &world.requests[number];
        let Some(reconciliation) = &world.reconciliations[operator][number] else {
            let is_due = !request.gone && request.pending().is_none() && !request.is_submitted();
            actions.extend(is_due.then_some(Action::Begin(operator, number)));
            return;
        };
        let act = self.next(reconciliation, number);
        if act == Act::Reserve && reconciliation.reserved.is_none() && world.next == world.left.attempts {
            return;
        }
        actions.push(Action::Step(operator, number, StepResult::Good));
        if world.left.faults > 0 && reconciliation.answered.is_none() {
            let results: &[_] = match act {
                Act::Reserve | Act::Intend => &[StepResult::Lost, StepResult::ResponseLost],
                Act::Post => &[StepResult::Lost, StepResult::ResponseLost, StepResult::Refused],
                _ => &[],
            };
            actions.extend(
                results
                    .iter()
                    .map(|result| Action::Step(operator, number, *result)),
            );
        }
        if reconciliation.armed.is_some_and(|(_, fresh)| fresh) && reconciliation.answered.is_none() {
            actions.push(Action::Expire(operator, number));
        }
    }

    /// The world after that.
    pub fn after(&self, world: &World, action: Action) -> World {
        let mut world = world.clone();
        match action {
            Action::Begin(operator, number) => {
                let reconciliation = Reconciliation {
                    request: world.requests[number].clone(),
                    project: Some(world.project.clone()),
                    permit: false,
                    reserved: None,
                    armed: None,
                    answered: None,
                };
                world.reconciliations[operator][number] = Some(self.alone(reconciliation, number));
            }
            Action::Step(operator, number, result) => {
                world.left.faults -= u8::from(result != StepResult::Good);
                let reconciliation = world.reconciliations[operator][number].take();
                let next = reconciliation
                    .and_then(|reconciliation| self.step(&mut world, reconciliation, number, result));
                world.reconciliations[operator][number] =
                    next.map(|reconciliation| self.alone(reconciliation, number));
            }
            Action::Expire(operator, number) => {
                let reconciliation = world.reconciliations[operator][number].take();
                world.reconciliations[operator][number] = reconciliation.map(|mut reconciliation| {
                    reconciliation.armed = reconciliation.armed.map(|(attempt, _)| (attempt, false));
                    self.alone(reconciliation, number)
                });
            }
            Action::Find => {
                world.settling = Some(Settling {
                    project: world.project.clone(),
                    requests: world.requests.clone(),
                });
            }
            Action::Settle => self.settle(&mut world),
            Action::Recover(number) => {
                if let Some(attempt) = world.requests[number].pending() {
                    let effective = world.effects.iter().any(|(other, _)| *other == attempt);
                    let outcome = if effective {
                        Outcome::Adopted
                    } else {
                        Outcome::NoEffect
                    };
                    world.requests[number].settle(attempt, outcome);
                }
            }
            Action::Crash(operator) => {
                world.left.faults -= 1;
                world.reconciliations[operator] = [None, None];
                world.settling = world.settling.take().filter(|_| operator != 0);
            }
            Action::Change(number) => {
                world.left.user_actions -= 1;
                world.requests[number].version += 1;
            }
            Action::Delete(number) => {
                world.left.user_actions -= 1;
                world.requests[number].gone = true;
            }
        }
        world
    }

    /// Takes the steps in which nothing outside the operator has a part: nothing else can tell when they happened.
    fn alone(&self, mut reconciliation: Reconciliation, number: usize) -> Reconciliation {
        while reconciliation.answered.is_none() {
            match self.next(&reconciliation, number) {
                Act::Permit(held) => reconciliation.permit = held,
                Act::Sign => reconciliation.armed = reconciliation.reserved.map(|attempt| (attempt, true)),
                _ => break,
            }
        }
        reconciliation
    }

    /// One step of a reconciliation; `None` if it ends.
    fn step(
        &self,
        world: &mut World,
        mut reconciliation: Reconciliation,
        number: usize,
        result: StepResult,
    ) -> Option<Reconciliation> {
        if let Some((attempt, outcome)) = reconciliation.answered {
            // The response is stored regardless of the version of the object.
            world.requests[number].settle(attempt, outcome);
            return None;
        }
        match self.next(&reconciliation, number) {
            Act::Look => reconciliation.project = Some(world.project.clone()),
            Act::Reserve => return self.reserve(world, reconciliation, number, result),
            Act::Intend => return self.record_intent(world, reconciliation, number, result),
            Act::Post => return Self::post(world, reconciliation, number, result),
            Act::NotSent => {
                let (attempt, _) = reconciliation.armed?;
                world.requests[number].settle(attempt, Outcome::NotSent);
                return None;
            }
            Act::Wait(says) => {
                let stored = &mut world.requests[number];
                if !stored.gone && stored.version == reconciliation.request.version && stored.says != says {
                    stored.version += 1;
                    stored.says = says;
                }
                return None;
            }
            Act::StartOver | Act::Permit(_) | Act::Sign => return None,
        }
        Some(reconciliation)
    }

    fn reserve(
        &self,
        world: &mut World,
        mut reconciliation: Reconciliation,
        number: usize,
        result: StepResult,
    ) -> Option<Reconciliation> {
        let attempt = reconciliation.reserved.unwrap_or_else(|| {
            world.next += 1;
            world.next - 1
        });
        reconciliation.reserved = Some(attempt);
        let project = reconciliation.project.take()?;
        let reserved = Reserved {
            request: number,
            version: reconciliation.request.version,
            attempt,
            desktops: DESKTOPS[number],
        };
        let fits =
            project.version == world.project.version || self.mutant == Some(Mutant::ProjectWithoutVersion);
        if fits && result != StepResult::Lost {
            let version = world.project.version;
            world.project = decide::reserve(&project, reserved);
            world.project.version = version + 1;
            reconciliation.project = Some(world.project.clone());
        }
        // After a conflict the project is read again; after a lost response the reconciliation ends.
        (result == StepResult::Good).then_some(reconciliation)
    }

    fn record_intent(
        &self,
        world: &mut World,
        mut reconciliation: Reconciliation,
        number: usize,
        result: StepResult,
    ) -> Option<Reconciliation> {
        let (attempt, _) = reconciliation.armed?;
        let stored = &mut world.requests[number];
        let fits = !stored.gone && stored.version == reconciliation.request.version;
        let unfenced = !stored.gone && self.mutant == Some(Mutant::IntentWithoutVersion);
        if !(fits || unfenced) || result == StepResult::Lost {
            return None;
        }
        // Records of refused attempts make room.
        stored
            .attempts
            .retain(|(_, outcome)| !matches!(outcome, Outcome::Rejected | Outcome::NotSent));
        stored.attempts.push((attempt, Outcome::Pending));
        stored.version += 1;
        reconciliation.request = stored.clone();
        // After a lost response the object is read back, and shows the intent.
        Some(reconciliation)
    }

    fn post(
        world: &mut World,
        mut reconciliation: Reconciliation,
        number: usize,
        result: StepResult,
    ) -> Option<Reconciliation> {
        let (attempt, _) = reconciliation.armed.take()?;
        if matches!(result, StepResult::Good | StepResult::ResponseLost) {
            world.effects.push((attempt, DESKTOPS[number]));
            let broken = within_the_daily_limit::effect(world.effective().into(), LIMIT.into(), || {
                format!("request-{number}")
            });
            world.wrong = world.wrong.or(broken.map(|broken| broken.how));
        }
        let answer = match result {
            StepResult::Good => Outcome::Accepted,
            StepResult::Refused => Outcome::Rejected,
            StepResult::Lost | StepResult::ResponseLost => return None,
        };
        reconciliation.answered = Some((attempt, answer));
        Some(reconciliation)
    }

    fn settle(&self, world: &mut World) {
        let Some(Settling { project, requests }) = world.settling.take() else {
            return;
        };
        let found = project.reservations.iter().map(|reserved| {
            let mut now = decide::found(&requests[reserved.request], reserved.request);
            if let (ReservationOwner::Found { resource_version, .. }, Some(Mutant::GivenBackAtOnce)) =
                (&mut now, self.mutant)
            {
                resource_version.push_str(", or another one");
            }
            now
        });
        let settled = decide::settle(&project, found.collect(), &self.timing);
        let fits =
            project.version == world.project.version || self.mutant == Some(Mutant::ProjectWithoutVersion);
        if let Some(settled) = settled.filter(|_| fits) {
            let version = world.project.version;
            world.project = settled;
            world.project.version = version + 1;
        }
    }
}
