//! The IAM sessions that all clients of the process share: one for each user and project, so that one login serves every
//! request.

use std::sync::Arc;
use std::time::Duration;

use super::login_throttle::LoginThrottle;
use super::static_credentials::StaticCredentials;
use super::user_session::UserSession;
use super::{CredentialsProvider, Iam};
use crate::expiring::ExpiringMap;
use crate::ids::ProjectID;
use crate::workspace::auth::{Credentials, PasswordCredentials};
use crate::workspace::transport::ServiceKey;

/// Sessions that were not used for this long are dropped, so that nothing remains of a replaced Secret.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// The sessions of the process.
#[derive(Debug)]
pub(in crate::workspace) struct SessionPool {
    /// By IAM endpoint (`None`: IAM is not used), project, and fingerprint of the credentials.
    sessions: ExpiringMap<(Option<ServiceKey>, ProjectID, String), Arc<dyn CredentialsProvider>>,
    /// Serializes the logins of a user, by IAM endpoint and fingerprint.
    throttles: ExpiringMap<(ServiceKey, String), Arc<tokio::sync::Mutex<LoginThrottle>>>,
}

impl Default for SessionPool {
    fn default() -> Self {
        Self {
            sessions: ExpiringMap::new(IDLE_TIMEOUT),
            throttles: ExpiringMap::new(IDLE_TIMEOUT),
        }
    }
}

impl SessionPool {
    /// The session of a user.
    pub(in crate::workspace) fn password(
        &self,
        service_key: ServiceKey,
        iam: Arc<dyn Iam>,
        project: ProjectID,
        password: PasswordCredentials,
    ) -> Arc<dyn CredentialsProvider> {
        let fingerprint = password.fingerprint();
        let throttle = self
            .throttles
            .get_or_insert_with((service_key.clone(), fingerprint.clone()), Arc::default);
        let key = (Some(service_key), project.clone(), fingerprint);
        self.sessions.get_or_insert_with(key, || {
            Arc::new(UserSession::new(iam, password, project, throttle))
        })
    }

    /// The session of a token from a Secret.
    pub(in crate::workspace) fn token(
        &self,
        iam: Option<(ServiceKey, Arc<dyn Iam>)>,
        project: ProjectID,
        token: Credentials,
    ) -> Arc<dyn CredentialsProvider> {
        let (service_key, iam) = iam.unzip();
        let key = (service_key, project, token.fingerprint());
        self.sessions
            .get_or_insert_with(key, || Arc::new(StaticCredentials::new(iam, token)))
    }
}
