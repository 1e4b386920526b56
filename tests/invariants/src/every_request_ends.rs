//! I5: after faults stop, every request finishes, or waits for a user or a named condition, within bounded time.

use crate::history::{BaseVersion, History, Request, Termination, WriteResult};
use crate::invariant::{Invariant::ItComesToRest, Violation};

/// How a request stands once faults have stopped and the time for it is over.
pub fn ends(rest: &Termination) -> Option<Violation> {
    match rest {
        Termination::Reached => None,
        Termination::Not(how) => Some(ItComesToRest.broken("it does not end", how)),
    }
}

/// Judges all requests.
pub fn judge(history: &History) -> Vec<Violation> {
    let of = |request: &Request| {
        let restless = ends(&request.termination).into_iter().chain(late_writes(request));
        restless.map(|what| what.of(&request.name)).collect::<Vec<_>>()
    };
    history.requests.iter().flat_map(of).collect()
}

/// Writes after its end was seen. That of a replica which knows less is refused, and no harm.
fn late_writes(request: &Request) -> Vec<Violation> {
    let late = request
        .writes
        .iter()
        .skip(request.quiet_from.unwrap_or(usize::MAX));
    let newest = BaseVersion::Version(request.versions.len().wrapping_sub(1));
    let restless = late.filter(|w| w.by_operator && (w.result != WriteResult::Refused || w.from == newest));
    restless
        .map(|write| ItComesToRest.broken("a write was made after the end was observed", &write.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history};

    #[test]
    fn a_finished_request_without_later_writes_is_allowed() {
        let mut history = ordinary_history();
        history.requests[0].quiet_from = Some(history.requests[0].writes.len());
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn a_request_that_never_ends_is_reported() {
        let mut history = ordinary_history();
        history.requests[0].termination = Termination::Not("its attempt is still Pending".to_owned());
        let broken = judge(&history);
        assert_eq!(hows(&broken), ["it does not end"]);
        assert_eq!(broken[0].about, "leavers: its attempt is still Pending");
    }

    #[test]
    fn a_write_after_the_end_is_reported_unless_it_was_a_conflict() {
        let mut history = ordinary_history();
        let request = &mut history.requests[0];
        request.quiet_from = Some(request.writes.len() - 1);
        let how = ["a write was made after the end was observed"];
        assert_eq!(hows(&judge(&history)), how);
        let last = history.requests[0].writes.len() - 1;
        history.requests[0].writes[last].result = WriteResult::Refused;
        assert_eq!(judge(&history), [], "it was made from an old version");
        let newest = history.requests[0].versions.len() - 1;
        history.requests[0].writes[last].from = BaseVersion::Version(newest);
        assert_eq!(hows(&judge(&history)), how);
    }
}
