//! Whether what was said last is true.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::deletion::{DesktopState, Outcome};
use desktop_deletion_operator::ids::DesktopID;

use super::super::rules;
use super::Walk;

impl Walk {
    /// The object is gone: nothing of ours may arrive any more, for a twin would post over it.
    pub(super) fn gone(&self) -> Result<(), String> {
        if self.cloud.is_awaited() && !self.was_abandoned() {
            return Err("the object went while its request may still arrive".to_owned());
        }
        Ok(())
    }

    /// What was said last is true.
    pub(super) fn ended(&self) -> Result<(), String> {
        let status = &self.object.status;
        if self.cloud.is_awaited() {
            return Err("finished while a request may still arrive".to_owned());
        }
        let known: BTreeSet<_> = status.attempts.iter().flat_map(|a| &a.job_ids).collect();
        let recovered = rules::condition(status, "Submitted").is_some_and(|c| c.reason == "JobUnknown");
        for (attempt, job, ids) in &self.cloud.effects {
            if !known.contains(job) && !recovered && !self.was_abandoned() {
                return Err(format!("I3: job {job} of {attempt} is not known"));
            }
            let mut ours = status.desktops.iter().filter(|d| ids.contains(&d.id));
            if let Some(d) = ours.find(|d| !self.is_true(&d.id, d.state)) {
                return Err(format!("wrong verdict: {} is not {:?}", d.id, d.state));
            }
        }
        for d in &status.desktops {
            let gone = matches!(d.state, DesktopState::Deleted | DesktopState::Absent);
            if gone && !self.cloud.is_gone(&d.id) {
                return Err(format!("wrong verdict: {} is not {:?}", d.id, d.state));
            }
        }
        Ok(())
    }

    /// Whether the state of a desktop that was submitted with effect is as it is.
    fn is_true(&self, id: &DesktopID, state: DesktopState) -> bool {
        match state {
            DesktopState::Deleted => self.cloud.is_gone(id),
            // Somebody else may have deleted it since.
            DesktopState::Failed => !self.cloud.is_ours(id),
            DesktopState::Unknown => self.was_abandoned(),
            _ => false,
        }
    }

    pub(super) fn was_abandoned(&self) -> bool {
        let status = &self.object.status;
        let attempts = status.attempts.iter().any(|a| a.outcome == Outcome::Abandoned);
        attempts || rules::condition(status, "Succeeded").is_some_and(|c| c.reason == "Abandoned")
    }
}
