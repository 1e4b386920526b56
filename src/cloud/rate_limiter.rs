//! A rate limiter: limits concurrent calls and calls per minute, by priority and, within a priority, by namespace in
//! rotation. A namespace with a thousand requests delays a single request of another one by one permit. Polls and
//! submissions have guaranteed shares: even while recovery waits, of four permits in a row one goes to a poll and one to a
//! submission.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::crd::DesktopDeletion;

/// Who goes first, apart from the reserved shares. A submission whose job cannot be followed leaves an unknown outcome, so
/// submissions have the lowest priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Continues work that waited for a permit before; does not count against the rate.
    Resumption,
    /// Reads evidence of a submission.
    Recovery,
    /// Polls jobs, and verifies credentials.
    Poll,
    /// Prepares and makes a submission.
    Submission,
}

/// Which priority has which permit of a cycle, if a caller waits with it; `None`, and if none waits: the highest priority
/// that waits. Resumptions are outside the cycle.
const RESERVED: [Option<Priority>; 4] = [None, None, Some(Priority::Poll), Some(Priority::Submission)];

/// The position in the cycle of reserved shares.
#[derive(Debug, Default)]
pub struct Shares {
    /// Position in the cycle.
    cycle: usize,
}

impl Shares {
    /// The order in which priorities are checked for a caller that waits.
    pub fn order(&self) -> impl Iterator<Item = Priority> + use<> {
        let all = [
            Priority::Resumption,
            Priority::Recovery,
            Priority::Poll,
            Priority::Submission,
        ];
        RESERVED[self.cycle].into_iter().chain(all)
    }

    /// A caller was found.
    pub fn advance(&mut self) {
        self.cycle = (self.cycle + 1) % RESERVED.len();
    }
}

impl Priority {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Of the reads for a request, by what was submitted so far.
    pub fn of(object: &DesktopDeletion) -> Self {
        let attempts = object.status.iter().flat_map(|status| &status.attempts);
        let (mut doubt, mut effect) = (false, false);
        for attempt in attempts {
            doubt |= attempt.is_open();
            effect |= attempt.took_effect();
        }
        match (doubt, effect) {
            (true, _) => Self::Recovery,
            (false, true) => Self::Poll,
            (false, false) => Self::Submission,
        }
    }

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resumption => "resumption",
            Self::Recovery => "recovery",
            Self::Poll => "poll",
            Self::Submission => "submission",
        }
    }
}

/// At most `burst` permits at once after an idle time, and then one every `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// At most `max` permits in any minute: a quarter of them may be granted in a burst, the others evenly.
    pub fn per_minute(max: u32) -> Self {
        let most = max.max(1);
        let burst = (most / 4).max(1);
        let even = (most - burst).max(1);
        Self {
            interval: Duration::from_secs(60) / even,
            burst,
        }
    }
}

/// Hands out permits; clones share them.
#[derive(Debug, Clone)]
pub struct RateLimiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notifies that the next permit now depends on the rate, and no longer on the release of another one.
    rate_decides: Notify,
}

#[derive(Debug)]
struct State {
    max_concurrent: usize,
    in_use: usize,
    rate: Option<Rate>,
    /// When the next permit would come if all came evenly (the "theoretical arrival time" of a leaky bucket).
    theoretical_arrival: Instant,
    waiting: [FairQueue; Priority::COUNT],
    shares: Shares,
}

/// The callers that wait, by namespace; the namespace in front has the next permit.
#[derive(Debug, Default)]
struct FairQueue(VecDeque<(String, VecDeque<oneshot::Sender<Permit>>)>);

/// A permit; released when it is dropped.
#[derive(Debug)]
pub struct Permit {
    permits: RateLimiter,
    /// How long the caller waited for it; `None` if it was available immediately.
    pub waited: Option<Duration>,
}

