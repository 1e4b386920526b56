//! The work queue: which requests are due for a reconciliation, and which of them is next. A request is never
//! reconciled twice at the same time. Scheduling is round-robin between namespaces, and then between the projects of a
//! namespace. The number of concurrent reconciliations per project is limited, so that waiting requests share their
//! reads.
//!
//! | file | what |
//! | --- | --- |
//! | `fair_queue` | keys by namespace and project, in fair order |

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::cache::RequestCache;
use crate::cloud::rate_limiter::{Priority, Shares, sleep_until};
use crate::crd::DesktopDeletion;
use crate::ids::DesktopID;

mod fair_queue;

use fair_queue::FairQueue;

/// A request, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

impl From<ObjectRef<DesktopDeletion>> for Key {
    fn from(reference: ObjectRef<DesktopDeletion>) -> Self {
        Self {
            namespace: reference.namespace.unwrap_or_default(),
            name: reference.name,
        }
    }
}

/// A project of a namespace, by their names.
type Project = (String, String);

/// The queue; clones share it.
#[derive(Clone)]
pub struct WorkQueue {
    cache: RequestCache,
    /// Maximum number of concurrent reconciliations per project.
    per_project: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Another request may be next.
    changed: Notify,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// When requests become due without an event.
    timers: BTreeSet<(Instant, Key)>,
    /// Those that are due, by priority.
    due: [FairQueue; Priority::COUNT],
    shares: Shares,
    /// How many of each project are being reconciled.
    running: HashMap<Project, usize>,
}

/// The state of a request in the queue.
enum Entry {
    /// It becomes due at `at`, or when a watch delivers a later version than the one that the last decision is based
    /// on.
    Scheduled {
        at: Instant,
        decided: Option<u64>,
    },
    /// It has been due since this time.
    Due(Instant),
    Running(Project, Trigger),
}

/// What has become known of a request since it was last decided about; the greatest value counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trigger {
    None,
    /// A watch shows this version of it.
    Version(u64),
    /// Something else.
    Other,
}

impl Trigger {
    /// Whether it is newer than the version that the last decision is based on.
    fn is_later_than(self, decided: Option<u64>) -> bool {
        match self {
            Self::None => false,
            Self::Version(shown) => decided.is_none_or(|decided| decided < shown),
            Self::Other => true,
        }
    }
}

/// A request that is to be reconciled now.
pub struct Work {
    /// Which one.
    pub key: Key,
    /// Since when it has been due: reads that began since then are recent enough.
    pub since: Instant,
}

impl WorkQueue {
    /// A queue of the requests in `cache`.
    pub fn new(cache: RequestCache, per_project: usize) -> Self {
        Self {
            cache,
            per_project,
            shared: Arc::default(),
        }
    }

    /// A request is due now, or as soon as its present reconciliation has ended.
    pub fn add(&self, key: impl Into<Key>) {
        self.enqueue(key.into(), Trigger::Other);
    }

    /// A watch shows a version of a request: as [`WorkQueue::add`], unless the decision is based on it already.
    pub fn add_version(&self, key: Key, version: Option<u64>) {
        self.enqueue(key, version.map_or(Trigger::Other, Trigger::Version));
    }

    fn enqueue(&self, key: Key, trigger: Trigger) {
        self.shared.state.lock().put(key, trigger, &self.cache);
        self.shared.changed.notify_one();
    }

    /// A reconciliation has ended whose last decision is based on the version `decided`; the request is due again after
    /// `requeue`.
    pub fn done(&self, key: Key, decided: Option<u64>, requeue: Option<Duration>) {
        let mut state = self.shared.state.lock();
        let Some(Entry::Running(project, trigger)) = state.entries.remove(&key) else {
            return;
        };
        if let Some(running) = state.running.get_mut(&project) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&project);
            }
        }
        if trigger.is_later_than(decided) {
            state.put(key, Trigger::Other, &self.cache);
        } else if let Some(delay) = requeue {
            let at = Instant::now() + delay;
            state.timers.insert((at, key.clone()));
            state.entries.insert(key, Entry::Scheduled { at, decided });
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Waits for the next request to reconcile. For one caller at a time.
    pub async fn next(&self) -> Work {
        loop {
            let (work, timer) = {
                let mut state = self.shared.state.lock();
                state.expire_timers(&self.cache);
                let timer = state.timers.first().map(|(at, _)| *at);
                (state.take(&self.cache, self.per_project), timer)
            };
            if let Some(work) = work {
                return work;
            }
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = sleep_until(timer) => {}
            }
        }
    }

    /// The desktops of the due requests with the same project and priority as `object`, in queue order: whole requests,
    /// at most this many desktops.
    pub fn upcoming_desktops(&self, object: &DesktopDeletion, max: usize) -> Vec<DesktopID> {
        let state = self.shared.state.lock();
        let due = &state.due[Priority::of(object) as usize];
        let namespace = object.namespace().unwrap_or_default();
        let mut ids = Vec::new();
        for name in due.waiting(&namespace, &object.spec.project_ref.name) {
            let Some(next) = self.cache.get(&namespace, name) else {
                continue;
            };
            if ids.len() + next.spec.desktop_ids.len() > max {
                break;
            }
            ids.extend(next.spec.desktop_ids.iter().cloned());
        }
        ids
    }
}

impl State {
    fn put(&mut self, key: Key, trigger: Trigger, cache: &RequestCache) {
        match self.entries.get_mut(&key) {
            Some(Entry::Due(_)) => return,
            Some(Entry::Running(_, before)) => {
                *before = trigger.max(*before);
                return;
            }
            Some(Entry::Scheduled { decided, .. }) if !trigger.is_later_than(*decided) => return,
            Some(Entry::Scheduled { at, .. }) => {
                let at = *at;
                self.timers.remove(&(at, key.clone()));
            }
            None => {}
        }
        let Some(object) = cache.get(&key.namespace, &key.name) else {
            // It has ended, or is gone.
            self.entries.remove(&key);
            return;
        };
        let due = &mut self.due[Priority::of(&object) as usize];
        due.push(&key.namespace, &object.spec.project_ref.name, key.name.clone());
        self.entries.insert(key, Entry::Due(Instant::now()));
    }

    fn expire_timers(&mut self, cache: &RequestCache) {
        let now = Instant::now();
        while let Some((at, key)) = self.timers.pop_first() {
            if at > now {
                self.timers.insert((at, key));
                return;
            }
            self.put(key, Trigger::Other, cache);
        }
    }

    fn take(&mut self, cache: &RequestCache, per_project: usize) -> Option<Work> {
        while let Some((key, project)) = self.pop(per_project) {
            if cache.get(&key.namespace, &key.name).is_none() {
                self.entries.remove(&key);
                continue;
            }
            *self.running.entry(project.clone()).or_default() += 1;
            let running = Entry::Running(project, Trigger::None);
            let since = match self.entries.insert(key.clone(), running) {
                Some(Entry::Due(since)) => since,
                _ => Instant::now(),
            };
            return Some(Work { key, since });
        }
        None
    }

    /// The next request by shares, of those whose project has room.
    fn pop(&mut self, per_project: usize) -> Option<(Key, Project)> {
        let running = &self.running;
        let has_room = |project: &Project| running.get(project).is_none_or(|running| *running < per_project);
        let due = &mut self.due;
        let mut order = self.shares.order();
        let (name, project) = order.find_map(|priority| due[priority as usize].pop(has_room))?;
        self.shares.advance();
        let namespace = project.0.clone();
        Some((Key { namespace, name }, project))
    }
}

#[cfg(test)]
mod tests;
