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
    Step(usize, usize, Luck),
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
pub enum Luck {
    /// It is carried out and answered.
    Good,
    /// It is lost.
    Lost,
    /// It is carried out, and the response is lost.
    AnswerLost,
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

    fn next(&self, pass: &Reconciliation, number: usize) -> Act {
        let key = (pass.clone(), number);
        self.made.get(&key, || decide::next(pass, number))
    }

    /// What can happen.
    pub fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        for operator in 0..OPERATORS {
            // Of a second leader one request is enough.
            for request in 0..DESKTOPS.len() - operator {
                self.of_pass(world, operator, request, actions);
            }
            let works = world.passes[operator].iter().any(Option::is_some);
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
            if world.left.meddling > 0 && !request.is_submitted() {
                actions.push(Action::Change(number));
                // Its finalizer holds it while a call may take effect.
                actions.extend(pending.is_none().then_some(Action::Delete(number)));
            }
        }
    }

    fn of_pass(&self, world: &World, operator: usize, number: usize, actions: &mut Vec<Action>) {
        let request = &world.requests[number];
        let Some(pass) = &world.passes[operator][number] else {
            let is_due = !request.gone && request.pending().is_none() && !request.is_submitted();
            actions.extend(is_due.then_some(Action::Begin(operator, number)));
            return;
        };
        let act = self.next(pass, number);
        if act == Act::Reserve && pass.reserved.is_none() && world.next == world.left.attempts {
            return;
        }
        actions.push(Action::Step(operator, number, Luck::Good));
        if world.left.faults > 0 && pass.answered.is_none() {
            let lucks: &[_] = match act {
                Act::Reserve | Act::Intend => &[Luck::Lost, Luck::AnswerLost],
                Act::Post => &[Luck::Lost, Luck::AnswerLost, Luck::Refused],
                _ => &[],
            };
            actions.extend(lucks.iter().map(|luck| Action::Step(operator, number, *luck)));
        }
        if pass.armed.is_some_and(|(_, fresh)| fresh) && pass.answered.is_none() {
            actions.push(Action::Expire(operator, number));
        }
    }

    /// The world after that.
    pub fn after(&self, world: &World, action: Action) -> World {
        let mut world = world.clone();
        match action {
            Action::Begin(operator, number) => {
                let pass = Reconciliation {
                    request: world.requests[number].clone(),
                    project: Some(world.project.clone()),
                    permit: false,
                    reserved: None,
                    armed: None,
                    answered: None,
                };
                world.passes[operator][number] = Some(self.alone(pass, number));
            }
            Action::Step(operator, number, luck) => {
                world.left.faults -= u8::from(luck != Luck::Good);
                let pass = world.passes[operator][number].take();
                let next = pass.and_then(|pass| self.step(&mut world, pass, number, luck));
                world.passes[operator][number] = next.map(|pass| self.alone(pass, number));
            }
            Action::Expire(operator, number) => {
                let pass = world.passes[operator][number].take();
                world.passes[operator][number] = pass.map(|mut pass| {
                    pass.armed = pass.armed.map(|(attempt, _)| (attempt, false));
                    self.alone(pass, number)
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
                world.passes[operator] = [None, None];
                world.settling = world.settling.take().filter(|_| operator != 0);
            }
            Action::Change(number) => {
                world.left.meddling -= 1;
                world.requests[number].version += 1;
            }
            Action::Delete(number) => {
                world.left.meddling -= 1;
                world.requests[number].gone = true;
            }
        }
        world
    }

    /// Takes the steps in which nothing outside the operator has a part: nothing else can tell when they happened.
    fn alone(&self, mut pass: Reconciliation, number: usize) -> Reconciliation {
        while pass.answered.is_none() {
            match self.next(&pass, number) {
                Act::Permit(held) => pass.permit = held,
                Act::Sign => pass.armed = pass.reserved.map(|attempt| (attempt, true)),
                _ => break,
            }
        }
        pass
    }

    /// One step of a reconciliation; `None` if it ends.
    fn step(
        &self,
        world: &mut World,
        mut pass: Reconciliation,
        number: usize,
        luck: Luck,
    ) -> Option<Reconciliation> {
        if let Some((attempt, outcome)) = pass.answered {
            // The response is stored regardless of the version of the object.
            world.requests[number].settle(attempt, outcome);
            return None;
        }
        match self.next(&pass, number) {
            Act::Look => pass.project = Some(world.project.clone()),
            Act::Reserve => return self.reserve(world, pass, number, luck),
            Act::Intend => return self.record_intent(world, pass, number, luck),
            Act::Post => return Self::post(world, pass, number, luck),
            Act::NotSent => {
                let (attempt, _) = pass.armed?;
                world.requests[number].settle(attempt, Outcome::NotSent);
                return None;
            }
            Act::Wait(says) => {
                let stored = &mut world.requests[number];
                if !stored.gone && stored.version == pass.request.version && stored.says != says {
                    stored.version += 1;
                    stored.says = says;
                }
                return None;
            }
            Act::StartOver | Act::Permit(_) | Act::Sign => return None,
        }
        Some(pass)
    }

    fn reserve(
        &self,
        world: &mut World,
        mut pass: Reconciliation,
        number: usize,
        luck: Luck,
    ) -> Option<Reconciliation> {
        let attempt = pass.reserved.unwrap_or_else(|| {
            world.next += 1;
            world.next - 1
        });
        pass.reserved = Some(attempt);
        let project = pass.project.take()?;
        let reserved = Reserved {
            request: number,
            version: pass.request.version,
            attempt,
            desktops: DESKTOPS[number],
        };
        let fits =
            project.version == world.project.version || self.mutant == Some(Mutant::ProjectWithoutVersion);
        if fits && luck != Luck::Lost {
            let version = world.project.version;
            world.project = decide::reserve(&project, reserved);
            world.project.version = version + 1;
            pass.project = Some(world.project.clone());
        }
        // After a conflict the project is read again; after a lost response the reconciliation ends.
        (luck == Luck::Good).then_some(pass)
    }

    fn record_intent(
        &self,
        world: &mut World,
        mut pass: Reconciliation,
        number: usize,
        luck: Luck,
    ) -> Option<Reconciliation> {
        let (attempt, _) = pass.armed?;
        let stored = &mut world.requests[number];
        let fits = !stored.gone && stored.version == pass.request.version;
        let unfenced = !stored.gone && self.mutant == Some(Mutant::IntentWithoutVersion);
        if !(fits || unfenced) || luck == Luck::Lost {
            return None;
        }
        // Records of refused attempts make room.
        stored
            .attempts
            .retain(|(_, outcome)| !matches!(outcome, Outcome::Rejected | Outcome::NotSent));
        stored.attempts.push((attempt, Outcome::Pending));
        stored.version += 1;
        pass.request = stored.clone();
        // After a lost response the object is read back, and shows the intent.
        Some(pass)
    }

    fn post(
        world: &mut World,
        mut pass: Reconciliation,
        number: usize,
        luck: Luck,
    ) -> Option<Reconciliation> {
        let (attempt, _) = pass.armed.take()?;
        if matches!(luck, Luck::Good | Luck::AnswerLost) {
            world.effects.push((attempt, DESKTOPS[number]));
            let broken = within_the_daily_limit::effect(world.effective().into(), LIMIT.into(), || {
                format!("request-{number}")
            });
            world.wrong = world.wrong.or(broken.map(|broken| broken.how));
        }
        let answer = match luck {
            Luck::Good => Outcome::Accepted,
            Luck::Refused => Outcome::Rejected,
            Luck::Lost | Luck::AnswerLost => return None,
        };
        pass.answered = Some((attempt, answer));
        Some(pass)
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
