//! The search: every order of events, breadth first, so that the first path to a violation is a shortest one.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use desktop_deletion_operator::crd::deletion::{DesktopState, Outcome};
use desktop_deletion_operator::plan::observed::Deadline;
use invariants::Invariant;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::action::{Action, CallResult, StepResult};
use crate::config::Config;
use crate::decide::Act;
use crate::moves::Protocol;
use crate::world::{Claim, World, WriteKind};

/// Name of the property that every path settles.
const SETTLES: &str =
    "I5, I3: once nothing goes wrong any more it ends, or waits for a person, with every job stored";

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// It was not stopped by the clock, which leaves states of which nothing is known.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// Different states.
    pub states: usize,
    /// Length of the longest path that was needed to reach a state.
    pub depth: usize,
    /// Different objects that the API server held.
    pub objects: usize,
    /// Different situations that the shipped decision was asked about.
    pub decisions: usize,
    /// Broken properties, each with its story.
    pub broken: Vec<(&'static str, String)>,
    /// Things that must be reachable and were not reached.
    pub unreached: Vec<&'static str>,
    /// How often each kind of transition was taken.
    pub taken: BTreeMap<&'static str, u64>,
}

/// The model as `stateright` searches it.
struct Search {
    protocol: Protocol,
    taken: Arc<Taken>,
    time_limit: TimeLimit,
}

/// When a search ends that has not come to its end.
struct TimeLimit {
    began: Instant,
    limit: Option<Duration>,
    run_out: AtomicBool,
    /// The search is over; to reconstruct how a state was reached is not limited in time.
    stopped: AtomicBool,
}

/// How often each kind of transition was taken.
struct Taken(Vec<AtomicU64>);

/// Searches all of it, or as much as the time allows, with so many threads.
pub fn run(config: Config, threads: usize, limit: Option<Duration>) -> Report {
    let taken = Arc::new(Taken(KINDS.iter().map(|_| AtomicU64::new(0)).collect()));
    let search = Search {
        protocol: Protocol::new(config),
        taken: taken.clone(),
        time_limit: TimeLimit::new(limit),
    };
    let checker = search
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let model = checker.model();
    let took = model.time_limit.elapsed();
    model.time_limit.stop();
    let found = checker.discoveries();
    let mut broken = vec![];
    let mut unreached = vec![];
    for property in model.properties() {
        let path = found.get(property.name);
        match (&property.expectation, path) {
            (Expectation::Sometimes, None) => unreached.push(property.name),
            (Expectation::Sometimes, Some(_)) | (_, None) => {}
            (_, Some(path)) => broken.push((property.name, model.story(path.clone().into_vec()))),
        }
    }
    Report {
        complete: !model.time_limit.run_out.load(Ordering::Relaxed),
        took,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        objects: model.protocol.requests.len(),
        decisions: model.protocol.decisions.len(),
        broken,
        unreached,
        taken: KINDS
            .iter()
            .zip(&taken.0)
            .map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
            .collect(),
    }
}

