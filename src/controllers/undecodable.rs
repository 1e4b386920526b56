//! Objects that cannot be decoded. They are skipped everywhere else, and reported: in the log, in a metric, and in their
//! own conditions where the API server takes that. One that is being deleted is released once no call of it can take effect
//! any more.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Api, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::events::{EventType, NewEvent};
use super::raw::Raw;
use super::{Context, Scope, api, finished};
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason};
use crate::crd::{DesktopDeletion, FINALIZER};
use crate::plan::deadlines;
use crate::runtime::metrics::Incident;

/// The kinds that are counted.
pub const KINDS: [&str; 2] = ["DesktopDeletion", "WorkspaceProject"];

/// What cannot be decoded now; clones share it.
#[derive(Clone, Default)]
pub struct Undecodable(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Clone)]
struct Entry {
    kind: String,
    scope: Scope,
    namespace: String,
    name: String,
    /// When this process first saw that it cannot be decoded, in time since its start.
    first_seen: Duration,
    /// Seen in the list that is being read.
    listed: bool,
}

/// An event of a watch, decoded or not.
pub enum DecodedEvent<K: Resource<DynamicType = ()> + Clone + 'static> {
    /// Something that this version knows. The second is the object if it could not be decoded before.
    Known(Event<K>, Option<ObjectRef<K>>),
    /// An object that cannot be decoded.
    Unknown {
        /// As it was received.
        json: Value,
        /// Its metadata.
        metadata: Box<ObjectMeta>,
        /// The event that takes it out of the cache, if it is there.
        remove: Option<Event<K>>,
    },
}

/// The kind of change that a watch reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is in a list that is being read, or that list begins or ends.
    Listed,
    /// It was created or changed.
    Applied,
    /// It is gone.
    Deleted,
}

impl Change {
    /// The kind of change of an event.
    pub fn of<K>(event: &Event<K>) -> Self {
        match event {
            Event::Init | Event::InitApply(_) | Event::InitDone => Self::Listed,
            Event::Apply(_) => Self::Applied,
            Event::Delete(_) => Self::Deleted,
        }
    }
}

impl Undecodable {
    /// Classifies an event of a watch, and records objects that cannot be decoded.
    pub fn classify_event<K>(
        &self,
        scope: &Scope,
        event: Event<Raw<K>>,
        cache: &Store<K>,
        now: Duration,
    ) -> DecodedEvent<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + fmt::Debug + 'static,
    {
        let (raw, put): (_, fn(K) -> _) = match event {
            Event::Init => {
                let mut entries = self.0.lock();
                entries
                    .values_mut()
                    .filter(|entry| entry.is_of::<K>(scope))
                    .for_each(|entry| entry.listed = false);
                return DecodedEvent::Known(Event::Init, None);
            }
            Event::InitDone => {
                self.0
                    .lock()
                    .retain(|_, entry| !entry.is_of::<K>(scope) || entry.listed);
                return DecodedEvent::Known(Event::InitDone, None);
            }
            Event::InitApply(raw) => (raw, Event::InitApply),
            Event::Apply(raw) => (raw, Event::Apply),
            Event::Delete(raw) => (raw, Event::Delete),
        };
        match raw.object.0 {
            Ok(object) => {
                let reference = ObjectRef::from_obj(&object);
                let was_unknown = self.forget(&object.uid().unwrap_or_default());
                DecodedEvent::Known(put(object), was_unknown.then_some(reference))
            }
            Err(error) => {
                self.record::<K>(scope, &error, now);
                let namespace = error.metadata.namespace.as_deref().unwrap_or_default();
                let name = error.metadata.name.as_deref().unwrap_or_default();
                let reference = ObjectRef::<K>::new(name).within(namespace);
                let cached = cache.get(&reference);
                DecodedEvent::Unknown {
                    json: raw.json,
                    metadata: Box::new(error.metadata),
                    remove: cached.map(|object| Event::Delete((*object).clone())),
                }
            }
        }
    }

    /// The object of that uid can be decoded, or is gone; returns whether it could not be decoded before.
    pub fn forget(&self, uid: &str) -> bool {
        self.0.lock().remove(uid).is_some()
    }

    /// Whether an object of that name cannot be decoded.
    pub fn has<K: Resource<DynamicType = ()>>(&self, object: &ObjectRef<K>) -> bool {
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let kind = K::kind(&());
        self.0
            .lock()
            .values()
            .any(|entry| entry.kind == kind && entry.namespace == namespace && entry.name == object.name)
    }

    /// How many objects of each kind cannot be decoded.
    pub fn count(&self) -> Vec<(&'static str, usize)> {
        let entries = self.0.lock();
        let of = |kind| entries.values().filter(|entry| entry.kind == kind).count();
        KINDS.into_iter().map(|kind| (kind, of(kind))).collect()
    }

    fn record<K: Resource<DynamicType = ()>>(&self, scope: &Scope, error: &InvalidObject, now: Duration) {
        let (kind, metadata) = (K::kind(&()), &error.metadata);
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        let uid = metadata.uid.clone().unwrap_or_default();
        let mut entries = self.0.lock();
        let new = || {
            tracing::error!(
                %kind, namespace, name, error = error.error,
                "failed to decode an object; it is skipped, and the desktops of a DesktopDeletion stay reserved. Correct the field that the error names, or run the version of the operator that wrote the object"
            );
            Entry {
                kind: kind.to_string(),
                scope: scope.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
                first_seen: now,
                listed: true,
            }
        };
        entries.entry(uid).or_insert_with(new).listed = true;
    }

