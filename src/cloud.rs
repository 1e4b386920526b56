//! The layer between the controllers and the cloud API, shared by all requests.
//!
//! | file | content |
//! | --- | --- |
//! | [`session`] | a client of one project with one set of credentials: permits, circuit breaker, counters, the service's clock |
//! | [`rate_limiter`] | limits concurrent calls and calls per minute, by priority and fair between namespaces |
//! | [`circuit_breaker`] | suppresses calls that would do harm |
//! | [`batching`] | reads that many requests share |
//! | [`single_flight`] | one read for all callers that ask at the same time |

pub mod batching;
pub mod circuit_breaker;
pub mod rate_limiter;
pub mod session;
pub mod single_flight;
