//! Reserves desktops of a project's limit of a day.

use kube::ResourceExt;

use super::super::super::{Context, api, project_session, project_status};
use super::super::Error;
use super::super::reconciliation::Reconciliation;
use super::nonce;
use crate::crd::WorkspaceProjectStatus;
use crate::crd::project::Reservation;
use crate::plan::daily_usage;

/// Reserves desktops by a PUT with the resourceVersion of the project whose guardrails were judged. If the project has
/// changed, or the answer is lost, it is read again.
pub(super) async fn reserve(pass: &mut Reconciliation, count: usize, context: &Context) -> Result<(), Error> {
    let fault = Error::Fault("desktops are reserved before the project was read");
    let project = pass.login.as_ref().and_then(|login| login.project.as_ref());
    let (Some(project), Some(view)) = (project.cloned(), pass.seen.project.as_ref()) else {
        return Err(fault);
    };
    let attempt_id = pass.seen.reserved.get_or_insert_with(|| nonce(context)).clone();
    let endpoint = project_session::coordinates(&project.object.spec).endpoint;
    let reservation = Reservation {
        attempt_id,
        request: pass.object.name_any(),
        uid: pass.uid(),
        resource_version: pass.object.resource_version().unwrap_or_default(),
        desktops: i32::try_from(count).unwrap_or(i32::MAX),
        reserved_at: daily_usage::now(&context.clocks(Some(&endpoint))),
    };
    let usage = daily_usage::reserve(&view.usage, reservation);
    let status = WorkspaceProjectStatus {
        daily_usage: Some(usage),
        ..project.status()
    };
    match project_status::replace(&project, &status, "ReserveDesktops", context).await {
        Ok(written) => pass.took_reservation(written, context),
        Err(api::Error::Conflict | api::Error::Unanswered { .. }) => {
            pass.seen.last_look = false;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
