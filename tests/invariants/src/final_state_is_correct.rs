//! final: the final state of each desktop is correct.

use crate::history::{History, Request, State};
use crate::invariant::{Invariant::FinalState, Violation};

/// How it is with a desktop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent of each other
pub struct ActualState {
    /// The cloud has it.
    pub there: bool,
    /// A job of this request deletes it, or has.
    pub ours: bool,
    /// A submission of this request took effect on it.
    pub submitted: bool,
    /// A person gave an attempt of this request up.
    pub given_up: bool,
}

/// What is said of a desktop in the end.
pub fn desktop(id: &str, state: State, truth: ActualState) -> Option<Violation> {
    let how = match state {
        State::Deleted | State::Absent if truth.there => "a desktop is reported as gone, but exists",
        State::Failed if truth.ours => "a desktop is reported as failed, but this request deletes it",
        State::Unknown if truth.submitted && !truth.given_up => {
            "a desktop is reported as unknown, but no attempt was abandoned"
        }
        State::Absent | State::Pending | State::Deleting if truth.submitted => {
            "the final state of a submitted desktop is not reported"
        }
        _ => return None,
    };
    Some(FinalState.broken(how, format!("desktop {id} is {state:?}")))
}

/// Judges the final state of each desktop, if the state of the cloud is known in the end.
pub fn judge(history: &History) -> Vec<Violation> {
    let Some(there) = &history.there else {
        return vec![];
    };
    let of = |request: &Request| {
        let said = request.versions.last().into_iter();
        let said = said.flat_map(|last| &last.object.status.desktops);
        let wrong = said.filter_map(|said| {
            let truth = ActualState {
                there: there.contains(&said.id),
                ..ActualState::default()
            };
            desktop(&said.id, said.state, truth)
        });
        wrong.map(|what| what.of(&request.name)).collect::<Vec<_>>()
    };
    history.requests.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history};

    #[test]
    fn desktops_that_are_gone_may_be_reported_as_deleted() {
        assert_eq!(judge(&ordinary_history()), []);
    }

    #[test]
    fn a_desktop_that_is_reported_as_deleted_but_exists_is_a_violation() {
        let mut history = ordinary_history();
        history.there = Some(["pc-2".to_owned()].into());
        let broken = judge(&history);
        assert_eq!(hows(&broken), ["a desktop is reported as gone, but exists"]);
        assert_eq!(broken[0].about, "leavers: desktop pc-2 is Deleted");
    }

    #[test]
    fn each_incorrect_state_is_reported() {
        let truth = ActualState {
            submitted: true,
            ..ActualState::default()
        };
        let ours = ActualState { ours: true, ..truth };
        let given_up = ActualState {
            given_up: true,
            ..truth
        };
        for (state, right, wrong) in [
            (State::Failed, truth, ours),
            (State::Unknown, given_up, truth),
            (State::Absent, ActualState::default(), truth),
            (State::Pending, ActualState::default(), truth),
            (State::Deleting, ActualState::default(), truth),
        ] {
            assert_eq!(desktop("pc-1", state, right), None, "{state:?}");
            assert!(desktop("pc-1", state, wrong).is_some(), "{state:?}");
        }
    }
}
