//! The leader election against an API server in memory, in paused time: hand-over, renewal, silence, races.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use desktop_deletion_operator::clock::{Clock, TimeSource};
use desktop_deletion_operator::config::Election;
use desktop_deletion_operator::runtime::health::Health;
use desktop_deletion_operator::runtime::lease::{Elector, Leadership, LeadershipLost};
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

mod api_server;
mod exclusion;

use api_server::{ApiServer, CallBehaviour};

const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
/// Until the next try has ended.
const NEXT_TRY: Duration = Duration::from_millis(2100);

/// The defaults of the flags.
fn election() -> Election {
    Election {
        lease_duration: LEASE_DURATION,
        renew_deadline: RENEW_DEADLINE,
        retry: RETRY,
    }
}

/// A time of day that stands still and differs by hours between replicas: it must not matter.
#[derive(Debug)]
struct Wall {
    now: Timestamp,
    random: AtomicU64,
}

impl TimeSource for Wall {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&self) -> u64 {
        self.random.fetch_add(1, Ordering::Relaxed)
    }
}

/// One replica.
struct Replica {
    elector: Elector,
    leadership: Leadership,
    health: Health,
}

fn replica(server: &ApiServer, name: &str) -> Replica {
    let hours = i64::from(name.bytes().last().unwrap_or_default()) * 3600;
    let clock: Clock = Arc::new(Wall {
        now: Timestamp::from_second(1_000_000 + hours).unwrap(),
        random: AtomicU64::new(server.ordinal()),
    });
    let health = Health::default();
    let elector = Elector::new(server.client(), "operators", name, election(), clock, &health);
    Replica {
        leadership: elector.leadership(),
        elector,
        health,
    }
}

impl Replica {
    /// It leads at once, since no other replica does.
    async fn lead(&mut self) {
        assert!(self.leads_within(RETRY).await, "{}", self.readiness());
    }

    /// Whether it leads within `bound`.
    async fn leads_within(&mut self, bound: Duration) -> bool {
        timeout(bound, self.elector.acquire()).await.is_ok()
    }

