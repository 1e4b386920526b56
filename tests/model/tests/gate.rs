//! The searches of the gate: the shipped protocol holds in every world of that size, and each safety mechanism is
//! needed.

use std::collections::BTreeMap;

use clap::ValueEnum;
use desktop_deletion_operator::crd::deletion::AuthMethod;
use protocol_model::config::{Config, Mutant, People, Replacing};
use protocol_model::search::{self, Report};

const THREADS: usize = 2;

/// Transitions that need clocks that go wrong and people at once: such worlds are too large for the gate. The page of the
/// model has the command.
const ONLY_LARGER: [&str; 2] = [
    "ask the cloud for the time",
    "write that the deadline passed by one clock",
];

/// Searches that world, in which all must hold.
fn holds(name: &str, config: Config) -> Report {
    let report = search::run(config, THREADS, None);
    println!("{name}: {report}");
    assert!(report.broken.is_empty(), "{name}: {report}");
    report
}

#[test]
fn in_every_order_of_events_the_invariants_hold_and_every_kind_of_event_occurs() {
    let small = Config {
        settle_every: 100,
        ..Config::default()
    };
    let sizes = [
        ("one fault and two acts of people", small, 1, 2),
        ("three faults", small, 3, 0),
        ("two desktops", Config { desktops: 2, ..small }, 1, 0),
        (
            "two operators",
            Config {
                operators: 2,
                ..small
            },
            0,
            1,
        ),
        (
            "a token whose expiry is not known",
            Config {
                auth: AuthMethod::Token,
                ..small
            },
            2,
            0,
        ),
    ];
    let worlds = sizes.map(|(name, config, faults, user_actions)| {
        let config = Config {
            faults,
            user_actions,
            ..config
        };
        (name, config)
    });
    let worlds = worlds.into_iter().chain(untrue(small));
    let mut taken = BTreeMap::new();
    let mut states = 0;
    for (name, config) in worlds {
        let report = holds(name, config);
        if config.faults > 0 && config.people == People::Everything {
            assert_eq!(report.unreached, Vec::<&str>::new(), "{name}");
        }
        states += report.states;
        for (kind, count) in report.taken {
            *taken.entry(kind).or_insert(0) += count;
        }
    }
    println!("{states} states in all");
    let never: Vec<_> = taken
        .iter()
        .filter(|(kind, count)| **count == 0 && !ONLY_LARGER.contains(*kind))
        .collect();
    assert!(never.is_empty(), "transitions that were never judged: {never:?}");
}

/// Worlds in which clocks go wrong, such in which clients replace the object, and such in which people approve.
fn untrue(small: Config) -> [(&'static str, Config); 6] {
    let clocks = Config {
        faults: 1,
        clock_faults: 1,
        user_actions: 0,
        people: People::Ending,
        ..small
    };
    let replacing = |replacing, faults, user_actions| Config {
        faults,
        user_actions,
        people: People::Replacing,
        replacing,
        ..small
    };
    let approving = |faults, user_actions| Config {
        faults,
        user_actions,
        people: People::Approving,
        ..small
    };
    [
        (
            "approvals that are given, changed and taken back, and a fault",
            approving(1, 3),
        ),
        ("more of them without a fault", approving(0, 5)),
        ("one clock that goes wrong, and a fault", clocks),
        (
            "clients that replace the object, one process that lives on",
            replacing(Replacing::AtAnyTime, 0, 3),
        ),
        (
            "clients that replace the object and leave time to put the finalizer back, and a fault",
            replacing(Replacing::WithTime, 1, 3),
        ),
        (
            "clients that replace the object under the policy, and a fault",
            replacing(Replacing::UnderPolicy, 1, 2),
        ),
    ]
}

/// A world that is large enough for the mutant to do harm.
fn world_for(mutant: Mutant) -> Config {
    // Some need another operator, people or clocks that go wrong.
    let (operators, faults, user_actions) = match mutant {
        Mutant::SignedWhenSent => (2, 1, 0),
        Mutant::FinalizerDropped => (1, 1, 2),
        Mutant::IntentWithoutResourceVersion | Mutant::StatusWithoutResourceVersion => (1, 1, 1),
        Mutant::OneClockIsEnough => (1, 1, 0),
        Mutant::ClaimForgotten => (1, 0, 3),
        Mutant::FinalizerNotRestored | Mutant::PolicyMissing => (1, 1, 3),
        _ => (1, 2, 0),
    };
    let (clock_faults, replacing) = match mutant {
        Mutant::OneClockIsEnough => (1, Replacing::Never),
        Mutant::FinalizerNotRestored => (0, Replacing::WithTime),
        Mutant::ClaimForgotten => (0, Replacing::AtAnyTime),
        Mutant::PolicyMissing => (0, Replacing::UnderPolicy),
        _ => (0, Replacing::Never),
    };
    let people = match replacing {
        Replacing::Never => People::Everything,
        _ => People::Replacing,
    };
    Config {
        operators,
        faults,
        clock_faults,
        user_actions,
        people,
        replacing,
        settle_every: 20,
        mutant: Some(mutant),
        ..Config::default()
    }
}

#[test]
fn each_safety_mechanism_is_needed() {
    for mutant in Mutant::value_variants() {
        let config = world_for(*mutant);
        let report = search::run(config, THREADS, None);
        let Some((property, story)) = report.broken.first() else {
            panic!("{mutant:?} survives a search of {} states", report.states);
        };
        println!("{mutant:?} breaks {property}\n{story}");
    }
}
