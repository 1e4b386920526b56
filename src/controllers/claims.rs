//! Which request may submit which desktop: two unfinished requests never have one desktop in flight, also across
//! namespaces that use the same cloud project. A request that may have reached the cloud reserves its desktops, even after
//! its object is gone; otherwise the older request takes precedence. The table is rebuilt from the unfinished objects
//! before the first submission.
//!
//! | file | content |
//! | --- | --- |
//! | `table` | which request takes precedence |
//! | `entry` | what is known of an unfinished request |
//! | `deleted` | claims of deleted requests |
//! | `released` | when desktops were last released |
//! | `listing` | whether a namespace could be read |

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::Scope;
use super::clock_sources::ClockSources;
use crate::config::Timing;
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::ids::{Origin, ProjectKey};
use crate::plan::clocks::Clocks;
use crate::plan::deadlines;
use crate::plan::observed::{Claim, NotBefore};
use crate::plan::overlap::ReleasedDesktops;
use crate::plan::step::OutcomeUpdate;

mod deleted;
mod entry;
mod listing;
mod released;
mod table;

use listing::ListState;
pub use listing::missing_permission;
use table::{Table, Watch};

/// How long a request waits for the watches before its claim is rejected as not synced.
const SYNC_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is checked whether a watch has synced.
const SYNC_POLL_INTERVAL: Duration = Duration::from_millis(50);

type Uid = String;

/// The table of claims; clones share it.
#[derive(Clone)]
pub struct Claims(Arc<Mutex<Table>>);

/// Input of the rules about time.
struct ClaimClock {
    clocks: ClockSources,
    timing: Timing,
    /// When this process began to lead, in time since its start: calls of other processes were made before.
    leads_since: Duration,
}

impl ClaimClock {
    /// Time since the start of the process.
    fn uptime(&self) -> Duration {
        self.clocks.uptime.now()
    }

    /// All clocks now, for a service.
    fn at(&self, service: &Origin) -> Clocks {
        self.clocks.now(Some(service.as_str()))
    }

    /// A request of that project is held until a time that is ahead: it reserves nothing yet.
    fn is_scheduled(&self, not_before: Option<Timestamp>, project_key: &ProjectKey) -> bool {
        not_before.is_some()
            && deadlines::start(not_before, &self.at(&project_key.origin), &self.timing) == NotBefore::Ahead
    }
}

/// The result of a claim.
#[derive(Debug, Clone)]
pub struct ClaimResult {
    /// Whether the desktops are granted.
    pub claim: Claim,
    /// The desktops were not granted to it before.
    pub newly_granted: bool,
    /// When a request in flight last released one of them, in time since the start of the process.
    pub released: Option<Duration>,
    /// The deleted request that holds one of them, if a live read has not confirmed yet that it is gone: it may have been
    /// finished by another leader.
    pub unconfirmed: Option<ObjectRef<DesktopDeletion>>,
}

/// Where the copy of an object in a reconciliation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectSource {
    /// From a live read, or from the response to a write.
    Live,
    /// From the watch, which may lag: such a copy does not show whether the request has reached the cloud.
    Cached {
        /// The desktops were granted in this reconciliation, so nothing has been sent on the basis of that claim.
        claimed: bool,
    },
}

impl ClaimResult {
    fn not_granted(claim: Claim) -> Self {
        Self {
            claim,
            newly_granted: false,
            released: None,
            unconfirmed: None,
        }
    }
}

impl Claims {
    /// An empty table.
    pub fn new(clocks: ClockSources, timing: Timing) -> Self {
        let leads_since = clocks.uptime.now();
        let time = ClaimClock {
            clocks,
            timing,
            leads_since,
        };
        Self(Arc::new(Mutex::new(Table::new(time))))
    }

    /// Registers a watch. Nothing is granted before it has listed its objects, or before enough time has passed since
    /// the API server refused the list.
    pub fn register_watch(&self, scope: Scope, projects: Store<WorkspaceProject>) {
        let watch = Watch {
            projects,
            project_list: ListState::default(),
            request_list: ListState::default(),
            listed: std::collections::HashSet::new(),
        };
        self.lock().watches.insert(scope, watch);
    }

