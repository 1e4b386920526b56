//! People change things at any moment, and mend them in the end.

use super::super::build::here;
use super::{Runtime, Walk};

impl Walk {
    /// Whoever could mend something has done so.
    pub(super) fn mend(&mut self) {
        let home = self.object.status.project.as_ref();
        self.around = Runtime {
            elsewhere: home.is_some_and(|home| *home != here()),
            ..Runtime::default()
        };
        self.set_suspend(false);
        self.cloud.finish_tasks();
    }

    /// Somebody does something.
    pub(super) fn meddle(&mut self) -> Result<(), String> {
        if !self.dice.bad() {
            return Ok(());
        }
        match self.dice.throw(12) {
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
            _ => self.cloud.meddle(&mut self.dice),
        }
        let (now, around, object) = (self.cloud.now, self.around, &self.object);
        self.trace.push(format!(
            "-- at {now}: {around:?}, suspend {}, deleting {}",
            object.suspend, object.deleting
        ));
        if self.dice.bad() { self.sleep(1) } else { Ok(()) }
    }

    /// A person who knows what became of an open attempt says so, or gives up.
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

    fn set_suspend(&mut self, suspend: bool) {
        let frozen = self.object.status.completion_time.is_some();
        if self.object.suspend != suspend && !frozen {
            self.object.suspend = suspend;
            self.object.generation += 1;
            self.version += 1;
        }
    }
}
