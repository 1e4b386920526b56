//! Calls of the API server that cannot hang: kube has no time limit of its own.

use std::time::Duration;

/// How long one call of the API server may take.
pub const LIMIT: Duration = Duration::from_secs(15);

/// What became of a call that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The object changed meanwhile, or is another one now.
    #[error("the object changed meanwhile")]
    Conflict,
    /// The object is gone.
    #[error("the object is gone")]
    NotFound,
    /// The API server refuses the call as it stands.
    #[error("the API server refuses to {action}: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the API server said.
        reason: String,
    },
    /// No usable answer: a write may have been carried out.
    #[error("failed to {action}: {reason}")]
    Unanswered {
        /// What was tried.
        action: &'static str,
        /// Why.
        reason: String,
    },
}

/// Runs one call of the API server.
///
/// # Errors
/// As [`Error`] says; `action` names the call in words ("read the project").
pub async fn call<T>(action: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(sort(action, error)),
        Err(_) => Err(Error::Unanswered {
            action,
            reason: format!("no answer within {} s", LIMIT.as_secs()),
        }),
    }
}

fn sort(action: &'static str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => match status.code {
            409 => Error::Conflict,
            404 => Error::NotFound,
            408 | 429 | 500.. => Error::Unanswered {
                action,
                reason: status.message.clone(),
            },
            _ => Error::Refused {
                action,
                reason: status.message.clone(),
            },
        },
        other => Error::Unanswered {
            action,
            reason: other.to_string(),
        },
    }
}
