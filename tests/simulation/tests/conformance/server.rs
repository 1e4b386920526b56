//! The two servers, and a client that remembers what each said last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::Method;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use simulation::api_server::watch::Event;
use simulation::api_server::{Answer, ApiServer, Request};

use crate::sequence::{Step, Uid, Verb, Version};

/// Method, path with query, content type, body.
pub(crate) type Asked = (Method, String, String, String);

/// How long a real server may be silent before a watch has shown all.
const SILENCE: Duration = Duration::from_secs(180);

/// Something that answers requests.
#[async_trait]
pub(crate) trait Server: Send {
    /// Status and body of the response.
    async fn ask(&mut self, asked: Asked) -> (u16, Value);

    /// The events of a watch, up to one about an object of that name, or an error.
    async fn watch(&mut self, path: String, last: &str) -> Vec<Value>;
}

/// A real API server.
pub(crate) struct Real(pub(crate) kube::Client);

/// The simulated one.
#[derive(Default)]
pub(crate) struct Simulated(pub(crate) ApiServer);

#[async_trait]
impl Server for Real {
    async fn ask(&mut self, (method, path, content_type, body): Asked) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(Body::from(body.into_bytes()))
            .unwrap();
        let response = self.0.send(request).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn watch(&mut self, path: String, last: &str) -> Vec<Value> {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = self.0.send(request).await.unwrap();
        let mut parts = response
            .into_body()
            .into_data_stream()
            .map_err(|error| error.to_string());
        let (mut events, mut text) = (Vec::new(), Vec::new());
        while let Ok(Some(Ok(part))) = tokio::time::timeout(SILENCE, parts.next()).await {
            text.extend_from_slice(&part);
            while let Some(end) = text.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                if event["object"]["metadata"]["name"] == last {
                    return events;
                }
                let over = event["type"] == "ERROR";
                if event["type"] != "BOOKMARK" {
                    events.push(event);
                }
                if over {
                    return events;
                }
            }
        }
        events
    }
}

#[async_trait]
impl Server for Simulated {
    async fn ask(&mut self, asked: Asked) -> (u16, Value) {
        match self.answer(asked) {
            Answer::Whole(response) => (response.code, Arc::unwrap_or_clone(response.body)),
            Answer::Watch(_) => unreachable!("nobody asks for a watch so"),
        }
    }

    async fn watch(&mut self, path: String, last: &str) -> Vec<Value> {
        let Answer::Watch(mut watch) = self.answer((Method::GET, path, String::new(), String::new())) else {
            unreachable!("the query asks for a watch");
        };
        let shown = |event: &Event| json!({"type": event.kind, "object": *event.object});
        match watch.next(&self.0.store) {
            Ok(events) => events
                .iter()
                .take_while(|event| event.object["metadata"]["name"] != last)
                .map(shown)
                .collect(),
            Err(gone) => vec![shown(&gone)],
        }
    }
}

impl Simulated {
    fn answer(&mut self, (method, path, content_type, body): Asked) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let query = form_urlencoded::parse(query.as_bytes());
        let request = Request {
            method,
            path: path.to_owned(),
            query: query.map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
            content_type,
            accept: "application/json".to_owned(),
            body: Bytes::from(body),
        };
        self.0.handle(Timestamp::UNIX_EPOCH, &request)
    }
}

/// A client of a server, with memory.
pub(crate) struct Client<S> {
    pub(crate) server: S,
    namespace: String,
    /// Of each object: every version that was seen, oldest first.
    seen: BTreeMap<String, Vec<Value>>,
}

/// The last object that is created: once it shows, a watch has shown all.
const MARKER: &str = "the-end";

/// What a response says, as far as two servers can say the same.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) code: u16,
    reason: Value,
    object: Value,
    /// How the resource version compares with the last one seen of the object.
    version: Option<std::cmp::Ordering>,
    /// The uid is the one that was seen last.
    same_uid: Option<bool>,
    /// Names that were listed.
    names: Vec<String>,
}

impl Said {
    /// Whether a simulated server that says `simulated` is like the real one.
    pub(crate) fn is_like(&self, simulated: &Self) -> bool {
        // A real one looks into a cache first. If that is behind, a write that changes nothing may go through although the
        // version that it carries is an old one.
        let unchanged = self.code == 200 && self.version == Some(std::cmp::Ordering::Equal);
        self == simulated || (unchanged && simulated.code == 409)
    }
}

impl<S: Server> Client<S> {
    pub(crate) fn of(server: S, namespace: &str) -> Self {
        Self {
            server,
            namespace: namespace.to_owned(),
            seen: BTreeMap::new(),
        }
    }

    fn collection(&self) -> String {
        let namespace = &self.namespace;
        format!("/apis/cloud-desktops.dev/v1alpha1/namespaces/{namespace}/desktopdeletions")
    }

    /// The newest resource version.
    pub(crate) async fn newest(&mut self) -> u64 {
        let path = self.collection();
        let (_, list) = self
            .server
            .ask((Method::GET, path, String::new(), String::new()))
            .await;
        number(&list)
    }

    /// Creates the first object: a watch from resource version 0 would be another thing.
    pub(crate) async fn mark_the_beginning(&mut self) {
        self.mark("the-beginning").await;
    }

    /// Creates the last object, which shows by every selector.
    pub(crate) async fn mark_the_end(&mut self) {
        self.mark(MARKER).await;
    }

