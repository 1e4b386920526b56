//! What people install and load into other programs, tried with those programs: the Helm chart with Helm and a real API
//! server, all manifests with kube-score, the alerts and the dashboard with promtool, the GitOps rules with the interpreters of
//! Argo CD and Flux, the bundle with the validators and the definitions of OLM.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

mod bundle;
mod chart;
mod gitops;
mod lint;
mod monitoring;
mod release;

/// What a program printed.
struct Printed {
    success: bool,
    stdout: String,
    stderr: String,
}

/// Runs a program with its input, and without the environment of the person who runs the tests.
fn run<A: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
    environment: &[(&str, &Path)],
    input: &str,
) -> Printed {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // In a thread of its own: the program may print before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // The program may end without reading its input; its exit code shows whether that is an error.
    writer.join().unwrap().ok();
    Printed {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The documents of a YAML stream, without empty ones.
fn documents(text: &str) -> Vec<Value> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.retain(|document| !document.is_null());
    documents
}

/// A file of the project.
fn path(path: &str) -> PathBuf {
    testkit::workspace().join(path)
}

fn read(file: &str) -> String {
    let path = path(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder, sorted, without those of its folders.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path(folder)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}
