//! Steps of an operator other than writes: what it does alone, what it reads, and the sending.

use desktop_deletion_operator::plan::observed::SendPermit;

use super::{Protocol, small};
use crate::action::StepResult;
use crate::config::Mutant;
use crate::decide::Act;
use crate::names::{self, ATTEMPTS};
use crate::world::{
    Batch, CallState, Claim, Draft, FirstEvidence, Held, Memory, ReadState, Reconciliation, SignedCall,
    World, WriteKind,
};

impl Protocol {
    pub(super) fn load(world: &mut World, operator: usize) {
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
        it.pass = Some(Reconciliation {
            look: it.memory.look,
            ..Reconciliation::new(object)
        });
    }

    /// Brings what an operator knows of the time up to date, as the shipped shell does before every step.
    pub(super) fn refresh(&self, world: &mut World, operator: usize) {
        let it = &mut world.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        self.decisions.drop_stale(&self.requests, pass);
        if self.config.clock_faults > 0 {
            self.rules.saw(&self.requests, pass.request, &mut it.memory);
        }
    }

    /// Takes the steps in which nothing outside the operator has a part: nothing else can tell when they happened.
    pub(super) fn run_on(&self, world: &mut World, operator: usize) {
        self.refresh(world, operator);
        while let Some(act) = self.next_act(world, operator) {
            let held = self.claim_lasts(world, &world.operators[operator]);
            let it = &mut world.operators[operator];
            let Some(pass) = &mut it.pass else { return };
            match act {
                Act::ReadProject => {
                    pass.project = true;
                    pass.project_is_fresh = true;
                }
                Act::Claim => pass.claim = Some(if held { Claim::Reserved } else { Claim::Granted }),
                Act::ReleasePermit => pass.permit = SendPermit::Returned,
                Act::ReadOwner(job) => pass.asked |= names::only(job),
                Act::Sign(batch) => self.sign(world, operator, batch),
                Act::Wait(found) => {
                    if let Some((attempt, found)) = found {
                        let request = &self.requests.get(pass.request).request;
                        it.memory.record_evidence(attempt, found, pass.began, request);
                    }
                    self.waits(world, operator);
                }
                Act::StartOver | Act::Rest | Act::Illegal => it.pass = None,
                _ => return,
            }
        }
    }

    /// A reconciliation ends with a wait. If it has seen the current object, and could have restored the finalizer, it
    /// has.
    fn waits(&self, world: &mut World, operator: usize) {
        let Some(pass) = world.operators[operator].pass else {
            return;
        };
        if world.replaced && pass.current {
            let facts = self.facts(world, operator, &pass);
            world.replaced = !facts.finalizer_due || facts.stopping;
        }
        world.operators[operator].pass = None;
    }

    pub(super) fn sign(&self, world: &mut World, operator: usize, batch: Batch) {
        // Without a fault left, a further attempt is the last one.
        let limit = if world.faults == 0 {
            ATTEMPTS
        } else {
            self.config.attempts
        };
        let free = (0..limit).find(|attempt| world.calls[*attempt].is_none());
        let it = &mut world.operators[operator];
        let (Some(attempt), Some(pass)) = (free, &mut it.pass) else {
            it.pass = None;
            return;
        };
        it.memory.idle = Default::default();
        pass.task = true;
        pass.held = Held::Armed(Draft {
            attempt: small(attempt),
            age: 0,
            batch,
        });
        let (uid, signed) = (pass.uid, -it.wall);
        let reassigned =
            names::members(batch.body).filter(|d| pass.desktops[*d].is_some_and(|d| d.reassigned));
        let reassigned = names::set(reassigned);
        world.forget_namesakes(attempt);
        world.calls[attempt] = Some(SignedCall {
            uid,
            body: batch.body,
            reassigned,
            age: signed,
            gateway_age: signed,
            stored: false,
            given_up: false,
            post: CallState::Unsent,
        });
    }

    pub(super) fn step(&self, world: &mut World, operator: usize, luck: StepResult) {
        if let Some(kind) = world.operators[operator].pass.and_then(|pass| pass.reload) {
            self.reload(world, operator, kind);
            return;
        }
        let Some(act) = self.next_act(world, operator) else {
            return;
        };
        let cloud = world.cloud;
        if act.reads_the_cloud() && luck != StepResult::ReadFailure {
            let date = if let StepResult::FalseDate(date) = luck {
                date
            } else {
                world.cloud_clock
            };
            Self::note_date(&mut world.operators[operator], date);
        }
        let blind = self.config.lacks(Mutant::EvidenceIgnored) && self.in_doubt(world, operator);
        let it = &mut world.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        pass.task &= matches!(
            act,
            Act::Post(_) | Act::Write(WriteKind::Intent(_) | WriteKind::Outcome, _)
        );
        if matches!(act, Act::ReadDesktops(_) | Act::ReadDesktop(_) | Act::ReadSubJobs) {
            pass.project_is_fresh = false;
            pass.read = pass.read.or(Some(0));
        }
        pass.read_failure |= luck == StepResult::ReadFailure;
        match act {
            _ if luck == StepResult::ReadFailure => {}
            Act::ReadDesktops(set) => {
                for desktop in names::members(set) {
                    let look = if blind {
                        ReadState::Idle
                    } else {
                        cloud.listed(desktop)
                    };
                    let read = self.rules.read(desktop, look, &mut it.memory);
                    pass.desktops[desktop] = Some(cloud.with_user(desktop, read));
                }
            }
            Act::ReadDesktop(desktop) => {
                let read = self.rules.read(desktop, cloud.shown(desktop), &mut it.memory);
                pass.desktops[desktop] = Some(cloud.with_user(desktop, read));
            }
            Act::ReadSubJobs => {
                let mut sub_job_list = cloud.sub_job_list();
                if blind {
                    sub_job_list.rows = Default::default();
                }
                sub_job_list.complete = luck != StepResult::Incomplete;
                pass.sub_job_list = Some(sub_job_list);
            }
            Act::ReadJob(job) => pass.jobs[job] = Some(cloud.row(job)),
            // It was waited for, and everything else went on meanwhile.
            Act::AcquirePermit => (pass.permit, pass.project_is_fresh) = (SendPermit::Held, false),
            Act::Write(kind, to) => self.write(world, operator, (kind, to), luck),
            Act::Post(attempt) => {
                pass.permit = SendPermit::None;
                self.post(world, operator, usize::from(attempt));
            }
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
        if let Some(letter) = &mut world.calls[attempt] {
            letter.post = CallState::InFlight;
            if self.config.lacks(Mutant::SignedWhenSent) {
                letter.gateway_age = -world.operators[operator].wall;
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
            it.memory.first_saw[attempt] = None;
            let other = |look: &FirstEvidence| usize::from(look.attempt) != attempt;
            it.memory.look = it.memory.look.filter(other);
            if let Some(pass) = &mut it.pass {
                pass.look = pass.look.filter(other);
            }
        }
    }
}
