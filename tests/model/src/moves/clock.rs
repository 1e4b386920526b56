//! What the operators know of time, how it passes, and clocks that go wrong.

use desktop_deletion_operator::plan::observed::Facts;

use super::Protocol;
use crate::action::Action;
use crate::config::Mutant;
use crate::names::{self, ATTEMPTS, Set};
use crate::requests::RequestId;
use crate::service_clock::ServiceClock;
use crate::time::Situation;
use crate::world::{
    CallState, Held, JOB_VISIBILITY_TIMEOUT, MAX_SIGNATURE_AGE, Memory, Operator, Reconciliation, SignedCall,
    World,
};

impl Protocol {
    /// What follows from the time for a reconciliation of an operator.
    pub fn facts(&self, world: &World, operator: usize, reconciliation: &Reconciliation) -> Facts {
        let it = &world.operators[operator];
        let mut situation = self.situation(world, it, reconciliation.request);
        situation.first_saw = it.memory.first_saw;
        situation.finalizer = it.memory.finalizer;
        situation.began = reconciliation.began;
        self.rules.facts(&self.requests, &situation)
    }

    fn situation(&self, world: &World, it: &Operator, request: RequestId) -> Situation {
        let recorded = self.requests.get(request).outcomes;
        let age = |attempt: usize| world.calls[attempt].map_or(self.config.oldest(), |call| call.age);
        Situation {
            request,
            ages: std::array::from_fn(|attempt| recorded[attempt].map_or(0, |_| age(attempt))),
            deadline: world.deadline,
            wall: it.wall,
            service: it.service.known,
            first_saw: [None; ATTEMPTS],
            finalizer: None,
            began: 0,
            stopping: it.stopping,
        }
    }

    /// The claim that an operator holds for a deleted object still lasts: as long as the object would have been kept.
    pub(super) fn claim_lasts(&self, world: &World, it: &Operator) -> bool {
        it.claim.is_some_and(|claim| {
            let mut situation = self.situation(world, it, claim.request);
            situation.deadline = None;
            situation.first_saw = claim.first_saw;
            self.rules.is_in_flight(&self.requests, &situation)
        })
    }

    /// A process that has just started.
    pub(crate) fn started(&self, wall: i8) -> Operator {
        let true_one = (self.config.clock_faults == 0).then_some(0);
        Operator {
            wall,
            service: ServiceClock::of(true_one),
            ..Operator::default()
        }
    }

    /// Takes in the date of a response of the cloud.
    pub(super) fn note_date(it: &mut Operator, ahead: i8) {
        it.service = it.service.noted(ahead);
    }

    /// The attempts that depend on when a reconciliation began: those whose expiry it waits for.
    fn told_by(&self, reconciliation: &Reconciliation) -> Set {
        self.requests.get(reconciliation.request).doubtful() | reconciliation.submits()
    }

    /// If clocks are true, it only matters whether a call had expired when the reconciliation began; times between
    /// which nothing can be distinguished become one.
    pub(super) fn round_beginning(&self, world: &mut World, operator: usize) {
        let Some(reconciliation) = world.operators[operator]
            .reconciliation
            .filter(|reconciliation| reconciliation.began > 0)
        else {
            return;
        };
        let ages = names::members(self.told_by(&reconciliation))
            .map(|attempt| world.calls[attempt].map_or(self.config.oldest(), |call| call.age));
        let began = match ages.max() {
            None => 0,
            Some(_) if self.config.clock_faults > 0 => reconciliation.began,
            Some(_) if self.facts(world, operator, &reconciliation).call_expired => {
                reconciliation.began.min(JOB_VISIBILITY_TIMEOUT)
            }
            Some(age) => age.unsigned_abs(),
        };
        if let Some(reconciliation) = &mut world.operators[operator].reconciliation {
            reconciliation.began = began;
        }
    }

    /// Ticks for which an accepted request may stay invisible.
    pub(super) fn lag(&self) -> u8 {
        if self.config.lacks(Mutant::ShownTooLate) {
            self.config.oldest().unsigned_abs()
        } else {
            JOB_VISIBILITY_TIMEOUT
        }
    }

