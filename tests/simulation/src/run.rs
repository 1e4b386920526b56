//! One seed, from begin to end, or many.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::calls::Call;
use crate::judge;
use crate::mutant::Mutant;
use crate::operators;
use crate::panics;
use crate::scenario::Scenario;
use crate::story::{Log, Story};
use crate::world::{Order, Shared, World};

/// The result of a seed.
#[derive(Debug)]
pub struct Report {
    /// What the run was about.
    pub scenario: Scenario,
    /// Every invariant that was broken, in a sentence.
    pub broken: Vec<String>,
    /// What happened, if that was asked for.
    pub story: Vec<String>,
    /// What it covered.
    pub covered: Covered,
    /// Every call of the cloud, and how many milliseconds after the begin it was made.
    pub cloud_calls: Vec<(u64, Call)>,
    /// When an operator first stored conditions of a request, by its name, in milliseconds after the begin.
    pub first_conditions: BTreeMap<String, u64>,
}

/// What a run covered, so that an empty run is not mistaken for a successful one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covered {
    /// Submissions that arrived in the cloud.
    pub posts: u64,
    /// Jobs that they started.
    pub jobs: u64,
    /// Attempts that were adopted.
    pub adopted: u64,
    /// Attempts of which it was found that they had no effect.
    pub without_effect: u64,
    /// Requests that ended.
    pub ended: u64,
    /// Submissions of an approved plan that took effect.
    pub approved: u64,
    /// Requests that waited since their plan was not the approved one.
    pub changed: u64,
    /// Approvals that were given to an object and set in another one.
    pub carried: u64,
    /// Requests that waited for room under the limit of a day.
    pub limited: u64,
    /// Operators that were started.
    pub operators: u64,
    /// Responses of the cloud that were replaced by undocumented ones.
    pub replaced: u64,
    /// Virtual seconds.
    pub seconds: u64,
}

impl Covered {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            posts: self.posts + other.posts,
            jobs: self.jobs + other.jobs,
            adopted: self.adopted + other.adopted,
            without_effect: self.without_effect + other.without_effect,
            ended: self.ended + other.ended,
            approved: self.approved + other.approved,
            changed: self.changed + other.changed,
            carried: self.carried + other.carried,
            limited: self.limited + other.limited,
            operators: self.operators + other.operators,
            replaced: self.replaced + other.replaced,
            seconds: self.seconds + other.seconds,
        }
    }
}

/// Plays a seed.
pub fn seed(seed: u64, mutant: Option<Mutant>, trace: bool) -> Report {
    scenario(Scenario::draw(seed, mutant), trace)
}

/// Plays seeds on every core, in no order, and passes each result to `heard`.
///
/// # Panics
/// As [`scenario`].
pub fn seeds(seeds: Range<u64>, mutant: Option<Mutant>, mut heard: impl FnMut(Report) + Send) {
    let heard = |report| {
        heard(report);
        ControlFlow::Continue(())
    };
    each(seeds, |seed| Scenario::draw(seed, mutant), heard);
}

/// Plays seeds whose worlds are drawn by `draw`, as [`seeds`], until `heard` breaks.
///
/// # Panics
/// As [`scenario`].
pub fn each(
    seeds: Range<u64>,
    draw: impl Fn(u64) -> Scenario + Sync,
    heard: impl FnMut(Report) -> ControlFlow<()> + Send,
) {
    let next = AtomicU64::new(seeds.start);
    let heard = Mutex::new(heard);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds.end {
                        return;
                    }
                    let report = scenario(draw(number), false);
                    if heard.lock().unwrap_or_else(PoisonError::into_inner)(report).is_break() {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Plays a scenario.
///
/// # Panics
/// No runtime can be made.
pub fn scenario(scenario: Scenario, trace: bool) -> Report {
    // What the libraries throw dice for, such as the pauses of a watch that broke.
    fastrand::seed(scenario.seed);
    #[allow(clippy::expect_used)]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    let log = Log::default();
    let listening = log.listen();
    panics::listen();
    let report = runtime.block_on(async {
        let world = Shared::new(World::new(scenario, Story::new(trace), log));
        direct(&world).await;
        let mut world = world.lock();
        Report {
            scenario: world.scenario.clone(),
            broken: judge::judge(&world).into_iter().chain(panics::take()).collect(),
            covered: judge::covered(&world),
            cloud_calls: std::mem::take(&mut world.facts.cloud_calls),
            first_conditions: std::mem::take(&mut world.facts.first_conditions),
            story: std::mem::take(&mut world.story).into_lines(),
        }
    });
    drop(runtime);
    drop(listening);
    report
}

/// Lets one thing happen after the other.
async fn direct(world: &Shared) {
    let bell = world.lock().bell.clone();
    loop {
        let (next, era) = {
            let mut world = world.lock();
            if world.is_over() {
                return;
            }
            (world.next_event(), world.time)
        };
        let Some(next) = next else {
            bell.notified().await;
            continue;
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(era.at(next)) => {
                let order = world.lock().proceed();
                if order == Some(Order::StartOperator) {
                    operators::start(world);
                }
            }
            () = bell.notified() => {}
        }
    }
}
