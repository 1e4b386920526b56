//! Reads. A failed read of the cloud is an observation, not an error.

#![allow(clippy::redundant_closure_for_method_calls)] // methods of `Deadlines` are not generic over its lifetime

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::ListParams;

use super::super::reconciliation::Reconciliation;
use super::super::{Error, facts};
use crate::cloud::batching::DesktopQuery;
use crate::cloud::rate_limiter::Priority;
use crate::controllers::job_poller::{JobPollState, JobToFollow};
use crate::controllers::project_session::{self, ProjectSession};
use crate::controllers::{Context, api};
use crate::crd::DesktopDeletion;
use crate::crd::deletion::{Attempt, ProjectCoordinates};
use crate::ids::{DesktopID, JobID};
use crate::plan::deadlines;
use crate::plan::error_policy::{cloud_error, is_about_one_desktop};
use crate::plan::observed::{Claim, ReadFailure, ReadTime, SingleRead};
use crate::plan::views::{DesktopObservation, DesktopView, JobView, Listed};
use crate::plan::{recovery, unreadable};
use crate::workspace::api::{Desktop, DetailFacts, Lookup, MAX_BATCH};
use crate::workspace::error::{Error as CloudFailure, Failure};

pub(super) async fn project(reconciliation: &mut Reconciliation, context: &Context) -> Result<(), Error> {
    let may_still_appear = facts::with_deadlines(reconciliation, context, |deadlines| {
        deadlines.project_may_appear()
    });
    let (namespace, name) = (
        reconciliation.namespace(),
        reconciliation.observed.request.project.clone(),
    );
    let started = context.process.uptime.now();
    // The first read may be shared; a live read confirms it before anything is sent.
    let since = match &reconciliation.project_session {
        None => reconciliation.reads_since.max(deadlines::oldest_first_read(
            started,
            &context.process.config.timing,
        )),
        Some(_) => started,
    };
    let read = project_session::read(context, &namespace, &name, context.process.uptime.moment(since)).await;
    let mut session = ProjectSession::of(&*read.value?, &namespace, &name, may_still_appear);
    if let Some(obstacle) = session.unchecked()
        && let Some(permission) = context.requests.claims.missing_project_permission(&namespace)
    {
        *obstacle = unreadable::projects(&namespace, &name, &permission);
    }
    let location = |session: &ProjectSession| session.view.coordinates.as_ref().map(ProjectCoordinates::key);
    let same =
        |before: &ProjectSession| before.version == session.version && location(before) == location(&session);
    if !reconciliation.project_session.as_ref().is_none_or(same) {
        // Reads of another project are irrelevant, and new credentials are verified by a read first.
        reconciliation.forget_reads(started);
    }
    reconciliation.observed.project = Some(session.view.clone());
    reconciliation.observed.project_is_fresh = context.process.uptime.at(read.began) >= started;
    reconciliation.project_read = Some(context.process.uptime.now());
    let first = reconciliation.project_session.replace(session).is_none();
    if first && Priority::of(&reconciliation.object) == Priority::Submission {
        restore_known_gone(reconciliation, started, context);
    }
    Ok(())
}

/// Takes over from earlier reconciliations which desktops are gone.
fn restore_known_gone(reconciliation: &mut Reconciliation, now: Duration, context: &Context) {
    // Without a project that can be used nothing is known of its desktops.
    let Ok(key) = reconciliation.credentials_key() else {
        return;
    };
    let remembered = context.requests.memory.of(&reconciliation.uid());
    for id in remembered.known_gone(&key.project, deadlines::oldest_gone(now)) {
        let gone = DesktopObservation {
            view: DesktopView::Gone,
            idle_twice: false,
            name: None,
            facts: Box::default(),
            listed: Listed::Unknown,
            details: None,
        };
        reconciliation.observed.desktops.insert(id.clone(), gone);
    }
}

