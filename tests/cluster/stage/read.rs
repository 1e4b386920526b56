//! Reading what was found: statuses and lines of the ledger.

use serde_json::Value;

use desktop_deletion_operator::crd::conditions::ConditionType;

/// The body of a ledger line, read.
pub(crate) fn body(line: &Value) -> Value {
    serde_json::from_str(line["body"].as_str().unwrap()).unwrap()
}

/// A condition of a status; null if it is not there.
pub(crate) fn condition(status: &Value, kind: ConditionType) -> Value {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter()
        .find(|c| c["type"] == kind.as_str())
        .unwrap_or(Value::Null)
}

/// The message of a condition, empty if it is not there.
pub(crate) fn message(status: &Value, kind: ConditionType) -> String {
    condition(status, kind)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// `(status, reason)` of a condition.
pub(crate) fn says(status: &Value, kind: ConditionType) -> (String, String) {
    let condition = condition(status, kind);
    let text = |field: &str| condition[field].as_str().unwrap_or("absent").to_owned();
    (text("status"), text("reason"))
}

/// What [`says`] gives.
pub(crate) fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

/// The entry of a desktop in a status.
pub(crate) fn entry(status: &Value, id: &str) -> Value {
    let all = status["desktops"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|d| d["id"] == id).unwrap_or(Value::Null)
}
