//! The documentation matches the code: each reason has its paragraph, the quoted messages are the operator's own, flags
//! and their defaults exist, links are valid.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use desktop_deletion_operator::cli::Cli;
use desktop_deletion_operator::config::duration;
use desktop_deletion_operator::crd::conditions::{DELETION, PROJECT, Reason, Statement};
use desktop_deletion_operator::ids::code;

use markdown::{Page, Section, pages};

mod markdown;
mod words;

/// Level of the headings that are reasons, and of no others.
const REASONS: usize = 3;

/// Words in the examples that are names of objects, or the words of the API server.
const NAMES: &[&str] = &["prod", "leavers", "is", "forbidden", "anna", "ben", "keep"];

#[test]
fn every_reason_has_exactly_one_heading_and_every_heading_is_a_reason() {
    let page = conditions();
    let headings: Vec<_> = reasons(&page).iter().map(|section| section.title).collect();
    let events = event_reasons();
    let known: BTreeSet<_> = Reason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .chain(events.iter().map(String::as_str))
        .collect();
    let unexplained: Vec<_> = known.iter().filter(|reason| !headings.contains(reason)).collect();
    let unknown: Vec<_> = headings.iter().filter(|title| !known.contains(*title)).collect();
    assert!(
        unexplained.is_empty() && unknown.is_empty(),
        "docs/conditions.md: no heading for {unexplained:?}; no reason is {unknown:?}"
    );
    assert_eq!(headings.len(), known.len(), "a reason has two headings");
}

