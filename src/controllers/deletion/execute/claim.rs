//! Claims the desktops of a request.

use kube::Resource;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;

use super::super::Error;
use super::super::reconciliation::Reconciliation;
use crate::controllers::claims::ClaimResult;
use crate::controllers::raw::Raw;
use crate::controllers::{Context, api};
use crate::crd::DesktopDeletion;
use crate::ids::ProjectKey;
use crate::plan::observed::{Claim, ReadTime};
use crate::plan::overlap;
use crate::plan::views::DesktopView;

/// Claims the desktops in the table of claims. Before that, releases desktops of a deleted request if reads of this
/// reconciliation show that they are gone or that its job names them.
pub(super) async fn claim(reconciliation: &mut Reconciliation, context: &Context) -> Result<(), Error> {
    let project_key = reconciliation.credentials_key()?.project;
    let before = holder_of(reconciliation.observed.claim.as_ref());
    if let Some(Claim::ReservedByDeleted(holder)) = &reconciliation.observed.claim {
        let released = overlap::released(&reconciliation.observed, holder);
        context.requests.claims.release(&holder.uid, &released);
    }
    let mut claim_result = request_claim(reconciliation, &project_key, context).await?;
    while let Some(deleted) = &claim_result.unconfirmed {
        if !is_finished(deleted, context).await {
            break;
        }
        claim_result = request_claim(reconciliation, &project_key, context).await?;
    }
    if let Some(holder) = holder_of(Some(&claim_result.claim))
        && before.as_ref() != Some(&holder)
    {
        // Reads from before it was known to be deleted do not end its claim.
        reconciliation.observed.sub_job_list = None;
    }
    if let Some(released) = claim_result.released {
        admit_since(reconciliation, released);
    }
    reconciliation.claimed |= claim_result.newly_granted;
    reconciliation.observed.claim = Some(claim_result.claim);
    Ok(())
}

fn holder_of(claim: Option<&Claim>) -> Option<String> {
    match claim {
        Some(Claim::ReservedByDeleted(holder)) => Some(holder.uid.clone()),
        _ => None,
    }
}

async fn request_claim(
    reconciliation: &Reconciliation,
    project_key: &ProjectKey,
    context: &Context,
) -> Result<ClaimResult, Error> {
    tokio::select! {
        claim_result = context.requests.claims.claim(&reconciliation.object, project_key) => Ok(claim_result),
        // It waits for the watches of all namespaces, and one of them may never sync.
        () = context.process.stopping.cancelled() => Err(Error::StartOver),
    }
}

/// Checks once with the API server whether a request that disappeared from its watch was finished by another leader,
/// which looks like a deletion. Returns whether its claim has ended.
async fn is_finished(deleted: &ObjectRef<DesktopDeletion>, context: &Context) -> bool {
    let uid = deleted.extra.uid.as_deref().unwrap_or_default();
    let namespace = deleted.namespace.as_deref().unwrap_or_default();
    let requests: Api<Raw<DesktopDeletion>> = Api::namespaced(context.kube.client.clone(), namespace);
    let live = api::call("read a deleted DesktopDeletion", requests.get_opt(&deleted.name)).await;
    let live = match live {
        Ok(live) => live.filter(|live| live.meta().uid.as_deref() == Some(uid)),
        Err(error) => {
            // It is checked again in the next reconciliation; until then it counts as deleted.
            tracing::debug!(namespace, name = deleted.name, %error, "a deleted DesktopDeletion could not be read");
            return false;
        }
    };
    match live {
        None => {
            context.requests.claims.confirm_deleted(uid);
            false
        }
        Some(live) => {
            let finished = !live.json["status"]["completionTime"].is_null();
            if finished {
                context.requests.claims.mark_finished(uid);
            }
            finished
        }
    }
}

/// What was read of a desktop or of its jobs before another request released it does not count. What is gone stays gone.
fn admit_since(reconciliation: &mut Reconciliation, released: std::time::Duration) {
    reconciliation.released = Some(released);
    reconciliation.reads_since = reconciliation.reads_since.max(released);
    let counts = |read: Option<&ReadTime>| read.is_some_and(|read| read.began >= released);
    reconciliation.observed.desktops.retain(|id, observation| {
        observation.view == DesktopView::Gone || counts(reconciliation.reads.desktops.get(id))
    });
    if !counts(reconciliation.reads.sub_jobs.as_ref()) {
        reconciliation.observed.sub_job_list = None;
    }
}
