//! What an operator remembers, and what nobody needs to know any more.

use desktop_deletion_operator::crd::deletion::Outcome;

use super::{Protocol, small};
use crate::names::{self, ATTEMPTS};
use crate::world::{
    Evidence, Held, Look, Memory, Object, Operator, Pass, Post, SETTLE, Sighted, World, WriteKind,
};

impl Protocol {
    /// Forgets what nothing depends on any more.
    pub(super) fn tidy(&self, world: &mut World) {
        let pending = world.object.map_or(0, |object| {
            self.requests.get(object.request).with(|o| o == Outcome::Pending)
        });
        let held = |world: &World, attempt: usize| {
            let of = |held: Held| match held {
                Held::Nothing => None,
                Held::Armed(draft) => Some(draft.attempt),
                Held::Waiting(attempt) | Held::Answered(attempt, _) => Some(attempt),
            };
            let mut passes = world.operators.iter().filter_map(|it| it.pass);
            passes.any(|pass| of(pass.held) == Some(small(attempt)))
        };
        for attempt in 0..ATTEMPTS {
            let on_its_way = world
                .stray
                .is_some_and(|stray| stray.kind == WriteKind::Intent(small(attempt)));
            let recorded = world
                .object
                .is_some_and(|object| self.requests.get(object.request).outcomes[attempt].is_some());
            let flying = world.letters[attempt].is_some_and(|letter| letter.post == Post::Flying);
            let effect = world.cloud.jobs[attempt].is_some();
            if !recorded && !flying && !effect && !on_its_way && !held(world, attempt) {
                world.letters[attempt] = None;
            }
        }
        for it in &mut world.operators {
            it.memory.look = it
                .memory
                .look
                .filter(|(attempt, ..)| names::has(pending, usize::from(*attempt)));
        }
    }
}

impl Operator {
    /// The same without pass and memory.
    pub(super) fn forgetting(self) -> Self {
        Self {
            stopping: self.stopping,
            ..Self::default()
        }
    }
}

impl Pass {
    pub(super) fn new(object: Object) -> Self {
        Self {
            uid: object.uid,
            request: object.request,
            current: true,
            task: false,
            reload: None,
            project: false,
            last_look: false,
            claim: false,
            desktops: Default::default(),
            sweep: None,
            old_reads: false,
            asked: 0,
            jobs: Default::default(),
            trouble: false,
            earlier: None,
            dead: 0,
            held: Held::Nothing,
        }
    }

    /// Reads that are older than the send guard say nothing about now, except that a signed request rests on them.
    pub(super) fn age_reads(&mut self) {
        if self.old_reads && !matches!(self.held, Held::Armed(_)) {
            self.old_reads = false;
            self.desktops = Default::default();
            self.sweep = None;
        }
    }
}

impl Memory {
    /// Notes a look for evidence. One that was not complete settles nothing: the next takes its place.
    pub(super) fn note(&mut self, attempt: u8, found: Evidence) {
        let kept = self
            .look
            .is_some_and(|(of, first, _)| of == attempt && first.complete);
        if !kept {
            self.look = Some((attempt, found, 0));
        }
    }

    /// Notes a read of a desktop.
    pub(super) fn saw(&mut self, desktop: usize, look: Look) -> Sighted {
        let idle = matches!(look, Look::Idle | Look::DeleteFailed);
        let since = idle.then(|| self.idle[desktop].unwrap_or_default());
        self.idle[desktop] = since;
        Sighted {
            look,
            idle_twice: since.is_some_and(|since| since >= SETTLE),
        }
    }
}
