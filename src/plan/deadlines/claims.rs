//! How long a deleted request, or one whose project has not been checked, reserves a desktop.

use std::time::Duration;

use jiff::Timestamp;

use super::{may_take_effect_for, must_show_within, until_over};
use crate::config::Timing;
use crate::plan::clocks::{Clocks, after};
use crate::plan::in_flight::InFlight;

/// How long a request waits for the first check of the project of an older one. A check is a read or two of the cloud.
const FIRST_CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a forbidden list or watch counts without another one: a watch is tried again within a minute.
const REFUSAL_MAX_AGE: Duration = Duration::from_secs(180);

/// Messages contain whole minutes, so that they do not change with small clock drifts.
const MINUTE: i64 = 60;

/// Until the claim of a deleted request on the desktops of this attempt ends, by the rules that would keep its object:
/// the call can no longer take effect, nor an accepted one be invisible.
pub fn until_claim_ends(attempt: &InFlight, clocks: &Clocks, timing: &Timing) -> Duration {
    let Some(signed_at) = attempt.signed_at else {
        return until_unreadable_call_ends(attempt.first_seen, clocks.uptime, timing);
    };
    let known_for = clocks.uptime.saturating_sub(attempt.first_seen);
    let doubtful = attempt
        .is_in_doubt()
        .then(|| may_take_effect_for(signed_at, attempt.not_after, timing));
    let accepted = attempt.took_effect().then(|| must_show_within(timing));
    let span = doubtful.max(accepted).unwrap_or_default();
    until_over(signed_at, span, known_for, clocks, timing)
}

/// Until a call whose record cannot be read, and which this process first saw at `first_seen`, can no longer take
/// effect, and its job can no longer be invisible: the maximum lifetime of a call, which includes the clock allowance
/// once, and the allowance twice more.
pub fn until_unreadable_call_ends(first_seen: Duration, uptime: Duration, timing: &Timing) -> Duration {
    let life = timing.token_life.max(timing.signature_window)
        + timing.job_visibility_timeout
        + timing.clock_skew * 3;
    life.saturating_sub(uptime.saturating_sub(first_seen))
}

/// The minute by which a claim that lasts so much longer will have ended, by this machine's clock.
pub fn claim_ends_by(left: Duration, clocks: &Clocks) -> Timestamp {
    let second = after(clocks.local, left).as_second();
    let minute = second.div_euclid(MINUTE).saturating_add(1).saturating_mul(MINUTE);
    Timestamp::from_second(minute).unwrap_or(Timestamp::MAX)
}

/// Whether a younger request still waits for the first check of a project that this process first saw unchecked at
/// `since`. A check that never ends must not block others for long.
pub fn first_check_is_awaited(since: Duration, uptime: Duration) -> bool {
    uptime.saturating_sub(since) < FIRST_CHECK_TIMEOUT
}

