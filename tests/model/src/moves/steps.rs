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
        it.reconciliation = Some(Reconciliation {
            first_evidence: it.memory.first_evidence,
            ..Reconciliation::new(object)
        });
    }

    /// Brings what an operator knows of the time up to date, as the shipped shell does before every step.
    pub(super) fn refresh(&self, world: &mut World, operator: usize) {
        let it = &mut world.operators[operator];
        let Some(reconciliation) = &mut it.reconciliation else {
            return;
        };
        self.decisions.drop_stale(&self.requests, reconciliation);
        if self.config.clock_faults > 0 {
            self.rules
                .saw(&self.requests, reconciliation.request, &mut it.memory);
        }
    }

    /// Takes the steps in which nothing outside the operator has a part: nothing else can tell when they happened.
    pub(super) fn run_on(&self, world: &mut World, operator: usize) {
        self.refresh(world, operator);
        while let Some(act) = self.next_act(world, operator) {
            let held = self.claim_lasts(world, &world.operators[operator]);
            let it = &mut world.operators[operator];
            let Some(reconciliation) = &mut it.reconciliation else {
                return;
            };
            match act {
                Act::ReadProject => {
                    reconciliation.project = true;
                    reconciliation.project_is_fresh = true;
                }
                Act::Claim => {
                    reconciliation.claim = Some(if held { Claim::Reserved } else { Claim::Granted });
                }
                Act::ReleasePermit => reconciliation.permit = SendPermit::Returned,
                Act::ReadOwner(job) => reconciliation.asked |= names::only(job),
                Act::Sign(batch) => self.sign(world, operator, batch),
                Act::Wait(found) => {
                    if let Some((attempt, found)) = found {
                        let request = &self.requests.get(reconciliation.request).request;
                        it.memory
                            .record_evidence(attempt, found, reconciliation.began, request);
                    }
                    self.waits(world, operator);
                }
                Act::StartOver | Act::Rest | Act::Illegal => it.reconciliation = None,
                _ => return,
            }
        }
    }

    /// A reconciliation ends with a wait. If it has seen the current object, and could have restored the finalizer, it
    /// has.
    fn waits(&self, world: &mut World, operator: usize) {
        let Some(reconciliation) = world.operators[operator].reconciliation else {
            return;
        };
        if world.replaced && reconciliation.current {
            let facts = self.facts(world, operator, &reconciliation);
            world.replaced = !facts.finalizer_due || facts.stopping;
        }
        world.operators[operator].reconciliation = None;
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
        let (Some(attempt), Some(reconciliation)) = (free, &mut it.reconciliation) else {
            it.reconciliation = None;
            return;
        };
        it.memory.idle = Default::default();
        reconciliation.task = true;
        reconciliation.held = Held::Armed(Draft {
            attempt: small(attempt),
            age: 0,
            batch,
        });
        let (uid, signed) = (reconciliation.uid, -it.wall);
        let reassigned =
            names::members(batch.body).filter(|d| reconciliation.desktops[*d].is_some_and(|d| d.reassigned));
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
            state: CallState::Unsent,
        });
    }

    pub(super) fn step(&self, world: &mut World, operator: usize, result: StepResult) {
        if let Some(kind) = world.operators[operator]
            .reconciliation
            .and_then(|reconciliation| reconciliation.reload)
        {
            self.reload(world, operator, kind);
            return;
        }
        let Some(act) = self.next_act(world, operator) else {
            return;
        };
        let cloud = world.cloud;
        if act.reads_the_cloud() && result != StepResult::ReadFailure {
            let date = if let StepResult::FalseDate(date) = result {
                date
            } else {
                world.cloud_clock
            };
            Self::note_date(&mut world.operators[operator], date);
        }
        let blind = self.config.lacks(Mutant::EvidenceIgnored) && self.in_doubt(world, operator);
        let it = &mut world.operators[operator];
        let Some(reconciliation) = &mut it.reconciliation else {
            return;
        };
        reconciliation.task &= matches!(
            act,
            Act::Post(_) | Act::Write(WriteKind::Intent(_) | WriteKind::Outcome, _)
        );
        if matches!(act, Act::ReadDesktops(_) | Act::ReadDesktop(_) | Act::ReadSubJobs) {
            reconciliation.project_is_fresh = false;
            reconciliation.read = reconciliation.read.or(Some(0));
        }
        reconciliation.read_failure |= result == StepResult::ReadFailure;
        match act {
            _ if result == StepResult::ReadFailure => {}
            Act::ReadDesktops(set) => {
                for desktop in names::members(set) {
                    let state = if blind {
                        ReadState::Idle
                    } else {
                        cloud.listed(desktop)
                    };
                    let read = self.rules.read(desktop, state, &mut it.memory);
                    reconciliation.desktops[desktop] = Some(cloud.with_user(desktop, read));
                }
            }
            Act::ReadDesktop(desktop) => {
                let read = self.rules.read(desktop, cloud.shown(desktop), &mut it.memory);
                reconciliation.desktops[desktop] = Some(cloud.with_user(desktop, read));
            }
            Act::ReadSubJobs => {
                let mut sub_job_list = cloud.sub_job_list();
                if blind {
                    sub_job_list.rows = Default::default();
                }
                sub_job_list.complete = result != StepResult::Incomplete;
                reconciliation.sub_job_list = Some(sub_job_list);
            }
            Act::ReadJob(job) => reconciliation.jobs[job] = Some(cloud.row(job)),
            // It was waited for, and everything else went on meanwhile.
            Act::AcquirePermit => {
                (reconciliation.permit, reconciliation.project_is_fresh) = (SendPermit::Held, false);
            }
            Act::Write(kind, to) => self.write(world, operator, (kind, to), result),
            Act::Post(attempt) => {
                reconciliation.permit = SendPermit::None;
                self.post(world, operator, usize::from(attempt));
            }
            _ => {}
        }
    }

    pub(super) fn in_doubt(&self, world: &World, operator: usize) -> bool {
        let reconciliation = world.operators[operator].reconciliation;
        reconciliation.is_some_and(|reconciliation| self.requests.get(reconciliation.request).doubtful() != 0)
    }

    pub(super) fn post(&self, world: &mut World, operator: usize, attempt: usize) {
        let stored = world.operators[operator]
            .reconciliation
            .map(|reconciliation| self.requests.get(reconciliation.request));
        world.judge_post(attempt, stored);
        if let Some(call) = &mut world.calls[attempt] {
            call.state = CallState::InFlight;
            if self.config.lacks(Mutant::SignedWhenSent) {
                call.gateway_age = -world.operators[operator].wall;
            }
        }
        if let Some(reconciliation) = &mut world.operators[operator].reconciliation {
            reconciliation.held = Held::Waiting(small(attempt));
        }
    }
}

impl World {
    /// A number that is given out again stands for another attempt now.
    pub(super) fn forget_namesakes(&mut self, attempt: usize) {
        for it in &mut self.operators {
            it.memory.first_saw[attempt] = None;
            let other = |look: &FirstEvidence| usize::from(look.attempt) != attempt;
            it.memory.first_evidence = it.memory.first_evidence.filter(other);
            if let Some(reconciliation) = &mut it.reconciliation {
                reconciliation.first_evidence = reconciliation.first_evidence.filter(other);
            }
        }
    }
}
