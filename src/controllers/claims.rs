//! Which request may submit which desktop: two unfinished requests never have one desktop in flight, also across
//! namespaces that point to the same cloud project. Whoever may have reached the cloud holds its desktops; else the
//! older object does. The table is rebuilt from the unfinished objects before the first submission.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use super::Scope;
use super::login::coordinates;
use crate::crd::conditions::{ConditionType, Truth};
use crate::crd::deletion::{DesktopDeletionStatus, Outcome, ProjectCoordinates};
use crate::crd::{DesktopDeletion, WorkspaceProject};
use crate::ids::{DesktopID, ProjectKey};
use crate::plan::classify::Class;
use crate::plan::observed::{Claim, Rival};

/// How long a request waits for the watches before it is told so.
const SYNC_LIMIT: Duration = Duration::from_secs(5);

/// How often a watch that has not synced is asked again.
const SYNC_LOOK: Duration = Duration::from_millis(50);

/// The table of claims; clones share it.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    /// The watches, and whether each has listed its objects.
    watches: HashMap<Scope, Watch>,
    entries: HashMap<Uid, Entry>,
    by_desktop: HashMap<DesktopID, BTreeSet<Uid>>,
    /// Where those requests live that this process is submitting, or whose live status says that they may have
    /// reached the cloud.
    holding: HashMap<Uid, ProjectKey>,
}

type Uid = String;

struct Watch {
    projects: Store<WorkspaceProject>,
    /// The store holds the first list of projects.
    projects_synced: bool,
    /// The first list of requests is in the table.
    synced: bool,
    /// Objects of a list that is being read.
    listed: HashSet<Uid>,
}

/// What the table knows of an unfinished request.
struct Entry {
    scope: Scope,
    namespace: String,
    name: String,
    project: String,
    home: Option<ProjectKey>,
    desktops: Vec<DesktopID>,
    created: Timestamp,
    /// Suspended, being deleted, or without the right: it submits nothing.
    idle: bool,
    /// Some attempt may have reached the cloud.
    in_flight: bool,
}

impl Claims {
    /// A watch will report here; nothing is granted before it has listed its objects.
    pub fn expect(&self, scope: Scope, projects: Store<WorkspaceProject>) {
        self.lock().watches.insert(
            scope,
            Watch {
                projects,
                projects_synced: false,
                synced: false,
                listed: HashSet::new(),
            },
        );
    }

    /// What is watched.
    pub fn scopes(&self) -> Vec<Scope> {
        self.lock().watches.keys().cloned().collect()
    }