/// Whether a watch that was forbidden at `refused` still lacks the permission. It may have been granted without an
/// event, and an API server that is down does not report it.
pub fn is_still_refused(refused: Duration, uptime: Duration) -> bool {
    uptime.saturating_sub(refused) < REFUSAL_MAX_AGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::config;
    use crate::crd::deletion::Outcome;

    const SIGNED: i64 = 1_767_600_000;

    /// The default durations: a signature lives for 900 s, clocks may be 300 s apart, a job shows after 120 s.
    fn timing() -> Timing {
        config(&[]).timing
    }

    fn attempt(outcome: Outcome, jobs: &[&str]) -> InFlight {
        let at = |seconds| Timestamp::from_second(SIGNED + seconds).unwrap();
        InFlight {
            id: "0000000000000001".try_into().unwrap(),
            desktops: vec!["pc-1".try_into().unwrap()],
            signed_at: Some(at(0)),
            not_after: Some(at(900)),
            outcome,
            jobs: jobs.iter().map(|job| (*job).try_into().unwrap()).collect(),
            first_seen: Duration::from_secs(1000),
        }
    }

    /// Clocks so many seconds after the signature, in a process that has known the attempt from the start.
    fn clocks(ours: i64, service: Option<i64>) -> Clocks {
        let at = |seconds| Timestamp::from_second(SIGNED + seconds).unwrap();
        Clocks {
            uptime: Duration::from_secs(1000 + ours.unsigned_abs()),
            local: at(ours),
            service: service.map(at),
            api_server: None,
        }
    }

    #[test]
    fn a_claim_lasts_as_long_as_its_object_would_have_been_kept() {
        let in_doubt = 900 + 300 + 120;
        let accepted = 60 + 120 + 120;
        for (outcome, jobs, span) in [
            (Outcome::Pending, &[][..], in_doubt),
            (Outcome::Abandoned, &[], in_doubt),
            (Outcome::Abandoned, &["job-1"], in_doubt),
            (Outcome::Accepted, &["job-1"], accepted),
            (Outcome::Adopted, &["job-1"], accepted),
            (Outcome::Adopted, &[], accepted),
        ] {
            let attempt = attempt(outcome, jobs);
            let left = |clocks: Clocks| until_claim_ends(&attempt, &clocks, &timing()).as_secs();
            let name = format!("{outcome:?} {jobs:?}");
            assert_eq!(left(clocks(0, Some(0))), span, "{name}");
            let over = span.cast_signed();
            assert_eq!(left(clocks(over, Some(over))), 0, "{name}");
            assert_eq!(
                left(clocks(over, Some(over - 200))),
                200,
                "{name}: both clocks count"
            );
            // The time there is not known: our own clock does not count, what passed in this process does.
            assert_eq!(left(clocks(100, None)), span + 600 - 100, "{name}");
        }
    }

    #[test]
    fn a_call_whose_expiry_is_unknown_is_assumed_to_live_as_long_as_a_token() {
        let mut attempt = attempt(Outcome::Pending, &[]);
        attempt.not_after = None;
        let left = until_claim_ends(&attempt, &clocks(0, Some(0)), &timing());
        assert_eq!(left.as_secs(), 86_400 + 300 + 120);
    }

    #[test]
    fn the_end_that_is_shown_is_the_next_whole_minute() {
        let shown = |left| claim_ends_by(Duration::from_secs(left), &clocks(0, None));
        let minute = |minutes: i64| Timestamp::from_second(SIGNED + minutes * 60).unwrap();
        assert_eq!(SIGNED % 60, 0);
        assert_eq!(shown(0), minute(1));
        assert_eq!(shown(59), minute(1));
        assert_eq!(shown(60), minute(2));
        assert_eq!(claim_ends_by(Duration::MAX, &clocks(0, None)), Timestamp::MAX);
    }

    #[test]
    fn an_unreadable_call_is_assumed_to_have_the_longest_life() {
        let left = |mut timing: Timing, since, now| {
            timing.job_visibility_timeout = Duration::from_secs(7);
            timing.clock_skew = Duration::from_secs(10);
            until_unreadable_call_ends(Duration::from_secs(since), Duration::from_secs(now), &timing)
                .as_secs()
        };
        assert_eq!(left(timing(), 50, 50), 86_400 + 7 + 30);
        assert_eq!(left(timing(), 50, 150), 86_400 + 7 + 30 - 100);
        assert_eq!(left(timing(), 50, 100_000), 0);
        let signature = Timing {
            token_life: Duration::from_secs(60),
            ..timing()
        };
        assert_eq!(left(signature, 50, 50), 900 + 7 + 30);
    }

    #[test]
    fn a_missing_permission_is_assumed_until_three_minutes_after_the_last_rejection() {
        let still = |at, now| is_still_refused(Duration::from_secs(at), Duration::from_secs(now));
        assert!(still(100, 279));
        assert!(!still(100, 280));
    }

    #[test]
    fn an_unchecked_project_delays_other_requests_for_a_minute() {
        let awaited =
            |since, now| first_check_is_awaited(Duration::from_secs(since), Duration::from_secs(now));
        assert!(awaited(100, 100));
        assert!(awaited(100, 159));
        assert!(!awaited(100, 160));
    }
}
