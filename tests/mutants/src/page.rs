//! `docs/mutants.md`: each mutant and the tests that notice it. It is written by the run that found them.

use std::fmt::Write;

use crate::{Layer, Mutant};

/// Path of the page from the root of the project.
pub const PATH: &str = "docs/mutants.md";

/// So many tests are named at most.
const MOST_NAMES: usize = 3;

const HEAD: &str = "\
# Mutants

<!-- Written by `cargo run -p mutants`. Do not edit. -->

This page shows that the tests cover each safety mechanism of the [protocol](crash-safety.md). One mechanism at a time is
removed from a copy of the sources, which is built and tested. A mutant must build, and must make a test fail; the unchanged
code passes the same tests before. The changes are in
[`tests/mutants/src/list/`](../tests/mutants/src/list.rs).

```sh
cargo run -p mutants                                   # all of them; writes this page
cargo run -p mutants -- --only one-look-is-enough      # one of them; writes its row
```

The model removes mechanisms as well, from the world around the decision: `cargo run -p protocol-model -- --help`.

| mutant | what the code does then | failing tests |
| --- | --- | --- |
";

/// What noticed a mutant.
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

/// The row of a mutant.
pub fn row(mutant: &Mutant, killer: &Killer) -> String {
    let shown = killer.tests.iter().take(MOST_NAMES);
    let names: Vec<_> = shown.map(|name| format!("`{name}`")).collect();
    let mut row = format!("{}{}: {}", row_begins(mutant), killer.layer, names.join(", "));
    let more = killer.tests.len().saturating_sub(MOST_NAMES);
    if more > 0 {
        // Writing to a string does not fail.
        write!(row, ", and {more} more").ok();
    }
    row + " |"
}

/// The rows of a page.
pub fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| line.starts_with("| `"))
}

/// The page with these rows, at least one.
pub fn page(rows: &[String]) -> String {
    format!("{HEAD}{}\n", rows.join("\n"))
}
