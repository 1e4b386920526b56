//! Suppresses calls that would do harm: more failed logins lock an access key (after five in a row), more calls after a
//! 429 prolong it, more calls than the vendor allows in a minute cause it, and more submissions after several lost
//! responses leave more requests with an unknown outcome. Shared by all requests, across namespaces.
//!
//! | file | content |
//! | --- | --- |
//! | `circuit` | the circuit breaker for submissions |

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod circuit;

pub use circuit::HalfOpenPermit;

use circuit::Breaker;

use super::rate_limiter::{Permit, Priority, Rate, RateLimiter};
use crate::config::Timing;
use crate::crd::deletion::ErrorClass;
use crate::ids::{Origin, ProjectKey};
use crate::plan::deadlines::RETRY_AFTER;
use crate::plan::error_policy::classify;
use crate::plan::observed::Circuit;
use crate::workspace::error::{BreakerKind, Error, Failure, Operation};

/// Failed logins in a row after which a login is held back. The vendor locks a key after more than five; other
/// programs may use it too.
const FAILED_LOGINS: u32 = 2;

/// Calls of one login at one time: so many may fail before the first failure is known.
const AT_ONCE: usize = 2;

/// Concurrent calls with credentials that were rejected, until a call succeeds again.
const PROBES: usize = 1;

/// How long a login is held back: the vendor's lock of five minutes, and a little.
const LOGIN_PAUSE: Duration = Duration::from_secs(360);

/// Pause after a 429 without `Retry-After` (the vendor advises 2 to 5 seconds).
const THROTTLED: Duration = Duration::from_secs(5);

/// The circuit breakers of all credentials and projects; clones share them.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    rate: Rate,
    timing: Timing,
    stopping: CancellationToken,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Failed logins in a row and the time of the last, by fingerprint: another Secret is another login.
    logins: HashMap<String, (u32, Instant)>,
    /// Until when a project is to be left alone by a login.
    projects: HashMap<SessionKey, Instant>,
    /// Who may call.
    limiters: HashMap<EndpointCredentials, RateLimiter>,
    /// Whose submissions were last not answered.
    breakers: HashMap<EndpointCredentials, Breaker>,
}

/// An endpoint and the fingerprint of a login.
type EndpointCredentials = (Origin, String);

/// Credentials and project of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The project.
    pub project: ProjectKey,
    /// Fingerprint of the login.
    pub login: String,
}

impl SessionKey {
    fn session(&self) -> EndpointCredentials {
        (self.project.origin.clone(), self.login.clone())
    }
}

impl CircuitBreaker {
    /// Allows each set of credentials so many calls of one endpoint per minute; no call waits once the operator stops.
    pub fn new(calls_per_minute: NonZeroU32, timing: Timing, stopping: CancellationToken) -> Self {
        Self {
            timing,
            stopping,
            rate: Rate::per_minute(calls_per_minute.get()),
            state: Arc::default(),
        }
    }

    /// Waits until one more call may be made for a namespace, and keeps its place until the permit is dropped; `None` if
    /// the operator is shutting down first.
    pub async fn acquire(&self, key: &SessionKey, priority: Priority, namespace: &str) -> Option<Permit> {
        let limiter = {
            let mut state = self.state.lock();
            state.limiters.retain(|_, limiter| !limiter.is_idle());
            let at_once = state.at_once(&key.login);
            let limiter = state.limiters.entry(key.session());
            let limiter = limiter.or_insert_with(|| RateLimiter::new(at_once, Some(self.rate)));
            limiter.limit(at_once);
            limiter.clone()
        };
        tokio::select! {
            permit = limiter.acquire(priority, namespace) => Some(permit),
            () = self.stopping.cancelled() => None,
        }
    }

    /// Whether a call may be made now.
    ///
    /// # Errors
    /// [`Failure::CircuitOpen`], which says why not.
    pub fn check(&self, operation: Operation, key: &SessionKey) -> Result<(), Error> {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.projects.retain(|_, until| *until > now);
        state.logins.retain(|_, (_, last)| *last + LOGIN_PAUSE > now);
        let failed = state.failed(&key.login);
        if failed > 0 && operation == Operation::BatchDelete {
            let reason = "the cloud rejected these credentials; no request is submitted with them until a read succeeds";
            return Err(Error::circuit_open(operation, BreakerKind::Credentials, reason));
        }
        if failed >= FAILED_LOGINS {
            let reason = "the cloud rejected these credentials twice in a row; further failures would lock them, so calls are suppressed until the Secret changes or six minutes have passed";
            return Err(Error::circuit_open(operation, BreakerKind::Credentials, reason));
        }
        if state.projects.contains_key(key) {
            let reason = "calls for this project are paused because the cloud returned HTTP 429";
            return Err(Error::circuit_open(operation, BreakerKind::Throttled, reason));
        }
        Ok(())
    }

