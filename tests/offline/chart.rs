//! The Helm chart as files: its copies are identical to their originals, and its values offer every flag, with a
//! comment and the default of the program. (What Helm renders is tested by `cargo test --test packaging`.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use desktop_deletion_operator::cli::Cli;
use serde_json::Value;

const CHART: &str = "deploy/helm/desktop-deletion-operator";

/// Copies in the folder `files/` of the chart, and what they copy.
const COPIES: [(&str, &str); 8] = [
    ("alerts.yaml", "docs/alerts.yaml"),
    ("approve.yaml", "deploy/policies/approve.yaml"),
    ("crds/desktopdeletions.yaml", "crds/desktopdeletions.yaml"),
    ("crds/workspaceprojects.yaml", "crds/workspaceprojects.yaml"),
    ("dashboard.json", "deploy/monitoring/dashboard.json"),
    (
        "deny-self-approval.yaml",
        "deploy/self-approval/deny-self-approval.yaml",
    ),
    ("keep-finalizer.yaml", "deploy/policies/keep-finalizer.yaml"),
    ("stamp-creator.yaml", "deploy/self-approval/stamp-creator.yaml"),
];

/// Flags that have a value of another form in the chart, or that the chart sets itself.
const OTHER_FLAGS: [&str; 8] = [
    "allowed-endpoints",
    "cloud-proxy",
    "cloud-proxy-credentials-file",
    "identity",
    "leader-elect",
    "listen",
    "namespaces",
    "otlp-endpoint",
];

#[test]
fn the_copies_in_the_chart_are_identical_to_their_originals() {
    for (copy, original) in COPIES {
        assert!(
            read(&format!("{CHART}/files/{copy}")) == read(original),
            "{CHART}/files/{copy} is not {original}: run deploy/helm/sync-files and commit the result"
        );
    }
    let found = files_below(&root().join(CHART).join("files"));
    assert_eq!(found.len(), COPIES.len(), "{found:?}");
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart: Value = serde_saphyr::from_str(&read(&format!("{CHART}/Chart.yaml"))).unwrap();
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
}

#[test]
fn every_flag_has_a_value_with_the_default_of_the_program() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let flags = run.get_arguments().filter(|flag| {
        let name = flag.get_long();
        name.is_some_and(|name| !OTHER_FLAGS.contains(&name) && name != "help") && !flag.is_hide_set()
    });
    let expected: BTreeMap<String, String> = flags
        .map(|flag| {
            let default = flag.get_default_values()[0].to_str().unwrap();
            let name = camel_case(flag.get_long().unwrap());
            let variable = flag.get_env().unwrap().to_str().unwrap();
            assert_eq!(
                variable,
                format!(
                    "DESKTOP_DELETION_{}",
                    flag.get_long().unwrap().replace('-', "_").to_uppercase()
                ),
                "the chart derives the variable from the name of the flag"
            );
            (name, default.to_owned())
        })
        .collect();

    let text = read(&format!("{CHART}/values.yaml"));
    let (_, section) = text.split_once("\noperator:\n").unwrap();
    let section = section.split("\n\n").next().unwrap();
    let shown: BTreeMap<String, String> = section
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("# ").split_once(": "))
        .filter(|(name, _)| !name.contains(' ') && name.starts_with(|c: char| c.is_lowercase()))
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect();
    let mut own = expected.clone();
    // As in deploy/base.
    own.insert("logFormat".to_owned(), "json".to_owned());
    assert_eq!(shown, own);

    let schema = schema();
    let offered = keys(&schema["properties"]["operator"]["properties"]);
    assert_eq!(offered, expected.keys().cloned().collect());
}

#[test]
fn every_value_has_a_comment_and_a_place_in_the_schema() {
    let text = read(&format!("{CHART}/values.yaml"));
    let lines: Vec<_> = text.lines().collect();
    let mut uncommented = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let key = line.trim_start();
        let opens_a_group =
            key.ends_with(':') && lines[index + 1].len() > lines[index + 1].trim_start().len();
        let is_key = key.contains(':') && !key.starts_with(['#', '-']);
        if is_key && !opens_a_group && !commented(&lines[..index]) {
            uncommented.push(*line);
        }
    }
    assert!(uncommented.is_empty(), "{uncommented:#?}");

    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let mut offered = keys(&schema()["properties"]);
    // Helm hands it to the charts of which this one is a part.
    assert!(offered.remove("global"));
    assert_eq!(offered, keys(&values));
}

/// Whether a comment stands above, directly or above the keys of the same block.
fn commented(before: &[&str]) -> bool {
    let block = before.iter().rev().take_while(|line| !line.trim().is_empty());
    let mut block = block.map(|line| line.trim());
    block.any(|line| line.starts_with('#'))
}

fn camel_case(flag: &str) -> String {
    let mut words = flag.split('-');
    let mut name = words.next().unwrap().to_owned();
    for word in words {
        name.push_str(&word[..1].to_uppercase());
        name.push_str(&word[1..]);
    }
    name
}

fn schema() -> Value {
    serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).unwrap()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
