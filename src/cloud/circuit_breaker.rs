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

/// Rejections in a row after which calls with these credentials are suppressed. The vendor locks an access key after
/// more than five; other programs may use it too.
const MAX_REJECTIONS: u32 = 2;

/// Concurrent calls with one set of credentials: this many may fail before the first failure is known.
const MAX_CALLS: usize = 2;

/// Concurrent calls with credentials that were rejected, until a call succeeds again.
const MAX_PROBES: usize = 1;

/// How long calls are suppressed after these rejections: the vendor's lock of five minutes, and a little.
const REJECTION_PAUSE: Duration = Duration::from_secs(360);

/// Pause after a 429 without `Retry-After` (the vendor advises 2 to 5 seconds).
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

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
    /// Rejections in a row, by fingerprint of the credentials.
    rejections: HashMap<String, Rejections>,
    /// Until when calls for a project are suppressed after a 429.
    throttled: HashMap<SessionKey, Instant>,
    /// Calls per minute.
    rates: HashMap<EndpointCredentials, RateLimiter>,
    /// Concurrent calls, by fingerprint of the credentials.
    concurrency: HashMap<String, RateLimiter>,
    /// The breakers of credentials whose last submissions got no response.
    breakers: HashMap<EndpointCredentials, Breaker>,
}

#[derive(Debug)]
struct Rejections {
    count: u32,
    /// When the last one came.
    last: Instant,
    /// What the service said then.
    response: String,
}

/// A permit for one call; in use until it is dropped.
#[derive(Debug)]
pub struct CallPermit {
    rate: Permit,
    concurrency: Permit,
}

impl CallPermit {
    /// How long the caller waited for it; `None` if it did not.
    pub fn waited(&self) -> Option<Duration> {
        let waited = [self.rate.waited, self.concurrency.waited].into_iter().flatten();
        waited.reduce(|one, other| one + other)
    }
}

/// An endpoint and the fingerprint of credentials.
type EndpointCredentials = (Origin, String);

/// Credentials and project of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The project.
    pub project: ProjectKey,
    /// Fingerprint of the credentials.
    pub credentials: String,
}

impl SessionKey {
    fn endpoint_credentials(&self) -> EndpointCredentials {
        (self.project.origin.clone(), self.credentials.clone())
    }
}

impl CircuitBreaker {
    /// Allows each set of credentials this many calls to one endpoint per minute; no call waits once the operator is
    /// shutting down.
    pub fn new(calls_per_minute: NonZeroU32, timing: Timing, stopping: CancellationToken) -> Self {
        Self {
            timing,
            stopping,
            rate: Rate::per_minute(calls_per_minute.get()),
            state: Arc::default(),
        }
    }

    /// Waits until one more call may be made for a namespace. `None` if the operator shuts down first.
    pub async fn acquire(&self, key: &SessionKey, priority: Priority, namespace: &str) -> Option<CallPermit> {
        let (rate, concurrency) = self.state.lock().limiters(key, self.rate);
        let permit = async {
            CallPermit {
                rate: rate.acquire(priority, namespace).await,
                concurrency: concurrency.acquire(priority, namespace).await,
            }
        };
        self.stopping.run_until_cancelled(permit).await
    }

    /// Whether a call may be made now.
    ///
    /// # Errors
    /// [`Failure::CircuitOpen`], with the reason.
    pub fn check(&self, operation: Operation, key: &SessionKey) -> Result<(), Error> {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.throttled.retain(|_, until| *until > now);
        state
            .rejections
            .retain(|_, rejections| rejections.last + REJECTION_PAUSE > now);
        if let Some(rejections) = state.rejections.get(&key.credentials) {
            let suppressed = |reason: &str| {
                let reason = format!("{reason}. The last response: {}", rejections.response);
                Err(Error::circuit_open(operation, BreakerKind::Credentials, reason))
            };
            if operation == Operation::BatchDelete {
                return suppressed(
                    "the cloud rejected these credentials; no request is submitted with them until a read succeeds",
                );
            }
            if rejections.count >= MAX_REJECTIONS {
                return suppressed(
                    "the cloud rejected these credentials twice in a row; further failures would lock them, so calls are suppressed until the Secret changes or six minutes have passed",
                );
            }
        }
        if state.throttled.contains_key(key) {
            let reason = "calls for this project are paused because the cloud returned HTTP 429";
            return Err(Error::circuit_open(operation, BreakerKind::Throttled, reason));
        }
        Ok(())
    }

