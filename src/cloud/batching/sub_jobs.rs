//! The list of all sub-jobs of a project.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::paging::{self, Extent, RowKey};
use crate::ids::DesktopID;
use crate::workspace::api::{SubJob, SubJobQuery, Workspace};
use crate::workspace::error::Error;

/// All sub-jobs, by folded desktop ID.
#[derive(Clone)]
pub(super) struct SubJobsByDesktop {
    pub(super) by_desktop: Arc<HashMap<DesktopID, Vec<SubJob>>>,
    pub(super) complete: bool,
}

/// Reads the sub-jobs of every status, all pages, with the keys of all rows.
pub(super) async fn sub_job_list(
    cloud: &dyn Workspace,
) -> Result<(SubJobsByDesktop, HashSet<RowKey>), Error> {
    let listed = paging::list(cloud, SubJobQuery::default(), Extent::ToTheEnd).await?;
    let mut by_desktop: HashMap<DesktopID, Vec<SubJob>> = HashMap::new();
    for sub_job in listed.sub_jobs {
        by_desktop
            .entry(sub_job.desktop.folded())
            .or_default()
            .push(sub_job);
    }
    let list = SubJobsByDesktop {
        by_desktop: Arc::new(by_desktop),
        complete: listed.complete,
    };
    Ok((list, listed.keys))
}
