//! Whether this replica may acquire or renew the Lease: decided from the content of the Lease and from how long our own
//! clock has seen it unchanged. The times in the Lease are from another machine and for display only; they decide nothing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

/// What a replica may do about the lease.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseAction {
    /// There is none: create it like this. If another replica does so first, the API server refuses.
    Create(Lease),
    /// It is free, has expired or is held by this replica: replace it by this. The resourceVersion of what was read is
    /// in it, so that the API server refuses if another replica wrote it meanwhile.
    Replace(Lease),
    /// Another replica holds it.
    StandBy {
        /// Who holds it.
        holder: String,
    },
}

/// A replica that tries to acquire the lease, and the last state that it has seen.
#[derive(Debug, Clone)]
pub struct Candidate {
    name: &'static str,
    identity: String,
    lease_duration: Duration,
    seen: Option<Seen>,
}

/// A state of the Lease, and since when it is known.
#[derive(Debug, Clone)]
struct Seen {
    resource_version: Option<String>,
    since: Instant,
}

impl Candidate {
    /// A candidate for the Lease called `name`, which stays its own for `lease_duration` after each renewal.
    pub fn new(name: &'static str, identity: String, lease_duration: Duration) -> Self {
        Self {
            name,
            identity,
            lease_duration,
            seen: None,
        }
    }

