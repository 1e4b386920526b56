//! Pages of the sub-job list. The total that the service returns is not trusted: it may be capped, or outdated.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::workspace::api::{MAX_OFFSET, MAX_PAGE as PAGE, SubJob, SubJobQuery, Workspace};
use crate::workspace::error::Error;

/// Maximum number of rows that paging can reach.
pub const MAX_ROWS: usize = (MAX_OFFSET + PAGE) as usize;

/// Maximum number of pages that are read. Eleven full pages contain all rows that can be paged to, and an empty page ends
/// the list; this limit ends a list of nearly empty pages.
pub const MAX_PAGES: u32 = 100;

/// Hash that identifies a row. A collision is less likely than a memory error.
pub type RowKey = u64;

/// The rows of a list, as far as it was read.
#[derive(Debug, Default)]
pub struct SubJobRows {
    /// Readable rows, each once.
    pub sub_jobs: Vec<SubJob>,
    /// Their keys.
    pub keys: HashSet<RowKey>,
    /// Whether every row was read: a further page was empty, each row was readable, none occurred twice, and the total
    /// never decreased and finally was the number of rows.
    pub complete: bool,
}

/// How much of a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Until a page is empty, so that it is known whether the list is complete.
    ToTheEnd,
    /// At most this many pages.
    Pages(u32),
}

/// Reads a list page by page, from its first row.
///
/// # Errors
/// As [`Workspace::list_sub_jobs`].
pub async fn list(cloud: &dyn Workspace, query: SubJobQuery, extent: Extent) -> Result<SubJobRows, Error> {
    let mut query = SubJobQuery {
        offset: 0,
        limit: PAGE,
        ..query
    };
    let mut listed = SubJobRows::default();
    let (mut received, mut highest, mut steady, mut readable) = (0_u64, 0, true, true);
    let max_pages = match extent {
        Extent::ToTheEnd => MAX_PAGES,
        Extent::Pages(pages) => pages.min(MAX_PAGES),
    };
    for _ in 0..max_pages {
        let page = cloud.list_sub_jobs(&query).await?.value;
        steady &= page.total >= highest;
        highest = highest.max(page.total);
        received += page.rows as u64;
        let short = page.rows < PAGE as usize;
        // A row that cannot be read may name any desktop.
        readable &= page.sub_jobs.len() == page.rows && page.has_list;
        // Each further page would cost a call and be as useless.
        let nothing_readable = page.sub_jobs.is_empty();
        steady &= listed.add(page.sub_jobs);
        if page.rows == 0 {
            listed.complete = steady && readable && page.total == received;
            break;
        }
        let enough = extent != Extent::ToTheEnd && short && received >= page.total;
        query.offset = u32::try_from(received).unwrap_or(u32::MAX);
        if enough || !steady || nothing_readable || query.offset > MAX_OFFSET {
            break;
        }
    }
    Ok(listed)
}

impl SubJobRows {
    /// Adds a page; returns whether all of its rows are new.
    fn add(&mut self, page: Vec<SubJob>) -> bool {
        let mut new = true;
        for sub_job in page {
            if self.keys.insert(key(&sub_job)) {
                self.sub_jobs.push(sub_job);
            } else {
                new = false;
            }
        }
        new
    }
}

fn key(sub_job: &SubJob) -> RowKey {
    let mut hasher = DefaultHasher::new();
    (&sub_job.id, &sub_job.job, sub_job.desktop.folded()).hash(&mut hasher);
    hasher.finish()
}
