//! Query parameters that several reads share: pages and limits.

use super::api_error::ApiError;
use super::operation::Call;

/// The page that `limit` and `offset` ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    /// Reads `limit`, 0 to `max_limit` (also the default), and `offset`, 0 to 10000.
    pub(super) fn parse(call: &Call, max_limit: usize) -> Result<Self, ApiError> {
        Ok(Self {
            limit: number(call, "limit", max_limit)?.unwrap_or(max_limit),
            offset: number(call, "offset", 10_000)?.unwrap_or(0),
        })
    }

    pub(super) fn cut<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

fn number(call: &Call, name: &str, greatest: usize) -> Result<Option<usize>, ApiError> {
    let Some(text) = call.values(name).next() else {
        return Ok(None);
    };
    match text.parse() {
        Ok(value) if value <= greatest => Ok(Some(value)),
        _ => Err(ApiError::invalid(format!(
            "{name} must be a number from 0 to {greatest}, not `{text}`"
        ))),
    }
}

/// Checks how often a parameter is repeated.
pub(super) fn check_repeats(call: &Call, name: &str, max: usize) -> Result<(), ApiError> {
    let count = call.values(name).count();
    if count > max {
        return Err(ApiError::invalid(format!(
            "{name} may be given {max} times, not {count}"
        )));
    }
    Ok(())
}

/// Checks the length of a parameter's values.
pub(super) fn check_length(call: &Call, name: &str, max: usize) -> Result<(), ApiError> {
    if call.values(name).any(|value| value.chars().count() > max) {
        return Err(ApiError::invalid(format!(
            "{name} may have at most {max} characters"
        )));
    }
    Ok(())
}
