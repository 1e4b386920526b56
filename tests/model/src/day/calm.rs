//! Once nothing goes wrong any more, nothing stays reserved, and a request waits only where there is no room.

use super::moves::{Action, Day, StepResult};
use super::world::{DESKTOPS, LIMIT, OPERATORS, World};

/// Rounds within which all must settle.
const ROUNDS: usize = 60;

impl Day {
    /// Plays on without faults and people.
    ///
    /// # Errors
    /// It does not settle as it should; how.
    pub fn settles(&self, world: &World) -> Result<(), String> {
        let mut world = world.clone();
        for _ in 0..ROUNDS {
            let before = world.clone();
            self.round(&mut world);
            if world == before {
                break;
            }
        }
        Self::is_settled(&world)
    }

    /// Each thing happens once that can happen by itself. Of two reconciliations of a request the first one that there is goes
    /// on to its end.
    fn round(&self, world: &mut World) {
        for operator in 0..OPERATORS {
            for number in 0..DESKTOPS.len() - operator {
                *world = self.reconciled(world, operator, number);
            }
        }
        for number in 0..DESKTOPS.len() {
            *world = self.taken(world, Action::Recover(number));
        }
        for action in [Action::Settle, Action::Find, Action::Settle] {
            *world = self.taken(world, action);
        }
    }

    fn reconciled(&self, world: &World, operator: usize, number: usize) -> World {
        let mut world = self.taken(world, Action::Begin(operator, number));
        while world.reconciliations[operator][number].is_some() {
            let next = self.taken(&world, Action::Step(operator, number, StepResult::Good));
            if next == world {
                break;
            }
            world = next;
        }
        world
    }

    fn taken(&self, world: &World, action: Action) -> World {
        let mut possible = Vec::new();
        // Attempts are not counted any more.
        let mut world = world.clone();
        world.left.attempts = u8::MAX;
        self.possible(&world, &mut possible);
        if possible.contains(&action) {
            return self.after(&world, action);
        }
        world
    }

    fn is_settled(world: &World) -> Result<(), String> {
        if !world.project.reservations.is_empty() {
            return Err(format!("a reservation is never released: {world:#?}"));
        }
        let submitted = world.project.submitted;
        let given_up: u8 = (0..DESKTOPS.len())
            .filter(|number| world.requests[*number].gone)
            .map(|number| DESKTOPS[number] * world.next)
            .sum();
        if submitted < world.effective() || submitted > world.effective() + given_up {
            return Err(format!(
                "{submitted} desktops count, {} were submitted",
                world.effective()
            ));
        }
        let room = LIMIT.saturating_sub(submitted);
        let waits = |number: &usize| {
            let request = &world.requests[*number];
            !request.gone && !request.is_submitted()
        };
        match (0..DESKTOPS.len())
            .filter(waits)
            .find(|number| DESKTOPS[*number] <= room)
        {
            Some(number) => Err(format!(
                "request-{number} waits although the limit permits it: {world:#?}"
            )),
            None => Ok(()),
        }
    }
}
