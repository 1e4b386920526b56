//! Claims of requests that are gone although their call may still take effect, or its job may not be visible yet. Normally
//! the finalizer keeps such an object; a client that replaces the object removes the finalizer, and an abandoned request
//! can be deleted immediately. These claims exist only in this process: they are lost at a restart or a change of leader.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::{ClaimClock, Uid};
use crate::ids::{DesktopID, JobID, ProjectKey};
use crate::plan::deadlines::{claim_ends_by, until_claim_ends};
use crate::plan::in_flight::InFlight;
use crate::plan::overlap;

/// Most claims of deleted requests. A new one takes the place of the one that ends soonest.
pub(super) const MAX_CLAIMS: usize = 10_000;

/// A deleted request, and what it still reserves.
#[derive(Debug)]
pub(super) struct DeletedClaim {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) project: ProjectKey,
    /// When this process learned that it is gone.
    pub(super) since: Duration,
    /// The minute by which its claim will have ended, as estimated at that time.
    pub(super) until: jiff::Timestamp,
    /// The API server has confirmed that it was deleted. Until then, it may have been finished by another leader, since
    /// a finished object disappears from the watch like a deleted one.
    pub(super) confirmed: bool,
    /// What may still take effect, with the desktops that it holds.
    pub(super) attempts: Vec<InFlight>,
}

impl DeletedClaim {
    /// The claim of a request on what its attempts may still take effect on; `None` if there is nothing.
    pub(super) fn begin(
        (namespace, name): (String, String),
        project: ProjectKey,
        mut attempts: Vec<InFlight>,
        time: &ClaimClock,
    ) -> Option<Self> {
        let clocks = time.at(&project.origin);
        attempts.retain(|attempt| !until_claim_ends(attempt, &clocks, &time.timing).is_zero());
        let left = |attempt: &InFlight| until_claim_ends(attempt, &clocks, &time.timing);
        let left = attempts.iter().map(left).max()?;
        Some(Self {
            namespace,
            name,
            project,
            since: clocks.uptime,
            until: claim_ends_by(left, &clocks),
            confirmed: false,
            attempts,
        })
    }

    /// The jobs of its accepted calls.
    pub(super) fn jobs(&self) -> BTreeSet<JobID> {
        self.attempts
            .iter()
            .flat_map(|a| a.jobs.iter().cloned())
            .collect()
    }

    /// Time until it no longer reserves anything.
    fn remaining(&self, time: &ClaimClock) -> Duration {
        let clocks = time.at(&self.project.origin);
        let left = self
            .attempts
            .iter()
            .map(|a| until_claim_ends(a, &clocks, &time.timing));
        left.max().unwrap_or_default()
    }
}

/// All deleted requests that still reserve desktops.
#[derive(Debug, Default)]
pub(super) struct DeletedRequests {
    by_uid: HashMap<Uid, DeletedClaim>,
    by_desktop: HashMap<DesktopID, BTreeSet<Uid>>,
}

impl DeletedRequests {
    /// A claim begins. If there are too many, the one that ends soonest is removed and returned.
    pub(super) fn insert(
        &mut self,
        uid: Uid,
        deleted: DeletedClaim,
        time: &ClaimClock,
    ) -> Option<DeletedClaim> {
        let displaced = if self.by_uid.len() >= MAX_CLAIMS {
            self.make_room(time)
        } else {
            None
        };
        for id in deleted.attempts.iter().flat_map(|a| &a.desktops) {
            self.by_desktop.entry(id.clone()).or_default().insert(uid.clone());
        }
        self.by_uid.insert(uid, deleted);
        displaced
    }

