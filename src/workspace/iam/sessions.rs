//! What all clients of the process share: one session for each login and project, so that a login serves every request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::login_throttle::LoginThrottle;
use super::ready::Ready;
use super::session::Session;
use super::{CredentialsProvider, Iam};
use crate::ids::ProjectID;
use crate::workspace::auth::{Credentials, PasswordLogin};
use crate::workspace::transport::Place;

/// Sessions that nobody asked for so long are forgotten: a Secret that was replaced leaves nothing behind.
const IDLE: Duration = Duration::from_secs(3600);

/// Which session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Which IAM; `None`: none is asked.
    iam: Option<Place>,
    project: ProjectID,
    /// Fingerprint of the login.
    login: String,
}

/// The sessions of the process.
#[derive(Debug, Default)]
pub(in crate::workspace) struct Sessions {
    sessions: Kept<Key, Arc<dyn CredentialsProvider>>,
    /// Whose turn it is to log in, for each IAM and login.
    turns: Kept<(Place, String), Arc<tokio::sync::Mutex<LoginThrottle>>>,
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
        let key = Key {
            iam: Some(place),
            project: project.clone(),
            login: fingerprint,
        };
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
        let key = Key {
            iam: place,
            project,
            login: token.fingerprint(),
        };
        self.sessions.get(key, || Arc::new(Ready::new(iam, token)))
    }
}

/// Things that are made when first asked for.
#[derive(Debug)]
struct Kept<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    fn get(&self, key: K, make: impl FnOnce() -> V) -> V {
        let now = Instant::now();
        let mut kept = self.0.lock();
        if let Some((used, value)) = kept.get_mut(&key) {
            *used = now;
            return value.clone();
        }
        kept.retain(|_, (used, _)| now.duration_since(*used) < IDLE);
        let value = make();
        kept.insert(key, (now, value.clone()));
        value
    }
}
