//! Condition types and reasons, named once, and the merge that keeps transition times (pure, time given).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::fmt;

/// Declares an enum whose names are the words of the API, and keeps their documentation for the reference page.
macro_rules! words {
    ($(#[$docs:meta])* $Enum:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ }) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Enum {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $Enum {
            /// All of them, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word as it stands in the object.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means, in Markdown.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim(),)+
                }
            }
        }

        impl fmt::Display for $Enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

mod reason;
mod statements;

pub use reason::Reason;
pub use statements::{DELETION, PROJECT, Statement};

words! {
    /// Types of conditions.
    ConditionType {
        /// Whether the batch was submitted to the cloud.
        Submitted,
        /// The verdict: Unknown while the request is active, then True or False for ever.
        Succeeded,
        /// The same, for tools that look at nothing else.
        Ready,
        /// Present only while the operator is at work or will try again by itself (kstatus).
        Reconciling,
        /// Present only while a person must look (kstatus).
        Stalled,
    }
}

words! {
    /// Status of a condition.
    Truth {
        /// It is so.
        True,
        /// It is not so.
        False,
        /// It is not decided or not known.
        Unknown,
    }
}

/// What one condition should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which condition.
    pub kind: ConditionType,
    /// Its status.
    pub status: Truth,
    /// Its reason.
    pub reason: Reason,
    /// Text for people: cause and cure.
    pub message: String,
}

/// The conditions that say `claims` and nothing else. A condition whose status stays keeps its transition time;
/// one that is not claimed vanishes.
#[must_use]
pub fn merge(old: &[Condition], claims: &[Claim], generation: i64, now: &Time) -> Vec<Condition> {
    claims
        .iter()
        .map(|claim| {
            let same = old
                .iter()
                .find(|c| c.type_ == claim.kind.as_str() && c.status == claim.status.as_str());
            Condition {
                type_: claim.kind.as_str().to_owned(),
                status: claim.status.as_str().to_owned(),
                reason: claim.reason.as_str().to_owned(),
                message: claim.message.clone(),
                observed_generation: Some(generation),
                last_transition_time: same.map_or_else(|| now.clone(), |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}