pub(super) async fn desktops(
    reconciliation: &mut Reconciliation,
    ids: &[DesktopID],
    context: &Context,
) -> Result<(), Error> {
    let asked = begin_read(reconciliation, context);
    let key = reconciliation.batch_key()?;
    let priority = key.1;
    let cloud = (reconciliation.session()?.clone(), priority);
    let desktop_query = desktop_query(reconciliation, ids, priority, context);
    let room = MAX_BATCH.saturating_sub(ids.len());
    let upcoming = || {
        if priority == Priority::Recovery {
            return vec![];
        }
        context
            .requests
            .queue
            .upcoming_desktops(&reconciliation.object, room)
    };
    let read = context
        .cloud
        .desktops
        .desktops(key, cloud, desktop_query, upcoming)
        .await;
    if let Some(read) = record_result(reconciliation, read, context) {
        let began = context.process.uptime.at(read.began);
        for id in ids {
            let row = read.get(id);
            if let Some(confirmed) = confirmed_by_single_read(reconciliation, id) {
                confirmed.listed = if row.is_some() { Listed::Yes } else { Listed::No };
                confirmed.facts.pool = row.map(|row| row.facts.pool.clone()).unwrap_or_default();
                continue;
            }
            let unseen = if read.confirms_missing(id) {
                DesktopView::Missing
            } else {
                DesktopView::Unlisted
            };
            let listed = if row.is_some() { Listed::Yes } else { Listed::No };
            let view = row.map_or(unseen, DesktopView::of);
            record_desktop(reconciliation, id, (view, listed), row.cloned(), began, context);
        }
    }
    reconciliation.reads.desktops_took += context.process.uptime.now().saturating_sub(asked);
    Ok(())
}

/// A desktop that a single GET has shown to exist in this reconciliation. A list may lag behind that, so only the facts
/// that a GET does not report are taken from it.
fn confirmed_by_single_read<'a>(
    reconciliation: &'a mut Reconciliation,
    id: &DesktopID,
) -> Option<&'a mut DesktopObservation> {
    let observed = &mut reconciliation.observed;
    let read = observed.single_reads.get(&id.folded());
    let observation = observed.desktops.get_mut(&id.folded())?;
    (read == Some(&SingleRead::Succeeded) && !observation.view.needs_lookup()).then_some(observation)
}

/// Before a submission, a recent read is sufficient. After something was accepted, only the fact that a desktop is gone
/// is taken from earlier reads, and the effect of an attempt with unknown outcome is read again.
fn desktop_query(
    reconciliation: &Reconciliation,
    ids: &[DesktopID],
    priority: Priority,
    context: &Context,
) -> DesktopQuery {
    let now = context.process.uptime.now();
    let since = if priority == Priority::Recovery {
        now
    } else {
        reconciliation
            .reads_since
            .max(deadlines::oldest_first_read(now, &context.process.config.timing))
    };
    DesktopQuery {
        ids: ids.to_vec(),
        since: context.process.uptime.moment(since),
        gone_only: priority != Priority::Submission,
    }
}

pub(super) async fn desktop(
    reconciliation: &mut Reconciliation,
    id: &DesktopID,
    context: &Context,
) -> Result<(), Error> {
    let began = begin_read(reconciliation, context);
    let shown = reconciliation.cloud()?.show_desktop(id).await;
    if let Err(error) = &shown
        && is_about_one_desktop(error)
    {
        let failed = SingleRead::Failed {
            read_failure: Box::new(read_failure_of(error, context)),
            in_a_row: reconciliation.remember(context, |memory| memory.single_read_failed(id)),
        };
        reconciliation.observed.single_reads.insert(id.folded(), failed);
    } else if let Some(answer) = record_result(reconciliation, shown, context) {
        let desktop = match answer.value {
            Lookup::Gone => None,
            Lookup::Found(desktop) => Some(desktop),
        };
        let view = match desktop.as_ref().map(DesktopView::of) {
            None | Some(DesktopView::Missing) => DesktopView::Gone,
            Some(view) => view,
        };
        if view == DesktopView::Gone {
            let project = reconciliation.credentials_key()?.project;
            reconciliation.remember(context, |memory| memory.mark_gone(id, project, began));
        }
        reconciliation
            .observed
            .single_reads
            .insert(id.folded(), SingleRead::Succeeded);
        let before = reconciliation.observed.desktops.get(&id.folded());
        let listed = before.map(|before| before.listed).unwrap_or_default();
        record_desktop(reconciliation, id, (view, listed), desktop, began, context);
    }
    reconciliation.reads.desktops_took += context.process.uptime.now().saturating_sub(began);
    Ok(())
}

