//! The fields of the call, checked.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::Value;

use crate::cloud::api_error::ApiError;
use crate::world::DuplicateIds;

/// The body of the call, its fields checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) desktop_ids: Vec<String>,
    pub(super) force: bool,
}

impl Batch {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Err(ApiError::workspace(
                StatusCode::BAD_REQUEST,
                "WKS.0001",
                "the request message is empty",
            ));
        }
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            ApiError::invalid("the request message is not JSON").with_detail(error.to_string())
        })?;
        let fields = body
            .as_object()
            .ok_or_else(|| ApiError::invalid("the request message is not an object"))?;
        let ids = fields
            .get("desktop_ids")
            .ok_or_else(|| ApiError::invalid("desktop_ids is required"))?;
        let ids = ids
            .as_array()
            .ok_or_else(|| ApiError::invalid("desktop_ids must be a list"))?;
        if !(1..=100).contains(&ids.len()) {
            let message = format!("desktop_ids must have 1 to 100 items, not {}", ids.len());
            return Err(ApiError::invalid(message));
        }
        let desktop_ids = ids.iter().map(desktop_id).collect::<Result<Vec<_>, _>>()?;
        flag(fields, "delete_users")?;
        flag(fields, "email_notification")?;
        let force = flag(fields, "is_force_delete")?.unwrap_or(false);
        Ok(Self { desktop_ids, force })
    }

    pub(super) fn settle_duplicates(&mut self, rule: DuplicateIds) -> Result<(), ApiError> {
        let mut seen = HashSet::new();
        match rule {
            DuplicateIds::Repeat => {}
            DuplicateIds::Merge => self.desktop_ids.retain(|id| seen.insert(id.clone())),
            DuplicateIds::Refuse => {
                if let Some(twice) = self.desktop_ids.iter().find(|id| !seen.insert((*id).clone())) {
                    return Err(ApiError::invalid(format!("desktop_ids names {twice} twice")));
                }
            }
        }
        Ok(())
    }
}

fn desktop_id(item: &Value) -> Result<String, ApiError> {
    let id = item
        .as_str()
        .ok_or_else(|| ApiError::invalid("every item of desktop_ids must be a text"))?;
    if id.chars().count() > 255 {
        return Err(ApiError::invalid(
            "an item of desktop_ids has more than 255 characters",
        ));
    }
    Ok(id.to_owned())
}

fn flag(fields: &serde_json::Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(ApiError::invalid(format!("{name} must be true or false"))),
    }
}
