//! `docs/mutants.md`: each mutant and the tests that fail with it. It is written by the run that found them.

use std::fmt::Write;

use crate::{Layer, Mutant};

/// Path of the page from the root of the project.
pub const PATH: &str = "docs/mutants.md";

/// So many tests are named at most.
const MAX_NAMES: usize = 3;

const HEAD: &str = "\
# Mutants

<!-- Written by `cargo run -p mutants`. Do not edit. -->

This page shows that the tests cover each safety mechanism of the [protocol](crash-safety.md). One mechanism at a time is
removed from a copy of the sources, which is built and tested. A mutant must build, and must make a test fail; the unchanged
code passes the same tests before. The changes are in
[`tests/mutants/src/list/`](../tests/mutants/src/list.rs).

```sh
cargo run -p mutants                                   # all of them; writes this page
cargo run -p mutants -- --only single-evidence-check      # one of them; writes its row
```

The last two columns show whether the [model](../tests/model) and the [simulation](../tests/simulation) detect the mutant as
well. Their gates are not written for a particular mutant: they run configurations with all kinds of faults. `no` is not
a gap, since a test of the third column fails. A column is empty if the model or the simulation does not run the changed
code, and contains `not run` if its gate was not run with the mutant. `cargo run -p mutants -- --survey model` (or
`simulation`) writes them.

The model also removes mechanisms outside of the decision function: `cargo run -p protocol-model -- --help`.

| mutant | effect on the code | failing tests | model | simulation |
| --- | --- | --- | --- | --- |
";

/// A mutant's row on the page.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The failing tests.
    pub killer: String,
    /// Whether the gates of [`Layer::SURVEYED`] do, in that order.
    pub surveys: [Option<bool>; 2],
}

const NOTICED: [(&str, Option<bool>); 3] = [("yes", Some(true)), ("no", Some(false)), ("not run", None)];

impl Row {
    /// Reads the row of a mutant as it is now.
    pub fn read(mutant: &Mutant, row: &str) -> Option<Self> {
        let mut cells = row
            .strip_prefix(&row_begins(mutant))?
            .strip_suffix(" |")?
            .split(" | ");
        let killer = cells.next()?.to_owned();
        let surveys = [(); 2].map(|()| {
            let cell = cells.next().unwrap_or_default();
            let known = NOTICED.iter().find(|(word, _)| *word == cell.trim());
            known.and_then(|(_, noticed)| *noticed)
        });
        Some(Self { killer, surveys })
    }

    /// The row of the page.
    pub fn line(&self, mutant: &Mutant) -> String {
        let cells = Layer::SURVEYED.iter().zip(self.surveys).map(|(layer, noticed)| {
            let known = NOTICED.iter().find(|(_, known)| *known == noticed);
            let word = known.filter(|_| layer.runs(mutant)).map_or("", |(word, _)| word);
            format!(" {word} |")
        });
        let cells: String = cells.collect();
        format!("{}{} |{cells}", row_begins(mutant), self.killer)
    }
}

/// The tests that fail with a mutant.
#[derive(Debug)]
pub struct Killer {
    /// The layer.
    pub layer: Layer,
    /// The tests that failed.
    pub tests: Vec<String>,
}

/// How the row of a mutant begins.
pub fn row_begins(mutant: &Mutant) -> String {
    format!("| `{}` | {} | ", mutant.name, mutant.does)
}

/// The failing tests of a mutant, as in its row.
pub fn killer(killer: &Killer) -> String {
    let shown = killer.tests.iter().take(MAX_NAMES);
    let names: Vec<_> = shown.map(|name| format!("`{name}`")).collect();
    let mut text = format!("{}: {}", killer.layer, names.join(", "));
    let more = killer.tests.len().saturating_sub(MAX_NAMES);
    if more > 0 {
        // Writing to a string does not fail.
        write!(text, ", and {more} more").ok();
    }
    text
}

/// The rows of a page.
pub fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| line.starts_with("| `"))
}

/// The page with these rows, at least one.
pub fn page(rows: &[String]) -> String {
    format!("{HEAD}{}\n", rows.join("\n"))
}
