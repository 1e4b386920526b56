//! A token that came from elsewhere: nothing can be got in its place, but IAM says when it ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{CredentialsProvider, Iam, IssuedCredentials};
use crate::workspace::auth::Credentials;
use crate::workspace::error::Error;

/// How long after it did not say IAM is asked again.
const RETRY: Duration = Duration::from_secs(600);

/// A ready token.
pub(super) struct ReadyToken {
    /// `None` if the token must not be shown to any IAM.
    iam: Option<Arc<dyn Iam>>,
    credentials: Arc<Credentials>,
    token: SecretString,
    end: Mutex<Option<Timestamp>>,
    /// When IAM was asked last.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl ReadyToken {
    pub(super) fn new(iam: Option<Arc<dyn Iam>>, token: SecretString) -> Self {
        Self {
            iam,
            credentials: Arc::new(Credentials::Token(token.clone())),
            token,
            end: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }
    }

    fn grant(&self) -> IssuedCredentials {
        IssuedCredentials {
            credentials: Arc::clone(&self.credentials),
            ends: *self.end.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Asks when the token ends, unless that is known or was asked lately. Not to know it is no reason to wait: then it is
    /// taken to live for a day.
    async fn learn_end(&self) {
        let Some(iam) = &self.iam else { return };
        let mut asked = self.asked.lock().await;
        if self.grant().ends.is_some() || asked.is_some_and(|at| at.elapsed() < RETRY) {
            return;
        }
        match iam.token_end(&self.token).await {
            Ok(end) => *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end),
            Err(error) => tracing::info!(%error, "IAM does not say when the token ends"),
        }
        *asked = Some(Instant::now());
    }
}

#[async_trait]
impl CredentialsProvider for ReadyToken {
    async fn current(&self) -> Result<IssuedCredentials, Error> {
        self.learn_end().await;
        Ok(self.grant())
    }

    fn held(&self) -> Option<IssuedCredentials> {
        Some(self.grant())
    }

    fn dismiss(&self, _: &Arc<Credentials>) -> bool {
        false
    }
}

impl fmt::Debug for ReadyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadyToken")
    }
}
