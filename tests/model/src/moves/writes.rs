//! Writes of an operator: carried out, refused, lost, late, and what the submitting task does then.

use desktop_deletion_operator::crd::deletion::Outcome;
use invariants::{one_request_per_desktop, writes_change};

use super::Protocol;
use crate::action::StepResult;
use crate::config::Mutant;
use crate::decide::Act;
use crate::names;
use crate::requests::{Edit, RequestId};
use crate::world::{DelayedWrite, Held, MAX_SIGNATURE_AGE, Memory, World, WriteKind};

impl Protocol {
    pub(super) fn write(
        &self,
        world: &mut World,
        operator: usize,
        write: (WriteKind, RequestId),
        result: StepResult,
    ) {
        let (kind, to) = write;
        let carried_out = self.would_write(world, operator);
        if kind == WriteKind::AddFinalizer {
            world.operators[operator].memory.finalizer = Some(0);
        }
        match result {
            StepResult::Late => {
                world.delayed_write = Some(DelayedWrite { request: to, kind });
                world.failed(operator, kind);
            }
            StepResult::ResponseLost => {
                self.store(world, None, kind, to);
                world.failed(operator, kind);
            }
            StepResult::Well if carried_out => self.written(world, operator, kind, to),
            StepResult::Well if self.goes_over(world, operator, kind) => {
                let Some(object) = world.object else { return };
                let over = self.requests.edit(object.request, Edit::StatusOf(to));
                self.written(world, operator, kind, over);
            }
            _ => world.failed(operator, kind),
        }
    }

    /// A mutant writes over a newer object.
    pub(super) fn goes_over(&self, world: &World, operator: usize, kind: WriteKind) -> bool {
        let same = world.operators[operator].reconciliation.map(|p| p.uid) == world.object.map(|o| o.uid);
        let mutant = match kind {
            WriteKind::Intent(_) => Mutant::IntentWithoutResourceVersion,
            WriteKind::AddFinalizer | WriteKind::DropFinalizer => return false,
            _ => Mutant::StatusWithoutResourceVersion,
        };
        same && self.config.lacks(mutant)
    }

    /// The operator has the response of its write.
    pub(super) fn written(&self, world: &mut World, operator: usize, kind: WriteKind, to: RequestId) {
        self.store(world, Some(operator), kind, to);
        let gone = world.object.is_none();
        let it = &mut world.operators[operator];
        match kind {
            WriteKind::AddFinalizer | WriteKind::DropFinalizer if gone => *it = it.forgetting(),
            WriteKind::AddFinalizer | WriteKind::DropFinalizer => {
                if let Some(reconciliation) = &mut it.reconciliation {
                    reconciliation.project_is_fresh = false;
                }
            }
            WriteKind::Outcome => {
                if let Some(reconciliation) = &mut it.reconciliation {
                    reconciliation.held = Held::Nothing;
                    // What was read before the call says nothing about the time after it.
                    if reconciliation.task {
                        reconciliation.forget_reads();
                    }
                }
            }
            WriteKind::Finish => it.memory = Memory::default(),
            WriteKind::Intent(_) | WriteKind::Progress | WriteKind::Approval | WriteKind::Refusal => {}
        }
    }

    /// The API server carries out a write.
    pub(super) fn store(&self, world: &mut World, writer: Option<usize>, kind: WriteKind, to: RequestId) {
        let Some(object) = world.object else { return };
        let (old, new) = (self.requests.get(object.request), self.requests.get(to));
        if let WriteKind::Intent(attempt) = kind
            && let Some(call) = &mut world.calls[usize::from(attempt)]
        {
            call.stored = true;
        }
        for attempt in names::members(new.with(|o| o == Outcome::Abandoned)) {
            if let Some(call) = &mut world.calls[attempt] {
                call.given_up = true;
            }
        }
        world.judge_write(old, new, self.config.window());
        if let (WriteKind::Intent(attempt), true) = (kind, self.config.requires_approval()) {
            self.judge_intent(world, usize::from(attempt), old, new);
        }
        // The record of an outcome whose response was lost is stored once more: the API server takes it for no change.
        let changes = object.request != to || kind == WriteKind::Outcome;
        world.note(writes_change::write(changes, String::new));
        if object.request == to {
            return;
        }
        world.touch(to);
        if let Some(reconciliation) =
            writer.and_then(|writer| world.operators[writer].reconciliation.as_mut())
        {
            reconciliation.request = to;
            reconciliation.current = true;
        }
        if kind == WriteKind::DropFinalizer && new.request.deleting {
            let lands = world.something_can_land(self.config.window());
            world.note(one_request_per_desktop::released(lands, ""));
            self.gone(world);
        }
        if kind == WriteKind::AddFinalizer {
            world.replaced = false;
        }
    }

    pub(super) fn land(&self, world: &mut World) {
        if let Some(stray) = world.delayed_write.take() {
            self.store(world, None, stray.kind, stray.request);
        }
    }

    /// After a write failed in the submitting task: the object says how it stands.
    pub(super) fn reload(&self, world: &mut World, operator: usize, kind: WriteKind) {
        let object = world.object;
        let it = &mut world.operators[operator];
        let Some(reconciliation) = &mut it.reconciliation else {
            return;
        };
        let Some(object) = object.filter(|object| object.uid == reconciliation.uid) else {
            it.reconciliation = None;
            return;
        };
        reconciliation.request = object.request;
        reconciliation.current = true;
        reconciliation.reload = None;
        let known = self.requests.get(object.request);
        let goes_on = match (kind, reconciliation.held) {
            (WriteKind::Intent(attempt), _) => known.outcomes[usize::from(attempt)].is_some(),
            // Where the record is not asked for any more, storing it again would change nothing.
            _ => matches!(
                self.next_act(world, operator),
                Some(Act::Write(WriteKind::Outcome, _))
            ),
        };
        if !goes_on {
            world.operators[operator].reconciliation = None;
        }
    }
}

impl World {
    /// The object has another content: every copy of it is old now.
    pub(super) fn touch(&mut self, to: RequestId) {
        if let Some(object) = &mut self.object {
            object.request = to;
        }
        self.delayed_write = None;
        for it in &mut self.operators {
            if let Some(reconciliation) = &mut it.reconciliation {
                reconciliation.current = false;
            }
        }
    }

    /// A write failed, or its response was lost.
    pub(super) fn failed(&mut self, operator: usize, kind: WriteKind) {
        let it = &mut self.operators[operator];
        let Some(reconciliation) = &mut it.reconciliation else {
            return;
        };
        if reconciliation.task {
            reconciliation.reload = Some(kind);
            // A task that has begun to record that it did not send never sends.
            if let (WriteKind::Outcome, Held::Armed(draft)) = (kind, &mut reconciliation.held) {
                draft.age = MAX_SIGNATURE_AGE;
            }
        } else {
            it.reconciliation = None;
        }
    }
}
