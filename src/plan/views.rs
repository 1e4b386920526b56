//! Layer 2, data: what reads of the cloud show: desktops, sub-jobs, jobs, and what they prove of an attempt.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{DesktopID, JobID};
use crate::workspace::api::{Desktop, DesktopFacts, DetailFacts, Job, SubJob, SubJobStatus};

/// One observation of one desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopObservation {
    /// The observed state.
    pub view: DesktopView,
    /// It was idle in an earlier read too, at least the job visibility timeout ago, and in every read between.
    pub idle_twice: bool,
    /// `computer_name`.
    pub name: Option<String>,
    /// Other facts.
    pub facts: Box<DesktopFacts>,
    /// Whether a list contains it: the response to a single GET lacks `pool_id`.
    pub listed: Listed,
    /// The facts of the detailed form; `None`: not read.
    pub details: Option<Box<DetailFacts>>,
}

/// Whether a list contains a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listed {
    /// No list was read.
    #[default]
    Unknown,
    /// The list lacked it.
    No,
    /// The list contained it.
    Yes,
}

/// The state of a desktop according to a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesktopView {
    /// It exists with a documented status, and no task is running on it.
    Idle,
    /// It exists with a task other than a deletion, or with an undocumented status: either may turn out to be a
    /// deletion.
    Busy,
    /// It exists, and a deletion is in progress.
    Deleting,
    /// There, idle, and an earlier deletion of it failed (`task_status` is `deleteFailed`).
    DeleteFailed,
    /// Not in a complete list, or listed as `DELETED`: a single GET must confirm it.
    Missing,
    /// Not in an incomplete list: a single GET must decide.
    Unlisted,
    /// It is gone according to a single GET.
    Gone,
}

/// Every documented `status` of a desktop that is not being deleted (user guide, `workspace_06_1059`).
const DOCUMENTED: [&str; 9] = [
    "ACTIVE",
    "SHUTOFF",
    "HIBERNATED",
    "ERROR",
    "STARTING",
    "STOPPING",
    "RESTARTING",
    "HIBERNATING",
    "AWAKENING",
];

impl DesktopView {
    /// Interprets the status values of the service, ignoring case. An empty status means that the virtual machine is
    /// already gone while the deletion finishes (seen by the vendor's Terraform provider).
    pub fn of(desktop: &Desktop) -> Self {
        let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
        if is(&desktop.status, "DELETED") {
            Self::Missing
        } else if is(&desktop.task_status, "deleteFailed") {
            Self::DeleteFailed
        } else if is(&desktop.task_status, "deleting")
            || is(&desktop.status, "DELETING")
            || desktop.status.is_empty()
        {
            Self::Deleting
        } else if desktop.task_status.is_empty() && DOCUMENTED.iter().any(|word| is(&desktop.status, word)) {
            Self::Idle
        } else {
            Self::Busy
        }
    }

    /// Whether only a single GET can determine its state.
    pub fn needs_lookup(self) -> bool {
        matches!(self, Self::Missing | Self::Unlisted)
    }

    /// There, and nothing happens to it.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Idle | Self::DeleteFailed)
    }
}

/// The sub-jobs of a project, all pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubJobList {
    /// Every readable row.
    pub sub_jobs: Vec<SubJob>,
    /// Every row that exists was read; false past the rows that the API can page to, or while the list moved.
    pub complete: bool,
}

impl SubJobList {
    /// Parents of sub-jobs that name one of `ids`.
    pub fn jobs_naming(&self, ids: &[DesktopID]) -> BTreeSet<JobID> {
        let wanted: BTreeSet<_> = ids.iter().map(DesktopID::folded).collect();
        self.sub_jobs
            .iter()
            .filter(|s| wanted.contains(&s.desktop.folded()))
            .map(|s| s.job.clone())
            .collect()
    }

    /// Desktops that a job names, folded.
    pub fn named_by(&self, job: &JobID) -> impl Iterator<Item = DesktopID> {
        self.sub_jobs
            .iter()
            .filter(move |s| s.job == *job)
            .map(|s| s.desktop.folded())
    }

    /// A deletion of `id` that has not ended yet.
    pub fn open_job_of(&self, id: &DesktopID) -> Option<&JobID> {
        let open = [SubJobStatus::Waiting, SubJobStatus::Running];
        self.jobs_of(id, &open).next()
    }

    /// Jobs with an undocumented status for `id`: its deletion may have ended or not.
    pub fn jobs_with_undocumented_status(&self, id: &DesktopID) -> impl Iterator<Item = &JobID> {
        self.jobs_of(id, &[SubJobStatus::Other])
    }

