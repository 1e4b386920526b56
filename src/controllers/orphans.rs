//! Frees finished requests that still carry our finalizer: whoever put it back, they could never be deleted.

use std::time::Duration;

use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Scope, api};
use crate::crd::{DesktopDeletion, FINALIZER};

/// How often it is looked for them.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Objects of one page.
const PAGE: u32 = 200;

/// Selects finished requests on the server.
const FINISHED: &str = "status.completionTime!=";

/// Looks at once and then every hour, until the operator stops.
pub async fn run(client: Client, scope: Scope, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        if let Err(error) = sweep(&client, &scope).await {
            tracing::warn!(%error, "finished requests could not be searched for finalizers, tried again in an hour");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn sweep(client: &Client, scope: &Scope) -> Result<(), api::Error> {
    let requests = scope.api::<DesktopDeletion>(client);
    let mut parameters = ListParams::default().fields(FINISHED).limit(PAGE);
    loop {
        let page = api::call("list finished requests", requests.list_metadata(&parameters)).await?;
        for object in &page.items {
            if object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
                free(client, object).await?;
            }
        }
        parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if parameters.continue_token.is_none() {
            return Ok(());
        }
    }
}

/// Removes our finalizer from a request, as it was read.
///
/// # Errors
/// The API server did not do it.
pub(super) async fn free(client: &Client, object: &impl ResourceExt) -> Result<(), api::Error> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let others: Vec<_> = object
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .collect();
    let patch = json!({"metadata": {
        "uid": object.uid(),
        "resourceVersion": object.resource_version(),
        "finalizers": others,
    }});
    let requests: Api<DesktopDeletion> = Api::namespaced(client.clone(), &namespace);
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    match api::call(
        "remove the finalizer",
        requests.patch_metadata(&name, &parameters, &patch),
    )
    .await
    {
        Ok(_) => tracing::info!(
            namespace,
            name,
            "removed our finalizer from a request that it no longer protects"
        ),
        // Somebody else was faster.
        Err(api::Error::Conflict | api::Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
