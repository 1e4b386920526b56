//! The batch deletion: what is done with each desktop, and the job.

mod fate;
mod fields;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::caller::Caller;
use super::jobs::{Failure, Job, SubJob};
use super::operation::Call;
use super::refusal::Refusal;
use super::residents::Deletion;
use super::{Cloud, Outcome, Request, Response, rights};
use crate::world::DeletionResult;
use fate::{Fate, fate, forbidden, not_found};
use fields::Batch;

/// `POST /v2/{project_id}/desktops/batch-delete`
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
