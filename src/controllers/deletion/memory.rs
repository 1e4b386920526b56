//! What is remembered of a request between two passes, in memory only: losing it costs time, never safety.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::waking_hash;
use crate::crd::DesktopDeletion;
use crate::ids::{AttemptID, DesktopID};
use crate::plan::observed::Sight;
use crate::plan::recovery::Evidence;

/// Memory of all requests, by uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Remembered>>);

/// Memory of one request.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// Reads that failed in a row.
    pub failures: u32,
    /// When the last refusal came; the status knows whole seconds only.
    pub refused_at: Option<Timestamp>,
    /// Passes in a row that the API server let fail.
    pub api_failures: u32,
    /// What the cloud asked to wait at its last refusal.
    pub retry_after: Option<Duration>,
    /// The login at the last refusal.
    pub refused_login: Option<String>,
    /// Since when each desktop was idle in every read, by folded id.
    pub idle_since: HashMap<DesktopID, Timestamp>,
    /// The first look for evidence of an attempt that was surely dead: when it began and what it found.
    pub evidence: Option<(AttemptID, Timestamp, Evidence)>,
    /// The [`waking_hash`] of the object once the finalizer that we are adding is stored. The pass that adds it goes on
    /// from there, so the event of it wakes nobody.
    pub foreseen: Option<u64>,
}

impl Remembered {
    /// Notes a read of a desktop begun at `began`; says whether it was idle a `settle` time before too.
    pub fn note(&mut self, id: &DesktopID, sight: Sight, began: Timestamp, settle: Duration) -> bool {
        if !sight.is_idle() {
            self.idle_since.remove(&id.folded());
            return false;
        }
        let since = *self.idle_since.entry(id.folded()).or_insert(began);
        since
            .checked_add(settle)
            .is_ok_and(|confirmed| confirmed <= began)
    }
}

impl Memory {
    /// What is remembered of the request.
    pub fn of(&self, uid: &str) -> Remembered {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Changes what is remembered.
    pub fn change<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(self.lock().entry(uid.to_owned()).or_default())
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
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
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
        memory.change("u1", |remembered| remembered.foreseen = waking_hash(&object));
        let mut edited = object.clone();
        edited.annotations_mut().insert("note".into(), "new".into());
        assert!(!memory.foresaw(&edited), "somebody else changed it too");
        assert!(memory.foresaw(&object));
        assert!(!memory.foresaw(&object), "a change was taken back");
    }
}
