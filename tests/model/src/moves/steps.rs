//! Steps of an operator other than writes: what it does alone, what it reads, and the sending.

use super::{Protocol, small};
use crate::action::Luck;
use crate::config::Mutant;
use crate::decide::Act;
use crate::names::{self, ATTEMPTS};
use crate::world::{Batch, Draft, Held, Letter, Look, Memory, Pass, Post, World, WriteKind};

impl Protocol {
    pub(super) fn load(&self, world: &mut World, operator: usize) {
        let dead =
            names::set((0..ATTEMPTS).filter(|attempt| {
                world.letters[*attempt].is_some_and(|letter| letter.age >= self.dead_at())
            }));
        let it = &mut world.operators[operator];
        let Some(object) = world.object else {
            it.memory = Memory::default();
            return;
        };
        if it.memory.uid != object.uid {
            it.memory = Memory {
                uid: object.uid,
                ..Memory::default()
            };
        }
        let earlier = it.memory.look.filter(|(.., since)| *since >= self.settle());
        let mut pass = Pass::new(object);
        pass.earlier = earlier.map(|(attempt, found, _)| (attempt, found));
        pass.dead = dead;
        it.pass = Some(pass);
    }

    /// Takes the steps in which nothing outside the operator has a part: nothing else can tell when they happened.
    pub(super) fn run_on(&self, world: &mut World, operator: usize) {
        while let Some(act) = self.next_act(world, operator) {
            let it = &mut world.operators[operator];
            let Some(pass) = &mut it.pass else { return };
            match act {
                Act::ReadProject => {
                    pass.project = true;
                    pass.last_look = true;
                }
                Act::Claim => pass.claim = true,
                Act::ReadOwner(job) => pass.asked |= names::only(job),
                Act::Sign(batch) => self.sign(world, operator, batch),
                Act::Wait(found) => {
                    if let Some((attempt, found)) = found {
                        it.memory.note(attempt, found);
                    }
                    it.pass = None;
                }
                Act::StartOver | Act::Rest | Act::Illegal => it.pass = None,
                _ => return,
            }
        }
    }

    pub(super) fn sign(&self, world: &mut World, operator: usize, batch: Batch) {
        // Without a fault left, a further attempt is the last one.
        let limit = if world.faults == 0 {
            ATTEMPTS
        } else {
            self.config.attempts
        };
        let free = (0..limit).find(|attempt| world.letters[*attempt].is_none());
        let it = &mut world.operators[operator];
        let (Some(attempt), Some(pass)) = (free, &mut it.pass) else {
            it.pass = None;
            return;
        };
        it.memory.idle = Default::default();
        pass.task = true;
        pass.held = Held::Armed(Draft {
            attempt: small(attempt),
            fresh: true,
            batch,
        });
        let uid = pass.uid;
        world.forget_namesakes(attempt);
        world.letters[attempt] = Some(Letter {
            uid,
            body: batch.body,
            age: 0,
            gateway_age: 0,
            stored: false,
            given_up: false,
            post: Post::Unsent,
        });
    }

    pub(super) fn step(&self, world: &mut World, operator: usize, luck: Luck) {
        if let Some(kind) = world.operators[operator].pass.and_then(|pass| pass.reload) {
            self.reload(world, operator, kind);
            return;
        }
        let Some(act) = self.next_act(world, operator) else {
            return;
        };
        let cloud = world.cloud;
        let blind = self.config.lacks(Mutant::EvidenceIgnored) && self.in_doubt(world, operator);
        let it = &mut world.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        pass.task &= matches!(
            act,
            Act::Post(_) | Act::Write(WriteKind::Intent(_) | WriteKind::Outcome, _)
        );
        match act {
            Act::ReadDesktops(_) | Act::ReadDesktop(_) | Act::ReadSubJobs => pass.last_look = false,
            _ => {}
        }
        pass.trouble |= luck == Luck::Trouble;
        match act {
            _ if luck == Luck::Trouble => {}
            Act::ReadDesktops(set) => {
                for desktop in names::members(set) {
                    let look = if blind { Look::Idle } else { cloud.listed(desktop) };
                    pass.desktops[desktop] = Some(it.memory.saw(desktop, look));
                }
            }
            Act::ReadDesktop(desktop) => {
                pass.desktops[desktop] = Some(it.memory.saw(desktop, cloud.shown(desktop)));
            }
            Act::ReadSubJobs => {
                let mut sweep = cloud.sweep();
                if blind {
                    sweep.rows = Default::default();
                }
                sweep.complete = luck != Luck::Incomplete;
                pass.sweep = Some(sweep);
            }
            Act::ReadJob(job) => pass.jobs[job] = Some(cloud.row(job)),
            Act::Write(kind, to) => self.write(world, operator, (kind, to), luck),
            Act::Post(attempt) => self.post(world, operator, usize::from(attempt)),
            _ => {}
        }
    }

    pub(super) fn in_doubt(&self, world: &World, operator: usize) -> bool {
        let pass = world.operators[operator].pass;
        pass.is_some_and(|pass| self.requests.get(pass.request).doubtful() != 0)
    }

    pub(super) fn post(&self, world: &mut World, operator: usize, attempt: usize) {
        let stored = world.operators[operator]
            .pass
            .map(|pass| self.requests.get(pass.request));
        world.judge_post(attempt, stored);
        if let Some(letter) = &mut world.letters[attempt] {
            letter.post = Post::Flying;
            if self.config.lacks(Mutant::SignedWhenSent) {
                letter.gateway_age = 0;
            }
        }
        if let Some(pass) = &mut world.operators[operator].pass {
            pass.held = Held::Waiting(small(attempt));
        }
    }
}

impl World {
    /// A number that is given out again stands for another attempt now.
    pub(super) fn forget_namesakes(&mut self, attempt: usize) {
        for it in &mut self.operators {
            if let Some(pass) = &mut it.pass {
                pass.dead &= !names::only(attempt);
                pass.earlier = pass.earlier.filter(|(of, _)| usize::from(*of) != attempt);
            }
        }
    }
}
