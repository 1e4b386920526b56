//! The audit log of the API server: who requested what, when, and the result.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::growing_file::GrowingFile;

/// Its name in the folder of the control plane.
pub(crate) const FILE: &str = "audit.log";

/// The audit log of one control plane.
///
/// It has one event per request, written when the request is over; a client may have its response a moment before
/// the event can be read, so wait for an expected event with [`crate::eventually`]. Watches appear when they end.
pub struct AuditLog {
    read: Mutex<Progress>,
}

/// What was read already; the log only grows.
struct Progress {
    file: GrowingFile,
    events: Vec<Arc<AuditEvent>>,
}

/// One request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// Verb of the Kubernetes API: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, ...
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked.
    pub user: AuditUser,
    /// The client program.
    #[serde(default)]
    pub user_agent: String,
    /// The object or collection that was asked for; absent for paths such as `/readyz`.
    #[serde(default)]
    pub object_ref: Option<ObjectRef>,
    /// The outcome.
    #[serde(default)]
    pub response_status: Option<ResponseStatus>,
    /// Body of a write to one of the project's kinds, an Event or a Lease.
    #[serde(default)]
    pub request_object: Option<Value>,
    /// The object after such a write, or the error response.
    #[serde(default)]
    pub response_object: Option<Value>,
    /// When the API server got the request.
    pub request_received_timestamp: Timestamp,
    /// When the response was complete.
    pub stage_timestamp: Timestamp,
}

/// Who made a request.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditUser {
    /// Such as `admin` or `system:serviceaccount:<namespace>:<name>`.
    #[serde(default)]
    pub username: String,
}

/// What a request was about; empty where the request does not say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Plural name, such as `desktopdeletions`.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// API group, empty for the core group.
    pub api_group: String,
    /// Version of the object that a write was based on.
    pub resource_version: String,
}

/// Outcome of a request.
#[derive(Debug, Clone, Deserialize)]
pub struct ResponseStatus {
    /// HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl AuditEvent {
    /// Is it a request that could change something?
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }

    /// HTTP status of the response, 0 if there was none.
    pub fn code(&self) -> u16 {
        self.response_status.as_ref().map_or(0, |status| status.code)
    }

    /// Is it about this object of a namespace, one of its subresources included?
    pub fn concerns(&self, resource: &str, namespace: &str, name: &str) -> bool {
        self.object_ref.as_ref().is_some_and(|object| {
            object.resource == resource && object.namespace == namespace && object.name == name
        })
    }

    /// Did the service account of this name, in any namespace, ask?
    pub fn by_service_account(&self, name: &str) -> bool {
        let account = self.user.username.strip_prefix("system:serviceaccount:");
        account
            .and_then(|account| account.split_once(':'))
            .is_some_and(|(_, account)| account == name)
    }
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        let progress = Progress {
            file: GrowingFile::new(path),
            events: Vec::new(),
        };
        Self {
            read: Mutex::new(progress),
        }
    }

    /// All events so far, in the order in which the requests were over.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or has a line that is no event.
    pub fn events(&self) -> Result<Vec<Arc<AuditEvent>>, Error> {
        let mut progress = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let text = progress.file.new_lines()?;
        for line in text.lines() {
            let event = serde_json::from_str(line);
            let event =
                event.map_err(|error| Error::Other(format!("unreadable audit event: {error}: {line}")))?;
            progress.events.push(Arc::new(event));
        }
        Ok(progress.events.clone())
    }

    /// The writes to one object, its status included, in any outcome and by anybody.
    ///
    /// Of the kinds only whose bodies are kept: the log knows the name of a newly created object from the request's body,
    /// which it holds for these alone.
    ///
    /// # Errors
    ///
    /// As [`AuditLog::events`].
    pub fn writes(&self, resource: &str, namespace: &str, name: &str) -> Result<Vec<Arc<AuditEvent>>, Error> {
        let mut events = self.events()?;
        events.retain(|event| event.is_write() && event.concerns(resource, namespace, name));
        Ok(events)
    }
}
