//! Layer 3, time: what a process remembers between reconciliations.
//!
//! What a process remembers of a request between two reconciliations: plain data and the rules of its use. Losing it costs
//! time, never safety. Moments are times since the start of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::SignedDuration;

use super::observed::Request;
use super::progress::Progress;
use super::views::{DesktopView, Evidence, SubJobList};
use crate::crd::conditions::Reason;
use crate::crd::deletion::ErrorClass;
use crate::ids::{AttemptID, DesktopID, JobID, ProjectKey};

/// Two clocks whose difference changed by less are as far apart as before: the `Date` of an answer knows whole seconds,
/// and is as old as its call took.
const SAME_DIFFERENCE: SignedDuration = SignedDuration::from_secs(30);

/// Memory of one request.
#[derive(Debug, Clone, Default)]
pub struct RequestMemory {
    /// When this process first saw the object.
    pub first_seen: Option<Duration>,
    /// When this process first saw each attempt.
    attempts: Vec<(AttemptID, Duration)>,
    /// Reads of the cloud that failed in a row.
    pub failures: u32,
    /// GETs of each desktop that failed in a row, by folded id.
    failed_reads: BTreeMap<DesktopID, u32>,
    /// Desktops that a GET said are gone, by folded id: since when, and in which project of the cloud.
    gone: BTreeMap<DesktopID, (Duration, ProjectKey)>,
    /// When it was last stored how far a long check has come.
    pub progress_recorded_at: Option<Duration>,
    /// The last failed submission of this process.
    pub last_submission_failure: Option<SubmissionFailure>,
    /// Since when each desktop was idle in every read, by folded id.
    idle_since: BTreeMap<DesktopID, Duration>,
    /// When this process first saw each sub-job with a status that is not documented, by its desktop, folded, and its job.
    undocumented_sub_jobs: BTreeMap<(DesktopID, JobID), Duration>,
    /// The first look for evidence of an attempt whose request had expired.
    evidence: Option<FirstEvidence>,
    /// How often the finalizer was put on, and when it was last.
    pub finalizer: Option<(u32, Duration)>,
    /// This process has removed the finalizer to store the final result.
    pub finalizer_dropped: bool,
    /// How far the other clock was ahead of ours when it was last said.
    difference: Option<SignedDuration>,
    /// Since when every read has lacked facts that the plan on show has.
    pub lacks_facts_since: Option<Duration>,
}

/// A refusal of a submission, or a submission that was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionFailure {
    /// Of which attempt.
    pub attempt: AttemptID,
    /// When it came.
    pub at: Duration,
    /// Of what class it is.
    pub class: ErrorClass,
    /// So many of that class came in a row, this one included.
    pub in_a_row: u32,
    /// For how long the cloud asked to wait.
    pub retry_after: Option<Duration>,
    /// Version of project and credentials that were refused.
    pub credentials: Option<String>,
}

#[derive(Debug, Clone)]
struct FirstEvidence {
    attempt: AttemptID,
    began: Duration,
    found: Evidence,
}

impl RequestMemory {
    /// The object was loaded at that moment.
    pub fn observe(&mut self, request: &Request, uptime: Duration) {
        self.first_seen.get_or_insert(uptime);
        let attempts = &request.status.attempts;
        self.attempts
            .retain(|(id, _)| attempts.iter().any(|a| a.id == *id));
        for attempt in attempts {
            if self.first_saw(&attempt.id).is_none() {
                self.attempts.push((attempt.id.clone(), uptime));
            }
        }
    }

    /// When this process first saw the attempt.
    pub fn first_saw(&self, attempt: &AttemptID) -> Option<Duration> {
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

    /// Notes the sub-jobs with a status that is not documented of these desktops. What was read of a desktop before one was
    /// there says nothing of it: gives the desktops that must be seen idle from now on.
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

    /// The conditions say so from now on.
    pub fn record_progress(&mut self, progress: &Progress, uptime: Duration) {
        if progress.reason == Reason::CheckingDesktops {
            self.progress_recorded_at = Some(uptime);
        }
    }

    /// Notes a GET of one desktop that failed; says how many did in a row.
    pub fn single_read_failed(&mut self, id: &DesktopID) -> u32 {
        let count = self.failed_reads.entry(id.folded()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Notes that a read said what there is to be known of a desktop.
    pub fn clear_read_failures(&mut self, id: &DesktopID) {
        self.failed_reads.remove(&id.folded());
    }

    /// Notes that a GET said that a desktop of that project is gone.
    pub fn mark_gone(&mut self, id: &DesktopID, project: ProjectKey, uptime: Duration) {
        self.gone.insert(id.folded(), (uptime, project));
    }

    /// Desktops of that project that a GET said are gone, not before `since`, by folded id.
    pub fn known_gone(&self, project: &ProjectKey, since: Duration) -> impl Iterator<Item = &DesktopID> {
        self.gone
            .iter()
            .filter(move |(_, (at, place))| *at >= since && place == project)
            .map(|(id, _)| id)
    }

    /// How many reads failed in a row, of any desktop or of the cloud altogether.
    pub fn failures_in_a_row(&self) -> u32 {
        let of_desktops = self.failed_reads.values().copied();
        of_desktops.fold(self.failures, u32::max)
    }

    /// Takes in a refusal.
    pub fn refused(&mut self, refusal: SubmissionFailure) {
        let before = self
            .last_submission_failure
            .as_ref()
            .filter(|r| r.class == refusal.class);
        self.last_submission_failure = Some(SubmissionFailure {
            in_a_row: before.map_or(1, |before| before.in_a_row.saturating_add(1)),
            ..refusal
        });
    }

    /// Forgets since when desktops were idle: before a submission that says nothing of what its job does to them.
    pub fn forget_idle(&mut self) {
        self.idle_since.clear();
    }

    /// Notes what a reconciliation begun at `began` found of an attempt whose request had expired. A look that was not
    /// complete settles nothing with any other, so the next one takes its place.
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

    /// Notes whether a read begun at `began` lacked facts that the plan on show has.
    pub fn record_missing_facts(&mut self, lacks_some: bool, began: Duration) {
        let since = self.lacks_facts_since.unwrap_or(began);
        self.lacks_facts_since = lacks_some.then_some(since);
    }

    /// The finalizer is being put on.
    pub fn record_finalizer_added(&mut self, uptime: Duration) {
        let count = self.finalizer.map_or(0, |(count, _)| count);
        self.finalizer = Some((count.saturating_add(1), uptime));
        self.finalizer_dropped = false;
    }

    /// The difference of two clocks as it was last said, unless it has changed since.
    pub fn stable_skew(&mut self, difference: SignedDuration) -> SignedDuration {
        let known = self.difference.filter(|known| {
            difference
                .checked_sub(*known)
                .is_some_and(|moved| moved.abs() <= SAME_DIFFERENCE)
        });
        *self.difference.insert(known.unwrap_or(difference))
    }
}