    /// How the circuit breaker stands for a submission of this caller that has that permit, or none. To be asked before
    /// the intent is stored.
    pub fn circuit(&self, key: &SessionKey, permit: Option<&HalfOpenPermit>) -> Circuit {
        let state = self.state.lock();
        let breaker = state.breakers.get(&key.session());
        breaker.map_or(Circuit::Closed, |breaker| breaker.state(permit))
    }

    /// Lets a submission through if the circuit does: with a permit, if it is half-open.
    ///
    /// # Errors
    /// It does not; how it stands.
    pub fn admit(
        &self,
        key: &SessionKey,
        permit: Option<HalfOpenPermit>,
    ) -> Result<Option<HalfOpenPermit>, Circuit> {
        let mut state = self.state.lock();
        let Some(breaker) = state.breakers.get_mut(&key.session()) else {
            return Ok(None);
        };
        match breaker.state(permit.as_ref()) {
            Circuit::Closed => Ok(breaker.permit(permit)),
            other => Err(other),
        }
    }

    /// Records the result of a call that began at `began`, and returns which breaker has opened. To be called before its
    /// permit is over: the next one may have to wait for what this one says.
    pub fn note<T>(
        &self,
        operation: Operation,
        key: &SessionKey,
        began: Instant,
        result: &Result<T, Error>,
    ) -> Option<BreakerKind> {
        let mut state = self.state.lock();
        let opened = state.note_answer(operation, key, began, result, &self.timing);
        let now = Instant::now();
        match (result.as_ref().err().map(classify), result) {
            // The call was not sent.
            (_, Err(error)) if matches!(error.failure, Failure::CircuitOpen { .. }) => None,
            (Some(ErrorClass::Authentication), _) => {
                let failed = state.failed(&key.login).saturating_add(1);
                state.logins.insert(key.login.clone(), (failed, now));
                state.limit(&key.login);
                (failed == FAILED_LOGINS).then_some(BreakerKind::Credentials)
            }
            (Some(ErrorClass::Throttled), Err(error)) => {
                let asked = error.refusal().and_then(|r| r.retry_after).unwrap_or(THROTTLED);
                let until = now + asked.clamp(RETRY_AFTER.0, RETRY_AFTER.1);
                state.projects.insert(key.clone(), until);
                Some(BreakerKind::Throttled)
            }
            // Without an answer nothing is known of the login.
            (Some(ErrorClass::Unreachable | ErrorClass::InDoubt), _) => opened,
            // What set out before the last refusal proves nothing about the time after it.
            _ => {
                if state
                    .logins
                    .get(&key.login)
                    .is_some_and(|(_, last)| *last <= began)
                {
                    state.logins.remove(&key.login);
                    state.limit(&key.login);
                }
                None
            }
        }
    }

    /// How many logins, projects of a login, and logins at an endpoint are held back now.
    pub fn held(&self) -> Vec<(BreakerKind, usize)> {
        let state = self.state.lock();
        let now = Instant::now();
        let logins = state.logins.values();
        let logins = logins.filter(|(failed, last)| *failed >= FAILED_LOGINS && *last + LOGIN_PAUSE > now);
        let projects = state.projects.values().filter(|until| **until > now);
        let breakers = state.breakers.values();
        let open = breakers.filter(|breaker| breaker.is_open() && !breaker.is_forgotten());
        vec![
            (BreakerKind::Credentials, logins.count()),
            (BreakerKind::Throttled, projects.count()),
            (BreakerKind::Unanswered, open.count()),
        ]
    }
}

impl State {
    /// How often the login was refused in a row.
    fn failed(&self, login: &str) -> u32 {
        self.logins.get(login).map_or(0, |(failed, _)| *failed)
    }

    /// Records the result in the circuit breaker; returns whether it has opened.
    fn note_answer<T>(
        &mut self,
        operation: Operation,
        key: &SessionKey,
        began: Instant,
        result: &Result<T, Error>,
        timing: &Timing,
    ) -> Option<BreakerKind> {
        self.breakers.retain(|_, breaker| !breaker.is_forgotten());
        let session = key.session();
        let before = self.breakers.remove(&session);
        let lost = before.as_ref().map_or(0, |breaker| breaker.lost);
        let after = Breaker::after(before, operation, began, result, timing)?;
        let opened = after.is_open() && after.lost > lost;
        self.breakers.insert(session, after);
        opened.then_some(BreakerKind::Unanswered)
    }

    /// Calls that the login may make at one time.
    fn at_once(&self, login: &str) -> usize {
        if self.failed(login) > 0 { PROBES } else { AT_ONCE }
    }

