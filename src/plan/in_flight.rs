//! Layer 2, data: an attempt that may have reached the cloud, as plain data that outlives its object.

use std::time::Duration;

use jiff::Timestamp;

use super::attempts::is_without_effect;
use crate::crd::deletion::{Attempt, Outcome};
use crate::ids::{AttemptID, DesktopID, JobID};

/// An attempt that was neither rejected nor known to be without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Which attempt.
    pub id: AttemptID,
    /// The desktops in the body of its call, folded.
    pub desktops: Vec<DesktopID>,
    /// When the call was signed, by the clock of the operator that did it; `None` if the record cannot be read.
    pub signed_at: Option<Timestamp>,
    /// When the call can take effect at the latest; `None` if that is not known.
    pub not_after: Option<Timestamp>,
    /// What is known of its effect.
    pub outcome: Outcome,
    /// The jobs of the call, as far as they are known.
    pub jobs: Vec<JobID>,
    /// When this process first saw the attempt, in time since its start.
    pub first_seen: Duration,
}

impl InFlight {
    /// The attempt as this process has known it since `first_seen`; `None` if it certainly had no effect.
    pub fn of(attempt: &Attempt, first_seen: Duration) -> Option<Self> {
        (!is_without_effect(attempt)).then(|| Self {
            id: attempt.id.clone(),
            desktops: attempt.desktop_ids.iter().map(DesktopID::folded).collect(),
            signed_at: Some(attempt.signed_at.0),
            not_after: attempt.not_after.as_ref().map(|end| end.0),
            outcome: attempt.outcome,
            jobs: attempt.job_ids.clone(),
            first_seen,
        })
    }

    /// An attempt of which the record cannot be read, known since `first_seen`.
    pub fn unreadable(id: AttemptID, desktops: Vec<DesktopID>, first_seen: Duration) -> Self {
        Self {
            id,
            desktops,
            signed_at: None,
            not_after: None,
            outcome: Outcome::Pending,
            jobs: vec![],
            first_seen,
        }
    }

    /// Its call may still take effect, as far as the record says.
    pub fn is_in_doubt(&self) -> bool {
        self.outcome.is_undecided()
    }

    /// Its call took effect.
    pub fn took_effect(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted | Outcome::Adopted) || !self.jobs.is_empty()
    }
}
