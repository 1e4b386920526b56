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
        luck: StepResult,
    ) {
        let (kind, to) = write;
        let carried_out = self.would_write(world, operator);
        if kind == WriteKind::AddFinalizer {
            world.operators[operator].memory.finalizer = Some(0);
        }
        match luck {
            StepResult::Late => {
                world.delayed_write = Some(DelayedWrite { request: to, kind });
                world.failed(operator, kind);
            }
            StepResult::AnswerLost => {
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
        let same = world.operators[operator].pass.map(|p| p.uid) == world.object.map(|o| o.uid);
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
                if let Some(pass) = &mut it.pass {
                    pass.project_is_fresh = false;
                }
            }
            WriteKind::Outcome => {
                if let Some(pass) = &mut it.pass {
                    pass.held = Held::Nothing;
                    // What was read before the call says nothing about the time after it.
                    if pass.task {
                        pass.forget_reads();
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
            && let Some(letter) = &mut world.calls[usize::from(attempt)]
        {
            letter.stored = true;
        }
        for attempt in names::members(new.with(|o| o == Outcome::Abandoned)) {
            if let Some(letter) = &mut world.calls[attempt] {
                letter.given_up = true;
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
        if let Some(pass) = writer.and_then(|writer| world.operators[writer].pass.as_mut()) {
            pass.request = to;
            pass.current = true;
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
        let Some(pass) = &mut it.pass else { return };
        let Some(object) = object.filter(|object| object.uid == pass.uid) else {
            it.pass = None;
            return;
        };
        pass.request = object.request;
        pass.current = true;
        pass.reload = None;
        let known = self.requests.get(object.request);
        let goes_on = match (kind, pass.held) {
            (WriteKind::Intent(attempt), _) => known.outcomes[usize::from(attempt)].is_some(),
            // Where the record is not asked for any more, storing it again would change nothing.
            _ => matches!(
                self.next_act(world, operator),
                Some(Act::Write(WriteKind::Outcome, _))
            ),
        };
        if !goes_on {
            world.operators[operator].pass = None;
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
            if let Some(pass) = &mut it.pass {
                pass.current = false;
            }
        }
    }

    /// A write failed, or its response was lost.
    pub(super) fn failed(&mut self, operator: usize, kind: WriteKind) {
        let it = &mut self.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        if pass.task {
            pass.reload = Some(kind);
            // A task that has begun to record that it did not send never sends.
            if let (WriteKind::Outcome, Held::Armed(draft)) = (kind, &mut pass.held) {
                draft.age = MAX_SIGNATURE_AGE;
            }
        } else {
            it.pass = None;
        }
    }
}
