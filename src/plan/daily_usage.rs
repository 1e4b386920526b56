//! Layer 3, time: what counts against maxDesktopsPerDay, and until when.
//!
//! Desktops are reserved before a submission is signed. They are released only if it certainly had and can have no
//! effect: its attempt is recorded as without effect, or was never stored and cannot be stored any more.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::attempts::is_without_effect;
use super::clocks::{Clocks, after};
use crate::config::Timing;
use crate::crd::deletion::{Attempt, Outcome};
use crate::crd::limits::USAGE_INTERVALS;
use crate::crd::project::{DailyUsage, Reservation, SubmittedDesktops};

/// For how long a desktop counts.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Desktops that are submitted within one interval count until the same time.
const INTERVAL: i64 = 15 * 60;

/// The request of a reservation, as it was read live.
#[derive(Debug, Clone)]
pub enum ReservationOwner {
    /// It does not exist; another one may have its name.
    Gone,
    /// It exists.
    Found {
        /// Its resourceVersion.
        resource_version: String,
        /// The attempts in its status.
        attempts: Vec<Attempt>,
    },
    /// It could not be read or decoded.
    Unknown,
}

/// Removes what no longer counts by both clocks. A reservation that was never settled counts as long as its submission
/// would.
pub fn expire(usage: &mut DailyUsage, clocks: &Clocks, timing: &Timing) {
    let counts = |until: Timestamp| clocks.until(until, timing.clock_skew) != Some(Duration::ZERO);
    usage.submitted.retain(|interval| counts(interval.counts_until.0));
    usage
        .reservations
        .retain(|reservation| counts(counts_until(reservation.reserved_at.0, timing)));
}

/// Until the first of these desktops stop counting by both clocks; `None` if that is not known.
pub fn until_freed(submitted: &[SubmittedDesktops], clocks: &Clocks, timing: &Timing) -> Option<Duration> {
    let first = submitted.iter().map(|interval| interval.counts_until.0).min()?;
    clocks.until(first, timing.clock_skew)
}

/// The usage with that reservation, which takes the place of an earlier one for the same attempt of the same request.
#[must_use]
pub fn reserve(usage: &DailyUsage, reservation: Reservation) -> DailyUsage {
    let mut usage = usage.clone();
    usage
        .reservations
        .retain(|other| other.uid != reservation.uid || other.attempt_id != reservation.attempt_id);
    usage.reservations.push(reservation);
    usage
}

/// The time at which desktops are reserved: the later one of both clocks.
pub fn now(clocks: &Clocks) -> Time {
    Time(
        clocks
            .other()
            .map_or(clocks.local, |other| other.max(clocks.local)),
    )
}

/// The usage after settling each reservation that can be settled; `requests` has their requests in the same order. The
/// desktops of a submission that may have had an effect count for a day; those of any other are released.
#[must_use]
pub fn settle_reservations(
    usage: &DailyUsage,
    requests: Vec<ReservationOwner>,
    timing: &Timing,
) -> DailyUsage {
    let mut settled = DailyUsage {
        submitted: usage.submitted.clone(),
        reservations: vec![],
    };
    let unread = std::iter::repeat(ReservationOwner::Unknown);
    for (reservation, request) in usage.reservations.iter().zip(requests.into_iter().chain(unread)) {
        match state_of(reservation, request) {
            ReservationState::Open => settled.reservations.push(reservation.clone()),
            ReservationState::Released => {}
            ReservationState::Submitted { desktops, signed_at } => {
                let at = signed_at.map_or(reservation.reserved_at.0, |at| at.max(reservation.reserved_at.0));
                count(&mut settled.submitted, counts_until(at, timing), desktops);
            }
        }
    }
    settled
}

enum ReservationState {
    /// It is not certain yet.
    Open,
    /// It had no effect, and cannot have one.
    Released,
    /// This many desktops were submitted, or may have been.
    Submitted {
        desktops: i32,
        /// When, if that is known.
        signed_at: Option<Timestamp>,
    },
}

fn state_of(reservation: &Reservation, request: ReservationOwner) -> ReservationState {
    let (resource_version, attempts) = match request {
        ReservationOwner::Unknown => return ReservationState::Open,
        // It is no longer known whether it was submitted before it was deleted.
        ReservationOwner::Gone => {
            return ReservationState::Submitted {
                desktops: reservation.desktops,
                signed_at: None,
            };
        }
        ReservationOwner::Found {
            resource_version,
            attempts,
        } => (resource_version, attempts),
    };
    let attempt = attempts
        .iter()
        .find(|attempt| attempt.id == reservation.attempt_id);
    match attempt {
        // The reconciliation that reserved can store the intent as long as the request is as it was then.
        None if resource_version == reservation.resource_version => ReservationState::Open,
        // Only records of attempts that were rejected or not sent are removed.
        None => ReservationState::Released,
        Some(attempt) if attempt.outcome == Outcome::Pending => ReservationState::Open,
        Some(attempt) if is_without_effect(attempt) => ReservationState::Released,
        Some(attempt) => ReservationState::Submitted {
            desktops: i32::try_from(attempt.desktop_ids.len()).unwrap_or(reservation.desktops),
            signed_at: Some(attempt.signed_at.0),
        },
    }
}

fn count(submitted: &mut Vec<SubmittedDesktops>, until: Timestamp, desktops: i32) {
    if let Some(interval) = submitted
        .iter_mut()
        .find(|interval| interval.counts_until.0 == until)
    {
        interval.desktops = interval.desktops.saturating_add(desktops);
        return;
    }
    submitted.push(SubmittedDesktops {
        counts_until: Time(until),
        desktops,
    });
    submitted.sort_by_key(|interval| interval.counts_until.0);
    // More than a day has, so a clock was set: the first ones count a little longer.
    while submitted.len() > USAGE_INTERVALS as usize {
        let first = submitted.remove(0);
        submitted[0].desktops = submitted[0].desktops.saturating_add(first.desktops);
    }
}

/// Until when desktops count that were reserved, or signed for, at that time: a day after the end of the interval in which
/// the cloud may have taken them.
fn counts_until(at: Timestamp, timing: &Timing) -> Timestamp {
    let taken = after(at, timing.max_signature_age + timing.submission_timeout);
    let end = (taken.as_second().div_euclid(INTERVAL) + 1) * INTERVAL;
    after(Timestamp::from_second(end).unwrap_or(Timestamp::MAX), DAY)
}
