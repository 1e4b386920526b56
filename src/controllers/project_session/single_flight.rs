//! Reads of projects that requests share. Whoever asks while one is under way waits for the next one, together with
//! all who ask meanwhile: each answer was begun no earlier than it was asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::ProjectRead;
use crate::controllers::api;

/// Projects that nobody asked for so long are forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// The last read of each project; clones share them.
#[derive(Clone, Default)]
pub struct SingleFlight(Arc<Mutex<HashMap<Place, Entry>>>);

/// Namespace and name of a project.
type Place = (String, String);

#[derive(Clone)]
struct Entry {
    used: Instant,
    /// Reads that began earlier say nothing any more.
    not_before: Instant,
    last: Slot,
}

/// The last read, locked while the next one is under way.
type Slot = Arc<tokio::sync::Mutex<Option<Flight>>>;

/// A read that has ended. One that failed is shared too, or those who wait would time out one after the other.
#[derive(Clone)]
pub struct Flight {
    /// When it was begun.
    pub began: Instant,
    /// What it showed.
    pub result: Result<Arc<ProjectRead>, api::Error>,
}

impl SingleFlight {
    /// A read of the project that was begun at `since` or later: the last one, or by `read` a new one.
    pub async fn since<F>(
        &self,
        namespace: &str,
        name: &str,
        since: Instant,
        read: impl FnOnce() -> F,
    ) -> Flight
    where
        F: Future<Output = Result<ProjectRead, api::Error>>,
    {
        let entry = self.entry((namespace.to_owned(), name.to_owned()));
        let since = since.max(entry.not_before);
        let mut last = entry.last.lock().await;
        if let Some(known) = last.as_ref().filter(|known| known.began >= since) {
            return known.clone();
        }
        let began = Instant::now();
        let result = read().await.map(Arc::new);
        last.insert(Flight { began, result }).clone()
    }

    /// The project has changed: who asks from now on is not told of an earlier read.
    pub fn changed(&self, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        if let Some(entry) = self.0.lock().get_mut(&place) {
            entry.not_before = Instant::now();
        }
    }

    fn entry(&self, place: Place) -> Entry {
        let mut entries = self.0.lock();
        let now = Instant::now();
        entries.retain(|other, entry| *other == place || now.duration_since(entry.used) < IDLE);
        let entry = entries.entry(place).or_insert_with(|| Entry {
            used: now,
            not_before: now,
            last: Slot::default(),
        });
        entry.used = now;
        entry.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    /// Reads that take a second each, counted.
    #[derive(Default)]
    struct Project {
        flight: SingleFlight,
        made: AtomicUsize,
    }

    impl Project {
        async fn read(&self, since: Instant) -> Flight {
            let read = async || {
                self.made.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err(api::Error::NotFound)
            };
            self.flight.since("namespace", "prod", since, read).await
        }

        fn made(&self) -> usize {
            self.made.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_during_a_read_shares_the_next_one() {
        let project = Project::default();
        let asked = Instant::now();
        let late = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let asked = Instant::now();
            let reads = join_all((0..20).map(|_| project.read(asked))).await;
            assert!(reads.iter().all(|read| read.began >= asked));
        };
        tokio::join!(project.read(asked), late);
        assert_eq!(project.made(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_read_serves_whom_it_is_new_enough() {
        let project = Project::default();
        let asked = Instant::now();
        project.read(asked).await;
        project.read(asked).await;
        assert_eq!(project.made(), 1);
        project.read(Instant::now()).await;
        assert_eq!(project.made(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_is_given_up_holds_up_nobody() {
        let project = Project::default();
        let brief = Duration::from_millis(10);
        let asked = Instant::now();
        let given_up = tokio::time::timeout(brief, project.read(asked)).await;
        assert!(given_up.is_err());
        project.read(asked).await;
        assert_eq!(project.made(), 2);
    }
}
