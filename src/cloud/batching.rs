//! Reads of the cloud that many requests share: desktops asked for at the same time, or soon after, go out in calls of
//! up to a hundred, and one sweep over the sub-jobs serves all who ask within a minute. Calls grow with desktops / 100,
//! not with requests.
//!
//! | file | what |
//! | --- | --- |
//! | `desktops` | who is asked about together, and whose answer serves another |
//! | `listing` | one list of desktops: all of its pages, and without the IDs that it refuses |
//! | `sub_jobs` | one sweep over all sub-jobs of a project |
//! | [`paging`] | pages of the sub-job list, and whether they are all of it |
//! | `known_rows` | rows that an earlier sweep showed |

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::rate_limiter::Priority;
use super::session::{ClientsWithPermit, CredentialsKey};
use super::single_flight::SingleFlight;
use crate::expiring::ExpiringMap;
use crate::ids::{DesktopID, ProjectID};
use crate::plan::views::SubJobList;
use crate::workspace::api::Workspace;
use crate::workspace::error::Error;

mod desktops;
mod known_rows;
mod listing;
pub mod paging;
mod sub_jobs;

pub use desktops::{DesktopQuery, Read};

use desktops::Desktops;
use known_rows::KnownRows;
use paging::RowKey;
use sub_jobs::{SubJobsByDesktop, sub_job_list};

/// Projects that were not read for so long are forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// The shared reads of all logins, by priority: what has to wait must not hold up what may go first. Clones share
/// them.
#[derive(Clone)]
pub struct DesktopBatcher {
    entries: ExpiringMap<(CredentialsKey, Priority), Entry>,
    /// Rows of the sub-job list of each project, for all sessions.
    rows: Arc<Mutex<HashMap<ProjectID, KnownRows>>>,
}

#[derive(Clone, Default)]
struct Entry {
    desktops: Desktops,
    sub_job_list: SingleFlight<SubJobsByDesktop>,
}

impl Default for DesktopBatcher {
    fn default() -> Self {
        Self {
            entries: ExpiringMap::new(IDLE),
            rows: Arc::default(),
        }
    }
}

impl DesktopBatcher {
    /// Reads desktops, together with callers that ask at the same time, or have just asked. If that takes a call, it takes
    /// along as many as it can of those that others will ask for soon, which `upcoming` names.
    ///
    /// # Errors
    /// As the call of the cloud.
    pub async fn desktops(
        &self,
        key: (CredentialsKey, Priority),
        cloud: impl ClientsWithPermit,
        question: DesktopQuery,
        upcoming: impl FnOnce() -> Vec<DesktopID>,
    ) -> Result<Arc<Read>, Error> {
        self.entry(key).desktops.read(cloud, question, upcoming).await
    }

    /// What the sub-jobs of the project say of `ids`, from a sweep begun at `not_before` or later.
    ///
    /// # Errors
    /// As the calls of the cloud.
    pub async fn sub_job_list(
        &self,
        key: (CredentialsKey, Priority),
        cloud: &dyn Workspace,
        ids: &[DesktopID],
        not_before: Instant,
    ) -> Result<SubJobList, Error> {
        let project = key.0.project.project_id.clone();
        let read = || async {
            let (mut sub_job_lists, shown) = sub_job_list(cloud).await?;
            sub_job_lists.complete &= self.shows_all_known(project, &shown);
            Ok(sub_job_lists)
        };
        let sub_job_lists = self.entry(key).sub_job_list.since(not_before, read).await?.value;
        let wanted: BTreeSet<_> = ids.iter().map(DesktopID::folded).collect();
        let sub_jobs = wanted
            .iter()
            .filter_map(|id| sub_job_lists.by_desktop.get(id))
            .flatten()
            .cloned()
            .collect();
        Ok(SubJobList {
            sub_jobs,
            complete: sub_job_lists.complete,
        })
    }

    /// Takes in the rows of a sweep; says whether they are all that an earlier sweep showed.
    fn shows_all_known(&self, project: ProjectID, shown: &HashSet<RowKey>) -> bool {
        let mut rows = self.rows.lock();
        rows.retain(|_, known| !known.is_forgotten());
        rows.entry(project).or_default().all_in(shown)
    }

    fn entry(&self, key: (CredentialsKey, Priority)) -> Entry {
        self.entries.get(key, Entry::default)
    }
}

#[cfg(test)]
mod tests;
