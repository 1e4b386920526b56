//! The API server: writes conflict, and the response to one may be lost.

use desktop_deletion_operator::plan::observed::{Request, Submission};
use desktop_deletion_operator::plan::step::Step;
use invariants::terminal_is_final;

use super::super::build::minute;
use super::super::rules;
use super::super::tell::describe;
use super::{Reconciliation, Then, Walk};

impl Walk {
    /// Writes the status that a step makes, unless the object changed meanwhile.
    pub(super) fn write(&mut self, reconciliation: &mut Reconciliation, step: &Step) -> Result<Then, String> {
        if self.conflicts(reconciliation) {
            return Ok(Then::End { sleep: 0 });
        }
        self.store(step)?;
        self.reload(reconciliation);
        Ok(Then::GoOn)
    }

    fn store(&mut self, step: &Step) -> Result<(), String> {
        let now = minute(self.cloud.now);
        let finished = self.object.status.completion_time.is_some();
        rules::holds(terminal_is_final::write(finished, &describe(step)))?;
        let wrong = rules::wrongs(&self.object, step, &now);
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        self.object.status = rules::written(&self.object, step, &now).unwrap();
        self.version += 1;
        Ok(())
    }

    /// The object as a read shows it.
    pub(super) fn stored(&self) -> Request {
        Request {
            resource_version: self.version.to_string(),
            ..self.object.clone()
        }
    }

    fn conflicts(&mut self, reconciliation: &Reconciliation) -> bool {
        !self.exists || reconciliation.version != self.version || self.dice.bad()
    }

    fn reload(&self, reconciliation: &mut Reconciliation) {
        reconciliation.seen.request = self.stored();
        reconciliation.version = self.version;
    }

    /// The response to the intent may be lost; then the object says whether it is there.
    pub(super) fn store_intent(
        &mut self,
        reconciliation: &mut Reconciliation,
        step: &Step,
    ) -> Result<Then, String> {
        let Step::RecordIntent(intent) = step else {
            return Ok(Then::GoOn);
        };
        if self.conflicts(reconciliation) {
            return Ok(Then::End { sleep: 0 });
        }
        let way = self.dice.throw(3);
        if way != 2 {
            self.store(step)?;
        }
        if way != 0 {
            // Lost: the object is read again, and another client may have changed it since.
            self.act_as_user()?;
        }
        self.reload(reconciliation);
        let stored = self
            .object
            .status
            .attempts
            .iter()
            .any(|a| a.id == intent.attempt.id);
        if self.exists && stored {
            Ok(Then::GoOn)
        } else {
            Ok(Then::End { sleep: 0 })
        }
    }

    /// Stored as often as it takes.
    pub(super) fn store_outcome(
        &mut self,
        reconciliation: &mut Reconciliation,
        step: &Step,
    ) -> Result<Then, String> {
        if !self.exists {
            return Ok(Then::End { sleep: 0 });
        }
        if self.conflicts(reconciliation) {
            self.reload(reconciliation);
            return Ok(Then::GoOn);
        }
        self.store(step)?;
        self.reload(reconciliation);
        reconciliation.seen.submission = Submission::None;
        // What was read before the call says nothing about the time after it.
        reconciliation.seen.claim = None;
        reconciliation.seen.desktops.clear();
        reconciliation.seen.single_reads.clear();
        reconciliation.seen.sub_job_list = None;
        Ok(Then::GoOn)
    }

    pub(super) fn set_finalizer(&mut self, reconciliation: &mut Reconciliation, on: bool) -> Then {
        if self.conflicts(reconciliation) {
            return Then::End { sleep: 0 };
        }
        self.object.finalizer = on;
        self.version += 1;
        if !on && self.object.deleting {
            self.exists = false;
            return Then::End { sleep: 0 };
        }
        self.reload(reconciliation);
        reconciliation.seen.project_is_fresh = false;
        Then::GoOn
    }
}
