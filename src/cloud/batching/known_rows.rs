//! Rows of the sub-job list that an earlier sweep showed. A list that lacks one is cut, or records were erased: in
//! either case it proves nothing about what it does not show.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::paging::{MAX_ROWS, RowKey};

/// How long a row is missed: as long as a call may live. The service erases old records, which must not make every later
/// list incomplete.
const MISSED: Duration = Duration::from_secs(24 * 60 * 60);

/// Most rows of a project that are known: twice as many as a list can show. Beyond it those that are missing are dropped.
const MOST: usize = 2 * MAX_ROWS;

/// The rows of one project, and when each was shown last.
#[derive(Debug, Default)]
pub(super) struct KnownRows(HashMap<RowKey, Instant>);

impl KnownRows {
    /// Takes in a sweep; says whether it shows every row that is known.
    pub(super) fn all_in(&mut self, shown: &HashSet<RowKey>) -> bool {
        let now = Instant::now();
        self.0.retain(|_, seen| now.duration_since(*seen) < MISSED);
        let all = self.0.keys().all(|key| shown.contains(key));
        self.0.extend(shown.iter().map(|key| (*key, now)));
        if self.0.len() > MOST {
            self.0.retain(|key, _| shown.contains(key));
        }
        all
    }

    /// None is known any more.
    pub(super) fn is_forgotten(&self) -> bool {
        let now = Instant::now();
        self.0.values().all(|seen| now.duration_since(*seen) >= MISSED)
    }
}
