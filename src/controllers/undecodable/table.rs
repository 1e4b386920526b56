//! Which objects cannot be decoded now, from the events of the watches.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::Scope;
use super::super::raw::Raw;
use crate::crd::DesktopDeletion;

/// The kinds that are counted.
pub const KINDS: [&str; 2] = ["DesktopDeletion", "WorkspaceProject"];

/// What cannot be decoded now; clones share it.
#[derive(Clone, Default)]
pub struct Undecodable(Arc<Mutex<HashMap<String, Entry>>>);

/// An object that cannot be decoded.
#[derive(Clone)]
pub(super) struct Entry {
    kind: String,
    scope: Scope,
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// When this process first saw that it cannot be decoded, in time since its start.
    pub(super) first_seen: Duration,
    /// Seen in the list that is being read.
    listed: bool,
}

/// An event of a watch, decoded or not.
pub enum DecodedEvent<K: Resource<DynamicType = ()> + Clone + 'static> {
    /// Something that this version knows. The second is the object if it could not be decoded before.
    Known(Event<K>, Option<ObjectRef<K>>),
    /// An object that cannot be decoded.
    Unknown {
        /// As it was received.
        json: Value,
        /// Its metadata.
        metadata: Box<ObjectMeta>,
        /// The event that takes it out of the cache, if it is there.
        remove: Option<Event<K>>,
    },
}

/// The kind of change that a watch reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is in a list that is being read, or that list begins or ends.
    Listed,
    /// It was created or changed.
    Applied,
    /// It is gone.
    Deleted,
}

impl Change {
    /// The kind of change of an event.
    pub fn of<K>(event: &Event<K>) -> Self {
        match event {
            Event::Init | Event::InitApply(_) | Event::InitDone => Self::Listed,
            Event::Apply(_) => Self::Applied,
            Event::Delete(_) => Self::Deleted,
        }
    }
}

impl Undecodable {
    /// Classifies an event of a watch, and records objects that cannot be decoded.
    pub fn classify_event<K>(
        &self,
        scope: &Scope,
        event: Event<Raw<K>>,
        cache: &Store<K>,
        now: Duration,
    ) -> DecodedEvent<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + fmt::Debug + 'static,
    {
        let (raw, put): (_, fn(K) -> _) = match event {
            Event::Init => {
                let mut entries = self.0.lock();
                entries
                    .values_mut()
                    .filter(|entry| entry.is_of::<K>(scope))
                    .for_each(|entry| entry.listed = false);
                return DecodedEvent::Known(Event::Init, None);
            }
            Event::InitDone => {
                self.0
                    .lock()
                    .retain(|_, entry| !entry.is_of::<K>(scope) || entry.listed);
                return DecodedEvent::Known(Event::InitDone, None);
            }
            Event::InitApply(raw) => (raw, Event::InitApply),
            Event::Apply(raw) => (raw, Event::Apply),
            Event::Delete(raw) => (raw, Event::Delete),
        };
        match raw.object.0 {
            Ok(object) => {
                let reference = ObjectRef::from_obj(&object);
                let was_unknown = self.forget(&object.uid().unwrap_or_default());
                DecodedEvent::Known(put(object), was_unknown.then_some(reference))
            }
            Err(error) => {
                self.record::<K>(scope, &error, now);
                let namespace = error.metadata.namespace.as_deref().unwrap_or_default();
                let name = error.metadata.name.as_deref().unwrap_or_default();
                let reference = ObjectRef::<K>::new(name).within(namespace);
                let cached = cache.get(&reference);
                DecodedEvent::Unknown {
                    json: raw.json,
                    metadata: Box::new(error.metadata),
                    remove: cached.map(|object| Event::Delete((*object).clone())),
                }
            }
        }
    }

    /// The object of that uid can be decoded, or is gone; returns whether it could not be decoded before.
    pub fn forget(&self, uid: &str) -> bool {
        self.0.lock().remove(uid).is_some()
    }

    /// Whether an object of that name cannot be decoded.
    pub fn has<K: Resource<DynamicType = ()>>(&self, object: &ObjectRef<K>) -> bool {
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let kind = K::kind(&());
        self.0
            .lock()
            .values()
            .any(|entry| entry.kind == kind && entry.namespace == namespace && entry.name == object.name)
    }

    /// How many objects of each kind cannot be decoded.
    pub fn count(&self) -> Vec<(&'static str, usize)> {
        let entries = self.0.lock();
        let of = |kind| entries.values().filter(|entry| entry.kind == kind).count();
        KINDS.into_iter().map(|kind| (kind, of(kind))).collect()
    }

    fn record<K: Resource<DynamicType = ()>>(&self, scope: &Scope, error: &InvalidObject, now: Duration) {
        let (kind, metadata) = (K::kind(&()), &error.metadata);
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        let uid = metadata.uid.clone().unwrap_or_default();
        let mut entries = self.0.lock();
        let new = || {
            tracing::error!(
                %kind, namespace, name, error = error.error,
                "failed to decode an object; it is skipped, and the desktops of a DesktopDeletion stay reserved. Correct the field that the error names, or run the version of the operator that wrote the object"
            );
            Entry {
                kind: kind.to_string(),
                scope: scope.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
                first_seen: now,
                listed: true,
            }
        };
        entries.entry(uid).or_insert_with(new).listed = true;
    }

    /// The `DesktopDeletion`s among them, by uid.
    pub(super) fn requests(&self) -> Vec<(String, Entry)> {
        let entries = self.0.lock();
        let requests = entries
            .iter()
            .filter(|(_, entry)| entry.kind == DesktopDeletion::kind(&()));
        requests
            .map(|(uid, entry)| (uid.clone(), entry.clone()))
            .collect()
    }
}

impl Entry {
    fn is_of<K: Resource<DynamicType = ()>>(&self, scope: &Scope) -> bool {
        self.scope == *scope && self.kind == K::kind(&())
    }
}