/// One call for all of them. If the cloud does not list a desktop, its details are unknown.
pub(super) async fn details(
    reconciliation: &mut Reconciliation,
    ids: &[DesktopID],
    context: &Context,
) -> Result<(), Error> {
    let asked = begin_read(reconciliation, context);
    let listed = reconciliation.cloud()?.list_desktop_details(ids).await;
    reconciliation.reads.desktops_took += context.process.uptime.now().saturating_sub(asked);
    if let Some(answer) = record_result(reconciliation, listed, context) {
        let mut rows = BTreeMap::new();
        for row in answer.value {
            let first = rows
                .entry(row.desktop.id.folded())
                .or_insert_with(|| row.facts.clone());
            if *first != row.facts {
                // Two contradictory rows are ignored.
                *first = DetailFacts::default();
            }
        }
        for id in ids.iter().map(DesktopID::folded) {
            if let Some(desktop) = reconciliation.observed.desktops.get_mut(&id) {
                desktop.details = Some(Box::new(rows.remove(&id).unwrap_or_default()));
            }
        }
    }
    Ok(())
}

fn record_desktop(
    reconciliation: &mut Reconciliation,
    id: &DesktopID,
    (view, listed): (DesktopView, Listed),
    desktop: Option<Desktop>,
    began: Duration,
    context: &Context,
) {
    let visibility_timeout = context.process.config.timing.job_visibility_timeout;
    let idle_twice = reconciliation.remember(context, |memory| {
        if !view.needs_lookup() {
            memory.clear_read_failures(id);
        }
        memory.record_idle(id, view, began, visibility_timeout)
    });
    let took_before = reconciliation.reads.desktops_took;
    reconciliation
        .reads
        .desktops
        .insert(id.folded(), ReadTime { began, took_before });
    let (name, facts) = desktop
        .map(|desktop| (desktop.name, desktop.facts))
        .unwrap_or_default();
    reconciliation.observed.desktops.insert(
        id.folded(),
        DesktopObservation {
            view,
            idle_twice,
            name,
            facts,
            listed,
            details: None,
        },
    );
}

/// Before a first submission, a list of half a minute ago is sufficient, and while nothing can be decided about an
/// attempt, one of some minutes ago. Evidence about an attempt is read in the reconciliation that uses it.
pub(super) async fn sub_jobs(reconciliation: &mut Reconciliation, context: &Context) -> Result<(), Error> {
    let now = begin_read(reconciliation, context);
    let first_seen = context.requests.memory.of(&reconciliation.uid()).first_seen;
    let since = match &reconciliation.observed.claim {
        // Checks whether the job of a deleted request is visible by now; many requests may wait for that and share the
        // read.
        Some(Claim::ReservedByDeleted(holder)) => reconciliation.reads_since.max(holder.gone_since),
        _ if reconciliation.observed.request.status.attempts.is_empty() => deadlines::oldest_admitting_read(
            now,
            first_seen,
            reconciliation.released,
            &context.process.config.timing,
        ),
        _ if recovery::is_early(&reconciliation.observed) => {
            let since =
                facts::with_deadlines(reconciliation, context, |deadlines| deadlines.oldest_early_read());
            // Every decision in this reconciliation is made as of that time.
            reconciliation.began = reconciliation.began.min(since);
            since
        }
        _ => now,
    };
    let (key, cloud) = (reconciliation.batch_key()?, reconciliation.cloud()?);
    let ids = reconciliation.observed.request.desktop_ids.clone();
    let since = context.process.uptime.moment(since);
    let read = context
        .cloud
        .desktops
        .sub_job_list(key, &*cloud, &ids, since)
        .await;
    if let Some(read) = record_result(reconciliation, read, context) {
        let sub_job_list = read.value;
        let unseen = reconciliation.remember(context, |memory| {
            memory.observe_sub_jobs(&sub_job_list, &ids, context.process.uptime.now())
        });
        for id in unseen {
            if let Some(desktop) = reconciliation.observed.desktops.get_mut(&id) {
                desktop.idle_twice = false;
            }
        }
        reconciliation.observed.sub_job_list = Some(sub_job_list);
        reconciliation.reads.sub_jobs = Some(ReadTime {
            began: context.process.uptime.at(read.began),
            took_before: reconciliation.reads.sub_jobs_took,
        });
    }
    reconciliation.reads.sub_jobs_took += context.process.uptime.now().saturating_sub(now);
    Ok(())
}

