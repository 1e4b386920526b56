//! Jobs and sub-jobs. Their statuses are functions of the time, like the desktops' life cycle.

use jiff::Timestamp;

use crate::world::World;

/// Type of the only jobs that this cloud runs.
pub(super) const JOB_TYPE: &str = "deleteDesktops";

/// One accepted batch.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) project: String,
    pub(super) accepted: Timestamp,
    /// From when on the job and its sub-jobs can be read.
    pub(super) visible: Timestamp,
    /// The records were removed.
    pub(super) erased: bool,
    pub(super) sub_jobs: Vec<SubJob>,
}

/// The part of a job that is about one desktop.
#[derive(Debug, Clone)]
pub(super) struct SubJob {
    pub(super) id: String,
    pub(super) desktop: String,
    pub(super) desktop_name: String,
    pub(super) user: String,
    pub(super) begins: Timestamp,
    pub(super) runs_from: Timestamp,
    /// When it ends; `None` for never.
    pub(super) ends: Option<Timestamp>,
    /// Why it fails; `None` when it succeeds.
    pub(super) failure: Option<Failure>,
}

/// Why a sub-job fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) reason: String,
}

/// Status of a sub-job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    Running,
    Success,
    Failed,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Success, Self::Failed]
            .into_iter()
            .find(|known| known.as_str() == word)
    }

    fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}

impl SubJob {
    pub(super) fn status(&self, now: Timestamp) -> Status {
        match (&self.ends, &self.failure) {
            _ if now < self.runs_from => Status::Waiting,
            (None, _) => Status::Running,
            (Some(end), _) if now < *end => Status::Running,
            (_, None) => Status::Success,
            (_, Some(_)) => Status::Failed,
        }
    }

    /// Ends it at `now`, unless it has ended or never does.
    pub(super) fn end(&mut self, now: Timestamp) {
        if self.ends.is_some_and(|end| end > now) {
            self.runs_from = self.runs_from.min(now);
            self.ends = Some(now);
        }
    }

    /// How far it is, in per cent.
    pub(super) fn progress(&self, now: Timestamp) -> i64 {
        match self.status(now) {
            Status::Waiting => 0,
            Status::Success | Status::Failed => 100,
            Status::Running => {
                let Some(end) = self.ends else { return 50 };
                let whole = (end.as_millisecond() - self.runs_from.as_millisecond()).max(1);
                (now.as_millisecond() - self.runs_from.as_millisecond()) * 100 / whole
            }
        }
    }
}

impl Job {
    /// Whether the job can be read at `now`.
    pub(super) fn readable(&self, now: Timestamp, world: &World) -> bool {
        let kept = match (world.timings.job_retention, self.ends()) {
            (Some(retention), Some(end)) => now < retention.after(end),
            _ => true,
        };
        !self.erased && now >= self.visible && kept
    }

    /// When the last sub-job ends; `None` if one never does.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        self.sub_jobs
            .iter()
            .map(|sub_job| sub_job.ends)
            .try_fold(self.accepted, |latest, end| Some(latest.max(end?)))
    }

    /// Status of the parent, in the spelling that the world configures.
    pub(super) fn status<'a>(&self, now: Timestamp, world: &'a World) -> &'a str {
        let statuses: Vec<Status> = self.sub_jobs.iter().map(|sub_job| sub_job.status(now)).collect();
        let failed = statuses
            .iter()
            .filter(|status| **status == Status::Failed)
            .count();
        let switches = &world.switches;
        if !statuses.is_empty() && statuses.iter().all(|status| *status == Status::Waiting) {
            "WAITING"
        } else if statuses.iter().any(|status| status.is_open()) {
            "RUNNING"
        } else if failed == 0 {
            &switches.parent_success
        } else if failed == statuses.len() || switches.parent_partial.is_empty() {
            &switches.parent_failure
        } else {
            &switches.parent_partial
        }
    }

    /// The first failure of a finished job.
    pub(super) fn failure(&self, now: Timestamp) -> Option<&Failure> {
        let open = self.sub_jobs.iter().any(|sub_job| sub_job.status(now).is_open());
        if open {
            None
        } else {
            self.sub_jobs.iter().find_map(|sub_job| sub_job.failure.as_ref())
        }
    }
}
