//! Errors of calls, with everything that the service reported. What to *do* about it is decided elsewhere
//! ([`crate::plan::error_policy`]).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

pub use crate::ids::Operation;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {failure}")]
pub struct Error {
    /// Which call.
    pub operation: Operation,
    /// How it failed.
    pub failure: Failure,
    /// The `Date` header of the response, if it is an error response in the format of the service or its gateway.
    pub service_time: Option<Timestamp>,
}

impl Error {
    /// Without a time of the service.
    pub(super) fn new(operation: Operation, failure: Failure) -> Self {
        Self {
            operation,
            failure,
            service_time: None,
        }
    }

    /// A call that was not even tried.
    pub(super) fn not_sent(operation: Operation, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(operation, Failure::NotSent { reason })
    }

    /// A call that a circuit breaker suppressed.
    pub fn circuit_open(operation: Operation, breaker: BreakerKind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(operation, Failure::CircuitOpen { breaker, reason })
    }

    /// No byte of the request left this process: the name, the connection or the TLS handshake failed, or the
    /// request could not be built; or the call was suppressed.
    pub fn was_not_sent(&self) -> bool {
        matches!(
            self.failure,
            Failure::NotSent { .. } | Failure::CircuitOpen { .. }
        )
    }

    /// The error response of the service, if there is one.
    pub fn error_response(&self) -> Option<&ErrorResponse> {
        match &self.failure {
            Failure::ErrorResponse(response) => Some(response),
            _ => None,
        }
    }

    /// Whether the error response has one of these statuses.
    pub(super) fn has_status(&self, statuses: &[u16]) -> bool {
        self.error_response()
            .is_some_and(|response| statuses.contains(&response.status))
    }
}

/// The innermost source of an error: the messages of the libraries around it are of no use to users.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

/// How a call failed. Texts are cut to their documented lengths, free of control characters and of secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No byte of the request was sent.
    #[error("the request was not sent: {reason}")]
    NotSent {
        /// Why.
        reason: String,
    },
    /// The call was not made, since it would have done harm.
    #[error("the call was not made: {reason}")]
    CircuitOpen {
        /// Which circuit breaker is open.
        breaker: BreakerKind,
        /// Why.
        reason: String,
    },
    /// The request was sent, or may have been, and no complete response was received: timeout, reset, truncated
    /// response.
    #[error("the request may have been sent, and no complete response was received: {reason}")]
    NoResponse {
        /// Why.
        reason: String,
    },
    /// The service, or a proxy in front of it, returned a status other than the documented success status.
    #[error("{0}")]
    ErrorResponse(Box<ErrorResponse>),
    /// The status was a success, but the body was not as documented.
    #[error("the response (HTTP {status}) cannot be decoded: {reason}")]
    Unreadable {
        /// HTTP status.
        status: u16,
        /// The error code in the body, if it contains one.
        code: Option<String>,
        /// `X-Request-Id`.
        request_id: Option<String>,
        /// Why.
        reason: String,
    },
}

/// Why a call is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerKind {
    /// More failed logins would lock the access key, or the user.
    Credentials,
    /// The service rate limited the caller.
    Throttled,
    /// More submissions without a response would leave more requests with an unknown outcome.
    Unanswered,
}

/// A response with a status other than the documented success status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorResponse {
    /// HTTP status.
    pub status: u16,
    /// Error code such as `WKS.00010032` or `APIGW.0301`, in whichever envelope it came.
    pub code: Option<String>,
    /// The service's message.
    pub message: Option<String>,
    /// `error_detail`.
    pub detail: Option<String>,
    /// `X-Request-Id`, or the `request_id` of the body.
    pub request_id: Option<String>,
    /// `encoded_authorization_message`: what STS can decode into the reason of a denial.
    pub encoded_authorization_message: Option<String>,
    /// `Retry-After`, if given in seconds or as a date.
    pub retry_after: Option<Duration>,
    /// The body was a JSON object (a proxy's page is not).
    pub json: bool,
}

impl ErrorResponse {
    /// The error code is of the Workspace service or of none: it is not one of the gateway, of IAM or of another service.
    pub fn is_of_workspace(&self) -> bool {
        let service = self.code.as_deref().and_then(|code| code.split_once('.'));
        service.is_none_or(|(service, _)| service.eq_ignore_ascii_case("WKS"))
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service returned HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " ({message})")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request id {id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failure: Failure) -> Error {
        Error {
            operation: Operation::BatchDelete,
            failure,
            service_time: None,
        }
    }

    /// A failure of each kind, whether the call was certainly not sent, and the message.
    fn failures() -> [(Failure, bool, &'static str); 5] {
        let reason = || "so it is".to_owned();
        [
            (
                Failure::NotSent { reason: reason() },
                true,
                "batchDelete: the request was not sent: so it is",
            ),
            (
                Failure::CircuitOpen {
                    breaker: BreakerKind::Credentials,
                    reason: reason(),
                },
                true,
                "batchDelete: the call was not made: so it is",
            ),
            (
                Failure::NoResponse { reason: reason() },
                false,
                "batchDelete: the request may have been sent, and no complete response was received: so it is",
            ),
            (
                Failure::ErrorResponse(Box::new(ErrorResponse {
                    status: 403,
                    code: Some("X.1".to_owned()),
                    message: Some("no".to_owned()),
                    request_id: Some("r1".to_owned()),
                    ..ErrorResponse::default()
                })),
                false,
                "batchDelete: the service returned HTTP 403 X.1 (no), request id r1",
            ),
            (
                Failure::Unreadable {
                    status: 202,
                    code: None,
                    request_id: None,
                    reason: reason(),
                },
                false,
                "batchDelete: the response (HTTP 202) cannot be decoded: so it is",
            ),
        ]
    }

    #[test]
    fn only_a_request_that_never_left_this_process_is_reported_as_not_sent() {
        for (failure, not_sent, _) in failures() {
            assert_eq!(failed(failure.clone()).was_not_sent(), not_sent, "{failure:?}");
        }
    }

    #[test]
    fn an_error_names_the_call_and_the_cause() {
        for (failure, _, words) in failures() {
            assert_eq!(failed(failure).to_string(), words);
        }
    }
}