impl RateLimiter {
    /// At most this many permits at the same time, at this rate.
    pub fn new(max_concurrent: usize, rate: Option<Rate>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                max_concurrent,
                in_use: 0,
                rate,
                theoretical_arrival: Instant::now(),
                waiting: Default::default(),
                shares: Shares::default(),
            }),
            rate_decides: Notify::new(),
        }))
    }

    /// Waits for a permit.
    pub async fn acquire(&self, priority: Priority, namespace: &str) -> Permit {
        let started = Instant::now();
        loop {
            let (sender, mut receiver) = oneshot::channel();
            self.0.state.lock().waiting[priority as usize].push(namespace, sender);
            self.grant_permits();
            if let Ok(permit) = receiver.try_recv() {
                return permit;
            }
            let permit = loop {
                let mut rate_decides = pin!(self.0.rate_decides.notified());
                rate_decides.as_mut().enable();
                let next = self.grant_permits();
                tokio::select! {
                    biased;
                    permit = &mut receiver => break permit,
                    () = rate_decides => {}
                    () = sleep_until(next) => {}
                }
            };
            if let Ok(mut permit) = permit {
                permit.waited = Some(started.elapsed());
                return permit;
            }
        }
    }

    /// Sets the maximum number of permits at the same time; permits in use are kept.
    pub fn set_max_concurrent(&self, max_concurrent: usize) {
        self.0.state.lock().max_concurrent = max_concurrent;
        self.changed();
    }

    /// No caller is left, and the burst is refilled: a new limiter would be the same.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.state.lock().theoretical_arrival <= Instant::now()
    }

    /// A permit may be free: grants it, and wakes the waiting callers if the rate determines the next one.
    fn changed(&self) {
        if self.grant_permits().is_some() {
            self.0.rate_decides.notify_waiters();
        }
    }

    /// Grants the permits that are due; returns when the next one is, if the rate determines that.
    fn grant_permits(&self) -> Option<Instant> {
        loop {
            let sender = match self.0.state.lock().grant_next() {
                Next::Now(sender) => sender,
                Next::At(at) => return Some(at),
                Next::Unknown => return None,
            };
            let (permits, waited) = (self.clone(), None);
            let permit = Permit { permits, waited };
            // A caller that was cancelled meanwhile returns the permit by its drop, outside of the lock.
            sender.send(permit).ok();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.0.state.lock().in_use -= 1;
        self.permits.changed();
    }
}

enum Next {
    Now(oneshot::Sender<Permit>),
    At(Instant),
    /// When a caller arrives, or returns a permit.
    Unknown,
}

impl State {
    /// Takes the next permit for the caller in front.
    fn grant_next(&mut self) -> Next {
        for queue in &mut self.waiting {
            queue.drop_cancelled();
        }
        if self.in_use >= self.max_concurrent {
            return Next::Unknown;
        }
        let now = Instant::now();
        let due = self.due(now);
        let resumptions = &mut self.waiting[Priority::Resumption as usize];
        if let Some(sender) = resumptions.pop() {
            self.in_use += 1;
            return Next::Now(sender);
        }
        if self.waiting.iter().all(|queue| queue.0.is_empty()) {
            return Next::Unknown;
        }
        if due > now {
            return Next::At(due);
        }
        let Some(sender) = self.pop() else {
            return Next::Unknown;
        };
        if let Some(rate) = self.rate {
            self.theoretical_arrival = self.theoretical_arrival.max(now) + rate.interval;
        }
        self.in_use += 1;
        Next::Now(sender)
    }

    /// The priority for which the next permit of the cycle is reserved, or else the highest one.
    fn pop(&mut self) -> Option<oneshot::Sender<Permit>> {
        let mut order = self.shares.order();
        let sender = order.find_map(|priority| self.waiting[priority as usize].pop())?;
        self.shares.advance();
        Some(sender)
    }

    /// When the rate allows the next permit.
    fn due(&self, now: Instant) -> Instant {
        let Some(rate) = self.rate else { return now };
        self.theoretical_arrival
            .checked_sub(rate.interval * (rate.burst - 1))
            .unwrap_or(now)
    }
}

impl FairQueue {
    fn push(&mut self, namespace: &str, sender: oneshot::Sender<Permit>) {
        match self.0.iter_mut().find(|(name, _)| name == namespace) {
            Some((_, queue)) => queue.push_back(sender),
            None => self.0.push_back((namespace.to_owned(), VecDeque::from([sender]))),
        }
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Permit>> {
        let (namespace, mut queue) = self.0.pop_front()?;
        let sender = queue.pop_front();
        if !queue.is_empty() {
            self.0.push_back((namespace, queue));
        }
        sender
    }

    /// Drops cancelled callers.
    fn drop_cancelled(&mut self) {
        for (_, queue) in &mut self.0 {
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
        }
        self.0.retain(|(_, queue)| !queue.is_empty());
    }
}

/// Waits until then, or without end.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