    /// The name under which it holds the lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What may be done about the Lease `found`, read at `now`; `wall` is the time of day that is written into it.
    pub fn decide(&mut self, found: Option<Lease>, now: Instant, wall: Timestamp) -> LeaseAction {
        let Some(mut lease) = found else {
            self.seen = None;
            let mut lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.to_owned()),
                    ..ObjectMeta::default()
                },
                ..Lease::default()
            };
            self.acquire(lease.spec.get_or_insert_default(), wall);
            return LeaseAction::Create(lease);
        };
        let unchanged = self.unchanged_for(lease.metadata.resource_version.as_ref(), now);
        let spec = lease.spec.get_or_insert_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder == self.identity {
            self.renew(spec, wall);
        } else if holder.is_empty() || unchanged >= self.term_of(spec) {
            self.acquire(spec, wall);
        } else {
            return LeaseAction::StandBy { holder };
        }
        LeaseAction::Replace(lease)
    }

    /// The Lease `found`, released; `None` if this replica does not hold it.
    pub fn released(&self, mut found: Lease, wall: Timestamp) -> Option<Lease> {
        let spec = found.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return None;
        }
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(wall));
        Some(found)
    }

    /// For how long our own clock has seen the Lease in this state.
    fn unchanged_for(&mut self, resource_version: Option<&String>, now: Instant) -> Duration {
        match &self.seen {
            Some(seen) if seen.resource_version.as_ref() == resource_version => now - seen.since,
            _ => {
                self.seen = Some(Seen {
                    resource_version: resource_version.cloned(),
                    since: now,
                });
                Duration::ZERO
            }
        }
    }

    /// How long the holder was promised to keep it: its own setting counts, which may differ from ours during an update.
    fn term_of(&self, spec: &LeaseSpec) -> Duration {
        spec.lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.lease_duration, Duration::from_secs)
    }

    fn acquire(&self, spec: &mut LeaseSpec, wall: Timestamp) {
        // As in the client libraries: transitions count the changes of the holder, the first one being none.
        let first = spec.acquire_time.is_none() && spec.lease_transitions.is_none();
        let before = spec.lease_transitions.unwrap_or_default();
        spec.lease_transitions = Some(if first { 0 } else { before.saturating_add(1) });
        spec.holder_identity = Some(self.identity.clone());
        spec.acquire_time = Some(MicroTime(wall));
        self.renew(spec, wall);
    }

    fn renew(&self, spec: &mut LeaseSpec, wall: Timestamp) {
        spec.lease_duration_seconds = i32::try_from(self.lease_duration.as_secs()).ok();
        spec.renew_time = Some(MicroTime(wall));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(15);
    const MOMENT: Duration = Duration::from_millis(1);

    fn candidate(name: &str) -> Candidate {
        Candidate::new("lease", name.to_owned(), TERM)
    }

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A Lease as the API server gives it out.
    fn stored(holder: &str, version: &str) -> Lease {
        let LeaseAction::Create(mut lease) = candidate(holder).decide(None, Instant::now(), wall(1)) else {
            unreachable!("there is no lease")
        };
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    fn spec(action: &LeaseAction) -> LeaseSpec {
        match action {
            LeaseAction::Create(lease) | LeaseAction::Replace(lease) => lease.spec.clone().unwrap(),
            LeaseAction::StandBy { holder } => panic!("stands by for {holder}"),
        }
    }

    fn stands_by(action: &LeaseAction) -> bool {
        matches!(action, LeaseAction::StandBy { holder } if holder == "a")
    }

    #[test]
    fn the_first_candidate_creates_the_lease() {
        let now = Instant::now();
        let created = candidate("a").decide(None, now, wall(7));
        let expected = LeaseSpec {
            acquire_time: Some(MicroTime(wall(7))),
            holder_identity: Some("a".to_owned()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(0),
            renew_time: Some(MicroTime(wall(7))),
            ..LeaseSpec::default()
        };
        assert!(matches!(created, LeaseAction::Create(_)));
        assert_eq!(spec(&created), expected);
    }

    #[test]
    fn the_holder_renews_what_it_read() {
        let renewed = candidate("a").decide(Some(stored("a", "1")), Instant::now(), wall(9));
        let LeaseAction::Replace(lease) = &renewed else {
            panic!("{renewed:?}")
        };
        assert_eq!(
            lease.metadata.resource_version.as_deref(),
            Some("1"),
            "it fences the write"
        );
        let spec = spec(&renewed);
        assert_eq!(spec.acquire_time, Some(MicroTime(wall(1))));
        assert_eq!(spec.renew_time, Some(MicroTime(wall(9))));
        assert_eq!(spec.lease_transitions, Some(0));
    }

    #[test]
    fn another_candidate_waits_until_the_lease_was_unchanged_for_its_duration_by_the_candidates_own_clock() {
        let mut b = candidate("b");
        let start = Instant::now();
        // A renewTime far in the past, by the other machine's clock, decides nothing.
        let late = wall(1_000_000);
        assert!(stands_by(&b.decide(Some(stored("a", "1")), start, late)));
        assert!(stands_by(&b.decide(
            Some(stored("a", "1")),
            start + TERM - MOMENT,
            late
        )));
        let taken = spec(&b.decide(Some(stored("a", "1")), start + TERM, late));
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(taken.acquire_time, Some(MicroTime(late)));
    }

    #[test]
    fn every_renewal_restarts_the_wait() {
        let mut b = candidate("b");
        let start = Instant::now();
        assert!(stands_by(&b.decide(Some(stored("a", "1")), start, wall(1))));
        let renewed = start + TERM - MOMENT;
        assert!(stands_by(&b.decide(Some(stored("a", "2")), renewed, wall(1))));
        assert!(stands_by(&b.decide(
            Some(stored("a", "2")),
            renewed + TERM - MOMENT,
            wall(1)
        )));
        assert!(!stands_by(&b.decide(
            Some(stored("a", "2")),
            renewed + TERM,
            wall(1)
        )));
    }

    #[test]
    fn the_lease_duration_of_the_holder_counts() {
        for (promised, expected) in [(Some(60), 60), (Some(3), 3), (None, 15), (Some(-1), 15)] {
            let mut lease = stored("a", "1");
            lease.spec.get_or_insert_default().lease_duration_seconds = promised;
            let (mut b, start) = (candidate("b"), Instant::now());
            let over = start + Duration::from_secs(expected);
            for (at, waits) in [(start, true), (over - MOMENT, true), (over, false)] {
                assert_eq!(
                    stands_by(&b.decide(Some(lease.clone()), at, wall(1))),
                    waits,
                    "{promised:?}"
                );
            }
        }
    }

    #[test]
    fn a_released_lease_is_free_at_once_and_only_its_holder_can_release_it() {
        let lease = stored("a", "1");
        assert_eq!(candidate("b").released(lease.clone(), wall(5)), None);
        let free = candidate("a").released(lease, wall(5)).unwrap();
        assert_eq!(
            free.metadata.resource_version.as_deref(),
            Some("1"),
            "it fences the write"
        );
        let taken = spec(&candidate("b").decide(Some(free), Instant::now(), wall(6)));
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
        assert_eq!(taken.lease_transitions, Some(1));
    }

    #[test]
    fn a_lease_without_a_holder_is_free() {
        let mut lease = stored("a", "1");
        lease.spec = None;
        let taken = spec(&candidate("b").decide(Some(lease), Instant::now(), wall(6)));
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
    }
}