    /// Takes in what a watch says, and names the objects that are gone by it.
    pub fn note(&self, scope: &Scope, event: &Event<DesktopDeletion>) -> Vec<String> {
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
            Event::InitDone => return table.listed(scope),
            Event::Apply(object) => {
                table.put(scope, object);
            }
            Event::Delete(object) => {
                let uid = object.uid().unwrap_or_default();
                table.remove(&uid);
                return vec![uid];
            }
        }
        Vec::new()
    }

    /// The store of projects holds what a watch has listed.
    pub fn projects_listed(&self, scope: &Scope) {
        if let Some(watch) = self.lock().watches.get_mut(scope) {
            watch.projects_synced = true;
        }
    }

    /// Asks for the desktops of `object` in the cloud project `home`. What is granted is held until
    /// [`Claims::settle`].
    pub async fn claim(&self, object: &DesktopDeletion, home: &ProjectKey) -> Claim {
        if tokio::time::timeout(SYNC_LIMIT, self.synced()).await.is_err() {
            return Claim::NotYet;
        }
        let mut table = self.lock();
        let uid = object.uid().unwrap_or_default();
        let claim = table
            .rival(object, &uid, home)
            .map_or(Claim::Granted, Claim::Held);
        if claim == Claim::Granted {
            table.holding.insert(uid, home.clone());
        }
        claim
    }

    /// A pass over the live `object` has ended, or a submission in it: its desktops stay held only if it may have
    /// reached the cloud.
    pub fn settle(&self, object: &DesktopDeletion) {
        let uid = object.uid().unwrap_or_default();
        let unfinished = |s: &DesktopDeletionStatus| s.completion_time.is_none() && in_flight(s);
        if !object.status.as_ref().is_some_and(unfinished) {
            self.lock().holding.remove(&uid);
        }
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Waits until every watch has listed its objects: what is not known yet could come first. (The stores cannot be
    /// awaited here: `Store::wait_until_ready` wakes one task only, and would leave the others waiting for ever.)
    async fn synced(&self) {
        let synced = |watch: &Watch| watch.synced && watch.projects_synced;
        while !self.lock().watches.values().all(synced) {
            tokio::time::sleep(SYNC_LOOK).await;
        }
    }

    /// A panic elsewhere leaves at worst a stale entry, which the next event of its object replaces.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn put(&mut self, scope: &Scope, object: &DesktopDeletion) -> Uid {
        let uid = object.uid().unwrap_or_default();
        let status = object.status.as_ref();
        let entry = Entry {
            scope: scope.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            project: object.spec.project_ref.name.clone(),
            home: status
                .and_then(|s| s.project.as_ref())
                .map(ProjectCoordinates::key),
            desktops: object.spec.desktop_ids.iter().map(DesktopID::folded).collect(),
            created: created(object),
            idle: object.spec.suspend
                || object.metadata.deletion_timestamp.is_some()
                || status.is_some_and(may_not),
            in_flight: status.is_some_and(in_flight),
        };
        for id in &entry.desktops {
            self.by_desktop.entry(id.clone()).or_default().insert(uid.clone());
        }
        self.entries.insert(uid.clone(), entry);
        uid
    }

    fn remove(&mut self, uid: &str) {
        self.holding.remove(uid);
        let Some(entry) = self.entries.remove(uid) else {
            return;
        };
        for id in &entry.desktops {
            if let Some(uids) = self.by_desktop.get_mut(id) {
                uids.remove(uid);
                if uids.is_empty() {
                    self.by_desktop.remove(id);
                }
            }
        }
    }

    /// A list was read to its end: what it did not show is gone.
    fn listed(&mut self, scope: &Scope) -> Vec<Uid> {
        let Some(known) = self.watches.get_mut(scope) else {
            return Vec::new();
        };
        known.synced = true;
        let listed = std::mem::take(&mut known.listed);
        let gone = |(uid, entry): &(&Uid, &Entry)| entry.scope == *scope && !listed.contains(*uid);
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(gone)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in &gone {
            self.remove(uid);
        }
        gone
    }

    /// Another request that comes first for one of the desktops.
    fn rival(&self, object: &DesktopDeletion, uid: &str, home: &ProjectKey) -> Option<Rival> {
        let ours = (created(object), uid);
        for id in &object.spec.desktop_ids {
            for other in self
                .by_desktop
                .get(&id.folded())
                .into_iter()
                .flatten()
                .filter(|other| *other != uid)
            {
                let Some(entry) = self.entries.get(other) else {
                    continue;
                };
                let older = !entry.idle && (entry.created, other.as_str()) < ours;
                // Two endpoints may be names of one service, so the project decides alone where a call may take effect.
                let holds = self
                    .held(other, entry)
                    .is_some_and(|theirs| theirs.project_id == home.project_id);
                let reserves = older && self.would(entry).as_ref() == Some(home);
                if holds || reserves {
                    let same_namespace = object.namespace().as_deref() == Some(&*entry.namespace);
                    let name = same_namespace.then(|| entry.name.clone());
                    return Some(Rival {
                        desktop: id.clone(),
                        name,
                    });
                }
            }
        }
        None
    }

    /// Where a request lives that may have reached the cloud, or is about to.
    fn held(&self, uid: &Uid, entry: &Entry) -> Option<ProjectKey> {
        let stored = entry.home.clone().filter(|_| entry.in_flight);
        self.holding.get(uid).cloned().or(stored)
    }

    /// Where a request would be submitted. A project whose login is not proven reserves nothing, so that nobody blocks
    /// desktops that are not theirs to delete.
    fn would(&self, entry: &Entry) -> Option<ProjectKey> {
        let reference = ObjectRef::new(&entry.project).within(&entry.namespace);
        let project = self.watches.get(&entry.scope)?.projects.get(&reference)?;
        (is_ready(&project) && !project.spec.suspend).then(|| coordinates(&project.spec).key())
    }
}

fn is_ready(project: &WorkspaceProject) -> bool {
    let conditions = project.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|c| c.type_ == ConditionType::Ready.as_str())
        .any(|c| c.status == Truth::True.as_str())
}

fn created(object: &DesktopDeletion) -> Timestamp {
    object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MAX, |time| time.0)
}

/// Its login was refused: it must not reserve what it may not delete.
fn may_not(status: &DesktopDeletionStatus) -> bool {
    let last = status.attempts.last().filter(|a| a.outcome == Outcome::Rejected);
    let class = last
        .and_then(|a| a.error.as_ref())
        .and_then(|error| Class::named(&error.class));
    matches!(class, Some(Class::Permission | Class::Authentication))
}

fn in_flight(status: &DesktopDeletionStatus) -> bool {
    status.attempts.iter().any(|a| {
        !matches!(
            a.outcome,
            Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect
        )
    })
}
