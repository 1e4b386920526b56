//! One list of desktops: all pages if the service ignores the filter, and in parts if it refuses one of the IDs.

use std::collections::{BTreeSet, HashMap};

use super::paging::MAX_PAGES;
use crate::crd::deletion::ErrorClass;
use crate::ids::DesktopID;
use crate::plan::error_policy::classify;
use crate::workspace::api::{Desktop, DesktopPage, MAX_OFFSET, Workspace};
use crate::workspace::error::Error;

/// Maximum number of calls to find the IDs that the service refuses. One of a hundred takes fourteen, a second one twelve
/// more.
const MAX_CALLS: u32 = 50;

/// The result of a list of desktops.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The desktops that exist, by folded ID.
    pub(super) desktops: HashMap<DesktopID, Desktop>,
    /// Whether the desktops that it neither contains nor refuses do not exist. If a list is truncated, or changes while
    /// it is read, this is not known.
    pub(super) complete: bool,
    /// The IDs that the service refuses: nothing is known about them.
    pub(super) rejected_ids: BTreeSet<DesktopID>,
}

/// Lists desktops, at most [`MAX_BATCH`](crate::workspace::api::MAX_BATCH).
///
/// # Errors
/// As [`Workspace::list_desktops`].
pub(super) async fn list(cloud: &dyn Workspace, ids: &[DesktopID]) -> Result<Listing, Error> {
    match read(cloud, ids).await {
        Err(error) if is_about_the_ids(&error) => bisect(cloud, ids, error).await,
        result => result,
    }
}

/// Whether the service refused the IDs, not the caller or the rate of calls.
pub(super) fn is_about_the_ids(error: &Error) -> bool {
    let classes = [
        ErrorClass::InvalidRequest,
        ErrorClass::UnknownRefusal,
        ErrorClass::NotFound,
    ];
    error.error_response().is_some() && classes.contains(&classify(error))
}

/// Lists halves of the IDs that are refused, until the refused IDs are known.
async fn bisect(cloud: &dyn Workspace, ids: &[DesktopID], error: Error) -> Result<Listing, Error> {
    let mut listing = Listing {
        complete: true,
        ..Listing::default()
    };
    let mut parts = vec![ids];
    let mut calls = 0;
    while let Some(part) = parts.pop() {
        if let [id] = part {
            listing.rejected_ids.insert(id.clone());
            continue;
        }
        let (first, second) = part.split_at(part.len() / 2);
        for half in [first, second] {
            if calls == MAX_CALLS {
                return Err(error);
            }
            calls += 1;
            match read(cloud, half).await {
                Ok(more) => {
                    listing.complete &= more.complete;
                    listing.desktops.extend(more.desktops);
                }
                Err(error) if is_about_the_ids(&error) => parts.push(half),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(listing)
}

async fn read(cloud: &dyn Workspace, ids: &[DesktopID]) -> Result<Listing, Error> {
    let mut rows = Rows::new(ids);
    let page = cloud.list_desktops(ids).await?.value;
    let complete = page.total == page.desktops.len() as u64;
    rows.add(page);
    let complete = if rows.unrequested == 0 {
        complete
    } else {
        read_remaining(cloud, ids, &mut rows).await?
    };
    Ok(Listing {
        desktops: rows.found,
        complete,
        rejected_ids: BTreeSet::new(),
    })
}

/// Reads the other pages of a list that ignores the filter, until every queried desktop was found or the list ends; returns
/// whether the result is complete. Makes no more calls than one for each desktop.
async fn read_remaining(cloud: &dyn Workspace, ids: &[DesktopID], rows: &mut Rows) -> Result<bool, Error> {
    let max_pages = ids.len().min(MAX_PAGES as usize);
    for _ in 0..max_pages {
        let offset = u32::try_from(rows.received).unwrap_or(u32::MAX);
        if rows.are_all_found() || offset > MAX_OFFSET {
            break;
        }
        let page = match cloud.list_desktops_from(ids, offset).await {
            Ok(answer) => answer.value,
            // The service refuses further pages.
            Err(error) if is_about_the_ids(&error) => break,
            Err(error) => return Err(error),
        };
        let at_end = page.rows == 0;
        rows.add(page);
        if at_end {
            return Ok(rows.are_complete());
        }
    }
    Ok(rows.are_all_found())
}

/// The rows of a list, as far as it was read.
struct Rows {
    /// The IDs of the query, folded.
    queried: BTreeSet<DesktopID>,
    /// Their desktops.
    found: HashMap<DesktopID, Desktop>,
    /// Number of other desktops.
    unrequested: usize,
    /// Rows so far, readable or not.
    received: u64,
    /// Desktops so far, folded.
    distinct: BTreeSet<DesktopID>,
    /// The total count according to each page.
    totals: BTreeSet<u64>,
}

impl Rows {
    fn new(ids: &[DesktopID]) -> Self {
        Self {
            queried: ids.iter().map(DesktopID::folded).collect(),
            found: HashMap::new(),
            unrequested: 0,
            received: 0,
            distinct: BTreeSet::new(),
            totals: BTreeSet::new(),
        }
    }

    fn add(&mut self, page: DesktopPage) {
        self.received += page.rows as u64;
        self.totals.insert(page.total);
        for desktop in page.desktops {
            let id = desktop.id.folded();
            self.distinct.insert(id.clone());
            if self.queried.contains(&id) {
                self.found.insert(id, desktop);
            } else {
                self.unrequested += 1;
            }
        }
    }

    fn are_all_found(&self) -> bool {
        self.found.len() == self.queried.len()
    }

    /// The list did not change while it was read to its end: each row is readable, none occurs twice, and every page has the
    /// same total.
    fn are_complete(&self) -> bool {
        self.distinct.len() as u64 == self.received && self.totals.iter().eq([&self.received])
    }
}
