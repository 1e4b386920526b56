//! Layer 3, time: what a process remembers between reconciliations.
//!
//! Plain data about one request, and the rules of its use. Losing it costs time, never safety. Moments are times since
//! the start of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::SignedDuration;

use super::observed::Request;
use super::progress::Progress;
use super::views::{DesktopView, Evidence, SubJobList};
use crate::crd::conditions::Reason;
use crate::crd::deletion::ErrorClass;
use crate::ids::{AttemptID, DesktopID, JobID, ProjectKey};

/// A smaller change of the difference of two clocks is ignored: the `Date` of a response has whole seconds, and is as
/// old as its call took.
const DIFFERENCE_TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// Memory of one request.
#[derive(Debug, Clone, Default)]
pub struct RequestMemory {
    /// When this process first saw the object.
    pub first_seen: Option<Duration>,
    /// When this process first saw each attempt.
    attempts: Vec<(AttemptID, Duration)>,
    /// Consecutive failed reads of the cloud.
    pub failures: u32,
    /// Consecutive failed GETs of each desktop, by folded ID.
    failed_reads: BTreeMap<DesktopID, u32>,
    /// Desktops that are gone according to a GET, by folded ID: since when, and in which cloud project.
    gone: BTreeMap<DesktopID, (Duration, ProjectKey)>,
    /// When the progress of a long check was last stored.
    pub progress_recorded_at: Option<Duration>,
    /// The last failed submission of this process.
    pub last_submission_failure: Option<SubmissionFailure>,
    /// Since when each desktop was idle in every read, by folded id.
    idle_since: BTreeMap<DesktopID, Duration>,
    /// When this process first saw each sub-job with a status that is not documented, by its desktop, folded, and its job.
    undocumented_sub_jobs: BTreeMap<(DesktopID, JobID), Duration>,
    /// The first read of evidence for an attempt whose request had expired.
    evidence: Option<FirstEvidence>,
    /// How often the finalizer was added, and when it was last added.
    pub finalizer: Option<(u32, Duration)>,
    /// This process has removed the finalizer to store the final result.
    pub finalizer_dropped: bool,
    /// How far the other clock was ahead of the local one when it was last reported.
    difference: Option<SignedDuration>,
    /// Since when every read has lacked facts that the shown plan has.
    pub lacks_facts_since: Option<Duration>,
}

/// A submission that was rejected or not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionFailure {
    /// The attempt.
    pub attempt: AttemptID,
    /// When it came.
    pub at: Duration,
    /// Class of the error.
    pub class: ErrorClass,
    /// Number of consecutive failures of that class, including this one.
    pub in_a_row: u32,
    /// How long the cloud asked to wait.
    pub retry_after: Option<Duration>,
    /// Version of the project and credentials that were used.
    pub credentials: Option<String>,
}

#[derive(Debug, Clone)]
struct FirstEvidence {
    attempt: AttemptID,
    began: Duration,
    found: Evidence,
}

impl RequestMemory {
    /// Records that the object was loaded.
    pub fn observe(&mut self, request: &Request, uptime: Duration) {
        self.first_seen.get_or_insert(uptime);
        let attempts = &request.status.attempts;
        self.attempts
            .retain(|(id, _)| attempts.iter().any(|a| a.id == *id));
        for attempt in attempts {
            if self.first_seen_at(&attempt.id).is_none() {
                self.attempts.push((attempt.id.clone(), uptime));
            }
        }
    }

    /// When this process first saw the attempt.
    pub fn first_seen_at(&self, attempt: &AttemptID) -> Option<Duration> {
        self.attempts
            .iter()
            .find(|(id, _)| id == attempt)
            .map(|(_, at)| *at)
    }

    /// Notes a read of a desktop begun at `began`; returns whether it was also idle one timeout before, and in every
    /// read between.
    pub fn record_idle(
        &mut self,
        id: &DesktopID,
        view: DesktopView,
        began: Duration,
        visibility_timeout: Duration,
    ) -> bool {
        if !view.is_idle() {
            self.idle_since.remove(&id.folded());
            return false;
        }
        let since = *self.idle_since.entry(id.folded()).or_insert(began);
        since.saturating_add(visibility_timeout) <= began
    }

    /// Records the sub-jobs of these desktops with an undocumented status. Reads of a desktop from before such a
    /// sub-job existed say nothing about it: returns the desktops that must be seen idle again.
    pub fn observe_sub_jobs(
        &mut self,
        sub_job_list: &SubJobList,
        ids: &[DesktopID],
        uptime: Duration,
    ) -> Vec<DesktopID> {
        let mut now = BTreeSet::new();
        for id in ids {
            now.extend(
                sub_job_list
                    .jobs_with_undocumented_status(id)
                    .map(|job| (id.folded(), job.clone())),
            );
        }
        self.undocumented_sub_jobs.retain(|known, _| now.contains(known));
        let mut new = Vec::new();
        for sub_job in now {
            if !self.undocumented_sub_jobs.contains_key(&sub_job) {
                self.idle_since.remove(&sub_job.0);
                new.push(sub_job.0.clone());
                self.undocumented_sub_jobs.insert(sub_job, uptime);
            }
        }
        new
    }

