//! Completions for the shell. kubectl runs the program `kubectl_complete-desktops` with the words after
//! `kubectl desktops`; the last word is the one to complete. It only needs a symbolic link of that name to this
//! program.

use std::path::Path;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use desktop_deletion_operator::crd::DesktopDeletion;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::args::Args;
use crate::connection::{Cluster, Connection};
use crate::output;

/// The name of the program that kubectl runs.
const NAME: &str = "kubectl_complete-desktops";

/// Timeout for the list of names: a later completion is of no use.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// "No file names": a directive of the Cobra library, which kubectl hands to the shell.
const NO_FILES: &str = ":4";
const FILES: &str = ":0";

/// The words to complete, if this process was started for a completion.
pub(crate) fn completion_words() -> Option<Vec<String>> {
    let mut words = std::env::args();
    let program = words.next()?;
    (Path::new(&program).file_stem()? == NAME).then(|| words.collect())
}

/// Prints the candidates; none if an error occurs.
pub(crate) async fn run(words: &[String]) {
    let (last, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut lines = candidates(before, last);
    let mut directive = NO_FILES;
    match subcommand(before) {
        Some("split") => directive = FILES,
        Some(_) if !last.starts_with('-') && !expects_value(before) => {
            let connection = connection(before);
            let names = tokio::time::timeout(LIST_TIMEOUT, names(&connection)).await;
            lines.extend(names.ok().flatten().unwrap_or_default());
        }
        _ => {}
    }
    lines.retain(|line| line.starts_with(last));
    lines.push(directive.to_owned());
    let lines: Vec<_> = lines.iter().map(|line| output::escaped(line)).collect();
    output::print(&(lines.join("\n") + "\n"));
}

/// Subcommands, or flags, that may stand after these words.
fn candidates(before: &[String], last: &str) -> Vec<String> {
    let command = Args::command();
    let chosen = subcommand(before).and_then(|name| command.find_subcommand(name));
    if expects_value(before) {
        return Vec::new();
    }
    if last.starts_with('-') {
        let own = chosen.into_iter().flat_map(clap::Command::get_arguments);
        let flags = command.get_arguments().chain(own);
        return flags
            .filter_map(|flag| Some(format!("--{}", flag.get_long()?)))
            .collect();
    }
    if chosen.is_some() {
        return Vec::new();
    }
    command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect()
}

/// The subcommand among the words.
fn subcommand(before: &[String]) -> Option<&str> {
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if takes_value(word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

fn expects_value(before: &[String]) -> bool {
    before.last().is_some_and(|word| takes_value(word))
}

/// Whether the next word is the value of this one.
fn takes_value(word: &str) -> bool {
    const FLAGS: [&str; 11] = [
        "-n",
        "--namespace",
        "--context",
        "--kubeconfig",
        "-o",
        "--output",
        "--timeout",
        "--new-name",
        "--adopt",
        "--attempt",
        "--size",
    ];
    FLAGS.contains(&word)
}

/// The connection flags among the words.
fn connection(before: &[String]) -> Connection {
    let begin = ["kubectl-desktops".to_owned()];
    let complete = ["leavers".to_owned()];
    Args::try_parse_from(begin.iter().chain(before).chain(&complete))
        .map(|args| args.connection)
        .unwrap_or_default()
}

async fn names(connection: &Connection) -> Option<Vec<String>> {
    let cluster = Cluster::connect(connection).await.ok()?;
    let requests: &Api<DesktopDeletion> = &cluster.requests;
    let list = requests.list_metadata(&ListParams::default()).await.ok()?;
    Some(list.iter().map(ResourceExt::name_any).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn subcommands_and_flags_are_completed_where_they_are_valid() {
        let begin = candidates(&words("-n vdi-prod"), "");
        assert!(begin.contains(&"approve".to_owned()) && !begin.iter().any(|word| word.starts_with('-')));
        let flags = candidates(&words("approve leavers"), "--");
        assert!(
            flags.contains(&"--yes".to_owned()) && flags.contains(&"--namespace".to_owned()),
            "{flags:?}"
        );
        assert_eq!(candidates(&words("plan -n"), ""), Vec::<String>::new());
        assert_eq!(subcommand(&words("--context one wait")), Some("wait"));
        let connection = connection(&words("plan -n vdi-prod --context one"));
        assert_eq!(connection.namespace.as_deref(), Some("vdi-prod"));
    }

    #[test]
    fn every_flag_with_a_value_is_known() {
        let command = Args::command();
        let all = command.get_subcommands().flat_map(clap::Command::get_arguments);
        for flag in all.chain(command.get_arguments()) {
            let Some(long) = flag.get_long() else { continue };
            let takes = flag.get_action().takes_values();
            assert_eq!(takes_value(&format!("--{long}")), takes, "--{long}");
        }
    }
}
