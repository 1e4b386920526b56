//! Which desktops will be asked for next: those of the requests whose pass waits for its permit. A read that is made anyway
//! takes them along ([`shared`](crate::cloud::batching)).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube::ResourceExt;
use parking_lot::Mutex;

use crate::cloud::rate_limiter::Priority;
use crate::crd::DesktopDeletion;
use crate::ids::DesktopID;

/// The requests in line; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Upcoming(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// Counts arrivals, so that those in front are taken first.
    arrivals: u64,
    waiting: HashMap<CloudSession, BTreeMap<u64, Arc<DesktopDeletion>>>,
}

/// Those who will ask alike: the project of a namespace, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CloudSession {
    namespace: String,
    project: String,
    priority: Priority,
}

/// A request in line, until this is dropped.
#[derive(Debug)]
pub struct InLine {
    upcoming: Upcoming,
    line: CloudSession,
    arrival: u64,
}

impl Upcoming {
    /// A request gets in line.
    pub fn announce(&self, object: &Arc<DesktopDeletion>) -> InLine {
        let line = CloudSession::of(object);
        let mut lines = self.0.lock();
        lines.arrivals += 1;
        let arrival = lines.arrivals;
        let waiting = lines.waiting.entry(line.clone()).or_default();
        waiting.insert(arrival, object.clone());
        drop(lines);
        InLine {
            upcoming: self.clone(),
            line,
            arrival,
        }
    }

    /// The desktops of those in line who will ask as `object` does now, whole requests, at most so many desktops.
    pub fn with(&self, object: &DesktopDeletion, most: usize) -> Vec<DesktopID> {
        let mut ids = Vec::new();
        let lines = self.0.lock();
        for more in lines
            .waiting
            .get(&CloudSession::of(object))
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            if ids.len() + more.spec.desktop_ids.len() > most {
                break;
            }
            ids.extend(more.spec.desktop_ids.iter().cloned());
        }
        ids
    }
}

impl CloudSession {
    fn of(object: &DesktopDeletion) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            project: object.spec.project_ref.name.clone(),
            priority: Priority::of(object),
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut lines = self.upcoming.0.lock();
        if let Some(waiting) = lines.waiting.get_mut(&self.line) {
            waiting.remove(&self.arrival);
            if waiting.is_empty() {
                lines.waiting.remove(&self.line);
            }
        }
    }
}
