//! Calls to the API server with a timeout, since kube has none, and the API server's clock.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::clock::Uptime;
use crate::plan::clocks::{DateSample, RemoteClock};

/// Timeout of a call to the API server.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The object changed meanwhile, or is another one now.
    #[error("the object changed meanwhile")]
    Conflict,
    /// The object is gone.
    #[error("the object is gone")]
    NotFound,
    /// The API server rejects the call.
    #[error("failed to {action}: the API server rejected the request: {reason}")]
    Refused {
        /// The action that failed.
        action: &'static str,
        /// The message of the API server.
        reason: String,
    },
    /// The API server reports an internal error, for example because an admission webhook is down: a write may have
    /// been carried out.
    #[error("failed to {action}: {reason}")]
    Failed {
        /// The action that failed.
        action: &'static str,
        /// The message of the API server.
        reason: String,
    },
    /// No usable response: a write may have been carried out.
    #[error("failed to {action}: {reason}")]
    NoResponse {
        /// The action that failed.
        action: &'static str,
        /// Why.
        reason: String,
    },
}

/// The clock of the API server, known from the `Date` of its responses; clones share it.
#[derive(Debug, Clone)]
pub struct ApiServerClock {
    uptime: Uptime,
    clock: Arc<Mutex<RemoteClock>>,
}

impl ApiServerClock {
    /// A clock that is not known yet, in a process that starts now.
    pub fn start() -> Self {
        Self {
            uptime: Uptime::start(),
            clock: Arc::default(),
        }
    }

    /// Time since the start of the process.
    pub fn uptime(&self) -> Uptime {
        self.uptime
    }

    /// The present time of that clock; `None` until two responses agree.
    pub fn now(&self) -> Option<Timestamp> {
        let clock = *self.clock.lock();
        clock.at(self.uptime.now())
    }

    /// Records the `Date` in the headers of a response.
    pub fn observe_date(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(date) = date.and_then(|date| Timestamp::try_from(date).ok()) {
            let sample = DateSample {
                date,
                at: self.uptime.now(),
            };
            self.clock.lock().observe_date(sample);
        }
    }
}

/// Runs one call of the API server.
///
/// # Errors
/// As [`Error`] says; `action` describes the call ("read the project").
pub async fn call<T>(action: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify_error(action, error)),
        Err(_) => Err(Error::NoResponse {
            action,
            reason: format!("no response within {} s", CALL_TIMEOUT.as_secs()),
        }),
    }
}

fn classify_error(action: &'static str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => {
            let reason = status.message.clone();
            match status.code {
                409 => Error::Conflict,
                404 => Error::NotFound,
                408 | 429 => Error::NoResponse { action, reason },
                500.. => Error::Failed { action, reason },
                _ => Error::Refused { action, reason },
            }
        }
        other => Error::NoResponse {
            action,
            reason: other.to_string(),
        },
    }
}
