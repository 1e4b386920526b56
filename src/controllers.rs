//! The controllers: they load objects, ask [`plan`](crate::plan) for the next step, carry it out against Kubernetes or the
//! cloud, and report.
//!
//! | file | what |
//! | --- | --- |
//! | [`cache`] | the cache of unfinished requests, filled by the watch |
//! | [`claims`] | which request may submit which desktop |
//! | [`clock_sources`] | all known clocks |
//! | [`context`] | what the controllers share |
//! | [`deletion`] | `DesktopDeletion`: the loop that loads, asks [`plan`](crate::plan), executes, reports |
//! | [`events`] | publishes Events |
//! | [`project`] | `WorkspaceProject`: verifies its credentials with a read-only request |
//! | [`project_reads`] | projects as they were read, and the reads that requests share |
//! | [`project_status`] | writes of the status of a project |
//! | [`project_session`] | reads a project and its Secret, and creates a session with the cloud from them |
//! | [`finished`] | finished requests: removes our finalizer, and records that edits were observed |
//! | [`job_poller`] | follows the open jobs of a project with one shared read a tick |
//! | [`raw`] | objects with their JSON, also those that cannot be decoded |
//! | [`undecodable`] | reports objects that cannot be decoded, and releases them when they are deleted |
//! | [`watchdog`] | detects a watch that no longer delivers events |
//! | [`api`] | calls to the API server, with a timeout |

use std::fmt;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::runtime::{reflector, watcher};
use kube::{Api, Client, Resource};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::runtime::health::Check;

pub mod api;
pub mod cache;
pub mod claims;
pub mod clock_sources;
pub mod context;
pub mod deletion;
pub mod events;
pub mod finished;
pub mod job_poller;
pub mod project;
pub mod project_reads;
pub mod project_session;
pub mod project_status;
pub mod raw;
pub mod undecodable;
pub mod watchdog;

use context::Context;

/// Runs the controllers until they are to stop, and then until the last submission is recorded. `namespaces`
/// are watched one by one; `None` is the whole cluster.
///
/// # Errors
/// A loop panicked; the submissions in progress go on.
pub async fn run(context: Arc<Context>, namespaces: Option<Vec<String>>) -> Result<(), JoinError> {
    let scopes = match namespaces {
        Some(names) => names.into_iter().map(Scope::Namespace).collect(),
        None => vec![Scope::All],
    };
    // No claim is granted before all watches have listed: all of them are known before the first begins.
    let mut watched = Vec::new();
    for scope in scopes {
        let (projects, writer) = reflector::store();
        context
            .requests
            .claims
            .register_watch(scope.clone(), projects.clone());
        context.process.metrics.watch_projects(projects.clone());
        watched.push((scope, projects, writer));
    }
    let mut loops = JoinSet::new();
    for (scope, projects, writer) in watched {
        loops.spawn(deletion::watch::run(context.clone(), scope.clone()));
        loops.spawn(finished::run(
            context.kube.client.clone(),
            scope.clone(),
            context.process.stopping.clone(),
        ));
        loops.spawn(project::run(context.clone(), scope, projects, writer));
    }
    loops.spawn(deletion::run(context.clone()));
    loops.spawn(deletion::first_report::run(context.clone()));
    loops.spawn(undecodable::run(context.clone()));
    loops.spawn(
        context
            .cloud
            .pollers
            .run_heartbeat(context.process.stopping.clone()),
    );
    join(loops).await?;
    context.requests.submissions.wait_until_recorded().await;
    Ok(())
}

/// Waits until all loops have ended. If one panics, the others are aborted when `loops` is dropped.
async fn join(mut loops: JoinSet<()>) -> Result<(), JoinError> {
    while let Some(ended) = loops.join_next().await {
        ended?;
    }
    Ok(())
}

/// What one watch covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole cluster.
    All,
    /// One namespace.
    Namespace(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "*",
            Self::Namespace(name) => name,
        })
    }
}

impl Scope {
    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
            Self::All => Api::all(client.clone()),
        }
    }

    /// The name of its readiness check for a kind.
    fn check_name(&self, kind: &str) -> String {
        match self {
            Self::Namespace(namespace) => format!("{namespace}/{kind}"),
            Self::All => kind.to_owned(),
        }
    }
}

/// Why the first list of a watch is not there yet, in one line for `/readyz`.
fn not_listed<K: Resource<DynamicType = ()>>(error: &watcher::Error) -> String {
    match claims::missing_permission::<K>(error) {
        Some(permission) => format!("the operator lacks permission to {permission}; grant it"),
        None => format!("cannot list {}: {}", K::plural(&()), error_message(error)),
    }
}

fn error_message(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let answer = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => match error {
            kube::Error::Api(status) => status.message.clone(),
            error => error.to_string(),
        },
        WatchError(status) => status.message.clone(),
        NoResourceVersion => error.to_string(),
    };
    answer.replace(char::is_control, " ")
}

/// Passes the check once the first list of a watch is there. Ends only if the operator stops before that: a controller
/// waits for its first list even then, and it may never come.
async fn wait_for_sync<K>(store: reflector::Store<K>, ready: Check, stopping: CancellationToken)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    tokio::select! {
        biased;
        synced = store.wait_until_ready() => if synced.is_ok() {
            ready.pass();
        },
        () = stopping.cancelled() => return,
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_panics_is_reported_while_others_go_on() {
        let mut loops = JoinSet::new();
        loops.spawn(std::future::pending());
        loops.spawn(async { panic!("out of range") });
        let panic = join(loops).await.unwrap_err();
        assert!(
            panic.is_panic() && panic.to_string().contains("out of range"),
            "{panic}"
        );
    }
}
