//! The limit of a day holds in every order of events, and each safety mechanism of it is needed.

use protocol_model::day::moves::Mutant;
use protocol_model::day::search::{self, Report};
use protocol_model::day::world::Budget;

const THREADS: usize = 2;

/// Searches all worlds in which so much goes wrong, and people do so much.
fn searched(faults: u8, user_actions: u8, mutant: Option<Mutant>) -> Report {
    let budget = Budget {
        faults,
        user_actions,
        attempts: 2,
    };
    let report = search::run(budget, mutant, THREADS);
    println!("{budget:?}, without {mutant:?}: {report:?}");
    report
}

#[test]
fn the_daily_limit_is_never_exceeded_and_no_reservation_is_leaked() {
    for (faults, user_actions) in [(1, 0), (0, 1)] {
        let report = searched(faults, user_actions, None);
        assert!(report.broken.is_empty(), "{}", report.broken.join("\n"));
        assert!(faults == 0 || report.unreached.is_empty(), "{report:?}");
    }
}

#[test]
fn each_safety_mechanism_of_the_limit_is_needed() {
    for mutant in [
        Mutant::ProjectWithoutVersion,
        Mutant::IntentWithoutVersion,
        Mutant::GivenBackAtOnce,
    ] {
        let report = searched(0, 1, Some(mutant));
        let states = report.states;
        assert!(
            !report.broken.is_empty(),
            "{mutant:?} survives a search of {states} states"
        );
    }
}
