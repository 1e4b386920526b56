//! Fields of a desktop that read otherwise than they should: missing, null, or with another value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cloud::Operation;

/// What one field of a desktop reads as, in place of what the desktop would give.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldAnswer {
    /// Name of the field in the answer; within an object after a dot, such as `product.charge_mode`.
    pub field: String,

    /// The value. Default: null.
    #[serde(default)]
    pub value: Value,

    /// The field is left out, whatever `value` says. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,

    /// Only in answers of this operation. Default: in all that read desktops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

impl FieldAnswer {
    /// Changes a desktop in an answer of `operation`.
    pub(crate) fn apply(&self, desktop: &mut Value, operation: Operation) {
        if self.operation.is_some_and(|only| only != operation) {
            return;
        }
        // Names of metadata have dots of their own, so only the first one counts.
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
