//! The final results of a request that was not submitted, or whose submissions had no effect.

use super::NO_EFFECT_LIMIT;
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason, find};
use crate::crd::deletion::{CloudError, DesktopState, DesktopStatus, ErrorClass, Outcome};
use crate::ids::DesktopID;
use crate::plan::attempts::{count_identical_not_found, last_failed_submission};
use crate::plan::blockers::clock_skew;
use crate::plan::observed::Observed;
use crate::plan::progress::{Progress, Requeue};
use crate::plan::step::Completion;
use crate::plan::{finalizer, messages};

/// How often the cloud may report "not found" for the same desktops although it shows each of them, before that is
/// final.
const NOT_FOUND_LIMIT: usize = 3;

const DEADLINE_UNCLEAR: &str = "the deadline has passed by one of two clocks, the operator's and the cloud service's \
    (while that is unknown, the API server's), so the request will not be submitted; it expires once the deadline has passed by both";

/// Separator in the message of an expired request, before the last thing that it waited for.
const LAST_STATUS: &str = "; last status: ";

pub(super) fn expired(observed: &Observed) -> Completion {
    let message = "the deadline passed before the request was submitted; no delete request took effect. Create a new request if the desktops must still be deleted";
    Completion {
        error: last_error(observed).cloned(),
        ..Completion::new(Reason::Expired, with_last_message(observed, message))
    }
}

/// Nothing is sent any more, but the request has not expired yet.
pub(super) fn deadline_unclear(observed: &Observed) -> Progress {
    if let Some(skew) = observed.facts.clock_skew {
        return clock_skew(skew);
    }
    let message = with_last_message(observed, DEADLINE_UNCLEAR);
    Progress {
        error: last_error(observed).cloned(),
        ..Progress::retrying(Reason::Expired, message, Requeue::Retry)
    }
}

pub(super) fn no_effect() -> Completion {
    let message = format!(
        "{NO_EFFECT_LIMIT} submissions had no effect, according to two reads of the desktops or to an annotation, and \
         no conclusive response was recorded for any of them; check restarts of the operator and the network path to \
         the cloud, then create a new request"
    );
    Completion::new(Reason::NoEffect, message)
}

pub(super) fn already_absent(observed: &Observed, absent: &[DesktopID]) -> Completion {
    let project = observed.project.as_ref().and_then(|p| p.coordinates.clone());
    let place = project.as_ref().map_or_else(String::new, |p| {
        format!(
            " in project {} of region {} ({})",
            p.project_id, p.region, p.endpoint
        )
    });
    let who = match observed.request.desktop_ids.len() {
        1 => "the desktop does not exist".to_owned(),
        many => format!("none of the {many} desktops exists"),
    };
    let sent = observed
        .request
        .status
        .attempts
        .iter()
        .any(|a| a.outcome != Outcome::NotSent);
    let what = if sent {
        "no delete request took effect"
    } else {
        "nothing was submitted"
    };
    let mut message = format!("{who}{place}: {what}; if that is unexpected, check the project");
    message.push_str(&messages::hint_not_an_id(absent));
    Completion {
        submitted: Reason::NothingToDelete,
        project,
        desktops: absent
            .iter()
            .map(|id| DesktopStatus::new(id, DesktopState::Absent))
            .collect(),
        ..Completion::new(Reason::AlreadyAbsent, message)
    }
}

/// The final result, if the last rejection is still about the same desktops after they were read again.
pub(super) fn final_rejection(observed: &Observed, body: &[DesktopID]) -> Option<Completion> {
    let (attempt, error) =
        last_failed_submission(&observed.request.status).filter(|(a, _)| a.outcome == Outcome::Rejected)?;
    let final_class = match error.class {
        ErrorClass::InvalidRequest => true,
        ErrorClass::NotFound => count_identical_not_found(&observed.request.status, body) >= NOT_FOUND_LIMIT,
        _ => false,
    };
    if !final_class || attempt.desktop_ids != body {
        return None;
    }
    Some(Completion {
        submitted: error.class.error_policy().reason,
        desktops: body
            .iter()
            .map(|id| {
                let mut failed = DesktopStatus::new(id, DesktopState::Failed);
                failed.code.clone_from(&error.code);
                failed
            })
            .collect(),
        error: Some(error.clone()),
        ..Completion::new(Reason::Rejected, messages::of_error(error))
    })
}

fn with_last_message(observed: &Observed, message: &str) -> String {
    match last_message(observed) {
        Some(last) => format!("{message}{LAST_STATUS}{last}"),
        None => message.to_owned(),
    }
}

/// What prevented the submission until the deadline, according to the conditions.
fn last_message(observed: &Observed) -> Option<String> {
    let submitted = find(&observed.request.status.conditions, ConditionType::Submitted);
    let Some(submitted) = submitted.filter(|c| c.status == ConditionStatus::False) else {
        return last_error(observed).map(|error| without_retry(&messages::of_error(error)));
    };
    let message = finalizer::without_finalizer_note(&submitted.message);
    match message.strip_prefix(DEADLINE_UNCLEAR) {
        None => Some(without_retry(message)),
        Some(rest) => rest.strip_prefix(LAST_STATUS).map(ToOwned::to_owned),
    }
}

/// A message without the note that the operator is retrying, which is at its end or before the details.
fn without_retry(message: &str) -> String {
    let hint = "; retrying";
    let message = message.strip_suffix(hint).unwrap_or(message);
    message.replacen(&format!("{hint} ("), " (", 1)
}

/// The last error of the cloud that kept the request from being submitted.
fn last_error(observed: &Observed) -> Option<&CloudError> {
    let refused = || last_failed_submission(&observed.request.status).map(|(_, error)| error);
    observed.request.status.last_error.as_ref().or_else(refused)
}
