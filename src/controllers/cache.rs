//! The watch's copies of unfinished requests, and of which of them this process knows more than its watch has shown.
//!
//! A reconciliation starts from such a copy. Its writes are conditional on the resourceVersion, so an outdated copy
//! causes no write. But the copy must not be older than what this process has read or written, or completed work would
//! appear not to have been done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::{Mutex, RwLock};

use tokio::time::Instant;

use super::Scope;
use crate::crd::{DesktopDeletion, RESOLVE_ANNOTATION};
use crate::plan::deadlines::WATCH_LAG;

/// The copies of all watches; clones share them.
#[derive(Clone, Default)]
pub struct RequestCache(Arc<Shared>);

#[derive(Default)]
struct Shared {
    stores: RwLock<HashMap<Scope, Store<DesktopDeletion>>>,
    /// Requests whose newest version the watches have not delivered yet, by uid.
    lags: Mutex<HashMap<String, CacheLag>>,
    /// Requests whose status has more than this version can decode, by uid: their copies lack it.
    partial: Mutex<HashSet<String>>,
}

/// A request of which this process knows a newer version than its watch has delivered.
struct CacheLag {
    namespace: String,
    known: LatestState,
    /// Since when the watch is behind.
    since: Instant,
    /// A reconciliation waits for the watch.
    awaited: bool,
}

#[derive(Clone, Copy)]
enum LatestState {
    /// This process has read or written this version.
    Version(u64),
    /// A write got no response, or conflicted with a newer version.
    Uncertain,
    /// It no longer exists.
    Gone,
}

impl CacheLag {
    fn source(&mut self, copy: &DesktopDeletion) -> Source {
        match (self.known, version(&copy.metadata)) {
            (LatestState::Uncertain, _) | (LatestState::Version(_), None) => Source::Live,
            (LatestState::Version(known), Some(shown)) if shown >= known => Source::Cache,
            _ => {
                self.awaited = true;
                let remaining = WATCH_LAG.saturating_sub(self.since.elapsed());
                if remaining.is_zero() {
                    Source::Live
                } else {
                    Source::Wait(remaining)
                }
            }
        }
    }
}

/// What a reconciliation begins from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The watch's copy.
    Cache,
    /// A live read: the copy may be outdated.
    Live,
    /// Nothing yet: the copy is older than what this process has read or written. The request is reconciled when the
    /// watch delivers a newer version, or after this time.
    Wait(Duration),
}

impl RequestCache {
    /// The copies of one more watch.
    pub fn watch(&self, scope: Scope, store: Store<DesktopDeletion>) {
        let mut stores = self.0.stores.write();
        stores.insert(scope, store);
    }

