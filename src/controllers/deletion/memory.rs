//! What is remembered of each request between two reconciliations, in memory only.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::plan::memory::RequestMemory;

/// Memory of all requests, by uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Entry>>);

/// Memory of one request.
#[derive(Debug, Default)]
struct Entry {
    plan: RequestMemory,
    /// Consecutive reconciliations that failed, apart from conflicts and objects that are gone.
    api_failures: u32,
}

impl Memory {
    /// What is remembered of the request.
    pub fn of(&self, uid: &str) -> RequestMemory {
        let memory = self.0.lock();
        memory
            .get(uid)
            .map(|entry| entry.plan.clone())
            .unwrap_or_default()
    }

    /// Changes the memory of a request.
    pub fn change<T>(&self, uid: &str, change: impl FnOnce(&mut RequestMemory) -> T) -> T {
        change(&mut self.0.lock().entry(uid.to_owned()).or_default().plan)
    }

    /// A reconciliation failed; returns how many in a row have.
    pub fn api_failed(&self, uid: &str) -> u32 {
        let mut memory = self.0.lock();
        let entry = memory.entry(uid.to_owned()).or_default();
        entry.api_failures = entry.api_failures.saturating_add(1);
        entry.api_failures
    }

    /// How many reconciliations in a row failed.
    pub fn api_failures(&self, uid: &str) -> u32 {
        self.0.lock().get(uid).map_or(0, |entry| entry.api_failures)
    }

    /// A reconciliation succeeded.
    pub fn reset_api_failures(&self, uid: &str) {
        if let Some(remembered) = self.0.lock().get_mut(uid) {
            remembered.api_failures = 0;
        }
    }

    /// Forgets a request that has ended or is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}
