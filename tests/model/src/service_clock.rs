//! The clock of the cloud as an operator knows it: the shipped one, by how many ticks it is ahead of the true time.

use std::collections::HashMap;
use std::sync::LazyLock;

use desktop_deletion_operator::plan::clocks::{DateSample, RemoteClock};
use jiff::Timestamp;

use crate::time::{UPTIME, shown};

/// Clocks are no further off.
const FURTHEST: i8 = 4;

/// So many responses in a row may say something else and move nothing yet.
const MAX_DOUBTFUL: u8 = 2;

/// What a [`RemoteClock`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServiceClock {
    /// Two answers agreed on this.
    pub known: Option<i8>,
    /// The last answers say this instead, and so many did.
    doubtful: Option<(i8, u8)>,
}

/// What each becomes by each date.
static NOTED: LazyLock<HashMap<(ServiceClock, i8), ServiceClock>> = LazyLock::new(|| {
    let states: Vec<_> = ServiceClock::all()
        .map(|state| (state.shipped(), state))
        .collect();
    let next = |(clock, state): &(RemoteClock, ServiceClock), ahead| {
        let mut after = *clock;
        after.observe_date(reading(ahead));
        let (_, becomes) = states.iter().find(|(clock, _)| *clock == after)?;
        Some(((*state, ahead), *becomes))
    };
    let next = &next;
    let of = |state| (-FURTHEST..=FURTHEST).filter_map(move |ahead| next(state, ahead));
    states.iter().flat_map(of).collect()
});

impl ServiceClock {
    /// One on which responses agreed, if any did.
    pub fn of(known: Option<i8>) -> Self {
        Self {
            known,
            doubtful: None,
        }
    }

    /// After a response with a date that is so far ahead.
    #[must_use]
    pub fn noted(self, ahead: i8) -> Self {
        NOTED.get(&(self, ahead)).copied().unwrap_or(self)
    }

    /// What it shows now.
    pub fn shown(self) -> Option<Timestamp> {
        self.shipped().at(UPTIME)
    }

    fn shipped(self) -> RemoteClock {
        let doubtful = self
            .doubtful
            .map(|(ahead, count)| vec![ahead; usize::from(count)]);
        let mut clock = RemoteClock::default();
        for ahead in self
            .known
            .into_iter()
            .chain(self.known)
            .chain(doubtful.into_iter().flatten())
        {
            clock.observe_date(reading(ahead));
        }
        clock
    }

    /// All of them, the simpler of two that are the same first.
    fn all() -> impl Iterator<Item = Self> {
        let dates = || -FURTHEST..=FURTHEST;
        let some = dates().flat_map(|ahead| (1..=MAX_DOUBTFUL).map(move |count| Some((ahead, count))));
        let doubts = std::iter::once(None).chain(some);
        doubts.flat_map(move |doubtful| {
            let known = std::iter::once(None).chain(dates().map(Some));
            known.map(move |known| Self { known, doubtful })
        })
    }
}

fn reading(ahead: i8) -> DateSample {
    DateSample {
        date: shown(ahead),
        at: UPTIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_successor_for_every_date() {
        let dates = -FURTHEST..=FURTHEST;
        assert!(
            ServiceClock::all().all(|state| dates.clone().all(|date| NOTED.contains_key(&(state, date))))
        );
    }

    #[test]
    fn one_date_does_not_change_the_clock_and_a_second_one_that_agrees_does() {
        let one = ServiceClock::default().noted(0);
        assert_eq!((one.known, one.shown()), (None, None));
        let two = one.noted(0);
        assert_eq!((two, two.shown()), (ServiceClock::of(Some(0)), Some(shown(0))));
        assert_eq!(two.noted(3).known, Some(0));
        assert_eq!(two.noted(3).noted(0), two);
        let agreed = (0..=MAX_DOUBTFUL).fold(two, |clock, _| clock.noted(3));
        assert_eq!(agreed, ServiceClock::of(Some(3)));
    }
}
