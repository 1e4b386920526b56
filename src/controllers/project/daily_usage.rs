//! Settles what requests have reserved under the daily limit of a project. Only reads from the API server show their
//! outcome.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use tokio::sync::broadcast::error::RecvError;

use super::live;
use crate::controllers::raw::Raw;
use crate::controllers::{Context, Scope, api, project_reads, project_status};
use crate::crd::project::Reservation;
use crate::crd::{DesktopDeletion, WorkspaceProject, WorkspaceProjectStatus};
use crate::plan::daily_usage::{self, ReservationOwner};

/// Maximum number of requests that are read concurrently.
const MAX_CONCURRENT_READS: usize = 8;

/// Removes what no longer counts, and settles reservations. Returns the delay until the next check; `None` if nothing
/// is reserved.
///
/// # Errors
/// The API server did not respond, or the project was changed in the meantime.
pub(super) async fn settle_reservations(
    cached: &WorkspaceProject,
    context: &Context,
) -> Result<Option<Duration>, api::Error> {
    let used = cached
        .status
        .as_ref()
        .and_then(|status| status.daily_usage.as_ref());
    let guardrails = cached.spec.guardrails.as_ref();
    // The copy may not show yet what was reserved a moment ago.
    let is_limited = guardrails.is_some_and(|guardrails| guardrails.max_desktops_per_day.is_some());
    if used.is_none() && !is_limited {
        return Ok(None);
    }
    let Some(project) = live(cached, context).await? else {
        return Ok(None);
    };
    let before = project.status();
    let mut usage = before.daily_usage.clone().unwrap_or_default();
    let endpoint = project_reads::coordinates(&project.object.spec).endpoint;
    let clocks = context.clocks(Some(&endpoint));
    daily_usage::expire(&mut usage, &clocks, &context.process.config.timing);
    let namespace = cached.namespace().unwrap_or_default();
    let requests = stream::iter(usage.reservations.clone())
        .map(|reservation| read(reservation, &namespace, context))
        .buffered(MAX_CONCURRENT_READS)
        .collect()
        .await;
    let usage = daily_usage::settle_reservations(&usage, requests, &context.process.config.timing);
    let reserved = !usage.reservations.is_empty();
    let status = WorkspaceProjectStatus {
        daily_usage: Some(usage).filter(|usage| !usage.is_empty()),
        ..before.clone()
    };
    if status != before {
        project_status::replace(&project, &status, "SettleReservations", context).await?;
    }
    Ok(reserved.then_some(context.process.config.timing.secret_refresh))
}

/// The request of a reservation. One that cannot be read does not keep others from being settled.
async fn read(reservation: Reservation, namespace: &str, context: &Context) -> ReservationOwner {
    let requests: Api<Raw<DesktopDeletion>> = Api::namespaced(context.kube.client.clone(), namespace);
    let name = &reservation.request;
    let found = match api::call("read the DesktopDeletion", requests.get_opt(name)).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(namespace, name, %error, "a reservation cannot be settled, retrying");
            return ReservationOwner::Unknown;
        }
    };
    let Some(found) = found.filter(|found| found.uid().as_ref() == Some(&reservation.uid)) else {
        return ReservationOwner::Gone;
    };
    match found.object.0 {
        Err(_) => ReservationOwner::Unknown,
        Ok(request) => ReservationOwner::Found {
            resource_version: request.resource_version().unwrap_or_default(),
            attempts: request.status.unwrap_or_default().attempts,
        },
    }
}

/// The projects of a scope whose reservations may be settled.
pub(super) fn unsettled(
    scope: Scope,
    context: &Context,
) -> impl Stream<Item = ObjectRef<WorkspaceProject>> + use<> {
    let projects = stream::unfold(
        context.requests.reservations_to_check.subscribe(),
        |mut unsettled| async move {
            loop {
                match unsettled.recv().await {
                    Ok(project) => return Some((project, unsettled)),
                    // Those are settled at their next reconciliation.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        },
    );
    projects.filter(move |project| {
        let covers = match &scope {
            Scope::All => true,
            Scope::Namespace(namespace) => project.namespace.as_ref() == Some(namespace),
        };
        std::future::ready(covers)
    })
}
