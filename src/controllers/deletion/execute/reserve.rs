//! Reserves desktops under the daily limit of a project.

use kube::ResourceExt;

use super::super::super::project_reads::StoredProject;
use super::super::super::project_status;
use super::super::super::{Context, api, project_reads};
use super::super::Error;
use super::super::reconciliation::Reconciliation;
use super::new_attempt_id;
use crate::crd::WorkspaceProjectStatus;
use crate::crd::project::Reservation;
use crate::plan::daily_usage;

/// Reserves desktops by a PUT with the resourceVersion of the project whose guardrails were evaluated. If the project
/// has changed, it is read again.
///
/// # Errors
/// The API server did not respond, or rejected the write. A reservation that it may have stored is settled later.
pub(super) async fn reserve(
    reconciliation: &mut Reconciliation,
    count: usize,
    context: &Context,
) -> Result<(), Error> {
    let project = reconciliation
        .project_session
        .as_ref()
        .and_then(|project_session| project_session.project.clone());
    let (Some(project), Some(view)) = (project, &reconciliation.observed.project) else {
        return Err(Error::Fault("desktops are reserved before the project was read"));
    };
    let attempt_id = reconciliation
        .observed
        .reserved
        .get_or_insert_with(|| new_attempt_id(context))
        .clone();
    let endpoint = project_reads::coordinates(&project.object.spec).endpoint;
    let reservation = Reservation {
        attempt_id,
        request: reconciliation.object.name_any(),
        uid: reconciliation.uid(),
        resource_version: reconciliation.object.resource_version().unwrap_or_default(),
        desktops: i32::try_from(count).unwrap_or(i32::MAX),
        reserved_at: daily_usage::now(&context.clocks(Some(&endpoint))),
    };
    let status = WorkspaceProjectStatus {
        daily_usage: Some(daily_usage::reserve(&view.usage, reservation)),
        ..project.status()
    };
    let written = project_status::replace(&project, &status, "ReserveDesktops", context).await;
    // From now on it is checked periodically, whatever the result of this reconciliation.
    reconciliation.schedule_reservation_check(context);
    match written.map(StoredProject::of) {
        Ok(Ok(written)) => reconciliation.record_reservation(written),
        // The next read shows the actual state.
        Ok(Err(_)) | Err(api::Error::Conflict | api::Error::NotFound) => {
            reconciliation.observed.project_is_fresh = false;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
