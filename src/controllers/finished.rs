//! Looks after finished requests, of which nothing but metadata is read and nothing is kept. One that carries our finalizer
//! again, for example from an exported manifest, could never be deleted: it is taken off. `spec.suspend` may still change
//! and means nothing; tools that wait for `observedGeneration` must see that it was noticed.

use std::time::Duration;

use futures::TryStreamExt;
use kube::api::{PartialObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Scope, api};
use crate::crd::{DesktopDeletion, FINALIZER};
use crate::plan::record;

/// How long after a failure all of them are listed again.
const AGAIN: Duration = Duration::from_secs(60);

/// Selects finished requests on the server.
const FINISHED: &str = "status.completionTime!=";

/// Watches them until the operator stops.
pub async fn run(client: Client, scope: Scope, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        let watching = stopping.run_until_cancelled(watch(&client, &scope));
        if let Some(Err(error)) = Box::pin(watching).await {
            tracing::warn!(%error, "finished requests could not be looked after, tried again in a minute");
        }
        stopping.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
    }
}

async fn watch(client: &Client, scope: &Scope) -> Result<(), api::Error> {
    let config = watcher::Config::default().fields(FINISHED).page_size(200);
    let events = watcher(scope.api::<PartialObjectMeta<DesktopDeletion>>(client), config).default_backoff();
    let mut events = std::pin::pin!(events);
    loop {
        // A watch that failed is begun again by itself.
        match events.try_next().await {
            Ok(Some(Event::Apply(object) | Event::InitApply(object))) => tend(client, &object).await?,
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => return Ok(()),
        }
    }
}

async fn tend(client: &Client, object: &PartialObjectMeta<DesktopDeletion>) -> Result<(), api::Error> {
    let namespace = object.namespace().unwrap_or_default();
    let requests: Api<DesktopDeletion> = Api::namespaced(client.clone(), &namespace);
    let result = if object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        free(&requests, object).await
    } else if object.metadata.generation > Some(1) {
        // Only a request that was edited can have been edited after its end.
        notice(&requests, object).await
    } else {
        return Ok(());
    };
    match result {
        // Somebody else was faster, and another event follows.
        Err(api::Error::Conflict | api::Error::NotFound) => Ok(()),
        result => result,
    }
}

async fn free(requests: &Api<DesktopDeletion>, object: &impl ResourceExt) -> Result<(), api::Error> {
    let (name, namespace) = (object.name_any(), object.namespace());
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
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let freed = requests.patch_metadata(&name, &parameters, &patch);
    api::call("remove the finalizer of a finished request", freed).await?;
    tracing::info!(
        namespace,
        name,
        "removed the operator's finalizer from a finished request"
    );
    Ok(())
}

async fn notice(requests: &Api<DesktopDeletion>, object: &impl ResourceExt) -> Result<(), api::Error> {
    let name = object.name_any();
    let live = api::call("read a finished request", requests.get_opt(&name)).await?;
    let Some(live) = live.filter(|live| live.uid() == object.uid()) else {
        return Ok(());
    };
    let generation = live.metadata.generation.unwrap_or_default();
    let Some(status) = live
        .status
        .as_ref()
        .and_then(|status| record::noticed(status, generation))
    else {
        return Ok(());
    };
    let next = DesktopDeletion {
        status: Some(status),
        ..live
    };
    let parameters = PostParams::default();
    let written = requests.replace_status(&name, &parameters, &next);
    api::call("write the status of a finished request", written).await?;
    Ok(())
}
