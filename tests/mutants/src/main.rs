//! Makes each mutant, runs the tests that must fail until one does, and records which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use mutants::list::mutants;
use mutants::page::{self, Killer};
use mutants::trial::{self, TestResults};
use mutants::working_copy::{self, WorkingCopy};
use mutants::{Layer, Mutant};

/// Removes one safety mechanism of the operator at a time, and finds the test that fails.
#[derive(Parser)]
struct Arguments {
    /// Only the mutant of this name; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Only tests of these layers; a mutant without tests in them is skipped.
    #[arg(long, value_delimiter = ',')]
    layers: Vec<Layer>,
    /// Find out which mutants the gate of this layer (model or simulation) detects, instead of running the tests that
    /// must fail.
    #[arg(long, value_parser = surveyed)]
    survey: Option<Layer>,
    /// Only check that the mutants compile
    #[arg(long, conflicts_with_all = ["layers", "survey"])]
    check: bool,
    /// Lists the mutants and exits.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no mutant is called {0}; --list names them")]
    NoSuchMutant(String),
    #[error(transparent)]
    WorkingCopy(#[from] working_copy::Error),
    #[error("mutant {0}: {1}")]
    Trial(&'static str, trial::Error),
    #[error("the unchanged code: {0}")]
    Control(trial::Error),
    #[error("the unchanged code fails in layer {0}: {1:?}")]
    Fails(Layer, Vec<String>),
    #[error("one of {0:?} does not compile: {1}")]
    Check(Vec<&'static str>, trial::Error),
    #[error("no test fails with {0:?}")]
    Survivors(Vec<&'static str>),
    #[error("the page cannot be written: {0}")]
    Page(std::io::Error),
}

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

// It says how long real builds took.
#[allow(clippy::print_stdout, clippy::disallowed_methods)]
fn run(arguments: &Arguments) -> Result<(), Error> {
    let chosen = chosen(arguments)?;
    if arguments.list {
        for mutant in chosen {
            println!("{}: {}", mutant.name, mutant.does);
        }
        return Ok(());
    }
    let root = root();
    let working_copy = WorkingCopy::open(&root, &folder())?;
    if arguments.check {
        return check(&working_copy, chosen);
    }
    if let Some(layer) = arguments.survey {
        return survey(&root, &working_copy, &chosen, layer);
    }
    control(&working_copy, &chosen, arguments)?;
    let mut survivors = Vec::new();
    for mutant in chosen {
        let begun = Instant::now();
        let killer = run_trials(&working_copy, mutant, arguments)?;
        let seconds = begun.elapsed().as_secs();
        if let Some(killer) = killer {
            let killer = page::killer(&killer);
            println!("{}: {killer}, {seconds} s", mutant.name);
            write(&root, mutant, |row| row.killer = killer)?;
        } else {
            println!("{} SURVIVES, {seconds} s", mutant.name);
            survivors.push(mutant.name);
        }
    }
    working_copy.restore()?;
    if survivors.is_empty() {
        Ok(())
    } else {
        Err(Error::Survivors(survivors))
    }
}

/// Compiles the mutants, as many at a time as change different lines.
#[allow(clippy::print_stdout)]
fn check(working_copy: &WorkingCopy, mut unchecked: Vec<&'static Mutant>) -> Result<(), Error> {
    while !unchecked.is_empty() {
        working_copy.restore()?;
        let mut together = Vec::new();
        let mut later = Vec::new();
        for mutant in unchecked {
            match working_copy.make(mutant) {
                Ok(()) => together.push(mutant.name),
                Err(error) if together.is_empty() => return Err(error.into()),
                Err(_) => later.push(mutant),
            }
        }
        if let Err(error) = trial::check(working_copy) {
            return Err(Error::Check(together, error));
        }
        println!("{} mutants compile", together.len());
        unchecked = later;
    }
    working_copy.restore()?;
    Ok(())
}

/// Which of the mutants the gate of a layer detects.
// It says how long real builds took.
#[allow(clippy::print_stdout, clippy::disallowed_methods)]
fn survey(
    root: &Path,
    working_copy: &WorkingCopy,
    chosen: &[&'static Mutant],
    layer: Layer,
) -> Result<(), Error> {
    let Some(column) = Layer::SURVEYED.iter().position(|surveyed| *surveyed == layer) else {
        return Ok(());
    };
    working_copy.restore()?;
    let results = trial::run(working_copy, layer, layer.gate()).map_err(Error::Control)?;
    if !results.failed.is_empty() {
        return Err(Error::Fails(layer, results.failed));
    }
    for mutant in chosen.iter().filter(|mutant| layer.runs(mutant)) {
        let begun = Instant::now();
        working_copy.restore()?;
        working_copy.make(mutant)?;
        let results = trial::run(working_copy, layer, layer.gate())
            .map_err(|error| Error::Trial(mutant.name, error))?;
        let noticed = !results.failed.is_empty();
        println!("{}: {noticed}, {} s", mutant.name, begun.elapsed().as_secs());
        write(root, mutant, |row| row.surveys[column] = Some(noticed))?;
    }
    working_copy.restore()?;
    Ok(())
}

fn surveyed(text: &str) -> Result<Layer, String> {
    let layer = Layer::SURVEYED.into_iter().find(|layer| layer.name() == text);
    layer.ok_or_else(|| "must be model or simulation".to_owned())
}

fn chosen(arguments: &Arguments) -> Result<Vec<&'static Mutant>, Error> {
    if let Some(name) = arguments
        .only
        .iter()
        .find(|name| mutants().all(|mutant| mutant.name != **name))
    {
        return Err(Error::NoSuchMutant(name.clone()));
    }
    let wanted = |mutant: &&Mutant| {
        let named = arguments.only.is_empty() || arguments.only.iter().any(|name| name == mutant.name);
        named && mutant.trials.iter().any(|trial| arguments.admits(trial.layer))
    };
    Ok(mutants().filter(wanted).collect())
}

impl Arguments {
    fn admits(&self, layer: Layer) -> bool {
        self.layers.is_empty() || self.layers.contains(&layer)
    }
}

/// The unchanged code passes every test that must fail with a mutant.
#[allow(clippy::print_stdout)]
fn control(working_copy: &WorkingCopy, chosen: &[&Mutant], arguments: &Arguments) -> Result<(), Error> {
    working_copy.restore()?;
    let mut tests: BTreeMap<Layer, Vec<&str>> = BTreeMap::new();
    for trial in chosen.iter().flat_map(|mutant| mutant.trials) {
        if arguments.admits(trial.layer) {
            tests.entry(trial.layer).or_default().extend(trial.tests);
        }
    }
    for (layer, mut tests) in tests {
        tests.sort_unstable();
        tests.dedup();
        let results = trial::run(working_copy, layer, &tests).map_err(Error::Control)?;
        if !results.failed.is_empty() {
            return Err(Error::Fails(layer, results.failed));
        }
        println!(
            "the unchanged code passes {} tests of layer {layer}",
            results.passed.len()
        );
    }
    Ok(())
}

/// Makes a mutant and finds the tests that fail.
fn run_trials(
    working_copy: &WorkingCopy,
    mutant: &Mutant,
    arguments: &Arguments,
) -> Result<Option<Killer>, Error> {
    working_copy.restore()?;
    working_copy.make(mutant)?;
    for trial in mutant.trials.iter().filter(|trial| arguments.admits(trial.layer)) {
        let TestResults { failed, .. } = trial::run(working_copy, trial.layer, trial.tests)
            .map_err(|error| Error::Trial(mutant.name, error))?;
        if !failed.is_empty() {
            return Ok(Some(Killer {
                layer: trial.layer,
                tests: failed,
            }));
        }
    }
    Ok(None)
}

/// The rows of the present page that are about mutants as they are now.
fn known_rows(root: &Path) -> BTreeMap<&'static str, page::Row> {
    let text = fs::read_to_string(root.join(page::PATH)).unwrap_or_default();
    let row = |mutant: &'static Mutant| {
        let row = page::rows(&text).find_map(|line| page::Row::read(mutant, line))?;
        Some((mutant.name, row))
    };
    mutants().filter_map(row).collect()
}

/// Changes the row of a mutant.
fn write(root: &Path, mutant: &Mutant, change: impl FnOnce(&mut page::Row)) -> Result<(), Error> {
    let mut rows = known_rows(root);
    change(rows.entry(mutant.name).or_default());
    let lines: Vec<_> = mutants()
        .filter_map(|mutant| Some(rows.get(mutant.name)?.line(mutant)))
        .collect();
    fs::write(root.join(page::PATH), page::page(&lines)).map_err(Error::Page)
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    // This crate is tests/mutants, two levels below it.
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Below the target folder, in which this very program lies in a folder of its profile.
fn folder() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own.ancestors().nth(2);
    target
        .map_or_else(|| root().join("target"), Path::to_owned)
        .join("mutants")
}