    /// The copy of a request.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<DesktopDeletion>> {
        self.store(namespace)?
            .get(&ObjectRef::new(name).within(namespace))
    }

    /// The copies of all requests.
    pub fn all(&self) -> Vec<Arc<DesktopDeletion>> {
        let stores = self.0.stores.read();
        stores.values().flat_map(Store::state).collect()
    }

    /// The copies of the requests of a project, the oldest first.
    pub fn of_project(&self, namespace: &str, project: &str) -> Vec<Arc<DesktopDeletion>> {
        let mut requests = self.store(namespace).map_or_else(Vec::new, |store| store.state());
        requests.retain(|request| {
            request.spec.project_ref.name == project
                && request.metadata.namespace.as_deref() == Some(namespace)
        });
        let age = |request: &DesktopDeletion| (request.creation_timestamp(), request.name_any());
        requests.sort_by_cached_key(|request| age(request));
        requests
    }

    fn store(&self, namespace: &str) -> Option<Store<DesktopDeletion>> {
        let stores = self.0.stores.read();
        let own = stores.get(&Scope::Namespace(namespace.to_owned()));
        own.or_else(|| stores.get(&Scope::All)).cloned()
    }

    /// This process has read this version of a request live, or received it in the response to a write.
    pub fn record_version(&self, object: &DesktopDeletion) {
        if object.metadata.deletion_timestamp.is_some() && object.finalizers().is_empty() {
            // The response to the write that removes the object contains the previous version.
            return self.record_lag(object, LatestState::Gone);
        }
        if let Some(version) = version(&object.metadata) {
            self.record_lag(object, LatestState::Version(version));
        }
    }

    /// The request no longer exists on the API server.
    pub fn mark_not_found(&self, object: &DesktopDeletion) {
        self.record_lag(object, LatestState::Gone);
    }

    /// Whether a write was carried out is not known, or it met a newer version.
    pub fn mark_uncertain(&self, object: &DesktopDeletion) {
        self.record_lag(object, LatestState::Uncertain);
    }

    fn record_lag(&self, object: &DesktopDeletion, known: LatestState) {
        let (uid, namespace) = (object.uid(), object.namespace().unwrap_or_default());
        // The watch removes an object from its store before it calls `forget`, so no entry remains.
        let mut lags = self.0.lags.lock();
        let copy = self.get(&namespace, &object.name_any());
        let copy = copy.filter(|copy| copy.metadata.uid == uid);
        let before = lags.get(uid.as_deref().unwrap_or_default());
        let known = match (before.map(|lag| lag.known), known) {
            // Responses may arrive out of order.
            (Some(LatestState::Gone), LatestState::Version(_)) => LatestState::Gone,
            (Some(LatestState::Version(later)), LatestState::Version(version)) => {
                LatestState::Version(version.max(later))
            }
            (_, known) => known,
        };
        let shown = match (known, &copy) {
            (_, None) => true,
            (LatestState::Uncertain | LatestState::Gone, Some(_)) => false,
            (LatestState::Version(known), Some(copy)) => {
                version(&copy.metadata).is_some_and(|shown| shown >= known)
            }
        };
        let uid = uid.unwrap_or_default();
        if shown {
            lags.remove(&uid);
            return;
        }
        let entry = lags.entry(uid).or_insert(CacheLag {
            namespace,
            known,
            since: Instant::now(),
            awaited: false,
        });
        entry.known = known;
    }

    /// The copy of a request and what a reconciliation of it begins from; `None` if no watch shows it.
    pub fn source(&self, namespace: &str, name: &str) -> Option<(Arc<DesktopDeletion>, Source)> {
        // The copy is taken under the lock, so that a later event of the watch is not confused with this copy.
        let mut lags = self.0.lags.lock();
        let copy = self.get(namespace, name)?;
        let uid = copy.metadata.uid.as_deref().unwrap_or_default();
        if self.0.partial.lock().contains(uid) {
            return Some((copy, Source::Live));
        }
        let source = lags.get_mut(uid).map_or(Source::Cache, |lag| lag.source(&copy));
        Some((copy, source))
    }

    /// The store of a watch is about to show a copy of a request that lacks something of its status.
    pub fn mark_partial(&self, uid: &str) {
        self.0.partial.lock().insert(uid.to_owned());
    }

    /// Whether the copy of a request lacks something of its status.
    pub fn is_partial(&self, object: &DesktopDeletion) -> bool {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.0.partial.lock().contains(uid)
    }

    /// The store of a watch now has this version of a request; returns whether a reconciliation waits for it.
    pub fn record_shown(&self, uid: &str, version: Option<u64>, partial: bool) -> bool {
        if !partial {
            self.0.partial.lock().remove(uid);
        }
        let mut lags = self.0.lags.lock();
        let reached = lags.get(uid).is_some_and(|lag| match lag.known {
            LatestState::Version(known) => version.is_some_and(|shown| shown >= known),
            // The next live read is compared with the copy.
            LatestState::Uncertain | LatestState::Gone => false,
        });
        reached && lags.remove(uid).is_some_and(|lag| lag.awaited)
    }

    /// The store of a watch no longer has that request.
    pub fn forget(&self, uid: &str) {
        self.0.lags.lock().remove(uid);
        self.0.partial.lock().remove(uid);
    }

    /// The store of a watch has these requests and no others.
    pub fn retain_listed(&self, scope: &Scope, uids: &HashSet<&str>) {
        let here = |namespace: &String| match scope {
            Scope::All => true,
            Scope::Namespace(own) => own == namespace,
        };
        self.0
            .lags
            .lock()
            .retain(|uid, lag| uids.contains(uid.as_str()) || !here(&lag.namespace));
    }
}

/// The resourceVersion as a number: for objects of one kind, the API server guarantees that resourceVersions are
/// numbers and increase.
pub fn version(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_ref()?.parse().ok()
}

/// Removes what the operator does not need. A write of the status does not change metadata, and one of the finalizers no
/// other field.
pub fn trim(object: &mut DesktopDeletion) {
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    metadata.labels = None;
    metadata.owner_references = None;
    metadata.self_link = None;
    metadata.generate_name = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| name == RESOLVE_ANNOTATION);
    }
}

#[cfg(test)]
mod tests;
