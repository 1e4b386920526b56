//! Writes to the object, each fenced by uid and resourceVersion.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DeserializeGuard;

use super::super::reconciliation::Reconciliation;
use super::super::{Error, report};
use crate::controllers::raw::{Raw, keep_unknown};
use crate::controllers::{Context, api, finished};
use crate::crd::DesktopDeletion;
use crate::crd::deletion::DesktopDeletionStatus;

/// Adds or removes our finalizer by a patch with the resourceVersion that was validated. The object in the response
/// replaces the present one, and the project is read again.
pub(super) async fn finalizers(
    reconciliation: &mut Reconciliation,
    present: bool,
    context: &Context,
) -> Result<(), Error> {
    let patch = finished::finalizers(&reconciliation.object, present);
    let (action, step) = if present {
        ("add the finalizer", "AddFinalizer")
    } else {
        ("remove the finalizer", "DropFinalizer")
    };
    let requests = reconciliation.requests(context);
    let name = reconciliation.object.name_any();
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let now = context.process.uptime.now();
    if present {
        reconciliation.remember(context, |memory| memory.finalizer_dropped = false);
    }
    let patched = api::call(action, requests.patch(&name, &parameters, &patch)).await;
    // If the API server rejected the patch, the finalizer was never on the object, so no other client removed it.
    let refused = matches!(
        patched,
        Err(api::Error::Refused { .. } | api::Error::Failed { .. })
    );
    if present && !refused {
        reconciliation.remember(context, |memory| memory.record_finalizer_added(now));
    }
    let patched = patched?;
    if present && reconciliation.observed.facts.finalizer_missing {
        report::finalizer_restored(reconciliation, context).await;
    }
    if !present && reconciliation.observed.request.deleting {
        report::released_unresolved(reconciliation, context).await;
    }
    context.process.metrics.api_write("DesktopDeletion", step);
    reconciliation.observed.project_is_fresh = false;
    reconciliation.update(patched, context)
}

/// The object with that status, and with what this version does not know of the stored one.
fn with_status(
    reconciliation: &Reconciliation,
    status: &DesktopDeletionStatus,
) -> serde_json::Result<Raw<DesktopDeletion>> {
    let mut object = reconciliation.object.clone();
    let before = object.status.take();
    let mut json = serde_json::to_value(&object)?;
    let after = serde_json::to_value(status)?;
    json["status"] = match &reconciliation.stored {
        Some(stored) => keep_unknown(stored, &serde_json::to_value(before)?, after),
        None => after,
    };
    let object = DeserializeGuard(Ok(object));
    Ok(Raw { json, object })
}

/// Replaces the status under compare-and-swap: a PUT with uid and resourceVersion. (A patch without a
/// resourceVersion would go through over anything.)
///
/// # Errors
/// The object was changed in the meantime, or the call failed.
pub(super) async fn status(
    reconciliation: &mut Reconciliation,
    status: DesktopDeletionStatus,
    step: &'static str,
    context: &Context,
) -> Result<(), Error> {
    let before = reconciliation.observed.request.status.clone();
    let next = with_status(reconciliation, &status)
        .map_err(|_| Error::Fault("a status cannot be written as JSON"))?;
    let requests = reconciliation.requests(context);
    let (name, parameters) = (next.name_any(), PostParams::default());
    let written = api::call(
        "write the status",
        requests.replace_status(&name, &parameters, &next),
    )
    .await?;
    context.process.metrics.api_write("DesktopDeletion", step);
    reconciliation.update(written, context)?;
    if reconciliation.may_hold_reservation() && reconciliation.observed.request.pending().is_none() {
        reconciliation.schedule_reservation_check(context);
    }
    report::changed(&before, reconciliation, context).await;
    Ok(())
}
