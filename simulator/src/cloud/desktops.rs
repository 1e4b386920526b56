//! The desktops and their life cycle. The state of a deletion is a function of the time; there are no timers.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::world::{DeletedDesktop, DeletionResult, Desktop, FailedDesktop, World};

/// One desktop with the last deletion that reached it.
#[derive(Debug, Clone)]
pub(super) struct DesktopRecord {
    pub(super) desktop: Desktop,
    /// What the desktop was before each change, with the time of the change, oldest first.
    former: Vec<(Timestamp, Desktop)>,
    pub(super) deletion: Option<Deletion>,
}

/// The course of one deletion, fixed when it was accepted.
#[derive(Debug, Clone)]
pub(super) struct Deletion {
    pub(super) result: DeletionResult,
    /// When reads start to show the desktop as being deleted.
    pub(super) visible: Timestamp,
    /// From when on its status reads empty.
    pub(super) emptied: Timestamp,
    /// When the sub-job ends.
    pub(super) ends: Timestamp,
    /// When the desktop is gone.
    pub(super) gone: Timestamp,
}

/// The state of a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No deletion runs.
    Idle,
    /// Being deleted.
    Deleting,
    /// Being deleted, the machine underneath is gone.
    Emptied,
    /// A deletion failed.
    DeleteFailed,
    /// Deleted.
    Gone,
}

impl Deletion {
    fn phase(&self, now: Timestamp) -> Phase {
        let over = now >= self.ends;
        match self.result {
            DeletionResult::Ignored => Phase::Idle,
            DeletionResult::Failed if over => Phase::DeleteFailed,
            DeletionResult::SuccessButPresent if over => Phase::Idle,
            DeletionResult::Failed | DeletionResult::SuccessButPresent | DeletionResult::Stuck => {
                Phase::Deleting
            }
            DeletionResult::Success | DeletionResult::FailedButGone | DeletionResult::NoSubJob => {
                if now >= self.gone {
                    Phase::Gone
                } else if now >= self.emptied {
                    Phase::Emptied
                } else {
                    Phase::Deleting
                }
            }
        }
    }
}

impl DesktopRecord {
    /// The actual state of the desktop.
    pub(super) fn phase(&self, now: Timestamp) -> Phase {
        self.deletion
            .as_ref()
            .map_or(Phase::Idle, |deletion| deletion.phase(now))
    }

    /// The desktop as it was at `seen`.
    pub(super) fn state_at(&self, seen: Timestamp) -> &Desktop {
        let former = self.former.iter().find(|(changed, _)| seen < *changed);
        former.map_or(&self.desktop, |(_, desktop)| desktop)
    }

    /// The state of the desktop as reads show it.
    pub(super) fn shown_phase(&self, now: Timestamp) -> Phase {
        match &self.deletion {
            Some(deletion) if now >= deletion.visible => deletion.phase(now),
            _ => Phase::Idle,
        }
    }

    /// The desktop as the admin API shows it at `now`; `None` if it no longer exists.
    pub(super) fn current(&self, now: Timestamp, world: &World) -> Option<Desktop> {
        let mut desktop = self.desktop.clone();
        match self.phase(now) {
            Phase::Idle => {}
            Phase::Deleting => "deleting".clone_into(&mut desktop.task_status),
            Phase::Emptied => {
                desktop.status.clear();
                "deleting".clone_into(&mut desktop.task_status);
            }
            Phase::DeleteFailed => failed_task(world).clone_into(&mut desktop.task_status),
            Phase::Gone if world.switches.deleted_desktop == DeletedDesktop::NotFound => return None,
            Phase::Gone => {
                "DELETED".clone_into(&mut desktop.status);
                desktop.task_status.clear();
            }
        }
        Some(desktop)
    }
}

/// `task_status` of a desktop whose deletion failed.
pub(super) fn failed_task(world: &World) -> &'static str {
    match world.switches.failed_desktop {
        FailedDesktop::Idle => "",
        FailedDesktop::DeleteFailed => "deleteFailed",
    }
}

/// All desktops, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct DesktopStore {
    all: Vec<DesktopRecord>,
    index_by_id: HashMap<String, usize>,
}

impl DesktopStore {
    pub(super) fn of(desktops: Vec<Desktop>) -> Self {
        let mut records = Self::default();
        for desktop in desktops {
            records.insert_or_replace(desktop);
        }
        records
    }

    /// Adds a desktop, or replaces the one with its id; whether it is new.
    pub(super) fn insert_or_replace(&mut self, desktop: Desktop) -> bool {
        let record = DesktopRecord {
            desktop,
            former: Vec::new(),
            deletion: None,
        };
        if let Some(place) = self.index_by_id.get(&record.desktop.id) {
            self.all[*place] = record;
            return false;
        }
        self.index_by_id.insert(record.desktop.id.clone(), self.all.len());
        self.all.push(record);
        true
    }

    /// Replaces the properties of a desktop from `now` on; its deletion continues.
    pub(super) fn change(&mut self, now: Timestamp, desktop: Desktop) {
        if let Some(place) = self.index_by_id.get(&desktop.id) {
            let record = &mut self.all[*place];
            let former = std::mem::replace(&mut record.desktop, desktop);
            record.former.push((now, former));
        }
    }

    pub(super) fn find(&self, project: &str, id: &str) -> Option<&DesktopRecord> {
        let record = &self.all[*self.index_by_id.get(id)?];
        (record.desktop.project == project).then_some(record)
    }

    /// Lets every deletion so far be seen.
    pub(super) fn show_deletions(&mut self, now: Timestamp) {
        for deletion in self.all.iter_mut().filter_map(|record| record.deletion.as_mut()) {
            deletion.visible = deletion.visible.min(now);
        }
    }

    /// Ends every deletion that runs at `now`; its desktop is gone then, or at `gone`.
    pub(super) fn end_deletions(&mut self, now: Timestamp, gone: Timestamp) {
        let deletions = self.all.iter_mut().filter_map(|record| record.deletion.as_mut());
        for deletion in deletions.filter(|deletion| deletion.ends > now) {
            deletion.emptied = deletion.emptied.min(now);
            deletion.ends = now;
            deletion.gone = gone;
        }
    }

    pub(super) fn begin_deletion(&mut self, id: &str, deletion: Deletion) {
        if let Some(place) = self.index_by_id.get(id) {
            self.all[*place].deletion = Some(deletion);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &DesktopRecord> {
        self.all.iter()
    }

    pub(super) fn of_project<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a DesktopRecord> {
        self.all
            .iter()
            .filter(move |record| record.desktop.project == project)
    }
}
