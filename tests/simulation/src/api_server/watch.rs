//! What a watch shows of the changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::resource::{Resource, metadata_of};
use super::selector::Selector;
use super::store::{Change, Store};
use super::{Refusal, Request, Target, bytes_of};

/// A watch.
#[derive(Debug, Clone)]
pub struct Watch {
    resource: Resource,
    namespace: Option<String>,
    selector: Selector,
    metadata_only: bool,
    /// Whether it wants bookmarks.
    pub bookmarks: bool,
    /// When the server ends it.
    pub timeout: Duration,
    /// Everything up to this resource version was shown.
    pub shown: u64,
    /// It begins with the objects that are there.
    initial: bool,
}

/// What a watch says.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: &'static str,
    /// Of what, as it is then.
    pub object: Arc<Value>,
}

impl Event {
    fn new(kind: &'static str, object: Value) -> Self {
        let object = Arc::new(object);
        Self { kind, object }
    }

    /// The line that is sent.
    pub fn line(&self) -> Bytes {
        #[derive(Serialize)]
        struct Line<'a> {
            r#type: &'a str,
            object: &'a Value,
        }
        let line = bytes_of(&Line {
            r#type: self.kind,
            object: &self.object,
        });
        [&line[..], b"\n"].concat().into()
    }
}

impl Watch {
    /// The watch that `request` opens; `now` is the newest resource version.
    pub(super) fn of(target: &Target, selector: Selector, request: &Request, now: u64) -> Self {
        let from = request.parameter("resourceVersion").parse().unwrap_or(0);
        let timeout = request.parameter("timeoutSeconds").parse().unwrap_or(1800);
        Self {
            resource: target.resource,
            namespace: target.namespace.clone(),
            selector,
            metadata_only: request.metadata_only(),
            bookmarks: request.parameter("allowWatchBookmarks") == "true",
            timeout: Duration::from_secs(timeout),
            shown: if from == 0 { now } else { from },
            initial: from == 0,
        }
    }

    /// The events that it has not shown yet, oldest first.
    ///
    /// # Errors
    /// The changes that it would have to show are forgotten: the last thing that it says is 410.
    pub fn next(&mut self, store: &Store) -> Result<Vec<Event>, Event> {
        if self.shown < store.compacted() {
            let message = format!("too old resource version: {} ({})", self.shown, store.compacted());
            let object = Refusal::new(410, "Expired", message).response().body;
            return Err(Event {
                kind: "ERROR",
                object,
            });
        }
        let mut events = Vec::new();
        if std::mem::take(&mut self.initial) {
            let there = store.list(self.resource, self.namespace.as_deref());
            let there = there.filter(|object| self.selector.admits(object));
            events.extend(there.map(|object| self.event("ADDED", object)));
        }
        let changes = store.since(self.shown).iter();
        events.extend(changes.filter_map(|change| self.show(change)));
        self.shown = self.shown.max(store.revision());
        Ok(events)
    }

    /// Tells how far it has come.
    pub fn bookmark(&self) -> Event {
        let object = json!({
            "apiVersion": self.resource.api_version(),
            "kind": self.resource.kind(),
            "metadata": {"resourceVersion": self.shown.to_string()},
        });
        Event::new("BOOKMARK", object)
    }

    /// An object that the selector admits no longer is deleted as far as the watch is concerned.
    fn show(&self, change: &Change) -> Option<Event> {
        let key = &change.key;
        let here = self
            .namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == key.namespace);
        if key.resource != self.resource || !here {
            return None;
        }
        let admitted =
            |object: &Option<Arc<Value>>| object.clone().filter(|object| self.selector.admits(object));
        match (admitted(&change.before), admitted(&change.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(self.event("ADDED", &after)),
            (Some(_), Some(after)) => Some(self.event("MODIFIED", &after)),
            (Some(before), None) => {
                let mut last = Value::clone(&before);
                last["metadata"]["resourceVersion"] = json!(change.revision.to_string());
                Some(self.event("DELETED", &Arc::new(last)))
            }
        }
    }

    fn event(&self, kind: &'static str, object: &Arc<Value>) -> Event {
        if self.metadata_only {
            Event::new(kind, metadata_of(object))
        } else {
            let object = object.clone();
            Event { kind, object }
        }
    }
}
