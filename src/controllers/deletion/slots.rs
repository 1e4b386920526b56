//! Which passes may run. So many work at one time, over all projects. While a pass waits for the cloud, for its rate limit or
//! an answer, another one works in its place: an endpoint that does not answer holds up no other project. As many passes of
//! one project are under way in all, so that the others share what is read for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt;

use crate::cloud::rate_limiter::{Permit, Priority, RateLimiter};
use crate::crd::DesktopDeletion;

/// The slots of all passes.
#[derive(Debug)]
pub struct Slots {
    at_once: usize,
    working: RateLimiter,
    /// By namespace and name.
    projects: Mutex<HashMap<(String, String), RateLimiter>>,
}

/// The slot of one pass.
#[derive(Debug)]
pub struct Slot {
    namespace: String,
    slots: RateLimiter,
    /// `None` while it waits for the cloud.
    working: Option<Permit>,
    _of_project: Permit,
}

impl Slots {
    /// So many passes work at one time, and as many of each project are under way.
    pub fn new(at_once: usize) -> Self {
        Self {
            at_once,
            working: RateLimiter::new(at_once, None),
            projects: Mutex::default(),
        }
    }

    /// Waits for the slot of a pass over `object`.
    pub async fn enter(&self, object: &DesktopDeletion) -> Slot {
        let (priority, namespace) = (Priority::of(object), object.namespace().unwrap_or_default());
        let project = self.project((namespace.clone(), object.spec.project_ref.name.clone()));
        let of_project = project.enter(priority, &namespace).await;
        Slot {
            working: Some(self.working.enter(priority, &namespace).await),
            slots: self.working.clone(),
            namespace,
            _of_project: of_project,
        }
    }

    fn project(&self, name: (String, String)) -> RateLimiter {
        // The map is whole after every step, whoever panicked.
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        projects.retain(|_, permits| !permits.is_idle());
        let permits = projects.entry(name);
        permits
            .or_insert_with(|| RateLimiter::new(self.at_once, None))
            .clone()
    }
}

impl Slot {
    /// Lets another pass work from now on.
    pub fn leave(&mut self) {
        self.working = None;
    }

    /// Works again, before any pass that has not begun; says whether that was at once.
    pub async fn resume(&mut self) -> bool {
        if self.working.is_some() {
            return true;
        }
        let permit = self.slots.enter(Priority::Resumption, &self.namespace).await;
        let at_once = permit.waited.is_none();
        self.working = Some(permit);
        at_once
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn request(project: &str) -> DesktopDeletion {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": "leaver", "namespace": "vdi"},
            "spec": {"projectRef": {"name": project}, "desktopIDs": ["pc-1"]},
        }))
        .unwrap()
    }

    fn free(slots: &Slots, project: &str) -> Option<Slot> {
        slots.enter(&request(project)).now_or_never()
    }

    #[test]
    fn a_pass_that_waits_for_the_cloud_makes_room_for_other_projects_only() {
        let slots = Slots::new(1);
        let mut held = free(&slots, "held").unwrap();
        assert!(free(&slots, "well").is_none());
        held.leave();
        assert!(free(&slots, "held").is_none(), "its others share its reads");
        assert!(free(&slots, "well").is_some());
    }

    #[test]
    fn a_pass_that_goes_on_comes_before_one_that_begins() {
        let slots = Slots::new(1);
        let mut first = free(&slots, "first").unwrap();
        first.leave();
        let second = free(&slots, "second").unwrap();
        let third = request("third");
        let mut third = Box::pin(slots.enter(&third));
        assert!((&mut third).now_or_never().is_none());
        let mut resumed = Box::pin(first.resume());
        assert!((&mut resumed).now_or_never().is_none());
        drop(second);
        assert!((&mut third).now_or_never().is_none());
        assert_eq!((&mut resumed).now_or_never(), Some(false));
        drop(resumed);
        assert_eq!(first.resume().now_or_never(), Some(true));
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[test]
    fn projects_without_a_pass_are_forgotten() {
        let slots = Slots::new(1);
        for project in ["a", "b", "c"] {
            drop(free(&slots, project).unwrap());
        }
        assert_eq!(slots.projects.lock().unwrap().len(), 1);
    }
}
