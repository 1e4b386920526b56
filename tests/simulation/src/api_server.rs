//! An API server as a pure function of requests: objects with resource versions, finalizers, generations and a status
//! of their own, lists by field selector, and watches. Nothing here waits, and nothing is random.
//!
//! What it does is held against a real kube-apiserver by the test `conformance`.
//!
//! | file | what |
//! | --- | --- |
//! | this | which verb a request means |
//! | [`resource`] | the kinds that are served |
//! | [`store`] | objects and their history |
//! | [`verbs`] | create, replace, patch, delete |
//! | [`rules`] | defaults, and what is refused as invalid |
//! | [`selector`] | field selectors |
//! | [`watch`] | what a watch shows |

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

pub mod resource;
pub mod rules;
pub mod selector;
pub mod store;
pub mod verbs;
pub mod watch;

use resource::Resource;
use selector::Selector;
use store::{Key, Store};
use watch::Watch;

/// A request, taken apart.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// `Content-Type`.
    pub content_type: String,
    /// `Accept`.
    pub accept: String,
    /// The body.
    pub body: Bytes,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This, and nothing more.
    Whole(Response),
    /// Events from now on.
    Watch(Watch),
}

/// A whole response.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// HTTP status.
    pub code: u16,
    /// The body.
    pub body: Arc<Value>,
}

impl Response {
    /// This body is made for this response.
    fn new(code: u16, body: Value) -> Self {
        let body = Arc::new(body);
        Self { code, body }
    }

    /// The body as it is sent.
    pub fn bytes(&self) -> Bytes {
        bytes_of(&*self.body)
    }
}

/// Anything as it is sent.
pub(crate) fn bytes_of(body: &impl Serialize) -> Bytes {
    // Nothing here has a key that is no text, which is all that could go wrong.
    Bytes::from(serde_json::to_vec(body).unwrap_or_default())
}

/// An error response in the format of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `reason` of the Status.
    pub reason: &'static str,
    /// `message` of the Status.
    pub message: String,
}

impl Refusal {
    /// An error response.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
        }
    }

    /// 409: the object is not what the caller thinks it is.
    pub fn conflict(message: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled: {message}"),
        )
    }

    /// 422: the object would not be valid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// The response.
    pub fn response(&self) -> Response {
        Response::new(
            self.code,
            json!({
                "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                "message": self.message, "reason": self.reason, "code": self.code,
            }),
        )
    }
}

/// The API server.
#[derive(Debug, Default)]
pub struct ApiServer {
    /// What is stored.
    pub store: Store,
    /// What is broken on purpose.
    pub faults: Faults,
    uids: u64,
    /// Objects whose status is still the default of the schema, which is shown but not stored: the next write is a
    /// change to a real API server, whatever it says.
    unstored: BTreeSet<Key>,
}

/// Ways to break it on purpose.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // each is switched on alone
pub struct Faults {
    /// A write of the status succeeds regardless of its resource version.
    pub status_unfenced: bool,
    /// The same of a project alone.
    pub project_status_unfenced: bool,
    /// A read of a Secret shows the first one of its namespace, whichever is asked for.
    pub secrets_mixed_up: bool,
    /// Finalizers keep nothing.
    pub finalizers_ignored: bool,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which kind.
    pub resource: Resource,
    /// `None`: all namespaces.
    pub namespace: Option<String>,
    /// `None`: the collection.
    pub name: Option<String>,
    /// The `/status` of it.
    pub status: bool,
}

