//! Calls of the API server that cannot hang, since kube has no time limit of its own, and what its clock says.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::clock::Uptime;
use crate::plan::clocks::{DateSample, RemoteClock};

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
    #[error("failed to {action}: the API server rejected the request: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the API server said.
        reason: String,
    },
    /// The API server says that it failed, for example since an admission webhook is down: a write may have been carried
    /// out.
    #[error("failed to {action}: {reason}")]
    Failed {
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

/// The clock of the API server, as the `Date` of its answers says; clones share it.
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

    /// What it shows now; `None` before two answers agreed.
    pub fn now(&self) -> Option<Timestamp> {
        let clock = *self.clock.lock();
        clock.at(self.uptime.now())
    }

    /// Takes in the headers of an answer.
    pub fn observe_date(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(date) = date.and_then(|date| Timestamp::try_from(date).ok()) {
            let reading = DateSample {
                date,
                at: self.uptime.now(),
            };
            self.clock.lock().observe_date(reading);
        }
    }
}

/// Runs one call of the API server.
///
/// # Errors
/// As [`Error`] says; `action` names the call in words ("read the project").
pub async fn call<T>(action: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify_error(action, error)),
        Err(_) => Err(Error::Unanswered {
            action,
            reason: format!("no response within {} s", LIMIT.as_secs()),
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
                408 | 429 => Error::Unanswered { action, reason },
                500.. => Error::Failed { action, reason },
                _ => Error::Refused { action, reason },
            }
        }
        other => Error::Unanswered {
            action,
            reason: other.to_string(),
        },
    }
}
