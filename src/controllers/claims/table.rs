//! The table of claims, and which request takes precedence.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use serde_json::Value;

use super::deleted::{DeletedClaim, DeletedRequests, remove_from_index};
use super::entry::{self, Entry, created};
use super::listing::ListState;
use super::released::ReleaseTimes;
use super::{ClaimClock, Uid};
use crate::controllers::Scope;
use crate::controllers::project_reads::coordinates;
use crate::crd::conditions::{ConditionStatus, ConditionType};
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::ids::{AttemptID, DesktopID, ProjectKey};
use crate::plan::deadlines::{claim_ends_by, first_check_is_awaited, until_unreadable_call_ends};
use crate::plan::observed::{Claim, ConflictingRequest, DeletedRequest, UnreadableNamespace};
use crate::plan::step::OutcomeUpdate;

/// The table of claims.
pub(super) struct Table {
    pub(super) time: ClaimClock,
    /// The watches, and whether each has listed its objects.
    pub(super) watches: HashMap<Scope, Watch>,
    entries: HashMap<Uid, Entry>,
    by_desktop: HashMap<DesktopID, BTreeSet<Uid>>,
    /// The cloud projects of the requests that this process is submitting, or that may have reached the cloud according
    /// to their live status.
    pub(super) granted_in: HashMap<Uid, ProjectKey>,
    /// Deleted requests, and what they still reserve.
    pub(super) deleted: DeletedRequests,
    /// When desktops were last released.
    pub(super) released: ReleaseTimes,
    /// Requests that this process finished, until their watch shows that too: it does so by a deletion.
    finished: HashMap<Uid, Scope>,
    /// Requests whose final result is being written: their watch may show that before the response arrives.
    pub(super) finishing: HashSet<Uid>,
    /// Since when this process has known projects unchecked, by uid.
    unchecked: HashMap<Uid, Duration>,
    /// The minute by which no call of an earlier process can take effect any more.
    earlier_calls_end: Timestamp,
}

/// One watch.
pub(super) struct Watch {
    pub(super) projects: Store<WorkspaceProject>,
    /// The list of projects, which the store holds.
    pub(super) project_list: ListState,
    /// The list of requests, which the table holds.
    pub(super) request_list: ListState,
    /// Objects of a list that is being read.
    pub(super) listed: HashSet<Uid>,
}

/// Whether an older request that was not submitted yet reserves its desktops.
enum Precedence {
    No,
    /// This is known after the first check of its project.
    Unknown,
    Yes,
}

impl Table {
    /// An empty table of a process that begins to lead now.
    pub(super) fn new(time: ClaimClock) -> Self {
        Self {
            watches: HashMap::new(),
            entries: HashMap::new(),
            by_desktop: HashMap::new(),
            granted_in: HashMap::new(),
            deleted: DeletedRequests::default(),
            released: ReleaseTimes::new(time.timing.job_visibility_timeout),
            finished: HashMap::new(),
            finishing: HashSet::new(),
            unchecked: HashMap::new(),
            earlier_calls_end: claim_ends_by(until_earlier_calls_end(&time), &time.clocks.now(None)),
            time,
        }
    }

    /// Why nothing can be granted yet: the requests of a watch are not known, and may be in flight. Projects only
    /// determine which of two unsubmitted requests takes precedence, so a namespace in which the operator may not list
    /// them is not waited for.
    pub(super) fn unsynced(&self) -> Option<Claim> {
        let now = self.time.uptime();
        let unlisted = self
            .watches
            .iter()
            .filter(|(_, watch)| !watch.request_list.synced);
        let unreadable = unlisted.filter_map(|(scope, watch)| {
            let permission = watch.request_list.missing_permission(now)?;
            Some((scope.to_string(), permission.to_owned()))
        });
        if let Some((name, permission)) = unreadable.min()
            && !until_earlier_calls_end(&self.time).is_zero()
        {
            return Some(Claim::Unreadable(UnreadableNamespace {
                name,
                permission,
                until: self.earlier_calls_end,
            }));
        }
        let known = |list: &ListState| list.synced || list.missing_permission(now).is_some();
        let all_known = self
            .watches
            .values()
            .all(|watch| known(&watch.request_list) && known(&watch.project_list));
        (!all_known).then_some(Claim::WatchesNotSynced)
    }

