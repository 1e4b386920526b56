//! One list of desktops: read on where the service ignores the filter, and narrowed where it refuses one of the IDs.

use std::collections::{BTreeSet, HashMap};

use super::paging::MAX_PAGES;
use crate::crd::deletion::ErrorClass;
use crate::ids::DesktopID;
use crate::plan::error_policy::classify;
use crate::workspace::api::{Desktop, DesktopPage, MAX_OFFSET, Workspace};
use crate::workspace::error::Error;

/// Most calls to find out which IDs the service refuses. One of a hundred takes fourteen, a second one twelve more.
const MOST_CALLS: u32 = 50;

/// What a list says of the desktops that it was asked for.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those that it shows, by folded id.
    pub(super) desktops: HashMap<DesktopID, Desktop>,
    /// Those that it neither shows nor refuses do not exist. A list may be cut, or grow and shrink while it is read: then it
    /// proves nothing about a desktop that it does not show.
    pub(super) complete: bool,
    /// Those that no list may name, as they were asked for: it says nothing about them.
    pub(super) refused: BTreeSet<DesktopID>,
}

/// Lists desktops, at most [`MAX_BATCH`](crate::workspace::api::MAX_BATCH).
///
/// # Errors
/// As [`Workspace::list_desktops`].
pub(super) async fn list(cloud: &dyn Workspace, ids: &[DesktopID]) -> Result<Listing, Error> {
    match read(cloud, ids).await {
        Err(error) if is_about_the_ids(&error) => narrow(cloud, ids, error).await,
        result => result,
    }
}

/// The service takes no offence at who asks or how often, but at what is asked for.
pub(super) fn is_about_the_ids(error: &Error) -> bool {
    let classes = [
        ErrorClass::InvalidRequest,
        ErrorClass::UnknownRefusal,
        ErrorClass::NotFound,
    ];
    error.refusal().is_some() && classes.contains(&classify(error))
}

/// Lists halves of what is refused, until it is known which IDs are.
async fn narrow(cloud: &dyn Workspace, ids: &[DesktopID], error: Error) -> Result<Listing, Error> {
    let mut listing = Listing {
        complete: true,
        ..Listing::default()
    };
    let mut parts = vec![ids];
    let mut calls = 0;
    while let Some(part) = parts.pop() {
        if let [id] = part {
            listing.refused.insert(id.clone());
            continue;
        }
        let (first, second) = part.split_at(part.len() / 2);
        for half in [first, second] {
            if calls == MOST_CALLS {
                return Err(error);
            }
            calls += 1;
            match read(cloud, half).await {
                Ok(more) => {
                    listing.complete &= more.complete;
                    listing.desktops.extend(more.desktops);
                }
                Err(refusal) if is_about_the_ids(&refusal) => parts.push(half),
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
    rows.take(page);
    let complete = if rows.unrequested == 0 {
        complete
    } else {
        read_on(cloud, ids, &mut rows).await?
    };
    Ok(Listing {
        desktops: rows.wanted,
        complete,
        refused: BTreeSet::new(),
    })
}

/// Reads the other pages of a list that ignores the filter, until it shows every desktop that is asked for, or its end; says
/// whether it does. It takes no more calls than to ask for each desktop by itself.
async fn read_on(cloud: &dyn Workspace, ids: &[DesktopID], rows: &mut Rows) -> Result<bool, Error> {
    let most = ids.len().min(MAX_PAGES as usize);
    for _ in 0..most {
        let offset = u32::try_from(rows.received).unwrap_or(u32::MAX);
        if rows.are_all_shown() || offset > MAX_OFFSET {
            break;
        }
        let page = match cloud.list_desktops_from(ids, offset).await {
            Ok(answer) => answer.value,
            // This service has no further page for us.
            Err(error) if is_about_the_ids(&error) => break,
            Err(error) => return Err(error),
        };
        let at_end = page.rows == 0;
        rows.take(page);
        if at_end {
            return Ok(rows.are_whole());
        }
    }
    Ok(rows.are_all_shown())
}

/// The rows of a list, as far as it was read.
struct Rows {
    /// The desktops that were asked for, folded.
    asked: BTreeSet<DesktopID>,
    /// Those of them that it shows.
    wanted: HashMap<DesktopID, Desktop>,
    /// How many others it shows.
    unrequested: usize,
    /// Rows so far, readable or not.
    received: u64,
    /// Desktops so far, folded.
    distinct: BTreeSet<DesktopID>,
    /// What each page says that the list holds.
    totals: BTreeSet<u64>,
}

impl Rows {
    fn new(ids: &[DesktopID]) -> Self {
        Self {
            asked: ids.iter().map(DesktopID::folded).collect(),
            wanted: HashMap::new(),
            unrequested: 0,
            received: 0,
            distinct: BTreeSet::new(),
            totals: BTreeSet::new(),
        }
    }

    fn take(&mut self, page: DesktopPage) {
        self.received += page.rows as u64;
        self.totals.insert(page.total);
        for desktop in page.desktops {
            let id = desktop.id.folded();
            self.distinct.insert(id.clone());
            if self.asked.contains(&id) {
                self.wanted.insert(id, desktop);
            } else {
                self.unrequested += 1;
            }
        }
    }

    fn are_all_shown(&self) -> bool {
        self.wanted.len() == self.asked.len()
    }

    /// Nothing moved while the list was read to its end: each row is readable, none came twice, and every page counted as
    /// many.
    fn are_whole(&self) -> bool {
        self.distinct.len() as u64 == self.received && self.totals.iter().eq([&self.received])
    }
}
