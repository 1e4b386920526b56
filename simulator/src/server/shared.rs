//! The core behind a lock, the clock that it is driven by, and the file of its ledger.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::Error;
use crate::cloud::{Cloud, Delivery, Request};

/// The core as all connections share it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Changes when all delays so far are to end.
    delays: watch::Sender<()>,
}

/// The delays of the faults, as one request sees them.
#[derive(Clone)]
pub(super) struct Delays(watch::Receiver<()>);

impl Delays {
    /// Waits for this time, or until the delays are ended.
    pub(super) async fn wait(mut self, delay: Duration) {
        // Either way the wait is over.
        let _ = tokio::time::timeout(delay, self.0.changed()).await;
    }
}

#[derive(Debug)]
struct State {
    cloud: Cloud,
    file: Option<(PathBuf, File)>,
    written: usize,
}

impl Shared {
    /// # Errors
    /// When the ledger's file cannot be opened.
    pub(super) fn new(cloud: Cloud, ledger: Option<PathBuf>) -> Result<Self, Error> {
        let file = match ledger {
            None => None,
            Some(path) => match OpenOptions::new().create(true).append(true).open(&path) {
                Ok(file) => Some((path, file)),
                Err(source) => return Err(Error::Write { path, source }),
            },
        };
        Ok(Self {
            state: Mutex::new(State {
                cloud,
                file,
                written: 0,
            }),
            delays: watch::Sender::new(()),
        })
    }

    /// Does something with the core at the present time.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Cloud, Timestamp) -> T) -> T {
        act(&mut self.lock().cloud, now())
    }

    /// The delays from now on. Taken before the request is decided, since its delay may be ended as soon as it
    /// counts.
    pub(super) fn delays(&self) -> Delays {
        Delays(self.delays.subscribe())
    }

    /// Ends all delays so far.
    pub(super) fn end_delays(&self) {
        self.delays.send_replace(());
    }

    /// Lets the core decide a request that came in; the ledger is on file before this returns.
    pub(super) fn handle(&self, request: &Request) -> Delivery {
        self.decide(|cloud, now| cloud.handle(now, request))
    }

    /// Lets the core decide a request that was held.
    pub(super) fn resume(&self, request: &Request) -> Delivery {
        self.decide(|cloud, now| cloud.resume(now, request))
    }

    fn decide(&self, act: impl FnOnce(&mut Cloud, Timestamp) -> Delivery) -> Delivery {
        let mut state = self.lock();
        let answer = act(&mut state.cloud, now());
        state.write_ledger();
        answer
    }

    /// The core stays consistent after a panic in another connection: every change to it is atomic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Appends the new entries to the file; a failure to write the file is reported once, and the file is not written
    /// again.
    fn write_ledger(&mut self) {
        let Self { cloud, file, written } = self;
        let Some((path, open)) = file else { return };
        for entry in &cloud.ledger()[*written..] {
            let line = serde_json::to_string(entry).map_err(std::io::Error::other);
            if let Err(error) = line.and_then(|line| open.write_all(format!("{line}\n").as_bytes())) {
                eprintln!(
                    "failed to write the ledger {}: {error}; it ends here",
                    path.display()
                );
                *file = None;
                return;
            }
            *written += 1;
        }
    }
}

/// The present time: the only place where the simulator reads a clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell drives the core by the clock of the machine"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
