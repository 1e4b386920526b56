//! From when on a request may be sent, and until when a delete request that was signed may take effect.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Timing;
use crate::crd::deletion::{Attempt, AuthMethod};
use crate::plan::clocks::{Clocks, after, between};
use crate::plan::observed::NotBefore;

/// How long a request may stay in doubt before user action is required: longer than any signature is valid.
const MAX_UNATTENDED_WAIT: SignedDuration = SignedDuration::from_mins(30);

/// Whether the end of an attempt with unknown outcome is so late that user action is required instead of a wait for it:
/// a token may be valid for a day, or for years.
pub fn needs_user_before_expiry(attempt: &Attempt) -> bool {
    let life = |end: Timestamp| end.duration_since(attempt.signed_at.0);
    attempt.auth == AuthMethod::Token
        && attempt
            .not_after
            .as_ref()
            .is_none_or(|end| life(end.0) > MAX_UNATTENDED_WAIT)
}

/// Whether the earliest time of a submission is reached: both clocks must be past it.
pub fn start(not_before: Option<Timestamp>, clocks: &Clocks, timing: &Timing) -> NotBefore {
    let Some(at) = not_before else {
        return NotBefore::Reached;
    };
    match clocks.until(at, timing.clock_skew) {
        Some(Duration::ZERO) => NotBefore::Reached,
        None if at <= clocks.local => NotBefore::ClockUnknown,
        _ => NotBefore::Ahead,
    }
}

/// How long after its signature a request without a response may take effect or stay invisible.
pub(super) fn may_take_effect_for(
    signed_at: Timestamp,
    not_after: Option<Timestamp>,
    timing: &Timing,
) -> Duration {
    let known = not_after.map(|end| between(signed_at, end));
    known.unwrap_or(timing.token_life) + timing.clock_skew + timing.job_visibility_timeout
}

/// How long after its signature an accepted request may stay invisible: it is sent before the maximum signature age has
/// passed, and accepted before the submission timeout.
pub(super) fn must_show_within(timing: &Timing) -> Duration {
    timing.max_signature_age + timing.submission_timeout + timing.job_visibility_timeout
}

/// Until `span` has certainly passed since a request was signed at `signed_at`. Both clocks must be past it. If the API
/// server's clock is known, a third source is required as well, since two clocks could be wrong one after the other:
/// that clock, or this process must have known the request for `span` and twice the clock allowance more. If the
/// service's clock is not known, the local clock is not used, and both other sources are required, the API server's
/// clock as far as it is known.
pub fn until_over(
    signed_at: Timestamp,
    span: Duration,
    known_for: Duration,
    clocks: &Clocks,
    timing: &Timing,
) -> Duration {
    let end = after(signed_at, span);
    let known = span
        .saturating_add(timing.clock_skew * 2)
        .saturating_sub(known_for);
    if clocks.service.is_some() {
        let there = clocks
            .api_server
            .map_or(Duration::ZERO, |clock| between(clock, end));
        let both = clocks.until(end, timing.clock_skew).unwrap_or(Duration::MAX);
        return both.max(there.min(known));
    }
    let there = clocks
        .api_server
        .map(|clock| between(clock, after(end, timing.clock_skew * 2)));
    known.max(there.unwrap_or_default())
}

/// When a request is no longer accepted: some time after its signature, or when its access key expires if that is a
/// temporary one.
pub fn end_of_signature(signed_at: Timestamp, key_ends: Option<Timestamp>, timing: &Timing) -> Timestamp {
    let end = after(signed_at, timing.signature_window);
    key_ends.map_or(end, |key_ends| end.min(key_ends))
}