    /// Takes in a copy of a request; one that is older than what is known changes nothing.
    pub(super) fn put(&mut self, scope: &Scope, object: &DesktopDeletion) -> Uid {
        self.put_entry(&object.metadata, |first_seen| {
            Entry::of(object, scope.clone(), first_seen)
        })
    }

    /// The same of a request that cannot be decoded.
    pub(super) fn put_undecodable(&mut self, scope: &Scope, json: &Value, metadata: &ObjectMeta) -> Uid {
        self.put_entry(metadata, |first_seen| {
            Entry::undecodable(json, metadata, scope.clone(), first_seen)
        })
    }

    fn put_entry(
        &mut self,
        metadata: &ObjectMeta,
        entry: impl FnOnce(&dyn Fn(&AttemptID) -> Duration) -> Entry,
    ) -> Uid {
        let uid = metadata.uid.clone().unwrap_or_default();
        let before = self.entries.get(&uid);
        if self.finished.contains_key(&uid) || before.is_some_and(|known| known.is_newer_than(metadata)) {
            return uid;
        }
        let (now, gone) = (self.time.uptime(), self.deleted.get(&uid));
        let first_seen = |attempt: &AttemptID| {
            let known = before.and_then(|entry| entry.first_seen_at(attempt));
            let gone = || entry::first_seen_at(&gone?.attempts, attempt);
            known.or_else(gone).unwrap_or(now)
        };
        let entry = entry(&first_seen);
        if let Some(before) = before {
            self.released
                .record(before.no_longer_in_flight(Some(&entry)), now);
        }
        // The object exists after all, so it is not deleted.
        self.deleted.remove(&uid);
        for id in &entry.desktops {
            self.by_desktop.entry(id.clone()).or_default().insert(uid.clone());
        }
        self.entries.insert(uid.clone(), entry);
        uid
    }

    /// Takes in a live copy of a request. If its watch has shown that it is gone, only a call in flight counts.
    pub(super) fn observe(&mut self, object: &DesktopDeletion) {
        let uid = object.uid().unwrap_or_default();
        let status = object.status.as_ref();
        if status.is_some_and(|s| s.completion_time.is_some()) {
            self.finish(&uid);
        } else if let Some(entry) = self.entries.get(&uid) {
            let scope = entry.scope.clone();
            self.put(&scope, object);
        } else if self.deleted.get(&uid).is_none() && status.is_some_and(entry::is_in_flight) {
            self.put(&Scope::All, object);
            self.delete(&uid);
        }
    }

    /// This process has finished the request, or seen that it is finished: it no longer reserves anything. Until its
    /// watch reports that, older copies may still arrive.
    pub(super) fn finish(&mut self, uid: &str) {
        if let Some(entry) = self.remove_entry(uid) {
            self.released
                .record(entry.no_longer_in_flight(None), self.time.uptime());
            self.finished.insert(uid.to_owned(), entry.scope);
        }
        if let Some(deleted) = self.deleted.remove(uid) {
            let desktops = deleted.attempts.iter().flat_map(|a| &a.desktops);
            self.released.record(desktops, self.time.uptime());
        }
    }

    /// A watch reports that an object is gone: it was deleted or finished. `object` is its last state; for a finished
    /// request, the state before it was finished.
    pub(super) fn deleted_by_watch(&mut self, scope: &Scope, object: &DesktopDeletion) -> Uid {
        let uid = object.uid().unwrap_or_default();
        let known = self.deleted.get(&uid).is_some();
        if self.finished.remove(&uid).is_none() && !known {
            self.put(scope, object);
            self.delete(&uid);
        }
        uid
    }

