//! Publishes Events. If an Event is repeated within some minutes, only the count of the first one is increased. Only
//! the names of published Events are kept, those of a request until it ends: kube's recorder keeps whole Events, and
//! searches all of them each time.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::clock::Clock;

/// The controller that Events name.
const CONTROLLER: &str = "desktop-deletion-operator";

/// How long a repeated Event increases the count of the first one.
const COUNT_WINDOW: Duration = Duration::from_secs(360);

/// How long publishing an Event may take: the reconciliation waits for it.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum number of tries.
const MAX_TRIES: u32 = 3;

/// Delay between two tries.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Maximum size of a note that the API server accepts, in bytes.
const MAX_NOTE_BYTES: usize = 1024;

/// Whether an Event needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// It does not.
    Normal,
    /// It does.
    Warning,
}

/// Content of an Event about an object.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Whether it needs attention.
    pub kind: EventType,
    /// Machine-readable reason, in CamelCase.
    pub reason: &'a str,
    /// Human-readable message.
    pub note: &'a str,
    /// Another object, or a version of this one: Events with different related objects are not merged.
    pub related: Option<ObjectReference>,
}

/// Publishes Events in the name of this process.
pub struct Events {
    client: Client,
    clock: Clock,
    identity: String,
    /// By uid of the object.
    published: Mutex<HashMap<String, Vec<Published>>>,
}

struct Published {
    kind: EventType,
    reason: String,
    related: Option<ObjectReference>,
    name: String,
    count: i32,
    last: Instant,
}

/// What is written.
enum Write {
    New(Box<Event>),
    /// The name of an Event, and how often it has occurred by now.
    Count(String, i32),
}

impl Write {
    fn into_name_and_count(self) -> (String, i32) {
        match self {
            Self::New(event) => (event.metadata.name.unwrap_or_default(), 1),
            Self::Count(name, count) => (name, count),
        }
    }
}

struct WriteError {
    /// There is no such Event.
    not_found: bool,
    /// Another try would fail too.
    permanent: bool,
    text: String,
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        let rejected = |code: u16| (400..500).contains(&code) && code != 408 && code != 429;
        Self {
            not_found: matches!(&error, kube::Error::Api(status) if status.code == 404),
            permanent: matches!(&error, kube::Error::Api(status) if rejected(status.code)),
            text: error.to_string(),
        }
    }
}

impl Published {
    fn matches(&self, new_event: &NewEvent<'_>) -> bool {
        (self.kind, &*self.reason, &self.related) == (new_event.kind, new_event.reason, &new_event.related)
    }
}

impl Events {
    /// Publishes in the name of `identity`.
    pub fn new(client: Client, clock: Clock, identity: String) -> Self {
        Self {
            client,
            clock,
            identity,
            published: Mutex::default(),
        }
    }

    /// Publishes an Event about an object, which takes ten seconds at most. Best effort: a failure that may be temporary
    /// is retried, and then only logged.
    pub async fn publish(&self, about: &ObjectReference, new_event: NewEvent<'_>) {
        let tries = self.write_with_retries(about, &new_event);
        let result = tokio::time::timeout(PUBLISH_TIMEOUT, tries).await;
        if let Err(error) = result.unwrap_or_else(|_| Err("timed out".to_owned())) {
            tracing::debug!(
                namespace = about.namespace,
                name = about.name,
                reason = new_event.reason,
                error,
                "an Event could not be published"
            );
        }
    }

    /// Forgets the Events of a request that has ended or is gone.
    pub fn forget(&self, uid: &str) {
        self.published.lock().remove(uid);
    }