impl Target {
    /// What `path` names, if anything that is served.
    pub fn of(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.trim_matches('/').split('/').collect();
        let rest = match *segments.as_slice() {
            ["api", "v1", ref rest @ ..] => ("v1", rest),
            ["apis", group, version, ref rest @ ..] => {
                let known = Resource::ALL
                    .iter()
                    .map(|r| r.api_version())
                    .find(|known| known.split_once('/') == Some((group, version)))?;
                (known, rest)
            }
            _ => return None,
        };
        let (api_version, rest) = rest;
        let (namespace, rest) = match *rest {
            ["namespaces", namespace, ref rest @ ..] => (Some(namespace.to_owned()), rest),
            ref rest => (None, rest),
        };
        let (plural, name, status) = match *rest {
            [plural] => (plural, None, false),
            [plural, name] => (plural, Some(name.to_owned()), false),
            [plural, name, "status"] => (plural, Some(name.to_owned()), true),
            _ => return None,
        };
        let resource = *Resource::ALL
            .iter()
            .find(|r| r.api_version() == api_version && r.plural() == plural)?;
        Some(Self {
            resource,
            namespace,
            name,
            status,
        })
    }

    fn key(&self) -> Option<Key> {
        Some(Key {
            resource: self.resource,
            namespace: self.namespace.clone()?,
            name: self.name.clone()?,
        })
    }
}

impl Request {
    /// The value of a query parameter; empty if it is absent.
    pub fn parameter(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether it opens a watch.
    pub fn is_watch(&self) -> bool {
        matches!(self.parameter("watch"), "true" | "1")
    }

    fn metadata_only(&self) -> bool {
        self.accept.contains("as=PartialObjectMetadata")
    }

    fn object(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))
    }
}

impl ApiServer {
    /// Carries a request out at `now`.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Answer {
        match self.answer(now, request) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Whole(refusal.response()),
        }
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Result<Answer, Refusal> {
        let unknown = || {
            Refusal::new(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
        };
        let target = Target::of(&request.path).ok_or_else(unknown)?;
        if request.method == Method::GET && target.name.is_none() {
            return self.collection(&target, request);
        }
        let response = match (&request.method, target.key()) {
            (&Method::GET, Some(key)) => self.get(&key)?,
            (&Method::POST, None) => self.create(now, &target, request.object()?)?,
            (&Method::PUT, Some(key)) => self.replace(&key, target.status, request.object()?)?,
            (&Method::PATCH, Some(key)) => {
                if request.content_type != "application/merge-patch+json" {
                    return Err(Refusal::new(
                        415,
                        "UnsupportedMediaType",
                        request.content_type.clone(),
                    ));
                }
                self.patch(&key, target.status, &request.object()?)?
            }
            (&Method::DELETE, Some(key)) => self.delete(now, &key)?,
            _ => return Err(Refusal::new(405, "MethodNotAllowed", "not allowed")),
        };
        Ok(Answer::Whole(response))
    }

    fn get(&self, key: &Key) -> Result<Response, Refusal> {
        let mixed_up = self.faults.secrets_mixed_up && key.resource == Resource::Secrets;
        let first = self.store.list(key.resource, Some(&key.namespace)).next();
        let object = first.filter(|_| mixed_up).or_else(|| self.store.get(key));
        let object = object.ok_or_else(|| key.not_found())?;
        Ok(Response {
            code: 200,
            body: object.clone(),
        })
    }

    fn collection(&self, target: &Target, request: &Request) -> Result<Answer, Refusal> {
        let selector = Selector::parse(target.resource, request.parameter("fieldSelector"))?;
        if request.is_watch() {
            return Ok(Answer::Watch(Watch::of(
                target,
                selector,
                request,
                self.store.revision(),
            )));
        }
        let items = self
            .store
            .list(target.resource, target.namespace.as_deref())
            .filter(|object| selector.admits(object));
        let items: Vec<_> = if request.metadata_only() {
            items.map(|object| resource::metadata_of(object)).collect()
        } else {
            items.map(|object| Value::clone(object)).collect()
        };
        let (api_version, kind) = if request.metadata_only() {
            ("meta.k8s.io/v1", "PartialObjectMetadataList".to_owned())
        } else {
            (
                target.resource.api_version(),
                format!("{}List", target.resource.kind()),
            )
        };
        let mut list = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"resourceVersion": self.store.revision().to_string()},
        });
        list["items"] = Value::Array(items);
        Ok(Answer::Whole(Response::new(200, list)))
    }

    fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }
}
