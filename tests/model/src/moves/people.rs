//! What people do meanwhile.

use super::Protocol;
use crate::action::Action;
use crate::config::{Mutant, Replacing};
use crate::names::{self, CONSOLE};
use crate::requests::Edit;
use crate::requests::Known;
use crate::world::{Job, Noted, Object, World};

impl Protocol {
    pub(super) fn act_as_user(&self, world: &mut World, action: Action) {
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
                    request: self.new_object(world.made),
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
            Action::Approve => {
                world.noted = self.shown(world);
                Edit::Approve(world.noted.map(|noted| noted.plan))
            }
            Action::ApproveAgain => Edit::Approve(world.noted.map(|noted| noted.plan)),
            Action::Withdraw => Edit::Approve(None),
            Action::Reassign(desktop) => {
                world.cloud.reassigned ^= names::only(desktop);
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
    /// The plan that the object shows to people.
    fn shown(&self, world: &World) -> Option<Noted> {
        let object = world.object?;
        let known: &Known = self.requests.get(object.request);
        let listed = known.request.status.desktops.iter();
        let with = |user: &str| {
            let has = listed
                .clone()
                .filter(|desktop| desktop.user.as_deref() == Some(user));
            names::desktop_set(has.map(|desktop| &desktop.id))
        };
        let reassigned = with(names::USERS[1]);
        Some(Noted {
            uid: object.uid,
            plan: known.shown?,
            desktops: with(names::USERS[0]) | reassigned,
            reassigned,
        })
    }
}
