//! IAM, the vendor's identity service: exchanges the password of a user for credentials that sign requests.
//!
//! ```text
//!  password ──► token, a day ──► temporary access key, an hour ──► signs
//!                    └── where IAM refuses the exchange: sent as it is
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | this | the calls and their results |
//! | `user_session` | one user in one project: logged in once, renewed in time |
//! | `login_throttle` | one login of a user at a time, and few failed ones |
//! | `static_credentials` | credentials that need no login, and the expiry of a token |
//! | `session_pool` | what all clients of the process share |
//! | `http`, `wire` | the calls over HTTPS, and their bodies |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::auth::{Credentials, PasswordCredentials};
use super::error::{Error, Failure, Operation};
use crate::ids::ProjectID;

pub(super) mod http;
mod login_throttle;
pub(super) mod session_pool;
pub(super) mod static_credentials;
mod user_session;
mod wire;

/// The calls of IAM.
#[async_trait]
pub(super) trait Iam: Send + Sync + fmt::Debug {
    /// `POST /v3/auth/tokens`: a token for one project.
    async fn create_token(
        &self,
        credentials: &PasswordCredentials,
        project: &ProjectID,
    ) -> Result<Issued<SecretString>, Error>;

    /// `POST /v3.0/OS-CREDENTIAL/securitytokens`: a temporary access key with the rights of a token.
    async fn create_temporary_key(&self, token: &SecretString) -> Result<Issued<Credentials>, Error>;

    /// `GET /v3/auth/tokens`: when a token ends. Every user may ask about their own.
    async fn token_expiry(&self, token: &SecretString) -> Result<Timestamp, Error>;
}

/// Something that IAM issued, with its expiry.
#[derive(Debug, Clone)]
pub(super) struct Issued<T> {
    pub(super) value: T,
    /// When it ends, by the service's clock.
    pub(super) expires_at: Timestamp,
    /// Remaining lifetime when it was issued.
    pub(super) lifetime: Duration,
}

/// Where the credentials of the next call come from.
#[async_trait]
pub(super) trait CredentialsProvider: Send + Sync + fmt::Debug {
    /// The credentials of the next call.
    async fn current(&self) -> Result<IssuedCredentials, Error>;

    /// The same without a call; `None` if it must be renewed first.
    fn cached(&self) -> Option<IssuedCredentials>;

    /// Invalidates credentials that the cloud did not accept. Returns whether [`current`](Self::current) can return
    /// others.
    fn invalidate(&self, refused: &Arc<Credentials>) -> bool;
}

/// Credentials for a request, with their expiry.
#[derive(Debug, Clone)]
pub(super) struct IssuedCredentials {
    pub(super) credentials: Arc<Credentials>,
    /// When they end, by the service's clock, as far as that is known.
    pub(super) expires_at: Option<Timestamp>,
}

/// Is notified how each call of IAM ended.
pub trait CallObserver: Send + Sync + fmt::Debug {
    /// A call ended with a response with this HTTP status, or with a failure.
    fn call_ended(&self, operation: Operation, outcome: Result<u16, &Failure>);
}

/// Ignores the notifications.
impl CallObserver for () {
    fn call_ended(&self, _: Operation, _: Result<u16, &Failure>) {}
}
