//! Layer 5, shared by phases: does the daily limit of the project have room.
//!
//! How many desktops a project takes within a day (`maxDesktopsPerDay`). They are reserved in the status of the project
//! after the permit and before the signature, and nothing is sent without that.

use jiff::Timestamp;

use super::messages;
use super::observed::Observed;
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;
use crate::crd::limits::RESERVATIONS;
use crate::crd::project::{DailyUsage, Reservation};
use crate::ids::AttemptID;

/// The wait of a request with `count` desktops to submit for which the limit leaves no room.
pub fn reached(observed: &Observed, count: usize) -> Option<Progress> {
    let (limit, usage) = limit_and_usage(observed)?;
    // The reservation of this reconciliation is replaced by a new one, or is still valid.
    let mut others = usage.clone();
    others
        .reservations
        .retain(|r| !is_of(r, observed, observed.reserved.as_ref()));
    let room = limit.saturating_sub(others.desktops());
    let is_full = others.reservations.len() >= RESERVATIONS as usize;
    if count <= room as usize && !is_full {
        return None;
    }
    let until = if let Some(earlier) = left_over(observed, &others) {
        format!(
            "waiting until an earlier reservation of this request ({}) is released",
            earlier.attempt_id
        )
    } else if is_full {
        "waiting until the outcome of one of them is recorded".to_owned()
    } else {
        match opens_at(&others, limit, count) {
            Some(at) => format!("it can be submitted at {at}, or earlier if another submission has no effect"),
            None => {
                "it can be submitted 24 hours after the submissions in progress were sent, or earlier if they have no effect"
                    .to_owned()
            }
        }
    };
    let project = &observed.request.project;
    let cause = if is_full {
        format!("too many submissions of WorkspaceProject {project} are in progress")
    } else {
        format!(
            "this request ({}) would exceed the daily limit of WorkspaceProject {project} (maxDesktopsPerDay: {limit})",
            messages::desktops(count),
        )
    };
    let message = format!("{cause}; {until}");
    Some(Progress::paused(
        Reason::DailyLimitReached,
        message,
        Requeue::DailyLimit,
    ))
}

/// Whether this many desktops are reserved for that attempt, or need not be. The reservation for an attempt that is not
/// stored is valid only while the request is unchanged: after a change, the check of reservations releases the
/// desktops.
pub fn is_reserved(observed: &Observed, attempt: Option<&AttemptID>, count: usize) -> bool {
    let Some((_, usage)) = limit_and_usage(observed) else {
        return true;
    };
    let request = &observed.request;
    usage.reservations.iter().any(|r| {
        let unchanged = r.resource_version == request.resource_version;
        let enough = usize::try_from(r.desktops).is_ok_and(|all| count <= all);
        is_of(r, observed, attempt) && enough && (unchanged || request.attempt(&r.attempt_id).is_some())
    })
}

/// Something is reserved for that attempt of the request.
fn is_of(reservation: &Reservation, observed: &Observed, attempt: Option<&AttemptID>) -> bool {
    reservation.uid == observed.request.uid && Some(&reservation.attempt_id) == attempt
}

fn limit_and_usage(observed: &Observed) -> Option<(u32, &DailyUsage)> {
    let project = observed.project.as_ref()?;
    let limit = project.guardrails.as_ref()?.max_desktops_per_day?;
    Some((limit, &project.usage))
}

/// The reservation of an earlier reconciliation of this request, perhaps of another process, which can still use it
/// until this process writes the object. The message therefore names it, so that it differs from the stored message and
/// the object is written.
fn left_over<'a>(observed: &Observed, others: &'a DailyUsage) -> Option<&'a Reservation> {
    let request = &observed.request;
    others.reservations.iter().find(|r| {
        r.uid == request.uid
            && r.resource_version == request.resource_version
            && request.attempt(&r.attempt_id).is_none()
    })
}

/// When enough of what was submitted stops counting; `None` if that is not enough.
fn opens_at(usage: &DailyUsage, limit: u32, count: usize) -> Option<Timestamp> {
    let mut left = usage.desktops();
    let mut intervals: Vec<_> = usage.submitted.iter().collect();
    intervals.sort_by_key(|interval| interval.counts_until.0);
    intervals.into_iter().find_map(|interval| {
        left = left.saturating_sub(u32::try_from(interval.desktops).unwrap_or(0));
        (count <= limit.saturating_sub(left) as usize).then_some(interval.counts_until.0)
    })
}
