//! Floor 1, words.
//!
//! From an error of the cloud to what is done about it: one table, codes before statuses.

use crate::crd::conditions::Reason;
use crate::workspace::error::{BreakerKind, Error, Failure, Operation, Refusal};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What the request holds is refused, by a code that is known to say so.
    InvalidRequest,
    /// It is refused, and what the code means is not known.
    UnknownRefusal,
    /// The login is not accepted.
    Authentication,
    /// The login lacks a permission.
    Permission,
    /// The address is not that of the service.
    WrongEndpoint,
    /// The service is not enabled for the account.
    ServiceDisabled,
    /// Something named in the request does not exist.
    NotFound,
    /// The present state of a desktop denies it.
    Conflict,
    /// Too many requests.
    Throttled,
    /// The service said that it cannot now, and surely did nothing.
    Unavailable,
    /// The request did not leave this process.
    Unreachable,
    /// It may have been carried out.
    InDoubt,
}

impl Class {
    /// Name in `status.lastError.class`, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::UnknownRefusal => "UnknownRefusal",
            Self::Authentication => "Authentication",
            Self::Permission => "Permission",
            Self::WrongEndpoint => "WrongEndpoint",
            Self::ServiceDisabled => "ServiceDisabled",
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::Unreachable => "Unreachable",
            Self::InDoubt => "InDoubt",
        }
    }

    /// The class of that name, as stored in a status.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|class| class.as_str() == name)
    }

    /// What is done about it.
    pub fn treatment(self) -> Treatment {
        use Reason as R;
        let of = |reason, person, pace| Treatment { reason, person, pace };
        match self {
            Self::InvalidRequest => of(R::InvalidRequest, true, RetryPolicy::Soon),
            Self::UnknownRefusal => of(R::RequestRefused, true, RetryPolicy::Slow),
            Self::Authentication => of(R::AuthenticationFailed, true, RetryPolicy::Slow),
            Self::Permission => of(R::PermissionDenied, true, RetryPolicy::Slow),
            Self::WrongEndpoint => of(R::WrongEndpoint, true, RetryPolicy::Slow),
            Self::ServiceDisabled => of(R::ServiceDisabled, true, RetryPolicy::Slow),
            Self::NotFound => of(R::NotFound, false, RetryPolicy::Settle),
            Self::Conflict => of(R::Conflict, false, RetryPolicy::Backoff),
            Self::Throttled => of(R::Throttled, false, RetryPolicy::Backoff),
            Self::Unavailable | Self::Unreachable | Self::InDoubt => {
                of(R::ServiceUnavailable, false, RetryPolicy::Backoff)
            }
        }
    }
}

/// Every class.
pub const ALL: &[Class] = &[
    Class::InvalidRequest,
    Class::UnknownRefusal,
    Class::Authentication,
    Class::Permission,
    Class::WrongEndpoint,
    Class::ServiceDisabled,
    Class::NotFound,
    Class::Conflict,
    Class::Throttled,
    Class::Unavailable,
    Class::Unreachable,
    Class::InDoubt,
];

/// What is done about a class of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Treatment {
    /// Reason of the conditions and of the Event.
    pub reason: Reason,
    /// A person must mend something; the condition `Stalled` says so.
    pub person: bool,
    /// When it is tried again.
    pub pace: RetryPolicy,
}

/// How soon something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// After the shortest pause: the next look may already be different.
    Soon,
    /// After the shortest pause, and after the settle time once the same is refused again.
    Settle,
    /// Exponentially, with jitter; `Retry-After` counts where it is given.
    Backoff,
    /// Minutes; at once when the Secret or the project changed.
    Slow,
}

