//! How old a read may be that a decision relies on.

use std::time::Duration;

use super::RESYNC;
use crate::config::Timing;
use crate::crd::deletion::Attempt;
use crate::plan::observed::{Observed, ReadTime, ReadTimes, Submission};
use crate::plan::views::DesktopView;

/// How long a reconciliation relies on an earlier one that found a desktop gone.
const GONE_MAX_AGE: Duration = RESYNC;

/// How long ago the last read of the project may have been answered when a request is signed: requests that wait for a
/// permit share that read.
const PROJECT_MAX_AGE: Duration = Duration::from_secs(1);

/// Earliest start of a read that may admit a request that this process first saw at `first_seen`, and whose desktops
/// another request last released at `released`: after both, and at most half of the job visibility timeout ago, but not so
/// long ago that the read would soon be too old for a signature.
pub fn oldest_admitting_read(
    uptime: Duration,
    first_seen: Option<Duration>,
    released: Option<Duration>,
    timing: &Timing,
) -> Duration {
    oldest_first_read(uptime, timing)
        .max(uptime.saturating_sub(timing.job_visibility_timeout / 2))
        .max(first_seen.unwrap_or(uptime))
        .max(released.unwrap_or_default())
}

/// Earliest start of a read that is repeated before anything is sent.
pub fn oldest_first_read(uptime: Duration, timing: &Timing) -> Duration {
    uptime.saturating_sub(timing.max_signature_age / 2)
}

/// Earliest time at which an earlier reconciliation must have found by a GET that a desktop is gone, for a request that
/// was not submitted: one failed read among many must not cause all of them to be repeated.
pub fn oldest_gone(uptime: Duration) -> Duration {
    uptime.saturating_sub(GONE_MAX_AGE)
}

/// Whether a signature made at `made` is too old to be sent, or a read made then is too old to sign a request.
pub fn is_stale(made: Duration, uptime: Duration, timing: &Timing) -> bool {
    uptime.saturating_sub(made) >= timing.max_signature_age
}

/// Whether a live read of the project, whose response arrived at `answered`, is recent enough for a signature.
pub fn is_fresh_enough_to_sign(answered: Duration, uptime: Duration) -> bool {
    uptime.saturating_sub(answered) < PROJECT_MAX_AGE
}

/// Removes observations that are too old to act on. Each read has its own age, which does not include the time that
/// reading took: if the cloud is slow, the first of many reads would otherwise be too old before the last one is made,
/// however often they are repeated. A desktop that is gone stays gone, and one that must be confirmed by a GET still
/// must. Of a signed submission nothing is removed: only whether its signature is fresh is brought up to date. Returns
/// whether reads were removed.
pub fn drop_stale(
    observed: &mut Observed,
    signed_uptime: Option<Duration>,
    reads: &ReadTimes,
    uptime: Duration,
    timing: &Timing,
) -> bool {
    if let Submission::Signed { fresh, .. } = &mut observed.submission {
        *fresh = signed_uptime.is_some_and(|made| !is_stale(made, uptime, timing));
        return false;
    }
    let attempts = &observed.request.status.attempts;
    if attempts.iter().any(Attempt::may_have_taken_effect) {
        return false;
    }
    let stale = |read: Option<&ReadTime>, took: Duration| {
        read.is_none_or(|read| {
            let reading = took.saturating_sub(read.took_before);
            is_stale(read.began + reading, uptime, timing)
        })
    };
    let before = observed.desktops.len();
    observed.desktops.retain(|id, observation| {
        let waits = observation.view == DesktopView::Gone || observation.view.needs_lookup();
        waits || !stale(reads.desktops.get(id), reads.desktops_took)
    });
    let mut dropped = observed.desktops.len() < before;
    if observed.sub_job_list.is_some() && stale(reads.sub_jobs.as_ref(), reads.sub_jobs_took) {
        observed.sub_job_list = None;
        dropped = true;
    }
    dropped
}
