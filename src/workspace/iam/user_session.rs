//! The session of one IAM user in one project: logged in when first needed, and renewed in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;

use super::login_throttle::LoginThrottle;
use super::{CredentialsProvider, Iam, Issued, IssuedCredentials};
use crate::ids::ProjectID;
use crate::workspace::auth::{Credentials, PasswordLogin};
use crate::workspace::error::Error;

/// How long before its end something is renewed: longer than a signature lives, so that none outlives its access key.
const MARGIN: Duration = Duration::from_secs(20 * 60);

/// How long before its end something is not used any more: longer than from a signature to its sending.
const LAST_USE: Duration = Duration::from_secs(2 * 60);

/// Pause after a renewal that failed while what there is can still be used.
const RETRY: Duration = Duration::from_secs(60);

/// Longest life that is believed, in time of this machine. IAM gives a day.
const LONGEST: Duration = Duration::from_secs(48 * 3600);

/// Statuses by which IAM says that it does not exchange tokens: the user may not, or this cloud has no such call.
const NO_EXCHANGE: [u16; 2] = [403, 404];

/// A user in a project.
pub(super) struct Session {
    iam: Arc<dyn Iam>,
    login: PasswordLogin,
    project: ProjectID,
    turn: Arc<tokio::sync::Mutex<LoginThrottle>>,
    held: Mutex<Held>,
}

/// What IAM gave.
#[derive(Default)]
struct Held {
    token: Option<Timed<Issued<SecretString>>>,
    grant: Option<Timed<IssuedCredentials>>,
}

/// Something that ends.
#[derive(Clone)]
struct Timed<T> {
    value: T,
    renew_at: Instant,
    last_use: Instant,
}

impl<T> Timed<T> {
    /// `left` counts from now. Of a short life a part is kept free, so that it can be used at all.
    fn new(value: T, left: Duration) -> Self {
        let left = left.min(LONGEST);
        let end = Instant::now() + left;
        Self {
            value,
            renew_at: end - MARGIN.min(left / 3),
            last_use: end - LAST_USE.min(left / 10),
        }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.renew_at
    }

    fn is_usable(&self) -> bool {
        Instant::now() < self.last_use
    }
}

impl Session {
    /// A session that has not begun yet; `turn` is shared by all sessions of the user.
    pub(super) fn new(
        iam: Arc<dyn Iam>,
        login: PasswordLogin,
        project: ProjectID,
        turn: Arc<tokio::sync::Mutex<LoginThrottle>>,
    ) -> Self {
        Self {
            iam,
            login,
            project,
            turn,
            held: Mutex::default(),
        }
    }

    fn usable(&self) -> Option<Timed<IssuedCredentials>> {
        self.held.lock().grant.clone().filter(Timed::is_usable)
    }

    /// Renews what can still be used, unless another caller does, and returns it in any case.
    async fn renew(&self, grant: IssuedCredentials) -> IssuedCredentials {
        let Ok(mut turn) = self.turn.try_lock() else {
            return grant;
        };
        match self.obtain(&mut turn).await {
            Ok(new) => new,
            Err(error) => {
                tracing::warn!(
                    project = %self.project, user = self.login.user(), %error,
                    "credentials could not be renewed; the current ones are used until they expire"
                );
                if let Some(held) = &mut self.held.lock().grant {
                    held.renew_at = Instant::now() + RETRY;
                }
                grant
            }
        }
    }

    /// Waits for the user's turn and logs in, unless that has been done meanwhile.
    async fn begin(&self) -> Result<IssuedCredentials, Error> {
        let asked = Instant::now();
        let mut turn = self.turn.lock().await;
        if let Some(grant) = self.usable() {
            return Ok(grant.value);
        }
        if let Some(error) = turn.failure_since(asked, &self.project) {
            return Err(error);
        }
        let result = self.obtain(&mut turn).await;
        if let Err(error) = &result {
            turn.failed(&self.project, error);
        }
        result
    }

    /// Exchanges the token that there is, or a new one.
    async fn obtain(&self, turn: &mut LoginThrottle) -> Result<IssuedCredentials, Error> {
        let kept = self.held.lock().token.clone();
        if let Some(token) = kept.filter(|token| !token.is_due()) {
            match self.exchange(token).await {
                // It has ended before its time.
                Err(error) if error.is_refused(&[401]) => {}
                result => return result,
            }
        }
        turn.check()?;
        let result = self.iam.create_token(&self.login, &self.project).await;
        turn.note(&result);
        let issued = result?;
        let left = issued.left;
        let token = Timed::new(issued, left);
        // Kept before it is exchanged: if that fails, the next try needs no password.
        self.held.lock().token = Some(token.clone());
        self.exchange(token).await
    }

    async fn exchange(&self, token: Timed<Issued<SecretString>>) -> Result<IssuedCredentials, Error> {
        match self.iam.create_temporary_key(&token.value.value).await {
            Ok(key) => {
                tracing::debug!(project = %self.project, ends = %key.ends, "logged in with a temporary access key");
                let grant = IssuedCredentials {
                    credentials: Arc::new(key.value),
                    ends: Some(key.ends),
                };
                Ok(self.keep(Timed::new(grant, key.left)))
            }
            Err(error) if error.is_refused(&NO_EXCHANGE) => {
                tracing::info!(
                    project = %self.project, user = self.login.user(), ends = %token.value.ends, %error,
                    "IAM provides no temporary access key, so the token itself is sent: a request whose response is lost then waits until the token expires"
                );
                Ok(self.keep(Timed {
                    value: IssuedCredentials {
                        credentials: Arc::new(Credentials::Token(token.value.value)),
                        ends: Some(token.value.ends),
                    },
                    renew_at: token.renew_at,
                    last_use: token.last_use,
                }))
            }
            Err(error) => Err(error),
        }
    }

    fn keep(&self, grant: Timed<IssuedCredentials>) -> IssuedCredentials {
        self.held.lock().grant.insert(grant).value.clone()
    }
}

#[async_trait]
impl CredentialsProvider for Session {
    async fn current(&self) -> Result<IssuedCredentials, Error> {
        match self.usable() {
            Some(grant) if grant.is_due() => Ok(self.renew(grant.value).await),
            Some(grant) => Ok(grant.value),
            None => self.begin().await,
        }
    }

    fn held(&self) -> Option<IssuedCredentials> {
        self.usable().map(|grant| grant.value)
    }

    fn dismiss(&self, refused: &Arc<Credentials>) -> bool {
        let mut held = self.held.lock();
        let grant = held.grant.as_ref();
        if grant.is_some_and(|grant| Arc::ptr_eq(&grant.value.credentials, refused)) {
            (held.grant, held.token) = (None, None);
        }
        true
    }
}

/// Shows whose session it is.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("login", &self.login)
            .field("project", &self.project.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
