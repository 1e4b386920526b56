//! Reads of the cloud that many requests share: desktops that are queried at the same time, or soon after, go into one call
//! for up to a hundred, and one list of all sub-jobs serves all callers within a minute. The number of calls grows with
//! desktops / 100, not with requests.
//!
//! | file | what |
//! | --- | --- |
//! | `desktops` | which queries go into one call, and which result serves another query |
//! | `listing` | one list of desktops: all of its pages, and without the IDs that the service refuses |
//! | `sub_jobs` | all sub-jobs of a project |
//! | [`paging`] | pages of the sub-job list, and whether they are complete |
//! | `known_rows` | rows that an earlier list contained |

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::rate_limiter::Priority;
use super::session::{ClientsWithPermit, CredentialsKey};
use super::single_flight::{SharedRead, SingleFlight};
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

pub use desktops::{DesktopQuery, DesktopRead};

use desktops::SharedDesktopReads;
use known_rows::KnownRows;
use paging::RowKey;
use sub_jobs::{SubJobsByDesktop, sub_job_list};

/// Entries that were not used for this long are dropped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// The shared reads of all credentials, by priority, so that a read never waits for one of lower priority. Clones share
/// them.
#[derive(Clone)]
pub struct DesktopBatcher {
    entries: ExpiringMap<(CredentialsKey, Priority), Entry>,
    /// Rows of the sub-job list of each project, for all sessions.
    rows: Arc<Mutex<HashMap<ProjectID, KnownRows>>>,
}

#[derive(Clone, Default)]
struct Entry {
    desktops: SharedDesktopReads,
    sub_job_list: SingleFlight<SubJobsByDesktop, Error>,
}

impl Default for DesktopBatcher {
    fn default() -> Self {
        Self {
            entries: ExpiringMap::new(IDLE_TIMEOUT),
            rows: Arc::default(),
        }
    }
}

impl DesktopBatcher {
    /// Reads desktops, together with those of concurrent and recent queries. A call also includes as many as it can of
    /// `upcoming`, the desktops that other requests will query soon.
    ///
    /// # Errors
    /// As the call of the cloud.
    pub async fn desktops(
        &self,
        key: (CredentialsKey, Priority),
        cloud: impl ClientsWithPermit,
        query: DesktopQuery,
        upcoming: impl FnOnce() -> Vec<DesktopID>,
    ) -> Result<Arc<DesktopRead>, Error> {
        self.entry(key).desktops.read(cloud, query, upcoming).await
    }

    /// The sub-jobs of the project that name one of `ids`, from a list that began at `not_before` or later.
    ///
    /// # Errors
    /// As the calls of the cloud.
    pub async fn sub_job_list(
        &self,
        key: (CredentialsKey, Priority),
        cloud: &dyn Workspace,
        ids: &[DesktopID],
        not_before: Instant,
    ) -> Result<SharedRead<SubJobList>, Error> {
        let project = key.0.project.project_id.clone();
        let read = || async {
            let (mut list, keys) = sub_job_list(cloud).await?;
            list.complete &= self.includes_known(project, &keys);
            Ok(list)
        };
        let read = self.entry(key).sub_job_list.since(not_before, read).await?;
        let list = read.value;
        let wanted: BTreeSet<_> = ids.iter().map(DesktopID::folded).collect();
        let sub_jobs = wanted
            .iter()
            .filter_map(|id| list.by_desktop.get(id))
            .flatten()
            .cloned()
            .collect();
        Ok(SharedRead {
            began: read.began,
            value: SubJobList {
                sub_jobs,
                complete: list.complete,
            },
        })
    }

    /// Remembers the rows of a list; returns whether they include all rows of earlier lists.
    fn includes_known(&self, project: ProjectID, keys: &HashSet<RowKey>) -> bool {
        let mut rows = self.rows.lock();
        rows.retain(|_, known| !known.is_expired());
        rows.entry(project).or_default().update(keys)
    }

    fn entry(&self, key: (CredentialsKey, Priority)) -> Entry {
        self.entries.get_or_insert_with(key, Entry::default)
    }
}

#[cfg(test)]
mod tests;
