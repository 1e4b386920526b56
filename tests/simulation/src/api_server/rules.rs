//! Defaults, and validation. Of the rules of the custom resource definitions these are the ones that can occur here;
//! the real ones are tried on a real API server.

use serde_json::{Value, json};

use super::Refusal;
use super::resource::Resource;

/// Fields of a spec that never change, also not from absent to present.
fn immutable(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Deletions => &[
            "projectRef",
            "desktopIDs",
            "deleteUsers",
            "emailNotification",
            "force",
            "expected",
            "notBefore",
            "notAfter",
        ],
        Resource::Projects => &["region", "projectID", "endpoint", "iamEndpoint"],
        Resource::Secrets | Resource::Events => &[],
    }
}

/// Fills in the defaults of the schema.
pub(super) fn complete(resource: Resource, object: &mut Value) {
    let defaults: &[(&str, bool)] = match resource {
        Resource::Deletions => &[
            ("deleteUsers", false),
            ("emailNotification", true),
            ("force", false),
            ("suspend", false),
        ],
        Resource::Projects => &[("suspend", false)],
        Resource::Secrets | Resource::Events => return,
    };
    if let Some(spec) = object["spec"].as_object_mut() {
        for (field, value) in defaults {
            spec.entry(*field).or_insert(json!(value));
        }
    }
    if object["status"].is_null() {
        object["status"] = json!({"observedGeneration": -1});
    }
}

/// Refuses what is not valid.
pub(super) fn check(resource: Resource, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
    if !is_name(new["metadata"]["name"].as_str().unwrap_or_default()) {
        return Err(Refusal::invalid("metadata.name: a lowercase RFC 1123 subdomain"));
    }
    let wrong = match resource {
        Resource::Deletions => deletion(new),
        Resource::Projects => project(new),
        Resource::Secrets | Resource::Events => None,
    };
    let wrong = wrong.or_else(|| changed(resource, old?, new));
    wrong.map_or(Ok(()), |wrong| Err(Refusal::invalid(wrong)))
}

fn deletion(object: &Value) -> Option<String> {
    let spec = &object["spec"];
    if !spec["projectRef"]["name"].as_str().is_some_and(is_name) {
        return Some("spec.projectRef.name: Required value".to_owned());
    }
    let Some(ids) = spec["desktopIDs"].as_array() else {
        return Some("spec.desktopIDs: Required value".to_owned());
    };
    let mut folded: Vec<_> = ids
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_ascii_lowercase)
        .collect();
    if !(1..=100).contains(&ids.len()) || folded.len() != ids.len() || !folded.iter().all(|id| is_id(id)) {
        return Some("spec.desktopIDs: Invalid value".to_owned());
    }
    folded.sort();
    folded.dedup();
    if folded.len() != ids.len() {
        return Some("spec.desktopIDs: a desktop twice".to_owned());
    }
    for flag in ["deleteUsers", "emailNotification", "force", "suspend"] {
        if !spec[flag].is_boolean() {
            return Some(format!("spec.{flag}: must be of type boolean"));
        }
    }
    let decided = object["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c["type"] == "Succeeded" && c["status"] != "Unknown")
        });
    (!object["status"]["completionTime"].is_null() && !decided)
        .then(|| "status: a finished request is decided".to_owned())
}

fn project(object: &Value) -> Option<String> {
    let spec = &object["spec"];
    let missing = ["region", "projectID", "credentials"]
        .into_iter()
        .find(|field| spec[*field].is_null());
    missing.map(|field| format!("spec.{field}: Required value"))
}

fn changed(resource: Resource, old: &Value, new: &Value) -> Option<String> {
    let differs = |field: &&&str| old["spec"][**field] != new["spec"][**field];
    if let Some(field) = immutable(resource).iter().find(differs) {
        return Some(format!("spec.{field}: Forbidden: immutable"));
    }
    if resource != Resource::Deletions {
        return None;
    }
    let (before, after) = (&old["status"], &new["status"]);
    let differs = |field: &&&str| before[**field] != after[**field];
    let moved = FINAL
        .iter()
        .filter(|field| !before[**field].is_null())
        .find(differs);
    let finished = !before["completionTime"].is_null();
    if finished && !notices(before, after) {
        return Some("status: Forbidden: the request is finished".to_owned());
    }
    let moved = moved.or_else(|| FINAL_IN_THE_END.iter().filter(|_| finished).find(differs));
    moved.map(|field| format!("status.{field}: Forbidden: it is final"))
}

/// Fields of a status that are written once.
const FINAL: [&str; 3] = ["project", "jobID", "completionTime"];

/// The generation that was seen stays or grows, and apart from it the conditions are the same.
fn notices(before: &Value, after: &Value) -> bool {
    let seen = |status: &Value| status["observedGeneration"].as_i64();
    let grows = seen(before).is_none() || seen(after) >= seen(before);
    let conditions = |status: &Value| {
        let mut conditions = status["conditions"].as_array().cloned();
        for condition in conditions.iter_mut().flatten() {
            condition["observedGeneration"] = Value::Null;
        }
        conditions
    };
    grows && conditions(before) == conditions(after)
}

/// Fields of a status that no write may change once the request has ended.
const FINAL_IN_THE_END: [&str; 7] = [
    "desktops",
    "summary",
    "lastError",
    "refusedAttempts",
    "plan",
    "approved",
    "refusedPlan",
];

/// A DNS subdomain.
fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        label.bytes().all(inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn is_id(id: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=255).contains(&id.len()) && id.bytes().all(inner) && id.as_bytes()[0].is_ascii_alphanumeric()
}
