//! Mutants of the protocol, in the code: each takes one safety mechanism away, and must make a test fail.
//!
//! | file | what |
//! | --- | --- |
//! | [`list`] | the mutants, as data |
//! | [`page`] | `docs/mutants.md`: which test notices which mutant |
//! | [`working_copy`] | a copy of the sources, in which one mutant at a time is made |
//! | [`trial`] | runs tests, and reads which of them failed |

use std::fmt;

pub mod list;
pub mod page;
pub mod trial;
pub mod working_copy;

/// One safety mechanism taken away.
#[derive(Debug)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// The behaviour of the code without the mechanism, as printed on the page.
    pub does: &'static str,
    /// How the mechanism is removed.
    pub edits: &'static [Edit],
    /// The tests that must fail, the cheapest layer first.
    pub trials: &'static [Trial],
}

/// One change of one file.
#[derive(Debug)]
pub struct Edit {
    /// Path from the root of the project.
    pub file: &'static str,
    /// The text that is replaced; it occurs once.
    pub find: &'static str,
    /// The replacement.
    pub replace: &'static str,
}

/// Tests of one layer.
#[derive(Debug)]
pub struct Trial {
    /// Which layer.
    pub layer: Layer,
    /// Parts of the names of the tests.
    pub tests: &'static [&'static str],
}

/// A layer of tests (`tests/README.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Layer {
    /// Beside the code, in `src/`.
    Unit,
    /// `tests/offline`.
    Offline,
    /// `tests/model`.
    Model,
    /// `tests/simulation`.
    Simulation,
    /// `tests/cluster`.
    Cluster,
    /// `tests/faults`.
    Faults,
}

impl Layer {
    /// Every layer, cheapest first.
    pub const ALL: [Self; 6] = [
        Self::Unit,
        Self::Offline,
        Self::Model,
        Self::Simulation,
        Self::Cluster,
        Self::Faults,
    ];

    /// The layers whose gates are run with every mutant, whether or not one of their tests must fail.
    pub const SURVEYED: [Self; 2] = [Self::Model, Self::Simulation];

    /// Whether a surveyed layer runs the code that a mutant changes: the model runs only the decision, and the
    /// simulation has its own network.
    pub fn runs(self, mutant: &Mutant) -> bool {
        let runs = |edit: &Edit| match self {
            Self::Model => edit.file.starts_with("src/plan"),
            _ => !["src/workspace/connector.rs", "src/workspace/transport.rs"].contains(&edit.file),
        };
        mutant.edits.iter().any(runs)
    }

    /// The test of a surveyed layer that covers all faults.
    pub fn gate(self) -> &'static [&'static str] {
        match self {
            Self::Model => &["in_every_order_of_events"],
            _ => &["the_invariants_hold_with_random_faults"],
        }
    }

    /// Name in the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Offline => "offline",
            Self::Model => "model",
            Self::Simulation => "simulation",
            Self::Cluster => "cluster",
            Self::Faults => "faults",
        }
    }

    /// The arguments of `cargo test` that select it.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Unit => &["--package=desktop-deletion-operator", "--lib"],
            Self::Offline => &["--package=desktop-deletion-operator", "--test=offline"],
            Self::Model => &["--package=protocol-model", "--test=gate"],
            Self::Simulation => &["--package=simulation", "--test=gate"],
            Self::Cluster => &["--package=desktop-deletion-operator", "--test=cluster"],
            Self::Faults => &["--package=desktop-deletion-operator", "--test=faults"],
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
