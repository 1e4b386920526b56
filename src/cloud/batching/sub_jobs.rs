//! One sweep over all sub-jobs of a project.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::paging::{self, Extent, RowKey};
use crate::ids::DesktopID;
use crate::workspace::api::{SubJob, SubJobQuery, Workspace};
use crate::workspace::error::Error;

/// A sweep, by folded desktop id.
#[derive(Clone)]
pub(super) struct SubJobsByDesktop {
    pub(super) by_desktop: Arc<HashMap<DesktopID, Vec<SubJob>>>,
    pub(super) complete: bool,
}

/// Reads the sub-jobs of every status, all pages, and gives what identifies each row.
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
    let sub_job_lists = SubJobsByDesktop {
        by_desktop: Arc::new(by_desktop),
        complete: listed.complete,
    };
    Ok((sub_job_lists, listed.keys))
}
