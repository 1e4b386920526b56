//! Every order of events, breadth first, so that the first path to a violation is a shortest one.

use std::fmt::Write;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use invariants::Invariant;
use stateright::{Checker, HasDiscoveries, Model, Property};

use super::moves::{Action, Day, Mutant};
use super::world::{Budget, Outcome, World};

/// From one state in so many it is checked that all settles.
const SAMPLE: u64 = 100;

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// What is broken, with the path to it.
    pub broken: Vec<String>,
    /// What must be reachable and was not reached.
    pub unreached: Vec<&'static str>,
}

struct Search {
    day: Day,
    budget: Budget,
}

/// Searches all of it.
pub fn run(budget: Budget, mutant: Option<Mutant>, threads: usize) -> Report {
    let day = Day::new(mutant);
    let checker = Search { day, budget }
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let (mut broken, mut unreached) = (Vec::new(), Vec::new());
    for property in checker.model().properties() {
        let path = found.get(property.name);
        let wanted = matches!(property.expectation, stateright::Expectation::Sometimes);
        match path {
            Some(path) if !wanted => {
                // Writing to a text never fails.
                let mut story = format!("{}:\n", property.name);
                let last = path.last_state();
                if let Err(why) = checker.model().day.settles(last) {
                    let _ = writeln!(story, "  from its end on: {why}");
                }
                for (_, action) in path.clone().into_vec() {
                    let _ = action.map(|action| writeln!(story, "  {action:?}"));
                }
                broken.push(story);
            }
            None if wanted => unreached.push(property.name),
            _ => {}
        }
    }
    Report {
        states: checker.unique_state_count(),
        broken,
        unreached,
    }
}

impl Model for Search {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::beginning(self.budget)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.day.possible(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let after = self.day.after(world, action);
        (after != *world).then_some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                Invariant::WithinTheDailyLimit.words(),
                |_: &Self, world: &World| world.wrong.is_none(),
            ),
            Property::always(
                "no reservation is leaked, and no request waits without need",
                |search: &Self, world| {
                    let hasher = BuildHasherDefault::<DefaultHasher>::default();
                    let is_sample = hasher.hash_one(world).is_multiple_of(SAMPLE);
                    !is_sample || search.day.mutant.is_some() || search.day.settles(world).is_ok()
                },
            ),
            Property::sometimes("a call is accepted", |_, world| came(world, Outcome::Accepted)),
            Property::sometimes("a call whose answer was lost is found", |_, world| {
                came(world, Outcome::Adopted)
            }),
            Property::sometimes("a call is found to have had no effect", |_, world| {
                came(world, Outcome::NoEffect)
            }),
            Property::sometimes("a call is not made", |_, world| came(world, Outcome::NotSent)),
            Property::sometimes("a call is refused", |_, world| came(world, Outcome::Rejected)),
        ]
    }
}

fn came(world: &World, outcome: Outcome) -> bool {
    let mut attempts = world.requests.iter().flat_map(|request| &request.attempts);
    attempts.any(|(_, own)| *own == outcome)
}
