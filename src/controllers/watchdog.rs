//! Detects a watch that no longer delivers events: new requests would never be seen, and nothing else would fail. At each
//! interval, the live list (metadata only) is compared with the cache: what the previous list showed must be in the
//! cache by now. If it is not for three intervals, `/livez` fails and the operator is restarted.

use std::collections::HashMap;
use std::time::Duration;

use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::cache::version;
use super::undecodable::table::Undecodable;
use super::{Scope, api};
use crate::crd::DesktopDeletion;
use crate::runtime::health::Heartbeat;

/// The live list: resourceVersions by object.
type Versions = HashMap<ObjectRef<DesktopDeletion>, u64>;

/// Checks every `interval` until the operator stops; `selector` is that of the watch.
pub async fn run(
    (client, scope, selector): (Client, Scope, &'static str),
    (cache, undecodable): (Store<DesktopDeletion>, Undecodable),
    interval: Duration,
    heartbeat: Heartbeat,
    stopping: CancellationToken,
) {
    let mut before = Versions::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        match live(&client, &scope, selector).await {
            // Without the API server nothing is known about the watch.
            Err(error) => {
                tracing::warn!(%error, "failed to compare the cache of the watch with the API server; retrying");
            }
            Ok(mut now) => {
                // The cache never holds what cannot be decoded.
                now.retain(|object, _| !undecodable.has(object));
                match stale(&before, &now, &cache) {
                    Some(object) => {
                        tracing::error!(%object, "the cache of the watch is stale: the object has changed, and the cache was not updated; the operator exits if this persists");
                        continue;
                    }
                    None => before = now,
                }
            }
        }
        heartbeat.beat();
    }
}

async fn live(client: &Client, scope: &Scope, selector: &str) -> Result<Versions, api::Error> {
    let requests = scope.api::<DesktopDeletion>(client);
    let list = api::call(
        "list the requests",
        requests.list_metadata(&ListParams::default().fields(selector)),
    )
    .await?;
    let entry = |object: &kube::core::PartialObjectMeta<DesktopDeletion>| {
        let reference = ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default());
        (reference, version(&object.metadata).unwrap_or_default())
    };
    Ok(list.items.iter().map(entry).collect())
}

/// An object that is still listed, and of which the cache shows less than the list did a whole interval ago.
fn stale<'a>(
    before: &'a Versions,
    now: &Versions,
    cache: &Store<DesktopDeletion>,
) -> Option<&'a ObjectRef<DesktopDeletion>> {
    let cached = |object: &ObjectRef<DesktopDeletion>| version(&cache.get(object)?.metadata);
    let mut listed = before.iter().filter(|(object, _)| now.contains_key(object));
    listed
        .find(|(object, version)| cached(object).is_none_or(|cached| cached < **version))
        .map(|(object, _)| object)
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    use super::*;

    fn object(name: &str, version: &str) -> DesktopDeletion {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": name, "namespace": "vdi", "resourceVersion": version},
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1"]},
        }))
        .unwrap()
    }

    fn listed(name: &str, version: u64) -> Versions {
        [(ObjectRef::new(name).within("vdi"), version)].into()
    }

    fn cache(objects: impl IntoIterator<Item = DesktopDeletion>) -> Store<DesktopDeletion> {
        let (store, mut writer) = reflector::store();
        for object in objects {
            writer.apply_watcher_event(&Event::Apply(object));
        }
        store
    }

    #[test]
    fn a_cache_that_follows_is_not_stale() {
        let cache = cache([object("leavers", "7")]);
        assert_eq!(stale(&listed("leavers", 7), &listed("leavers", 9), &cache), None);
    }

    #[test]
    fn an_object_that_is_missing_or_outdated_in_the_cache_is_named() {
        let before = listed("leavers", 7);
        let old = cache([object("leavers", "5")]);
        let empty = cache([]);
        for cache in [old, empty] {
            let named = stale(&before, &listed("leavers", 9), &cache);
            assert_eq!(named, before.keys().next());
        }
    }

    #[test]
    fn an_object_that_is_no_longer_listed_is_not_stale() {
        assert_eq!(stale(&listed("leavers", 7), &Versions::new(), &cache([])), None);
    }
}
