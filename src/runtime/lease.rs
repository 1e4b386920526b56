//! Leader election: the replica that holds a `Lease` runs the controllers, the others are standbys.
//!
//! The Lease avoids duplicate work; safety does not depend on it, because no lease can stop a process that was frozen
//! and continues later. If two processes both consider themselves the leader, the resourceVersion of each write and the
//! expiry of each signature keep them apart.
//!
//! | file | what |
//! | --- | --- |
//! | [`action`] | whether this replica may acquire or renew the Lease: a pure function |
//! | [`leadership`] | whether this replica is the leader right now, checked before new work is started |
//!
//! The rules are those of the client libraries of Kubernetes, so `kubectl get lease` reads as usual. Each try has a
//! timeout, and a try without a response counts as failed.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout, timeout_at};

use super::health::{Check, Health, Heartbeat};
use crate::clock::Clock;
use crate::config::{Election, duration};

pub mod action;
pub mod leadership;

pub use leadership::Leadership;

use action::{Candidate, LeaseAction};
use leadership::Term;

/// The name of the Lease, in the operator's own namespace: the only one that its Role lets it read or write.
pub const NAME: &str = "desktop-deletion-operator";

/// Name of the check in `/readyz` that shows whether this replica is the leader.
pub const READINESS_CHECK: &str = "leader-election";

/// After this many periods without a heartbeat, the loop counts as stalled.
const MISSED_HEARTBEATS: u32 = 6;

/// Why a replica is no longer the leader. In either case it must stop immediately and start over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeadershipLost {
    /// The lease could not be renewed for too long.
    #[error(
        "the Lease {lease} was not renewed for {} ({reason}), so another replica may have become the leader: exiting; \
         after its restart, this replica takes part in the election again",
        duration::text(*.deadline)
    )]
    RenewTimeout {
        /// Namespace and name of the Lease.
        lease: String,
        /// `--renew-deadline`.
        deadline: Duration,
        /// The result of the last try.
        reason: String,
    },
    /// Another replica holds the lease.
    #[error(
        "the Lease {lease} is now held by {holder}: exiting; this replica becomes a standby after its restart"
    )]
    Taken {
        /// Namespace and name of the Lease.
        lease: String,
        /// Who holds it.
        holder: String,
    },
}

/// The result of one try.
enum LeaseState {
    /// This replica holds the lease.
    Leads,
    /// This other replica holds the lease.
    StandsBy(String),
    /// Another replica wrote it at the same time.
    Raced,
}

/// One replica's part in the election.
pub struct Elector {
    api: Api<Lease>,
    /// Namespace and name, for people.
    lease: String,
    candidate: Candidate,
    election: Election,
    clock: Clock,
    term: Term,
    ticks: Interval,
    check: Check,
    heartbeat: Heartbeat,
    /// The last logged state of the lease, so that it is logged once.
    last_logged: String,
}

