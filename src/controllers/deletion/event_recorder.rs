//! Who publishes the Events of which request. kube's recorder keeps what it published for six minutes, to count what is
//! said again, and goes through all of that at each Event: one for all requests would cost the square of their number.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::time::Instant;

/// For so long kube's recorder counts what is said again.
const FOLDS: Duration = Duration::from_secs(360);

/// How often those that have nothing left to fold are let go.
const SWEEP: Duration = Duration::from_secs(60);

/// A recorder for each request that has published lately.
pub struct EventRecorders {
    client: Client,
    reporter: Reporter,
    kept: Mutex<Kept>,
}

struct Kept {
    swept: Instant,
    /// By uid, and when each was last asked for.
    recorders: HashMap<String, (Instant, Recorder)>,
}

impl EventRecorders {
    /// None yet.
    pub fn new(client: Client, reporter: Reporter) -> Self {
        Self {
            client,
            reporter,
            kept: Mutex::new(Kept {
                swept: Instant::now(),
                recorders: HashMap::new(),
            }),
        }
    }

    /// The recorder of the request.
    pub fn of(&self, uid: &str) -> Recorder {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.swept.elapsed() >= SWEEP {
            kept.swept = now;
            kept.recorders.retain(|_, (used, _)| used.elapsed() < FOLDS);
        }
        let new = || (now, Recorder::new(self.client.clone(), self.reporter.clone()));
        let (used, recorder) = kept.recorders.entry(uid.to_owned()).or_insert_with(new);
        *used = now;
        recorder.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_recorder_is_kept_for_as_long_as_it_has_something_to_fold() {
        let nobody = tower::service_fn(|_: Request<Body>| async {
            Err::<Response<Body>, _>(io::Error::other("nobody listens"))
        });
        let recorders = EventRecorders::new(Client::new(nobody, "vdi"), "operator".into());
        let kept = || {
            let mut uids: Vec<_> = recorders.kept.lock().unwrap().recorders.keys().cloned().collect();
            uids.sort_unstable();
            uids
        };
        recorders.of("u1");
        tokio::time::advance(SWEEP).await;
        recorders.of("u2");
        assert_eq!(kept(), ["u1", "u2"]);
        tokio::time::advance(FOLDS).await;
        recorders.of("u3");
        assert_eq!(kept(), ["u3"]);
        tokio::time::advance(SWEEP).await;
        recorders.of("u4");
        assert_eq!(kept(), ["u3", "u4"]);
    }
}
