//! Whether this replica is the leader right now.

use tokio::sync::watch;
use tokio::time::Instant;

/// Shows whether this replica leads, only by the clock and without waiting; clones share it.
///
/// A leader's term ends by itself: if the process was frozen, or its elector was not scheduled, it no longer leads from
/// the time when another replica may lead.
#[derive(Debug, Clone)]
pub struct Leadership(Option<watch::Receiver<Instant>>);

impl Leadership {
    /// Without an election, each replica leads.
    #[must_use]
    pub fn always() -> Self {
        Self(None)
    }

    /// Whether this replica leads at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|until| Instant::now() < *until.borrow())
    }
}

/// The term of this replica, kept by its elector.
#[derive(Debug)]
pub(super) struct Term(watch::Sender<Instant>);

impl Term {
    /// A term that is over already.
    pub(super) fn begin() -> Self {
        Self(watch::Sender::new(Instant::now()))
    }

    pub(super) fn leadership(&self) -> Leadership {
        Leadership(Some(self.0.subscribe()))
    }

    pub(super) fn until(&self) -> Instant {
        *self.0.borrow()
    }

    pub(super) fn extend(&self, until: Instant) {
        self.0.send_replace(until);
    }

    pub(super) fn end(&self) {
        self.0.send_replace(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leadership_expires_by_itself() {
        let term = Term::begin();
        let leadership = term.leadership();
        assert!(!leadership.holds(), "before the lease was taken");
        term.extend(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(leadership.holds());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!leadership.holds(), "its time is over without a notice");
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_that_was_ended_is_over_at_once() {
        let term = Term::begin();
        term.extend(Instant::now() + Duration::from_secs(10));
        let leadership = term.leadership();
        term.end();
        assert!(!leadership.holds());
        assert!(Leadership::always().holds());
    }
}
