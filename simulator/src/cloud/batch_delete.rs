//! The batch deletion: what is done with each desktop, and the job.

mod action;
mod fields;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::api_error::ApiError;
use super::caller::Caller;
use super::desktops::Deletion;
use super::jobs::{Failure, Job, SubJob};
use super::operation::Call;
use super::{Cloud, HandledRequest, Request, Response, permissions};
use crate::world::DeletionResult;
use action::{DesktopAction, decide_action, forbidden, not_found};
use fields::Batch;

/// `POST /v2/{project_id}/desktops/batch-delete`
pub(super) fn handle(
    cloud: &mut Cloud,
    now: Timestamp,
    request: &Request,
    call: &Call,
    caller: &Caller,
) -> Result<HandledRequest, ApiError> {
    let mut batch = Batch::parse(&request.body)?;
    batch.settle_duplicates(cloud.world.switches.duplicate_ids)?;
    let allowed = permissions::check_desktops(cloud, call, caller, &batch.desktop_ids)?;
    let mut actions = Vec::with_capacity(batch.desktop_ids.len());
    for (id, is_allowed) in batch.desktop_ids.iter().zip(allowed) {
        let action = if is_allowed {
            decide_action(cloud, now, &call.project, id, batch.force)?
        } else {
            forbidden(id)
        };
        actions.push(action);
    }
    if actions.iter().all(|action| matches!(action, DesktopAction::Skip)) {
        return Err(not_found(&batch.desktop_ids.join(", ")));
    }
    let job = begin(cloud, now, &call.project, &batch.desktop_ids, actions);
    let response = Response::json(StatusCode::ACCEPTED, &json!({"job_id": job}));
    Ok(HandledRequest {
        response,
        took_effect: true,
        job_id: Some(job),
    })
}

/// Starts the job; gives its id.
fn begin(
    cloud: &mut Cloud,
    now: Timestamp,
    project: &str,
    ids: &[String],
    actions: Vec<DesktopAction>,
) -> String {
    let id = cloud.next_uuid("job");
    let mut job = Job {
        id: id.clone(),
        project: project.to_owned(),
        accepted: now,
        visible: cloud.world.timings.job_visible_after.after(now),
        erased: false,
        sub_jobs: Vec::new(),
    };
    for (index, (desktop, action)) in ids.iter().zip(actions).enumerate() {
        let begins = cloud.world.timings.stagger.times(index).after(now);
        let start = Start {
            project,
            accepted: now,
            begins,
        };
        job.sub_jobs.extend(begin_one(cloud, start, desktop, action));
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
fn begin_one(cloud: &mut Cloud, start: Start<'_>, id: &str, action: DesktopAction) -> Option<SubJob> {
    let desktop = cloud
        .desktops
        .find(start.project, id)
        .map(|record| record.desktop.clone());
    let outcome = desktop
        .as_ref()
        .map(|desktop| desktop.outcome.clone())
        .unwrap_or_default();
    let timings = &cloud.world.timings;
    let runs_from = outcome.waiting.unwrap_or(timings.waiting).after(start.begins);
    let mut ends = outcome.running.unwrap_or(timings.running).after(runs_from);
    let result = match &action {
        DesktopAction::Skip => return None,
        DesktopAction::Fail(_) => DeletionResult::Failed,
        DesktopAction::Delete => outcome.result,
        DesktopAction::Join(running) => {
            ends = running.ends.max(runs_from);
            running.result
        }
    };
    if matches!(action, DesktopAction::Delete) {
        let emptied = timings.empty_status.before(ends).max(start.accepted);
        let visible = timings.desktop_visible_after.after(start.accepted);
        let deletion = Deletion {
            result,
            visible,
            emptied,
            ends,
            gone: timings.gone_after.after(ends),
        };
        cloud.desktops.begin_deletion(id, deletion);
    }
    let failure = match action {
        DesktopAction::Fail(failure) => Some(failure),
        DesktopAction::Delete | DesktopAction::Join(_) | DesktopAction::Skip => {
            planned_failure(result, outcome.error_code, outcome.fail_reason)
        }
    };
    let sub_job = SubJob {
        id: cloud.next_uuid("sub-job"),
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
