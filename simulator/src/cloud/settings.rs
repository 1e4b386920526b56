//! What the user of the simulator can read and change.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::desktops::Phase;
use super::{ArmedFault, Cloud, Fault, LedgerEntry};
use crate::world::{Account, Desktop, Switches, Timings, WorldError};

impl Cloud {
    /// Every request so far, oldest first.
    pub fn ledger(&self) -> &[LedgerEntry] {
        &self.ledger
    }

    /// The desktops in their state at `now`, without those that no longer exist.
    pub fn desktops(&self, now: Timestamp) -> Vec<Desktop> {
        self.desktops
            .all()
            .filter_map(|record| record.current(now, &self.world))
            .collect()
    }

    /// Adds a desktop, or replaces the one with its id (whose deletion is then forgotten); whether it is new.
    ///
    /// # Errors
    /// When its id is empty or too long, or its project does not exist.
    pub fn put_desktop(&mut self, mut desktop: Desktop) -> Result<(bool, Desktop), WorldError> {
        self.world.complete_desktop(&mut desktop)?;
        Ok((self.desktops.insert_or_replace(desktop.clone()), desktop))
    }

    /// Sets the keys of a desktop that `keys` holds, from `now` on; its deletion goes on. Gives the desktop as it is
    /// then.
    ///
    /// # Errors
    /// When there is no such desktop, `keys` has not the form of a desktop, or names another id or project.
    pub fn change_desktop(
        &mut self,
        now: Timestamp,
        id: &str,
        keys: &Map<String, Value>,
    ) -> Result<Desktop, WorldError> {
        let refused = |why: String| WorldError::Inconsistent(format!("the desktop {id} {why}"));
        let form = |error: serde_json::Error| refused(format!("cannot be changed like that: {error}"));
        let found = self.desktops.all().find(|record| record.desktop.id == id);
        let Some(record) = found.filter(|record| record.phase(now) != Phase::Gone) else {
            return Err(refused("does not exist".to_owned()));
        };
        let mut whole = serde_json::to_value(&record.desktop).map_err(form)?;
        for (key, value) in keys {
            whole[key] = value.clone();
        }
        let mut changed: Desktop = serde_json::from_value(whole).map_err(form)?;
        self.world.complete_desktop(&mut changed)?;
        if changed.id != id || changed.project != record.desktop.project {
            return Err(refused("must keep its id and project".to_owned()));
        }
        self.desktops.change(now, changed.clone());
        Ok(changed)
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// When the fault counts from 0 or its response cannot be sent; the text says why.
    pub fn add_fault(&mut self, fault: Fault) -> Result<(), String> {
        self.faults.add(fault)
    }

    /// The faults that were added, with the count of requests that they matched.
    pub fn faults(&self) -> &[ArmedFault] {
        self.faults.list()
    }

    /// How long things take from now on; deletions that were accepted earlier are not affected.
    pub fn timings(&self) -> &Timings {
        &self.world.timings
    }

    /// Sets how long things take from now on.
    pub fn set_timings(&mut self, timings: Timings) {
        self.world.timings = timings;
    }

    /// How the cloud behaves where its documents leave that open.
    pub fn switches(&self) -> &Switches {
        &self.world.switches
    }

    /// Sets how the cloud behaves from now on.
    pub fn set_switches(&mut self, switches: Switches) {
        self.world.switches = switches;
    }

    /// Adds an account, or replaces the one with its name; returns whether it is new. All credentials of the replaced
    /// account are revoked, including those that IAM issued for it.
    ///
    /// # Errors
    /// When the account does not fit into the world.
    pub fn put_account(&mut self, mut account: Account) -> Result<bool, WorldError> {
        let name = account.name.clone();
        let mut world = self.world.clone();
        let known = world.accounts.iter_mut().find(|known| known.name == name);
        let new = known.is_none();
        match known {
            Some(known) => {
                if account.id.is_empty() {
                    account.id.clone_from(&known.id);
                }
                *known = account;
            }
            None => world.accounts.push(account),
        }
        self.world = world.complete()?;
        self.credentials.remove_account(&name);
        for account in self.world.accounts.iter().filter(|known| known.name == name) {
            self.credentials.add_account(account);
        }
        Ok(new)
    }

    /// Removes all faults.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Makes all deletions accepted so far visible immediately, regardless of their delay.
    pub fn show_jobs(&mut self, now: Timestamp) {
        for job in &mut self.jobs {
            job.visible = job.visible.min(now);
        }
        self.desktops.show_deletions(now);
    }

    /// Ends all deletions so far, however long they were to take. Those that never end go on.
    pub fn end_jobs(&mut self, now: Timestamp) {
        for sub_job in self.jobs.iter_mut().flat_map(|job| &mut job.sub_jobs) {
            sub_job.end(now);
        }
        let gone_after = self.world.timings.gone_after;
        self.desktops.end_deletions(now, gone_after.after(now));
    }

    /// Removes the records of all jobs so far, as users of the cloud may; the desktops go their way.
    pub fn erase_jobs(&mut self) {
        for job in &mut self.jobs {
            job.erased = true;
        }
    }
}