/// The class of an error.
pub fn classify(error: &Error) -> Class {
    match &error.failure {
        Failure::NotSent { .. } => Class::Unreachable,
        Failure::CircuitOpen {
            breaker: BreakerKind::Credentials,
            ..
        } => Class::Authentication,
        Failure::CircuitOpen {
            breaker: BreakerKind::Throttled,
            ..
        } => Class::Throttled,
        Failure::CircuitOpen {
            breaker: BreakerKind::Unanswered,
            ..
        } => Class::Unavailable,
        Failure::NoAnswer { .. } | Failure::Unreadable { .. } => Class::InDoubt,
        // These requests hold nothing that a person wrote for this one: what does not fit is the address, or what it names.
        Failure::Refused(refusal)
            if error.operation.is_of_iam() && matches!(refusal.status, 400 | 404 | 405) =>
        {
            Class::WrongEndpoint
        }
        Failure::Refused(refusal) => by_code(refusal).unwrap_or_else(|| by_status(refusal)),
    }
}

/// Whether a GET of one desktop may have failed because of that desktop alone: the service answered, with an error that is not
/// about the caller, the address or the rate.
pub fn is_about_one_desktop(error: &Error) -> bool {
    let answered = matches!(error.failure, Failure::Refused(_) | Failure::Unreadable { .. });
    let class = classify(error);
    let of_content = [
        Class::InvalidRequest,
        Class::UnknownRefusal,
        Class::Conflict,
        Class::InDoubt,
    ];
    error.operation == Operation::ShowDesktop && answered && of_content.contains(&class)
}

/// Codes that mean the same wherever they come from. The vendor prefixes gateway codes `APIGW.` or `APIG.`. No refusal comes
/// with a redirect or an interim answer, whatever that holds.
fn by_code(refusal: &Refusal) -> Option<Class> {
    let code = refusal.code.as_deref().filter(|_| refusal.status >= 400)?;
    if let Some(number) = code.strip_prefix("APIGW.").or_else(|| code.strip_prefix("APIG.")) {
        return by_gateway_code(number, refusal.status);
    }
    match code {
        // Only what such a code says of the content is final: other codes may be about anything.
        "WKS.0001" if (400..500).contains(&refusal.status) => Some(Class::InvalidRequest),
        "WKS.00010032" | "WKS.0407" => Some(Class::Conflict),
        "WKS.00010099" | "WKS.00170117" | "WKS.00170312" => Some(Class::ServiceDisabled),
        _ => None,
    }
}

fn by_gateway_code(number: &str, status: u16) -> Option<Class> {
    match number {
        "0101" | "0103" | "0104" | "0105" | "0204" => Some(Class::WrongEndpoint),
        "0201" if status >= 500 => Some(Class::InDoubt),
        "0201" | "0602" | "0607" => Some(Class::UnknownRefusal),
        "0301" | "0303" | "0305" | "0307" | "0311" | "1009" => Some(Class::Authentication),
        "0302" | "0304" | "0306" | "0310" | "0401" | "0402" | "0802" => Some(Class::Permission),
        "0308" => Some(Class::Throttled),
        "0601" | "0605" | "0606" | "0608" => Some(Class::InDoubt),
        "0610" | "0613" => Some(Class::Unavailable),
        // The gateway knows no desktop.
        _ if status == 404 => Some(Class::WrongEndpoint),
        _ => None,
    }
}

fn by_status(refusal: &Refusal) -> Class {
    match refusal.status {
        401 => Class::Authentication,
        403 => Class::Permission,
        // Without a JSON body it is a proxy or another web server that answers, not the service.
        404 if refusal.json => Class::NotFound,
        404 | 405 => Class::WrongEndpoint,
        409 => Class::Conflict,
        429 => Class::Throttled,
        // The server waited no longer for the request, or says that nobody waits for the answer: it may be carried out.
        408 | 499 => Class::InDoubt,
        407 | 421 | 423 | 425 => Class::Unavailable,
        400..=499 if refusal.json => Class::UnknownRefusal,
        413 | 414 => Class::UnknownRefusal,
        400..=499 => Class::WrongEndpoint,
        // A redirect, a 5xx without a code that says otherwise, a 2xx that is not the documented one.
        _ => Class::InDoubt,
    }
}
