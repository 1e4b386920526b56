//! The world between the operators and the services: one agenda of what happens next, and nothing happens twice at
//! one time, so that a seed gives the same run again.
//!
//! | file | what |
//! | --- | --- |
//! | this | the agenda |
//! | `network` | calls on their way, and what goes wrong with them |
//! | `handling` | what the services make of them |
//! | `watches` | open watches |
//! | `actions` | what people and machines do |
//! | `guarded` | what approvers and the owner of the project do, and what happens to desktops meanwhile |
//! | `observed_reads` | what operators have read, as far as their intents are based on it |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use workspace_simulator::cloud::Cloud;
use workspace_simulator::world::Desktop;

use crate::acts::{Act, Trigger};
use crate::api_server::ApiServer;
use crate::api_server::resource::Resource;
use crate::calls::Call;
use crate::clock::SimulatedTime;
use crate::dice::Dice;
use crate::facts::Facts;
use crate::mutant::Mutant;
use crate::scenario::{ELSEWHERE, Scenario};
use crate::story::{Log, Story};

mod actions;
mod guarded;
mod handling;
pub mod network;
mod observed_reads;
mod watches;

use guarded::Carried;
use network::{CallInFlight, Reply, Returned};
use observed_reads::ObservedReads;
use watches::OpenWatch;

/// How long the world is observed after the last request has ended.
const AFTERWARDS: u64 = 120_000;

/// More events than any run has that comes to its end. An operator that starts over again and again makes more.
const MAX_EVENTS: u64 = 100_000;

/// The world, shared with what the operators talk to it through.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// Shares a world.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// Accesses it.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that will happen.
pub(crate) enum Event {
    /// What was sent a moment ago is taken in, in an order of its own.
    TakeIn,
    /// A call arrives.
    Arrives(Box<CallInFlight>),
    /// A response arrives.
    Returns(Box<Returned>),
    /// Events of a watch arrive.
    Shows(u64),
    /// A watch sends a bookmark.
    Bookmark(u64),
    /// The API server ends a watch.
    Ends(u64),
    /// An operator starts.
    Starts,
    /// A request is created.
    Creates(usize),
    /// A deed whose time is fixed.
    Does(Act),
    /// It is checked whether objects have conditions.
    Inspects,
    /// A user approves the plans that are shown.
    Approves,
    /// A desktop exists again.
    Reappears(Box<Desktop>),
    /// Everything is repaired.
    Heals,
}

/// What the world cannot do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start another operator.
    StartOperator,
}

/// An operator.
pub struct Process {
    /// It runs.
    pub alive: bool,
    /// When it started, in milliseconds.
    pub since: u64,
    /// Ends it as SIGKILL would.
    pub task: Option<AbortHandle>,
    /// Ends it as SIGTERM would.
    pub stopping: CancellationToken,
}

/// Everything outside the operators.
pub struct World {
    /// What the run is about.
    pub scenario: Scenario,
    /// The time.
    pub time: SimulatedTime,
    /// How many seconds the clock of the operators' machine is ahead.
    pub ahead: Arc<AtomicI64>,
    /// The API server.
    pub api: ApiServer,
    /// The cloud.
    pub cloud: Cloud,
    /// What happened, for people.
    pub story: Story,
    /// What happened, for the judge.
    pub facts: Facts,
    /// Every operator that ever ran, by number.
    pub operators: Vec<Process>,
    /// Rings when the agenda changes.
    pub bell: Arc<Notify>,
    /// What the operators log.
    pub log: Log,
    dice: Dice,
    agenda: BTreeMap<u64, Event>,
    inbox: Vec<CallInFlight>,
    counts: BTreeMap<Call, u32>,
    waiting: Vec<Act>,
    watches: BTreeMap<u64, OpenWatch>,
    watches_opened: u64,
    /// Replies that never arrive, kept so that the waiting operator does not notice that nothing will be sent.
    limbo: Vec<(usize, Reply)>,
    /// Requests that are created again once they are gone.
    wanted: Vec<usize>,
    /// What some of them were, of which parts are applied again.
    carried: BTreeMap<usize, Carried>,
    observed_reads: ObservedReads,
    healed: bool,
    ends_at: Option<u64>,
    /// How many events there were.
    events: u64,
}

