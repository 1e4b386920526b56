//! The controller for `WorkspaceProject`: verifies the credentials with a read-only request before any deletion depends on
//! them. A reconciliation never waits for the cloud: a task makes the request, and has the project reconciled again when
//! it has ended.
//!
//! | file | content |
//! | --- | --- |
//! | `checks` | the tasks, and the last result for each project |
//! | `daily_usage` | settles what was reserved under the daily limit |
//! | `changes` | whether a change of a project is relevant for its requests |
//! | `relaxed` | the Event about guardrails that were relaxed while requests wait |

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{Store, store::Writer};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;
use tracing::Instrument;

use super::project_reads::{self, StoredProject};
use super::project_status;
use super::raw::Raw;
use super::undecodable::table::{Change, DecodedEvent};
use super::{Context, Scope, api, project_session};
use crate::cloud::rate_limiter::Priority;
use crate::cloud::session::CloudSession;
use crate::crd::conditions::{self, ConditionStatus, ConditionType, ConditionUpdate, Reason, merge};
use crate::crd::deletion::{CloudError, ErrorClass};
use crate::crd::{WorkspaceProject, WorkspaceProjectStatus};
use crate::plan::clocks::Clocks;
use crate::plan::deadlines;
use crate::plan::error_policy::{RetryPolicy, classify, cloud_error};
use crate::plan::messages;
use crate::workspace::api::{ApiResponse, DesktopPage};
use crate::workspace::error::{Error as CloudFailure, Failure};

mod changes;
mod checks;
mod daily_usage;
mod relaxed;

use changes::{AffectedRequests, Changes};
use checks::Checks;

/// After this many consecutive failures, about ten minutes with the default delays, an unreachable host requires user
/// action.
const STALLED_AFTER: u32 = 8;

/// What that person should check.
const CHECK_HINT: &str = "Check spec.region, spec.endpoint, DNS, network policy and proxy, and for a private cloud its certificate and spec.caBundle";

/// Runs the controller over one namespace, or over all of them, until the operator stops.
pub async fn run(
    context: Arc<Context>,
    scope: Scope,
    reader: Store<WorkspaceProject>,
    writer: Writer<WorkspaceProject>,
) {
    let projects: Api<Raw<WorkspaceProject>> = scope.api(&context.kube.client);
    let (watched, changed_context, cache) = (scope.clone(), context.clone(), reader.clone());
    let (ended, woken) = unbounded_channel();
    let checks = Checks::new(reader.clone(), ended, context.process.stopping.clone());
    let (checked, listed) = (checks.clone(), reader.clone());
    let mut changes = Changes::default();
    let ready = context
        .process
        .health
        .check(scope.check_name("workspaceprojects"));
    let stream = watcher(projects, watcher::Config::default())
        .default_backoff()
        .inspect_err({
            let (scope, context, ready) = (scope.clone(), context.clone(), ready.clone());
            move |error| {
                context.requests.claims.projects_failed(&scope, error);
                ready.explain(super::not_listed::<WorkspaceProject>(error));
            }
        })
        .modify(project_reads::drop_undecodable_status)
        .try_filter_map({
            let (scope, context) = (scope.clone(), context.clone());
            move |event| future::ok(handle_event(event, &scope, &cache, &context))
        })
        .reflect(writer)
        .inspect_ok(move |event| match event {
            watcher::Event::Init => {}
            watcher::Event::InitDone => {
                let listed: HashSet<_> = listed.state().iter().filter_map(|p| p.uid()).collect();
                checked.keep(&listed);
                changes.keep(&listed);
                changed_context.requests.claims.projects_listed(&watched);
            }
            watcher::Event::Apply(project) | watcher::Event::InitApply(project) => {
                let shown = changes.update(project);
                if shown.affected != AffectedRequests::NoRequest {
                    changed_context.project_changed(project, |request| shown.affected.include(request));
                }
                if !shown.relaxed.is_empty() {
                    let (project, context) = (project.clone(), changed_context.clone());
                    tokio::spawn(async move { relaxed::report(&project, &shown.relaxed, &context).await });
                }
            }
            watcher::Event::Delete(project) => {
                let uid = project.uid().unwrap_or_default();
                checked.forget(&uid);
                changes.forget(&uid);
                changed_context.project_changed(project, |_| true);
            }
        })
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            PredicateConfig::default(),
        );
    let unsynced = super::wait_for_sync(reader.clone(), ready, context.process.stopping.clone());
    let shared = Arc::new(Verifier {
        context: context.clone(),
        checks,
    });
    let controller = Controller::for_stream(stream, reader)
        .with_config(controller::Config::default().concurrency(context.process.config.concurrency.get()))
        .reconcile_on(stream::unfold(woken, |mut woken| async move {
            Some((woken.recv().await?, woken))
        }))
        .reconcile_on(daily_usage::unsettled(scope, &context))
        .graceful_shutdown_on(context.process.stopping.clone().cancelled_owned())
        .run(reconcile, error_policy, shared)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "controller for workspaceprojects");
            }
        });
    tokio::select! {
        () = controller => {}
        () = unsynced => {}
    }
}

