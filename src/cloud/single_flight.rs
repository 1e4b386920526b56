//! Reads that callers share. A caller that arrives while a read is in progress waits for the next one, together with all
//! others that arrive in the meantime: every result is from a read that began no earlier than the caller allows.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The last read of one thing; clones share it.
#[derive(Clone)]
pub struct SingleFlight<T> {
    /// Locked while a read is in progress.
    last: Arc<tokio::sync::Mutex<Option<SharedRead<T>>>>,
    /// Reads that began earlier are outdated.
    not_before: Arc<Mutex<Option<Instant>>>,
}

/// A read that has ended.
#[derive(Debug, Clone)]
pub struct SharedRead<T> {
    /// When it began.
    pub began: Instant,
    /// Its result.
    pub value: T,
}

impl<T: Clone> SingleFlight<T> {
    /// The result of a read that began at `since` or later: of the last one, or of `read`.
    ///
    /// # Errors
    /// As `read`, whose errors are not shared.
    pub async fn since<E, F>(&self, since: Instant, read: impl FnOnce() -> F) -> Result<SharedRead<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let not_before = *self.not_before.lock();
        let since = not_before.map_or(since, |at| since.max(at));
        let mut last = self.last.lock().await;
        if let Some(known) = last.as_ref().filter(|known| known.began >= since) {
            return Ok(known.clone());
        }
        let began = Instant::now();
        let value = read().await?;
        Ok(last.insert(SharedRead { began, value }).clone())
    }

    /// Invalidates earlier reads, since their subject has changed.
    pub fn invalidate(&self) {
        *self.not_before.lock() = Some(Instant::now());
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            last: Arc::default(),
            not_before: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::future::join_all;

    use super::*;

    /// Reads that take a second each, counted.
    #[derive(Default)]
    struct Project {
        flight: SingleFlight<usize>,
        made: AtomicUsize,
    }

    impl Project {
        async fn read(&self, since: Instant) -> SharedRead<usize> {
            let read = async || {
                let made = self.made.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, Infallible>(made + 1)
            };
            let Ok(flight) = self.flight.since(since, read).await;
            flight
        }

        fn made(&self) -> usize {
            self.made.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_arrive_during_a_read_share_the_next_one() {
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
    async fn an_earlier_read_is_reused_if_it_is_recent_enough() {
        let project = Project::default();
        let asked = Instant::now();
        project.read(asked).await;
        assert_eq!(project.read(asked).await.value, 1);
        assert_eq!(project.read(Instant::now()).await.value, 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        project.flight.invalidate();
        assert_eq!(project.read(asked).await.value, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_read_does_not_block_other_callers() {
        let project = Project::default();
        let brief = Duration::from_millis(10);
        let asked = Instant::now();
        let given_up = tokio::time::timeout(brief, project.read(asked)).await;
        assert!(given_up.is_err());
        project.read(asked).await;
        assert_eq!(project.made(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_failed_is_made_again() {
        let flight = SingleFlight::default();
        let asked = Instant::now();
        assert!(flight.since(asked, async || Err::<(), _>(())).await.is_err());
        assert!(flight.since(asked, async || Ok::<_, ()>(())).await.is_ok());
    }
}
