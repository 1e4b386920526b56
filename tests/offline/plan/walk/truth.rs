//! Whether what was said last is true.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::deletion::Outcome;
use desktop_deletion_operator::ids::DesktopID;
use invariants::final_state_is_correct::{self, ActualState};
use invariants::no_job_is_lost::{self, JobRecord};
use invariants::one_request_per_desktop;

use super::super::rules;
use super::Walk;

impl Walk {
    /// The object is gone: no call of it may take effect any more, because a second request would send one too.
    pub(super) fn gone(&self) -> Result<(), String> {
        let lands = self.cloud.is_awaited() && !self.was_abandoned();
        rules::holds(one_request_per_desktop::released(lands, ""))
    }

    /// What was said last is true.
    pub(super) fn ended(&self) -> Result<(), String> {
        let status = &self.object.status;
        rules::holds(one_request_per_desktop::finished(self.cloud.is_awaited(), ""))?;
        let known: BTreeSet<_> = status.attempts.iter().flat_map(|a| &a.job_ids).collect();
        let recovered = rules::condition(status, "Submitted").is_some_and(|c| c.reason == "JobUnknown");
        for (attempt, job, _) in &self.cloud.effects {
            let record = JobRecord {
                stored: known.contains(job),
                declared: recovered,
                given_up: self.was_abandoned(),
                open: false,
            };
            let lost = no_job_is_lost::job(job.as_str(), record);
            rules::holds(lost.map(|what| what.of(attempt.as_str())))?;
        }
        let seen = rules::object(&self.object, status);
        for (said, read) in status.desktops.iter().zip(&seen.status.desktops) {
            rules::holds(final_state_is_correct::desktop(
                &read.id,
                read.state,
                self.truth(&said.id),
            ))?;
        }
        Ok(())
    }

    fn truth(&self, id: &DesktopID) -> ActualState {
        ActualState {
            there: !self.cloud.is_gone(id),
            // Another client may have deleted it since.
            ours: self.cloud.is_ours(id),
            submitted: self.cloud.effects.iter().any(|(.., ids)| ids.contains(id)),
            given_up: self.was_abandoned(),
        }
    }

    pub(super) fn was_abandoned(&self) -> bool {
        let status = &self.object.status;
        let attempts = status.attempts.iter().any(|a| a.outcome == Outcome::Abandoned);
        attempts || rules::condition(status, "Succeeded").is_some_and(|c| c.reason == "Abandoned")
    }
}
