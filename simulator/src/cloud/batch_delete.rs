//! The batch deletion: checks of the fields, what becomes of each desktop, and the job.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::jobs::{Failure, Job, SubJob};
use super::logins::Caller;
use super::operation::Call;
use super::refusal::Refusal;
use super::residents::{Deletion, Phase, Resident};
use super::{Cloud, Outcome, Request, Response, rights};
use crate::world::{
    ChargingMode, DeletionResult, Desktop, DuplicateIds, Reception, RepeatedDesktop, UnknownDesktop,
};

const CONFLICT: &str = "WKS.00010032";
const NOT_FOUND: &str = "WKS.00010404";
const REFUSED: &str = "WKS.00010002";

/// The body of the call, its fields checked.
#[derive(Debug, PartialEq, Eq)]
struct Batch {
    desktop_ids: Vec<String>,
    force: bool,
}

/// What becomes of one desktop of the batch.
enum Fate {
    Delete,
    /// It is being deleted already; its sub-job ends like the one that runs.
    Join(Deletion),
    Fail(Failure),
    Skip,
}

pub(super) fn handle(
    cloud: &mut Cloud,
    now: Timestamp,
    request: &Request,
    call: &Call,
    caller: &Caller,
) -> Result<Outcome, Refusal> {
    let mut batch = Batch::parse(&request.body)?;
    batch.settle_duplicates(cloud.world.switches.duplicate_ids)?;
    let rights = rights::check_desktops(cloud, call, caller, &batch.desktop_ids)?;
    let mut fates = Vec::with_capacity(batch.desktop_ids.len());
    for (id, allowed) in batch.desktop_ids.iter().zip(rights) {
        let fate = if allowed {
            fate(cloud, now, &call.project, id, batch.force)?
        } else {
            forbidden(id)
        };
        fates.push(fate);
    }
    if fates.iter().all(|fate| matches!(fate, Fate::Skip)) {
        return Err(not_found(&batch.desktop_ids.join(", ")));
    }
    let job = begin(cloud, now, &call.project, &batch.desktop_ids, fates);
    let response = Response::json(StatusCode::ACCEPTED, &json!({"job_id": job}));
    Ok(Outcome {
        response,
        took_effect: true,
        job_id: Some(job),
    })
}

impl Batch {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(Refusal::workspace(
                StatusCode::BAD_REQUEST,
                "WKS.0001",
                "the request message is empty",
            ));
        }
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            Refusal::invalid("the request message is not JSON").with_detail(error.to_string())
        })?;
        let fields = body
            .as_object()
            .ok_or_else(|| Refusal::invalid("the request message is not an object"))?;
        let ids = fields
            .get("desktop_ids")
            .ok_or_else(|| Refusal::invalid("desktop_ids is required"))?;
        let ids = ids
            .as_array()
            .ok_or_else(|| Refusal::invalid("desktop_ids must be a list"))?;
        if !(1..=100).contains(&ids.len()) {
            let message = format!("desktop_ids must have 1 to 100 items, not {}", ids.len());
            return Err(Refusal::invalid(message));
        }
        let desktop_ids = ids.iter().map(desktop_id).collect::<Result<Vec<_>, _>>()?;
        flag(fields, "delete_users")?;
        flag(fields, "email_notification")?;
        let force = flag(fields, "is_force_delete")?.unwrap_or(false);
        Ok(Self { desktop_ids, force })
    }

    fn settle_duplicates(&mut self, rule: DuplicateIds) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        match rule {
            DuplicateIds::Repeat => {}
            DuplicateIds::Merge => self.desktop_ids.retain(|id| seen.insert(id.clone())),
            DuplicateIds::Refuse => {
                if let Some(twice) = self.desktop_ids.iter().find(|id| !seen.insert((*id).clone())) {
                    return Err(Refusal::invalid(format!("desktop_ids names {twice} twice")));
                }
            }
        }
        Ok(())
    }
}

fn desktop_id(item: &Value) -> Result<String, Refusal> {
    let id = item
        .as_str()
        .ok_or_else(|| Refusal::invalid("every item of desktop_ids must be a text"))?;
    if id.chars().count() > 255 {
        return Err(Refusal::invalid(
            "an item of desktop_ids has more than 255 characters",
        ));
    }
    Ok(id.to_owned())
}

fn flag(fields: &serde_json::Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(Refusal::invalid(format!("{name} must be true or false"))),
    }
}

fn fate(cloud: &Cloud, now: Timestamp, project: &str, id: &str, force: bool) -> Result<Fate, Refusal> {
    let resident = cloud.residents.find(project, id);
    let Some(resident) = resident.filter(|resident| resident.phase(now) != Phase::Gone) else {
        return unknown(cloud.world.switches.unknown_desktop, id);
    };
    if let (Phase::Deleting | Phase::Emptied, Some(deletion)) = (resident.phase(now), &resident.deletion) {
        return repeated(cloud.world.switches.repeated_desktop, id, deletion);
    }
    match special_reception(cloud, &resident.desktop, force) {
        None | Some((_, Reception::Delete)) => Ok(Fate::Delete),
        Some((why, Reception::Conflict)) => Err(conflict(resident, why)),
        Some((why, Reception::Refuse)) => {
            let message = format!("the desktop {id} cannot be deleted: it is {why}");
            Err(Refusal::workspace(StatusCode::BAD_REQUEST, REFUSED, message))
        }
        Some((why, Reception::Fail)) => Ok(fail(
            REFUSED,
            format!("the desktop cannot be deleted: it is {why}"),
        )),
    }
}

