//! With every network fault, freeze and stop of a process: two replicas never believe at the same moment that they
//! lead, and once the faults stop, one does.

use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::ready;
use std::time::Duration;

use desktop_deletion_operator::runtime::lease::Leadership;
use proptest::prelude::*;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::api_server::{ApiServer, CallBehaviour};
use super::{RETRY, replica};

/// Everything happens at a multiple of this, so that a check between two of them misses nothing.
const GRID: Duration = Duration::from_millis(50);

/// How long faults happen.
const FAULTS: Duration = Duration::from_secs(90);

/// Long enough for any lease to run out and be taken: of a process that is restarted meanwhile, too.
const WITHOUT_FAULTS: Duration = Duration::from_secs(60);

/// For so long at the end a replica must be seen to lead: if one releases the lease in this time, another one acquires
/// it in it.
const END: Duration = Duration::from_secs(10);

/// What happens to one replica.
#[derive(Debug, Clone)]
struct Disturbances {
    start: Duration,
    /// When the process is not scheduled.
    frozen: Vec<Range<Duration>>,
    /// After how long it gives the lease back, by term; it is restarted then.
    given_back_after: Vec<Option<Duration>>,
}

/// Who believes what, over all processes that were ever started.
type Beliefs = Arc<Mutex<Vec<Leadership>>>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn two_replicas_never_lead_at_the_same_moment(
        lives in prop::collection::vec(life(), 2..=3),
        fates in prop::collection::vec(call_behaviour(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let seen = runtime.block_on(run(lives, fates));
        prop_assert!(seen.most <= 1, "{} led at the same moment", seen.most);
        prop_assert!(seen.led_at_the_end, "no replica leads long after the last fault");
    }
}

fn moment(longest: Duration) -> impl Strategy<Value = Duration> {
    let steps = u32::try_from(longest.as_millis() / GRID.as_millis()).unwrap();
    (0..=steps).prop_map(|step| GRID * step)
}

fn life() -> impl Strategy<Value = Disturbances> {
    let second = Duration::from_secs(1);
    let freeze = (moment(FAULTS), moment(25 * second)).prop_map(|(from, length)| from..from + length);
    let given_back = prop::option::weighted(0.3, moment(20 * second));
    (
        moment(3 * second),
        prop::collection::vec(freeze, 0..4),
        prop::collection::vec(given_back, 0..6),
    )
        .prop_map(|(start, frozen, given_back_after)| Disturbances {
            start,
            frozen,
            given_back_after,
        })
}

fn call_behaviour() -> impl Strategy<Value = CallBehaviour> {
    let second = Duration::from_secs(1);
    let (prompt, slow) = (|| moment(second / 4), || moment(12 * second));
    prop_oneof![
        8 => (prompt(), prompt()).prop_map(|(before, after)| CallBehaviour::Served(before, after)),
        2 => (slow(), prompt()).prop_map(|(before, after)| CallBehaviour::Served(before, after)),
        2 => (prompt(), slow()).prop_map(|(before, after)| CallBehaviour::Served(before, after)),
        1 => slow().prop_map(CallBehaviour::Unanswered),
        1 => Just(CallBehaviour::Lost),
        1 => Just(CallBehaviour::Refused(503, "the server is busy")),
    ]
}

struct Seen {
    /// The most replicas that led at one moment.
    most: usize,
    led_at_the_end: bool,
}

async fn run(disturbances: Vec<Disturbances>, behaviours: Vec<CallBehaviour>) -> Seen {
    let server = ApiServer::default();
    let end_of_faults = Instant::now() + FAULTS;
    let mut next = behaviours.into_iter().cycle();
    server.script(move |_, _| {
        let peace = Instant::now() >= end_of_faults;
        next.next().filter(|_| !peace).unwrap_or(CallBehaviour::PROMPT)
    });
    let beliefs = Beliefs::default();
    for life in disturbances {
        let live = live(server.clone(), life.clone(), beliefs.clone());
        tokio::spawn(with_freezes(live, life.frozen));
    }
    let leading = || {
        let beliefs = beliefs.lock().unwrap();
        beliefs.iter().filter(|leadership| leadership.holds()).count()
    };
    let (mut most, mut led_at_the_end) = (0, false);
    sleep(GRID / 2).await;
    // A freeze may begin at the very end of the faults.
    let end = Instant::now() + FAULTS + WITHOUT_FAULTS;
    while Instant::now() < end {
        let leading = leading();
        most = most.max(leading);
        led_at_the_end |= leading > 0 && Instant::now() + END > end;
        sleep(GRID).await;
    }
    Seen { most, led_at_the_end }
}

/// A replica that is restarted after each term, as its kubelet would do.
async fn live(server: ApiServer, life: Disturbances, beliefs: Beliefs) {
    sleep(life.start).await;
    let mut terms = life.given_back_after.into_iter();
    loop {
        let mut process = replica(&server, "replica");
        beliefs.lock().unwrap().push(process.leadership.clone());
        process.elector.acquire().await;
        match terms.next().flatten() {
            None => {
                process.elector.hold().await;
            }
            Some(term) => {
                if timeout(term, process.elector.hold()).await.is_err() {
                    process.elector.release().await;
                    // It comes back later than a standby tries.
                    sleep(RETRY + GRID).await;
                }
            }
        }
        assert!(!process.leadership.holds());
    }
}

/// Does not schedule a process at some times: its timers fire late and its responses wait, while time goes on for the
/// others.
async fn with_freezes(process: impl Future<Output = ()>, frozen: Vec<Range<Duration>>) {
    let start = Instant::now();
    let mut process = pin!(process);
    let mut thaw: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|context| {
        loop {
            if let Some(until) = &mut thaw {
                ready!(until.as_mut().poll(context));
                thaw = None;
            }
            let now = start.elapsed();
            match frozen.iter().find(|range| range.contains(&now)) {
                Some(range) => thaw = Some(Box::pin(sleep_until(start + range.end))),
                None => return process.as_mut().poll(context),
            }
        }
    })
    .await;
}
