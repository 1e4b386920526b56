//! Layer 3, time: every rule about time.
//!
//! Whatever permits, finishes, settles or releases something compares moments of objects and of the cloud by both
//! clocks; what passes within this process is measured by its uptime, which no clock can move.
//!
//! - `effect`: from when on a request may be sent, and until when it may take effect;
//! - `reads`: how old a read may be that a decision relies on;
//! - `claims`: how long a request reserves its desktops;
//! - `windows`: the submission windows of a project.

use std::time::Duration;

use jiff::Timestamp;

use super::attempts::{count_identical_not_found, is_without_effect, last_effective};
use super::clocks::{Clocks, after, between};
use super::daily_usage;
use super::error_policy::RetryPolicy;
use super::memory::RequestMemory;
use super::observed::{Circuit, ClockSkew, Deadline, Facts, NotBefore, Request, Window};
use super::progress::Requeue;
use crate::config::Timing;
use crate::crd::deletion::Attempt;
use crate::crd::project::{SubmissionWindow, SubmittedDesktops};

mod claims;
mod effect;
mod reads;
mod windows;

use effect::{may_take_effect_for, must_show_within};

pub use effect::{end_of_signature, needs_user_before_expiry, start, until_over};
pub use reads::{
    drop_stale, is_fresh_enough_to_sign, is_stale, oldest_admitting_read, oldest_first_read, oldest_gone,
};
pub use windows::window;

pub use claims::{
    claim_ends_by, first_check_is_awaited, is_still_refused, until_claim_ends, until_unreadable_call_ends,
};

/// Maximum time between two reconciliations of an object.
pub const RESYNC: Duration = Duration::from_secs(600);

/// How often the plan of a request is read again while that waits for a user.
const PLAN_REFRESH: Duration = RESYNC;

/// How long a missing project may still come with the sync that brought the request.
const PROJECT_GRACE_PERIOD: Duration = Duration::from_secs(120);

/// If fewer requests than this have no conditions, they are reported on after the shorter time, otherwise later: their
/// reconciliation has precedence.
const FIRST_REPORT_BATCH: usize = 200;

/// How often the conditions report the progress of a long check.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// How long a watch may take to deliver what this process has read or written; after that, the object is read live
/// instead.
pub const WATCH_LAG: Duration = Duration::from_secs(5);

/// Minimum and maximum of `Retry-After`.
pub const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How long the jobs of a project may go unread while attempts are in doubt and nothing can be decided yet.
const MAX_EARLY_READ_INTERVAL: Duration = Duration::from_secs(180);

/// Added to delays, so that the time has passed regardless of rounding.
const ROUNDING_MARGIN: Duration = Duration::from_millis(50);

/// Input of the rules about time.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines<'a> {
    /// The object.
    pub request: &'a Request,
    /// What this process remembers of it.
    pub memory: &'a RequestMemory,
    /// The time.
    pub clocks: Clocks,
    /// The durations that the operator was given.
    pub timing: &'a Timing,
    /// When the project takes submissions.
    pub windows: &'a [SubmissionWindow],
    /// What was submitted to the project within a day.
    pub submitted: &'a [SubmittedDesktops],
}

/// What the facts depend on besides the object, the clocks and the memory.
#[derive(Debug, Clone, Copy)]
pub struct FactInputs<'a> {
    /// The process is shutting down or has lost leadership.
    pub stopping: bool,
    /// Version of project and credentials as they were last read.
    pub credentials: Option<&'a str>,
    /// When the reconciliation began: its reads began no earlier.
    pub began: Duration,
    /// State of the circuit breaker for submissions.
    pub circuit: Circuit,
    /// Users of desktops are not to be shown.
    pub hide_users: bool,
}

