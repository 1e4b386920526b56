//! Objects as the API server sends them: one that cannot be decoded does not block others, and a status write keeps
//! what this version does not know.

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// An object and its JSON, without `metadata.managedFields`: they are much of an object and of no use here. kube's guard
/// alone would keep nothing but the metadata of what it cannot decode.
#[derive(Debug, Clone)]
pub struct Raw<K> {
    /// As it was received.
    pub json: Value,
    /// The decoded object, or the error.
    pub object: DeserializeGuard<K>,
}

impl<K: Resource + DeserializeOwned> Raw<K> {
    /// Decodes an object.
    ///
    /// # Errors
    /// Not even its metadata can be decoded.
    pub fn of(json: Value) -> Result<Self, serde_json::Error> {
        let object = match K::deserialize(&json) {
            Ok(object) => Ok(object),
            Err(error) => Err(InvalidObject {
                error: error.to_string(),
                metadata: ObjectMeta::deserialize(&json["metadata"])?,
            }),
        };
        Ok(Self {
            json,
            object: DeserializeGuard(object),
        })
    }

    /// Whether `status`, which was decoded from this object, is all that its status holds.
    pub fn holds_status<S: Serialize>(&self, status: &S) -> bool {
        serde_json::to_value(status).is_ok_and(|decoded| decoded == self.json["status"])
    }
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Raw<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = WithoutField(&MANAGED_FIELDS).deserialize(deserializer)?;
        Self::of(json).map_err(D::Error::custom)
    }
}

const MANAGED_FIELDS: [&str; 2] = ["metadata", "managedFields"];

/// Decodes a JSON object, except for the field at this path, which is never kept in memory.
struct WithoutField<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for WithoutField<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WithoutField<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = match self.0 {
                [last] if *last == name => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
                [first, rest @ ..] if *first == name => fields.next_value_seed(WithoutField(rest))?,
                _ => fields.next_value()?,
            };
            kept.insert(name, value);
        }
        Ok(Value::Object(kept))
    }
}

impl<K> Serialize for Raw<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<K: Resource> Resource for Raw<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

/// The status to write: `after` where it differs from `before`, else `stored`. `before` is the decoded form of
/// `stored`. Fields and values that this version does not know are kept, since they are in neither or equal in both.
#[must_use]
pub fn keep_unknown(stored: &Value, before: &Value, after: Value) -> Value {
    if *before == after {
        return stored.clone();
    }
    match (stored, before, after) {
        (Value::Object(stored), Value::Object(before), Value::Object(after)) => {
            Value::Object(keep_unknown_fields(stored, before, after))
        }
        (Value::Array(stored), Value::Array(before), Value::Array(after)) => {
            let keep = |item: Value| match (same_item(stored, &item), same_item(before, &item)) {
                (Some(stored), Some(before)) => keep_unknown(stored, before, item),
                _ => item,
            };
            after.into_iter().map(keep).collect()
        }
        (_, _, after) => after,
    }
}

fn keep_unknown_fields(
    stored: &Map<String, Value>,
    before: &Map<String, Value>,
    after: Map<String, Value>,
) -> Map<String, Value> {
    let unknown = stored
        .iter()
        .filter(|(name, _)| !before.contains_key(*name) && !after.contains_key(*name));
    let mut kept: Map<_, _> = unknown
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in after {
        let value = match (stored.get(&name), before.get(&name)) {
            (Some(stored), Some(before)) => keep_unknown(stored, before, value),
            _ => value,
        };
        kept.insert(name, value);
    }
    kept
}

/// The item of a list with the same key, of the lists whose items have one.
fn same_item<'a>(list: &'a [Value], item: &Value) -> Option<&'a Value> {
    let key = ["id", "type", "attemptID"]
        .into_iter()
        .find(|key| item[*key].is_string())?;
    list.iter().find(|other| other[key] == item[key])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::DesktopDeletion;

    fn deletion(status: &Value) -> Value {
        json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": "leaver", "uid": "u1", "managedFields": [{"manager": "kubectl"}]},
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1"]},
            "status": status,
        })
    }

    #[test]
    fn an_object_that_cannot_be_decoded_keeps_its_json_and_its_metadata() {
        for time in ["2026-12-01T00:00:00+99:99", "yesterday"] {
            let sent = deletion(&json!({"startTime": time})).to_string();
            let raw: Raw<DesktopDeletion> = serde_json::from_str(&sent).unwrap();
            assert_eq!(raw.meta().uid.as_deref(), Some("u1"));
            assert_eq!(raw.json["status"]["startTime"], time);
            assert_eq!(raw.json["metadata"], json!({"name": "leaver", "uid": "u1"}));
            assert!(raw.object.0.is_err(), "{time}");
        }
    }

    #[test]
    fn a_status_write_keeps_fields_and_values_of_a_newer_version() {
        let stored = json!({
            "observedGeneration": 1,
            "jobID": "job-1",
            "batches": [1, 2],
            "attempts": [{"id": "a", "outcome": "Superseded", "cost": 3}, {"id": "b", "outcome": "Pending"}],
            "conditions": [{"type": "Ready", "status": "True", "severity": "low"}, {"type": "Stalled"}],
        });
        let before = json!({
            "observedGeneration": 1,
            "jobID": "job-1",
            "attempts": [{"id": "a", "outcome": "Other"}, {"id": "b", "outcome": "Pending"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled"}],
        });
        let after = json!({
            "observedGeneration": 2,
            "attempts": [{"id": "a", "outcome": "Other"}, {"id": "b", "outcome": "NoEffect"}, {"id": "c"}],
            "conditions": [{"type": "Ready", "status": "False"}],
        });
        let expected = json!({
            "observedGeneration": 2,
            "batches": [1, 2],
            "attempts": [
                {"id": "a", "outcome": "Superseded", "cost": 3}, {"id": "b", "outcome": "NoEffect"}, {"id": "c"},
            ],
            "conditions": [{"type": "Ready", "status": "False", "severity": "low"}],
        });
        assert_eq!(keep_unknown(&stored, &before, after), expected);
    }
}
