//! Traps: where the proxy stops and asks the test what to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header, request::Parts};
use serde_json::json;
use tokio::sync::oneshot;

use super::request::ApiRequest;
use crate::error::Error;

/// How long a trap waits for its request: longer than any response that the operator may wait for before.
const BOUND: Duration = Duration::from_secs(600);

/// On which side of the effect a trap springs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request is here, and the API server has not seen it.
    Before,
    /// The API server has carried it out and answered, and the operator has not seen the response.
    After,
}

/// A trap that was laid.
pub struct Trap {
    caught: oneshot::Receiver<Caught>,
}

/// A request that is held until the test decides what happens to it; dropping this closes its connection.
pub struct Caught {
    /// What was asked.
    pub request: Arc<ApiRequest>,
    reaction: oneshot::Sender<Reaction>,
}

/// What happens to a request.
pub(super) enum Reaction {
    GoOn,
    Drop,
    Cut,
    Answer(Box<Response<String>>),
}

type Wanted = Box<dyn Fn(&ApiRequest) -> bool + Send>;

/// The traps of one proxy.
#[derive(Default)]
pub(super) struct Traps(Mutex<State>);

#[derive(Default)]
struct State {
    requests: Vec<Arc<ApiRequest>>,
    laid: Vec<Laid>,
}

struct Laid {
    moment: Moment,
    /// So many more must come.
    left: usize,
    wanted: Wanted,
    caught: oneshot::Sender<Caught>,
}

impl Trap {
    /// Waits until the trap springs.
    ///
    /// # Errors
    ///
    /// No such request came in a long time, or the proxy ended.
    pub async fn sprung(self) -> Result<Caught, Error> {
        match tokio::time::timeout(BOUND, self.caught).await {
            Ok(Ok(caught)) => Ok(caught),
            Ok(Err(_)) => Err(Error::Other("the proxy ended before its trap sprang".to_owned())),
            Err(_) => Err(Error::Other(format!("a trap has not sprung within {BOUND:?}"))),
        }
    }
}

impl Caught {
    /// Lets it pass.
    pub fn go_on(self) {
        self.say(Reaction::GoOn);
    }

    /// Closes the connection without a response: the request, or the response to it, is lost.
    pub fn drop_connection(self) {
        self.say(Reaction::Drop);
    }

    /// Breaks the connection off in the middle of the response's body; before there is a response, as
    /// [`Caught::drop_connection`].
    pub fn cut_answer(self) {
        self.say(Reaction::Cut);
    }

    /// Answers with this status and the API server's form of an error.
    ///
    /// # Errors
    ///
    /// It is no HTTP status.
    pub fn answer(self, status: u16) -> Result<(), Error> {
        let code = StatusCode::from_u16(status).map_err(|error| Error::Other(error.to_string()))?;
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "made up by a test", "reason": code.canonical_reason().unwrap_or_default(), "code": status,
        });
        let mut answer = Response::new(body.to_string());
        *answer.status_mut() = code;
        let json = header::HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        self.say(Reaction::Answer(Box::new(answer)));
        Ok(())
    }

    /// The receiver is gone if the client has timed out or was killed.
    fn say(self, reaction: Reaction) {
        self.reaction.send(reaction).ok();
    }
}

impl Traps {
    pub(super) fn lay(&self, moment: Moment, nth: usize, wanted: Wanted) -> Trap {
        let (sender, caught) = oneshot::channel();
        self.lock().laid.push(Laid {
            moment,
            left: nth.max(1),
            wanted,
            caught: sender,
        });
        Trap { caught }
    }

    pub(super) fn number(&self, head: &Parts, body: &Bytes) -> Arc<ApiRequest> {
        let mut state = self.lock();
        let request = Arc::new(ApiRequest::read(state.requests.len() + 1, head, body));
        state.requests.push(request.clone());
        request
    }

    pub(super) fn count(&self, wanted: impl Fn(&ApiRequest) -> bool) -> usize {
        let requests = self.lock().requests.clone();
        requests.iter().filter(|request| wanted(request)).count()
    }

    /// Springs the oldest trap that is due; all that match count the request.
    pub(super) async fn spring(&self, moment: Moment, request: &Arc<ApiRequest>) -> Reaction {
        let Some(sender) = self.due(moment, request) else {
            return Reaction::GoOn;
        };
        let (verdict, said) = oneshot::channel();
        let caught = Caught {
            request: request.clone(),
            reaction: verdict,
        };
        // A test that does not wait for its trap any more wants nothing held.
        if sender.send(caught).is_err() {
            return Reaction::GoOn;
        }
        said.await.unwrap_or(Reaction::Drop)
    }

    fn due(&self, moment: Moment, request: &ApiRequest) -> Option<oneshot::Sender<Caught>> {
        let mut state = self.lock();
        let mut due = None;
        for (index, laid) in state.laid.iter_mut().enumerate() {
            if laid.moment == moment && (laid.wanted)(request) {
                laid.left = laid.left.saturating_sub(1);
                due = due.or((laid.left == 0).then_some(index));
            }
        }
        let due = due?;
        Some(state.laid.remove(due).caught)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
