//! Times, reduced to the facts that the decision takes, and waits turned into durations.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::super::Context;
use super::super::brakes::RETRY_AFTER;
use super::memory::Remembered;
use super::pass::Pass;
use crate::config::Timing;
use crate::crd::deletion::{Attempt, Outcome};
use crate::plan::classify::{Class, Pace};
use crate::plan::observed::{Facts, Sight, Submission};
use crate::plan::standing::Wake;
use crate::workspace::connector::LONGEST_CALL;

/// Brings the facts of a pass up to date.
pub fn refresh(pass: &mut Pass, context: &Context) {
    let timing = &context.config.timing;
    let remembered = context.memory.of(&pass.uid());
    let times = Times {
        pass,
        timing,
        remembered: &remembered,
        ahead: ahead(pass, context),
    };
    let now = context.clock.now();
    let service_now = after_signed(now, times.ahead.unwrap_or_default());
    let service_began = after_signed(pass.began, times.ahead.unwrap_or_default());
    let facts = Facts {
        stopping: context.stopping.is_cancelled() || !context.leadership.holds(),
        deadline_passed: times.deadline().is_some_and(|at| at <= service_now),
        service_clock_known: times.ahead.is_some(),
        retry_due: times.login_changed() || times.retry_at().is_none_or(|at| at <= now),
        clock_skewed: times
            .ahead
            .is_some_and(|ahead| ahead.unsigned_abs() > timing.clock_skew),
        settled: times.settled_at().is_none_or(|at| at <= now),
        overdue: times.overdue_at().is_some_and(|at| at <= now),
        // Reads of this pass count as evidence only if they were begun after that moment.
        surely_dead: times.dead_at().is_some_and(|at| at <= service_began),
        evidence_overdue: times
            .dead_at()
            .is_some_and(|at| after(at, timing.evidence_patience) <= service_now),
    };
    let earlier = remembered.evidence.as_ref().filter(|(id, began, _)| {
        pass.seen.request.pending().is_some_and(|a| a.id == *id) && after(*began, timing.settle) <= pass.began
    });
    pass.seen.earlier_evidence = earlier.map(|(.., evidence)| evidence.clone());
    pass.seen.facts = facts;
    age(pass, timing);
}

/// Reads that are older than the send guard are no ground to send upon, and neither is such a signature. What is gone
/// stays gone: with many desktops to look up one by one, a pass would never come to an end otherwise.
fn age(pass: &mut Pass, timing: &Timing) {
    let unsent = !pass
        .seen
        .request
        .status
        .attempts
        .iter()
        .any(|a| a.is_open() || a.took_effect());
    if let Submission::Armed { fresh, .. } = &mut pass.seen.submission {
        let armed = pass.armed.as_ref();
        *fresh = armed.is_some_and(|(_, since)| since.elapsed() < timing.send_guard);
    } else if unsent && pass.read_at.is_some_and(|at| at.elapsed() >= timing.send_guard) {
        pass.read_at = None;
        pass.reads_since = Instant::now();
        pass.seen
            .desktops
            .retain(|_, sighting| sighting.sight == Sight::Gone);
        pass.seen.sweep = None;
    }
}

/// How long to wait for `wake` at most.
pub fn delay(pass: &Pass, wake: Wake, context: &Context) -> Duration {
    let timing = &context.config.timing;
    let remembered = context.memory.of(&pass.uid());
    let times = Times {
        pass,
        timing,
        remembered: &remembered,
        ahead: ahead(pass, context),
    };
    let now = context.clock.now();
    let service_now = after_signed(now, times.ahead.unwrap_or_default());
    let until = |at: Option<Timestamp>| at.map_or(timing.retry_min, |at| between(now, at));
    let delay = match wake {
        Wake::Change => super::RESYNC,
        // The poller wakes it; this only heals a wake-up that got lost.
        Wake::Poll => timing.poll_interval * 8,
        Wake::Look => timing.poll_interval,
        Wake::Refresh => timing.secret_refresh,
        Wake::Backoff => exponential(remembered.failures, timing),
        // A login may be mended long before the pause is over.
        Wake::Retry => until(times.retry_at()).min(timing.secret_refresh),
        Wake::Settle => {
            until(times.settled_at().filter(|at| *at > now)).max(timing.settle.min(super::RESYNC))
        }
        Wake::Dead => {
            let left = times
                .dead_at()
                .map_or(timing.poll_interval, |at| between(service_now, at));
            left.min(timing.poll_interval.max(Duration::from_secs(60)))
        }
        Wake::SecondLook => timing.settle,
    };
    let delay = if wake == Wake::Backoff {
        delay + jitter(delay, context)
    } else {
        delay
    };
    let unsubmitted = pass.seen.request.status.attempts.iter().all(|a| {
        matches!(
            a.outcome,
            Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect
        )
    });
    // The deadline counts by the service's clock, which may be behind.
    let deadline = times
        .deadline()
        .filter(|at| unsubmitted && *at > service_now)
        .map(|at| between(service_now, at));
    // A moment later, so that the moment is over by any rounding.
    deadline.map_or(delay, |left| delay.min(left)) + Duration::from_millis(50)
}

