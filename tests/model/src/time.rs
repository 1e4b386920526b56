//! The shipped rules about time, asked in ticks. One tick is the maximum signature age. The model keeps ages and differences of
//! clocks, so every question is asked as of one and the same moment, and the same question is answered once.

use std::time::Duration;

use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::crd::deletion::Attempt;
use desktop_deletion_operator::plan::clocks::Clocks;
use desktop_deletion_operator::plan::deadlines::{Deadlines, FactInputs};
use desktop_deletion_operator::plan::observed::{Circuit, Facts, Request};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::cache::Cache;
use crate::config::{Config, Mutant};
use crate::names::{self, ATTEMPTS};
use crate::requests::{RequestId, Requests};
use crate::service_clock::ServiceClock;
use crate::world::{DesktopRead, FirstSaw, Memory, ReadState};

/// One tick: longer than a call may take, and longer than the dates of two true responses may differ.
pub const TICK: Duration = Duration::from_secs(60);

/// For how long the process has run.
pub const UPTIME: Duration = Duration::from_secs(60 * 1000);

/// The true time.
const NOW: Timestamp = Timestamp::constant(1_767_600_000, 0);

/// So many ticks.
pub fn ticks(number: u8) -> Duration {
    TICK * u32::from(number)
}

/// What a clock shows that is so many ticks ahead.
pub fn shown(ahead: i8) -> Timestamp {
    NOW + signed_ticks(ahead)
}

/// A moment so many ticks ago, in time since the start of the process.
pub fn ago(age: u8) -> Duration {
    UPTIME.saturating_sub(ticks(age))
}

/// Ticks since a moment, up to `most`.
pub fn age_of(moment: Duration, most: u8) -> u8 {
    (0..most).find(|age| ago(*age) <= moment).unwrap_or(most)
}

fn signed_ticks(number: i8) -> SignedDuration {
    SignedDuration::from_secs(i64::from(number) * 60)
}

/// All inputs of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Situation {
    /// The object.
    pub request: RequestId,
    /// Age of each of its attempts.
    pub ages: [i8; ATTEMPTS],
    /// Since when its deadline has passed, if it has.
    pub deadline: Option<i8>,
    /// By how much the clock of the operator's machine is ahead.
    pub wall: i8,
    /// By how much the clock of the cloud is ahead, as the operator knows it.
    pub service: Option<i8>,
    /// Since when the operator has known each attempt.
    pub first_saw: FirstSaw,
    /// When it last put the finalizer on.
    pub finalizer: Option<u8>,
    /// When its reconciliation began.
    pub began: u8,
    /// It is shutting down.
    pub stopping: bool,
}

/// The rules, and the questions that they have answered.
pub struct Rules {
    config: Config,
    /// The durations that the operators are given.
    pub timing: Timing,
    facts: Cache<Situation, Facts>,
    saw: Cache<(RequestId, FirstSaw), FirstSaw>,
    reads: Cache<(Option<u8>, ReadState), (Option<u8>, DesktopRead)>,
}

impl Rules {
    /// Nothing was asked yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            timing: config.timing(),
            facts: Cache::default(),
            saw: Cache::default(),
            reads: Cache::default(),
        }
    }

    /// What follows from the time.
    pub fn facts(&self, requests: &Requests, situation: &Situation) -> Facts {
        let ask = || self.ask(&requests.get(situation.request).request, situation);
        self.facts.get(situation, ask)
    }

    /// The operator has loaded the object, and knows its attempts now.
    pub fn saw(&self, requests: &Requests, request: RequestId, memory: &mut Memory) {
        memory.first_saw = self.saw.get(&(request, memory.first_saw), || {
            memory.observe(&requests.get(request).request, self.config.longest_known())
        });
    }

    /// The operator has read a desktop.
    pub fn read(&self, desktop: usize, state: ReadState, memory: &mut Memory) -> DesktopRead {
        let idle = &mut memory.idle[desktop];
        let (now, read) = self.reads.get(&(*idle, state), || {
            state.noted(*idle, self.timing.job_visibility_timeout)
        });
        *idle = now;
        read
    }

    /// A call of the object may still take effect, or its job need not show yet.
    pub fn is_in_flight(&self, requests: &Requests, situation: &Situation) -> bool {
        let facts = self.facts(requests, situation);
        let attempts = &requests.get(situation.request).request.status.attempts;
        !facts.job_visibility_timeout_over || (attempts.iter().any(Attempt::is_open) && !facts.call_expired)
    }

    fn ask(&self, request: &Request, situation: &Situation) -> Facts {
        let request = dated(request, situation);
        let memory = Memory {
            first_saw: situation.first_saw,
            finalizer: situation.finalizer,
            ..Memory::default()
        };
        let rules = Deadlines {
            request: &request,
            memory: &memory.remembered(&request),
            clocks: self.clocks(situation),
            timing: &self.timing,
            windows: &[],
            submitted: &[],
        };
        let mut facts = rules.facts(&FactInputs {
            hide_users: false,
            stopping: situation.stopping,
            credentials: None,
            began: ago(situation.began),
            circuit: Circuit::Closed,
        });
        if self.config.lacks(Mutant::NoWaitForExpiry) {
            facts.call_expired = request.status.attempts.iter().any(Attempt::is_open);
        }
        facts.finalizer_missing &= !self.config.lacks(Mutant::FinalizerNotRestored);
        facts
    }

    fn clocks(&self, situation: &Situation) -> Clocks {
        let mut clocks = Clocks {
            uptime: UPTIME,
            local: shown(situation.wall),
            service: ServiceClock::of(situation.service).shown(),
            api_server: Some(NOW),
        };
        if let (true, Some(other)) = (self.config.lacks(Mutant::OneClockIsEnough), clocks.other()) {
            clocks.local = other;
            clocks.api_server = Some(other);
        }
        clocks
    }
}

/// The object with its times. As the model keeps it, everything happened at the epoch.
fn dated(request: &Request, situation: &Situation) -> Request {
    let mut request = request.clone();
    request.not_after = situation.deadline.map(|passed| NOW - signed_ticks(passed));
    for attempt in &mut request.status.attempts {
        let age = names::attempt_number(&attempt.id).map_or(0, |number| situation.ages[number]);
        let later = shown(0).duration_since(Timestamp::UNIX_EPOCH) - signed_ticks(age);
        let shift = |time: &mut Time| time.0 += later;
        shift(&mut attempt.signed_at);
        attempt.not_after.iter_mut().for_each(shift);
        // It is refused as soon as it is sent, or within the same tick.
        attempt.error.iter_mut().for_each(|error| shift(&mut error.time));
    }
    request
}
