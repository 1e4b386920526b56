//! Cached results: a shipped function is called once for each input.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{PoisonError, RwLock};

/// Results by input.
pub struct Cache<K, V>(RwLock<HashMap<K, V, BuildHasherDefault<QuickHasher>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// The result for an input, which is computed if it is not cached.
    pub fn get(&self, key: &K, ask: impl FnOnce() -> V) -> V {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(key) {
            return answer.clone();
        }
        drop(known);
        let answer = ask();
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), answer.clone());
        answer
    }

    /// The number of cached results.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keys consist of many small numbers, for which the hasher of the standard library is slow. No attacker chooses them.
#[derive(Default)]
pub struct QuickHasher(u64);

impl QuickHasher {
    fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }
}
