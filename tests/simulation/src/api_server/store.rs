//! Objects, and every change that was made to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Refusal;
use super::resource::Resource;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub resource: Resource,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    pub(super) fn not_found(&self) -> Refusal {
        let message = format!("{} {:?} not found", self.resource.plural(), self.name);
        Refusal::new(404, "NotFound", message)
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resource version that it made.
    pub revision: u64,
    /// Of what.
    pub key: Key,
    /// What was there; `None`: it is new.
    pub before: Option<Arc<Value>>,
    /// What is there now; `None`: it is gone, and this is how it was last.
    pub after: Option<Arc<Value>>,
}

/// What is stored. All kinds share one sequence of resource versions.
#[derive(Debug, Default)]
pub struct Store {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
    compacted: u64,
}

impl Store {
    /// The newest resource version.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Changes before this resource version can no longer be watched.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Forgets what was before now, as far as watches are concerned.
    pub fn compact(&mut self) {
        self.compact_to(self.revision);
    }

    /// Forgets what was before that resource version.
    pub fn compact_to(&mut self, revision: u64) {
        self.compacted = revision;
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind, by namespace and name.
    pub fn list<'a>(
        &'a self,
        resource: Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Value>> {
        self.objects
            .iter()
            .filter(move |(key, _)| key.resource == resource)
            .filter(move |(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace))
            .map(|(_, object)| object)
    }

    /// Every change so far, oldest first.
    pub fn history(&self) -> &[Change] {
        &self.history
    }

    /// The changes after a resource version.
    pub fn since(&self, revision: u64) -> &[Change] {
        let known = self.history.partition_point(|change| change.revision <= revision);
        &self.history[known..]
    }

    /// Stores `object`, and says how it is stored.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        self.history.push(Change {
            revision: self.revision,
            key: key.clone(),
            before,
            after: Some(object.clone()),
        });
        object
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(before) = self.objects.remove(key) {
            self.revision += 1;
            self.history.push(Change {
                revision: self.revision,
                key: key.clone(),
                before: Some(before),
                after: None,
            });
        }
    }
}
