//! Credentials that need no login, because they are an access key or a token: they cannot be renewed, but IAM reports when
//! a token expires.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{CredentialsProvider, Iam, IssuedCredentials};
use crate::workspace::auth::Credentials;
use crate::workspace::error::Error;

/// Delay before IAM is asked again after a failure.
const RETRY: Duration = Duration::from_secs(600);

/// Credentials that need no login.
#[derive(Debug)]
pub(in crate::workspace) struct StaticCredentials {
    /// `None` if they must not be shown to any IAM.
    iam: Option<Arc<dyn Iam>>,
    credentials: Arc<Credentials>,
    end: Mutex<Option<Timestamp>>,
    /// When IAM was asked last.
    last_query: tokio::sync::Mutex<Option<Instant>>,
}

impl StaticCredentials {
    pub(in crate::workspace) fn new(iam: Option<Arc<dyn Iam>>, credentials: Credentials) -> Self {
        Self {
            iam,
            credentials: Arc::new(credentials),
            end: Mutex::default(),
            last_query: tokio::sync::Mutex::default(),
        }
    }

    fn issue(&self) -> IssuedCredentials {
        IssuedCredentials {
            credentials: Arc::clone(&self.credentials),
            expires_at: *self.end.lock(),
        }
    }

    /// Asks IAM when the token expires, unless that is known or was asked recently. The request does not fail without
    /// it: then `--token-life` is assumed.
    async fn query_expiry(&self, iam: &dyn Iam, token: &SecretString) {
        let mut last_query = self.last_query.lock().await;
        if self.end.lock().is_some() || last_query.is_some_and(|at| at.elapsed() < RETRY) {
            return;
        }
        match iam.token_expiry(token).await {
            Ok(end) => *self.end.lock() = Some(end),
            Err(error) => tracing::info!(%error, "IAM does not report when the token expires"),
        }
        *last_query = Some(Instant::now());
    }
}

#[async_trait]
impl CredentialsProvider for StaticCredentials {
    async fn current(&self) -> Result<IssuedCredentials, Error> {
        if let (Some(iam), Credentials::Token(token)) = (&self.iam, &*self.credentials) {
            self.query_expiry(&**iam, token).await;
        }
        Ok(self.issue())
    }

    fn cached(&self) -> Option<IssuedCredentials> {
        Some(self.issue())
    }

    fn invalidate(&self, _: &Arc<Credentials>) -> bool {
        false
    }
}