    /// The state of the circuit for a submission with that permit, or none. Checked before the intent is stored.
    pub fn circuit(&self, key: &SessionKey, permit: Option<&HalfOpenPermit>) -> Circuit {
        let state = self.state.lock();
        let breaker = state.breakers.get(&key.endpoint_credentials());
        breaker.map_or(Circuit::Closed, |breaker| breaker.state(permit))
    }

    /// Admits a submission if the circuit is closed, or half-open and this is the one that may try.
    ///
    /// # Errors
    /// The state of a circuit that does not admit it.
    pub fn admit(
        &self,
        key: &SessionKey,
        permit: Option<HalfOpenPermit>,
    ) -> Result<Option<HalfOpenPermit>, Circuit> {
        let mut state = self.state.lock();
        let Some(breaker) = state.breakers.get_mut(&key.endpoint_credentials()) else {
            return Ok(None);
        };
        match breaker.state(permit.as_ref()) {
            Circuit::Closed => Ok(breaker.permit(permit)),
            other => Err(other),
        }
    }

    /// Records the result of a call that began at `began`, and returns which breaker has opened. Must be called before the
    /// permit of the call is released: the result may suppress the next call.
    pub fn record<T>(
        &self,
        operation: Operation,
        key: &SessionKey,
        began: Instant,
        result: &Result<T, Error>,
    ) -> Option<BreakerKind> {
        let mut state = self.state.lock();
        let opened = state.record_submission(operation, key, began, result, &self.timing);
        let now = Instant::now();
        match (result.as_ref().err().map(classify), result) {
            // The call was not sent.
            (_, Err(error)) if matches!(error.failure, Failure::CircuitOpen { .. }) => None,
            (Some(ErrorClass::Authentication), Err(error)) => {
                let count = state.rejections(&key.credentials).saturating_add(1);
                let rejections = Rejections {
                    count,
                    last: now,
                    response: error.failure.to_string(),
                };
                state.rejections.insert(key.credentials.clone(), rejections);
                state.limit(&key.credentials);
                (count == MAX_REJECTIONS).then_some(BreakerKind::Credentials)
            }
            (Some(ErrorClass::Throttled), Err(error)) => {
                let retry_after = error
                    .error_response()
                    .and_then(|r| r.retry_after)
                    .unwrap_or(DEFAULT_RETRY_AFTER);
                let until = now + retry_after.clamp(RETRY_AFTER.0, RETRY_AFTER.1);
                state.throttled.insert(key.clone(), until);
                Some(BreakerKind::Throttled)
            }
            // Without a response nothing is known about the credentials.
            (Some(ErrorClass::Unreachable | ErrorClass::InDoubt), _) => opened,
            // A call that began before the last rejection says nothing about the time after it.
            _ => {
                if state
                    .rejections
                    .get(&key.credentials)
                    .is_some_and(|rejections| rejections.last <= began)
                {
                    state.rejections.remove(&key.credentials);
                    state.limit(&key.credentials);
                }
                None
            }
        }
    }

    /// How many breakers of each kind are open now.
    pub fn open_breakers(&self) -> Vec<(BreakerKind, usize)> {
        let state = self.state.lock();
        let now = Instant::now();
        let credentials = state.rejections.values();
        let credentials = credentials.filter(|rejections| {
            rejections.count >= MAX_REJECTIONS && rejections.last + REJECTION_PAUSE > now
        });
        let throttled = state.throttled.values().filter(|until| **until > now);
        let breakers = state.breakers.values();
        let open = breakers.filter(|breaker| breaker.is_open() && !breaker.is_expired());
        vec![
            (BreakerKind::Credentials, credentials.count()),
            (BreakerKind::Throttled, throttled.count()),
            (BreakerKind::Unanswered, open.count()),
        ]
    }
}

impl State {
    /// How many calls with these credentials were rejected in a row.
    fn rejections(&self, credentials: &str) -> u32 {
        self.rejections
            .get(credentials)
            .map_or(0, |rejections| rejections.count)
    }

    /// Records the result in the breaker for unanswered submissions; returns whether it has opened.
    fn record_submission<T>(
        &mut self,
        operation: Operation,
        key: &SessionKey,
        began: Instant,
        result: &Result<T, Error>,
        timing: &Timing,
    ) -> Option<BreakerKind> {
        self.breakers.retain(|_, breaker| !breaker.is_expired());
        let key = key.endpoint_credentials();
        let before = self.breakers.remove(&key);
        let lost = before.as_ref().map_or(0, |breaker| breaker.lost_responses);
        let after = Breaker::after(before, operation, began, result, timing)?;
        let opened = after.is_open() && after.lost_responses > lost;
        self.breakers.insert(key, after);
        opened.then_some(BreakerKind::Unanswered)
    }

