//! I4: a final result never changes. An end, a decided outcome, a job, what was known of an attempt, a deleted desktop.

use crate::history::{Attempt, BaseVersion, History, Request, State, Status};
use crate::invariant::{Invariant::TerminalIsFinal, Violation};

/// A status becomes another.
pub fn change(before: &Status, after: &Status) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut kept = |what, before: &Option<String>, after: &Option<String>| {
        let final_stays = before.is_none() || before == after;
        broken.extend(TerminalIsFinal.unless(final_stays, what, || format!("{before:?} became {after:?}")));
    };
    kept("a finished status was changed", &before.finished, &after.finished);
    kept("a final result was changed", &before.verdict, &after.verdict);
    kept("the project was changed", &before.project, &after.project);
    kept("the job was changed", &before.job, &after.job);
    for attempt in &before.attempts {
        if let Some(now) = after.attempt(&attempt.id) {
            broken.extend(attempt_change(attempt, now));
        }
    }
    for desktop in before.desktops.iter().filter(|d| d.state == State::Deleted) {
        let now = after.desktops.iter().find(|d| d.id == desktop.id);
        broken.extend(TerminalIsFinal.unless(
            now.is_some_and(|now| now.state == State::Deleted),
            "the state Deleted of a desktop was changed",
            || format!("desktop {} became {now:?}", desktop.id),
        ));
    }
    broken
}

fn attempt_change(before: &Attempt, after: &Attempt) -> Vec<Violation> {
    let about = || format!("{before:?} became {after:?}");
    let outcome = TerminalIsFinal.unless(
        before.outcome == crate::history::Outcome::Pending || before.outcome == after.outcome,
        "the outcome of an attempt was changed after it was decided",
        about,
    );
    let jobs = TerminalIsFinal.unless(
        after.jobs.starts_with(&before.jobs),
        "a job of an attempt was removed or changed",
        about,
    );
    let facts = TerminalIsFinal.unless(
        before.facts == after.facts,
        "an immutable field of an attempt was changed",
        about,
    );
    [outcome, jobs, facts].into_iter().flatten().collect()
}

/// An operator writes to a request, or means to.
pub fn write(finished: bool, name: &str) -> Option<Violation> {
    TerminalIsFinal.unless(!finished, "a write was made after the final result", || {
        name.to_owned()
    })
}

/// Judges every write, also those that were refused.
pub fn judge(history: &History) -> Vec<Violation> {
    history.requests.iter().flat_map(of_request).collect()
}

fn of_request(request: &Request) -> Vec<Violation> {
    let mut broken = Vec::new();
    for attempted in &request.writes {
        let name = &attempted.name;
        match (attempted.from, &attempted.status) {
            (BaseVersion::Version(from), status) => {
                let before = &request.versions[from].object.status;
                let changes = status.iter().flat_map(|status| change(before, status));
                broken.extend(changes.map(|what| what.of(name)));
                // That an edit of `suspend` was noticed changes nothing else.
                let notices = status.as_ref() == Some(before);
                let late = attempted.by_operator && before.finished.is_some() && !notices;
                broken.extend(write(late, name));
            }
            (BaseVersion::Unheard, Some(_)) => broken
                .push(TerminalIsFinal.broken("a status is based on a version that was never stored", name)),
            _ => {}
        }
    }
    broken.into_iter().map(|what| what.of(&request.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{finished, hows, ordinary_history, second_attempt};
    use crate::history::{Outcome, Write, WriteResult};

    #[test]
    fn a_history_in_which_facts_are_only_added_is_allowed() {
        assert_eq!(judge(&ordinary_history()), []);
        assert_eq!(judge(&second_attempt()), []);
        assert_eq!(change(&finished(), &finished()), []);
    }

    #[test]
    fn each_change_of_a_final_fact_is_reported() {
        type Move = (fn(&mut Status), &'static str);
        let moves: [Move; 9] = [
            (|s| s.finished = None, "a finished status was changed"),
            (
                |s| s.verdict = Some("False AllFailed".to_owned()),
                "a final result was changed",
            ),
            (|s| s.project = None, "the project was changed"),
            (|s| s.job = Some("j2".to_owned()), "the job was changed"),
            (
                |s| s.attempts[0].outcome = Outcome::NoEffect,
                "the outcome of an attempt was changed after it was decided",
            ),
            (
                |s| s.attempts[0].jobs.clear(),
                "a job of an attempt was removed or changed",
            ),
            (
                |s| s.attempts[0].facts.push('!'),
                "an immutable field of an attempt was changed",
            ),
            (
                |s| s.desktops[0].state = State::Failed,
                "the state Deleted of a desktop was changed",
            ),
            (
                |s| drop(s.desktops.remove(0)),
                "the state Deleted of a desktop was changed",
            ),
        ];
        for (change_it, how) in moves {
            let mut after = finished();
            change_it(&mut after);
            assert_eq!(hows(&change(&finished(), &after)), [how]);
        }
    }

    #[test]
    fn an_added_job_and_a_first_outcome_are_allowed() {
        let mut before = finished();
        before.attempts[0].outcome = Outcome::Pending;
        let mut after = finished();
        after.attempts[0].jobs.push("j2".to_owned());
        assert_eq!(change(&before, &after), []);
    }

    #[test]
    fn a_write_after_the_end_is_reported_even_if_it_was_refused() {
        let mut history = ordinary_history();
        let last = history.requests[0].versions.len() - 1;
        history.requests[0].writes.push(Write {
            name: "a late write".to_owned(),
            by_operator: true,
            from: BaseVersion::Version(last),
            status: None,
            result: WriteResult::Refused,
        });
        let broken = judge(&history);
        assert_eq!(hows(&broken), ["a write was made after the final result"]);
        assert_eq!(broken[0].about, "leavers: a late write");
        history.requests[0].writes[0].by_operator = false;
        let late = history.requests[0].writes.last_mut();
        late.expect("a write").from = BaseVersion::Unheard;
        assert_eq!(judge(&history), [], "a patch does not change the status");
        let late = history.requests[0].writes.last_mut();
        late.expect("a write").status = Some(finished());
        assert_eq!(
            hows(&judge(&history)),
            ["a status is based on a version that was never stored"]
        );
    }
}
