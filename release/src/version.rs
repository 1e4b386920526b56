//! The version stands in `Cargo.toml`. Files that need it as well, because other programs read them, say the same.

use std::io;
use std::path::Path;

/// Where the version is written, and what stands before it there, on the same line or at its begin. Each place must have it at
/// least once.
const PLACES: [(&str, &str); 6] = [
    ("deploy/helm/desktop-deletion-operator/Chart.yaml", "\nversion: "),
    (
        "deploy/helm/desktop-deletion-operator/Chart.yaml",
        "\nappVersion: ",
    ),
    ("deploy/base/kustomization.yaml", "newTag: "),
    ("deploy/Dockerfile", "desktop-deletion-operator:"),
    ("README.md", "REGISTRY/desktop-deletion-operator:"),
    ("deploy/README.md", "REGISTRY/desktop-deletion-operator:"),
];

/// The version of the workspace in the text of its `Cargo.toml`.
pub fn of_workspace(manifest: &str) -> Option<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.package]");
    let mut own = lines.skip(1).take_while(|line| !line.starts_with('['));
    own.find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

/// The places in the project below `root` that say another version, or none.
///
/// # Errors
///
/// A file cannot be read.
pub fn differences(root: &Path, version: &str) -> io::Result<Vec<String>> {
    let mut differences = Vec::new();
    for (path, before) in PLACES {
        let text = std::fs::read_to_string(root.join(path))?;
        let found = written(&text, before);
        if found.is_empty() {
            differences.push(format!("{path}: nothing follows {:?}", before.trim_start()));
        }
        let others = found.into_iter().filter(|found| *found != version);
        differences.extend(others.map(|found| format!("{path}: {}{found}", before.trim_start())));
    }
    Ok(differences)
}

/// The words that follow `before`, where that begins a word or a line itself.
fn written<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let at = text.match_indices(before).filter(|(at, _)| {
        let earlier = text[..*at].chars().next_back();
        before.starts_with('\n') || earlier.is_none_or(|c| !c.is_alphanumeric() && c != '-')
    });
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let words = at.map(|(at, _)| {
        let rest = &text[at + before.len()..];
        &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
    });
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn the_project_says_one_version() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let version = of_workspace(&manifest).unwrap();
        assert_eq!(differences(root(), version).unwrap(), [""; 0]);
    }

    #[test]
    fn a_place_with_another_version_is_named() {
        let differences = differences(root(), "9.9.9").unwrap();
        for (path, before) in PLACES {
            let place = format!("{path}: {}", before.trim_start());
            assert!(
                differences
                    .iter()
                    .any(|difference| difference.starts_with(&place)),
                "{place} is not in {differences:?}"
            );
        }
    }

    #[test]
    fn a_word_that_only_ends_like_the_place_is_none() {
        let text = "# other-a:3\na:1\nba:2\n";
        assert_eq!(written(text, "a:"), ["1"]);
        assert_eq!(written("(tag `a:1-rc.1`)", "a:"), ["1-rc.1"]);
    }

    #[test]
    fn the_version_of_a_dependency_is_not_that_of_the_workspace() {
        let manifest =
            "[package]\nversion = \"1\"\n[workspace.package]\nedition = \"2024\"\nversion = \"2\"\n";
        assert_eq!(of_workspace(manifest), Some("2"));
        assert_eq!(of_workspace("[package]\nversion = \"1\"\n"), None);
    }
}
