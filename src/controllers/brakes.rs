//! Holds calls back that would do harm: more failed logins lock an access key (after five in a row), and more calls
//! after a 429 prolong it. Shared by all requests, across namespaces.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::classify::{Class, classify};
use crate::workspace::error::{Error, Failure, Operation, Pause};

/// Failed logins in a row after which a login is held back. The vendor locks a key after more than five; other
/// programs may use it too.
const FAILED_LOGINS: u32 = 2;

/// How long a login is held back: the vendor's lock of five minutes, and a little.
const LOGIN_PAUSE: Duration = Duration::from_secs(360);

/// Pause after a 429 without `Retry-After` (the vendor advises 2 to 5 seconds).
const THROTTLED: Duration = Duration::from_secs(5);

/// Shortest and longest pause that a `Retry-After` can ask for.
pub const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The brakes of all logins and projects; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Brakes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Failed logins in a row and the time of the last, by fingerprint: another Secret is another login.
    logins: HashMap<String, (u32, Instant)>,
    /// Until when a project is to be left alone.
    projects: HashMap<String, Instant>,
}

impl Brakes {
    /// Whether a call may be made now.
    ///
    /// # Errors
    /// [`Failure::Withheld`], which says why not.
    pub fn check(&self, operation: Operation, login: &str, project: &str) -> Result<(), Error> {
        let mut state = self.lock();
        let now = Instant::now();
        forget(&mut state.projects, |until| *until <= now);
        forget(&mut state.logins, |(_, last)| *last + LOGIN_PAUSE <= now);
        let withheld = |pause, reason: &str| {
            let failure = Failure::Withheld {
                pause,
                reason: reason.to_owned(),
            };
            Err(Error {
                operation,
                failure,
                service_time: None,
            })
        };
        if state
            .logins
            .get(login)
            .is_some_and(|(failed, _)| *failed >= FAILED_LOGINS)
        {
            let reason = "the cloud refused this login twice in a row; more would lock it, so calls are held back until the Secret changes, or some minutes";
            return withheld(Pause::Login, reason);
        }
        if state.projects.contains_key(project) {
            return withheld(
                Pause::Throttle,
                "calls of this project are held back since the cloud asked to slow down",
            );
        }
        Ok(())
    }

    /// Takes in how a call ended.
    pub fn note<T>(&self, login: &str, project: &str, result: &Result<T, Error>) {
        let mut state = self.lock();
        let now = Instant::now();
        let class = result.as_ref().err().map(classify);
        match (class, result) {
            // Nobody was asked.
            (_, Err(error)) if matches!(error.failure, Failure::Withheld { .. }) => {}
            (Some(Class::Authentication), _) => {
                let failed = state.logins.get(login).map_or(0, |(failed, _)| *failed);
                state
                    .logins
                    .insert(login.to_owned(), (failed.saturating_add(1), now));
            }
            (Some(Class::Throttled), Err(error)) => {
                let asked = error.refusal().and_then(|r| r.retry_after).unwrap_or(THROTTLED);
                state.projects.insert(
                    project.to_owned(),
                    now + asked.clamp(RETRY_AFTER.0, RETRY_AFTER.1),
                );
            }
            // Without an answer nothing is known of the login.
            (Some(Class::Unreachable | Class::InDoubt), _) => {}
            _ => {
                state.logins.remove(login);
            }
        }
    }

    /// The maps are whole after every step, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget<K: Eq + Hash, V>(map: &mut HashMap<K, V>, over: impl Fn(&V) -> bool) {
    map.retain(|_, value| !over(value));
}
