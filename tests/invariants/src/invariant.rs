//! The invariants in words, and how it is said that one is broken.

use std::fmt;

macro_rules! invariants {
    ($($name:ident: $words:literal,)*) => {
        /// An invariant of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Invariant {
            $(
                #[doc = $words]
                $name,
            )*
        }

        impl Invariant {
            /// All of them.
            pub const ALL: [Self; 14] = [$(Self::$name),*];

            /// Its number and what it says.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

invariants! {
    OnlyWhatWasAdmitted: "I1: the ids of every POST are a subset of the admitted ids, and its digest is that of the intent",
    AtMostOnce: "I2: for each attempt at most one POST; attempt n+1 exists only if every earlier one is `Rejected`, `NotSent` or `NoEffect`",
    NoJobIsLost: "I3: every accepted job id is stored, adopted, or reported as unknown for a named attempt",
    TerminalIsFinal: "I4: a final result never changes",
    ItComesToRest: "I5: after faults stop, every request finishes, or waits for a user or a named condition, within bounded time",
    IntentForTheLiveObject: "I6: no intent for an object that at commit time is deleted, suspended or changed",
    IntentFirst: "I7: no POST without an earlier stored intent",
    AttemptsStay: "I8: attempts that may have reached the cloud are never removed",
    CredentialsStayHome: "I9: credentials go only to their own endpoint and project",
    OneRequestPerDesktop: "I10: under one leader, two requests do not have one desktop in flight",
    WritesChange: "I11: no write without a change",
    OnlyWhatWasApproved: "I12: where an approval is required or given, an attempt names only desktops of the approved plan, as they were approved",
    WithinTheDailyLimit: "I13: the desktops that are submitted within 24 hours do not exceed the daily limit of their project",
    FinalState: "final: the final state of each desktop is correct",
}

impl Invariant {
    /// It is broken: how, and about what in particular, if there is more to say.
    pub fn broken(self, how: &'static str, about: impl Into<String>) -> Violation {
        Violation {
            invariant: self,
            how,
            about: about.into(),
        }
    }

    /// It is broken unless this holds.
    pub fn unless(self, holds: bool, how: &'static str, about: impl FnOnce() -> String) -> Option<Violation> {
        (!holds).then(|| self.broken(how, about()))
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// An invariant that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What happened, as a sentence without a full stop.
    pub how: &'static str,
    /// To which request, attempt or desktop; may be empty.
    pub about: String,
}

impl Violation {
    /// Says first whose it is.
    #[must_use]
    pub fn of(self, whose: &str) -> Self {
        let about = if self.about.is_empty() {
            whose.to_owned()
        } else {
            format!("{whose}: {}", self.about)
        };
        Self { about, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            how,
            about,
        } = self;
        if about.is_empty() {
            write!(f, "{how}. This breaks {invariant}")
        } else {
            write!(f, "{how}: {about}. This breaks {invariant}")
        }
    }
}
