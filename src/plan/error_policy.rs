//! Layer 1, texts and error policy: which errors of the cloud are retried, and how soon.
//!
//! One table, codes before statuses, which also has the reason of each error. How long each delay is: `delay` in
//! `super::deadlines`.

use crate::crd::conditions::Reason;
use crate::crd::deletion::{CloudError, ErrorClass};
use crate::crd::limits;
use crate::workspace::error::{BreakerKind, Error, ErrorResponse, Failure, Operation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl ErrorClass {
    /// The policy for errors of this class.
    pub fn error_policy(self) -> ErrorPolicy {
        use Reason as R;
        let of = |reason, needs_user, retry| ErrorPolicy {
            reason,
            needs_user,
            retry,
        };
        match self {
            Self::InvalidRequest => of(R::InvalidRequest, true, RetryPolicy::Soon),
            Self::UnknownRefusal => of(R::RequestRefused, true, RetryPolicy::Slow),
            Self::Authentication => of(R::AuthenticationFailed, true, RetryPolicy::Slow),
            Self::Permission => of(R::PermissionDenied, true, RetryPolicy::Slow),
            Self::WrongEndpoint => of(R::WrongEndpoint, true, RetryPolicy::Slow),
            Self::ServiceDisabled => of(R::ServiceDisabled, true, RetryPolicy::Slow),
            Self::NotFound => of(R::NotFound, false, RetryPolicy::AfterJobVisibility),
            Self::Conflict => of(R::Conflict, false, RetryPolicy::Backoff),
            Self::Throttled => of(R::Throttled, false, RetryPolicy::Backoff),
            Self::Unavailable | Self::Unreachable | Self::InDoubt | Self::Other => {
                of(R::ServiceUnavailable, false, RetryPolicy::Backoff)
            }
        }
    }
}

/// How a class of errors is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// Reason of the conditions and of the Event.
    pub reason: Reason,
    /// User action is required; the condition `Stalled` says so.
    pub needs_user: bool,
    /// When it is tried again.
    pub retry: RetryPolicy,
}

impl ErrorPolicy {
    /// The policy for errors that conditions report with that reason; `None` if it is not the reason of an error.
    pub fn because_of(reason: &str) -> Option<Self> {
        let mut policies = ErrorClass::ALL.iter().map(|class| class.error_policy());
        policies.find(|known| known.reason.as_str() == reason)
    }
}

/// How soon something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// After the shortest delay: the next read may already differ.
    Soon,
    /// After the shortest pause, and after the job visibility timeout if the same request is rejected again.
    AfterJobVisibility,
    /// Exponentially: with jitter after a failed read, and not before `Retry-After` after a failed submission.
    Backoff,
    /// After the longest pause, or at once when the Secret or the project changed. A failed read is repeated when the
    /// Secret is read again.
    Slow,
}

/// The class of an error.
pub fn classify(error: &Error) -> ErrorClass {
    match &error.failure {
        Failure::NotSent { .. } => ErrorClass::Unreachable,
        Failure::CircuitOpen { breaker, .. } => match breaker {
            BreakerKind::Credentials => ErrorClass::Authentication,
            BreakerKind::Throttled => ErrorClass::Throttled,
            BreakerKind::Unanswered => ErrorClass::Unavailable,
        },
        Failure::NoResponse { .. } | Failure::Unreadable { .. } => ErrorClass::InDoubt,
        // These requests contain nothing from the spec of the request, so the address, or what it names, is wrong.
        Failure::ErrorResponse(response)
            if error.operation.is_of_iam() && matches!(response.status, 400 | 404 | 405) =>
        {
            ErrorClass::WrongEndpoint
        }
        Failure::ErrorResponse(response) => {
            let class = by_code(response).unwrap_or_else(|| by_status(response));
            // The parameters of a read are set by the operator, so a new object would not correct them.
            if class == ErrorClass::InvalidRequest && error.operation != Operation::BatchDelete {
                ErrorClass::UnknownRefusal
            } else {
                class
            }
        }
    }
}

/// Whether a GET of one desktop may have failed because of that desktop alone: the service answered, with an error that is
/// not about the caller, the address or the rate.
pub fn is_about_one_desktop(error: &Error) -> bool {
    let answered = matches!(
        error.failure,
        Failure::ErrorResponse(_) | Failure::Unreadable { .. }
    );
    let class = classify(error);
    let of_content = [
        ErrorClass::InvalidRequest,
        ErrorClass::UnknownRefusal,
        ErrorClass::Conflict,
        ErrorClass::InDoubt,
    ];
    error.operation == Operation::ShowDesktop && answered && of_content.contains(&class)
}

