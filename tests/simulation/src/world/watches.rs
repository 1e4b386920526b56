//! Open watches.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::{Event, World};
use crate::api_server::watch::{self, Watch};

/// How often a watch sends bookmarks.
const BOOKMARKS: u64 = 60_000;

/// An open watch.
pub(super) struct OpenWatch {
    who: usize,
    watch: Watch,
    lines: UnboundedSender<Bytes>,
    /// The events in flight, in order: they never overtake each other, regardless of their latency.
    under_way: VecDeque<Vec<Bytes>>,
    /// When the last thing that was sent arrives.
    latest: u64,
    /// Until then nothing arrives.
    frozen_until: u64,
}

impl World {
    /// Opens a watch of an operator.
    pub(super) fn open_watch(&mut self, who: usize, watch: Watch) -> UnboundedReceiver<Bytes> {
        let (lines, reader) = unbounded();
        self.watches_opened += 1;
        let id = self.watches_opened;
        let timeout = u64::try_from(watch.timeout.as_millis()).unwrap_or(u64::MAX);
        let bookmarks = watch.bookmarks;
        let open = OpenWatch {
            who,
            watch,
            lines,
            under_way: VecDeque::new(),
            latest: 0,
            frozen_until: 0,
        };
        self.watches.insert(id, open);
        self.schedule_in(timeout, Event::Ends(id));
        if bookmarks {
            self.schedule_in(BOOKMARKS, Event::Bookmark(id));
        }
        self.pump();
        reader
    }

    /// Sends the events that the watches have not shown yet.
    pub(super) fn pump(&mut self) {
        self.watches.retain(|_, open| !open.lines.is_closed());
        let ids: Vec<_> = self.watches.keys().copied().collect();
        for id in ids {
            let latency = self.dice.within(1..12);
            let now = self.time.elapsed();
            let Some(open) = self.watches.get_mut(&id) else {
                continue;
            };
            let (events, over) = match open.watch.next(&self.api.store) {
                Ok(events) => (events, false),
                Err(gone) => (vec![gone], true),
            };
            if events.is_empty() {
                continue;
            }
            // One after the other, regardless of their latency.
            let at = (now + latency).max(open.latest + 1).max(open.frozen_until);
            let lines = events.iter().map(watch::Event::line).collect();
            open.under_way.push_back(lines);
            let at = self.schedule(at, Event::Shows(id));
            if let Some(open) = self.watches.get_mut(&id) {
                open.latest = at;
            }
            if over {
                self.schedule(at + 1, Event::Ends(id));
            }
        }
    }

    pub(super) fn show(&mut self, id: u64) {
        let Some(open) = self.watches.get_mut(&id) else {
            return;
        };
        if self.time.elapsed() < open.frozen_until {
            let later = open.frozen_until.max(open.latest);
            let at = self.schedule(later, Event::Shows(id));
            if let Some(open) = self.watches.get_mut(&id) {
                open.latest = at;
            }
            return;
        }
        for line in open.under_way.pop_front().unwrap_or_default() {
            // If this fails, the reader is gone.
            open.lines.unbounded_send(line).ok();
        }
    }

    pub(super) fn bookmark(&mut self, id: u64) {
        let now = self.time.elapsed();
        let Some(open) = self.watches.get(&id) else {
            return;
        };
        // A bookmark must not overtake what it speaks of.
        if now > open.latest && now >= open.frozen_until {
            open.lines.unbounded_send(open.watch.bookmark().line()).ok();
        }
        self.schedule_in(BOOKMARKS, Event::Bookmark(id));
    }

    pub(super) fn end_watch(&mut self, id: u64) {
        let now = self.time.elapsed();
        match self.watches.get(&id) {
            Some(open) if now < open.frozen_until => {
                let later = open.frozen_until.max(open.latest) + 1;
                self.schedule(later, Event::Ends(id));
            }
            _ => drop(self.watches.remove(&id)),
        }
    }

    /// Every watch breaks.
    pub(super) fn cut_watches(&mut self) {
        self.watches.clear();
    }

    /// No watch says anything for a while.
    pub(super) fn freeze_watches(&mut self, millis: u64) {
        let until = self.time.elapsed() + millis;
        for open in self.watches.values_mut() {
            open.frozen_until = until;
        }
    }

    /// The watches of a process that is gone have no reader any more.
    pub(super) fn forget_watches_of(&mut self, who: usize) {
        self.watches.retain(|_, open| open.who != who);
    }
}