/// Handles an event of the watch, and returns the event for the cache.
fn handle_event(
    event: watcher::Event<Raw<WorkspaceProject>>,
    scope: &Scope,
    cache: &Store<WorkspaceProject>,
    context: &Context,
) -> Option<watcher::Event<WorkspaceProject>> {
    let change = Change::of(&event);
    let now = context.process.uptime.now();
    match context
        .requests
        .undecodable
        .classify_event(scope, event, cache, now)
    {
        DecodedEvent::Known(event, _) => Some(event),
        DecodedEvent::Unknown { metadata, remove, .. } => {
            if change == Change::Deleted {
                context
                    .requests
                    .undecodable
                    .forget(metadata.uid.as_deref().unwrap_or_default());
            }
            remove
        }
    }
}

struct Verifier {
    context: Arc<Context>,
    checks: Checks,
}

/// The last verification of credentials.
#[derive(Clone)]
struct CredentialCheck {
    at: Instant,
    ready: ReadyCondition,
    failures: u32,
}

/// Content of the condition `Ready`.
#[derive(Clone)]
struct ReadyCondition {
    status: ConditionStatus,
    reason: Reason,
    message: String,
    /// When the credentials are verified again if nothing changes.
    retry: RetryPolicy,
}

async fn reconcile(project: Arc<WorkspaceProject>, verifier: Arc<Verifier>) -> Result<Action, api::Error> {
    let started = Instant::now();
    let result = AssertUnwindSafe(try_reconcile(&project, &verifier))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            Err(api::Error::NoResponse {
                action: "verify the credentials",
                reason: "panic; see the log".to_owned(),
            })
        });
    let result_label = if result.is_ok() { "ok" } else { "error" };
    verifier
        .context
        .process
        .metrics
        .reconcile("WorkspaceProject", result_label, started.elapsed());
    result
}

#[allow(clippy::needless_pass_by_value)] // signature required by kube
fn error_policy(project: Arc<WorkspaceProject>, error: &api::Error, verifier: Arc<Verifier>) -> Action {
    let (name, namespace) = (project.name_any(), project.namespace());
    tracing::warn!(namespace, name, %error, "failed to reconcile WorkspaceProject; retrying");
    let pause = verifier.context.process.config.timing.retry_min;
    Action::requeue(deadlines::with_jitter(
        pause,
        verifier.context.process.clock.random(),
    ))
}

/// Settles reservations, and verifies the credentials. The failure of one does not stop the other.
async fn try_reconcile(project: &WorkspaceProject, verifier: &Verifier) -> Result<Action, api::Error> {
    let timing = &verifier.context.process.config.timing;
    let settled = daily_usage::settle_reservations(project, &verifier.context)
        .await
        .unwrap_or_else(|error| {
            let (name, namespace) = (project.name_any(), project.namespace());
            tracing::debug!(namespace, name, %error, "reservations could not be settled, retrying");
            Some(timing.retry_min)
        });
    let next = verify(project, verifier).await?;
    Ok(Action::requeue(settled.map_or(next, |settled| settled.min(next))))
}