/// Checks live whether another request has the job: this includes objects that a watch no longer delivers.
pub(super) async fn owner(
    reconciliation: &mut Reconciliation,
    job: &JobID,
    context: &Context,
) -> Result<(), Error> {
    let uid = reconciliation.object.uid();
    let parameters = ListParams::default().fields(&format!("status.jobID={job}"));
    let mut owned = false;
    for scope in context.requests.claims.scopes() {
        let requests = scope.api::<DesktopDeletion>(&context.kube.client);
        let found = api::call("list the requests of a job", requests.list_metadata(&parameters)).await;
        if matches!(found, Err(api::Error::Refused { .. }))
            && context.requests.claims.earlier_calls_have_ended()
        {
            // As for claims: a namespace that cannot be read is waited for no longer than its calls may take effect.
            continue;
        }
        let found = found?;
        owned |= found.items.iter().any(|other| other.uid() != uid);
    }
    reconciliation
        .observed
        .owned_by_other_request
        .insert(job.clone(), owned);
    Ok(())
}

pub(super) fn job(reconciliation: &mut Reconciliation, job: &JobID, context: &Context) -> Result<(), Error> {
    let key = reconciliation.credentials_key()?;
    let attempts = &reconciliation.observed.request.status.attempts;
    let submitted = attempts.iter().find(|attempt| attempt.job_ids.contains(job));
    // For a job of another client, only its effect on the desktops of this request matters.
    let desktops = submitted.map_or(&reconciliation.observed.request.desktop_ids, |attempt| {
        &attempt.desktop_ids
    });
    let wanted = JobToFollow {
        job: job.clone(),
        desktops: desktops.iter().map(DesktopID::folded).collect(),
        age: facts::with_deadlines(reconciliation, context, |deadlines| deadlines.age_of_submission()),
        object: reconciliation.reference(),
    };
    let view = match context
        .cloud
        .pollers
        .follow(wanted, &key, reconciliation.session()?)
    {
        JobPollState::NotPolled => JobView::default(),
        JobPollState::Known(view) => view,
        JobPollState::ReadFailure(error) => {
            // A job of another client that cannot be read counts as open, and the wait for it is bounded.
            let attempts = &reconciliation.observed.request.status.attempts;
            if attempts.iter().any(Attempt::may_have_taken_effect) {
                read_failure(reconciliation, &error, context);
            }
            JobView::default()
        }
    };
    reconciliation.observed.jobs.insert(job.clone(), view);
    Ok(())
}

fn begin_read(reconciliation: &mut Reconciliation, context: &Context) -> Duration {
    reconciliation.observed.project_is_fresh = false;
    context.process.uptime.now()
}

/// The result of a read, if it succeeded.
fn record_result<T>(
    reconciliation: &mut Reconciliation,
    read: Result<T, CloudFailure>,
    context: &Context,
) -> Option<T> {
    match &read {
        Ok(_) => reconciliation.remember(context, |r| r.failures = 0),
        Err(error) => read_failure(reconciliation, error, context),
    }
    read.ok()
}

pub(super) fn read_failure(reconciliation: &mut Reconciliation, error: &CloudFailure, context: &Context) {
    reconciliation.remember(context, |r| r.failures = r.failures.saturating_add(1));
    reconciliation.observed.read_failure = Some(read_failure_of(error, context));
}

fn read_failure_of(error: &CloudFailure, context: &Context) -> ReadFailure {
    ReadFailure {
        error: cloud_error(error, Time(context.process.clock.now())),
        suppressed: matches!(error.failure, Failure::CircuitOpen { .. }),
    }
}
