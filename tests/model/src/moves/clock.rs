//! What the operators know of time, and how it passes.

use super::Protocol;
use crate::config::Mutant;
use crate::decide::Times;
use crate::names;
use crate::world::{CAP, GUARD, Held, Letter, OVERDUE, Pass, Post, SETTLE, World};

impl Protocol {
    pub(super) fn times(&self, world: &World, operator: usize, pass: &Pass) -> Times {
        let known = self.requests.get(pass.request);
        let age = |attempt: usize| world.letters[attempt].map_or(CAP, |letter| letter.age);
        let doubtful = known.doubtful();
        let effective = known
            .request
            .status
            .attempts
            .iter()
            .rev()
            .find(|a| a.took_effect())
            .and_then(|a| names::attempt_number(&a.id))
            .map(age);
        Times {
            stopping: world.operators[operator].stopping,
            deadline_passed: world.late,
            retry_due: !known.last_failed || known.last.is_none_or(|last| age(last) >= 1),
            settled: effective.is_none_or(|age| age >= GUARD * 2 + SETTLE),
            overdue: effective.is_some_and(|age| age >= OVERDUE),
            surely_dead: doubtful != 0 && doubtful & !pass.dead == 0,
            evidence_overdue: doubtful != 0
                && names::members(doubtful).all(|attempt| age(attempt) >= self.dead_at() + 2),
        }
    }

    /// Age at which a request is surely dead and its effect visible.
    pub(super) fn dead_at(&self) -> u8 {
        if self.config.lacks(Mutant::NoWaitForExpiry) {
            0
        } else if self.config.lacks(Mutant::NoSettleTime) {
            self.config.window()
        } else {
            self.config.window() + SETTLE
        }
    }

    /// Ticks for which an accepted request may stay invisible.
    pub(super) fn lag(&self) -> u8 {
        if self.config.lacks(Mutant::ShownTooLate) {
            CAP
        } else {
            SETTLE
        }
    }

    pub(super) fn settle(&self) -> u8 {
        if self.config.lacks(Mutant::NoSettleTime) {
            0
        } else {
            SETTLE
        }
    }
}

impl World {
    /// An operator is slow to send or the network to deliver: a fault, if time passes now.
    pub fn is_slow(&self) -> bool {
        let armed = |held| {
            matches!(held, Held::Armed(draft)
                if self.letters[usize::from(draft.attempt)].is_some_and(|letter| letter.age == 0))
        };
        let mut passes = self.operators.iter().filter_map(|it| it.pass);
        let flying = |(attempt, letter): (usize, &Option<Letter>)| {
            let new = letter.is_some_and(|letter| letter.post == Post::Flying && letter.gateway_age == 0);
            new && self.listener(attempt).is_some()
        };
        passes.any(|pass| armed(pass.held)) || self.letters.iter().enumerate().any(flying)
    }

    /// What is signed when it is sent is never too old to be sent.
    pub(super) fn refresh_drafts(&mut self) {
        for it in &mut self.operators {
            if let Some(Held::Armed(draft)) = it.pass.as_mut().map(|pass| &mut pass.held) {
                draft.fresh = true;
            }
        }
    }

    pub(super) fn tick(&mut self, longest_lag: u8) {
        let older = |age: u8| (age + 1).min(CAP);
        for letter in self.letters.iter_mut().flatten() {
            letter.age = older(letter.age);
            letter.gateway_age = older(letter.gateway_age);
        }
        for job in self.cloud.jobs.iter_mut().flatten().filter(|job| !job.visible) {
            job.lag += 1;
            if job.lag > longest_lag {
                job.visible = true;
                job.lag = 0;
            }
        }
        for it in &mut self.operators {
            if let Some((.., since)) = &mut it.memory.look {
                *since = (*since + 1).min(SETTLE);
            }
            for since in it.memory.idle.iter_mut().flatten() {
                *since = (*since + 1).min(SETTLE);
            }
            if let Some(pass) = &mut it.pass {
                pass.old_reads = pass.sweep.is_some() || pass.desktops.iter().any(Option::is_some);
                if let Held::Armed(draft) = &mut pass.held {
                    draft.fresh = false;
                }
            }
        }
    }
}
