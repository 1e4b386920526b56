//! Floor 5, shared by phases.
//!
//! How many desktops a project takes within a day (`maxDesktopsPerDay`). They are reserved in the status of the project after
//! the permit and before the signature, and nothing is sent without that.

use jiff::Timestamp;

use super::observed::Observed;
use super::progress::{Progress, Requeue};
use crate::crd::conditions::Reason;
use crate::crd::deletion::Attempt;
use crate::crd::limits::RESERVATIONS;
use crate::crd::project::{DailyUsage, Reservation};
use crate::ids::AttemptID;

/// The wait of a request for which the limit leaves no room, of which `count` desktops would be submitted.
pub fn reached(seen: &Observed, count: usize) -> Option<Progress> {
    let (limit, usage) = limit_and_usage(seen)?;
    if is_reserved(usage, seen.reserved.as_ref(), count) {
        return None;
    }
    let others = others(usage, seen.reserved.as_ref());
    let room = limit.saturating_sub(others.desktops());
    let is_full = others.reservations.len() >= RESERVATIONS as usize;
    if count <= room as usize && !is_full {
        return None;
    }
    let until = if has_left_over(seen, usage) {
        "an earlier reservation of this request is released first".to_owned()
    } else if is_full {
        "too many submissions are in progress".to_owned()
    } else {
        match opens_at(&others, limit, count) {
            Some(at) => format!("there is room at {at}, or earlier if another submission has no effect"),
            None => "there is room a day after the submissions that are in progress".to_owned(),
        }
    };
    let message = format!(
        "the daily limit of WorkspaceProject {} ({limit}, maxDesktopsPerDay) leaves no room for this request, which needs {count}; {until}",
        seen.request.project
    );
    Some(Progress::held(Reason::DailyLimitReached, message, Requeue::Usage))
}

/// So many desktops must be reserved before the request is signed, and are not.
pub fn is_missing(seen: &Observed, count: usize) -> bool {
    let reserved = |(_, usage): (u32, &DailyUsage)| is_reserved(usage, seen.reserved.as_ref(), count);
    !limit_and_usage(seen).is_none_or(reserved)
}

/// The desktops of the attempt are reserved, or need not be.
pub fn permits(seen: &Observed, attempt: &Attempt) -> bool {
    let count = attempt.desktop_ids.len();
    let reserved = |(_, usage): (u32, &DailyUsage)| is_reserved(usage, Some(&attempt.id), count);
    limit_and_usage(seen).is_none_or(reserved)
}

fn limit_and_usage(seen: &Observed) -> Option<(u32, &DailyUsage)> {
    let project = seen.project.as_ref()?;
    let limit = project.guardrails.as_ref()?.max_desktops_per_day?;
    Some((limit, &project.usage))
}

fn is_reserved(usage: &DailyUsage, attempt: Option<&AttemptID>, count: usize) -> bool {
    let is_enough = |r: &Reservation| {
        Some(&r.attempt_id) == attempt && usize::try_from(r.desktops).is_ok_and(|all| count <= all)
    };
    usage.reservations.iter().any(is_enough)
}

/// What counts besides the reservation for that attempt, which a new one replaces.
fn others(usage: &DailyUsage, attempt: Option<&AttemptID>) -> DailyUsage {
    let mut others = usage.clone();
    others.reservations.retain(|r| Some(&r.attempt_id) != attempt);
    others
}

/// An earlier reconciliation of the request, perhaps of another process, reserved desktops and may still use them: until a
/// write of this one changes the object. So its message must not be the one that is stored.
fn has_left_over(seen: &Observed, usage: &DailyUsage) -> bool {
    let request = &seen.request;
    usage.reservations.iter().any(|r| {
        r.uid == request.uid
            && r.resource_version == request.resource_version
            && Some(&r.attempt_id) != seen.reserved.as_ref()
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