impl Elector {
    /// A candidate for the Lease [`NAME`] of `namespace`. `identity` gets a random ending: two processes never have the
    /// same one, regardless of the names of their pods or hosts, and a process never mistakes its predecessor's lease
    /// for its own.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: &str,
        election: Election,
        clock: Clock,
        health: &Health,
    ) -> Self {
        let mut ticks = interval(election.retry);
        // After a slow try, the next one follows immediately, and the one after that at the usual interval.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let max_interval = (election.retry + call_limit(&election)) * MISSED_HEARTBEATS;
        Self {
            api: Api::namespaced(client, namespace),
            lease: format!("{namespace}/{NAME}"),
            candidate: Candidate::new(
                NAME,
                format!("{identity}_{:016x}", clock.random()),
                election.lease_duration,
            ),
            term: Term::begin(),
            ticks,
            check: health.check(READINESS_CHECK),
            heartbeat: health.register_heartbeat(READINESS_CHECK, max_interval),
            last_logged: String::new(),
            election,
            clock,
        }
    }

    /// The name under which it holds the lease.
    pub fn identity(&self) -> &str {
        self.candidate.identity()
    }

    /// A handle that shows whether this replica leads right now.
    pub fn leadership(&self) -> Leadership {
        self.term.leadership()
    }

    /// Stands by until the lease is held. May be dropped at any time; then [`Self::release`] gives back what a write on
    /// its way may have taken.
    pub async fn acquire(&mut self) {
        loop {
            self.ticks.tick().await;
            self.heartbeat.beat();
            match self.attempt().await {
                Ok(LeaseState::Leads) => {
                    self.check.pass_as("this replica is the leader");
                    tracing::info!(
                        lease = self.lease,
                        identity = self.identity(),
                        "this replica is the leader"
                    );
                    return;
                }
                Ok(LeaseState::StandsBy(holder)) => {
                    self.check.pass_as(format!("standby; the leader is {holder}"));
                    self.log_change(format!("standby: {holder} holds the Lease"));
                }
                Ok(LeaseState::Raced) => {}
                Err(reason) => {
                    self.check.fail(&reason);
                    self.log_change(reason);
                }
            }
        }
    }

    /// Renews the lease for as long as it can, and returns once it is lost. To be called after [`Self::acquire`].
    pub async fn hold(&mut self) -> LeadershipLost {
        const NO_ATTEMPT: &str = "no attempt completed";
        let mut reason = NO_ATTEMPT.to_owned();
        loop {
            let until = self.term.until();
            // A process that was frozen may find responses waiting although its term has expired; it is too late
            // nevertheless.
            let renewed = if until <= Instant::now() {
                None
            } else {
                timeout_at(until, self.renew()).await.ok()
            };
            match renewed {
                Some(Ok(LeaseState::Leads)) => NO_ATTEMPT.clone_into(&mut reason),
                Some(Ok(LeaseState::StandsBy(holder))) => {
                    return self.lost(LeadershipLost::Taken {
                        lease: self.lease.clone(),
                        holder,
                    });
                }
                Some(Ok(LeaseState::Raced)) => {
                    "another writer changed it at the same time".clone_into(&mut reason);
                }
                Some(Err(error)) => {
                    tracing::warn!(lease = self.lease, "{error}");
                    reason = error;
                }
                None => {
                    return self.lost(LeadershipLost::RenewTimeout {
                        lease: self.lease.clone(),
                        deadline: self.election.renew_deadline,
                        reason,
                    });
                }
            }
        }
    }

    /// Gives the lease back if it is held, so that the next replica need not wait until it runs out.
    pub async fn release(&mut self) {
        self.term.end();
        match timeout(call_limit(&self.election), self.try_release()).await {
            Ok(Ok(true)) => tracing::info!(lease = self.lease, "released the Lease"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => self.log_release_failure(&reason(&error)),
            Err(_) => self.log_release_failure("no response"),
        }
    }

    async fn renew(&mut self) -> Result<LeaseState, String> {
        self.ticks.tick().await;
        self.heartbeat.beat();
        self.attempt().await
    }

    /// One try, with its time limit.
    async fn attempt(&mut self) -> Result<LeaseState, String> {
        let limit = call_limit(&self.election);
        let why = match timeout(limit, self.try_hold()).await {
            Ok(Ok(state)) => return Ok(state),
            Ok(Err(error)) => reason(&error),
            Err(_) => format!("no response within {}", duration::text(limit)),
        };
        Err(format!(
            "failed to acquire or renew the Lease {}: {why}",
            self.lease
        ))
    }

    async fn try_hold(&mut self) -> Result<LeaseState, Error> {
        let found = self.api.get_opt(NAME).await?;
        // Taken after the response: its content was written earlier, so the holder's term began no later than this.
        let action = self.candidate.decide(found, Instant::now(), self.clock.now());
        // Taken before the write: other replicas can see the write only later.
        let since = Instant::now();
        let written = match &action {
            LeaseAction::StandBy { holder } => return Ok(LeaseState::StandsBy(holder.clone())),
            LeaseAction::Create(lease) => self.api.create(&PostParams::default(), lease).await,
            LeaseAction::Replace(lease) => self.api.replace(NAME, &PostParams::default(), lease).await,
        };
        match written {
            Ok(_) => {
                self.term.extend(since + self.election.renew_deadline);
                Ok(LeaseState::Leads)
            }
            Err(error) if is_conflict(&error) => Ok(LeaseState::Raced),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the lease was held.
    async fn try_release(&self) -> Result<bool, Error> {
        let found = self.api.get_opt(NAME).await?;
        let Some(lease) = found.and_then(|lease| self.candidate.released(lease, self.clock.now())) else {
            return Ok(false);
        };
        self.api.replace(NAME, &PostParams::default(), &lease).await?;
        Ok(true)
    }

    fn lost(&self, loss: LeadershipLost) -> LeadershipLost {
        self.term.end();
        self.check.fail("the Lease is lost");
        loss
    }

    fn log_change(&mut self, what: String) {
        if self.last_logged != what {
            tracing::info!(lease = self.lease, "{what}");
            self.last_logged = what;
        }
    }

    fn log_release_failure(&self, reason: &str) {
        tracing::warn!(
            lease = self.lease,
            "failed to release the Lease ({reason}); another replica becomes the leader when it has expired"
        );
    }
}

/// Time limit of one try: half the deadline, so that a try that hangs is not the only one.
fn call_limit(election: &Election) -> Duration {
    election.renew_deadline / 2
}

/// Both a stale resourceVersion and a Lease that exists already.
fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}

/// The error and, if a permission is missing, the remedy.
fn reason(error: &Error) -> String {
    match error {
        Error::Api(status) if status.code == 403 => format!(
            "{}; bind the Role {NAME}-lease of deploy/base to the operator's ServiceAccount",
            status.message
        ),
        Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