    /// The object is gone. Attempts that may still take effect reserve their desktops until they no longer can.
    pub(super) fn delete(&mut self, uid: &str) {
        let granted_project = self.granted_in.get(uid).cloned();
        let Some(entry) = self.remove_entry(uid) else {
            return;
        };
        let project = entry.project_key.clone().or(granted_project);
        let in_flight = entry.attempts.clone();
        let name = (entry.namespace.clone(), entry.name.clone());
        self.released
            .record(entry.no_longer_in_flight(None), self.time.uptime());
        let Some(claim) =
            project.and_then(|project| DeletedClaim::begin(name, project, in_flight, &self.time))
        else {
            return;
        };
        if !self.finishing.contains(uid) {
            tracing::warn!(
            namespace = claim.namespace, name = claim.name, until = %claim.until,
            "a DesktopDeletion was deleted, or finished by another replica, while its delete request can still take effect or its job may not be visible yet; this process keeps its desktops reserved until the time in `until`"
            );
        }
        if let Some(displaced) = self.deleted.insert(uid.to_owned(), claim, &self.time) {
            tracing::warn!(
                namespace = displaced.namespace, name = displaced.name, until = %displaced.until,
                "too many reservations of deleted requests; dropped the one that expires first"
            );
        }
    }

    /// Records the outcome of a call whose object is already gone.
    pub(super) fn record_outcome(&mut self, uid: &str, outcome_update: &OutcomeUpdate) {
        let Some(mut deleted) = self.deleted.remove(uid) else {
            return;
        };
        let desktops = deleted.attempts.iter().flat_map(|a| &a.desktops);
        self.released.record(desktops, self.time.uptime());
        for attempt in deleted
            .attempts
            .iter_mut()
            .filter(|a| a.id == outcome_update.attempt)
        {
            attempt.outcome = outcome_update.outcome;
            attempt.jobs.extend(outcome_update.jobs.iter().cloned());
        }
        deleted.attempts.retain(|a| a.is_in_doubt() || a.took_effect());
        let name = (deleted.namespace, deleted.name);
        if let Some(claim) = DeletedClaim::begin(name, deleted.project, deleted.attempts, &self.time) {
            self.deleted.insert(uid.to_owned(), claim, &self.time);
        }
    }

    /// The deleted request of that uid, if no live read has confirmed yet that it was deleted.
    pub(super) fn unconfirmed(&self, uid: &str) -> Option<ObjectRef<DesktopDeletion>> {
        let deleted = self.deleted.get(uid).filter(|deleted| !deleted.confirmed)?;
        let mut reference = ObjectRef::new(&deleted.name).within(&deleted.namespace);
        reference.extra.uid = Some(uid.to_owned());
        Some(reference)
    }

    /// A list was read completely: objects that it did not contain are gone.
    pub(super) fn finish_list(&mut self, scope: &Scope) -> Vec<Uid> {
        let Some(known) = self.watches.get_mut(scope) else {
            return Vec::new();
        };
        known.request_list.mark_synced();
        let listed = std::mem::take(&mut known.listed);
        self.finished
            .retain(|uid, within| within != scope || listed.contains(uid));
        let gone = |(uid, entry): &(&Uid, &Entry)| entry.scope == *scope && !listed.contains(*uid);
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(gone)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in &gone {
            self.delete(uid);
        }
        gone
    }

    /// What keeps a request from its desktops, if something does.
    pub(super) fn conflict(&mut self, object: &DesktopDeletion, project_key: &ProjectKey) -> Option<Claim> {
        object.spec.desktop_ids.iter().find_map(|id| {
            let unfinished = self.unfinished_conflict(object, id, project_key);
            unfinished.or_else(|| self.deleted_conflict(object, id, project_key))
        })
    }

