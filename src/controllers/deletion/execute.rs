//! Carries out one step: the only place with effects. The answer of each becomes part of what the next decision
//! looks at.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use super::super::poller::{MAX_OFFSET, News, PAGE, Wanted};
use super::super::{Context, api, login};
use super::pass::Pass;
use super::{Error, facts, report};
use crate::crd::deletion::{Attempt, AuthMethod, CloudError, DesktopDeletionStatus, Outcome};
use crate::crd::{DesktopDeletion, FINALIZER};
use crate::ids::{AttemptID, DesktopID, JobID};
use crate::plan::classify::{Class, classify};
use crate::plan::observed::{JobView, PostAnswer, Sight, Sighting, Submission, Sweep, Trouble};
use crate::plan::{Batch, Step, record};
use crate::workspace::api::{BatchDelete, Desktop, Lookup, SubJob, SubJobQuery};
use crate::workspace::error::{Error as CloudFailure, Failure};

/// How long a missing project may still come with the sync that brought the request.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Carries out a step.
///
/// # Errors
/// The API server did not do what it was asked to, or the object changed meanwhile. A failed read of the cloud is no
/// error but an observation.
pub async fn step(pass: &mut Pass, step: Step, context: &Context) -> Result<(), Error> {
    let now = Time(context.clock.now());
    match step {
        Step::ReadProject => read_project(pass, context).await,
        Step::Claim => claim(pass, context).await,
        Step::ReadDesktops(ids) => read_desktops(pass, &ids, context).await,
        Step::ReadDesktop(id) => read_desktop(pass, &id, context).await,
        Step::ReadSubJobs => read_sub_jobs(pass, context).await,
        Step::ReadOwner(job) => read_owner(pass, &job, context).await,
        Step::ReadJob(job) => read_job(pass, &job, context),
        Step::AddFinalizer => patch_finalizers(pass, true, context).await,
        Step::DropFinalizer => {
            patch_finalizers(pass, false, context).await?;
            if pass.seen.request.deleting {
                context.forget(&pass.uid());
            }
            Ok(())
        }
        Step::Sign(batch) => sign(pass, batch, context),
        Step::RecordIntent(intent) => {
            let status = record::intend(&pass.seen.request, &intent, &now)?;
            write_status(pass, status, "RecordIntent", context).await
        }
        Step::Post => post(pass, context).await,
        Step::RecordOutcome(settlement) => {
            let status = record::settle(&pass.seen.request, &settlement, &now)?;
            write_status(pass, status, "RecordOutcome", context).await?;
            pass.seen.submission = Submission::None;
            let late = pass
                .seen
                .request
                .attempt(&settlement.attempt)
                .is_some_and(|a| a.outcome == Outcome::NoEffect)
                && !settlement.jobs.is_empty();
            if late {
                report::late(pass, &settlement, context).await;
            } else if settlement.outcome != Outcome::Pending {
                context.metrics.submission(outcome_name(settlement.outcome));
            }
            Ok(())
        }
        Step::RefuseResolve(refusal) => {
            let status = record::refuse_resolve(&pass.seen.request, &refusal);
            write_status(pass, status, "RefuseResolve", context).await?;
            report::refused(pass, &refusal, context).await;
            Ok(())
        }
        Step::RecordProgress(hold) => {
            let status = record::progress(&pass.seen.request, &hold, &now);
            write_status(pass, status, "RecordProgress", context).await
        }
        Step::Finish(ending) => {
            let status = record::finish(&pass.seen.request, &ending, &now);
            write_status(pass, status, "Finish", context).await?;
            context.forget(&pass.uid());
            Ok(())
        }
        Step::Wait(_) | Step::StartOver | Step::Rest => Ok(()),
    }
}

async fn read_project(pass: &mut Pass, context: &Context) -> Result<(), Error> {
    let created = pass
        .object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MIN, |t| t.0);
    let patient = context.clock.now() < facts::after(created, PATIENCE);
    let login = login::look(context, &pass.namespace(), &pass.seen.request.project, patient).await?;
    let same = |before: &login::Login| {
        (&before.stamp, &before.view.coordinates) == (&login.stamp, &login.view.coordinates)
    };
    if !pass.login.as_ref().is_none_or(same) {
        // What was read in another project says nothing here, and a new login is proven by a read, not by the call.
        pass.forget_reads();
    }
    pass.seen.project = Some(login.view.clone());
    pass.seen.last_look = true;
    pass.login = Some(login);
    Ok(())
}

