//! Holds calls back that would do harm: more failed logins lock an access key (after five in a row), and more calls
//! after a 429 prolong it. Shared by all requests, across namespaces.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::plan::classify::{Class, classify};
use crate::workspace::error::{Error, Failure, Operation, Pause};

/// Failed logins in a row after which a login is held back. The vendor locks a key after more than five; other
/// programs may use it too.
const FAILED_LOGINS: u32 = 2;

/// Calls of one login at one time: so many may fail before the first failure is known.
const AT_ONCE: usize = 2;

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
    /// Until when a project is to be left alone by a login.
    projects: HashMap<String, Instant>,
    /// Who may call, by fingerprint.
    gates: HashMap<String, Arc<Semaphore>>,
}

/// The right to make one call.
#[derive(Debug)]
pub struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
    /// It had to be waited for, so what was known before may be old.
    pub waited: bool,
}

impl Brakes {
    /// Waits until the login may make one more call, and keeps its place until the permit is dropped.
    pub async fn enter(&self, login: &str) -> Permit {
        let gate = {
            let mut state = self.lock();
            state
                .gates
                .retain(|other, gate| other == login || Arc::strong_count(gate) > 1);
            let gate = state.gates.entry(login.to_owned());
            gate.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        if let Ok(permit) = gate.clone().try_acquire_owned() {
            return Permit {
                _permit: Some(permit),
                waited: false,
            };
        }
        // The gate is never closed.
        Permit {
            _permit: gate.acquire_owned().await.ok(),
            waited: true,
        }
    }

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
        let failed = state.logins.get(login).map_or(0, |(failed, _)| *failed);
        if failed > 0 && operation == Operation::BatchDelete {
            let reason = "the cloud has just refused this login, so no batch is submitted with it before a read has proven it anew";
            return withheld(Pause::Login, reason);
        }
        if failed >= FAILED_LOGINS {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::error::Refusal;

    fn ended(failure: Failure) -> Result<(), Error> {
        Err(Error {
            operation: Operation::ListDesktops,
            failure,
            service_time: None,
        })
    }

    fn refused() -> Result<(), Error> {
        ended(Failure::Refused(Box::new(Refusal {
            status: 401,
            ..Refusal::default()
        })))
    }

    fn may(brakes: &Brakes, operation: Operation) -> bool {
        brakes.check(operation, "login", "project").is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn after_one_refusal_a_login_reads_before_it_submits() {
        let brakes = Brakes::default();
        brakes.note("login", "project", &refused());
        assert!(!may(&brakes, Operation::BatchDelete));
        assert!(may(&brakes, Operation::ListDesktops));
        brakes.note("login", "project", &Ok(()));
        assert!(may(&brakes, Operation::BatchDelete));
    }

    #[tokio::test(start_paused = true)]
    async fn after_two_refusals_a_login_rests_longer_than_the_vendors_lock() {
        let brakes = Brakes::default();
        brakes.note("login", "project", &refused());
        brakes.note("login", "project", &refused());
        assert!(!may(&brakes, Operation::ListDesktops));
        assert!(brakes.check(Operation::ListDesktops, "other", "project").is_ok());
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(!may(&brakes, Operation::ListDesktops));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(may(&brakes, Operation::ListDesktops));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_held_back_or_lost_says_nothing_of_the_login() {
        let brakes = Brakes::default();
        brakes.note("login", "project", &refused());
        let withheld = Failure::Withheld {
            pause: Pause::Login,
            reason: "spared".to_owned(),
        };
        let lost = Failure::NoAnswer {
            reason: "reset".to_owned(),
        };
        for failure in [withheld, lost] {
            brakes.note("login", "project", &ended(failure));
            assert!(may(&brakes, Operation::ListDesktops));
            assert!(!may(&brakes, Operation::BatchDelete));
        }
    }
}
