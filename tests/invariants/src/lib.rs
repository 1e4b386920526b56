//! What must always hold for the operator, in one place: the model, the simulation, the faults suite and the
//! property tests all judge by this crate. It knows neither the operator's types nor how a run was made. A layer hands
//! in what it saw as a [`History`], or asks at the single event that could break something.
//!
//! | module | what |
//! | --- | --- |
//! | [`invariant`] | the invariants in words, and how it is said that one is broken |
//! | [`history`] | what a layer saw: versions of requests, writes, submissions, calls |
//! | [`reading`] | a status as the API server shows it, as plain data |
//! | [`only_what_was_admitted`] | I1 |
//! | [`at_most_once`] | I2 |
//! | [`no_job_is_lost`] | I3 |
//! | [`terminal_is_final`] | I4 |
//! | [`every_request_ends`] | I5 |
//! | [`intent_for_the_live_object`] | I6 |
//! | [`intent_first`] | I7 |
//! | [`attempts_stay`] | I8 |
//! | [`credentials_only_to_own_endpoint`] | I9 |
//! | [`one_request_per_desktop`] | I10 |
//! | [`writes_change`] | I11 |
//! | [`only_what_was_approved`] | I12 |
//! | [`within_the_daily_limit`] | I13 |
//! | [`final_state_is_correct`] | and that what is said in the end is true |
//!
//! Each of these has a `judge` of a whole history, and functions for one event, from which the judge is made.
//!
//! # Which layer judges what
//!
//! *History*: the layer judges whole runs. *Event*: it has no history, and judges each event as it happens.
//!
//! | | model | simulation | faults | tables, properties and walk of `plan` |
//! | --- | --- | --- | --- | --- |
//! | I1 | event: a POST leaves | history | history | event: a step signs, stores an intent or sends |
//! | I2 | event: a write, a POST, an effect | history | history; the ledger does not show which of two equal POSTs is whose, so they are counted | event: a step, a write, an effect |
//! | I3 | event: an outcome; at rest | history | history | at rest |
//! | I4 | event: a write; an end is its final result, times are not modelled | history | history, refused writes too | event: a write; an end is its final result |
//! | I5 | at rest, from a sample of states | history | history, and some seconds of quiet | at rest |
//! | I6 | event: a write; the API server compares versions | history | history, and each write names its version | event: a step, a write |
//! | I7 | event: a POST leaves | history | history | event: a POST leaves |
//! | I8 | event: a write | history | history, refused writes too | event: a write |
//! | I9 | *not*: no credentials are modelled | history; every fourth world has two projects, each with its own credentials and endpoint | history | *not*: `plan` has no credentials |
//! | I10 | event: an effect, an end, a release; of one name: requests of two names are not modelled | history | history of one request: what lands after it; two requests have a case of their own | event: an end, a release; one request |
//! | I11 | event: a write; but not that an outcome is stored again after a lost response | history | history | event: a progress is reported once |
//! | I12 | event: an intent, by the record and by what was shown to the person; a POST leaves | history, in every fourth world, and by the approvals that people gave to the very object | history; users change only while no operator works, so that what the reads showed is known | event: a step signs, by a rule of their own |
//! | I13 | event: a call takes effect, in a world of its own with two requests | history, in every fourth world | *not*: the cases of the limit count what was submitted | event: a step signs, stores an intent or sends, by a rule of their own |
//! | final | event: an end | history: desktops that are reported as gone | *not*: each case compares the end with the expected one | at rest |

pub mod at_most_once;
pub mod attempts_stay;
pub mod credentials_only_to_own_endpoint;
pub mod every_request_ends;
pub mod final_state_is_correct;
pub mod history;
pub mod intent_first;
pub mod intent_for_the_live_object;
pub mod invariant;
pub mod no_job_is_lost;
pub mod one_request_per_desktop;
pub mod only_what_was_admitted;
pub mod only_what_was_approved;
pub mod reading;
pub mod terminal_is_final;
pub mod within_the_daily_limit;
pub mod writes_change;

#[cfg(test)]
mod example;

pub use history::History;
pub use invariant::{Invariant, Violation};

/// Judges a whole history by every invariant.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut broken = only_what_was_admitted::judge(history);
    broken.extend(at_most_once::judge(history));
    broken.extend(no_job_is_lost::judge(history));
    broken.extend(terminal_is_final::judge(history));
    broken.extend(every_request_ends::judge(history));
    broken.extend(intent_for_the_live_object::judge(history));
    broken.extend(intent_first::judge(history));
    broken.extend(attempts_stay::judge(history));
    broken.extend(credentials_only_to_own_endpoint::judge(history));
    broken.extend(one_request_per_desktop::judge(history));
    broken.extend(writes_change::judge(history));
    broken.extend(only_what_was_approved::judge(history));
    broken.extend(within_the_daily_limit::judge(history));
    broken.extend(final_state_is_correct::judge(history));
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each invariant, and the file that judges it.
    const FILES: [(Invariant, &str); 14] = [
        (
            Invariant::OnlyWhatWasAdmitted,
            include_str!("only_what_was_admitted.rs"),
        ),
        (Invariant::AtMostOnce, include_str!("at_most_once.rs")),
        (Invariant::NoJobIsLost, include_str!("no_job_is_lost.rs")),
        (Invariant::TerminalIsFinal, include_str!("terminal_is_final.rs")),
        (Invariant::ItComesToRest, include_str!("every_request_ends.rs")),
        (
            Invariant::IntentForTheLiveObject,
            include_str!("intent_for_the_live_object.rs"),
        ),
        (Invariant::IntentFirst, include_str!("intent_first.rs")),
        (Invariant::AttemptsStay, include_str!("attempts_stay.rs")),
        (
            Invariant::CredentialsStayHome,
            include_str!("credentials_only_to_own_endpoint.rs"),
        ),
        (
            Invariant::OneRequestPerDesktop,
            include_str!("one_request_per_desktop.rs"),
        ),
        (Invariant::WritesChange, include_str!("writes_change.rs")),
        (
            Invariant::OnlyWhatWasApproved,
            include_str!("only_what_was_approved.rs"),
        ),
        (
            Invariant::WithinTheDailyLimit,
            include_str!("within_the_daily_limit.rs"),
        ),
        (Invariant::FinalState, include_str!("final_state_is_correct.rs")),
    ];

    #[test]
    fn each_invariant_has_a_file_that_begins_with_its_text() {
        assert_eq!(FILES.map(|(invariant, _)| invariant), Invariant::ALL);
        for (invariant, text) in FILES {
            let head: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
            let head = head.join(" ");
            assert!(head.starts_with(invariant.words()), "{invariant:?}: {head}");
        }
    }

    #[test]
    fn docs_crash_safety_lists_the_same_invariants() {
        let page = include_str!("../../../docs/crash-safety.md").to_lowercase();
        for invariant in Invariant::ALL {
            let (number, says) = invariant.words().split_once(": ").unwrap_or_default();
            let row = format!("| {number} | {says}. |").to_lowercase();
            assert!(
                page.lines().any(|line| line == row),
                "docs/crash-safety.md lacks {row}"
            );
        }
    }

    #[test]
    fn an_ordinary_history_violates_no_invariant() {
        assert_eq!(judge(&example::ordinary_history()), []);
    }

    #[test]
    fn a_lost_response_that_is_settled_and_a_further_attempt_violate_no_invariant() {
        assert_eq!(judge(&example::second_attempt()), []);
    }
}
