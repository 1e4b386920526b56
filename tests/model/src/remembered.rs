//! What an operator remembers is the shipped [`RequestMemory`]: made from the few numbers of the model by its own
//! methods, and read back by asking it.

use std::cmp::Reverse;
use std::time::Duration;

use desktop_deletion_operator::crd::deletion::DesktopDeletionStatus;
use desktop_deletion_operator::plan::memory::RequestMemory;
use desktop_deletion_operator::plan::observed::Request;
use desktop_deletion_operator::plan::views;
use desktop_deletion_operator::plan::views::DesktopView;

use crate::names::{self, ATTEMPTS};
use crate::time::{UPTIME, age_of, ago, ticks};
use crate::world::{
    DesktopRead, Evidence, FirstEvidence, FirstSaw, JOB_VISIBILITY_TIMEOUT, Memory, ReadState,
};

impl Memory {
    /// The shipped memory of that object.
    pub fn remembered(&self, request: &Request) -> RequestMemory {
        let mut remembered = RequestMemory::default();
        let mut known: Vec<_> = (0..ATTEMPTS)
            .filter_map(|attempt| Some((self.first_saw[attempt]?, names::attempt(attempt))))
            .collect();
        known.sort_by_key(|(age, _)| Reverse(*age));
        for last in 0..known.len() {
            let attempts = known[..=last].iter().filter_map(|(_, id)| request.attempt(id));
            let then = Request {
                status: DesktopDeletionStatus {
                    attempts: attempts.cloned().collect(),
                    ..DesktopDeletionStatus::default()
                },
                ..request.clone()
            };
            remembered.observe(&then, ago(known[last].0));
        }
        for (desktop, idle) in self.idle.iter().enumerate() {
            if let Some(age) = idle {
                remembered.record_idle(
                    names::desktop(desktop),
                    DesktopView::Idle,
                    ago(*age),
                    ticks(JOB_VISIBILITY_TIMEOUT),
                );
            }
        }
        if let Some(look) = self.first_evidence {
            remembered.record_evidence(
                names::attempt(usize::from(look.attempt)),
                ago(look.age),
                look.found.shipped(),
            );
        }
        if let Some(age) = self.finalizer {
            remembered.record_finalizer_added(ago(age));
        }
        remembered
    }

    /// Since when each attempt has been known, once the object is loaded.
    pub fn observe(&self, request: &Request, longest: u8) -> FirstSaw {
        let mut remembered = self.remembered(request);
        remembered.observe(request, UPTIME);
        std::array::from_fn(|attempt| {
            let first = remembered.first_seen_at(names::attempt(attempt))?;
            Some(age_of(first, longest))
        })
    }

    /// Notes what a reconciliation that began so long ago found of an attempt.
    pub fn record_evidence(&mut self, attempt: u8, found: Evidence, began: u8, request: &Request) {
        let mut remembered = Self {
            first_evidence: self.first_evidence,
            ..Self::default()
        }
        .remembered(request);
        let id = names::attempt(usize::from(attempt));
        remembered.record_evidence(id, ago(began), found.shipped());
        let earlier =
            |later| remembered.earlier_evidence(request, UPTIME + later, ticks(JOB_VISIBILITY_TIMEOUT));
        let found = earlier(ticks(JOB_VISIBILITY_TIMEOUT)).map(Evidence::of);
        let age = age_until(|later| earlier(later).is_some());
        self.first_evidence = age
            .zip(found)
            .map(|(age, found)| FirstEvidence { attempt, found, age });
    }
}

/// How long ago something began that counts once it is a job visibility timeout old.
fn age_until(counts: impl Fn(Duration) -> bool) -> Option<u8> {
    (0..=JOB_VISIBILITY_TIMEOUT)
        .find(|later| counts(ticks(*later)))
        .map(|later| JOB_VISIBILITY_TIMEOUT - later)
}

impl Evidence {
    /// In the numbers of the model.
    pub fn of(found: &views::Evidence) -> Self {
        Self {
            jobs: names::job_set(&found.jobs),
            affected: names::desktop_set(&found.affected),
            complete: found.complete,
        }
    }

    /// As it is shipped.
    pub fn shipped(self) -> views::Evidence {
        views::Evidence {
            jobs: names::jobs(self.jobs).into_iter().collect(),
            affected: names::desktops(self.affected).into_iter().collect(),
            complete: self.complete,
        }
    }
}

impl ReadState {
    /// Since when the desktop has been idle once this is read, and what the read says.
    pub fn noted(self, idle: Option<u8>, settle: Duration) -> (Option<u8>, DesktopRead) {
        let id = names::desktop(0);
        let mut remembered = RequestMemory::default();
        if let Some(age) = idle {
            remembered.record_idle(id, DesktopView::Idle, ago(age), settle);
        }
        let read = DesktopRead {
            state: self,
            idle_twice: remembered.record_idle(id, self.shipped(), UPTIME, settle),
            reassigned: false,
        };
        let idle_at = |later| {
            let mut then = remembered.clone();
            then.record_idle(
                id,
                DesktopView::Idle,
                UPTIME + later,
                ticks(JOB_VISIBILITY_TIMEOUT),
            )
        };
        (age_until(idle_at), read)
    }

    /// As it is shipped.
    pub fn shipped(self) -> DesktopView {
        match self {
            Self::Idle => DesktopView::Idle,
            Self::Deleting => DesktopView::Deleting,
            Self::DeleteFailed => DesktopView::DeleteFailed,
            Self::Missing => DesktopView::Missing,
            Self::Gone => DesktopView::Gone,
        }
    }
}
