//! Watches finished requests: only their metadata, and nothing is cached. If one has our finalizer again, for
//! example from an exported manifest, it could never be deleted, so the finalizer is removed. `spec.suspend` can still be
//! changed and has no effect; tools that wait for `observedGeneration` must see that the change was observed.

use std::time::Duration;

use futures::TryStreamExt;
use kube::api::{PartialObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::raw::Raw;
use super::{Scope, api};
use crate::crd::{DesktopDeletion, FINALIZER};

/// How long after a failure all of them are listed again.
const RELIST_DELAY: Duration = Duration::from_secs(60);

/// Selects finished requests on the server.
const FINISHED: &str = "status.completionTime!=";

/// Watches them until the operator stops.
pub async fn run(client: Client, scope: Scope, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        stopping
            .run_until_cancelled(Box::pin(watch(&client, &scope)))
            .await;
    }
}

/// Watches them until all of them must be listed again, since one of them could not be handled.
async fn watch(client: &Client, scope: &Scope) {
    let config = watcher::Config::default().fields(FINISHED).page_size(200);
    let events = watcher(scope.api::<PartialObjectMeta<DesktopDeletion>>(client), config).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut again: Option<Instant> = None;
    loop {
        let next = events.try_next();
        let next = match again {
            Some(at) => timeout_at(at, next).await,
            None => Ok(next.await),
        };
        match next {
            Ok(Ok(Some(Event::Apply(object) | Event::InitApply(object)))) => {
                // One that cannot be handled does not block the others.
                if let Err(error) = handle_finished(client, &object).await {
                    let (namespace, name) = (object.namespace(), object.name_any());
                    tracing::warn!(namespace, name, %error, "a finished request could not be updated, retrying");
                    again.get_or_insert_with(|| Instant::now() + RELIST_DELAY);
                }
            }
            Ok(Ok(Some(_))) => {}
            // The watch begins again by itself.
            Ok(Err(error)) => tracing::warn!(%error, "finished requests could not be watched, retrying"),
            Ok(Ok(None)) | Err(_) => return,
        }
    }
}

async fn handle_finished(
    client: &Client,
    object: &PartialObjectMeta<DesktopDeletion>,
) -> Result<(), api::Error> {
    let result = if object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        remove_finalizer(client, object).await.map(drop)
    } else if object.metadata.generation > Some(1) {
        // Only a request that was edited can have been edited after its end.
        record_observed_generation(client, object).await
    } else {
        return Ok(());
    };
    match result {
        // Another client was faster, and another event follows.
        Err(api::Error::Conflict | api::Error::NotFound) => Ok(()),
        result => result,
    }
}

/// A patch that adds or removes our finalizer and keeps those of others.
pub(super) fn finalizers(object: &impl ResourceExt, add_ours: bool) -> Value {
    let mut finalizers: Vec<String> = object.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    finalizers.extend(add_ours.then(|| FINALIZER.to_owned()));
    json!({"metadata": {
        "uid": object.uid(),
        "resourceVersion": object.resource_version(),
        "finalizers": finalizers,
    }})
}

/// Removes our finalizer from a request, as it was read; returns whether it was removed, and not changed by another client
/// in the meantime.
///
/// # Errors
/// The call to the API server failed.
pub(super) async fn remove_finalizer(client: &Client, object: &impl ResourceExt) -> Result<bool, api::Error> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let patch = finalizers(object, false);
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let requests: Api<DesktopDeletion> = Api::namespaced(client.clone(), &namespace);
    let freed = requests.patch_metadata(&name, &parameters, &patch);
    match api::call("remove the finalizer", freed).await {
        Ok(_) => {
            tracing::info!(
                namespace,
                name,
                "removed the operator's finalizer from a request that it no longer protects"
            );
            Ok(true)
        }
        Err(api::Error::Conflict | api::Error::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn record_observed_generation(client: &Client, object: &impl ResourceExt) -> Result<(), api::Error> {
    let name = object.name_any();
    let namespace = object.namespace().unwrap_or_default();
    let requests: Api<Raw<DesktopDeletion>> = Api::namespaced(client.clone(), &namespace);
    let live = api::call("read a finished request", requests.get_opt(&name)).await?;
    let Some(mut live) = live.filter(|live| live.uid() == object.uid()) else {
        return Ok(());
    };
    if !set_observed_generation(&mut live.json) {
        return Ok(());
    }
    let parameters = PostParams::default();
    let written = requests.replace_status(&name, &parameters, &live);
    api::call("write the status of a finished request", written).await?;
    Ok(())
}

/// Sets observedGeneration in the status of a finished request; returns whether that is a change.
fn set_observed_generation(object: &mut Value) -> bool {
    let generation = object["metadata"]["generation"].clone();
    let status = &mut object["status"];
    let behind = status["observedGeneration"].as_i64() < generation.as_i64();
    if !behind || status["completionTime"].is_null() {
        return false;
    }
    let conditions = status["conditions"].as_array_mut().into_iter().flatten();
    for condition in conditions {
        condition["observedGeneration"] = generation.clone();
    }
    status["observedGeneration"] = generation;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_edit_after_the_end_changes_the_status() {
        let object = |generation: i64, completed: Option<&str>| {
            json!({
                "metadata": {"generation": generation},
                "status": {
                    "observedGeneration": 2, "completionTime": completed, "word": "of another version",
                    "conditions": [{"type": "Ready", "observedGeneration": 2}],
                },
            })
        };
        let end = Some("2026-12-01T08:00:00Z");
        for (generation, completed, news) in [(2, end, false), (3, None, false), (3, end, true)] {
            let mut seen = object(generation, completed);
            assert_eq!(
                set_observed_generation(&mut seen),
                news,
                "{generation} {completed:?}"
            );
            let mut expected = object(generation, completed);
            if news {
                expected["status"]["observedGeneration"] = json!(generation);
                expected["status"]["conditions"][0]["observedGeneration"] = json!(generation);
            }
            assert_eq!(seen, expected);
        }
    }
}
