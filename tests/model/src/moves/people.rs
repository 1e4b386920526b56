//! What people do meanwhile.

use super::Protocol;
use crate::action::Action;
use crate::config::{Mutant, Replacing};
use crate::names::{self, CONSOLE};
use crate::requests::Edit;
use crate::world::{Job, Object, World};

impl Protocol {
    pub(super) fn meddle(&self, world: &mut World, action: Action) {
        let edit = match action {
            Action::Delete => Edit::Delete,
            Action::Replace => Edit::DropFinalizer,
            Action::Suspend => Edit::Suspend(true),
            Action::Resume => Edit::Suspend(false),
            Action::Abandon(attempt) => Edit::Abandon(attempt),
            Action::Recreate => {
                world.made += 1;
                world.deadline = None;
                world.object = Some(Object {
                    uid: world.made,
                    request: self.new_object,
                });
                return;
            }
            Action::Console(desktop) => {
                world.cloud.jobs[CONSOLE] = Some(Job {
                    visible: true,
                    ..Job::new(names::only(desktop))
                });
                return;
            }
            Action::Deadline => {
                world.deadline = Some(0);
                return;
            }
            _ => return,
        };
        let Some(object) = world.object else { return };
        let held = self.requests.get(object.request).request.finalizer
            && !self.config.lacks(Mutant::FinalizerDropped);
        world.touch(self.requests.edit(object.request, edit));
        if edit == Edit::Delete && !held {
            self.gone(world);
        }
        if edit == Edit::DropFinalizer {
            world.replaced = self.config.replacing == Replacing::WithTime;
        }
    }
}
