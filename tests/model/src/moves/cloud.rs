//! What the cloud does with a request, and what it shows.

use super::Protocol;
use crate::action::CallResult;
use crate::config::Mutant;
use crate::names::{self, Set};
use crate::world::{Answer, CallState, Cloud, DesktopRead, Held, Job, ReadState, Row, SubJobList, World};

impl Protocol {
    pub(super) fn arrive(&self, world: &mut World, attempt: usize, result: CallResult) {
        let harmless = matches!(result, CallResult::Accepted | CallResult::Expired);
        world.faults = world.faults.saturating_sub(u8::from(!harmless));
        if result.takes_effect() {
            world.judge_effect(attempt);
            world.accept(attempt);
        }
        let listener = world.listener(attempt);
        let answer = match result {
            CallResult::Accepted => Answer::Accepted,
            CallResult::NotSent => Answer::NotSent,
            CallResult::Throttled => Answer::Throttled,
            CallResult::Invalid => Answer::Invalid,
            CallResult::Expired => Answer::Expired,
            _ => self.doubt(),
        };
        let again = answer == Answer::Doubt && self.config.lacks(Mutant::ClientRetries);
        if let Some(call) = &mut world.calls[attempt]
            && !(again && listener.is_some())
        {
            call.state = CallState::Over;
        }
        if let (Some(operator), false) = (listener, again) {
            if !matches!(answer, Answer::NotSent | Answer::Doubt) {
                Self::note_date(&mut world.operators[operator], world.cloud_clock);
            }
            world.give_up(operator, answer);
        }
    }

    /// How an inconclusive response is treated.
    pub(super) fn doubt(&self) -> Answer {
        if self.config.lacks(Mutant::DoubtTakenAsRefusal) {
            Answer::Throttled
        } else {
            Answer::Doubt
        }
    }
}

impl World {
    pub(super) fn give_up(&mut self, operator: usize, answer: Answer) {
        if let Some(reconciliation) = &mut self.operators[operator].reconciliation
            && let Held::Waiting(attempt) = reconciliation.held
        {
            reconciliation.held = Held::Answered(attempt, answer);
        }
    }

    pub(super) fn accept(&mut self, attempt: usize) {
        if let Some(call) = self.calls[attempt] {
            self.cloud.jobs[attempt] = Some(Job::new(call.body & !self.cloud.gone));
        }
    }

    pub(super) fn change_job(&mut self, job: usize, change: impl FnOnce(&mut Job)) {
        if let Some(job) = &mut self.cloud.jobs[job] {
            change(job);
        }
    }

    pub(super) fn end(&mut self, job: usize, desktop: usize, deleted: bool) {
        let desktop = names::only(desktop);
        if deleted {
            self.cloud.gone |= desktop;
            self.cloud.failed &= !desktop;
        } else if self.cloud.gone & desktop == 0 {
            self.cloud.failed |= desktop;
        }
        self.change_job(job, |job| {
            if deleted {
                job.deleted |= desktop;
            } else {
                job.failed |= desktop;
            }
        });
    }
}

impl Cloud {
    /// What a list shows of a desktop.
    pub(super) fn listed(&self, desktop: usize) -> ReadState {
        match self.shown(desktop) {
            ReadState::Gone => ReadState::Missing,
            look => look,
        }
    }

    /// What a read of one desktop shows.
    pub(super) fn shown(&self, desktop: usize) -> ReadState {
        let deleting = |job: &Job| job.visible && names::has(job.open(), desktop);
        if names::has(self.gone, desktop) {
            ReadState::Gone
        } else if self.jobs.iter().flatten().any(deleting) {
            ReadState::Deleting
        } else if names::has(self.failed, desktop) {
            ReadState::DeleteFailed
        } else {
            ReadState::Idle
        }
    }

    /// A read of a desktop with what it says of its user.
    pub(super) fn with_user(&self, desktop: usize, read: DesktopRead) -> DesktopRead {
        DesktopRead {
            reassigned: names::has(self.reassigned, desktop),
            ..read
        }
    }

    pub(super) fn row(&self, job: usize) -> Row {
        let visible = self.jobs[job].filter(|job| job.visible);
        visible.map_or_else(Row::default, |job| Row {
            open: job.open(),
            deleted: job.deleted,
            failed: job.failed,
        })
    }

    pub(super) fn sub_job_list(&self) -> SubJobList {
        SubJobList {
            rows: std::array::from_fn(|job| self.row(job)),
            complete: true,
        }
    }
}

impl Job {
    pub(super) fn new(body: Set) -> Self {
        Self {
            body,
            visible: false,
            lag: 0,
            deleted: 0,
            failed: 0,
        }
    }
}