    /// Adjusts the limits of credentials to their failures.
    fn limit(&self, login: &str) {
        let own = self.limiters.iter().filter(|((_, other), _)| other == login);
        own.for_each(|(_, limiter)| limiter.limit(self.at_once(login)));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::workspace::error::{Failure, Refusal};

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

    fn key(login: &str) -> SessionKey {
        SessionKey {
            project: ProjectKey::of("https://workspace.example", &"project".try_into().unwrap()),
            login: login.to_owned(),
        }
    }

    fn circuit_breaker() -> CircuitBreaker {
        let timing = crate::cli::tests::config(&[]).timing;
        CircuitBreaker::new(NonZeroU32::MAX, timing, CancellationToken::new())
    }

    /// A call that begins and ends now.
    fn note(circuit_breaker: &CircuitBreaker, result: &Result<(), Error>) {
        circuit_breaker.note(Operation::ListDesktops, &key("login"), Instant::now(), result);
    }

    fn may(circuit_breaker: &CircuitBreaker, operation: Operation) -> bool {
        circuit_breaker.check(operation, &key("login")).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn after_one_refusal_a_login_reads_before_it_submits() {
        let circuit_breaker = circuit_breaker();
        note(&circuit_breaker, &refused());
        assert!(!may(&circuit_breaker, Operation::BatchDelete));
        assert!(may(&circuit_breaker, Operation::ListDesktops));
        note(&circuit_breaker, &Ok(()));
        assert!(may(&circuit_breaker, Operation::BatchDelete));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_set_out_before_the_refusal_proves_nothing() {
        let circuit_breaker = circuit_breaker();
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        note(&circuit_breaker, &refused());
        circuit_breaker.note(Operation::ListDesktops, &key("login"), before, &Ok(()));
        assert!(!may(&circuit_breaker, Operation::BatchDelete));
        note(&circuit_breaker, &refused());
        assert!(
            !may(&circuit_breaker, Operation::ListDesktops),
            "it is the second in a row"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_proven_by_one_call_at_a_time() {
        let circuit_breaker = circuit_breaker();
        let acquire = || {
            let key = key("login");
            let circuit_breaker = circuit_breaker.clone();
            async move { circuit_breaker.acquire(&key, Priority::Poll, "tenant").await }
        };
        let (first, second) = (acquire().await, acquire().await);
        note(&circuit_breaker, &refused());
        drop(first);
        assert_eq!(
            acquire().now_or_never().map(drop),
            None,
            "one is still on its way"
        );
        drop(second);
        let probe = acquire().await;
        assert_eq!(acquire().now_or_never().map(drop), None);
        note(&circuit_breaker, &Ok(()));
        let other = acquire().await;
        drop((probe, other));
    }

    #[tokio::test(start_paused = true)]
    async fn after_two_refusals_a_login_rests_longer_than_the_vendors_lock() {
        let circuit_breaker = circuit_breaker();
        note(&circuit_breaker, &refused());
        note(&circuit_breaker, &refused());
        assert!(!may(&circuit_breaker, Operation::ListDesktops));
        assert!(
            circuit_breaker
                .check(Operation::ListDesktops, &key("other"))
                .is_ok()
        );
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(!may(&circuit_breaker, Operation::ListDesktops));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(may(&circuit_breaker, Operation::ListDesktops));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_answers_hold_the_submissions_of_their_login_at_their_endpoint_and_no_reads() {
        let circuit_breaker = circuit_breaker();
        let lost = || {
            let failure = Failure::NoAnswer {
                reason: "reset".to_owned(),
            };
            let operation = Operation::BatchDelete;
            let error = Error {
                operation,
                failure,
                service_time: None,
            };
            circuit_breaker.note(operation, &key("login"), Instant::now(), &Err::<(), Error>(error))
        };
        let opened = [lost(), lost(), lost()];
        assert_eq!(opened, [None, None, Some(BreakerKind::Unanswered)]);
        assert_eq!(
            circuit_breaker.admit(&key("login"), None).err(),
            Some(Circuit::Open)
        );
        assert_eq!(circuit_breaker.circuit(&key("login"), None), Circuit::Open);
        assert!(may(&circuit_breaker, Operation::ListSubJobs));
        assert_eq!(circuit_breaker.circuit(&key("other"), None), Circuit::Closed);
        assert_eq!(circuit_breaker.held()[2], (BreakerKind::Unanswered, 1));
        tokio::time::advance(Duration::from_secs(20)).await;
        note(&circuit_breaker, &Ok(()));
        let permit = circuit_breaker.admit(&key("login"), None).unwrap();
        assert_eq!(
            circuit_breaker.circuit(&key("login"), permit.as_ref()),
            Circuit::Closed
        );
        assert_eq!(
            circuit_breaker.admit(&key("login"), None).err(),
            Some(Circuit::Open)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_held_back_or_lost_says_nothing_of_the_login() {
        let circuit_breaker = circuit_breaker();
        note(&circuit_breaker, &refused());
        let lost = Failure::NoAnswer {
            reason: "reset".to_owned(),
        };
        let spared = Error::circuit_open(Operation::ListDesktops, BreakerKind::Credentials, "spared");
        for result in [Err(spared), ended(lost)] {
            note(&circuit_breaker, &result);
            assert!(may(&circuit_breaker, Operation::ListDesktops));
            assert!(!may(&circuit_breaker, Operation::BatchDelete));
        }
    }
}
