//! The searches of the gate: the shipped protocol holds in every world of that size, and each safety mechanism is
//! needed.

use std::collections::BTreeMap;

use clap::ValueEnum;
use desktop_deletion_operator::crd::deletion::AuthMethod;
use protocol_model::config::{Config, Mutant};
use protocol_model::search::{self, Report};

const THREADS: usize = 2;

/// Searches that world, in which all must hold.
fn holds(name: &str, config: Config) -> Report {
    let report = search::run(config, THREADS, None);
    println!("{name}: {report}");
    assert!(report.broken.is_empty(), "{name}: {report}");
    report
}

#[test]
fn whatever_happens_the_invariants_hold_and_everything_listed_happens() {
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
    let worlds = sizes.map(|(name, config, faults, meddling)| {
        let config = Config {
            faults,
            meddling,
            ..config
        };
        (name, config)
    });
    let mut taken = BTreeMap::new();
    let mut states = 0;
    for (name, config) in worlds {
        let report = holds(name, config);
        if config.faults > 0 {
            assert_eq!(report.unreached, Vec::<&str>::new(), "{name}");
        }
        states += report.states;
        for (kind, count) in report.taken {
            *taken.entry(kind).or_insert(0) += count;
        }
    }
    println!("{states} states in all");
    let never: Vec<_> = taken.iter().filter(|(_, count)| **count == 0).collect();
    assert!(never.is_empty(), "transitions that were never judged: {never:?}");
}

#[test]
fn each_safety_mechanism_is_needed() {
    for mutant in Mutant::value_variants() {
        let (operators, faults, meddling) = match mutant {
            // Some need another operator, or people, to do harm.
            Mutant::SignedWhenSent => (2, 1, 0),
            Mutant::FinalizerDropped => (1, 1, 2),
            Mutant::IntentWithoutResourceVersion | Mutant::StatusWithoutResourceVersion => (1, 1, 1),
            _ => (1, 2, 0),
        };
        let config = Config {
            operators,
            faults,
            meddling,
            settle_every: 20,
            mutant: Some(*mutant),
            ..Config::default()
        };
        let report = search::run(config, THREADS, None);
        let Some((property, story)) = report.broken.first() else {
            panic!("{mutant:?} survives a search of {} states", report.states);
        };
        println!("{mutant:?} breaks {property}\n{story}");
    }
}
