//! How large the model world is, and which of its safety mechanisms is taken away to show that it is needed.

use desktop_deletion_operator::crd::deletion::AuthMethod;

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Desktops in the request: 1 or 2.
    pub desktops: usize,
    /// Operators that believe they lead: 1 or 2.
    pub operators: usize,
    /// How requests prove who they are.
    pub auth: AuthMethod,
    /// How many things may go wrong on one path: a crash, a lost or refused message, a failed read.
    pub faults: u8,
    /// How often people may do something on one path: delete, create again, suspend, resume, delete a desktop in the
    /// console, give up, stop an operator, let the deadline pass.
    pub meddling: u8,
    /// How many requests may be signed and stored on one path.
    pub attempts: usize,
    /// From one state in so many it is checked that a run without faults settles.
    pub settle_every: u64,
    /// What is taken away.
    pub mutant: Option<Mutant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            desktops: 1,
            operators: 1,
            auth: AuthMethod::Signature,
            faults: 2,
            meddling: 2,
            attempts: 2,
            settle_every: 50,
            mutant: None,
        }
    }
}

impl Config {
    /// Ticks for which the gateway takes a request.
    pub fn window(self) -> u8 {
        match self.auth {
            AuthMethod::Signature => 2,
            AuthMethod::Token => 3,
        }
    }

    /// Ticks for which the gateway takes it in truth.
    pub fn true_window(self) -> u8 {
        if self.lacks(Mutant::TakenTooLate) {
            crate::world::CAP
        } else {
            self.window()
        }
    }

    /// A safety mechanism is taken away.
    pub fn lacks(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

/// A safety mechanism that is taken away, or an assumption that is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Mutant {
    /// The intent is stored over whatever the object is now.
    IntentWithoutResourceVersion,
    /// A request is sent although its intent was not stored.
    SentWithoutIntent,
    /// The signature is made when the request is sent, so that its age says nothing of the intent's.
    SignedWhenSent,
    /// An attempt counts as dead before its request has expired.
    NoWaitForExpiry,
    /// An attempt counts as dead when its request has expired, and no time is left for it to show.
    NoSettleTime,
    /// An answer that says nothing counts as a refusal.
    DoubtTakenAsRefusal,
    /// A request whose answer was lost is sent again.
    ClientRetries,
    /// Evidence is not looked at.
    EvidenceIgnored,
    /// The object goes although its request may still land.
    FinalizerDropped,
    /// Assumption A1 is false: the gateway takes a request after its window.
    TakenTooLate,
    /// Assumption A2 is false: an accepted request shows only after the settle time.
    ShownTooLate,
    /// What comes of an attempt, progress and verdicts are stored over whatever the object is now.
    StatusWithoutResourceVersion,
}
