//! The circuit breaker for submissions with one set of credentials to one endpoint. Each lost response leaves the outcome
//! of a request unknown for some twenty minutes, so after several in a row no new submission is made until a read has
//! succeeded, and then one at a time. It never suppresses reads.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timing;
use crate::crd::deletion::ErrorClass;
use crate::plan::deadlines;
use crate::plan::error_policy::classify;
use crate::plan::observed::Circuit;
use crate::workspace::error::{Error, Operation};

/// Consecutive lost responses that open the circuit.
const MAX_LOST_RESPONSES: u32 = 3;

/// How long after its pause a breaker is removed that no call has tried to close: its credentials may be gone.
const RETENTION: Duration = Duration::from_secs(3600);

/// The last submissions with one set of credentials to one endpoint.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Consecutive lost responses; at least one.
    pub(super) lost_responses: u32,
    /// When the pause after the last of them is over.
    retry_at: Instant,
    /// A read that began after the pause has succeeded: the circuit is half-open.
    half_open: bool,
    /// The permit of the half-open circuit, while it is in use.
    permit: Weak<()>,
}

/// Allows the one submission that a half-open circuit admits. Dropping it releases it.
#[derive(Debug)]
pub struct HalfOpenPermit(Arc<()>);

impl Breaker {
    /// The breaker after the result of a call that began at `began`; `None` if submissions get responses.
    pub(super) fn after<T>(
        before: Option<Self>,
        operation: Operation,
        began: Instant,
        result: &Result<T, Error>,
        timing: &Timing,
    ) -> Option<Self> {
        let submits = operation == Operation::BatchDelete;
        match result {
            Err(error) if submits && error.operation == operation => match classify(error) {
                ErrorClass::InDoubt => {
                    Some(Self::lost(before.map_or(0, |known| known.lost_responses), timing))
                }
                // The call was not sent.
                _ if error.was_not_sent() => before,
                _ => None,
            },
            Ok(_) if submits => None,
            Ok(_) => before.map(|known| Self {
                half_open: known.half_open || began >= known.retry_at,
                ..known
            }),
            Err(_) => before,
        }
    }

    /// One more response was lost.
    fn lost(before: u32, timing: &Timing) -> Self {
        let lost = before.saturating_add(1);
        Self {
            lost_responses: lost,
            retry_at: Instant::now() + deadlines::exponential(lost, timing),
            half_open: false,
            permit: Weak::new(),
        }
    }

    /// Submissions are suppressed, or admitted one at a time.
    pub(super) fn is_open(&self) -> bool {
        self.lost_responses >= MAX_LOST_RESPONSES
    }

    /// Its state for a submission with that permit, or none.
    pub(super) fn state(&self, permit: Option<&HalfOpenPermit>) -> Circuit {
        if !self.is_open() {
            Circuit::Closed
        } else if Instant::now() < self.retry_at {
            Circuit::Open
        } else if !self.half_open {
            Circuit::NeedsRead
        } else if self.permit.strong_count() == 0 || permit.is_some_and(|permit| self.issued(permit)) {
            Circuit::Closed
        } else {
            Circuit::Open
        }
    }

    /// The permit for a submission that may be made: the one that it has already, if that is of this half-open circuit;
    /// none while the circuit is closed.
    pub(super) fn permit(&mut self, permit: Option<HalfOpenPermit>) -> Option<HalfOpenPermit> {
        if !self.is_open() {
            return None;
        }
        let permit = permit
            .filter(|permit| self.issued(permit))
            .unwrap_or_else(|| HalfOpenPermit(Arc::new(())));
        self.permit = Arc::downgrade(&permit.0);
        Some(permit)
    }

    fn issued(&self, permit: &HalfOpenPermit) -> bool {
        self.permit.ptr_eq(&Arc::downgrade(&permit.0))
    }

