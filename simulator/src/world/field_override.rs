//! Fields of a desktop that read otherwise than they should: missing, null, or with another value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cloud::Operation;

/// The value of one field of a desktop in responses, instead of its actual value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldOverride {
    /// Name of the field in the response; for a field of an object, after a dot, such as `product.charge_mode`.
    pub field: String,

    /// The value. Default: null.
    #[serde(default)]
    pub value: Value,

    /// The field is left out, whatever `value` says. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,

    /// Only in responses of this operation. Default: in the responses of all operations that read desktops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

impl FieldOverride {
    /// Changes a desktop in a response of `operation`.
    pub(crate) fn apply(&self, desktop: &mut Value, operation: Operation) {
        if self.operation.is_some_and(|only| only != operation) {
            return;
        }
        // Metadata names can contain dots, so only the first dot counts.
        let (object, field) = match self.field.split_once('.') {
            Some((object, field)) => (&mut desktop[object], field),
            None => (desktop, self.field.as_str()),
        };
        if !self.absent {
            object[field] = self.value.clone();
        } else if let Some(object) = object.as_object_mut() {
            object.remove(field);
        }
    }
}