async fn claim(pass: &mut Pass, context: &Context) -> Result<(), Error> {
    let (home, _) = pass.home().ok_or(Error::Fault("a claim without a project"))?;
    let claim = context.claims.claim(&pass.object, home).await;
    pass.seen.claim = Some(claim);
    Ok(())
}

async fn read_desktops(pass: &mut Pass, ids: &[DesktopID], context: &Context) -> Result<(), Error> {
    let began = begin_read(pass, context);
    match pass.cloud()?.list_desktops(ids).await {
        Err(error) => trouble(pass, &error, context),
        Ok(answer) => {
            let page = answer.value;
            let asked = |d: &Desktop| ids.iter().any(|id| id.folded() == d.id.folded());
            // An older region may ignore the filter, and a list may be cut: then it proves nothing about an id that
            // is not in it.
            let complete = page.total == page.desktops.len() as u64 && page.desktops.iter().all(asked);
            for id in ids {
                let row = page.desktops.iter().find(|d| d.id.folded() == id.folded());
                let sight = row.map_or(if complete { Sight::Missing } else { Sight::Unlisted }, Sight::of);
                saw(pass, id, sight, row.and_then(|d| d.name.clone()), began, context);
            }
            quiet(pass, context);
        }
    }
    Ok(())
}

async fn read_desktop(pass: &mut Pass, id: &DesktopID, context: &Context) -> Result<(), Error> {
    let began = begin_read(pass, context);
    match pass.cloud()?.show_desktop(id).await {
        Err(error) => trouble(pass, &error, context),
        Ok(answer) => {
            let (sight, name) = match answer.value {
                Lookup::Gone => (Sight::Gone, None),
                Lookup::Found(desktop) => match Sight::of(&desktop) {
                    Sight::Missing => (Sight::Gone, desktop.name),
                    sight => (sight, desktop.name),
                },
            };
            saw(pass, id, sight, name, began, context);
            quiet(pass, context);
        }
    }
    Ok(())
}

fn saw(
    pass: &mut Pass,
    id: &DesktopID,
    sight: Sight,
    name: Option<String>,
    began: Timestamp,
    context: &Context,
) {
    let settle = context.config.timing.settle;
    let idle_twice = context
        .memory
        .change(&pass.uid(), |r| r.note(id, sight, began, settle));
    pass.seen.desktops.insert(
        id.folded(),
        Sighting {
            sight,
            idle_twice,
            name,
        },
    );
}

async fn read_sub_jobs(pass: &mut Pass, context: &Context) -> Result<(), Error> {
    begin_read(pass, context);
    let cloud = pass.cloud()?;
    let mut query = SubJobQuery {
        limit: PAGE,
        ..SubJobQuery::default()
    };
    let mut sub_jobs: Vec<SubJob> = Vec::new();
    let (mut rows, mut first_total, mut steady) = (0_u64, None, true);
    loop {
        let page = match cloud.list_sub_jobs(&query).await {
            Ok(answer) => answer.value,
            Err(error) => {
                trouble(pass, &error, context);
                return Ok(());
            }
        };
        steady &= page.total >= *first_total.get_or_insert(page.total);
        rows += page.rows as u64;
        sub_jobs.extend(page.sub_jobs);
        query.offset += u32::try_from(page.rows).unwrap_or(PAGE);
        if page.rows == 0 || rows >= page.total || query.offset > MAX_OFFSET {
            break;
        }
    }
    let complete = steady && rows >= first_total.unwrap_or_default();
    pass.seen.sweep = Some(Sweep { sub_jobs, complete });
    quiet(pass, context);
    Ok(())
}

/// Asks live whether another request has the job: an object that a watch no longer shows has it too.
async fn read_owner(pass: &mut Pass, job: &JobID, context: &Context) -> Result<(), Error> {
    let uid = pass.object.uid();
    let parameters = ListParams::default().fields(&format!("status.jobID={job}"));
    let mut owned = false;
    for scope in context.claims.scopes() {
        let requests = scope.api::<DesktopDeletion>(&context.client);
        let found = api::call("list the requests of a job", requests.list(&parameters)).await?;
        owned |= found.items.iter().any(|other| other.uid() != uid);
    }
    pass.seen.owned_elsewhere.insert(job.clone(), owned);
    Ok(())
}