/// Returns the delay until the next verification.
async fn verify(project: &WorkspaceProject, verifier: &Verifier) -> Result<Duration, api::Error> {
    let context = &verifier.context;
    let namespace = project.namespace().unwrap_or_default();
    let refresh = context.process.config.timing.secret_refresh;
    let check = match project_session::open_session(context, &namespace, project).await? {
        Err(project_reads::Unavailable { reason, message }) => {
            verifier.checks.forget(&project.uid().unwrap_or_default());
            context.process.metrics.credentials_checked(reason);
            CredentialCheck {
                at: Instant::now(),
                ready: ReadyCondition::failed(reason, message, RetryPolicy::Soon),
                failures: 0,
            }
        }
        Ok(session) => {
            let generation = project.metadata.generation.unwrap_or_default();
            let version = format!("{generation}/{}", session.key.credentials);
            let due = |check: &CredentialCheck| check.at.elapsed() >= pause(check, context);
            let start = |last| {
                let (name, uid) = (project.name_any(), project.uid());
                let span = tracing::info_span!("check_project", namespace, name, uid);
                check(project.clone(), session, last, context.clone()).instrument(span)
            };
            match verifier.checks.get_or_start(project, &version, due, start)? {
                Some(check) => check,
                // The project is requeued when the check ends. Before that, the Secret may change, which is not
                // watched.
                None => return Ok(refresh),
            }
        }
    };
    let persists = check.ready.reason == Reason::EndpointUnreachable && check.failures >= STALLED_AFTER;
    write(project, &check.ready, persists, context).await?;
    let next = pause(&check, context).saturating_sub(check.at.elapsed());
    // Credentials that do not work are read again soon: the Secret may have been fixed, and is not watched.
    let next = if check.ready.status == ConditionStatus::True {
        next
    } else {
        next.min(refresh)
    };
    Ok(next.max(Duration::from_millis(100)))
}

/// Verifies credentials with a read-only request. `last`: the previous result for the same credentials.
async fn check(
    project: WorkspaceProject,
    session: Arc<CloudSession>,
    last: Option<CredentialCheck>,
    context: Arc<Context>,
) -> CredentialCheck {
    let cloud = session.client(Priority::Poll);
    let endpoint = project_reads::coordinates(&project.spec).endpoint;
    let mut result = cloud.list_desktops(&[]).await;
    // The service's clock is known once two responses agree.
    if result.is_ok() && context.process.clock_sources.services.now(&endpoint).is_none() {
        result = cloud.list_desktops(&[]).await;
    }
    if let Err(error) = &result {
        // Logged here because of the request ID, which the cloud's support asks for and which differs for every try.
        let (namespace, name) = (project.namespace(), project.name_any());
        tracing::info!(namespace, name, %error, "the credentials of a project could not be verified");
    }
    let ready = ready_condition(result, &context.clocks(Some(&endpoint)), &context);
    context.process.metrics.credentials_checked(ready.reason);
    let failures = if ready.status == ConditionStatus::True {
        0
    } else {
        last.map_or(0, |check| check.failures).saturating_add(1)
    };
    CredentialCheck {
        at: Instant::now(),
        ready,
        failures,
    }
}

impl ReadyCondition {
    fn failed(reason: Reason, message: String, again: RetryPolicy) -> Self {
        Self {
            status: ConditionStatus::False,
            reason,
            message,
            retry: again,
        }
    }
}

fn pause(check: &CredentialCheck, context: &Context) -> Duration {
    let timing = &context.process.config.timing;
    match (check.ready.status, check.ready.retry) {
        (ConditionStatus::True, _) => timing.project_refresh,
        (_, RetryPolicy::Slow) => timing.retry_max,
        (_, RetryPolicy::Backoff) => deadlines::exponential(check.failures, timing),
        (_, RetryPolicy::Soon | RetryPolicy::AfterJobVisibility) => timing.secret_refresh,
    }
}

/// What the read-only request shows about the credentials.
fn ready_condition(
    result: Result<ApiResponse<DesktopPage>, CloudFailure>,
    clocks: &Clocks,
    context: &Context,
) -> ReadyCondition {
    let skewed = |clocks: &Clocks| {
        let skew = clocks.skew(context.process.config.timing.clock_skew)?;
        Some(ReadyCondition::failed(
            Reason::ClockSkew,
            skew.sentence(),
            RetryPolicy::Soon,
        ))
    };
    match result {
        Ok(_) => skewed(clocks).unwrap_or_else(|| ReadyCondition {
            status: ConditionStatus::True,
            reason: Reason::CredentialsValid,
            message: "credentials verified with a read-only request (list of desktops)".to_owned(),
            retry: RetryPolicy::Slow,
        }),
        Err(error) => {
            let class = class_of_check(classify(&error));
            // The service rejects a signature with a wrong time like an invalid one.
            let clocks_of_error = Clocks {
                service: clocks.service.or(error.service_time),
                ..*clocks
            };
            if class == ErrorClass::Authentication
                && let Some(ready) = skewed(&clocks_of_error)
            {
                return ready;
            }
            let error_policy = class.error_policy();
            let reason = match error.failure {
                Failure::NotSent { .. } | Failure::NoResponse { .. } => Reason::EndpointUnreachable,
                _ => error_policy.reason,
            };
            let error = CloudError {
                class,
                ..cloud_error(&error, Time(context.process.clock.now()))
            };
            let message = messages::of_error(&error);
            ReadyCondition::failed(reason, message, error_policy.retry)
        }
    }
}