    /// The watched scopes.
    pub fn scopes(&self) -> Vec<Scope> {
        self.lock().watches.keys().cloned().collect()
    }

    /// Applies an event of a watch, and returns the uids of removed objects.
    pub fn apply_event(&self, scope: &Scope, event: &Event<DesktopDeletion>) -> Vec<String> {
        let mut table = self.lock();
        match event {
            Event::Init => {
                if let Some(watch) = table.watches.get_mut(scope) {
                    watch.listed.clear();
                }
            }
            Event::InitApply(object) => {
                let uid = table.put(scope, object);
                if let Some(watch) = table.watches.get_mut(scope) {
                    watch.listed.insert(uid);
                }
            }
            Event::InitDone => return table.finish_list(scope),
            Event::Apply(object) => {
                table.put(scope, object);
            }
            Event::Delete(object) => return vec![table.deleted_by_watch(scope, object)],
        }
        Vec::new()
    }

    /// Applies an object that cannot be decoded, with the desktops and attempts in its JSON. `listed`: whether it is
    /// part of a list.
    pub fn apply_undecodable(&self, scope: &Scope, json: &Value, metadata: &ObjectMeta, listed: bool) {
        let mut table = self.lock();
        let uid = table.put_undecodable(scope, json, metadata);
        if let Some(watch) = table.watches.get_mut(scope).filter(|_| listed) {
            watch.listed.insert(uid);
        }
    }

    /// A watch reports that an object that cannot be decoded was removed.
    pub fn remove_undecodable(&self, scope: &Scope, json: &Value, metadata: &ObjectMeta) -> String {
        let mut table = self.lock();
        let uid = table.put_undecodable(scope, json, metadata);
        table.delete(&uid);
        uid
    }

    /// The store of projects contains the complete list of a watch.
    pub fn projects_listed(&self, scope: &Scope) {
        if let Some(watch) = self.lock().watches.get_mut(scope) {
            watch.project_list.mark_synced();
        }
    }

    /// The watch of requests has failed.
    pub fn requests_failed(&self, scope: &Scope, error: &watcher::Error) {
        self.record_failure::<DesktopDeletion>(scope, error, |watch| &mut watch.request_list);
    }

    /// The watch of projects has failed.
    pub fn projects_failed(&self, scope: &Scope, error: &watcher::Error) {
        self.record_failure::<WorkspaceProject>(scope, error, |watch| &mut watch.project_list);
    }

    fn record_failure<K: Resource<DynamicType = ()>>(
        &self,
        scope: &Scope,
        error: &watcher::Error,
        list: impl FnOnce(&mut Watch) -> &mut ListState,
    ) {
        let Some(permission) = missing_permission::<K>(error) else {
            return;
        };
        let mut table = self.lock();
        let now = table.time.uptime();
        let Some(watch) = table.watches.get_mut(scope) else {
            return;
        };
        if list(watch).record_forbidden(permission.clone(), now) {
            tracing::error!(
                namespace = %scope, permission,
                "the operator lacks a permission in a watched namespace; grant it (deploy/watched-namespace; for all \
                 namespaces, deploy/all-namespaces), or stop serving the namespace"
            );
        }
    }

    /// No call of an earlier process can take effect any more, in any namespace.
    pub fn earlier_calls_have_ended(&self) -> bool {
        table::until_earlier_calls_end(&self.lock().time).is_zero()
    }

    /// How many of the watched namespaces cannot be read because a permission is missing.
    pub fn count_unreadable_namespaces(&self) -> usize {
        let table = self.lock();
        let now = table.time.uptime();
        let unreadable = |watch: &&Watch| {
            let lists = [&watch.request_list, &watch.project_list];
            lists.iter().any(|list| list.missing_permission(now).is_some())
        };
        table.watches.values().filter(unreadable).count()
    }

    /// The permission without which the projects of a namespace cannot be checked, if it is missing.
    pub fn missing_project_permission(&self, namespace: &str) -> Option<String> {
        let table = self.lock();
        let now = table.time.uptime();
        let own = table.watches.get(&Scope::Namespace(namespace.to_owned()));
        let watch = own.or_else(|| table.watches.get(&Scope::All))?;
        watch.project_list.missing_permission(now).map(ToOwned::to_owned)
    }