fn special_reception(cloud: &Cloud, desktop: &Desktop, force: bool) -> Option<(&'static str, Reception)> {
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

fn unknown(rule: UnknownDesktop, id: &str) -> Result<Fate, Refusal> {
    match rule {
        UnknownDesktop::Refuse => Err(not_found(id)),
        UnknownDesktop::Skip => Ok(Fate::Skip),
        UnknownDesktop::Fail => Ok(fail(NOT_FOUND, "the desktop does not exist".to_owned())),
    }
}

fn repeated(rule: RepeatedDesktop, id: &str, deletion: &Deletion) -> Result<Fate, Refusal> {
    match rule {
        RepeatedDesktop::Accept => Ok(Fate::Join(deletion.clone())),
        RepeatedDesktop::Fail => Ok(fail(CONFLICT, "the desktop is being deleted already".to_owned())),
        RepeatedDesktop::NotFound => Err(not_found(id)),
        RepeatedDesktop::Conflict => Err(Refusal::workspace(
            StatusCode::CONFLICT,
            CONFLICT,
            format!("operation conflict: the desktop {id} is being deleted, batch-delete is denied"),
        )),
    }
}

fn conflict(resident: &Resident, why: &str) -> Refusal {
    let Desktop {
        id,
        status,
        task_status,
        ..
    } = &resident.desktop;
    Refusal::workspace(
        StatusCode::CONFLICT,
        CONFLICT,
        format!("operation conflict: the desktop {id} is {why}, batch-delete is denied"),
    )
    .with_detail(format!("status {status}, task_status {task_status}"))
}

fn not_found(what: &str) -> Refusal {
    Refusal::workspace(
        StatusCode::NOT_FOUND,
        NOT_FOUND,
        format!("the desktop {what} does not exist"),
    )
}

fn forbidden(id: &str) -> Fate {
    fail("WKS.0403", format!("the caller may not delete the desktop {id}"))
}

fn fail(code: &str, reason: String) -> Fate {
    Fate::Fail(Failure {
        code: code.to_owned(),
        reason,
    })
}

/// Starts the job; gives its id.
fn begin(cloud: &mut Cloud, now: Timestamp, project: &str, ids: &[String], fates: Vec<Fate>) -> String {
    let id = cloud.made_up_uuid("job");
    let mut job = Job {
        id: id.clone(),
        project: project.to_owned(),
        accepted: now,
        visible: cloud.world.timings.job_visible_after.after(now),
        erased: false,
        sub_jobs: Vec::new(),
    };
    for (place, (desktop, fate)) in ids.iter().zip(fates).enumerate() {
        let begins = cloud.world.timings.stagger.times(place).after(now);
        let start = Start {
            project,
            accepted: now,
            begins,
        };
        job.sub_jobs.extend(begin_one(cloud, start, desktop, fate));
    }
    cloud.jobs.push(job);
    id
}

/// Where and when the deletion of one desktop starts.
#[derive(Clone, Copy)]
struct Start<'a> {
    project: &'a str,
    accepted: Timestamp,
    begins: Timestamp,
}

/// Starts the deletion of one desktop; gives its sub-job, if it is to have one.
fn begin_one(cloud: &mut Cloud, start: Start<'_>, id: &str, fate: Fate) -> Option<SubJob> {
    let desktop = cloud
        .residents
        .find(start.project, id)
        .map(|resident| resident.desktop.clone());
    let outcome = desktop
        .as_ref()
        .map(|desktop| desktop.outcome.clone())
        .unwrap_or_default();
    let timings = &cloud.world.timings;
    let runs_from = outcome.waiting.unwrap_or(timings.waiting).after(start.begins);
    let mut ends = outcome.running.unwrap_or(timings.running).after(runs_from);
    let result = match &fate {
        Fate::Skip => return None,
        Fate::Fail(_) => DeletionResult::Failed,
        Fate::Delete => outcome.result,
        Fate::Join(running) => {
            ends = running.ends.max(runs_from);
            running.result
        }
    };
    if matches!(fate, Fate::Delete) {
        let emptied = timings.empty_status.before(ends).max(start.accepted);
        let visible = timings.desktop_visible_after.after(start.accepted);
        let deletion = Deletion {
            result,
            visible,
            emptied,
            ends,
            gone: timings.gone_after.after(ends),
        };
        cloud.residents.begin_deletion(id, deletion);
    }
    let failure = match fate {
        Fate::Fail(failure) => Some(failure),
        Fate::Delete | Fate::Join(_) | Fate::Skip => {
            planned_failure(result, outcome.error_code, outcome.fail_reason)
        }
    };
    let sub_job = SubJob {
        id: cloud.made_up_uuid("sub-job"),
        desktop: id.to_owned(),
        desktop_name: desktop
            .as_ref()
            .map(|desktop| desktop.name.clone())
            .unwrap_or_default(),
        user: desktop.map(|desktop| desktop.user).unwrap_or_default(),
        begins: start.begins,
        runs_from,
        ends: (result != DeletionResult::Stuck).then_some(ends),
        failure,
    };
    (!matches!(result, DeletionResult::NoSubJob | DeletionResult::Ignored)).then_some(sub_job)
}

fn planned_failure(result: DeletionResult, code: Option<String>, reason: Option<String>) -> Option<Failure> {
    let fails = matches!(result, DeletionResult::Failed | DeletionResult::FailedButGone);
    fails.then(|| Failure {
        code: code.unwrap_or_else(|| "WKS.00010500".to_owned()),
        reason: reason.unwrap_or_else(|| "the deletion of the desktop failed".to_owned()),
    })
}