/// What an error means for a list that names no desktop: none can be missing or in conflict.
fn class_of_check(class: ErrorClass) -> ErrorClass {
    match class {
        ErrorClass::NotFound => ErrorClass::WrongEndpoint,
        ErrorClass::Conflict | ErrorClass::InvalidRequest => ErrorClass::UnknownRefusal,
        class => class,
    }
}

/// The conditions of a project. `persists`: the check has failed many times in a row.
fn updates(ready: &ReadyCondition, persists: bool) -> Vec<ConditionUpdate> {
    let message = if persists {
        format!(
            "{}; the check has failed many times in a row. {CHECK_HINT}",
            ready.message
        )
    } else {
        ready.message.clone()
    };
    let update = |kind, status| ConditionUpdate::new(kind, status, ready.reason, &message);
    let stalled = persists.then(|| update(ConditionType::Stalled, ConditionStatus::True));
    [update(ConditionType::Ready, ready.status)]
        .into_iter()
        .chain(stalled)
        .collect()
}

async fn write(
    project: &WorkspaceProject,
    ready: &ReadyCondition,
    persists: bool,
    context: &Context,
) -> Result<(), api::Error> {
    let generation = project.metadata.generation.unwrap_or_default();
    let name = project.name_any();
    // The cached copy may be older than our own last write.
    let Some(live) = live(project, context).await? else {
        return Ok(());
    };
    let old = live.status();
    // Stalled may be set already: another process may have counted the tries.
    let stalled = conditions::find(&old.conditions, ConditionType::Stalled);
    let persists = persists || stalled.is_some_and(|c| c.reason == ready.reason);
    let updates = updates(ready, persists);
    let conditions = merge(
        &old.conditions,
        &updates,
        generation,
        &Time(context.process.clock.now()),
    );
    let status = WorkspaceProjectStatus {
        observed_generation: Some(generation),
        conditions,
        ..old.clone()
    };
    if status == old {
        return Ok(());
    }
    project_status::replace(&live, &status, "RecordReady", context).await?;
    tracing::info!(
        namespace = project.namespace(), name, reason = %ready.reason, "{}", ready.message
    );
    Ok(())
}

/// The project as it is now; `None` if it is gone or cannot be decoded.
async fn live(project: &WorkspaceProject, context: &Context) -> Result<Option<StoredProject>, api::Error> {
    let namespace = project.namespace().unwrap_or_default();
    let projects: Api<Raw<WorkspaceProject>> = Api::namespaced(context.kube.client.clone(), &namespace);
    let live = api::call("read the WorkspaceProject", projects.get_opt(&project.name_any())).await?;
    let same = live.filter(|live| live.uid() == project.uid());
    Ok(same.and_then(|live| StoredProject::of(live).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::conditions::{DELETION, PROJECT, Statement};
    use crate::plan::error_policy::ErrorPolicy;

    #[test]
    fn every_error_class_leads_to_a_documented_reason() {
        let says = |table: &[Statement], kind, wanted| {
            let mut rows = table.iter().filter(|(k, ..)| *k == kind);
            rows.any(|(.., reasons)| reasons.contains(&wanted))
        };
        for class in ErrorClass::ALL {
            let ErrorPolicy {
                reason, needs_user, ..
            } = class_of_check(*class).error_policy();
            assert!(
                says(PROJECT, ConditionType::Ready, reason),
                "{class:?}: {reason:?}"
            );
            // Its requests say the same.
            let kind = if needs_user {
                ConditionType::Stalled
            } else {
                ConditionType::Submitted
            };
            assert!(says(DELETION, kind, reason), "{class:?}: {kind:?} {reason:?}");
        }
    }
}
