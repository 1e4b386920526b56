//! Reads of jobs: one with its sub-jobs, and the list of sub-jobs.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::jobs::{JOB_TYPE, Job, Status, SubJob};
use super::operation::Call;
use super::paging::{Page, check_length};
use super::{Cloud, HandledRequest};

/// `GET /v2/{project_id}/workspace-jobs/{job_id}`
pub(super) fn show(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<HandledRequest, ApiError> {
    let job = cloud
        .jobs
        .iter()
        .find(|job| job.id == call.target && job.project == call.project);
    let job = job.filter(|job| job.readable(now, &cloud.world)).ok_or_else(|| {
        let message = format!("the job {} does not exist", call.target);
        ApiError::workspace(StatusCode::NOT_FOUND, "WKS.00010405", message)
    })?;
    let sub_jobs: Vec<Value> = job
        .sub_jobs
        .iter()
        .map(|sub_job| detail(cloud, job, sub_job, now))
        .collect();
    let mut body = json!({
        "id": job.id,
        "job_type": JOB_TYPE,
        "status": job.status(now, &cloud.world),
        "sub_jobs_total": sub_jobs.len(),
        "sub_jobs": sub_jobs,
    });
    if let Some(failure) = job.failure(now) {
        body["job_error_code"] = failure.code.as_str().into();
        body["fail_reason"] = failure.reason.as_str().into();
    }
    set_times(cloud, &mut body, job.accepted, job.ends(), now);
    Ok(HandledRequest::read(&body))
}

/// `GET /v2/{project_id}/workspace-sub-jobs`
pub(super) fn list(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<HandledRequest, ApiError> {
    let page = Page::parse(call, 1000)?;
    let statuses = call.values("status").map(status).collect::<Result<Vec<_>, _>>()?;
    check_length(call, "job_id", 255)?;
    check_length(call, "job_type", 255)?;
    let wanted_job = call.values("job_id").next();
    let jobs = cloud
        .jobs
        .iter()
        .filter(|job| job.project == call.project && job.readable(now, &cloud.world));
    let mut jobs: Vec<&Job> = jobs
        .filter(|job| wanted_job.is_none_or(|wanted| job.id == wanted))
        .collect();
    if call
        .values("job_type")
        .next()
        .is_some_and(|wanted| wanted != JOB_TYPE)
    {
        jobs.clear();
    }
    if cloud.world.switches.newest_job_first {
        jobs.reverse();
    }
    let sub_jobs = jobs
        .iter()
        .flat_map(|job| job.sub_jobs.iter().map(move |sub_job| (job, sub_job)));
    let found: Vec<_> = sub_jobs
        .filter(|(_, sub_job)| statuses.is_empty() || statuses.contains(&sub_job.status(now)))
        .collect();
    let total = found.len();
    let page: Vec<Value> = page
        .cut(found)
        .into_iter()
        .map(|(job, sub_job)| detail(cloud, job, sub_job, now))
        .collect();
    Ok(HandledRequest::read(&json!({"total_count": total, "jobs": page})))
}

fn status(word: &str) -> Result<Status, ApiError> {
    Status::parse(word).ok_or_else(|| {
        ApiError::invalid(format!(
            "status must be SUCCESS, RUNNING, FAILED or WAITING, not `{word}`"
        ))
    })
}

fn detail(cloud: &Cloud, job: &Job, sub_job: &SubJob, now: Timestamp) -> Value {
    let status = sub_job.status(now);
    let mut detail = json!({
        "id": sub_job.id,
        "job_id": job.id,
        "job_type": JOB_TYPE,
        "status": status.as_str(),
        "process": sub_job.progress(now),
        "project_id": job.project,
        "entities": {
            "desktop_id": sub_job.desktop,
            "desktop_name": sub_job.desktop_name,
            "user_name": sub_job.user,
        },
    });
    if let (Status::Failed, Some(failure)) = (status, &sub_job.failure) {
        detail["error_code"] = failure.code.as_str().into();
        detail["fail_reason"] = failure.reason.as_str().into();
    }
    set_times(cloud, &mut detail, sub_job.begins, sub_job.ends, now);
    detail
}

/// Sets `begin_time` and, once it has come, `end_time`, by the service's clock and without a zone.
fn set_times(cloud: &Cloud, detail: &mut Value, begin: Timestamp, end: Option<Timestamp>, now: Timestamp) {
    if !cloud.world.switches.job_times {
        return;
    }
    let text = |time: Timestamp| cloud.clock(time).strftime("%Y-%m-%d %H:%M:%S").to_string();
    detail["begin_time"] = text(begin).into();
    if let Some(end) = end.filter(|end| now >= *end) {
        detail["end_time"] = text(end).into();
    }
}