/// Codes with the same meaning in all services. The vendor prefixes gateway codes with `APIGW.` or `APIG.`. A redirect
/// or an interim response is never a rejection, regardless of its content.
fn by_code(response: &ErrorResponse) -> Option<ErrorClass> {
    let code = response.code.as_deref().filter(|_| response.status >= 400)?;
    if let Some(number) = code.strip_prefix("APIGW.").or_else(|| code.strip_prefix("APIG.")) {
        return by_gateway_code(number, response.status);
    }
    match code {
        _ if leaves_doubt(response.status) => None,
        // Only a code that is known to be about the content is final: other codes may have any meaning.
        "WKS.0001" => Some(ErrorClass::InvalidRequest),
        "WKS.00010032" | "WKS.0407" => Some(ErrorClass::Conflict),
        "WKS.00010099" | "WKS.00170117" | "WKS.00170312" => Some(ErrorClass::ServiceDisabled),
        _ => None,
    }
}

/// With this status the request may have been carried out: the server failed, timed out waiting for the request, or
/// reports that the caller disconnected.
fn leaves_doubt(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 499)
}

fn by_gateway_code(number: &str, status: u16) -> Option<ErrorClass> {
    match number {
        "0101" | "0103" | "0104" | "0105" | "0204" => Some(ErrorClass::WrongEndpoint),
        "0201" if leaves_doubt(status) => Some(ErrorClass::InDoubt),
        "0201" | "0602" | "0607" => Some(ErrorClass::UnknownRefusal),
        "0301" | "0303" | "0305" | "0307" | "0311" | "1009" => Some(ErrorClass::Authentication),
        "0302" | "0304" | "0306" | "0310" | "0401" | "0402" | "0802" => Some(ErrorClass::Permission),
        "0308" => Some(ErrorClass::Throttled),
        "0601" | "0605" | "0606" | "0608" => Some(ErrorClass::InDoubt),
        "0610" | "0613" => Some(ErrorClass::Unavailable),
        // The gateway does not know desktops, so its 404 is about the address.
        _ if status == 404 => Some(ErrorClass::WrongEndpoint),
        _ => None,
    }
}

fn by_status(response: &ErrorResponse) -> ErrorClass {
    match response.status {
        401 => ErrorClass::Authentication,
        403 => ErrorClass::Permission,
        // A response without a JSON body is from a proxy or another web server, and one with a code of another service
        // is not from Workspace.
        404 if response.json && response.is_of_workspace() => ErrorClass::NotFound,
        404 if response.json => ErrorClass::UnknownRefusal,
        404 | 405 => ErrorClass::WrongEndpoint,
        409 => ErrorClass::Conflict,
        429 => ErrorClass::Throttled,
        status if leaves_doubt(status) => ErrorClass::InDoubt,
        407 | 421 | 423 | 425 => ErrorClass::Unavailable,
        400..=499 if response.json => ErrorClass::UnknownRefusal,
        413 | 414 => ErrorClass::UnknownRefusal,
        400..=499 => ErrorClass::WrongEndpoint,
        // A redirect, a 5xx without a known code, or an undocumented 2xx.
        _ => ErrorClass::InDoubt,
    }
}

/// An error of the cloud as the status stores it.
pub fn cloud_error(error: &Error, time: Time) -> CloudError {
    let because = |reason| ErrorResponse {
        message: Some(reason),
        ..ErrorResponse::default()
    };
    let (status, response) = match error.failure.clone() {
        Failure::ErrorResponse(response) => (Some(response.status), *response),
        Failure::Unreadable {
            status,
            code,
            request_id,
            reason,
        } => {
            let response = ErrorResponse {
                code,
                request_id,
                ..because(reason)
            };
            (Some(status), response)
        }
        Failure::NotSent { reason }
        | Failure::CircuitOpen { reason, .. }
        | Failure::NoResponse { reason } => (None, because(reason)),
    };
    // All values are bounded, so that the status can be written with any error.
    CloudError {
        time,
        operation: error.operation,
        class: classify(error),
        http_status: status.map(i32::from),
        code: cut(response.code, limits::ERROR_CODE),
        message: cut(response.message, limits::ERROR_TEXT),
        detail: cut(response.detail, limits::ERROR_TEXT),
        request_id: cut(response.request_id, limits::REQUEST_ID),
        encoded_authorization_message: response.encoded_authorization_message,
    }
}

fn cut(text: Option<String>, most: u32) -> Option<String> {
    Some(text?.chars().take(most as usize).collect())
}