    /// Removes expired claims; if there are none, the claim that ends first.
    fn make_room(&mut self, time: &ClaimClock) -> Option<DeletedClaim> {
        let left: Vec<_> = self
            .by_uid
            .iter()
            .map(|(uid, d)| (d.remaining(time), uid.clone()))
            .collect();
        let over: Vec<_> = left.iter().filter(|(left, _)| left.is_zero()).collect();
        for (_, uid) in &over {
            self.remove(uid);
        }
        let soonest = left.iter().min().filter(|_| over.is_empty());
        soonest.and_then(|(_, uid)| self.remove(uid))
    }

    /// The claim of that request, if it has one.
    pub(super) fn get(&self, uid: &str) -> Option<&DeletedClaim> {
        self.by_uid.get(uid)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, uid: &str) -> Option<&mut DeletedClaim> {
        self.by_uid.get_mut(uid)
    }

    /// Takes the whole claim of a request away.
    pub(super) fn remove(&mut self, uid: &str) -> Option<DeletedClaim> {
        let deleted = self.by_uid.remove(uid)?;
        for id in deleted.attempts.iter().flat_map(|a| &a.desktops) {
            remove_from_index(&mut self.by_desktop, id, uid);
        }
        Some(deleted)
    }

    /// The deleted request that reserves a desktop of a cloud project now.
    pub(super) fn holder(&self, folded: &DesktopID, project: &ProjectKey) -> Option<(&Uid, &DeletedClaim)> {
        let uids = self.by_desktop.get(folded)?;
        let mut holders = uids.iter().filter_map(|uid| self.by_uid.get_key_value(uid));
        // Only the project ID determines where a call may take effect: two endpoints may be names of the same service.
        holders.find(|(_, deleted)| deleted.project.project_id == project.project_id)
    }

    /// Removes expired claims on a desktop; returns whether there were any.
    pub(super) fn expire(&mut self, folded: &DesktopID, time: &ClaimClock) -> bool {
        let uids = self.by_desktop.get(folded).cloned().unwrap_or_default();
        let mut ended = false;
        for uid in uids {
            let over = self
                .by_uid
                .get(&uid)
                .is_some_and(|deleted| deleted.remaining(time).is_zero());
            ended |= over && self.remove(&uid).is_some();
        }
        ended
    }

    /// Number of requests that reserve desktops now.
    pub(super) fn count(&self, time: &ClaimClock) -> usize {
        let holds = |deleted: &&DeletedClaim| !deleted.remaining(time).is_zero();
        self.by_uid.values().filter(holds).count()
    }

    /// Ends the claim of a request on desktops, by what was read.
    pub(super) fn release(&mut self, uid: &str, released: &overlap::ReleasedDesktops) {
        let Some(deleted) = self.by_uid.get_mut(uid) else {
            return;
        };
        let among = |ids: &[DesktopID], id: &DesktopID| ids.iter().any(|other| other.folded() == *id);
        let mut ended = Vec::new();
        for attempt in &mut deleted.attempts {
            let accepted = attempt.took_effect();
            let (over, holding) = std::mem::take(&mut attempt.desktops)
                .into_iter()
                .partition(|id| among(&released.gone, id) || (accepted && among(&released.shown, id)));
            attempt.desktops = holding;
            ended.extend::<Vec<_>>(over);
        }
        deleted.attempts.retain(|attempt| !attempt.desktops.is_empty());
        let held = |id: &DesktopID| deleted.attempts.iter().any(|a| a.desktops.contains(id));
        ended.retain(|id| !held(id));
        let nothing_left = deleted.attempts.is_empty();
        for id in &ended {
            remove_from_index(&mut self.by_desktop, id, uid);
        }
        if nothing_left {
            self.by_uid.remove(uid);
        }
    }
}

/// Removes a request from the index of a desktop.
pub(super) fn remove_from_index(
    by_desktop: &mut HashMap<DesktopID, BTreeSet<Uid>>,
    id: &DesktopID,
    uid: &str,
) {
    if let Some(uids) = by_desktop.get_mut(id) {
        uids.remove(uid);
        if uids.is_empty() {
            by_desktop.remove(id);
        }
    }
}