    /// Another unfinished request that comes first for a desktop.
    fn unfinished_conflict(
        &mut self,
        object: &DesktopDeletion,
        id: &DesktopID,
        project_key: &ProjectKey,
    ) -> Option<Claim> {
        let uid = object.uid().unwrap_or_default();
        let ours = (created(&object.metadata), uid.as_str());
        let others: Vec<_> = self.by_desktop.get(&id.folded())?.iter().cloned().collect();
        for other in others.iter().filter(|other| **other != uid) {
            let Some(entry) = self.entries.get(other) else {
                continue;
            };
            let idle = entry.inactive || self.time.is_scheduled(entry.not_before, project_key);
            let older = !idle && (entry.created, other.as_str()) < ours;
            // Two endpoints may be names of one service, so the project decides alone where a call may take effect.
            let known = self.granted_in.get(other).or(entry.in_flight());
            let holds = known.is_some_and(|theirs| theirs.project_id == project_key.project_id);
            let holds = holds || (known.is_none() && entry.has_unknown_project());
            let conflict = ConflictingRequest {
                desktop: id.clone(),
                name: visible(object, &entry.namespace, &entry.name),
            };
            let held = if entry.undecodable {
                Claim::ReservedByUndecodable
            } else {
                Claim::Reserved
            };
            if holds {
                return Some(held(conflict));
            }
            match if older {
                self.precedence(other, project_key)
            } else {
                Precedence::No
            } {
                Precedence::Yes => return Some(held(conflict)),
                Precedence::Unknown => return Some(Claim::OlderProjectUnchecked(conflict)),
                Precedence::No => {}
            }
        }
        None
    }

    /// A deleted request that still holds a desktop.
    fn deleted_conflict(
        &mut self,
        object: &DesktopDeletion,
        id: &DesktopID,
        project_key: &ProjectKey,
    ) -> Option<Claim> {
        let folded = id.folded();
        if self.deleted.expire(&folded, &self.time) {
            self.released.record([&folded], self.time.uptime());
        }
        let (uid, deleted) = self.deleted.holder(&folded, project_key)?;
        Some(Claim::ReservedByDeleted(DeletedRequest {
            uid: uid.clone(),
            desktop: id.clone(),
            name: visible(object, &deleted.namespace, &deleted.name),
            gone_since: deleted.since,
            until: deleted.until,
            jobs: deleted.jobs(),
        }))
    }

    /// Whether a request that was not submitted yet will be submitted in the project `project_key`. Without verified
    /// credentials a project reserves nothing, so that no request blocks desktops that it cannot delete; right after
    /// the start of the operator, this is not known before the first check of the project.
    fn precedence(&mut self, uid: &str, project_key: &ProjectKey) -> Precedence {
        let project = self.entries.get(uid).and_then(|entry| {
            let reference = ObjectRef::new(&entry.project).within(&entry.namespace);
            self.watches.get(&entry.scope)?.projects.get(&reference)
        });
        let uses_project = |project: &WorkspaceProject| {
            !project.spec.suspend && coordinates(&project.spec).key() == *project_key
        };
        let Some(project) = project.filter(|project| uses_project(project)) else {
            return Precedence::No;
        };
        let project_uid = project.uid().unwrap_or_default();
        // The result of the check of the current generation of the project.
        let ready = project.condition(ConditionType::Ready);
        if let Some(ready) = ready.filter(|c| c.status != ConditionStatus::Unknown) {
            self.unchecked.remove(&project_uid);
            return if ready.status == ConditionStatus::True {
                Precedence::Yes
            } else {
                Precedence::No
            };
        }
        let now = self.time.uptime();
        let since = *self.unchecked.entry(project_uid).or_insert(now);
        if first_check_is_awaited(since, now) {
            Precedence::Unknown
        } else {
            Precedence::No
        }
    }

    /// Number of finished requests whose watch has not reported that yet.
    #[cfg(test)]
    pub(super) fn remembered_as_finished(&self) -> usize {
        self.finished.len()
    }

    fn remove_entry(&mut self, uid: &str) -> Option<Entry> {
        self.granted_in.remove(uid);
        let entry = self.entries.remove(uid)?;
        for id in &entry.desktops {
            remove_from_index(&mut self.by_desktop, id, uid);
        }
        Some(entry)
    }
}

/// Time until no call of an earlier process, about which nothing can be read, can take effect.
pub(super) fn until_earlier_calls_end(time: &ClaimClock) -> Duration {
    until_unreadable_call_ends(time.leads_since, time.uptime(), &time.timing)
}

/// The name of a request, if it may be shown on `object`: names of other namespaces are not shown.
fn visible(object: &DesktopDeletion, namespace: &str, name: &str) -> Option<String> {
    (object.namespace().as_deref() == Some(namespace)).then(|| name.to_owned())
}