impl Deadlines<'_> {
    /// Reduces the times to the facts for the decision.
    pub fn facts(&self, inputs: &FactInputs<'_>) -> Facts {
        let over = |left: Option<Duration>| left == Some(Duration::ZERO);
        // Reads of this reconciliation count as evidence only if they were begun after that moment.
        let at_begin = Self {
            clocks: self.clocks.at(inputs.began),
            ..*self
        };
        Facts {
            stopping: inputs.stopping,
            hide_users: inputs.hide_users,
            start: self.start(),
            window: window(self.windows, &self.clocks),
            deadline: self.deadline_state(),
            service_clock_known: self.clocks.service.is_some(),
            retry_due: self.credentials_changed(inputs.credentials) || self.until_retry().is_none(),
            clock_skew: self.clock_skew(),
            facts_missing_for_long: self.memory.lacks_facts_since.is_some_and(|since| {
                since.saturating_add(self.timing.job_visibility_timeout) <= inputs.began
            }),
            job_visibility_timeout_over: self
                .until_job_visibility_timeout()
                .is_none_or(|left| left.is_zero()),
            overdue: last_effective(&self.request.status)
                .is_some_and(|a| over(self.until(a, self.timing.job_overdue))),
            undocumented_for_long: self
                .memory
                .undocumented_since()
                .is_some_and(|since| self.known_for(Some(since)) >= self.timing.job_overdue),
            call_expired: at_begin.until_call_expired().is_some_and(|left| left.is_zero()),
            recovery_timed_out: over(self.until_effect_excluded(self.timing.recovery_timeout)),
            before_initial_poll: self.age_in_doubt() < self.timing.initial_poll_delay,
            finalizer_missing: self.finalizer_is_missing(),
            finalizer_due: self.until_finalizer().is_zero(),
            circuit: inputs.circuit,
            progress_due: self
                .memory
                .progress_recorded_at
                .is_none_or(|recorded_at| self.known_for(Some(recorded_at)) >= PROGRESS_INTERVAL),
        }
    }

    /// How long to wait for `requeue` at most.
    pub fn delay(&self, requeue: Requeue) -> Duration {
        let timing = self.timing;
        let soon = |left: Option<Duration>| left.unwrap_or(timing.retry_min);
        // By a wrong clock it may be far away, and the clock may be corrected in the meantime.
        let bounded = |left: Duration| left.clamp(timing.retry_min.min(RESYNC), RESYNC);
        let delay = match requeue {
            Requeue::Change => RESYNC,
            // The poller wakes it; this only covers a lost notification.
            Requeue::JobChange => timing.poll_interval * 8,
            Requeue::PollInterval => timing.poll_interval,
            Requeue::Start => bounded(self.until_start()),
            Requeue::Window => bounded(self.until_window()),
            Requeue::DailyLimit => bounded(self.until_room()),
            Requeue::Plan => PLAN_REFRESH,
            Requeue::Refresh => timing.secret_refresh,
            Requeue::Backoff => exponential(self.memory.failures_in_a_row(), timing),
            // Credentials may be corrected long before the pause is over.
            Requeue::Retry => soon(self.until_retry()).min(timing.secret_refresh),
            // By a wrong clock it may be days away, and the clock may be corrected in the meantime.
            Requeue::JobVisibility => soon(self.until_job_visibility_timeout())
                .clamp(timing.job_visibility_timeout.min(RESYNC), RESYNC),
            Requeue::Expiry => soon(self.until_call_expired()).min(self.until_next_early_read()),
            Requeue::SecondRead => timing.job_visibility_timeout,
        };
        let deadline = self.until_deadline().filter(|left| !left.is_zero());
        let finalizer = self.finalizer_is_missing().then(|| self.until_finalizer());
        let soonest = deadline.into_iter().chain(finalizer).fold(delay, Duration::min);
        soonest + ROUNDING_MARGIN
    }

    /// Whether the project may still come with the sync that brought the request.
    pub fn project_may_appear(&self) -> bool {
        // The API server's clock wrote the time of the creation.
        let now = self.clocks.api_server.unwrap_or(self.clocks.local);
        self.request
            .created
            .is_some_and(|created| now < after(created, PROJECT_GRACE_PERIOD))
    }

    /// How long ago the newest attempt was signed.
    pub fn age_of_submission(&self) -> Duration {
        let newest = self.request.status.attempts.iter().map(|a| a.signed_at.0).max();
        newest.map_or(Duration::ZERO, |at| between(at, self.clocks.local))
    }

    fn start(&self) -> NotBefore {
        start(self.request.not_before, &self.clocks, self.timing)
    }

    /// Until the earliest time of the submission, by both clocks.
    fn until_start(&self) -> Duration {
        let Some(at) = self.request.not_before else {
            return Duration::ZERO;
        };
        let ours = between(self.clocks.local, at);
        let both = self.clocks.until(at, self.timing.clock_skew);
        both.unwrap_or(ours)
    }

    /// Until the next window opens by the local clock.
    fn until_window(&self) -> Duration {
        match window(self.windows, &self.clocks) {
            Window::Closed { opens: Some(at) } => between(self.clocks.local, at),
            _ => self.timing.secret_refresh,
        }
    }

    /// Until the first of the desktops stop counting that were submitted to the project.
    fn until_room(&self) -> Duration {
        daily_usage::until_freed(self.submitted, &self.clocks, self.timing).unwrap_or(RESYNC)
    }

    fn deadline(&self) -> Option<Timestamp> {
        let from = |created: Timestamp| {
            self.request
                .not_before
                .map_or(created, |start| start.max(created))
        };
        let default = || Some(after(from(self.request.created?), self.timing.request_deadline));
        self.request.not_after.or_else(default)
    }

    fn deadline_state(&self) -> Deadline {
        let Some(at) = self.deadline() else {
            return Deadline::Ahead;
        };
        let past = |clock: Timestamp| at <= clock;
        if self.clocks.until(at, self.timing.clock_skew) == Some(Duration::ZERO)
            && self.clock_skew().is_none()
        {
            Deadline::Passed
        } else if past(self.clocks.local) || self.clocks.other().is_some_and(past) {
            Deadline::ClocksDisagree
        } else {
            Deadline::Ahead
        }
    }

    /// Until the next of the two clocks passes the deadline, if nothing was submitted.
    fn until_deadline(&self) -> Option<Duration> {
        if !self.request.status.attempts.iter().all(is_without_effect) {
            return None;
        }
        let at = self.deadline()?;
        let left = |clock: Timestamp| Some(between(clock, at)).filter(|left| !left.is_zero());
        left(self.clocks.local)
            .into_iter()
            .chain(self.clocks.other().and_then(left))
            .min()
            .or_else(|| self.clocks.until(at, self.timing.clock_skew))
    }

    fn clock_skew(&self) -> Option<ClockSkew> {
        self.clocks.skew(self.timing.clock_skew)
    }

    /// After a failed submission: time until the next try; `None` if it can be tried now.
    fn until_retry(&self) -> Option<Duration> {
        let last = self.request.status.attempts.last()?;
        let error = last.error.as_ref()?;
        let own = self
            .memory
            .last_submission_failure
            .as_ref()
            .filter(|failure| failure.attempt == last.id);
        let pause = match error.class.error_policy().retry {
            RetryPolicy::Slow => self.timing.retry_max,
            // If the first read of the desktops does not explain the rejection, the cause may take as long to become
            // visible as an accepted call.
            RetryPolicy::AfterJobVisibility
                if count_identical_not_found(&self.request.status, &last.desktop_ids) > 1 =>
            {
                self.timing.job_visibility_timeout.max(self.timing.retry_min)
            }
            RetryPolicy::Soon | RetryPolicy::AfterJobVisibility => self.timing.retry_min,
            RetryPolicy::Backoff => {
                let failures = own.map_or(1, |failure| failure.in_a_row);
                let asked = own.and_then(|failure| failure.retry_after);
                let asked = asked.map(|asked| asked.clamp(RETRY_AFTER.0, RETRY_AFTER.1));
                exponential(failures, self.timing).max(asked.unwrap_or_default())
            }
        };
        // The age of a failure that another process had is the time since this process first saw it, or the age by the
        // local clock if that is greater.
        let known_for = self.known_for(
            own.map(|failure| failure.at)
                .or(self.memory.first_seen_at(&last.id)),
        );
        let age = match own {
            Some(_) => known_for,
            None => known_for.max(between(error.time.0, self.clocks.local)),
        };
        Some(pause.saturating_sub(age)).filter(|left| !left.is_zero())
    }

    /// Whether the project or its Secret changed since the last failed submission.
    fn credentials_changed(&self, now: Option<&str>) -> bool {
        let credentials_then = self
            .memory
            .last_submission_failure
            .as_ref()
            .and_then(|failure| failure.credentials.as_deref());
        now.zip(credentials_then).is_some_and(|(now, then)| now != then)
    }

    /// Until no request in doubt can take effect any more, nor an accepted one be invisible; `None` if none is in doubt.
    fn until_call_expired(&self) -> Option<Duration> {
        self.until_effect_excluded(Duration::ZERO)
    }

    /// How long ago the newest attempt was signed, as far as is known: this machine's clock may have been set back.
    fn age_in_doubt(&self) -> Duration {
        let newest = self.request.status.attempts.last();
        let known_for = newest.map(|a| self.known_for(self.memory.first_seen_at(&a.id)));
        self.age_of_submission().max(known_for.unwrap_or_default())
    }

    /// Until the jobs are read again while nothing can be decided: soon at first, and less and less often.
    fn until_next_early_read(&self) -> Duration {
        let age = self.age_in_doubt();
        let first = self.timing.initial_poll_delay;
        match first.saturating_sub(age) {
            Duration::ZERO => age.clamp(first.min(MAX_EARLY_READ_INTERVAL), MAX_EARLY_READ_INTERVAL),
            left => left,
        }
    }

    /// Earliest start of a list of jobs that is used while nothing can be decided: late enough to be newer than the
    /// last one that was used, and early enough for requests of one project to share it.
    pub fn oldest_early_read(&self) -> Duration {
        let old = (self.age_in_doubt() / 2).min(MAX_EARLY_READ_INTERVAL / 2);
        self.clocks.uptime.saturating_sub(old)
    }

    /// Until no request in doubt can take effect any more, nor an accepted one be invisible, and `later` has passed since
    /// then; `None` if none is in doubt.
    fn until_effect_excluded(&self, later: Duration) -> Option<Duration> {
        let doubtful = |a: &&Attempt| a.outcome.is_undecided();
        let attempts = self.request.status.attempts.iter().filter(doubtful);
        attempts
            .map(|a| {
                let not_after = a.not_after.as_ref().map(|end| end.0);
                let span = may_take_effect_for(a.signed_at.0, not_after, self.timing);
                self.until_over(a, span.saturating_add(later))
            })
            .max()
    }

    /// Until an accepted request must be visible; `None` if none was accepted.
    fn until_job_visibility_timeout(&self) -> Option<Duration> {
        let span = must_show_within(self.timing);
        last_effective(&self.request.status).map(|a| self.until_over(a, span))
    }

    fn until(&self, attempt: &Attempt, span: Duration) -> Option<Duration> {
        self.clocks
            .until(after(attempt.signed_at.0, span), self.timing.clock_skew)
    }

    fn until_over(&self, attempt: &Attempt, span: Duration) -> Duration {
        let known_for = self.known_for(self.memory.first_seen_at(&attempt.id));
        until_over(attempt.signed_at.0, span, known_for, &self.clocks, self.timing)
    }

    /// For how long this process has known something that it first saw at `since`.
    fn known_for(&self, since: Option<Duration>) -> Duration {
        since.map_or(Duration::ZERO, |since| self.clocks.uptime.saturating_sub(since))
    }

    /// Whether the finalizer is missing although an attempt may take effect or become visible. While the object is
    /// being deleted, the API server accepts no new finalizer.
    fn finalizer_is_missing(&self) -> bool {
        let waits = |left: Option<Duration>| left.is_some_and(|left| !left.is_zero());
        !self.request.deleting
            && !self.request.finalizer
            && !self.memory.finalizer_dropped
            && self.request.status.completion_time.is_none()
            && (waits(self.until_call_expired()) || waits(self.until_job_visibility_timeout()))
    }

    /// Until the finalizer may be added: immediately the first time, and once more since the response may have been
    /// lost; then with increasing delays.
    fn until_finalizer(&self) -> Duration {
        let again = self.memory.finalizer.filter(|(count, _)| *count > 1);
        again.map_or(Duration::ZERO, |(count, at)| {
            exponential(count - 1, self.timing).saturating_sub(self.known_for(Some(at)))
        })
    }
}

/// How long a request may have no conditions while it is queued, depending on how many have none: `few` if there are
/// few of them.
pub fn first_report(without_conditions: usize, few: Duration) -> Duration {
    if without_conditions < FIRST_REPORT_BATCH {
        few
    } else {
        few * 8
    }
}

/// The pause after this many consecutive failures.
pub fn exponential(failures: u32, timing: &Timing) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    timing.retry_min.saturating_mul(factor).min(timing.retry_max)
}

/// A pause plus up to a fifth as jitter from the random number `chance`, so that many requests are not retried at the
/// same time.
pub fn with_jitter(pause: Duration, chance: u64) -> Duration {
    let share = u32::try_from(chance % 1000).unwrap_or_default();
    pause + pause / 5 * share / 1000
}