    async fn write_with_retries(
        &self,
        about: &ObjectReference,
        new_event: &NewEvent<'_>,
    ) -> Result<(), String> {
        let uid = about.uid.as_deref().unwrap_or_default();
        let now = self.clock.now();
        let new = || Write::New(Box::new(self.event(about, new_event, now)));
        let mut write = match self.earlier(uid, new_event) {
            Some((name, count)) => Write::Count(name, count.saturating_add(1)),
            None => new(),
        };
        let mut tries_left = MAX_TRIES;
        loop {
            let Err(error) = self.try_write(about, &write, now).await else {
                let (name, count) = write.into_name_and_count();
                self.record(uid, new_event, name, count);
                return Ok(());
            };
            tries_left = tries_left.saturating_sub(1);
            if error.not_found && matches!(write, Write::Count(..)) {
                // The Event was deleted.
                write = new();
            } else if error.permanent || tries_left == 0 {
                return Err(error.text);
            } else {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    /// Writes an Event once. Its name is known before, so that one that was created by an earlier try is not created again.
    async fn try_write(
        &self,
        about: &ObjectReference,
        write: &Write,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let namespace = about.namespace.as_deref().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let written = async {
            match write {
                Write::New(event) => events
                    .create(&PostParams::default(), event.as_ref())
                    .await
                    .map(drop),
                Write::Count(name, count) => {
                    let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}});
                    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&series));
                    events.patch_metadata(name, &parameters, &patch).await.map(drop)
                }
            }
        };
        match tokio::time::timeout(TRY_TIMEOUT, written).await {
            Ok(Err(kube::Error::Api(status))) if status.is_already_exists() => Ok(()),
            Ok(written) => written.map_err(WriteError::from),
            Err(_) => Err(WriteError {
                not_found: false,
                permanent: false,
                text: "timed out".to_owned(),
            }),
        }
    }

    fn event(&self, about: &ObjectReference, new_event: &NewEvent<'_>, now: Timestamp) -> Event {
        let of = about.name.as_deref().unwrap_or(CONTROLLER);
        Event {
            action: Some("Delete".to_owned()),
            reason: Some(new_event.reason.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(about.clone()),
            related: new_event.related.clone(),
            note: Some(cut(new_event.note).to_owned()),
            metadata: ObjectMeta {
                namespace: about.namespace.clone(),
                name: Some(format!("{of}.{:016x}", self.clock.random())),
                ..ObjectMeta::default()
            },
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.identity.clone()),
            type_: Some(match new_event.kind {
                EventType::Normal => "Normal".to_owned(),
                EventType::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        }
    }

    /// The name and count of the same Event, if it was published recently.
    fn earlier(&self, uid: &str, new_event: &NewEvent<'_>) -> Option<(String, i32)> {
        let mut published = self.published.lock();
        let of_object = published.get_mut(uid)?;
        of_object.retain(|event| event.last.elapsed() < COUNT_WINDOW);
        let known = of_object.iter().find(|event| event.matches(new_event))?;
        Some((known.name.clone(), known.count))
    }

    fn record(&self, uid: &str, new_event: &NewEvent<'_>, name: String, count: i32) {
        let mut published = self.published.lock();
        let of_object = published.entry(uid.to_owned()).or_default();
        of_object.retain(|event| !event.matches(new_event));
        of_object.push(Published {
            kind: new_event.kind,
            reason: new_event.reason.to_owned(),
            related: new_event.related.clone(),
            name,
            count,
            last: Instant::now(),
        });
    }
}

/// A note, truncated to the size that the API server accepts.
fn cut(note: &str) -> &str {
    let mut end = note.len().min(MAX_NOTE_BYTES);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    &note[..end]
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;
    use crate::clock::SystemClock;

    fn events() -> Events {
        let failing = tower::service_fn(|_: Request<Body>| async {
            Err::<Response<Body>, _>(io::Error::other("no server"))
        });
        Events::new(
            Client::new(failing, "vdi"),
            Arc::new(SystemClock),
            "operator".to_owned(),
        )
    }

    fn news(reason: &str) -> NewEvent<'_> {
        NewEvent {
            kind: EventType::Normal,
            reason,
            note: "a sentence",
            related: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_repeated_within_minutes_increments_a_count() {
        let events = events();
        assert_eq!(events.earlier("u1", &news("Held")), None);
        events.record("u1", &news("Held"), "leaver.1".to_owned(), 1);
        let again = Some(("leaver.1".to_owned(), 1));
        assert_eq!(events.earlier("u1", &news("Held")), again);
        let of_version = NewEvent {
            related: Some(ObjectReference::default()),
            ..news("Held")
        };
        for other in [news("Sent"), of_version] {
            assert_eq!(events.earlier("u1", &other), None);
        }
        assert_eq!(events.earlier("u2", &news("Held")), None);
        tokio::time::advance(COUNT_WINDOW).await;
        assert_eq!(events.earlier("u1", &news("Held")), None);
    }

    /// What an API server does with a write.
    #[derive(Debug, Clone, Copy)]
    enum Reaction {
        Respond(u16),
        Fail,
        Hang,
    }

    use Reaction::{Fail, Hang, Respond};

    /// An API server that reacts like this in turn, and the writes that were sent to it.
    fn reacting(reactions: &[Reaction]) -> (Events, Arc<Mutex<Vec<Value>>>) {
        let writes = Arc::new(Mutex::new(Vec::new()));
        let (sent, reactions) = (writes.clone(), reactions.to_vec());
        let server = tower::service_fn(move |request: Request<Body>| {
            let (sent, reactions) = (sent.clone(), reactions.clone());
            async move {
                let patched = request
                    .uri()
                    .path()
                    .rsplit_once("/leaver.")
                    .map(|(_, name)| name.to_owned());
                let body = request.into_body().collect_bytes().await.unwrap();
                let write: Value = serde_json::from_slice(&body).unwrap();
                let name = patched.map_or(write["metadata"]["name"].clone(), |name| {
                    json!(format!("leaver.{name}"))
                });
                let reaction = reactions[sent.lock().len()];
                sent.lock()
                    .push(json!({"name": name, "count": write["series"]["count"]}));
                let code = match reaction {
                    Respond(code) => code,
                    Fail => return Err(io::Error::other("no server")),
                    Hang => std::future::pending().await,
                };
                let reason = if code == 409 { "AlreadyExists" } else { "Other" };
                let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": ""});
                let body = if code < 300 {
                    json!({"metadata": {"name": name}})
                } else {
                    status
                };
                let response = Response::builder().status(code);
                Ok(response.body(Body::from(body.to_string().into_bytes())).unwrap())
            }
        });
        let events = Events::new(
            Client::new(server, "vdi"),
            Arc::new(SystemClock),
            "operator".to_owned(),
        );
        (events, writes)
    }

    fn leaver() -> ObjectReference {
        ObjectReference {
            namespace: Some("vdi".to_owned()),
            name: Some("leaver".to_owned()),
            uid: Some("u1".to_owned()),
            ..ObjectReference::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_may_be_temporary_is_retried_with_the_same_event() {
        for (reactions, published) in [
            (&[Respond(201)][..], true),
            // It was created, and the response was lost.
            (&[Fail, Respond(409)], true),
            (&[Respond(503), Respond(429), Respond(201)], true),
            (&[Hang, Respond(201)], true),
            (&[Hang, Hang], false),
            (&[Fail, Fail, Fail], false),
        ] {
            let (events, writes) = reacting(reactions);
            events.publish(&leaver(), news("Held")).await;
            let writes = writes.lock();
            assert_eq!(writes.len(), reactions.len(), "{reactions:?}");
            assert!(writes.iter().all(|write| *write == writes[0]), "{writes:?}");
            let known = events.earlier("u1", &news("Held"));
            assert_eq!(known.is_some(), published, "{reactions:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_event_is_counted_once_even_if_the_write_is_retried_and_anew_if_it_was_deleted() {
        let (events, writes) = reacting(&[Respond(201), Fail, Respond(200), Respond(404), Respond(201)]);
        for _ in 0..3 {
            events.publish(&leaver(), news("Held")).await;
        }
        let writes = writes.lock();
        let counts: Vec<_> = writes.iter().map(|write| write["count"].as_i64()).collect();
        assert_eq!(counts, [None, Some(2), Some(2), Some(3), None]);
        assert!(
            writes[..4].iter().all(|write| write["name"] == writes[0]["name"]),
            "{writes:?}"
        );
        assert_ne!(writes[4]["name"], writes[0]["name"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_event_is_not_retried() {
        let (events, writes) = reacting(&[Respond(403)]);
        events.publish(&leaver(), news("Held")).await;
        assert_eq!(writes.lock().len(), 1);
        assert_eq!(events.earlier("u1", &news("Held")), None);
    }

    #[tokio::test]
    async fn events_of_a_finished_request_are_forgotten() {
        let events = events();
        events.record("u1", &news("Held"), "leaver.1".to_owned(), 1);
        events.forget("u1");
        assert!(events.published.lock().is_empty());
    }

    #[test]
    fn a_note_is_truncated_to_the_limit_of_the_api_server_at_a_character_boundary() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"a".repeat(2000)).len(), MAX_NOTE_BYTES);
        let wide = "部".repeat(600);
        assert_eq!(cut(&wide).len(), MAX_NOTE_BYTES / 3 * 3);
        assert!(wide.starts_with(cut(&wide)));
    }
}
