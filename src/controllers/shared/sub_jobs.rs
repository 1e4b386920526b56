//! One sweep over all sub-jobs of a project.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::controllers::poller::{MAX_OFFSET, MAX_PAGES, PAGE};
use crate::ids::DesktopID;
use crate::workspace::api::{SubJob, SubJobQuery, Workspace};
use crate::workspace::error::Error;

/// A sweep, by folded desktop id.
#[derive(Clone)]
pub(super) struct Swept {
    pub(super) began: Instant,
    pub(super) by_desktop: Arc<HashMap<DesktopID, Vec<SubJob>>>,
    pub(super) complete: bool,
}

/// Reads the sub-jobs of every status, all pages. The sweep is complete if the total did not fall meanwhile and as many
/// rows came as it named first; past the rows and pages that are read it is not.
pub(super) async fn sweep(cloud: &dyn Workspace) -> Result<Swept, Error> {
    let began = Instant::now();
    let mut query = SubJobQuery {
        limit: PAGE,
        ..SubJobQuery::default()
    };
    let mut by_desktop: HashMap<DesktopID, Vec<SubJob>> = HashMap::new();
    let (mut seen, mut first_total, mut steady) = (BTreeSet::new(), None, true);
    let mut unreadable = 0;
    for _ in 0..MAX_PAGES {
        let page = cloud.list_sub_jobs(&query).await?.value;
        steady &= page.total >= *first_total.get_or_insert(page.total);
        unreadable += page.rows.saturating_sub(page.sub_jobs.len());
        for sub_job in page.sub_jobs {
            if seen.insert((sub_job.id.clone(), sub_job.job.clone(), sub_job.desktop.folded())) {
                by_desktop
                    .entry(sub_job.desktop.folded())
                    .or_default()
                    .push(sub_job);
            }
        }
        query.offset += u32::try_from(page.rows).unwrap_or(PAGE);
        if page.rows == 0 || u64::from(query.offset) >= page.total || query.offset > MAX_OFFSET {
            break;
        }
    }
    let complete = steady && (seen.len() + unreadable) as u64 >= first_total.unwrap_or_default();
    Ok(Swept {
        began,
        by_desktop: Arc::new(by_desktop),
        complete,
    })
}