fn read_job(pass: &mut Pass, job: &JobID, context: &Context) -> Result<(), Error> {
    let (project, login) = pass.home().ok_or(Error::Fault("a job read without a project"))?;
    let attempts = &pass.seen.request.status.attempts;
    let submitted = attempts.iter().find(|attempt| attempt.job_ids.contains(job));
    let wanted = Wanted {
        job: job.clone(),
        desktops: submitted.map_or(0, |attempt| attempt.desktop_ids.len()),
        age: facts::age_of_submission(pass, context),
        object: pass.reference(),
    };
    let view = match context.pollers.follow(wanted, project, login, &pass.cloud()?) {
        News::NotYet => JobView::default(),
        News::Known(view) => view,
        News::Trouble(error) => {
            trouble(pass, &error, context);
            JobView::default()
        }
    };
    pass.seen.jobs.insert(job.clone(), view);
    Ok(())
}

fn begin_read(pass: &mut Pass, context: &Context) -> Timestamp {
    pass.seen.last_look = false;
    pass.read_at = pass.read_at.or_else(|| Some(Instant::now()));
    context.clock.now()
}

fn trouble(pass: &mut Pass, error: &CloudFailure, context: &Context) {
    context
        .memory
        .change(&pass.uid(), |r| r.failures = r.failures.saturating_add(1));
    let error_stored = cloud_error(error, Time(context.clock.now()));
    let withheld = matches!(error.failure, Failure::Withheld { .. });
    pass.seen.trouble = Some(Trouble {
        class: classify(error),
        error: error_stored,
        withheld,
    });
}

/// A read went well.
fn quiet(pass: &Pass, context: &Context) {
    context.memory.change(&pass.uid(), |r| r.failures = 0);
}

/// An error of the cloud as the status stores it.
pub fn cloud_error(error: &CloudFailure, time: Time) -> CloudError {
    let mut stored = CloudError {
        time,
        operation: error.operation.as_str().to_owned(),
        class: classify(error).as_str().to_owned(),
        http_status: None,
        code: None,
        message: None,
        detail: None,
        request_id: None,
        encoded_authorization_message: None,
    };
    match &error.failure {
        Failure::Refused(refusal) => {
            stored.http_status = Some(i32::from(refusal.status));
            stored.code.clone_from(&refusal.code);
            stored.message.clone_from(&refusal.message);
            stored.detail.clone_from(&refusal.detail);
            stored.request_id.clone_from(&refusal.request_id);
            stored
                .encoded_authorization_message
                .clone_from(&refusal.encoded_authorization_message);
        }
        Failure::Unreadable {
            status,
            request_id,
            reason,
        } => {
            stored.http_status = Some(i32::from(*status));
            stored.message = Some(reason.clone());
            stored.request_id.clone_from(request_id);
        }
        Failure::NotSent { reason } | Failure::Withheld { reason, .. } | Failure::NoAnswer { reason } => {
            stored.message = Some(reason.clone());
        }
    }
    stored
}

/// Changes our finalizer by a patch that carries the resourceVersion of what was validated. Of an answer that adds
/// it, everything is looked at anew.
async fn patch_finalizers(pass: &mut Pass, present: bool, context: &Context) -> Result<(), Error> {
    if !present && pass.seen.request.deleting {
        report::let_go(pass);
    }
    let mut finalizers: Vec<String> = pass.object.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if present {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "uid": pass.object.uid(),
        "resourceVersion": pass.object.resource_version(),
        "finalizers": finalizers,
    }});
    let action = if present {
        "add the finalizer"
    } else {
        "remove the finalizer"
    };
    let requests = pass.requests(context);
    let name = pass.object.name_any();
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let patched = api::call(action, requests.patch(&name, &parameters, &patch)).await?;
    context.metrics.api_write(
        "DesktopDeletion",
        if present { "AddFinalizer" } else { "DropFinalizer" },
    );
    pass.seen.last_look = false;
    pass.update(patched);
    Ok(())
}

