//! Reads that callers share. A caller that arrives while a read is in progress waits for it, and if that read began too
//! early for the caller, shares the next one with all others that arrived in the meantime: every result is from a read
//! that began no earlier than the caller allows.

use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The last read of one thing; clones share it.
#[derive(Clone)]
pub struct SingleFlight<T, E = Infallible> {
    /// Locked while a read is in progress.
    last: Arc<tokio::sync::Mutex<LastReads<T, E>>>,
    /// Reads that began earlier are outdated.
    not_before: Arc<Mutex<Option<Instant>>>,
}

struct LastReads<T, E> {
    success: Option<SharedRead<T>>,
    failure: Option<FailedRead<E>>,
}

struct FailedRead<E> {
    began: Instant,
    ended: Instant,
    error: E,
}

/// A read that has succeeded.
#[derive(Debug, Clone)]
pub struct SharedRead<T> {
    /// When it began.
    pub began: Instant,
    /// Its result.
    pub value: T,
}

impl<T: Clone, E: Clone> SingleFlight<T, E> {
    /// The result of a read that began at `since` or later: of the last one, or of `read`.
    ///
    /// # Errors
    /// As `read`. An error is shared with those who waited for that read, or they would time out one after the other, and
    /// not with later callers.
    pub async fn since<F>(&self, since: Instant, read: impl FnOnce() -> F) -> Result<SharedRead<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let arrived = Instant::now();
        let not_before = *self.not_before.lock();
        let since = not_before.map_or(since, |at| since.max(at));
        let mut last = self.last.lock().await;
        if let Some(known) = last.success.as_ref().filter(|known| known.began >= since) {
            return Ok(known.clone());
        }
        let waited_for = |failed: &&FailedRead<E>| failed.began >= since && arrived <= failed.ended;
        if let Some(failed) = last.failure.as_ref().filter(waited_for) {
            return Err(failed.error.clone());
        }
        let began = Instant::now();
        match read().await {
            Ok(value) => Ok(last.success.insert(SharedRead { began, value }).clone()),
            Err(error) => {
                let ended = Instant::now();
                last.failure = Some(FailedRead {
                    began,
                    ended,
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    /// Invalidates earlier reads, since their subject has changed.
    pub fn invalidate(&self) {
        *self.not_before.lock() = Some(Instant::now());
    }
}

impl<T, E> Default for LastReads<T, E> {
    fn default() -> Self {
        Self {
            success: None,
            failure: None,
        }
    }
}

impl<T, E> Default for SingleFlight<T, E> {
    fn default() -> Self {
        Self {
            last: Arc::default(),
            not_before: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
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
    async fn a_failure_is_shared_with_those_who_waited_for_it() {
        let flight = SingleFlight::<(), usize>::default();
        let made = AtomicUsize::new(0);
        let asked = Instant::now();
        let read = async || {
            let failures = made.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err::<(), _>(failures + 1)
        };
        let read = || flight.since(asked, &read);
        let failures: Vec<_> = join_all((0..20).map(|_| read())).await;
        assert!(failures.iter().all(|read| *read.as_ref().unwrap_err() == 1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(
            read().await.unwrap_err(),
            2,
            "it is made again for a later caller"
        );

        let succeeded = flight.since(Instant::now(), async || Ok(())).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(
            flight.since(Instant::now(), async || Err(7)).await.unwrap_err(),
            7
        );
        let earlier = flight.since(asked, async || Err(8)).await.unwrap();
        assert_eq!(
            earlier.began, succeeded.began,
            "a failure leaves the last success"
        );
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
}