#[test]
fn every_paragraph_about_a_reason_lists_its_conditions() {
    let events = event_reasons();
    let mut wrong = Vec::new();
    for section in reasons(&conditions()) {
        let said = section.lines.iter().find(|line| !line.is_empty()).unwrap();
        let expected = if events.contains(section.title) {
            "Event".to_owned()
        } else {
            conditions_of(section.title)
        };
        if **said != expected {
            wrong.push(format!("{}: {expected}", section.title));
        }
    }
    assert!(
        wrong.is_empty(),
        "these paragraphs of docs/conditions.md must begin like this:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_messages_in_the_docs_match_those_in_the_code() {
    let texts = words::literals(&root().join("src"));
    let page = conditions();
    let examples: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    assert!(examples.len() > 30, "only {} examples", examples.len());
    let mut foreign = Vec::new();
    for example in examples {
        // Where a message has what Markdown takes for a tag.
        let example = example.replace("\\<", "<");
        let mut unknown = words::unknown(&example, &texts);
        unknown.retain(|word| !NAMES.contains(word));
        if !unknown.is_empty() {
            foreign.push(format!("{example}\n    not in src/: {}", unknown.join(" ")));
        }
    }
    assert!(
        foreign.is_empty(),
        "docs/conditions.md shows messages that the code does not word like this:\n{}",
        foreign.join("\n")
    );
}

#[test]
fn every_code_of_the_operator_has_a_row() {
    let page = conditions();
    let (_, table) = page.text.split_once("The operator's own codes are:").unwrap();
    let (table, _) = table.split_once("\n### ").unwrap();
    let cells = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut rows: Vec<_> = cells.map(|(code, _)| code).collect();
    let mut known = code::ALL.to_vec();
    rows.sort_unstable();
    known.sort_unstable();
    assert_eq!(rows, known, "docs/conditions.md");
}

#[test]
fn the_files_that_inputs_md_names_exist() {
    let page = Page::read(&root().join("tests/inputs.md"));
    let folders = ["", "src", "tests", "tests/simulation/src"].map(|folder| root().join(folder));
    let mut named = page.code();
    let is_code = |path: &str| {
        Path::new(path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    };
    named.retain(|code| is_code(code) || code.ends_with('/'));
    assert!(named.len() > 100, "{named:?}");
    named.retain(|file| !folders.iter().any(|folder| folder.join(file).exists()));
    assert_eq!(named, Vec::<&str>::new(), "tests/inputs.md");
}

#[test]
fn every_flag_in_the_docs_exists() {
    let command = Cli::command();
    let arguments = || command.get_subcommands().flat_map(clap::Command::get_arguments);
    let flags: BTreeSet<_> = arguments().filter_map(clap::Arg::get_long).collect();
    let variables: BTreeSet<_> = arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    let mut missing = Vec::new();
    for page in ["docs", "crds", "deploy"]
        .iter()
        .flat_map(|folder| pages(&root().join(folder)))
    {
        let place = page.path.display();
        for flag in page.code().into_iter().filter_map(|code| code.strip_prefix("--")) {
            let name = flag.split([' ', '=']).next().unwrap_or_default();
            if !flags.contains(name) {
                missing.push(format!("{place}: --{name}"));
            }
        }
        let name = |c: char| c.is_ascii_uppercase() || c == '_';
        for word in page
            .text
            .split(|c| !name(c))
            .filter(|w| w.starts_with("DESKTOP_DELETION_"))
        {
            if !variables.contains(word) {
                missing.push(format!("{place}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_page_of_the_plugin_names_its_commands_and_flags() {
    let help = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_kubectl-desktops");
        let mut command = std::process::Command::new(program);
        let output = command.args(arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = help(&[]);
    let (_, commands) = listed.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<_> = commands
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    assert!(commands.len() > 5, "{listed}");
    let page = Page::read(&root().join("docs/kubectl-desktops.md"));
    let mut flags = String::new();
    for command in commands {
        let row = format!("| `{command} ");
        assert!(
            page.lines().any(|line| line.starts_with(&row)),
            "no row for {command}"
        );
        flags += &help(&[command]);
    }
    let words = page.code().into_iter().flat_map(|code| code.split_whitespace());
    let named: Vec<_> = words.filter(|word| word.starts_with("--")).collect();
    assert!(named.len() > 5, "{named:?}");
    for flag in named {
        let name = flag.split('=').next().unwrap();
        assert!(
            flags.contains(&format!("{name} ")) || flags.contains(&format!("{name}\n")),
            "{flag}"
        );
    }
}

#[test]
fn a_time_before_a_flag_is_its_default() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in pages(&root().join("docs")) {
        let text = page.lines().collect::<Vec<_>>().join(" ");
        let parts: Vec<_> = text.split("`--").collect();
        for pair in parts.windows(2) {
            let Some(shown) = time_at_the_end(pair[0]) else {
                continue;
            };
            let flag = pair[1].split('`').next().unwrap();
            let argument = run.get_arguments().find(|arg| arg.get_long() == Some(flag));
            let default = argument.and_then(|arg| arg.get_default_values().first()?.to_str());
            if default.and_then(|text| duration::parse(text).ok()) != Some(shown) {
                wrong.push(format!(
                    "{}: {shown:?} (--{flag}), default: {default:?}",
                    page.path.display()
                ));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "only {seen} times were found");
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages(&root()) {
        for link in page.links().iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link
                .split_once('#')
                .map_or((&**link, None), |(f, a)| (f, Some(a)));
            let target = if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().unwrap().join(file)
            };
            let reached = match anchor {
                _ if !target.exists() => false,
                Some(anchor) => Page::read(&target).anchors().iter().any(|known| known == anchor),
                None => true,
            };
            if !reached {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_of_the_docs_is_in_the_summary_once() {
    let summary = Page::read(&root().join("docs/SUMMARY.md"));
    let listed = summary.links();
    for page in pages(&root().join("docs")) {
        let name = page
            .path
            .strip_prefix(root().join("docs"))
            .unwrap()
            .to_str()
            .unwrap();
        let count = listed.iter().filter(|link| *link == name).count();
        assert_eq!(count, usize::from(page.path != summary.path), "{name}");
    }
}

#[test]
fn every_file_that_the_docs_name_exists() {
    let folders = [
        ".ci/",
        "crds/",
        "deploy/",
        "docs/",
        "examples/",
        "simulator/",
        "src/",
        "tests/",
    ];
    let mut missing = Vec::new();
    for page in pages(&root()) {
        let code = page.code().into_iter();
        let named = code.filter(|code| folders.iter().any(|folder| code.starts_with(folder)));
        // Seen from the project, or from the folder of the page.
        let exists = |path: &&str| root().join(path).exists() || page.path.with_file_name(path).exists();
        missing.extend(
            named
                .filter(|path| !exists(path))
                .map(|path| format!("{}: {path}", page.path.display())),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_test_that_is_named_as_a_case_exists() {
    let pages = ["docs/crash-safety.md", "docs/mutants.md"].map(|page| Page::read(&root().join(page)));
    let is_name = |code: &&str| {
        code.matches('_').count() > 2 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let names: Vec<_> = pages
        .iter()
        .flat_map(Page::code)
        .filter_map(|code| code.rsplit("::").next())
        .filter(is_name)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let code = ["tests", "src"]
        .map(|folder| code_below(&root().join(folder)))
        .concat();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "no test has the name {missing:?}");
}

/// All Rust code in a folder.
fn code_below(folder: &Path) -> String {
    let mut code = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            code += &code_below(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code += &std::fs::read_to_string(&path).unwrap();
        }
    }
    code
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn conditions() -> Page {
    Page::read(&root().join("docs/conditions.md"))
}

fn reasons(page: &Page) -> Vec<Section<'_>> {
    let sections = page.sections().into_iter();
    sections.filter(|section| section.level == REASONS).collect()
}

/// Reasons that only Events have: the words of two humps in the file that publishes them.
fn event_reasons() -> BTreeSet<String> {
    let files =
        ["deletion/report.rs", "project/relaxed.rs"].map(|file| root().join("src/controllers").join(file));
    let texts = files.iter().flat_map(|file| words::literals(file));
    let humps = |text: &String| {
        text.chars().all(|c| c.is_ascii_alphabetic())
            && text.starts_with(|c: char| c.is_uppercase())
            && text.chars().filter(char::is_ascii_uppercase).count() > 1
    };
    texts.filter(humps).collect()
}

/// The first line of a reason's paragraph.
fn conditions_of(reason: &str) -> String {
    let of = |statements: &[Statement]| {
        let having = statements
            .iter()
            .filter(|(_, _, reasons)| reasons.iter().any(|r| r.as_str() == reason));
        having
            .map(|(condition, status, _)| format!("`{condition}={status}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (deletion, project) = (of(DELETION), of(PROJECT));
    let project = if project.is_empty() {
        project
    } else {
        format!("{project} of a `WorkspaceProject`")
    };
    [deletion, project]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// "… every 15 seconds (" is fifteen seconds, and so is "… (15 seconds, ".
fn time_at_the_end(text: &str) -> Option<Duration> {
    let mut words = text.trim_end_matches([' ', '(', ',']).split([' ', '(']).rev();
    let unit = match words.next()? {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 24 * 3600,
        _ => return None,
    };
    let count: u64 = words.next()?.parse().ok()?;
    Some(Duration::from_secs(count * unit))
}