    /// Concurrent calls that are allowed with these credentials.
    fn max_calls(&self, credentials: &str) -> usize {
        if self.rejections(credentials) > 0 {
            MAX_PROBES
        } else {
            MAX_CALLS
        }
    }

    /// Adjusts the limit of credentials to their failures.
    fn limit(&self, credentials: &str) {
        if let Some(limiter) = self.concurrency.get(credentials) {
            limiter.set_max_concurrent(self.max_calls(credentials));
        }
    }

    /// The limiters of calls per minute and of concurrent calls. The vendor counts failed calls of an access key at all
    /// endpoints together.
    fn limiters(&mut self, key: &SessionKey, rate: Rate) -> (RateLimiter, RateLimiter) {
        self.rates.retain(|_, limiter| !limiter.is_idle());
        self.concurrency.retain(|_, limiter| !limiter.is_idle());
        let max_calls = self.max_calls(&key.credentials);
        let rates = self.rates.entry(key.endpoint_credentials());
        let rates = rates.or_insert_with(|| RateLimiter::new(MAX_CALLS, Some(rate)));
        let concurrency = self.concurrency.entry(key.credentials.clone());
        let concurrency = concurrency.or_insert_with(|| RateLimiter::new(max_calls, None));
        // A rejection may have expired since.
        concurrency.set_max_concurrent(max_calls);
        (rates.clone(), concurrency.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::workspace::error::{ErrorResponse, Failure};

    fn ended(failure: Failure) -> Result<(), Error> {
        Err(Error {
            operation: Operation::ListDesktops,
            failure,
            service_time: None,
        })
    }

    fn refused() -> Result<(), Error> {
        ended(Failure::ErrorResponse(Box::new(ErrorResponse {
            status: 401,
            ..ErrorResponse::default()
        })))
    }

    fn key(credentials: &str) -> SessionKey {
        SessionKey {
            project: ProjectKey::of("https://workspace.example", &"project".try_into().unwrap()),
            credentials: credentials.to_owned(),
        }
    }

    fn circuit_breaker() -> CircuitBreaker {
        let timing = crate::cli::tests::config(&[]).timing;
        CircuitBreaker::new(NonZeroU32::MAX, timing, CancellationToken::new())
    }

    /// A call that begins and ends now.
    fn record(circuit_breaker: &CircuitBreaker, result: &Result<(), Error>) {
        circuit_breaker.record(
            Operation::ListDesktops,
            &key("credentials"),
            Instant::now(),
            result,
        );
    }

    fn allows(circuit_breaker: &CircuitBreaker, operation: Operation) -> bool {
        circuit_breaker.check(operation, &key("credentials")).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn rejected_credentials_must_succeed_in_a_read_before_a_submission() {
        let circuit_breaker = circuit_breaker();
        record(&circuit_breaker, &refused());
        assert!(!allows(&circuit_breaker, Operation::BatchDelete));
        assert!(allows(&circuit_breaker, Operation::ListDesktops));
        record(&circuit_breaker, &Ok(()));
        assert!(allows(&circuit_breaker, Operation::BatchDelete));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_began_before_the_rejection_does_not_close_the_breaker() {
        let circuit_breaker = circuit_breaker();
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        record(&circuit_breaker, &refused());
        circuit_breaker.record(Operation::ListDesktops, &key("credentials"), before, &Ok(()));
        assert!(!allows(&circuit_breaker, Operation::BatchDelete));
        record(&circuit_breaker, &refused());
        assert!(
            !allows(&circuit_breaker, Operation::ListDesktops),
            "it is the second in a row"
        );
    }

    fn acquire(
        circuit_breaker: &CircuitBreaker,
        key: SessionKey,
    ) -> impl Future<Output = Option<CallPermit>> + use<> {
        let circuit_breaker = circuit_breaker.clone();
        async move { circuit_breaker.acquire(&key, Priority::Poll, "tenant").await }
    }

    #[tokio::test(start_paused = true)]
    async fn rejected_credentials_are_tried_by_one_call_at_a_time() {
        let circuit_breaker = circuit_breaker();
        let acquire = || acquire(&circuit_breaker, key("credentials"));
        let (first, second) = (acquire().await, acquire().await);
        record(&circuit_breaker, &refused());
        drop(first);
        assert_eq!(
            acquire().now_or_never().map(drop),
            None,
            "one is still on its way"
        );
        drop(second);
        let probe = acquire().await;
        assert_eq!(acquire().now_or_never().map(drop), None);
        record(&circuit_breaker, &Ok(()));
        let other = acquire().await;
        drop((probe, other));
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_rejected_credentials_ends_with_their_rejection() {
        let circuit_breaker = circuit_breaker();
        let acquire = || acquire(&circuit_breaker, key("credentials"));
        let _first = acquire().await;
        record(&circuit_breaker, &refused());
        assert_eq!(acquire().now_or_never().map(drop), None);
        tokio::time::advance(Duration::from_secs(361)).await;
        assert!(allows(&circuit_breaker, Operation::BatchDelete));
        assert!(acquire().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_calls_with_the_same_credentials_are_limited_for_all_endpoints_together() {
        let circuit_breaker = circuit_breaker();
        let acquire_at = |endpoint: &str| {
            let mut key = key("credentials");
            key.project.origin = Origin::of(endpoint);
            acquire(&circuit_breaker, key)
        };
        let first = acquire_at("https://workspace.region-1.example.com").await;
        let second = acquire_at("https://workspace.region-2.example.com").await;
        let third = || acquire_at("https://workspace.region-3.example.com").now_or_never();
        assert_eq!(third().map(drop), None);
        drop(first);
        assert!(third().is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn after_two_rejections_calls_are_suppressed_longer_than_the_vendors_lockout() {
        let circuit_breaker = circuit_breaker();
        record(&circuit_breaker, &refused());
        record(&circuit_breaker, &refused());
        for operation in [Operation::ListDesktops, Operation::BatchDelete] {
            let suppressed = circuit_breaker.check(operation, &key("credentials")).unwrap_err();
            let text = suppressed.to_string();
            assert!(
                text.ends_with("The last response: the service returned HTTP 401"),
                "{text}"
            );
        }
        assert!(
            circuit_breaker
                .check(Operation::ListDesktops, &key("other"))
                .is_ok()
        );
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(!allows(&circuit_breaker, Operation::ListDesktops));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(allows(&circuit_breaker, Operation::ListDesktops));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_responses_suppress_submissions_with_the_same_credentials_and_endpoint_but_no_reads() {
        let circuit_breaker = circuit_breaker();
        let lost = || {
            let failure = Failure::NoResponse {
                reason: "reset".to_owned(),
            };
            let operation = Operation::BatchDelete;
            let error = Error {
                operation,
                failure,
                service_time: None,
            };
            circuit_breaker.record(
                operation,
                &key("credentials"),
                Instant::now(),
                &Err::<(), Error>(error),
            )
        };
        let opened = [lost(), lost(), lost()];
        assert_eq!(opened, [None, None, Some(BreakerKind::Unanswered)]);
        assert_eq!(
            circuit_breaker.admit(&key("credentials"), None).err(),
            Some(Circuit::Open)
        );
        assert_eq!(circuit_breaker.circuit(&key("credentials"), None), Circuit::Open);
        assert!(allows(&circuit_breaker, Operation::ListSubJobs));
        assert_eq!(circuit_breaker.circuit(&key("other"), None), Circuit::Closed);
        assert_eq!(circuit_breaker.open_breakers()[2], (BreakerKind::Unanswered, 1));
        tokio::time::advance(Duration::from_secs(20)).await;
        record(&circuit_breaker, &Ok(()));
        let permit = circuit_breaker.admit(&key("credentials"), None).unwrap();
        assert_eq!(
            circuit_breaker.circuit(&key("credentials"), permit.as_ref()),
            Circuit::Closed
        );
        assert_eq!(
            circuit_breaker.admit(&key("credentials"), None).err(),
            Some(Circuit::Open)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_suppressed_or_lost_call_says_nothing_about_the_credentials() {
        let circuit_breaker = circuit_breaker();
        record(&circuit_breaker, &refused());
        let lost = Failure::NoResponse {
            reason: "reset".to_owned(),
        };
        let spared = Error::circuit_open(Operation::ListDesktops, BreakerKind::Credentials, "spared");
        for result in [Err(spared), ended(lost)] {
            record(&circuit_breaker, &result);
            assert!(allows(&circuit_breaker, Operation::ListDesktops));
            assert!(!allows(&circuit_breaker, Operation::BatchDelete));
        }
    }
}
