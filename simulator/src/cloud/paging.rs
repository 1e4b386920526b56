//! Query parameters that several reads share: pages and limits.

use super::operation::Call;
use super::refusal::Refusal;

/// The page that `limit` and `offset` ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    /// Reads `limit`, 0 to `greatest` (also the default), and `offset`, 0 to 10000.
    pub(super) fn parse(call: &Call, greatest: usize) -> Result<Self, Refusal> {
        Ok(Self {
            limit: number(call, "limit", greatest)?.unwrap_or(greatest),
            offset: number(call, "offset", 10_000)?.unwrap_or(0),
        })
    }

    pub(super) fn cut<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

fn number(call: &Call, name: &str, greatest: usize) -> Result<Option<usize>, Refusal> {
    let Some(text) = call.values(name).next() else {
        return Ok(None);
    };
    match text.parse() {
        Ok(value) if value <= greatest => Ok(Some(value)),
        _ => Err(Refusal::invalid(format!(
            "{name} must be a number from 0 to {greatest}, not `{text}`"
        ))),
    }
}

/// Checks how often a parameter is repeated.
pub(super) fn check_repeats(call: &Call, name: &str, most: usize) -> Result<(), Refusal> {
    let count = call.values(name).count();
    if count > most {
        return Err(Refusal::invalid(format!(
            "{name} may be given {most} times, not {count}"
        )));
    }
    Ok(())
}

/// Checks the length of a parameter's values.
pub(super) fn check_length(call: &Call, name: &str, most: usize) -> Result<(), Refusal> {
    if call.values(name).any(|value| value.chars().count() > most) {
        return Err(Refusal::invalid(format!(
            "{name} may have at most {most} characters"
        )));
    }
    Ok(())
}
