//! What the world is like after something happened. The operators behave as the shipped shell does around the shipped
//! decision: which step forgets what, what a conflict or a lost response leads to, what the submitting task does.
//!
//! | file | what |
//! | --- | --- |
//! | this | the model, and which event leads where |
//! | `steps` | steps of an operator: what it does alone, reads, sends |
//! | `writes` | its writes: carried out, refused, lost, late |
//! | `memory` | what it remembers |
//! | `clock` | how time passes, what the operators know of it, and clocks that go wrong |
//! | `cloud` | what the cloud does and shows |
//! | `people` | what people do |

use desktop_deletion_operator::crd::deletion::DesktopDeletionStatus;
use desktop_deletion_operator::plan::observed::Request;

use crate::action::{Action, OBJECTS, StepResult};
use crate::config::{Config, Mutant};
use crate::decide::{Act, Decisions};
use crate::names::{self, ATTEMPTS};
use crate::requests::{RequestId, Requests};
use crate::time::Rules;
use crate::world::{Cloud, Held, OPERATORS, Object, World, WriteKind};

mod clock;
mod cloud;
mod memory;
mod people;
mod steps;
mod writes;

/// The model: its size, and what was met in the search so far.
pub struct Protocol {
    /// Size of the world.
    pub config: Config,
    /// Objects.
    pub requests: Requests,
    /// Decisions.
    pub decisions: Decisions,
    /// The rules about time.
    pub rules: Rules,
    new_objects: [RequestId; OBJECTS as usize],
}

impl Protocol {
    /// A world of that size.
    pub fn new(config: Config) -> Self {
        let requests = Requests::default();
        let new_object = |uid: usize| Request {
            project: "project".to_owned(),
            desktop_ids: names::desktops(names::set(0..config.desktops)),
            // Only a plan depends on which of the objects it is.
            uid: names::object(small(if config.requires_approval() { uid } else { 0 })).to_owned(),
            resource_version: String::new(),
            delete_users: false,
            email_notification: true,
            force: false,
            suspend: false,
            approved_plan: None,
            resolve: None,
            generation: 1,
            created: None,
            expected: vec![],
            not_before: None,
            not_after: None,
            deleting: false,
            finalizer: false,
            status: DesktopDeletionStatus {
                observed_generation: Some(-1),
                ..DesktopDeletionStatus::default()
            },
        };
        let new_objects = std::array::from_fn(|place| requests.number(new_object(place + 1)));
        Self {
            config,
            decisions: Decisions::new(config),
            rules: Rules::new(config),
            requests,
            new_objects,
        }
    }

    /// The content of an object that was just created, the first one or another.
    fn new_object(&self, uid: u8) -> RequestId {
        self.new_objects[usize::from(uid) - 1]
    }

    /// The world in the beginning: the object was just created.
    pub fn beginning(&self) -> World {
        World {
            object: Some(Object {
                uid: 1,
                request: self.new_object(1),
            }),
            made: 1,
            deadline: None,
            replaced: false,
            noted: None,
            delayed_write: None,
            calls: [None; ATTEMPTS],
            cloud: Cloud::default(),
            cloud_clock: 0,
            operators: [self.started(0); OPERATORS],
            faults: self.config.faults,
            clock_faults: self.config.clock_faults,
            user_actions: self.config.user_actions,
            wrong: None,
        }
    }

    /// The world after something happened.
    pub fn after(&self, before: &World, action: Action) -> World {
        let mut world = *before;
        match action {
            Action::Begin(operator) => Self::load(&mut world, operator),
            Action::Step(operator, result) => {
                match result {
                    StepResult::Well => {}
                    StepResult::FalseDate(_) => world.clock_faults -= 1,
                    _ => world.faults -= 1,
                }
                self.step(&mut world, operator, result);
            }
            Action::GiveUp(operator) => {
                world.faults -= 1;
                world.give_up(operator, self.doubt());
            }
            Action::Crash(operator) => {
                world.faults -= 1;
                world.operators[operator] = self.started(world.operators[operator].wall);
            }
            Action::Stop(operator) => {
                world.user_actions -= 1;
                world.operators[operator].stopping = true;
            }
            Action::Restart(operator) => {
                world.operators[operator] = self.started(world.operators[operator].wall);
            }
            Action::CheckProject(operator) => {
                Self::note_date(&mut world.operators[operator], world.cloud_clock);
            }
            Action::CloudClock(ahead) => {
                world.clock_faults -= u8::from(ahead != 0);
                world.cloud_clock = ahead;
            }
            Action::WallClock(operator, ahead) => {
                world.clock_faults -= u8::from(ahead != 0);
                world.operators[operator].wall = ahead;
            }
            Action::Arrive(attempt, result) => self.arrive(&mut world, attempt, result),
            Action::Show(job) => world.change_job(job, |job| {
                job.visible = true;
                job.lag = 0;
            }),
            Action::End {
                job,
                desktop,
                deleted,
            } => world.end(job, desktop, deleted),
            Action::Tick => {
                world.faults -= u8::from(world.is_slow());
                self.tick(&mut world);
            }
            Action::Land => self.land(&mut world),
            _ => {
                world.user_actions -= 1;
                self.act_as_user(&mut world, action);
            }
        }
        for operator in 0..self.config.operators {
            self.run_on(&mut world, operator);
        }
        self.forget_unneeded(&mut world);
        world
    }

    /// Whether a write of the operator would be carried out: nothing was written since it read the object.
    pub fn would_write(&self, world: &World, operator: usize) -> bool {
        let Some((reconciliation, object)) = world.operators[operator].reconciliation.zip(world.object)
        else {
            return false;
        };
        reconciliation.current && reconciliation.uid == object.uid
    }

    /// The next step of an operator, if it is for the operator to take one.
    pub fn next_act(&self, world: &World, operator: usize) -> Option<Act> {
        let reconciliation = world.operators[operator].reconciliation?;
        if reconciliation.reload.is_some() || matches!(reconciliation.held, Held::Waiting(_)) {
            return None;
        }
        let facts = self.facts(world, operator, &reconciliation);
        let act = self.decisions.next(&self.requests, &reconciliation, facts);
        if let (Act::Write(WriteKind::Intent(attempt), _), true) =
            (act, self.config.lacks(Mutant::SentWithoutIntent))
        {
            return Some(Act::Post(attempt));
        }
        Some(act)
    }
}

fn small(number: usize) -> u8 {
    // There are never more than a handful of anything.
    u8::try_from(number).unwrap_or(u8::MAX)
}