/// The pause after so many failures in a row.
pub fn exponential(failures: u32, timing: &Timing) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    timing.retry_min.saturating_mul(factor).min(timing.retry_max)
}

/// Up to a fifth of a pause more, so that many requests do not come back at one time.
pub fn jitter(pause: Duration, context: &Context) -> Duration {
    let share = u32::try_from(context.clock.random() % 1000).unwrap_or_default();
    pause / 5 * share / 1000
}

fn ahead(pass: &Pass, context: &Context) -> Option<SignedDuration> {
    context.service_clocks.ahead(pass.endpoint()?)
}

/// The moments of a request.
struct Times<'a> {
    pass: &'a Pass,
    timing: &'a Timing,
    remembered: &'a Remembered,
    ahead: Option<SignedDuration>,
}

impl Times<'_> {
    fn deadline(&self) -> Option<Timestamp> {
        let object = &self.pass.object;
        let default = || {
            object
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|t| after(t.0, self.timing.request_deadline))
        };
        object.spec.not_after.as_ref().map(|t| t.0).or_else(default)
    }

    /// After a refusal: when it is tried again.
    fn retry_at(&self) -> Option<Timestamp> {
        let status = &self.pass.seen.request.status;
        let last = status.attempts.last()?;
        let error = last.error.as_ref()?;
        let refusals = u32::try_from(status.refused_attempts).unwrap_or_default();
        let asked = self
            .remembered
            .retry_after
            .map(|asked| asked.clamp(RETRY_AFTER.0, RETRY_AFTER.1));
        let pause = match Class::named(&error.class)
            .unwrap_or(Class::InDoubt)
            .treatment()
            .pace
        {
            Pace::Soon => self.timing.retry_min,
            Pace::Backoff => exponential(refusals, self.timing).max(asked.unwrap_or_default()),
            Pace::Slow => self.timing.retry_max,
        };
        let refused_at = self.remembered.refused_at.max(Some(error.time.0))?;
        Some(after(refused_at, pause))
    }

    /// The project or its Secret changed since the last refusal.
    fn login_changed(&self) -> bool {
        let now = self.pass.login.as_ref().map(|login| &login.stamp);
        now.zip(self.remembered.refused_login.as_ref())
            .is_some_and(|(now, then)| now != then)
    }

    /// When no request in doubt can take effect any more, nor an accepted one be invisible, by the service's clock.
    fn dead_at(&self) -> Option<Timestamp> {
        let attempts = &self.pass.seen.request.status.attempts;
        let doubtful = attempts
            .iter()
            .filter(|a| matches!(a.outcome, Outcome::Pending | Outcome::Abandoned));
        // Without the service's clock, ours may be off to either side.
        let unknown = if self.ahead.is_some() {
            Duration::ZERO
        } else {
            self.timing.clock_skew * 2
        };
        let allowance = self.timing.clock_skew + self.timing.settle + unknown;
        doubtful
            .map(|attempt| after(self.expiry(attempt), allowance))
            .max()
    }

    fn expiry(&self, attempt: &Attempt) -> Timestamp {
        let known = attempt.not_after.as_ref().map(|t| t.0);
        known.unwrap_or_else(|| after(attempt.signed_at.0, self.timing.token_life))
    }

    fn effective(&self) -> Option<&Attempt> {
        self.pass
            .seen
            .request
            .status
            .attempts
            .iter()
            .rev()
            .find(|a| a.took_effect())
    }

    /// When an accepted request must be visible at the latest. It is sent before the send guard is over, and accepted
    /// while its answer is awaited.
    fn settled_at(&self) -> Option<Timestamp> {
        let accepted = self.timing.send_guard + LONGEST_CALL;
        self.effective()
            .map(|a| after(a.signed_at.0, accepted + self.timing.settle))
    }

    fn overdue_at(&self) -> Option<Timestamp> {
        self.effective()
            .map(|a| after(a.signed_at.0, self.timing.job_overdue))
    }
}

/// How old the signature of the request's job is.
pub fn age_of_submission(pass: &Pass, context: &Context) -> Duration {
    let newest = pass
        .seen
        .request
        .status
        .attempts
        .iter()
        .map(|a| a.signed_at.0)
        .max();
    newest.map_or(Duration::ZERO, |at| between(at, context.clock.now()))
}

/// `at` and so much later; the end of time if that is beyond it.
pub fn after(at: Timestamp, later: Duration) -> Timestamp {
    at.checked_add(later).unwrap_or(Timestamp::MAX)
}

fn after_signed(at: Timestamp, later: SignedDuration) -> Timestamp {
    at.checked_add(later).unwrap_or(Timestamp::MAX)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}