impl TimeLimit {
    #[allow(clippy::disallowed_methods)] // the time of the search itself
    fn new(limit: Option<Duration>) -> Self {
        Self {
            began: Instant::now(),
            limit,
            run_out: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the time is over. Only asked where something is left to do.
    fn has_run_out(&self) -> bool {
        let over =
            !self.stopped.load(Ordering::Relaxed) && self.limit.is_some_and(|limit| self.elapsed() >= limit);
        if over {
            self.run_out.store(true, Ordering::Relaxed);
        }
        over
    }
}

impl Search {
    fn story(&self, path: Vec<(World, Option<Action>)>) -> String {
        let Some((last, _)) = path.last().copied() else {
            return String::new();
        };
        let steps: Vec<_> = path
            .into_iter()
            .filter_map(|(world, action)| Some((world, action?)))
            .collect();
        let mut story = self.protocol.story(&steps, &last);
        if let Err(why) = self.protocol.settles(&last) {
            story.push_str("  => from here, without any further fault: ");
            story.push_str(&why);
            story.push('\n');
        }
        story
    }

    fn is_sample(&self, world: &World) -> bool {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        hasher
            .hash_one(world)
            .is_multiple_of(self.protocol.config.settle_every)
    }

    fn some_attempt(&self, world: &World, wanted: impl Fn(Outcome) -> bool) -> bool {
        let object = world.object;
        object.is_some_and(|object| self.protocol.requests.get(object.request).with(wanted) != 0)
    }

    fn ended(&self, world: &World, state: DesktopState) -> bool {
        world.object.is_some_and(|object| {
            let known = self.protocol.requests.get(object.request);
            known.finished && known.desktops(state) != 0
        })
    }
}

macro_rules! always {
    ($($invariant:ident),*) => {
        vec![$(Property::always(Invariant::$invariant.words(), |_, world: &World| {
            world.wrong.is_none_or(|wrong| wrong.invariant != Invariant::$invariant)
        })),*]
    };
}

impl Model for Search {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.protocol.beginning()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if !self.time_limit.has_run_out() {
            self.protocol.possible(world, actions);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        self.taken.count(kind(&self.protocol, world, action));
        let after = self.protocol.after(world, action);
        (after != *world).then_some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always![
            OnlyWhatWasAdmitted,
            AtMostOnce,
            NoJobIsLost,
            TerminalIsFinal,
            IntentForTheLiveObject,
            IntentFirst,
            AttemptsStay,
            OneRequestPerDesktop,
            WritesChange,
            OnlyWhatWasApproved,
            FinalState
        ];
        properties.push(Property::always(SETTLES, |search: &Self, world| {
            !search.is_sample(world) || search.protocol.settles(world).is_ok()
        }));
        properties.push(Property::sometimes("a job is adopted", |search: &Self, world| {
            search.some_attempt(world, |outcome| outcome == Outcome::Adopted)
        }));
        properties.push(Property::sometimes(
            "an attempt had no effect",
            |search: &Self, world| search.some_attempt(world, |outcome| outcome == Outcome::NoEffect),
        ));
        properties.push(Property::sometimes(
            "a second attempt is accepted",
            |_: &Self, world: &World| world.cloud.jobs[1].is_some(),
        ));
        properties.push(Property::sometimes(
            "the desktops are deleted",
            |search: &Self, world| search.ended(world, DesktopState::Deleted),
        ));
        properties.push(Property::sometimes("a desktop fails", |search: &Self, world| {
            search.ended(world, DesktopState::Failed)
        }));
        properties
    }
}

impl Taken {
    fn count(&self, kind: &str) {
        if let Some(at) = KINDS.iter().position(|known| *known == kind) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Every kind of transition.
pub const KINDS: &[&str] = &[
    "begin a pass",
    "read the object again",
    "read desktops",
    "read one desktop",
    "read sub-jobs",
    "follow a job",
    "ask the cloud for the time",
    "read fails",
    "sub-jobs incomplete",
    "add finalizer",
    "put finalizer back",
    "drop finalizer",
    "store intent",
    "record outcome",
    "answer an annotation",
    "write progress",
    "write what was approved",
    "write that a deleted object holds the desktops",
    "write that clocks differ",
    "write that the deadline passed by one clock",
    "write final result",
    "write conflicts",
    "write lost",
    "answer to a write lost",
    "write delayed",
    "delayed write lands",
    "send",
    "accepted",
    "accepted, answer lost",
    "accepted, answered with 5xx",
    "5xx without effect",
    "request lost",
    "not sent",
    "refused 429",
    "refused 400",
    "refused as expired",
    "answer not awaited",
    "job shows",
    "desktop deleted",
    "desktop deletion fails",
    "tick",
    "crash",
    "stop",
    "restart",
    "object deleted",
    "object recreated",
    "suspended",
    "resumed",
    "desktop deleted in the console",
    "attempt given up by a person",
    "deadline passes",
    "plan approved",
    "approval given once more",
    "approval taken back",
    "desktop assigned to another user",
    "object replaced",
    "one answer with a false date",
    "clock of the cloud jumps",
    "clock of a machine steps",
    "clock set right",
    "project checked",
];

/// The kind of a transition.
fn kind(protocol: &Protocol, world: &World, action: Action) -> &'static str {
    match action {
        Action::Begin(_) => "begin a pass",
        Action::Step(operator, result) => {
            luck_kind(result).unwrap_or_else(|| step_kind(protocol, world, operator))
        }
        Action::GiveUp(_) => "answer not awaited",
        Action::Crash(_) => "crash",
        Action::Stop(_) => "stop",
        Action::Restart(_) => "restart",
        Action::Arrive(_, result) => match result {
            CallResult::Accepted => "accepted",
            CallResult::AcceptedResponseLost => "accepted, answer lost",
            CallResult::AcceptedWith5xx => "accepted, answered with 5xx",
            CallResult::Failed5xx => "5xx without effect",
            CallResult::RequestLost => "request lost",
            CallResult::NotSent => "not sent",
            CallResult::Throttled => "refused 429",
            CallResult::Invalid => "refused 400",
            CallResult::Expired => "refused as expired",
        },
        Action::Show(_) => "job shows",
        Action::End { deleted: true, .. } => "desktop deleted",
        Action::End { deleted: false, .. } => "desktop deletion fails",
        Action::Tick => "tick",
        Action::Land => "delayed write lands",
        Action::Delete => "object deleted",
        Action::Recreate => "object recreated",
        Action::Suspend => "suspended",
        Action::Resume => "resumed",
        Action::Console(_) => "desktop deleted in the console",
        Action::Abandon(_) => "attempt given up by a person",
        Action::Deadline => "deadline passes",
        Action::Approve => "plan approved",
        Action::ApproveAgain => "approval given once more",
        Action::Withdraw => "approval taken back",
        Action::Reassign(_) => "desktop assigned to another user",
        Action::Replace => "object replaced",
        Action::CloudClock(0) | Action::WallClock(_, 0) => "clock set right",
        Action::CheckProject(_) => "project checked",
        Action::CloudClock(_) => "clock of the cloud jumps",
        Action::WallClock(..) => "clock of a machine steps",
    }
}

fn luck_kind(result: StepResult) -> Option<&'static str> {
    match result {
        StepResult::Well => None,
        StepResult::ReadFailure => Some("read fails"),
        StepResult::Incomplete => Some("sub-jobs incomplete"),
        StepResult::FalseDate(_) => Some("one answer with a false date"),
        StepResult::RequestLost => Some("write lost"),
        StepResult::ResponseLost => Some("answer to a write lost"),
        StepResult::Late => Some("write delayed"),
    }
}

fn step_kind(protocol: &Protocol, world: &World, operator: usize) -> &'static str {
    let act = protocol.next_act(world, operator);
    let (Some(act), Some(reconciliation)) = (act, world.operators[operator].reconciliation) else {
        return "read the object again";
    };
    let facts = protocol.facts(world, operator, &reconciliation);
    let deleting = protocol.requests.get(reconciliation.request).request.deleting;
    match act {
        Act::Write(..) if !protocol.would_write(world, operator) => "write conflicts",
        Act::Write(kind, _) => match kind {
            WriteKind::AddFinalizer if facts.finalizer_missing => "put finalizer back",
            WriteKind::AddFinalizer => "add finalizer",
            WriteKind::DropFinalizer => "drop finalizer",
            WriteKind::Intent(_) => "store intent",
            WriteKind::Outcome => "record outcome",
            WriteKind::Refusal => "answer an annotation",
            WriteKind::Progress if reconciliation.claim == Some(Claim::Reserved) => {
                "write that a deleted object holds the desktops"
            }
            WriteKind::Progress if facts.clock_skew.is_some() => "write that clocks differ",
            WriteKind::Progress if facts.deadline == Deadline::ClocksDisagree => {
                "write that the deadline passed by one clock"
            }
            WriteKind::Progress => "write progress",
            WriteKind::Approval => "write what was approved",
            WriteKind::Finish => "write final result",
        },
        Act::ReadDesktops(_) | Act::ReadSubJobs
            if deleting && !facts.service_clock_known && !facts.call_expired =>
        {
            "ask the cloud for the time"
        }
        Act::ReadDesktops(_) => "read desktops",
        Act::ReadDesktop(_) => "read one desktop",
        Act::ReadSubJobs => "read sub-jobs",
        Act::ReadJob(_) => "follow a job",
        Act::Post(_) => "send",
        _ => "forget",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.taken {
            writeln!(f, "{count:12}  {kind}")?;
        }
        for goal in &self.unreached {
            writeln!(f, "never reached: {goal}")?;
        }
        for (property, story) in &self.broken {
            writeln!(f, "\nBROKEN: {property}\n{story}")?;
        }
        if !self.complete {
            writeln!(f, "stopped by the clock: more states are left")?;
        }
        write!(
            f,
            "{:.0?}: {} states, depth {}, {} objects, {} situations decided, {} properties broken",
            self.took,
            self.states,
            self.depth,
            self.objects,
            self.decisions,
            self.broken.len()
        )
    }
}
