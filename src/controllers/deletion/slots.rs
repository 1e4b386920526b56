//! Limits the concurrent reconciliations of all projects. While one waits for the cloud (for its rate limit or a
//! response), another one may run: an endpoint that does not respond delays no other project.

use crate::cloud::rate_limiter::{Permit, Priority, RateLimiter};

/// The slots of all reconciliations.
#[derive(Debug)]
pub struct Slots(RateLimiter);

/// The slot of one reconciliation.
#[derive(Debug)]
pub struct Slot {
    namespace: String,
    slots: RateLimiter,
    /// `None` while it waits for the cloud.
    permit: Option<Permit>,
}

impl Slots {
    /// Maximum number of concurrent reconciliations.
    pub fn new(max_concurrent: usize) -> Self {
        Self(RateLimiter::new(max_concurrent, None))
    }

    /// Waits for the slot of a reconciliation that begins.
    pub async fn acquire(&self, namespace: &str) -> Slot {
        Slot {
            permit: Some(self.0.acquire(Priority::Submission, namespace).await),
            slots: self.0.clone(),
            namespace: namespace.to_owned(),
        }
    }
}

impl Slot {
    /// Lets another reconciliation work from now on.
    pub fn release(&mut self) {
        self.permit = None;
    }

    /// Works again, before any reconciliation that has not begun.
    pub async fn reacquire(&mut self) {
        if self.permit.is_none() {
            self.permit = Some(self.slots.acquire(Priority::Resumption, &self.namespace).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn free(slots: &Slots) -> Option<Slot> {
        slots.acquire("vdi").now_or_never()
    }

    #[test]
    fn a_reconciliation_that_waits_for_the_cloud_makes_room_for_others() {
        let slots = Slots::new(1);
        let mut held = free(&slots).unwrap();
        assert!(free(&slots).is_none());
        held.release();
        assert!(free(&slots).is_some());
    }

    #[test]
    fn a_reconciliation_that_goes_on_comes_before_one_that_begins() {
        let slots = Slots::new(1);
        let mut first = free(&slots).unwrap();
        first.release();
        let second = free(&slots).unwrap();
        let mut third = Box::pin(slots.acquire("vdi"));
        assert!((&mut third).now_or_never().is_none());
        let mut resumed = Box::pin(first.reacquire());
        assert!((&mut resumed).now_or_never().is_none());
        drop(second);
        assert!((&mut third).now_or_never().is_none());
        assert!((&mut resumed).now_or_never().is_some());
        drop(resumed);
        assert!(first.reacquire().now_or_never().is_some());
        drop(first);
        assert!(third.now_or_never().is_some());
    }
}
