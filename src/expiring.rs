//! A map that removes what is no longer used.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Values that are made when they are first used. One that was not used for a while is removed at the next call of
/// [`get_or_insert_with`](Self::get_or_insert_with) for another key. Clones share them.
#[derive(Clone)]
pub struct ExpiringMap<K, V> {
    idle: Duration,
    values: Arc<Mutex<HashMap<K, Entry<V>>>>,
}

struct Entry<V> {
    used: Instant,
    value: V,
}

impl<K: Eq + Hash, V: Clone> ExpiringMap<K, V> {
    /// An empty map that keeps a value for `idle` after its last use.
    pub fn new(idle: Duration) -> Self {
        let values = Arc::default();
        Self { idle, values }
    }

    /// The value of a key, which is made if there is none.
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V {
        let now = Instant::now();
        let mut values = self.values.lock();
        values.retain(|other, entry| *other == key || now.duration_since(entry.used) < self.idle);
        let entry = values.entry(key).or_insert_with(|| Entry {
            used: now,
            value: make(),
        });
        entry.used = now;
        entry.value.clone()
    }

    /// The value of a key, if there is one.
    pub fn get(&self, key: &K) -> Option<V> {
        let values = self.values.lock();
        values.get(key).map(|entry| entry.value.clone())
    }
}

/// Without the values, which may be secret.
impl<K, V> fmt::Debug for ExpiringMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpiringMap")
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_as_long_as_it_is_used() {
        let map = ExpiringMap::new(Duration::from_secs(60));
        assert_eq!(map.get(&"used"), None);
        for second in [0, 59, 118] {
            assert_eq!(map.get_or_insert_with("used", || second), 0, "it was made once");
            map.get_or_insert_with("unused", || second);
            tokio::time::advance(Duration::from_secs(59)).await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(map.get_or_insert_with("another", || 1), 1);
        assert_eq!(map.values.lock().len(), 1, "the others were not used");
        assert_eq!(map.get_or_insert_with("used", || 2), 2);
    }
}
