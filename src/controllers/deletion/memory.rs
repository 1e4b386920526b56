//! What is remembered of each request between two passes, in memory only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::waking_hash;
use crate::crd::DesktopDeletion;
use crate::plan::memory::Remembered;

/// Memory of all requests, by uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Entry>>);

/// Memory of one request.
#[derive(Debug, Default)]
struct Entry {
    plan: Remembered,
    /// Passes in a row that the API server let fail.
    api_failures: u32,
    /// The [`waking_hash`] of the object once the finalizer that we are adding is stored. The pass that adds it goes on
    /// from there, so the event of it wakes nobody.
    foreseen: Option<u64>,
}

impl Memory {
    /// What is remembered of the request.
    pub fn of(&self, uid: &str) -> Remembered {
        let memory = self.lock();
        memory
            .get(uid)
            .map(|entry| entry.plan.clone())
            .unwrap_or_default()
    }

    /// Changes what is remembered.
    pub fn change<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(&mut self.lock().entry(uid.to_owned()).or_default().plan)
    }

    /// The finalizer is being added, and the object will look like that afterwards.
    pub fn foresee(&self, uid: &str, hash: Option<u64>) {
        self.lock().entry(uid.to_owned()).or_default().foreseen = hash;
    }

    /// A pass failed because of the API server; says how many did in a row.
    pub fn api_failed(&self, uid: &str) -> u32 {
        let mut memory = self.lock();
        let entry = memory.entry(uid.to_owned()).or_default();
        entry.api_failures = entry.api_failures.saturating_add(1);
        entry.api_failures
    }

    /// The object shows what we changed, and nothing else new. True once only: that it looks so again later, after
    /// somebody changed it and took that back, is news.
    pub fn foresaw(&self, object: &DesktopDeletion) -> bool {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let mut memory = self.lock();
        let shown = waking_hash(object);
        let foreseen = memory.get_mut(uid).map(|remembered| &mut remembered.foreseen);
        foreseen.is_some_and(|foreseen| foreseen.take_if(|hash| Some(*hash) == shown).is_some())
    }

    /// A pass went well as far as the API server is concerned.
    pub fn api_is_well(&self, uid: &str) {
        if let Some(remembered) = self.lock().get_mut(uid) {
            remembered.api_failures = 0;
        }
    }

    /// Forgets a request that has ended or is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// A panic elsewhere cannot leave the map half written.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;
    use crate::crd::FINALIZER;

    #[test]
    fn the_event_of_our_own_finalizer_is_no_news_and_all_others_are() {
        let mut object: DesktopDeletion = serde_json::from_value(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": "leaver", "uid": "u1", "generation": 1},
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1"]},
        }))
        .unwrap();
        let memory = Memory::default();
        assert!(!memory.foresaw(&object), "nothing is known of it");
        object.finalizers_mut().push(FINALIZER.to_owned());
        memory.foresee("u1", waking_hash(&object));
        let mut edited = object.clone();
        edited.annotations_mut().insert("note".into(), "new".into());
        assert!(!memory.foresaw(&edited), "somebody else changed it too");
        assert!(memory.foresaw(&object));
        assert!(!memory.foresaw(&object), "a change was taken back");
    }
}