    fn readiness(&self) -> String {
        self.health.ready().to_string()
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_replica_leads_and_the_other_one_is_a_ready_standby() {
    let server = ApiServer::default();
    let (mut a, mut b) = (replica(&server, "a"), replica(&server, "b"));
    assert!(!a.leadership.holds());
    assert!(a.leads_within(NEXT_TRY).await);
    assert!(a.leadership.holds());
    assert_eq!(
        a.readiness(),
        "[+]leader-election ok: this replica is the leader\nok\n"
    );

    let holding = tokio::spawn(async move { a.elector.hold().await });
    assert!(
        !b.leads_within(LEASE_DURATION * 10).await,
        "the lease is renewed all the time"
    );
    assert!(!b.leadership.holds());
    assert!(!holding.is_finished());
    assert_eq!(
        b.readiness(),
        format!(
            "[+]leader-election ok: standby; the leader is {}\nok\n",
            server.holder()
        )
    );
    holding.abort();
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_acquired_at_the_next_attempt() {
    let server = ApiServer::default();
    let (mut a, mut b) = (replica(&server, "a"), replica(&server, "b"));
    a.lead().await;
    assert!(!b.leads_within(RETRY * 2).await);
    a.elector.release().await;
    assert!(!a.leadership.holds());
    assert_eq!(server.holder(), "");
    assert!(b.leads_within(NEXT_TRY).await);
    assert_eq!(server.holder(), b.elector.identity());
    assert_eq!(server.lease()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_crashed_leader_is_acquired_once_it_was_unchanged_for_its_duration() {
    let server = ApiServer::default();
    let (mut a, mut b) = (replica(&server, "a"), replica(&server, "b"));
    a.lead().await;
    drop(a);
    tokio::time::advance(LEASE_DURATION * 100).await;
    // In every case: it has not seen it unchanged yet. And what a slow response shows may have been written just before
    // it arrived.
    let slow = Duration::from_secs(4);
    server.script(move |number, _| {
        if number == 0 {
            CallBehaviour::serve(slow)
        } else {
            CallBehaviour::PROMPT
        }
    });
    let asked = Instant::now();
    assert!(b.leads_within(slow + LEASE_DURATION + NEXT_TRY).await);
    assert!(asked.elapsed() >= slow + LEASE_DURATION);
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_the_same_name_have_different_identities() {
    let server = ApiServer::default();
    let (mut a, mut again) = (replica(&server, "a"), replica(&server, "a"));
    a.lead().await;
    assert_ne!(a.elector.identity(), again.elector.identity());
    assert!(!again.leads_within(RETRY * 2).await);
}

#[tokio::test(start_paused = true)]
async fn only_one_of_two_concurrent_candidates_leads() {
    let server = ApiServer::default();
    let (mut a, mut b) = (replica(&server, "a"), replica(&server, "b"));
    // Both see that there is no lease before either has created it; and then that it has run out.
    for bound in [NEXT_TRY, LEASE_DURATION + NEXT_TRY] {
        server.script(|_, _| CallBehaviour::serve(Duration::from_millis(100)));
        let both = futures::future::join(a.leads_within(bound), b.leads_within(bound));
        let (a_leads, b_leads) = both.await;
        assert!(a_leads != b_leads, "a {a_leads}, b {b_leads}");
        assert_eq!(server.conflicts(), 1, "the slower write was refused");
        (a, b) = (replica(&server, "a"), replica(&server, "b"));
        server.forget_conflicts();
    }
}

#[tokio::test(start_paused = true)]
async fn without_responses_leadership_ends_within_the_renew_deadline() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a");
    a.lead().await;
    let renewed = Instant::now();
    server.script(|_, _| CallBehaviour::Lost);
    let loss = a.elector.hold().await;
    assert_eq!(renewed.elapsed(), RENEW_DEADLINE);
    assert!(!a.leadership.holds());
    assert_eq!(
        loss.to_string(),
        "the Lease operators/desktop-deletion-operator was not renewed for 10s (failed to acquire or renew the Lease \
         operators/desktop-deletion-operator: no response within 5s), so another replica may have become the leader: \
         exiting; after its restart, this replica takes part in the election again"
    );
    assert!(!a.health.ready().holds());
}

#[tokio::test(start_paused = true)]
async fn leadership_ends_on_time_even_if_the_elector_is_not_scheduled() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a");
    a.lead().await;
    tokio::time::advance(RENEW_DEADLINE).await;
    assert!(!a.leadership.holds());
    // It goes on too late: that the lease is still its own does not help.
    assert!(matches!(
        a.elector.hold().await,
        LeadershipLost::RenewTimeout { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_ends_within_the_deadline_does_not_end_leadership() {
    let hung = |number: u64| {
        if number == 0 {
            CallBehaviour::Lost
        } else {
            CallBehaviour::PROMPT
        }
    };
    let failing = |number: u64| {
        if number < 3 {
            CallBehaviour::Refused(500, "etcd is slow")
        } else {
            CallBehaviour::PROMPT
        }
    };
    let raced = |number: u64| {
        if number == 1 {
            CallBehaviour::Refused(409, "the object has been modified")
        } else {
            CallBehaviour::PROMPT
        }
    };
    let faults: [fn(u64) -> CallBehaviour; 3] = [hung, failing, raced];
    for fault in faults {
        let server = ApiServer::default();
        let mut a = replica(&server, "a");
        a.lead().await;
        server.script(move |number, _| fault(number));
        let lost = timeout(RENEW_DEADLINE * 3, a.elector.hold()).await;
        assert!(lost.is_err(), "{lost:?}");
        assert!(a.leadership.holds());
    }
}

#[tokio::test(start_paused = true)]
async fn another_holder_ends_leadership_at_once() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a");
    a.lead().await;
    server.overwrite_holder("somebody");
    let seized = Instant::now();
    let loss = a.elector.hold().await;
    assert!(seized.elapsed() <= RETRY);
    assert!(!a.leadership.holds());
    assert_eq!(
        loss.to_string(),
        "the Lease operators/desktop-deletion-operator is now held by somebody: exiting; this replica becomes a standby after its restart"
    );
    a.elector.release().await;
    assert_eq!(server.holder(), "somebody", "it releases only its own lease");
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_reported_with_its_fix_and_granting_it_needs_no_restart() {
    let server = ApiServer::default();
    server.script(|_, _| CallBehaviour::Refused(403, "leases is forbidden"));
    let mut a = replica(&server, "a");
    assert!(!a.leads_within(RETRY * 3).await);
    assert_eq!(
        a.readiness(),
        "[-]leader-election failed: failed to acquire or renew the Lease operators/desktop-deletion-operator: leases is \
         forbidden; bind the Role desktop-deletion-operator-lease of deploy/base to the operator's ServiceAccount\nfailed\n"
    );
    server.script(|_, _| CallBehaviour::PROMPT);
    assert!(a.leads_within(NEXT_TRY).await);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_created_again_by_its_holder() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a");
    a.lead().await;
    server.delete();
    assert!(timeout(RENEW_DEADLINE * 2, a.elector.hold()).await.is_err());
    assert_eq!(server.holder(), a.elector.identity());
}

#[tokio::test(start_paused = true)]
async fn releasing_the_lease_is_bounded_in_time() {
    let server = ApiServer::default();
    let mut a = replica(&server, "a");
    a.lead().await;
    server.script(|_, _| CallBehaviour::Lost);
    let asked = Instant::now();
    a.elector.release().await;
    assert_eq!(asked.elapsed(), RENEW_DEADLINE / 2);
}
