//! The project takes so many desktops within a day, other requests use some of that, and what is reserved is settled now and
//! then.

use desktop_deletion_operator::crd::deletion::Attempt;
use desktop_deletion_operator::crd::project::{DailyUsage, Reservation, SubmittedDesktops};
use desktop_deletion_operator::plan::daily_usage::{self, ReservationOwner};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::build::{minute, timing};
use super::{Reconciliation, Walk};

/// A day in minutes.
const DAY: i64 = 24 * 60;

impl Walk {
    /// The write may conflict, and the response to it may be lost.
    pub(super) fn reserve(
        &mut self,
        reconciliation: &mut Reconciliation,
        count: usize,
    ) -> Result<(), String> {
        let id = match reconciliation.seen.reserved.clone() {
            Some(id) => id,
            None => self.new_attempt(),
        };
        reconciliation.seen.reserved = Some(id.clone());
        let project = reconciliation
            .seen
            .project
            .as_mut()
            .ok_or("no project was read")?;
        let reservation = Reservation {
            attempt_id: id,
            request: "leaver".to_owned(),
            uid: reconciliation.seen.request.uid.clone(),
            resource_version: reconciliation.seen.request.resource_version.clone(),
            desktops: i32::try_from(count).map_err(|error| error.to_string())?,
            reserved_at: minute(self.cloud.now),
        };
        let usage = daily_usage::reserve(&project.usage, reservation);
        let limit = project.guardrails.as_ref().and_then(|g| g.max_desktops_per_day);
        if limit.is_none_or(|limit| limit < usage.desktops()) {
            return Err(format!("more is reserved than {limit:?}: {usage:?}"));
        }
        let (conflicts, lost) = (self.dice.bad(), self.dice.bad());
        if !conflicts && reconciliation.usage_version == self.usage_version {
            self.usage = usage.clone();
            self.usage_version += 1;
            if !lost {
                reconciliation.usage_version = self.usage_version;
                project.usage = usage;
                return Ok(());
            }
        }
        reconciliation.seen.project_is_fresh = false;
        Ok(())
    }

    /// What is sent is reserved, if the project had a limit when it was last read.
    pub(super) fn is_reserved(
        &self,
        reconciliation: &Reconciliation,
        attempt: &Attempt,
    ) -> Result<(), String> {
        let guardrails = reconciliation.seen.guardrails();
        let limited = guardrails.is_some_and(|guardrails| guardrails.max_desktops_per_day.is_some());
        let is_it = |r: &Reservation| {
            r.attempt_id == attempt.id
                && usize::try_from(r.desktops).is_ok_and(|all| attempt.desktop_ids.len() <= all)
        };
        if !limited || self.usage.reservations.iter().any(is_it) {
            return Ok(());
        }
        Err(format!(
            "{} is sent without a reservation: {:?}",
            attempt.id, self.usage
        ))
    }

    /// The controller of the project reads the request of each reservation, and some time later stores what follows from
    /// that, unless the project has changed meanwhile.
    pub(super) fn settle(&mut self) {
        if let Some((version, usage)) = self.settling.take() {
            if version == self.usage_version {
                self.store_usage(usage);
            }
            return;
        }
        let mut usage = self.usage.clone();
        daily_usage::expire(&mut usage, &self.clocks(), &timing());
        let request = || {
            if self.exists {
                ReservationOwner::Found {
                    resource_version: self.version.to_string(),
                    attempts: self.object.status.attempts.clone(),
                }
            } else {
                ReservationOwner::Gone
            }
        };
        let requests = usage.reservations.iter().map(|_| request()).collect();
        let usage = daily_usage::settle_reservations(&usage, requests, &timing());
        self.settling = Some((self.usage_version, usage));
    }

    /// Other requests submit desktops.
    pub(super) fn use_by_others(&mut self) {
        let mut usage = self.usage.clone();
        let counts_until = minute(self.cloud.now + [30, DAY][usize::from(self.dice.throw(2))]);
        let desktops = i32::from(self.dice.throw(4));
        usage.submitted.push(SubmittedDesktops {
            counts_until,
            desktops,
        });
        self.store_usage(usage);
    }

    /// What was submitted counts no longer.
    pub(super) fn free_others(&mut self) {
        let mut usage = self.usage.clone();
        let now = minute(self.cloud.now);
        for interval in &mut usage.submitted {
            let until = interval.counts_until.0.min(now.0);
            interval.counts_until = Time(until);
        }
        self.store_usage(usage);
    }

    fn store_usage(&mut self, usage: DailyUsage) {
        if self.usage != usage {
            self.usage = usage;
            self.usage_version += 1;
        }
    }
}