    fn jobs_of(&self, id: &DesktopID, statuses: &[SubJobStatus]) -> impl Iterator<Item = &JobID> {
        self.sub_jobs
            .iter()
            .filter(move |s| statuses.contains(&s.status) && s.desktop.folded() == id.folded())
            .map(|s| &s.job)
    }
}

/// The desktops of a request, sorted by their state.
#[derive(Debug, Clone, Default)]
pub struct SortedDesktops {
    /// Those that exist and are not being deleted.
    pub present: Vec<DesktopID>,
    /// Those that do not exist.
    pub absent: Vec<DesktopID>,
    /// Those that are being deleted.
    pub being_deleted: Vec<DesktopID>,
    /// Those of the present ones whose earlier deletion failed.
    pub failed_before: Vec<DesktopID>,
}

/// What is known of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobView {
    /// The parent has ended.
    pub finished: bool,
    /// The parent has no documented status, or none and shows no sub-job: whether it has ended is not known.
    pub end_unknown: bool,
    /// The parent has ended, and every sub-job of it was read.
    pub complete: bool,
    /// `job_error_code` or `fail_reason` of the parent, for ids that no sub-job names.
    pub parent_reason: Option<String>,
    /// The result for each desktop, by folded id.
    pub results: BTreeMap<DesktopID, SubJobResult>,
}

impl JobView {
    /// No further result is expected: the job has reported a final result for each of these desktops, or has ended and
    /// showed every sub-job.
    pub fn has_ended(&self, desktops: &[DesktopID]) -> bool {
        !desktops.iter().any(|id| self.may_still_change(id))
    }

    /// The job may still delete the desktop, as far as it was read.
    pub fn may_still_change(&self, folded: &DesktopID) -> bool {
        match self.results.get(folded) {
            Some(SubJobResult::Open) => true,
            Some(SubJobResult::Other { .. }) => !self.finished,
            Some(SubJobResult::Success | SubJobResult::Failed { .. }) => false,
            None => !(self.finished && self.complete),
        }
    }

    /// Takes in sub-jobs of this job. A later row about the same desktop wins over an earlier one, except that an
    /// end is never undone by a row that is still open.
    pub fn merge_sub_jobs(&mut self, sub_jobs: &[SubJob]) {
        for sub_job in sub_jobs {
            let result = match sub_job.status {
                SubJobStatus::Waiting | SubJobStatus::Running => SubJobResult::Open,
                SubJobStatus::Success => SubJobResult::Success,
                SubJobStatus::Failed => SubJobResult::Failed {
                    code: sub_job.code.clone(),
                    reason: sub_job.reason.clone(),
                },
                SubJobStatus::Other => SubJobResult::Other {
                    code: sub_job.code.clone(),
                },
            };
            let known = self
                .results
                .entry(sub_job.desktop.folded())
                .or_insert(SubJobResult::Open);
            if result.is_an_end() || !known.is_an_end() {
                *known = result;
            }
        }
    }

    /// Takes in a read of the parent.
    pub fn merge_job(&mut self, job: &Job) {
        self.finished = job.finished;
        self.end_unknown = job.end_unknown;
        self.complete = job.finished && job.complete;
        self.parent_reason = job.reason.clone().or_else(|| job.code.clone());
        self.merge_sub_jobs(&job.sub_jobs);
    }
}

/// The result of a sub-job for its desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubJobResult {
    /// WAITING or RUNNING.
    Open,
    /// SUCCESS.
    Success,
    /// FAILED.
    Failed {
        /// `error_code`.
        code: Option<String>,
        /// `fail_reason`.
        reason: Option<String>,
    },
    /// An undocumented status: open while the parent is open, and not a success afterwards.
    Other {
        /// `error_code`, or that status.
        code: Option<String>,
    },
}

impl SubJobResult {
    fn is_an_end(&self) -> bool {
        matches!(self, Self::Success | Self::Failed { .. })
    }
}

/// What reads show of a request that may have taken effect, judged against the baseline of its attempt. Times
/// exclude nothing: the service's times may be missing or in an unknown zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Jobs outside the baseline, and of no other request, that name a desktop of the body.
    pub jobs: BTreeSet<JobID>,
    /// Desktops of the body, folded, that such a job names, or that are deleting, failed or gone, were not so
    /// before, and are not explained by another request's job.
    pub affected: BTreeSet<DesktopID>,
    /// It can show that there was no effect: the sub-jobs were read to their end, no job of the baseline is missing,
    /// and no desktop is busy.
    pub complete: bool,
}

impl Evidence {
    /// Whether the request, or a similar one, took effect.
    pub fn found(&self) -> bool {
        !self.affected.is_empty()
    }

    /// The combined evidence of two reads.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.jobs.extend(other.jobs.iter().cloned());
        self.affected.extend(other.affected.iter().cloned());
        self.complete &= other.complete;
        self
    }
}
