//! The notes of one version, cut from `CHANGELOG.md`.

/// What the changelog says about a version, or about what is not released yet (`Unreleased`); `None` if it says nothing.
pub fn notes<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let heading = format!("## [{version}]");
    let is_heading = |line: &str| {
        let rest = line.strip_prefix(&heading);
        // A date may follow.
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let mut begin = None;
    let mut at = 0;
    for line in changelog.split_inclusive('\n') {
        match begin {
            None if is_heading(line.trim_end()) => begin = Some(at + line.len()),
            // The next version, or the links at the end of the page.
            Some(begin) if line.starts_with("## ") || is_reference(line) => {
                return trimmed(&changelog[begin..at]);
            }
            _ => {}
        }
        at += line.len();
    }
    trimmed(&changelog[begin?..])
}

/// `[0.1.0]: https://...`
fn is_reference(line: &str) -> bool {
    line.starts_with('[') && line.contains("]: ")
}

fn trimmed(notes: &str) -> Option<&str> {
    let notes = notes.trim();
    (!notes.is_empty()).then_some(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "\
# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-24

### Added

- Something ([#3]).

## [0.2.0-rc.1]

- Candidate.

## [0.1.0]

- First.

[0.1.0]: https://example.com/v0.1.0
";

    #[test]
    fn the_notes_of_a_version_are_those_below_its_heading() {
        assert_eq!(
            notes(CHANGELOG, "0.2.0"),
            Some("### Added\n\n- Something ([#3]).")
        );
        assert_eq!(notes(CHANGELOG, "0.2.0-rc.1"), Some("- Candidate."));
        assert_eq!(notes(CHANGELOG, "0.1.0"), Some("- First."));
    }

    #[test]
    fn there_are_no_notes_where_the_changelog_says_nothing() {
        for version in ["0.3.0", "Unreleased", "0.2", ""] {
            assert_eq!(notes(CHANGELOG, version), None, "{version:?}");
        }
    }
}