    /// Asks for the desktops of `object` in the cloud project `project_key`. What is granted is held until
    /// [`Claims::release_unless_in_flight`].
    pub async fn claim(&self, object: &DesktopDeletion, project_key: &ProjectKey) -> ClaimResult {
        let unknown = tokio::time::timeout(SYNC_TIMEOUT, self.wait_for_sync()).await;
        if let Some(unknown) = unknown.unwrap_or(Some(Claim::WatchesNotSynced)) {
            return ClaimResult::not_granted(unknown);
        }
        let mut table = self.lock();
        let Some(claim) = table.conflict(object, project_key) else {
            let before = table
                .granted_in
                .insert(object.uid().unwrap_or_default(), project_key.clone());
            return ClaimResult {
                claim: Claim::Granted,
                newly_granted: before.is_none(),
                released: table.released.latest(&object.spec.desktop_ids),
                unconfirmed: None,
            };
        };
        let unconfirmed = match &claim {
            Claim::ReservedByDeleted(holder) => table.unconfirmed(&holder.uid),
            _ => None,
        };
        ClaimResult {
            unconfirmed,
            ..ClaimResult::not_granted(claim)
        }
    }

    /// The live `object` was read or written: a watch may deliver it later, or never if the object is deleted before.
    pub fn observe(&self, object: &DesktopDeletion) {
        self.lock().observe(object);
    }

    /// A reconciliation of `object` has ended, or a submission in it: its desktops stay held only if it may have reached the
    /// cloud.
    pub fn release_unless_in_flight(&self, object: &DesktopDeletion, known: ObjectSource) {
        let released = match known {
            ObjectSource::Live => !object.status.as_ref().is_some_and(entry::is_in_flight),
            ObjectSource::Cached { claimed } => claimed,
        };
        if released {
            self.lock().granted_in.remove(&object.uid().unwrap_or_default());
        }
    }

    /// Runs the write of the final result of a request.
    pub async fn while_finishing<T>(&self, uid: &str, write: impl Future<Output = T>) -> T {
        self.lock().finishing.insert(uid.to_owned());
        let written = write.await;
        self.lock().finishing.remove(uid);
        written
    }

    /// The request is finished, according to what this process has written or read: it no longer reserves anything.
    pub fn mark_finished(&self, uid: &str) {
        self.lock().finish(uid);
    }

    /// The object was deleted.
    pub fn mark_deleted(&self, uid: &str) {
        self.lock().delete(uid);
    }

    /// The API server has confirmed that a request was deleted.
    pub fn confirm_deleted(&self, uid: &str) {
        if let Some(deleted) = self.lock().deleted.get_mut(uid) {
            deleted.confirmed = true;
        }
    }

    /// Records the outcome of a call whose object is already gone.
    pub fn record_outcome(&self, uid: &str, outcome_update: &OutcomeUpdate) {
        self.lock().record_outcome(uid, outcome_update);
    }

    /// What was read ends the claim of a deleted request on these desktops.
    pub fn release(&self, uid: &str, released: &ReleasedDesktops) {
        let mut table = self.lock();
        table.deleted.release(uid, released);
        let desktops = released.gone.iter().chain(&released.shown);
        let now = table.time.uptime();
        table.released.record(desktops, now);
    }

    /// Number of deleted requests that still reserve desktops.
    pub fn count_deleted_requests(&self) -> usize {
        let table = self.lock();
        table.deleted.count(&table.time)
    }

    /// Waits until every watch has listed its objects, or the API server has refused to list them: an unknown request
    /// could take precedence. (The stores cannot be awaited here: `Store::wait_until_ready` wakes one task only, and
    /// would leave the others waiting.)
    async fn wait_for_sync(&self) -> Option<Claim> {
        loop {
            let unknown = self.lock().unsynced();
            if unknown != Some(Claim::WatchesNotSynced) {
                return unknown;
            }
            tokio::time::sleep(SYNC_POLL_INTERVAL).await;
        }
    }

    /// A panic elsewhere leaves at worst a stale entry, which the next event of its object replaces.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests;
