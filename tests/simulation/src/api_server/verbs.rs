//! Create, replace, patch and delete, in the order in which Kubernetes checks requests.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource::Resource;
use super::store::Key;
use super::{ApiServer, Refusal, Response, Target, rules};

impl ApiServer {
    pub(super) fn create(
        &mut self,
        now: Timestamp,
        target: &Target,
        mut object: Value,
    ) -> Result<Response, Refusal> {
        let resource = target.resource;
        let namespace = target.namespace.clone().unwrap_or_default();
        let given = &object["metadata"];
        if given["namespace"].as_str().is_some_and(|own| own != namespace) {
            return Err(Refusal::new(
                400,
                "BadRequest",
                "the namespace of the object does not match",
            ));
        }
        if !text(given, "resourceVersion").is_empty() {
            return Err(Refusal::new(
                400,
                "BadRequest",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let name = text(given, "name").to_owned();
        let key = Key {
            resource,
            namespace: namespace.clone(),
            name,
        };
        object["apiVersion"] = json!(resource.api_version());
        object["kind"] = json!(resource.kind());
        let metadata = &mut object["metadata"];
        for field in [
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
        ] {
            take_off(metadata, field);
        }
        remove_empty_fields(metadata);
        metadata["namespace"] = json!(namespace);
        metadata["creationTimestamp"] = json!(whole_seconds(now));
        if resource.is_custom() {
            take_off(&mut object, "status");
            object["metadata"]["generation"] = json!(1);
        }
        rules::complete(resource, &mut object);
        rules::check(resource, None, &object)?;
        if self.store.get(&key).is_some() {
            let message = format!("{} {:?} already exists", resource.plural(), key.name);
            return Err(Refusal::new(409, "AlreadyExists", message));
        }
        object["metadata"]["uid"] = json!(self.next_uid());
        let stored = self.store.put(&key, object);
        if resource.is_custom() {
            self.unstored.insert(key);
        }
        Ok(Response {
            code: 201,
            body: stored,
        })
    }

    pub(super) fn replace(&mut self, key: &Key, status: bool, object: Value) -> Result<Response, Refusal> {
        let given = &object["metadata"];
        let other = |field: &str, own: &str| given[field].as_str().is_some_and(|given| given != own);
        if other("name", &key.name) || other("namespace", &key.namespace) || text(given, "name").is_empty() {
            return Err(Refusal::new(
                400,
                "BadRequest",
                "the name of the object does not match the URL",
            ));
        }
        let old = self.store.get(key).cloned().ok_or_else(|| key.not_found())?;
        let uid = text(given, "uid");
        if !uid.is_empty() && uid != text(&old["metadata"], "uid") {
            return Err(Refusal::conflict("Precondition failed: UID in precondition"));
        }
        self.update(key, status, &old, object)
    }

    pub(super) fn patch(&mut self, key: &Key, status: bool, patch: &Value) -> Result<Response, Refusal> {
        let old = self.store.get(key).cloned().ok_or_else(|| key.not_found())?;
        let mut object = Value::clone(&old);
        merge(&mut object, patch);
        self.update(key, status, &old, object)
    }

    fn update(
        &mut self,
        key: &Key,
        status: bool,
        old: &Value,
        mut object: Value,
    ) -> Result<Response, Refusal> {
        let version = text(&object["metadata"], "resourceVersion");
        if version.is_empty() && key.resource.is_custom() {
            return Err(Refusal::invalid(
                "metadata.resourceVersion: must be specified for an update",
            ));
        }
        let of_project = key.resource == Resource::Projects && self.faults.project_status_unfenced;
        let unfenced = status && (self.faults.status_unfenced || of_project);
        if !unfenced && !version.is_empty() && version != text(&old["metadata"], "resourceVersion") {
            return Err(Refusal::conflict(
                "the object has been modified; please apply your changes to the latest version and try again",
            ));
        }
        let next = if status {
            with_status_of(old, &mut object)
        } else {
            with_content_of(key, old, object)?
        };
        rules::check(key.resource, Some(old), &next)?;
        if next == *old && !self.unstored.contains(key) {
            return Ok(Response::new(200, next));
        }
        self.unstored.remove(key);
        let body = if is_released(&next) {
            self.store.remove(key);
            Arc::new(next)
        } else {
            self.store.put(key, next)
        };
        Ok(Response { code: 200, body })
    }

    pub(super) fn delete(&mut self, now: Timestamp, key: &Key) -> Result<Response, Refusal> {
        let old = self.store.get(key).cloned().ok_or_else(|| key.not_found())?;
        if finalizers(&old).is_empty() || self.faults.finalizers_ignored {
            self.unstored.remove(key);
            self.store.remove(key);
            let details = json!({"name": key.name, "uid": old["metadata"]["uid"]});
            let body = json!({
                "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": details,
            });
            return Ok(Response::new(200, body));
        }
        if !old["metadata"]["deletionTimestamp"].is_null() {
            return Ok(Response { code: 200, body: old });
        }
        let mut next = Value::clone(&old);
        next["metadata"]["deletionTimestamp"] = json!(whole_seconds(now));
        next["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        if let Some(generation) = old["metadata"]["generation"].as_i64() {
            next["metadata"]["generation"] = json!(generation + 1);
        }
        self.unstored.remove(key);
        Ok(Response {
            code: 200,
            body: self.store.put(key, next),
        })
    }
}

/// What `/status` lets through: nothing but the status; and where none is given, it stays.
fn with_status_of(old: &Value, object: &mut Value) -> Value {
    let mut next = old.clone();
    if !object["status"].is_null() {
        next["status"] = object["status"].take();
    }
    next
}

/// What the object itself lets through: everything but the status and what the server alone sets.
fn with_content_of(key: &Key, old: &Value, mut object: Value) -> Result<Value, Refusal> {
    let resource = key.resource;
    object["apiVersion"] = json!(resource.api_version());
    object["kind"] = json!(resource.kind());
    if resource.is_custom() {
        copy(old, &mut object, "status");
    }
    let before = &old["metadata"];
    let metadata = &mut object["metadata"];
    take_off(metadata, "managedFields");
    if text(metadata, "uid").is_empty() {
        metadata["uid"] = before["uid"].clone();
    } else if metadata["uid"] != before["uid"] {
        return Err(Refusal::invalid("metadata.uid: field is immutable"));
    }
    for field in [
        "name",
        "namespace",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ] {
        copy(before, metadata, field);
    }
    remove_empty_fields(metadata);
    let known = finalizers(old);
    let new = finalizers(&object).into_iter().any(|f| !known.contains(&f));
    if new && !before["deletionTimestamp"].is_null() {
        return Err(Refusal::invalid(
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted",
        ));
    }
    rules::complete(resource, &mut object);
    if let Some(generation) = before["generation"].as_i64() {
        let changed = object["spec"] != old["spec"];
        object["metadata"]["generation"] = json!(generation + i64::from(changed));
    }
    Ok(object)
}

/// Removes empty fields.
fn remove_empty_fields(metadata: &mut Value) {
    for field in ["finalizers", "annotations", "labels"] {
        let empty = match &metadata[field] {
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            other => other.is_null(),
        };
        if empty {
            take_off(metadata, field);
        }
    }
}

/// Nothing keeps a deleted object any more.
fn is_released(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null() && finalizers(object).is_empty()
}

/// The finalizers of an object.
pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A JSON merge patch (RFC 7386).
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
            take_off(target, key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}

fn copy(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => take_off(to, field),
    }
}

fn take_off(of: &mut Value, field: &str) {
    if let Some(object) = of.as_object_mut() {
        object.remove(field);
    }
}

/// As Kubernetes writes times.
fn whole_seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
