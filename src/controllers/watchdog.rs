//! Notices a watch that went silent: a cache that no longer follows the API server would leave new requests unseen
//! for ever, and nothing else would fail. Every so often the live list, metadata only, is held against the cache; what
//! it showed at the last look must be in the cache by now, else `/livez` fails and the kubelet restarts the pod.

use std::collections::HashMap;
use std::time::Duration;

use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::{Scope, api};
use crate::crd::DesktopDeletion;
use crate::operator::health::Pulse;

/// The live list, as far as it matters: resourceVersions by object.
type Versions = HashMap<ObjectRef<DesktopDeletion>, u64>;

/// Looks every `interval` until the operator stops; `selector` is that of the watch.
pub async fn run(
    (client, scope, selector): (Client, Scope, &'static str),
    cache: Store<DesktopDeletion>,
    interval: Duration,
    pulse: Pulse,
    stopping: CancellationToken,
) {
    let mut before = Versions::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        match live(&client, &scope, selector).await {
            // Without the API server nothing can be said about the watch.
            Err(error) => tracing::warn!(%error, "the cache of the watch could not be checked"),
            Ok(now) => match stale(&before, &now, &cache) {
                Some(object) => {
                    tracing::error!(%object, "the watch is silent: this object changed and the cache does not show it");
                    continue;
                }
                None => before = now,
            },
        }
        pulse.beat();
    }
}

async fn live(client: &Client, scope: &Scope, selector: &str) -> Result<Versions, api::Error> {
    let requests = scope.api::<DesktopDeletion>(client);
    let list = api::call(
        "list the requests",
        requests.list_metadata(&ListParams::default().fields(selector)),
    )
    .await?;
    let version = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or_default();
    let entry = |object: &kube::core::PartialObjectMeta<DesktopDeletion>| {
        let reference = ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default());
        (reference, version(object.resource_version()))
    };
    Ok(list.items.iter().map(entry).collect())
}

/// An object that is still listed, and of which the cache shows less than the list did a whole interval ago.
fn stale<'a>(
    before: &'a Versions,
    now: &Versions,
    cache: &Store<DesktopDeletion>,
) -> Option<&'a ObjectRef<DesktopDeletion>> {
    let cached = |object: &ObjectRef<DesktopDeletion>| {
        let version = cache.get(object)?.resource_version()?;
        version.parse::<u64>().ok()
    };
    let mut listed = before.iter().filter(|(object, _)| now.contains_key(object));
    listed
        .find(|(object, version)| cached(object).is_none_or(|cached| cached < **version))
        .map(|(object, _)| object)
}
