//! Condition types, and the merge that keeps transition times (pure, time given).
//!
//! | file | content |
//! | --- | --- |
//! | `reason` | the reasons of conditions and Events |
//! | `allowed_reasons` | which condition can have which reasons |

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::limits;

/// Declares an enum whose names are the values of the API, and keeps their documentation for the reference page. The
/// variant after `or` stands for a value that this version does not know.
macro_rules! api_enum {
    (
        $(#[$docs:meta])* $Enum:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ }
        $(or $(#[$other_docs:meta])+ $other:ident)?
    ) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Enum {
            $($(#[doc = $doc])+ $name,)+
            $($(#[$other_docs])+ $other,)?
        }

        impl $Enum {
            /// All that this version knows, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The value in the object.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    $(Self::$other => stringify!($other),)?
                }
            }

            /// What it means, in Markdown.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim(),)+
                    $(Self::$other => "A word that this version does not know.",)?
                }
            }
        }

        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl PartialEq<$Enum> for String {
            fn eq(&self, word: &$Enum) -> bool {
                self == word.as_str()
            }
        }
    };
}

pub(crate) use api_enum;

mod allowed_reasons;
mod reason;

pub use allowed_reasons::{DELETION, PROJECT, Statement};
pub use reason::Reason;

api_enum! {
    /// Types of conditions.
    ConditionType {
        /// Whether the delete request took effect: True, False, or Unknown while it may still take effect.
        Submitted,
        /// Final result: Unknown while the request is active, then True or False; never changes again.
        Succeeded,
        /// The same, for tools that only read `Ready`.
        Ready,
        /// Whether the plan (`status.plan`) is known and nothing blocks it. Present only if the plan is shown.
        Planned,
        /// Whether the plan is approved or needs no approval. Present only if the plan is shown.
        Approved,
        /// Present only while the operator makes progress or retries (kstatus).
        Reconciling,
        /// Present only while user action is required (kstatus).
        Stalled,
    }
}

api_enum! {
    /// Status of a condition.
    ConditionStatus {
        /// The condition is true.
        True,
        /// The condition is false.
        False,
        /// It is not decided or not known.
        Unknown,
    }
}

/// The desired content of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// Which condition.
    pub kind: ConditionType,
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason.
    pub reason: Reason,
    /// Text for users: cause and remedy.
    pub message: String,
}

impl ConditionUpdate {
    /// A condition with this content.
    pub fn new(
        kind: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self {
            kind,
            status,
            reason,
            message,
        }
    }
}

/// The condition of this type: there is one at most.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// The conditions of `updates` and no others. A condition whose status stays the same keeps its transition time;
/// one that is not in `updates` is removed. A message that the API server would refuse for its length is cut.
#[must_use]
pub fn merge(old: &[Condition], updates: &[ConditionUpdate], generation: i64, now: &Time) -> Vec<Condition> {
    updates
        .iter()
        .map(|update| {
            let same = find(old, update.kind).filter(|c| c.status == update.status);
            Condition {
                type_: update.kind.as_str().to_owned(),
                status: update.status.as_str().to_owned(),
                reason: update.reason.as_str().to_owned(),
                message: cut(&update.message),
                observed_generation: Some(generation),
                last_transition_time: same.map_or_else(|| now.clone(), |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}

fn cut(message: &str) -> String {
    limits::cut(message, limits::CONDITION_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time(text.parse().unwrap())
    }

    fn update(status: ConditionStatus, reason: Reason, message: &str) -> ConditionUpdate {
        ConditionUpdate {
            kind: ConditionType::Ready,
            status,
            reason,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let (first, later) = (time("2026-12-01T00:00:00Z"), time("2026-12-02T00:00:00Z"));
        let old = merge(
            &[],
            &[update(ConditionStatus::False, Reason::Throttled, "slow")],
            1,
            &first,
        );
        let same = merge(
            &old,
            &[update(ConditionStatus::False, Reason::Expired, "over")],
            2,
            &later,
        );
        assert_eq!(same[0].last_transition_time, first);
        assert_eq!(
            (&*same[0].reason, &*same[0].message, same[0].observed_generation),
            ("Expired", "over", Some(2))
        );

        let flipped = merge(
            &old,
            &[update(ConditionStatus::True, Reason::AllDeleted, "")],
            2,
            &later,
        );
        assert_eq!(flipped[0].last_transition_time, later);
    }

    #[test]
    fn a_condition_that_is_not_updated_is_removed() {
        let old = merge(
            &[],
            &[update(ConditionStatus::True, Reason::AllDeleted, "")],
            1,
            &time("2026-12-01T00:00:00Z"),
        );
        assert_eq!(merge(&old, &[], 1, &time("2026-12-01T00:00:00Z")), []);
    }

    #[test]
    fn a_message_is_truncated_to_the_limit_of_the_api_server() {
        let longest = "\u{e9}".repeat(limits::CONDITION_MESSAGE as usize);
        assert_eq!(cut(&longest), longest);
        let cut = cut(&format!("{longest}!"));
        assert_eq!(cut.chars().count(), longest.chars().count());
        assert!(cut.ends_with('\u{2026}'));
    }

    #[test]
    fn every_reason_that_a_condition_can_have_is_explained() {
        for reason in Reason::ALL {
            assert!(reason.meaning().ends_with('.'), "{reason}");
        }
        for (condition, status, reasons) in DELETION.iter().chain(PROJECT) {
            let mut seen = std::collections::BTreeSet::new();
            assert!(
                reasons.iter().all(|reason| seen.insert(reason)),
                "{condition} {status} lists a reason twice"
            );
        }
    }
}
