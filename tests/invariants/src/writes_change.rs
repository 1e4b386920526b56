//! I11: no write without a change.

use crate::history::{History, Request, WriteResult};
use crate::invariant::{Invariant::WritesChange, Violation};

/// A write is carried out.
pub fn write(changed: bool, about: impl FnOnce() -> String) -> Option<Violation> {
    WritesChange.unless(changed, "a write changed nothing", about)
}

/// Judges every write that was carried out.
pub fn judge(history: &History) -> Vec<Violation> {
    let of = |request: &Request| {
        let idle = request.writes.iter().filter_map(|w| {
            write(!w.by_operator || w.result != WriteResult::Unchanged, || {
                w.name.clone()
            })
        });
        idle.map(|what| what.of(&request.name)).collect::<Vec<_>>()
    };
    history.requests.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history};

    #[test]
    fn writes_that_change_something_or_are_refused_are_allowed() {
        let mut history = ordinary_history();
        assert_eq!(judge(&history), []);
        history.requests[0].writes[0].result = WriteResult::Refused;
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn a_write_without_a_change_is_reported() {
        let mut history = ordinary_history();
        history.requests[0].writes[0].result = WriteResult::Unchanged;
        let broken = judge(&history);
        assert_eq!(hows(&broken), ["a write changed nothing"]);
        assert_eq!(broken[0].about, "leavers: the intent");
    }
}
