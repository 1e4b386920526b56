//! Runs tests of the copy, and reads which of them failed. A mutant that does not build is not a result, so it is built
//! first.

use std::ffi::OsString;
use std::process::{Command, Output, Stdio};

use crate::Layer;
use crate::working_copy::WorkingCopy;

/// The result of a run of tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TestResults {
    /// Those that passed.
    pub passed: Vec<String>,
    /// Those that failed.
    pub failed: Vec<String>,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo cannot be run.
    #[error("cargo cannot be run: {0}")]
    Cargo(std::io::Error),
    /// The sources do not build.
    #[error("the code of layer {layer} does not build:\n{output}")]
    Build {
        /// Which tests.
        layer: Layer,
        /// What Cargo says.
        output: String,
    },
    /// The run did not end as runs of tests do.
    #[error("the tests of layer {layer} ended without naming one that failed:\n{output}")]
    Broken {
        /// Which tests.
        layer: Layer,
        /// The end of what was printed.
        output: String,
    },
    /// No test has such a name.
    #[error("no test of layer {layer} has {tests:?} in its name")]
    NoTest {
        /// In which layer.
        layer: Layer,
        /// The searched names.
        tests: Vec<String>,
    },
}

/// Builds and runs the tests of a layer that have one of `tests` in their names.
///
/// # Errors
/// They do not build, there is none of that name, or they did not come to an end.
pub fn run(working_copy: &WorkingCopy, layer: Layer, tests: &[&str]) -> Result<TestResults, Error> {
    let built = cargo(working_copy, "test", &[layer.arguments(), &["--no-run"]].concat())?;
    if !built.status.success() {
        let output = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(Error::Build { layer, output });
    }
    let ran = cargo(
        working_copy,
        "test",
        &[layer.arguments(), &["--"], tests].concat(),
    )?;
    let output = String::from_utf8_lossy(&ran.stdout).into_owned();
    let results = TestResults::read(&output);
    let known = |part: &&&str| results.all().any(|name| name.contains(**part));
    let unknown: Vec<String> = tests
        .iter()
        .filter(|part| !known(part))
        .map(|part| (*part).to_owned())
        .collect();
    if ran.status.success() != results.failed.is_empty() {
        let output = format!("{}{}", tail(&output), tail(&String::from_utf8_lossy(&ran.stderr)));
        return Err(Error::Broken { layer, output });
    }
    if !unknown.is_empty() {
        let tests = unknown;
        return Err(Error::NoTest { layer, tests });
    }
    Ok(results)
}

/// Compiles the library of the operator, which has all that mutants change.
///
/// # Errors
/// It does not compile.
pub fn check(working_copy: &WorkingCopy) -> Result<(), Error> {
    let layer = Layer::Unit;
    let checked = cargo(
        working_copy,
        "check",
        &[layer.arguments(), &["--profile=test"]].concat(),
    )?;
    if checked.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&checked.stderr).into_owned();
    Err(Error::Build { layer, output })
}

fn cargo(working_copy: &WorkingCopy, command: &str, arguments: &[&str]) -> Result<Output, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    Command::new(cargo)
        .args([command, "--locked"])
        .args(arguments)
        .current_dir(&working_copy.sources)
        .env("CARGO_TARGET_DIR", &working_copy.build)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::Cargo)
}

impl TestResults {
    /// Reads the lines by which the test harness says how each test ended.
    fn read(output: &str) -> Self {
        let mut results = Self::default();
        for line in output.lines() {
            let Some((name, end)) = line
                .strip_prefix("test ")
                .and_then(|line| line.split_once(" ... "))
            else {
                continue;
            };
            match end {
                "ok" => results.passed.push(name.to_owned()),
                "FAILED" => results.failed.push(name.to_owned()),
                _ => {}
            }
        }
        results.failed.sort();
        results
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.passed.iter().chain(&self.failed)
    }
}

fn tail(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_results_are_read_from_the_output_of_the_test_harness() {
        let output = "\nrunning 3 tests\ntest a::b ... ok\ntest a::d ... FAILED\ntest a::c ... FAILED\n\
                      test e ... ignored\n\nfailures:\n\n---- a::c stdout ----\ntest of a text\n";
        let results = TestResults::read(output);
        assert_eq!(results.passed, ["a::b"]);
        assert_eq!(results.failed, ["a::c", "a::d"]);
    }
}