fn sign(pass: &mut Pass, batch: Batch, context: &Context) -> Result<(), Error> {
    let spec = &pass.object.spec;
    let body = BatchDelete {
        desktop_ids: batch.desktop_ids.clone(),
        delete_users: spec.delete_users,
        email_notification: spec.email_notification,
        force: spec.force,
    };
    let since = Instant::now();
    let signed = match pass.cloud()?.sign_batch_delete(&body, context.clock.now()) {
        Ok(signed) => signed,
        Err(error) => {
            trouble(pass, &error, context);
            return Ok(());
        }
    };
    let auth = pass
        .login
        .as_ref()
        .map_or(AuthMethod::Signature, |login| login.auth);
    let window = context.config.timing.signature_window;
    let expires = (auth == AuthMethod::Signature).then(|| Time(facts::after(signed.signed_at(), window)));
    let attempt = Attempt {
        id: nonce(context),
        writer: context.config.identity.clone(),
        auth,
        desktop_ids: batch.desktop_ids,
        baseline_job_ids: batch.baseline_job_ids,
        baseline_failed_ids: batch.baseline_failed_ids,
        baseline_incomplete: batch.baseline_incomplete,
        body_digest: signed.digest().to_owned(),
        signed_at: Time(signed.signed_at()),
        not_after: expires,
        outcome: Outcome::Pending,
        job_ids: vec![],
        error: None,
    };
    // That a desktop was idle before says nothing of what the job does to it.
    context.memory.change(&pass.uid(), |r| r.idle_since.clear());
    pass.armed = Some((signed, since));
    pass.seen.submission = Submission::Armed { attempt, fresh: true };
    Ok(())
}

fn nonce(context: &Context) -> AttemptID {
    // Sixteen hexadecimal digits are always an identifier.
    #[allow(clippy::expect_used)]
    AttemptID::try_from(format!("{:016x}", context.clock.random()))
        .expect("hexadecimal digits are an identifier")
}

async fn post(pass: &mut Pass, context: &Context) -> Result<(), Error> {
    let (Some((request, _)), Submission::Armed { attempt, .. }) = (pass.armed.take(), &pass.seen.submission)
    else {
        return Err(Error::Fault("nothing is signed"));
    };
    let attempt = attempt.id.clone();
    // Between the guard in `plan` and this call there is no await.
    let answer = match pass.cloud()?.send(request).await {
        Ok(answer) => PostAnswer::Accepted(answer.value),
        Err(error) => refused(pass, &error, context),
    };
    pass.seen.submission = Submission::Answered { attempt, answer };
    Ok(())
}

fn refused(pass: &Pass, error: &CloudFailure, context: &Context) -> PostAnswer {
    let stored = cloud_error(error, Time(context.clock.now()));
    let stamp = pass.login.as_ref().map(|login| login.stamp.clone());
    context.memory.change(&pass.uid(), |remembered| {
        remembered.refused_at = Some(stored.time.0);
        remembered.retry_after = error.refusal().and_then(|r| r.retry_after);
        remembered.refused_login = stamp;
    });
    match classify(error) {
        _ if error.was_not_sent() => PostAnswer::NotSent(stored),
        Class::InDoubt => PostAnswer::Doubt(stored),
        _ => PostAnswer::Refused(stored),
    }
}

/// Replaces the status under compare-and-swap: a PUT with uid and resourceVersion. (A patch without a
/// resourceVersion would go through over anything.)
///
/// # Errors
/// The object changed meanwhile, or the API server did not do it.
pub async fn write_status(
    pass: &mut Pass,
    status: DesktopDeletionStatus,
    step: &'static str,
    context: &Context,
) -> Result<(), Error> {
    let before = pass.seen.request.status.clone();
    let next = DesktopDeletion {
        status: Some(status),
        ..pass.object.clone()
    };
    let requests = pass.requests(context);
    let (name, parameters) = (next.name_any(), PostParams::default());
    let written = api::call(
        "write the status",
        requests.replace_status(&name, &parameters, &next),
    )
    .await?;
    context.metrics.api_write("DesktopDeletion", step);
    pass.update(written);
    report::changed(&before, pass, context).await;
    Ok(())
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotSent => "NotSent",
        Outcome::Rejected => "Rejected",
        Outcome::Accepted => "Accepted",
        Outcome::Adopted => "Adopted",
        Outcome::NoEffect => "NoEffect",
        Outcome::Abandoned => "Abandoned",
        Outcome::Pending => "Pending",
    }
}
