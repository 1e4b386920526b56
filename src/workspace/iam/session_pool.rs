//! The IAM sessions that all clients of the process share: one for each user and project, so that one login serves every
//! request.

use std::sync::Arc;
use std::time::Duration;

use super::login_throttle::LoginThrottle;
use super::ready::Ready;
use super::user_session::Session;
use super::{CredentialsProvider, Iam};
use crate::expiring::ExpiringMap;
use crate::ids::ProjectID;
use crate::workspace::auth::{Credentials, PasswordLogin};
use crate::workspace::transport::Place;

/// Sessions that were not used for so long are forgotten: a Secret that was replaced leaves nothing behind.
const IDLE: Duration = Duration::from_secs(3600);

/// The sessions of the process.
#[derive(Debug)]
pub(in crate::workspace) struct Sessions {
    /// For each IAM (`None`: none is asked), project, and fingerprint of the login.
    sessions: ExpiringMap<(Option<Place>, ProjectID, String), Arc<dyn CredentialsProvider>>,
    /// Serializes the logins of a user, for each IAM and fingerprint.
    turns: ExpiringMap<(Place, String), Arc<tokio::sync::Mutex<LoginThrottle>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            sessions: ExpiringMap::new(IDLE),
            turns: ExpiringMap::new(IDLE),
        }
    }
}

impl Sessions {
    /// The session of a user.
    pub(in crate::workspace) fn password(
        &self,
        place: Place,
        iam: Arc<dyn Iam>,
        project: ProjectID,
        login: PasswordLogin,
    ) -> Arc<dyn CredentialsProvider> {
        let fingerprint = login.fingerprint();
        let turn = self.turns.get((place.clone(), fingerprint.clone()), Arc::default);
        let key = (Some(place), project.clone(), fingerprint);
        self.sessions
            .get(key, || Arc::new(Session::new(iam, login, project, turn)))
    }

    /// A token that is ready.
    pub(in crate::workspace) fn token(
        &self,
        iam: Option<(Place, Arc<dyn Iam>)>,
        project: ProjectID,
        token: Credentials,
    ) -> Arc<dyn CredentialsProvider> {
        let (place, iam) = iam.unzip();
        let key = (place, project, token.fingerprint());
        self.sessions.get(key, || Arc::new(Ready::new(iam, token)))
    }
}
