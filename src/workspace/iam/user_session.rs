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
use crate::workspace::auth::{Credentials, PasswordCredentials};
use crate::workspace::error::Error;

/// How long before their expiry credentials are renewed: longer than the lifetime of a signature, so that no signature
/// outlives its access key.
const RENEW_MARGIN: Duration = Duration::from_secs(20 * 60);

/// How long before their expiry credentials are no longer used: longer than the time between signing and sending,
/// unless `--max-signature-age` is longer. A request that is sent with expired ones is rejected.
const EXPIRY_MARGIN: Duration = Duration::from_secs(2 * 60);

/// Pause after a renewal that failed while what there is can still be used.
const RETRY: Duration = Duration::from_secs(60);

/// Maximum lifetime that is accepted. IAM issues tokens for a day.
const MAX_LIFETIME: Duration = Duration::from_secs(48 * 3600);

/// Statuses with which IAM refuses to exchange tokens: the user has no permission, or this cloud has no such call.
const EXCHANGE_REFUSED_STATUSES: [u16; 2] = [403, 404];

/// A user in a project.
pub(super) struct UserSession {
    iam: Arc<dyn Iam>,
    password: PasswordCredentials,
    project: ProjectID,
    throttle: Arc<tokio::sync::Mutex<LoginThrottle>>,
    cache: Mutex<Cache>,
}

/// What IAM issued last.
#[derive(Default)]
struct Cache {
    token: Option<Expiring<Issued<SecretString>>>,
    credentials: Option<Expiring<IssuedCredentials>>,
}

/// A value that expires.
#[derive(Clone)]
struct Expiring<T> {
    value: T,
    renew_at: Instant,
    last_use: Instant,
}

impl<T> Expiring<T> {
    /// `lifetime` is the remaining one. If it is short, the margins are shortened as well.
    fn new(value: T, lifetime: Duration) -> Self {
        let left = lifetime.min(MAX_LIFETIME);
        let end = Instant::now() + left;
        Self {
            value,
            renew_at: end - RENEW_MARGIN.min(left / 3),
            last_use: end - EXPIRY_MARGIN.min(left / 10),
        }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.renew_at
    }

    fn is_usable(&self) -> bool {
        Instant::now() < self.last_use
    }
}

impl UserSession {
    /// A session that has not begun yet; `throttle` is shared by all sessions of the user.
    pub(super) fn new(
        iam: Arc<dyn Iam>,
        password: PasswordCredentials,
        project: ProjectID,
        throttle: Arc<tokio::sync::Mutex<LoginThrottle>>,
    ) -> Self {
        Self {
            iam,
            password,
            project,
            throttle,
            cache: Mutex::default(),
        }
    }

    fn usable(&self) -> Option<Expiring<IssuedCredentials>> {
        self.cache.lock().credentials.clone().filter(Expiring::is_usable)
    }

    /// Renews credentials that can still be used, unless another caller is doing that; returns the present ones in that
    /// case, and if the renewal fails.
    async fn renew(&self, issued: IssuedCredentials) -> IssuedCredentials {
        let Ok(mut throttle) = self.throttle.try_lock() else {
            return issued;
        };
        match self.obtain(&mut throttle).await {
            Ok(new) => new,
            Err(error) => {
                tracing::warn!(
                    project = %self.project, user = self.password.user(), %error,
                    "credentials could not be renewed; the current ones are used until they expire"
                );
                if let Some(held) = &mut self.cache.lock().credentials {
                    held.renew_at = Instant::now() + RETRY;
                }
                issued
            }
        }
    }

    /// Waits until no other login of the user is in progress and logs in, unless another caller has done so in the
    /// meantime.
    async fn log_in(&self) -> Result<IssuedCredentials, Error> {
        let started = Instant::now();
        let mut throttle = self.throttle.lock().await;
        if let Some(issued) = self.usable() {
            return Ok(issued.value);
        }
        if let Some(error) = throttle.failure_since(started, &self.project) {
            return Err(error);
        }
        let result = self.obtain(&mut throttle).await;
        if let Err(error) = &result {
            throttle.record_failure(&self.project, error);
        }
        result
    }

    /// Exchanges the token that there is, or a new one.
    async fn obtain(&self, throttle: &mut LoginThrottle) -> Result<IssuedCredentials, Error> {
        let kept = self.cache.lock().token.clone();
        if let Some(token) = kept.filter(|token| !token.is_due()) {
            match self.exchange(token).await {
                // The token became invalid before its expiry.
                Err(error) if error.has_status(&[401]) => {}
                result => return result,
            }
        }
        throttle.check()?;
        let result = self.iam.create_token(&self.password, &self.project).await;
        throttle.record(&result);
        let issued = result?;
        let lifetime = issued.lifetime;
        let token = Expiring::new(issued, lifetime);
        // Kept before it is exchanged: if that fails, the next try needs no password.
        self.cache.lock().token = Some(token.clone());
        self.exchange(token).await
    }

    async fn exchange(&self, token: Expiring<Issued<SecretString>>) -> Result<IssuedCredentials, Error> {
        match self.iam.create_temporary_key(&token.value.value).await {
            Ok(key) => {
                tracing::debug!(project = %self.project, ends = %key.expires_at, "logged in with a temporary access key");
                let issued = IssuedCredentials {
                    credentials: Arc::new(key.value),
                    expires_at: Some(key.expires_at),
                };
                Ok(self.keep(Expiring::new(issued, key.lifetime)))
            }
            Err(error) if error.has_status(&EXCHANGE_REFUSED_STATUSES) => {
                tracing::info!(
                    project = %self.project, user = self.password.user(), ends = %token.value.expires_at, %error,
                    "IAM provides no temporary access key, so the token itself is sent: a request whose response is lost then waits until the token expires"
                );
                Ok(self.keep(Expiring {
                    value: IssuedCredentials {
                        credentials: Arc::new(Credentials::Token(token.value.value)),
                        expires_at: Some(token.value.expires_at),
                    },
                    renew_at: token.renew_at,
                    last_use: token.last_use,
                }))
            }
            Err(error) => Err(error),
        }
    }

    fn keep(&self, issued: Expiring<IssuedCredentials>) -> IssuedCredentials {
        self.cache.lock().credentials.insert(issued).value.clone()
    }
}

#[async_trait]
impl CredentialsProvider for UserSession {
    async fn current(&self) -> Result<IssuedCredentials, Error> {
        match self.usable() {
            Some(issued) if issued.is_due() => Ok(self.renew(issued.value).await),
            Some(issued) => Ok(issued.value),
            None => self.log_in().await,
        }
    }

    fn cached(&self) -> Option<IssuedCredentials> {
        self.usable().map(|issued| issued.value)
    }

    fn invalidate(&self, refused: &Arc<Credentials>) -> bool {
        let mut held = self.cache.lock();
        let issued = held.credentials.as_ref();
        if issued.is_some_and(|issued| Arc::ptr_eq(&issued.value.credentials, refused)) {
            (held.credentials, held.token) = (None, None);
        }
        true
    }
}

/// Shows the user and the project.
impl fmt::Debug for UserSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSession")
            .field("login", &self.password)
            .field("project", &self.project.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
