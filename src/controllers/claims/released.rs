//! When desktops were last released: what was read of them or of their jobs before may be out of date.

use std::collections::HashMap;
use std::time::Duration;

use crate::ids::DesktopID;

/// Maximum number of desktops that are remembered individually.
const MAX_DESKTOPS: usize = 100_000;

/// From this size on, outdated entries are removed.
const MIN_PRUNE_SIZE: usize = 1024;

/// When the last claim of a request in flight ended, by folded desktop id. Moments are times since the start of the process.
#[derive(Debug)]
pub(super) struct ReleaseTimes {
    /// Older releases are irrelevant.
    kept_for: Duration,
    at: HashMap<DesktopID, Duration>,
    /// Any desktop may have been released until then: there were too many to remember each.
    any_until: Option<Duration>,
    prune_at: usize,
}

impl ReleaseTimes {
    /// Nothing was released yet; releases older than `kept_for` are dropped.
    pub(super) fn new(kept_for: Duration) -> Self {
        Self {
            kept_for,
            at: HashMap::new(),
            any_until: None,
            prune_at: MIN_PRUNE_SIZE,
        }
    }

    /// Claims on these desktops end now.
    pub(super) fn record<'a>(&mut self, desktops: impl IntoIterator<Item = &'a DesktopID>, now: Duration) {
        self.at.extend(desktops.into_iter().map(|id| (id.folded(), now)));
        if self.at.len() < self.prune_at {
            return;
        }
        let kept_for = self.kept_for;
        self.at.retain(|_, at| now.saturating_sub(*at) <= kept_for);
        if self.at.len() > MAX_DESKTOPS {
            self.at = HashMap::new();
            self.any_until = Some(now);
        }
        self.prune_at = MIN_PRUNE_SIZE.max(self.at.len() * 2);
    }

    /// When the last of these desktops was released; `None` if that is no longer relevant.
    pub(super) fn latest<'a>(&self, desktops: impl IntoIterator<Item = &'a DesktopID>) -> Option<Duration> {
        let each = desktops.into_iter().filter_map(|id| self.at.get(&id.folded()));
        each.copied().chain(self.any_until).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DesktopID {
        text.try_into().unwrap()
    }

    fn many(prefix: &str, count: usize) -> Vec<DesktopID> {
        (0..count).map(|n| id(&format!("{prefix}-{n}"))).collect()
    }

    const KEPT: Duration = Duration::from_secs(120);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_last_release_of_any_of_the_desktops_counts() {
        let mut released = ReleaseTimes::new(KEPT);
        assert_eq!(released.latest(&[id("a")]), None);
        released.record(&[id("A"), id("b")], at(5));
        released.record(&[id("b")], at(7));
        assert_eq!(released.latest(&[id("a")]), Some(at(5)));
        assert_eq!(released.latest(&[id("a"), id("B")]), Some(at(7)));
        assert_eq!(released.latest(&[id("c")]), None);
    }

    #[test]
    fn old_releases_are_forgotten() {
        let mut released = ReleaseTimes::new(KEPT);
        released.record(&many("old", MIN_PRUNE_SIZE - 1), at(0));
        released.record(&[id("new")], at(121));
        assert_eq!(released.at.len(), 1);
        assert_eq!(released.latest(&[id("new")]), Some(at(121)));
    }

    #[test]
    fn too_many_releases_are_remembered_as_a_release_of_all_desktops() {
        let mut released = ReleaseTimes::new(KEPT);
        released.record(&many("some", MAX_DESKTOPS), at(1));
        assert_eq!(released.latest(&[id("other")]), None);
        released.record(&many("more", MAX_DESKTOPS + 1), at(2));
        assert_eq!(released.at.len(), 0);
        assert_eq!(released.latest(&[id("other")]), Some(at(2)));
    }
}
