//! The size of the model world, and which of its safety mechanisms is removed to show that it is needed.

use std::time::Duration;

use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::crd::deletion::AuthMethod;

use crate::action::Action;
use crate::time::{TICK, ticks};
use crate::world::{JOB_VISIBILITY_TIMEOUT, OVERDUE, RECOVERY_TIMEOUT};

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Desktops in the request: 1 or 2.
    pub desktops: usize,
    /// Operators that believe they lead: 1 or 2.
    pub operators: usize,
    /// How requests are authenticated.
    pub auth: AuthMethod,
    /// How many things may go wrong on one path: a crash, a lost or refused message, a failed read.
    pub faults: u8,
    /// Clock faults on one path: one response of the cloud has a wrong date, its clock jumps, or the clock of an
    /// operator's machine steps. Without any, both clocks are true, and the cloud's is known from the start.
    pub clock_faults: u8,
    /// Ticks by which two clocks may differ.
    pub clock_skew: u8,
    /// Actions of users on one path.
    pub user_actions: u8,
    /// What users do.
    pub people: People,
    /// Clients that replace the object.
    pub replacing: Replacing,
    /// How many requests may be signed and stored on one path.
    pub attempts: usize,
    /// From one state in so many it is checked that a run without faults settles.
    pub settle_every: u64,
    /// The removed mechanism.
    pub mutant: Option<Mutant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            desktops: 1,
            operators: 1,
            auth: AuthMethod::Signature,
            faults: 2,
            clock_faults: 0,
            clock_skew: 0,
            user_actions: 2,
            people: People::Everything,
            replacing: Replacing::Never,
            attempts: 2,
            settle_every: 50,
            mutant: None,
        }
    }
}

/// What people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum People {
    /// Delete, create again, suspend, resume, delete a desktop in the console, abandon, stop an operator, let the
    /// deadline pass; and replace the object, where clients do.
    Everything,
    /// Replace the object, delete it, and create it again.
    Replacing,
    /// What depends on time: delete the object, abandon, let the deadline pass.
    Ending,
    /// The project requires an approval: approve the plan on show, give the last approval once more, take it back; assign
    /// a desktop to another user; delete the object, and create it again.
    Approving,
}

impl People {
    /// Whether they do that.
    pub fn may(self, action: Action) -> bool {
        let approves = matches!(
            action,
            Action::Approve | Action::ApproveAgain | Action::Withdraw | Action::Reassign(_)
        );
        match self {
            Self::Everything => !approves,
            Self::Approving => approves || matches!(action, Action::Delete | Action::Recreate),
            Self::Replacing => matches!(action, Action::Replace | Action::Delete | Action::Recreate),
            Self::Ending => matches!(action, Action::Delete | Action::Abandon(_) | Action::Deadline),
        }
    }
}

/// Clients that replace the object unknowingly remove the operator's finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Replacing {
    /// There are none.
    Never,
    /// At any time. Only the claims of the process protect then, so it must live on.
    AtAnyTime,
    /// At any time, but the client that deletes the object leaves an operator the time to restore the finalizer.
    WithTime,
    /// The shipped policy refuses it while a call may take effect.
    UnderPolicy,
}

impl Config {
    /// The durations that the operators are given.
    pub fn timing(self) -> Timing {
        Timing {
            poll_interval: TICK,
            initial_poll_delay: TICK,
            signature_window: ticks(2),
            clock_skew: ticks(self.clock_skew),
            job_visibility_timeout: if self.lacks(Mutant::NoJobVisibilityTimeout) {
                ticks(0)
            } else {
                ticks(JOB_VISIBILITY_TIMEOUT)
            },
            token_life: ticks(3),
            recovery_timeout: ticks(RECOVERY_TIMEOUT),
            max_signature_age: TICK,
            submission_timeout: Duration::from_secs(30),
            request_deadline: ticks(100),
            job_overdue: ticks(OVERDUE),
            secret_refresh: TICK,
            project_refresh: TICK,
            watch_check: TICK,
            first_report: TICK,
            retry_min: TICK,
            retry_max: TICK,
        }
    }

    /// Ticks for which the gateway takes a request.
    pub fn window(self) -> i8 {
        match self.auth {
            AuthMethod::Signature => 2,
            AuthMethod::Token | AuthMethod::Other => 3,
        }
    }

    /// Ticks for which the gateway takes it in truth.
    pub fn true_window(self) -> i8 {
        if self.lacks(Mutant::TakenTooLate) {
            self.oldest()
        } else {
            self.window()
        }
    }

    /// Where ages stop: nothing depends on them any more, by clocks that are right or ahead. A clock that is behind, or
    /// clocks that differ, only make things last longer, and they last at least until these are right again.
    pub fn oldest(self) -> i8 {
        let longest = signed(OVERDUE)
            .max(self.window() + self.skew() + signed(JOB_VISIBILITY_TIMEOUT) + signed(RECOVERY_TIMEOUT));
        longest + if self.clock_faults > 0 { self.far() } else { 0 }
    }

    /// The same for what is measured by the time since the start of a process.
    pub fn longest_known(self) -> u8 {
        self.window().unsigned_abs() + JOB_VISIBILITY_TIMEOUT + 3 * self.clock_skew
    }

    /// By how many ticks a clock may be wrong.
    pub fn skew(self) -> i8 {
        signed(self.clock_skew)
    }

    /// By how many ticks a clock is wrong that is wrong by more than is allowed: so much that even the job visibility timeout
    /// would not make up for it.
    pub fn far(self) -> i8 {
        signed(self.clock_skew + JOB_VISIBILITY_TIMEOUT + 1)
    }

    /// The project requires that the plan of a request is approved.
    pub fn requires_approval(self) -> bool {
        self.people == People::Approving
    }

    /// A safety mechanism is removed.
    pub fn lacks(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

fn signed(small: u8) -> i8 {
    // There are never more than a handful of ticks.
    i8::try_from(small).unwrap_or(i8::MAX)
}

/// A safety mechanism that is removed, or an assumption that is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Mutant {
    /// The intent is stored regardless of the version of the object.
    IntentWithoutResourceVersion,
    /// A request is sent although its intent was not stored.
    SentWithoutIntent,
    /// The signature is made when the request is sent, so that its age does not show the age of the intent.
    SignedWhenSent,
    /// An attempt counts as expired before its request has expired.
    NoWaitForExpiry,
    /// An attempt counts as expired when its call has expired, and no time is left for its job to become visible.
    NoJobVisibilityTimeout,
    /// An inconclusive response counts as a rejection.
    DoubtTakenAsRefusal,
    /// A request whose response was lost is sent again.
    ClientRetries,
    /// Evidence is ignored.
    EvidenceIgnored,
    /// The object is released although its call may still take effect.
    FinalizerDropped,
    /// Assumption A1 is false: the gateway accepts a request after its signature window.
    TakenTooLate,
    /// Assumption A2 is false: an accepted request becomes visible only after the job visibility timeout.
    ShownTooLate,
    /// Outcomes, progress and final results are stored regardless of the version of the object.
    StatusWithoutResourceVersion,
    /// Only the clock of the cloud counts, not also that of the operator's machine.
    OneClockIsEnough,
    /// A finalizer that another client removed is not restored.
    FinalizerNotRestored,
    /// The claims of a deleted object's calls in flight are forgotten with it.
    ClaimForgotten,
    /// The policy that prevents clients from removing the finalizer is not installed.
    PolicyMissing,
}
