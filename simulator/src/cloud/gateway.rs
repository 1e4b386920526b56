//! What the gateway checks before a request reaches a service.

use std::collections::HashMap;

use http::StatusCode;
use jiff::Timestamp;

use super::Request;
use super::api_error::ApiError;
use super::caller::Caller;
use super::operation::{Call, Operation};
use crate::world::Throttle;

/// Greatest body that the gateway takes, in bytes.
pub(crate) const MAX_BODY: usize = 12 * 1024 * 1024;

/// Longest path and query that the gateway takes, in bytes.
const MAX_TARGET: usize = 32 * 1024;

/// Greatest single header that the gateway takes, in bytes.
const MAX_HEADER: usize = 32 * 1024;

/// Checks sizes, the path and the content type.
pub(super) fn check_form(request: &Request, call: &Call, require_content_type: bool) -> Result<(), ApiError> {
    if request.body.len() > MAX_BODY {
        return Err(ApiError::gateway(
            StatusCode::PAYLOAD_TOO_LARGE,
            "0201",
            "Request entity too large",
        ));
    }
    if request.path.len() + request.query.len() > MAX_TARGET {
        return Err(ApiError::gateway(
            StatusCode::URI_TOO_LONG,
            "0201",
            "Request URI too long",
        ));
    }
    if request.headers.values().any(|value| value.len() > MAX_HEADER) {
        return Err(ApiError::gateway(
            StatusCode::BAD_REQUEST,
            "0201",
            "Request header too large",
        ));
    }
    if call.operation == Operation::Unknown {
        let message = "The API does not exist or has not been published in the environment";
        return Err(ApiError::gateway(StatusCode::NOT_FOUND, "0101", message));
    }
    let of_workspace = !call.operation.of_iam();
    if require_content_type && (of_workspace || call.operation.writes()) && !is_json(request) {
        let message = "Content-Type must be application/json";
        return Err(ApiError::gateway(StatusCode::BAD_REQUEST, "0201", message));
    }
    if call.project.chars().count() > 255 || call.target.chars().count() > 255 {
        return Err(ApiError::invalid(
            "an id in the path has more than 255 characters",
        ));
    }
    Ok(())
}

/// `application/json`, alone or with the parameter `charset=utf-8` in either case.
fn is_json(request: &Request) -> bool {
    let Some(value) = request.header("content-type") else {
        return false;
    };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().as_deref() == Some("application/json") && parts.all(|part| part == "charset=utf-8")
}

/// Counts calls by caller, operation and minute.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestCounter(HashMap<(String, Operation), (i64, u32)>);

impl RequestCounter {
    /// Counts one call and rejects it if the limit for this minute is reached.
    pub(super) fn count(
        &mut self,
        throttle: &Throttle,
        caller: &Caller,
        operation: Operation,
        clock: Timestamp,
    ) -> Result<(), ApiError> {
        let limit = if operation.writes() {
            throttle.writes_per_minute
        } else {
            throttle.reads_per_minute
        };
        let Some(limit) = limit else { return Ok(()) };
        let minute = clock.as_second().div_euclid(60);
        let count = self
            .0
            .entry((caller.name.clone(), operation))
            .or_insert((minute, 0));
        if count.0 != minute {
            *count = (minute, 0);
        }
        if count.1 >= limit {
            let message = format!(
                "The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:1 minute"
            );
            let seconds = throttle
                .retry_after
                .map(|span| span.unsigned().as_secs_f64().ceil());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a span is not negative, and a float too large becomes the greatest number"
            )]
            let seconds = seconds.map(|seconds| seconds as u64);
            return Err(
                ApiError::gateway(StatusCode::TOO_MANY_REQUESTS, "0308", message).with_retry_after(seconds)
            );
        }
        count.1 += 1;
        Ok(())
    }
}