    /// Clocks that go wrong, one at a time, and clocks that are set right again.
    pub(crate) fn of_clocks(&self, world: &World, actions: &mut Vec<Action>) {
        let (far, skew) = (self.config.far(), self.config.skew());
        let is_far = |ahead: i8| ahead.abs() > skew;
        if world.cloud_clock != 0 {
            actions.push(Action::CloudClock(0));
        }
        let walls = &world.operators[..self.config.operators];
        if world.clock_faults > 0 && world.cloud_clock == 0 && !walls.iter().any(|it| is_far(it.wall)) {
            actions.extend([-far, far].map(Action::CloudClock));
        }
        for (operator, it) in walls.iter().enumerate() {
            if it.wall != 0 {
                actions.push(Action::WallClock(operator, 0));
            } else if world.clock_faults > 0 {
                let steps = [-far, -skew, skew, far].into_iter().filter(|step| *step != 0);
                let possible = steps.filter(|step| world.cloud_clock == 0 || !is_far(*step));
                actions.extend(possible.map(|step| Action::WallClock(operator, step)));
            }
        }
    }

    pub(super) fn tick(&self, world: &mut World) {
        let oldest = self.config.oldest();
        let growing = names::set(
            (0..ATTEMPTS).filter(|attempt| world.calls[*attempt].is_some_and(|call| call.age < oldest)),
        );
        for call in world.calls.iter_mut().flatten() {
            call.age = (call.age + 1).min(oldest);
            call.gateway_age = (call.gateway_age + 1).min(oldest);
        }
        let passed = if self.config.clock_faults > 0 {
            self.config.far()
        } else {
            0
        };
        world.deadline = world.deadline.map(|age| (age + 1).min(passed));
        world.show_overdue(self.lag());
        for it in &mut world.operators {
            let longest = self.config.longest_known();
            it.memory.age(longest);
            if let Some(claim) = &mut it.claim {
                claim.first_saw = older(claim.first_saw, longest);
            }
            if let Some(reconciliation) = &mut it.reconciliation {
                let told_by = self.told_by(reconciliation) & growing;
                reconciliation.age(told_by != 0 || self.config.clock_faults == 0);
            }
        }
        if self.config.lacks(Mutant::SignedWhenSent) {
            world.refresh_drafts();
        }
    }
}

/// A tick later.
fn older<const N: usize>(ages: [Option<u8>; N], most: u8) -> [Option<u8>; N] {
    ages.map(|age| age.map(|age| (age + 1).min(most)))
}

impl Memory {
    fn age(&mut self, longest: u8) {
        self.first_saw = older(self.first_saw, longest);
        self.idle = older(self.idle, JOB_VISIBILITY_TIMEOUT);
        [self.finalizer] = older([self.finalizer], MAX_SIGNATURE_AGE);
        if let Some(look) = &mut self.first_evidence {
            look.age = (look.age + 1).min(JOB_VISIBILITY_TIMEOUT);
        }
    }
}

impl Reconciliation {
    /// The attempt that it is submitting.
    fn submits(&self) -> Set {
        match self.held {
            Held::Nothing => 0,
            Held::Armed(draft) => names::only(usize::from(draft.attempt)),
            Held::Waiting(attempt) | Held::Answered(attempt, _) => names::only(usize::from(attempt)),
        }
    }

    /// A tick later.
    fn age(&mut self, began_counts: bool) {
        self.began += u8::from(began_counts);
        [self.read] = older([self.read], MAX_SIGNATURE_AGE);
        if let Held::Armed(draft) = &mut self.held {
            draft.age = (draft.age + 1).min(MAX_SIGNATURE_AGE);
        }
    }
}

impl World {
    /// An operator is slow to send or the network to deliver: a fault, if time passes now.
    pub fn is_slow(&self) -> bool {
        let signed_now = |attempt: u8| self.calls[usize::from(attempt)].is_some_and(|call| call.age == 0);
        let armed = |held| matches!(held, Held::Armed(draft) if draft.age == 0 && signed_now(draft.attempt));
        let mut reconciliations = self.operators.iter().filter_map(|it| it.reconciliation);
        let flying = |(attempt, call): (usize, &Option<SignedCall>)| {
            let new = call.is_some_and(|call| call.state == CallState::InFlight && call.gateway_age <= 0);
            new && self.listener(attempt).is_some()
        };
        reconciliations.any(|reconciliation| armed(reconciliation.held))
            || self.calls.iter().enumerate().any(flying)
    }

    /// What is signed when it is sent is never too old to be sent.
    fn refresh_drafts(&mut self) {
        for it in &mut self.operators {
            if let Some(Held::Armed(draft)) = it
                .reconciliation
                .as_mut()
                .map(|reconciliation| &mut reconciliation.held)
            {
                draft.age = 0;
            }
        }
    }

    fn show_overdue(&mut self, longest_lag: u8) {
        for job in self.cloud.jobs.iter_mut().flatten().filter(|job| !job.visible) {
            job.lag += 1;
            if job.lag > longest_lag {
                job.visible = true;
                job.lag = 0;
            }
        }
    }
}
