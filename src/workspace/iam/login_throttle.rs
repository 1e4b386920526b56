//! One login of a user at a time, across all projects, and few failed ones: IAM locks a user after several.

use std::time::Duration;

use tokio::time::Instant;

use crate::ids::ProjectID;
use crate::workspace::error::{BreakerKind, Error, Operation};

/// Consecutive rejected logins after which no further login is tried. The second try is for a password that becomes
/// valid a moment after it was stored in the Secret.
const MAX_REJECTIONS: u32 = 2;

/// How long no login is tried then. How many failures lock a user, and for how long, is a setting of each account
/// (vendor's API reference, tokens); a quarter of an hour leaves most of the failures to interactive users.
const LOCKOUT_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Statuses with which IAM rejects a user: wrong name or password, or locked; no programmatic access, or a client
/// address that is not allowed.
const REJECTION_STATUSES: [u16; 2] = [401, 403];

/// Its holder may log the user in.
#[derive(Debug, Default)]
pub(super) struct LoginThrottle {
    /// Consecutive rejected logins.
    rejections: u32,
    /// When the last one was rejected, and what IAM said then.
    last_rejection: Option<(Instant, String)>,
    failed: Option<LoginFailure>,
}

/// The last failed login.
#[derive(Debug)]
struct LoginFailure {
    at: Instant,
    project: ProjectID,
    error: Error,
}

impl LoginThrottle {
    /// Whether a password may be tried now.
    ///
    /// # Errors
    /// [`Failure::CircuitOpen`], which says why not.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.last_rejection {
            Some((at, response)) if self.rejections >= MAX_REJECTIONS && at.elapsed() < LOCKOUT_PAUSE => {
                Err(suppressed(format!(
                    "IAM refused this user {} times in a row; further failures would lock the user, so the password is tried again after {} minutes, or once the Secret changes. The last response: {response}",
                    self.rejections,
                    LOCKOUT_PAUSE.as_secs() / 60
                )))
            }
            _ => Ok(()),
        }
    }

    /// Takes in whether IAM accepted the password.
    pub(super) fn record<T>(&mut self, result: &Result<T, Error>) {
        match result {
            Ok(_) => {
                self.rejections = 0;
                self.last_rejection = None;
            }
            Err(error) if error.has_status(&REJECTION_STATUSES) => {
                self.rejections = self.rejections.saturating_add(1);
                self.last_rejection = Some((Instant::now(), error.failure.to_string()));
            }
            // The result says nothing about the password.
            Err(_) => {}
        }
    }

    /// Stores a failure for callers that wait for the same login.
    pub(super) fn record_failure(&mut self, project: &ProjectID, error: &Error) {
        self.failed = Some(LoginFailure {
            at: Instant::now(),
            project: project.clone(),
            error: error.clone(),
        });
    }

    /// The failure of a login that ended after `since`: callers that waited for it need not try again. IAM may reject a
    /// login for one project and accept it for another.
    pub(super) fn failure_since(&self, since: Instant, project: &ProjectID) -> Option<Error> {
        let failed = self.failed.as_ref().filter(|failed| failed.at > since)?;
        let refused = failed.error.error_response().is_some();
        if refused && failed.project != *project {
            return None;
        }
        // A rejection is counted once, however many callers waited for it.
        if failed.error.has_status(&REJECTION_STATUSES) {
            return Some(suppressed(format!(
                "IAM has just refused this user: {}",
                failed.error
            )));
        }
        Some(failed.error.clone())
    }
}

fn suppressed(reason: String) -> Error {
    Error::circuit_open(Operation::CreateToken, BreakerKind::Credentials, reason)
}