impl World {
    /// The world of a scenario, at its begin.
    ///
    /// # Panics
    /// The scenario describes no cloud, which is a fault of the simulation.
    pub fn new(scenario: Scenario, story: Story, log: Log) -> Self {
        // The scenario is made by this crate.
        #[allow(clippy::expect_used)]
        let cloud = scenario.cloud_world().expect("a world file");
        #[allow(clippy::expect_used)]
        let cloud = Cloud::new(cloud).expect("a world that fits together");
        let mut world = Self {
            time: SimulatedTime::begin(),
            ahead: Arc::new(AtomicI64::new(scenario.ahead)),
            api: ApiServer::default(),
            cloud,
            story,
            facts: Facts::default(),
            operators: Vec::new(),
            bell: Arc::default(),
            log,
            dice: Dice::new(scenario.seed).fork(),
            agenda: BTreeMap::new(),
            inbox: Vec::new(),
            counts: BTreeMap::new(),
            waiting: Vec::new(),
            watches: BTreeMap::new(),
            watches_opened: 0,
            limbo: Vec::new(),
            wanted: Vec::new(),
            carried: BTreeMap::new(),
            observed_reads: ObservedReads::default(),
            healed: false,
            ends_at: None,
            events: 0,
            scenario,
        };
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        if self.scenario.mutant == Some(Mutant::StatusWithoutResourceVersion) {
            self.api.faults.status_unfenced = true;
        }
        if self.scenario.mutant == Some(Mutant::ProjectStatusWithoutResourceVersion) {
            self.api.faults.project_status_unfenced = true;
        }
        if self.scenario.mutant == Some(Mutant::SecretOfAnother) {
            self.api.faults.secrets_mixed_up = true;
        }
        if self.scenario.mutant == Some(Mutant::FinalizersIgnored) {
            self.api.faults.finalizers_ignored = true;
        }
        if self.scenario.mutant.is_some() {
            let mut timings = self.cloud.timings().clone();
            match self.scenario.mutant {
                Some(Mutant::SignaturesLiveLong) => {
                    timings.signature_window = workspace_simulator::world::Span::from_secs(7200);
                }
                Some(Mutant::JobsShowLate) => {
                    let late = workspace_simulator::world::Span::from_secs(3600);
                    timings.job_visible_after = late;
                    timings.desktop_visible_after = late;
                    timings.waiting = workspace_simulator::world::Span::from_secs(7200);
                }
                _ => {}
            }
            self.cloud.set_timings(timings);
        }
        self.put_secret(true);
        self.create_projects();
        for request in 0..self.scenario.requests.len() {
            let at = self.scenario.requests[request].created;
            self.schedule(at, Event::Creates(request));
        }
        for act in self.scenario.acts.clone() {
            match act.when {
                Trigger::At(millis) => {
                    self.schedule(millis, Event::Does(act));
                }
                _ => self.waiting.push(act),
            }
        }
        if let Some(guard) = &self.scenario.guard {
            self.schedule(guard.approving.unwrap_or(self.scenario.troubled), Event::Approves);
        }
        self.schedule(0, Event::Starts);
        self.schedule(self.scenario.troubled, Event::Heals);
    }

    /// Puts an event on the agenda: at that time, or as soon after as nothing else happens. Gives the time.
    pub(crate) fn schedule(&mut self, millis: u64, event: Event) -> u64 {
        let mut at = millis.max(self.time.elapsed() + 1);
        while self.agenda.contains_key(&at) {
            at += 1;
        }
        self.agenda.insert(at, event);
        self.bell.notify_one();
        at
    }

    /// In so many milliseconds.
    pub(crate) fn schedule_in(&mut self, millis: u64, event: Event) {
        self.schedule(self.time.elapsed() + millis, event);
    }

    /// When the next thing happens.
    pub fn next_event(&self) -> Option<u64> {
        self.agenda.first_key_value().map(|(at, _)| *at)
    }

    /// Lets the next thing happen, if its time has come.
    pub fn proceed(&mut self) -> Option<Order> {
        let due = self.next_event().is_some_and(|at| at <= self.time.elapsed());
        let (_, event) = due.then(|| self.agenda.pop_first()).flatten()?;
        self.events += 1;
        let order = self.carry_out(event);
        self.listen();
        order
    }

    fn carry_out(&mut self, event: Event) -> Option<Order> {
        match event {
            Event::TakeIn => self.take_in(),
            Event::Arrives(parcel) => self.arrive(*parcel),
            Event::Returns(returned) => self.give_back(*returned),
            Event::Shows(watch) => self.show(watch),
            Event::Bookmark(watch) => self.bookmark(watch),
            Event::Ends(watch) => self.end_watch(watch),
            Event::Creates(request) => self.create_request(request),
            Event::Does(act) => self.act(act),
            Event::Inspects => self.inspect(),
            Event::Approves => self.approve_all(),
            Event::Reappears(desktop) => self.bring_back(*desktop),
            Event::Heals => self.heal(),
            Event::Starts => return Some(Order::StartOperator),
        }
        None
    }

    /// Takes the log of the operators into the story.
    fn listen(&mut self) {
        let said = self.log.take();
        let now = self.time.elapsed();
        for line in said.lines() {
            self.story.tell(now, "log", || line.trim().to_owned());
        }
        self.facts.log.push_str(&said);
    }

    /// Whether the run is over.
    pub fn is_over(&mut self) -> bool {
        let now = self.time.elapsed();
        if self.is_endless() {
            return true;
        }
        if !self.healed {
            return false;
        }
        if !self.has_settled() {
            self.ends_at = None;
            return now > self.scenario.troubled + self.scenario.patience;
        }
        now > *self.ends_at.get_or_insert(now + AFTERWARDS)
    }

    /// Whether there were more events than in any run that ends.
    pub fn is_endless(&self) -> bool {
        self.events > MAX_EVENTS
    }

    /// Every request has ended or is gone, and nothing more is to come.
    pub fn has_settled(&self) -> bool {
        let mut requests = self.api.store.list(Resource::Deletions, None);
        let ended = requests.all(|request| {
            let deleting = !request["metadata"]["deletionTimestamp"].is_null();
            !request["status"]["completionTime"].is_null() && !deleting
        });
        ended && self.wanted.is_empty() && !self.is_submission_under_way()
    }

    /// The desktops that the cloud still has.
    pub fn desktops_there(&self) -> BTreeSet<String> {
        let there = self.cloud.desktops(self.time.now());
        let there = there
            .into_iter()
            .filter(|desktop| desktop.status != "DELETED" && desktop.project != ELSEWHERE);
        there.map(|desktop| desktop.id).collect()
    }

    /// The name of an operator in the story.
    pub(crate) fn name(who: usize) -> String {
        format!("operator-{who}")
    }

    pub(crate) fn tell(&mut self, who: &str, what: impl FnOnce() -> String) {
        let now = self.time.elapsed();
        self.story.tell(now, who, what);
    }
}
