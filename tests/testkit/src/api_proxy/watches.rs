//! Watches that say nothing for a while, and lists of an earlier time.
//!
//! A frozen watch stays open and silent, as one does whose peer has failed. It resumes where it stopped, or ends with
//! the error that it is too old, after which a client lists again: then it sees only the result of the changes
//! meanwhile.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;

use super::{Body, BodyError, request::ApiRequest};

/// What the API server says to a watch whose beginning it no longer knows.
const TOO_OLD: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
);

/// The watches through one proxy.
pub(super) struct Watches {
    gate: watch::Sender<Gate>,
    past: Mutex<Option<Past>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    frozen: bool,
    /// How often all watches were forced to list again.
    lost: usize,
}

/// Lists that are served as of an earlier version.
struct Past {
    version: String,
    wanted: Box<dyn Fn(&ApiRequest) -> bool + Send>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            gate: watch::Sender::new(Gate::default()),
            past: Mutex::default(),
        }
    }
}

impl Watches {
    pub(super) fn freeze(&self) {
        self.gate.send_modify(|gate| gate.frozen = true);
    }

    pub(super) fn thaw(&self) {
        self.gate.send_modify(|gate| gate.frozen = false);
    }

    pub(super) fn lose(&self) {
        self.gate.send_modify(|gate| {
            gate.frozen = false;
            gate.lost += 1;
        });
    }

    pub(super) fn travel(&self, version: &str, wanted: Box<dyn Fn(&ApiRequest) -> bool + Send>) {
        let version = version.to_owned();
        *self.past() = Some(Past { version, wanted });
    }

    pub(super) fn come_back(&self) {
        *self.past() = None;
    }

    /// What a list asks for beside its own query, so that it shows the past.
    pub(super) fn asks_for(&self, request: &ApiRequest) -> Option<String> {
        let past = self.past();
        // A further page belongs to the time of the first.
        let first = request.verb == "list" && !request.query.contains("continue=");
        let past = past.as_ref().filter(|past| first && (past.wanted)(request));
        past.map(|past| format!("resourceVersion={}&resourceVersionMatch=Exact", past.version))
    }

    /// The body of a watch, line by line, as far as the gate lets it through.
    pub(super) fn hold<S, E>(&self, body: S) -> Body
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
        E: Into<BodyError> + Send + 'static,
    {
        let gate = self.gate.subscribe();
        let born = gate.borrow().lost;
        let held = Held {
            body,
            buffer: BytesMut::new(),
            gate,
            born,
        };
        let frames = stream::unfold(Some(held), |held| async move {
            let (item, held) = held?.next().await?;
            Some((item.map(Frame::data), held))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    fn past(&self) -> std::sync::MutexGuard<'_, Option<Past>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watch.
struct Held<S> {
    body: S,
    /// What has come, and was not passed on yet.
    buffer: BytesMut,
    gate: watch::Receiver<Gate>,
    born: usize,
}

impl<S, E> Held<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<BodyError>,
{
    /// What is passed on next, and the watch if it goes on after that.
    async fn next(mut self) -> Option<(Result<Bytes, BodyError>, Option<Self>)> {
        loop {
            let gate = *self.gate.borrow_and_update();
            if gate.lost != self.born {
                return Some((Ok(Bytes::from_static(TOO_OLD.as_bytes())), None));
            }
            if gate.frozen {
                self.gate.changed().await.ok()?;
                continue;
            }
            if let Some(end) = self.buffer.iter().rposition(|&byte| byte == b'\n') {
                let lines = self.buffer.split_to(end + 1).freeze();
                return Some((Ok(lines), Some(self)));
            }
            tokio::select! {
                changed = self.gate.changed() => changed.ok()?,
                chunk = self.body.next() => match chunk? {
                    Ok(chunk) => self.buffer.extend_from_slice(&chunk),
                    Err(error) => return Some((Err(error.into()), None)),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// A watch whose far end is in the test's hand.
    fn watched(watches: &Watches) -> (mpsc::UnboundedSender<&'static str>, Body) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let chunks = stream::unfold(receiver, |mut receiver| async move {
            let chunk: &'static str = receiver.recv().await?;
            Some((
                Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes())),
                receiver,
            ))
        });
        (sender, watches.hold(Box::pin(chunks)))
    }

    async fn next(body: &mut Body) -> Option<String> {
        let frame = body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_frozen_watch_is_silent_and_goes_on_where_it_stood() {
        let watches = Watches::default();
        let (server, mut body) = watched(&watches);
        server.send("one\ntw").unwrap();
        assert_eq!(next(&mut body).await.as_deref(), Some("one\n"));
        watches.freeze();
        server.send("o\n").unwrap();
        tokio::select! {
            biased;
            said = next(&mut body) => panic!("it says {said:?}"),
            () = tokio::task::yield_now() => {}
        }
        watches.thaw();
        assert_eq!(next(&mut body).await.as_deref(), Some("two\n"));
    }

    #[tokio::test]
    async fn a_lost_watch_reports_that_it_is_too_old_and_ends() {
        let watches = Watches::default();
        let (server, mut body) = watched(&watches);
        watches.freeze();
        server.send("never seen\n").unwrap();
        watches.lose();
        assert_eq!(next(&mut body).await.as_deref(), Some(TOO_OLD));
        assert_eq!(next(&mut body).await, None);
        let (server, mut body) = watched(&watches);
        server.send("anew\n").unwrap();
        assert_eq!(next(&mut body).await.as_deref(), Some("anew\n"));
    }
}
