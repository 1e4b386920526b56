//! What an operator remembers, and the removal of what nothing depends on any more.

use desktop_deletion_operator::crd::deletion::Outcome;
use desktop_deletion_operator::plan::observed::SendPermit;

use super::{Protocol, small};
use crate::action::OBJECTS;
use crate::config::Mutant;
use crate::names::{self, ATTEMPTS};
use crate::world::{
    CallState, DeletedObject, FirstEvidence, Held, Memory, Object, Operator, Reconciliation, World, WriteKind,
};

impl Protocol {
    /// Forgets what nothing depends on any more.
    pub(super) fn forget_unneeded(&self, world: &mut World) {
        self.end_claims(world);
        for operator in 0..self.config.operators {
            self.round_beginning(world, operator);
        }
        let pending = world.object.map_or(0, |object| {
            self.requests.get(object.request).with(|o| o == Outcome::Pending)
        });
        let held = |world: &World, attempt: usize| {
            let of = |held: Held| match held {
                Held::Nothing => None,
                Held::Armed(draft) => Some(draft.attempt),
                Held::Waiting(attempt) | Held::Answered(attempt, _) => Some(attempt),
            };
            let mut reconciliations = world.operators.iter().filter_map(|it| it.reconciliation);
            reconciliations.any(|reconciliation| of(reconciliation.held) == Some(small(attempt)))
        };
        for attempt in 0..ATTEMPTS {
            let on_its_way = world
                .delayed_write
                .is_some_and(|stray| stray.kind == WriteKind::Intent(small(attempt)));
            let claimed = world.operators.iter().filter_map(|it| Some(it.claim?.request));
            let recorded = claimed
                .chain(world.object.map(|object| object.request))
                .any(|request| self.requests.get(request).outcomes[attempt].is_some());
            let flying = world.calls[attempt].is_some_and(|call| call.state == CallState::InFlight);
            let effect = world.cloud.jobs[attempt].is_some();
            if !recorded && !flying && !effect && !on_its_way && !held(world, attempt) {
                world.calls[attempt] = None;
            }
        }
        for it in &mut world.operators {
            let of = |pending| move |look: &FirstEvidence| names::has(pending, usize::from(look.attempt));
            it.memory.first_evidence = it.memory.first_evidence.filter(of(pending));
            if let Some(reconciliation) = &mut it.reconciliation {
                let pending = self
                    .requests
                    .get(reconciliation.request)
                    .with(|o| o == Outcome::Pending);
                reconciliation.first_evidence = reconciliation.first_evidence.filter(of(pending));
            }
        }
    }

    /// Forgets claims that have ended.
    fn end_claims(&self, world: &mut World) {
        for operator in 0..self.config.operators {
            if world.operators[operator].claim.is_some()
                && !self.claim_lasts(world, &world.operators[operator])
            {
                world.operators[operator].claim = None;
            }
        }
    }

    /// The object is gone. Every operator learns it from the watch, and remembers the calls that may still be in
    /// flight.
    pub(super) fn gone(&self, world: &mut World) {
        let object = world.object.take();
        world.replaced = false;
        // No other one will follow that could be refused.
        let Some(object) =
            object.filter(|_| world.made < OBJECTS && !self.config.lacks(Mutant::ClaimForgotten))
        else {
            return;
        };
        for it in &mut world.operators[..self.config.operators] {
            let known = it.memory.uid == object.uid;
            it.claim = Some(DeletedObject {
                request: object.request,
                first_saw: if known {
                    it.memory.first_saw
                } else {
                    [None; ATTEMPTS]
                },
            });
        }
    }
}

impl Operator {
    /// The same without pass and memory.
    pub(super) fn forgetting(self) -> Self {
        Self {
            reconciliation: None,
            memory: Memory::default(),
            ..self
        }
    }
}

impl Reconciliation {
    pub(super) fn new(object: Object) -> Self {
        Self {
            uid: object.uid,
            request: object.request,
            current: true,
            task: false,
            reload: None,
            project: false,
            project_is_fresh: false,
            permit: SendPermit::None,
            claim: None,
            desktops: Default::default(),
            sub_job_list: None,
            read: None,
            asked: 0,
            jobs: Default::default(),
            read_failure: false,
            first_evidence: None,
            began: 0,
            held: Held::Nothing,
        }
    }

    /// Forgets what was read of the cloud, and what was claimed there.
    pub(super) fn forget_reads(&mut self) {
        self.read = None;
        self.claim = None;
        self.desktops = Default::default();
        self.sub_job_list = None;
    }
}