    fn requests(&self) -> Vec<(String, Entry)> {
        let entries = self.0.lock();
        let requests = entries
            .iter()
            .filter(|(_, entry)| entry.kind == DesktopDeletion::kind(&()));
        requests
            .map(|(uid, entry)| (uid.clone(), entry.clone()))
            .collect()
    }
}

impl Entry {
    fn is_of<K: Resource<DynamicType = ()>>(&self, scope: &Scope) -> bool {
        self.scope == *scope && self.kind == K::kind(&())
    }
}

/// Reports requests that cannot be decoded, and releases those that are being deleted, until the operator stops.
pub async fn run(context: Arc<Context>) {
    while !context.process.stopping.is_cancelled() {
        for (uid, entry) in context.requests.undecodable.requests() {
            if let Err(error) = report_or_release(&uid, &entry, &context).await {
                let (namespace, name) = (&entry.namespace, &entry.name);
                tracing::debug!(namespace, name, %error, "an object that cannot be decoded could not be reported or released");
            }
        }
        tokio::select! {
            () = context.process.stopping.cancelled() => return,
            () = tokio::time::sleep(context.process.config.timing.secret_refresh) => {}
        }
    }
}

async fn report_or_release(uid: &str, entry: &Entry, context: &Context) -> Result<(), api::Error> {
    let requests: Api<Raw<DesktopDeletion>> = Api::namespaced(context.kube.client.clone(), &entry.namespace);
    let live = api::call("read an undecodable object", requests.get_opt(&entry.name)).await?;
    let Some(mut live) = live.filter(|live| live.uid().as_deref() == Some(uid)) else {
        return Ok(());
    };
    let Err(InvalidObject { error, metadata }) = live.object.0.clone() else {
        return Ok(());
    };
    let ours = live.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if metadata.deletion_timestamp.is_some() && ours {
        let (now, timing) = (context.process.uptime.now(), &context.process.config.timing);
        if deadlines::until_unreadable_call_ends(entry.first_seen, now, timing).is_zero() {
            return release(&live, context).await;
        }
    }
    let Some(conditions) = error_conditions(&live.json, &error, context) else {
        return Ok(());
    };
    live.json["status"]["conditions"] = conditions;
    let parameters = PostParams::default();
    let write = requests.replace_status(&entry.name, &parameters, &live);
    api::call("report an undecodable object", write).await?;
    context
        .process
        .metrics
        .api_write("DesktopDeletion", "RecordUndecodable");
    Ok(())
}

/// Removes our finalizer, and reports that.
async fn release(object: &Raw<DesktopDeletion>, context: &Context) -> Result<(), api::Error> {
    finished::remove_finalizer(&context.kube.client, object).await?;
    let (namespace, name) = (object.namespace(), object.name_any());
    let note = "the operator removed its finalizer from an object that it cannot decode. The delete requests of the object can no longer take effect, and their outcome is unknown; check the desktops of the object in the console";
    tracing::warn!(namespace, name, "{note}");
    context.process.metrics.incident(Incident::ReleasedUnresolved);
    let event = NewEvent {
        kind: EventType::Warning,
        reason: Incident::ReleasedUnresolved.as_str(),
        note,
        related: None,
    };
    context.kube.events.publish(&object.object_ref(&()), event).await;
    Ok(())
}

/// The conditions that report the object; `None` if they do already. Those that this version does not write are kept.
fn error_conditions(object: &Value, error: &str, context: &Context) -> Option<Value> {
    let message = format!(
        "this version of the operator cannot decode the object ({error}). It is skipped, and its desktops stay reserved. Correct the field that the error names, or run the version of the operator that wrote it"
    );
    let none = Vec::new();
    let before = object["status"]["conditions"].as_array().unwrap_or(&none);
    let has_condition = |kind: ConditionType, status: ConditionStatus| {
        let same = before.iter().find(|c| c["type"] == kind.as_str());
        same.is_some_and(|c| {
            c["status"] == status.as_str()
                && c["reason"] == Reason::Undecodable.as_str()
                && c["message"] == message
        })
    };
    if has_condition(ConditionType::Stalled, ConditionStatus::True)
        && has_condition(ConditionType::Ready, ConditionStatus::False)
    {
        return None;
    }
    let condition = |kind: ConditionType, status: ConditionStatus| {
        json!({
            "type": kind.as_str(),
            "status": status.as_str(),
            "reason": Reason::Undecodable.as_str(),
            "message": message,
            "observedGeneration": object["metadata"]["generation"],
            "lastTransitionTime": Time(context.process.clock.now()),
        })
    };
    let ours = [
        ConditionType::Stalled,
        ConditionType::Ready,
        ConditionType::Reconciling,
    ];
    let mut conditions: Vec<_> = before
        .iter()
        .filter(|c| ours.iter().all(|kind| c["type"] != kind.as_str()))
        .cloned()
        .collect();
    conditions.push(condition(ConditionType::Ready, ConditionStatus::False));
    conditions.push(condition(ConditionType::Stalled, ConditionStatus::True));
    Some(conditions.into())
}
