//! Rows of the sub-job list that an earlier list contained. A list that lacks one is truncated, or records were erased:
//! in either case, missing rows may still exist.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::paging::{MAX_ROWS, RowKey};

/// How long a row is expected: as long as a call may take effect. The service erases old records, which must not make every
/// later list incomplete.
const EXPECTED: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of known rows of a project: twice as many as a list can contain. Beyond it, missing rows are dropped.
const MAX_KNOWN: usize = 2 * MAX_ROWS;

/// The rows of one project, and when each was last in a list.
#[derive(Debug, Default)]
pub(super) struct KnownRows(HashMap<RowKey, Instant>);

impl KnownRows {
    /// Remembers the rows of a list; returns whether they include every known row.
    pub(super) fn update(&mut self, listed: &HashSet<RowKey>) -> bool {
        let now = Instant::now();
        self.0.retain(|_, last| now.duration_since(*last) < EXPECTED);
        let all = self.0.keys().all(|key| listed.contains(key));
        self.0.extend(listed.iter().map(|key| (*key, now)));
        if self.0.len() > MAX_KNOWN {
            self.0.retain(|key, _| listed.contains(key));
        }
        all
    }

    /// No row is expected any more.
    pub(super) fn is_expired(&self) -> bool {
        let now = Instant::now();
        self.0.values().all(|last| now.duration_since(*last) >= EXPECTED)
    }
}