    async fn mark(&mut self, name: &str) {
        let object = self.object(name, &[], &json!({}));
        let path = self.collection();
        let as_json = "application/json".to_owned();
        let created = (Method::POST, path.clone(), as_json, object.to_string());
        assert_eq!(self.server.ask(created).await.0, 201);
        let status = json!({"status": {"jobID": "job-1"}}).to_string();
        let as_patch = "application/merge-patch+json".to_owned();
        let changed = (Method::PATCH, format!("{path}/{name}/status"), as_patch, status);
        assert_eq!(self.server.ask(changed).await.0, 200);
    }

    /// What a watch from this version shows up to the end.
    pub(crate) async fn watch(&mut self, from: u64, selector: &str) -> Vec<Value> {
        let path = self.collection();
        let selector: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion={from}&fieldSelector={selector}"
        );
        let events = self.server.watch(format!("{path}?{query}"), MARKER).await;
        let shown = |event: Value| json!({"type": event["type"], "object": comparable(&event["object"])});
        events.into_iter().map(shown).collect()
    }

    /// Asks what a step says, and remembers.
    pub(crate) async fn take(&mut self, step: &Step) -> Said {
        let asked = self.resolve(step);
        let (code, body) = self.server.ask(asked).await;
        let last = self.seen.get(&step.name).and_then(|seen| seen.last());
        let is_object = body["kind"] == "DesktopDeletion";
        let known = last.filter(|_| is_object);
        let said = Said {
            code,
            reason: if code >= 400 {
                body["reason"].clone()
            } else {
                Value::Null
            },
            object: if is_object { comparable(&body) } else { Value::Null },
            version: known.map(|last| number(&body).cmp(&number(last))),
            same_uid: known.map(|last| last["metadata"]["uid"] == body["metadata"]["uid"]),
            names: names(&body, &step.name),
        };
        if is_object {
            self.seen.entry(step.name.clone()).or_default().push(body);
        }
        said
    }

    fn resolve(&self, step: &Step) -> Asked {
        let collection = self.collection();
        let one = format!("{collection}/{}", step.name);
        let (json, merge) = ("application/json", "application/merge-patch+json");
        let (method, path, content_type, body) = match &step.verb {
            Verb::Create(finalizers, spec) => {
                let object = self.object(&step.name, finalizers, spec);
                (Method::POST, collection, json, object)
            }
            Verb::Get => (Method::GET, one, json, Value::Null),
            Verb::List(selector) => {
                let selector: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
                (
                    Method::GET,
                    format!("{collection}?fieldSelector={selector}"),
                    json,
                    Value::Null,
                )
            }
            Verb::Patch(change) => (Method::PATCH, one, merge, self.identified(step, change.clone())),
            Verb::PatchStatus(change) => {
                let patch = self.identified(step, change.clone());
                (Method::PATCH, format!("{one}/status"), merge, patch)
            }
            Verb::Put(change) => (Method::PUT, one, json, self.replacement(step, change)),
            Verb::PutStatus(change) => {
                let object = self.replacement(step, change);
                (Method::PUT, format!("{one}/status"), json, object)
            }
            Verb::Delete => (Method::DELETE, one, json, Value::Null),
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        (method, path, content_type.to_owned(), body)
    }

    fn object(&self, name: &str, finalizers: &[&str], spec: &Value) -> Value {
        let mut object = json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": name, "namespace": self.namespace, "finalizers": finalizers},
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1", "pc-2"]},
            "status": {"jobID": "ignored"},
        });
        merge(&mut object, &json!({"spec": spec}));
        object
    }

    /// The object as it was seen last, changed.
    fn replacement(&self, step: &Step, change: &Value) -> Value {
        let last = self.seen.get(&step.name).and_then(|seen| seen.last());
        let mut object = last
            .cloned()
            .unwrap_or_else(|| self.object(&step.name, &[], &json!({})));
        merge(&mut object, change);
        for field in ["resourceVersion", "uid", "managedFields"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        self.identified(step, object)
    }

    /// With the version and the uid that the step names.
    fn identified(&self, step: &Step, mut object: Value) -> Value {
        let seen = self.seen.get(&step.name).map(Vec::as_slice).unwrap_or_default();
        let version = match step.version {
            Version::None => None,
            Version::Last => seen.last(),
            Version::First => seen.first(),
        };
        if let Some(version) = version {
            object["metadata"]["resourceVersion"] = version["metadata"]["resourceVersion"].clone();
        }
        match (step.uid, seen.last()) {
            (Uid::Right, Some(last)) => object["metadata"]["uid"] = last["metadata"]["uid"].clone(),
            (Uid::Wrong, _) => object["metadata"]["uid"] = json!("00000000-dead-4000-8000-000000000000"),
            _ => {}
        }
        object
    }
}

/// Of an object, what is the same on every server.
fn comparable(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "code": object["code"],
        "name": metadata["name"],
        "generation": metadata["generation"],
        "finalizers": metadata["finalizers"],
        "annotations": metadata["annotations"],
        "labels": metadata["labels"],
        "deleted": !metadata["deletionTimestamp"].is_null(),
        "grace": metadata["deletionGracePeriodSeconds"],
        "spec": object["spec"],
        "status": if object["kind"] == "DesktopDeletion" { object["status"].clone() } else { Value::Null },
    })
}

/// The listed names that belong to the sequence of `name`.
fn names(list: &Value, name: &str) -> Vec<String> {
    let prefix = name.split_once('-').map_or(name, |(prefix, _)| prefix);
    let items = list["items"].as_array().into_iter().flatten();
    let names = items.map(|item| text(&item["metadata"]["name"]).to_owned());
    names
        .filter(|name| name.split_once('-').is_some_and(|(own, _)| own == prefix))
        .collect()
}

fn number(object: &Value) -> u64 {
    text(&object["metadata"]["resourceVersion"]).parse().unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}