    /// Since when the newest of these sub-jobs has been known.
    pub fn undocumented_since(&self) -> Option<Duration> {
        self.undocumented_sub_jobs.values().max().copied()
    }

    /// Records when the progress of a long check was stored.
    pub fn record_progress(&mut self, progress: &Progress, uptime: Duration) {
        if progress.reason == Reason::CheckingDesktops {
            self.progress_recorded_at = Some(uptime);
        }
    }

    /// Records a failed GET of one desktop; returns the number of consecutive failures.
    pub fn single_read_failed(&mut self, id: &DesktopID) -> u32 {
        let count = self.failed_reads.entry(id.folded()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Clears the failures of a desktop after a successful read.
    pub fn clear_read_failures(&mut self, id: &DesktopID) {
        self.failed_reads.remove(&id.folded());
    }

    /// Records that a desktop of that project is gone according to a GET.
    pub fn mark_gone(&mut self, id: &DesktopID, project: ProjectKey, uptime: Duration) {
        self.gone.insert(id.folded(), (uptime, project));
    }

    /// Desktops of that project that are gone according to a GET at `since` or later, by folded ID.
    pub fn known_gone(&self, project: &ProjectKey, since: Duration) -> impl Iterator<Item = &DesktopID> {
        self.gone
            .iter()
            .filter(move |(_, (at, known_project))| *at >= since && known_project == project)
            .map(|(id, _)| id)
    }

    /// Number of consecutive failed reads, of any desktop or of the cloud as a whole.
    pub fn failures_in_a_row(&self) -> u32 {
        let of_desktops = self.failed_reads.values().copied();
        of_desktops.fold(self.failures, u32::max)
    }

    /// Records a failed submission.
    pub fn record_failure(&mut self, failure: SubmissionFailure) {
        let before = self
            .last_submission_failure
            .as_ref()
            .filter(|r| r.class == failure.class);
        self.last_submission_failure = Some(SubmissionFailure {
            in_a_row: before.map_or(1, |before| before.in_a_row.saturating_add(1)),
            ..failure
        });
    }

    /// Forgets since when desktops were idle: idle before a submission says nothing about the effect of its job.
    pub fn forget_idle(&mut self) {
        self.idle_since.clear();
    }

    /// Records the evidence that a reconciliation begun at `began` found for an attempt whose request had expired.
    /// Incomplete evidence cannot be combined with later evidence, so the next one replaces it.
    pub fn record_evidence(&mut self, attempt: &AttemptID, began: Duration, found: Evidence) {
        let kept = |first: &FirstEvidence| first.attempt == *attempt && first.found.complete;
        if !self.evidence.as_ref().is_some_and(kept) {
            self.evidence = Some(FirstEvidence {
                attempt: attempt.clone(),
                began,
                found,
            });
        }
    }

    /// What an earlier read for the pending attempt found, if it began a job visibility timeout before `began`.
    pub fn earlier_evidence(
        &self,
        request: &Request,
        began: Duration,
        visibility_timeout: Duration,
    ) -> Option<&Evidence> {
        let first = self.evidence.as_ref()?;
        let pending = request.pending().is_some_and(|a| a.id == first.attempt);
        (pending && first.began.saturating_add(visibility_timeout) <= began).then_some(&first.found)
    }

    /// Notes whether a read begun at `began` lacked facts that the shown plan has.
    pub fn record_missing_facts(&mut self, lacks_some: bool, began: Duration) {
        let since = self.lacks_facts_since.unwrap_or(began);
        self.lacks_facts_since = lacks_some.then_some(since);
    }

    /// Records that the finalizer is being added.
    pub fn record_finalizer_added(&mut self, uptime: Duration) {
        let count = self.finalizer.map_or(0, |(count, _)| count);
        self.finalizer = Some((count.saturating_add(1), uptime));
        self.finalizer_dropped = false;
    }

    /// The difference of two clocks as it was last reported, unless it has changed since.
    pub fn stable_skew(&mut self, difference: SignedDuration) -> SignedDuration {
        let known = self.difference.filter(|known| {
            difference
                .checked_sub(*known)
                .is_some_and(|moved| moved.abs() <= DIFFERENCE_TOLERANCE)
        });
        *self.difference.insert(known.unwrap_or(difference))
    }
}
