//! Users change things at any moment, and fix them in the end.

use super::super::build::here;
use super::super::rules;
use super::{Environment, Walk};

impl Walk {
    /// Everything that a user could fix is fixed.
    pub(super) fn fix_everything(&mut self) {
        let home = self.object.status.project.as_ref();
        self.around = Environment {
            elsewhere: home.is_some_and(|home| *home != here()),
            guarded: self.around.guarded,
            limit: self.around.limit,
            renamed: self.around.renamed,
            ..Environment::default()
        };
        self.set_suspend(false);
        self.free_others();
        let refused = rules::condition(&self.object.status, "Approved").is_some_and(|c| c.status == "False");
        if refused {
            self.approve();
        }
        self.cloud.finish_tasks();
    }

    /// A user does something.
    pub(super) fn act_as_user(&mut self) -> Result<(), String> {
        if !self.dice.bad() {
            return Ok(());
        }
        match self.dice.throw(19) {
            0 => {}
            1 => self.set_suspend(!self.object.suspend),
            2 => {
                self.object.deleting = true;
                self.version += 1;
                // Without a finalizer it is gone at once.
                self.exists = self.object.finalizer;
            }
            3 => self.around.missing ^= true,
            4 => self.around.elsewhere ^= true,
            5 => self.around.project_suspended ^= true,
            6 => self.around.claimed_by_another ^= true,
            7 => self.around.ahead = [0, 4, -4, 60, -60, 1500][usize::from(self.dice.throw(6))],
            8 => self.around.stopping ^= true,
            9 => self.resolve(),
            10 => self.replace(),
            11 => self.around.guarded ^= true,
            12 => self.approve(),
            13 => self.set_approved(None),
            14 => self.around.renamed += 1,
            15 => self.around.limit = [Some(3), None][usize::from(self.dice.throw(2))],
            16 => self.use_by_others(),
            17 => self.settle(),
            _ => self.cloud.delete_by_another_client(&mut self.dice),
        }
        let (now, around, object) = (self.cloud.now, self.around, &self.object);
        self.trace.push(format!(
            "-- at {now}: {around:?}, suspend {}, deleting {}",
            object.suspend, object.deleting
        ));
        if self.dice.bad() { self.sleep(1) } else { Ok(()) }
    }

    /// A user who knows the outcome of an open attempt resolves it, or abandons it.
    fn resolve(&mut self) {
        let Some(open) = self
            .object
            .status
            .attempts
            .iter()
            .rfind(|a| !a.job_ids.is_empty() || a.is_open())
        else {
            return;
        };
        let effect = self
            .cloud
            .effects
            .iter()
            .find(|(attempt, ..)| *attempt == open.id);
        let verb = match (self.dice.throw(3), effect) {
            (0, Some((_, job, _))) => format!("adopt:{job}"),
            (0, None) if !self.cloud.is_awaited() => "retry".to_owned(),
            (1, None) if !self.cloud.is_awaited() => "adopt:j1".to_owned(),
            _ => "abandon".to_owned(),
        };
        self.trace.push(format!("-- {}={verb}", open.id));
        self.object.resolve = Some(format!("{}={verb}", open.id));
        self.version += 1;
    }

    /// A client replaces the object by one that lacks the finalizer. The policy keeps it while a call may take effect.
    fn replace(&mut self) {
        let attempts = &self.object.status.attempts;
        let may_take_effect = attempts.iter().any(|a| a.is_open() || a.took_effect());
        if self.object.finalizer && !may_take_effect {
            self.object.finalizer = false;
            self.version += 1;
            self.exists = !self.object.deleting;
        }
    }

    /// Approves the plan that is shown. Set once more it would be no edit, so it is taken away first.
    fn approve(&mut self) {
        let shown = self.object.status.plan.as_ref().map(|plan| plan.hash.clone());
        let again = shown == self.object.approved_plan;
        self.set_approved(shown.filter(|_| !again));
    }

    fn set_approved(&mut self, hash: Option<String>) {
        let frozen = self.object.status.completion_time.is_some();
        if self.object.approved_plan != hash && !frozen {
            self.object.approved_plan = hash;
            self.object.generation += 1;
            self.version += 1;
        }
    }

    fn set_suspend(&mut self, suspend: bool) {
        let frozen = self.object.status.completion_time.is_some();
        if self.object.suspend != suspend && !frozen {
            self.object.suspend = suspend;
            self.object.generation += 1;
            self.version += 1;
        }
    }
}
