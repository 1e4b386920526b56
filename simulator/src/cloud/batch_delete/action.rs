//! What a batch does with each of its desktops.

use http::StatusCode;
use jiff::Timestamp;

use crate::cloud::Cloud;
use crate::cloud::api_error::ApiError;
use crate::cloud::desktops::{Deletion, DesktopRecord, Phase};
use crate::cloud::jobs::Failure;
use crate::world::{ChargingMode, Desktop, RepeatedDesktop, RestrictedDesktop, UnknownDesktop};

const CONFLICT: &str = "WKS.00010032";
const NOT_FOUND: &str = "WKS.00010404";
const REFUSED: &str = "WKS.00010002";

/// What the batch does with one desktop.
pub(super) enum DesktopAction {
    Delete,
    /// It is being deleted already; its sub-job ends like the one that runs.
    Join(Deletion),
    Fail(Failure),
    Skip,
}

/// What is done with a desktop that the caller may delete.
pub(super) fn decide_action(
    cloud: &Cloud,
    now: Timestamp,
    project: &str,
    id: &str,
    force: bool,
) -> Result<DesktopAction, ApiError> {
    let record = cloud.desktops.find(project, id);
    let Some(record) = record.filter(|record| record.phase(now) != Phase::Gone) else {
        return unknown(cloud.world.switches.unknown_desktop, id);
    };
    if let (Phase::Deleting | Phase::Emptied, Some(deletion)) = (record.phase(now), &record.deletion) {
        return repeated(cloud.world.switches.repeated_desktop, id, deletion);
    }
    match restriction(cloud, &record.desktop, force) {
        None | Some((_, RestrictedDesktop::Delete)) => Ok(DesktopAction::Delete),
        Some((why, RestrictedDesktop::Conflict)) => Err(conflict(record, why)),
        Some((why, RestrictedDesktop::Refuse)) => {
            let message = format!("the desktop {id} cannot be deleted: it is {why}");
            Err(ApiError::workspace(StatusCode::BAD_REQUEST, REFUSED, message))
        }
        Some((why, RestrictedDesktop::Fail)) => Ok(fail(
            REFUSED,
            format!("the desktop cannot be deleted: it is {why}"),
        )),
    }
}

fn restriction(cloud: &Cloud, desktop: &Desktop, force: bool) -> Option<(&'static str, RestrictedDesktop)> {
    let switches = &cloud.world.switches;
    if desktop.charging_mode == ChargingMode::PrePaid {
        return Some(("prepaid", switches.prepaid_desktop));
    }
    if desktop.frozen {
        return Some(("frozen", switches.busy_desktop));
    }
    if desktop.maintenance {
        return Some(("in maintenance", switches.busy_desktop));
    }
    if !desktop.task_status.is_empty() && desktop.task_status != "deleteFailed" {
        return Some(("busy with a task", switches.busy_desktop));
    }
    let connected = desktop.login_status.eq_ignore_ascii_case("CONNECTED");
    (connected && !force).then_some(("in use", switches.connected_desktop))
}

fn unknown(rule: UnknownDesktop, id: &str) -> Result<DesktopAction, ApiError> {
    match rule {
        UnknownDesktop::Refuse => Err(not_found(id)),
        UnknownDesktop::Skip => Ok(DesktopAction::Skip),
        UnknownDesktop::Fail => Ok(fail(NOT_FOUND, "the desktop does not exist".to_owned())),
    }
}

fn repeated(rule: RepeatedDesktop, id: &str, deletion: &Deletion) -> Result<DesktopAction, ApiError> {
    match rule {
        RepeatedDesktop::Accept => Ok(DesktopAction::Join(deletion.clone())),
        RepeatedDesktop::Fail => Ok(fail(CONFLICT, "the desktop is being deleted already".to_owned())),
        RepeatedDesktop::NotFound => Err(not_found(id)),
        RepeatedDesktop::Conflict => Err(ApiError::workspace(
            StatusCode::CONFLICT,
            CONFLICT,
            format!("operation conflict: the desktop {id} is being deleted, batch-delete is denied"),
        )),
    }
}

fn conflict(record: &DesktopRecord, why: &str) -> ApiError {
    let Desktop {
        id,
        status,
        task_status,
        ..
    } = &record.desktop;
    ApiError::workspace(
        StatusCode::CONFLICT,
        CONFLICT,
        format!("operation conflict: the desktop {id} is {why}, batch-delete is denied"),
    )
    .with_detail(format!("status {status}, task_status {task_status}"))
}

/// No such desktop.
pub(super) fn not_found(what: &str) -> ApiError {
    ApiError::workspace(
        StatusCode::NOT_FOUND,
        NOT_FOUND,
        format!("the desktop {what} does not exist"),
    )
}

/// What is done with a desktop that the caller may not delete.
pub(super) fn forbidden(id: &str) -> DesktopAction {
    fail("WKS.0403", format!("the caller may not delete the desktop {id}"))
}

fn fail(code: &str, reason: String) -> DesktopAction {
    DesktopAction::Fail(Failure {
        code: code.to_owned(),
        reason,
    })
}