    /// The last lost response is too old to be relevant.
    pub(super) fn is_expired(&self) -> bool {
        Instant::now() >= self.retry_at + RETENTION
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::error::{ErrorResponse, Failure};

    /// The result of a call.
    #[derive(Debug, Clone, Copy)]
    enum CallResult {
        Answered,
        Lost,
        NotSent,
        Refused(u16),
    }

    use CallResult::{Answered, Lost, NotSent, Refused};

    /// A breaker, and the default pauses.
    struct TestBreaker {
        breaker: Option<Breaker>,
        timing: Timing,
    }

    impl TestBreaker {
        /// After these submissions.
        fn after(submissions: &[CallResult]) -> Self {
            let timing = crate::cli::tests::config(&[]).timing;
            let mut tried = Self {
                breaker: None,
                timing,
            };
            for result in submissions {
                tried.note(Operation::BatchDelete, Instant::now(), *result);
            }
            tried
        }

        fn note(&mut self, operation: Operation, began: Instant, result: CallResult) {
            let reason = || "reason".to_owned();
            let failure = match result {
                Answered => None,
                Lost => Some(Failure::NoResponse { reason: reason() }),
                NotSent => Some(Failure::NotSent { reason: reason() }),
                Refused(status) => Some(Failure::ErrorResponse(Box::new(ErrorResponse {
                    status,
                    json: true,
                    ..ErrorResponse::default()
                }))),
            };
            let outcome = failure.map_or(Ok(()), |failure| {
                Err(Error {
                    operation,
                    failure,
                    service_time: None,
                })
            });
            self.breaker = Breaker::after(self.breaker.take(), operation, began, &outcome, &self.timing);
        }

        fn submits(&mut self, result: CallResult) {
            self.note(Operation::BatchDelete, Instant::now(), result);
        }

        fn reads(&mut self, result: CallResult) {
            self.note(Operation::ListDesktops, Instant::now(), result);
        }

        fn state(&self) -> Circuit {
            let breaker = self.breaker.as_ref();
            breaker.map_or(Circuit::Closed, |breaker| breaker.state(None))
        }

        fn permit(&mut self) -> HalfOpenPermit {
            assert_eq!(self.state(), Circuit::Closed);
            self.breaker.as_mut().unwrap().permit(None).unwrap()
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// After its pause and a read that succeeded.
    async fn half_open() -> TestBreaker {
        let mut tried = TestBreaker::after(&[Lost, Lost, Lost]);
        pass(20).await;
        tried.reads(Answered);
        tried
    }

    #[tokio::test(start_paused = true)]
    async fn three_lost_responses_in_a_row_open_it() {
        let (closed, open) = (Circuit::Closed, Circuit::Open);
        for (submissions, state) in [
            (&[Lost, Lost][..], closed),
            (&[Lost, Lost, Lost], open),
            (&[Lost, Refused(500), Refused(504)], open),
            (&[Lost, Lost, Answered, Lost], closed),
            (&[Lost, Lost, Refused(403), Lost], closed),
            (&[Lost, Lost, NotSent], closed),
            (&[Lost, NotSent, Lost, NotSent, Lost], open),
        ] {
            assert_eq!(TestBreaker::after(submissions).state(), state, "{submissions:?}");
        }
        let mut reading = TestBreaker::after(&[]);
        for _ in 0..5 {
            reading.reads(Lost);
        }
        assert_eq!(reading.state(), Circuit::Closed, "reads may be repeated");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_begins_after_the_pause_and_succeeds_half_opens_it() {
        let mut tried = TestBreaker::after(&[Lost, Lost, Lost]);
        pass(19).await;
        let before = Instant::now();
        tried.reads(Answered);
        assert_eq!(tried.state(), Circuit::Open);
        pass(1).await;
        tried.note(Operation::ListDesktops, before, Answered);
        assert_eq!(tried.state(), Circuit::NeedsRead, "it began before");
        tried.reads(Lost);
        tried.reads(Refused(403));
        assert_eq!(tried.state(), Circuit::NeedsRead);
        tried.reads(Answered);
        assert_eq!(tried.state(), Circuit::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_breaker_admits_one_submission() {
        let mut tried = half_open().await;
        let permit = tried.permit();
        assert_eq!(tried.state(), Circuit::Open, "another one");
        let breaker = tried.breaker.as_mut().unwrap();
        assert_eq!(breaker.state(Some(&permit)), Circuit::Closed, "the holder");
        let permit = breaker.permit(Some(permit)).unwrap();
        assert_eq!(tried.state(), Circuit::Open, "the same permit");
        tried.submits(NotSent);
        assert_eq!(tried.state(), Circuit::Open, "nothing is known yet");
        drop(permit);
        assert_eq!(tried.state(), Circuit::Closed, "the permit was released");
    }

    #[tokio::test(start_paused = true)]
    async fn any_response_closes_it() {
        for answer in [Answered, Refused(400), Refused(401), Refused(403), Refused(429)] {
            let mut tried = half_open().await;
            let _permit = tried.permit();
            tried.submits(answer);
            assert_eq!(tried.state(), Circuit::Closed, "{answer:?}");
            tried.submits(Lost);
            assert_eq!(tried.state(), Circuit::Closed, "counted from the beginning");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_lost_response_opens_it_for_longer() {
        let mut tried = half_open().await;
        for pause in [40, 80, 160, 300, 300] {
            let old = tried.permit();
            tried.submits(Lost);
            pass(pause - 1).await;
            assert_eq!(tried.state(), Circuit::Open, "{pause}");
            pass(1).await;
            assert_eq!(tried.state(), Circuit::NeedsRead, "{pause}");
            tried.reads(Answered);
            let _permit = tried.permit();
            drop(old);
            assert_eq!(tried.state(), Circuit::Open, "an old permit releases nothing");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_forgotten_long_after_its_last_use() {
        let tried = TestBreaker::after(&[Lost, Lost, Lost]);
        pass(3619).await;
        assert!(!tried.breaker.as_ref().unwrap().is_expired());
        pass(1).await;
        assert!(tried.breaker.as_ref().unwrap().is_expired());
    }
}
