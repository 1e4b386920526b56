//! Tables, JSON and YAML. Names and messages come from the cloud and from other users, so no character of theirs may control
//! the terminal or change the direction of writing: such characters are shown as escape sequences.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; manifests as YAML
    #[default]
    Text,
    /// JSON
    Json,
}

/// Spaces between two columns, as kubectl has them.
const GAP: &str = "   ";

/// What kubectl shows where there is nothing.
pub(crate) const NONE: &str = "<none>";

/// Prints to standard output. A closed standard output is not an error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Prints a line to standard error.
pub(crate) fn print_to_stderr(line: &str) {
    writeln!(io::stderr(), "{}", escaped(line)).ok();
}

/// Prints a value as JSON.
///
/// # Errors
/// It has no JSON form.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Error::other(format!("failed to write JSON: {error}")))?;
    print(&(escaped_json(&text) + "\n"));
    Ok(())
}

/// A manifest as YAML, with comments above it.
///
/// # Errors
/// It has no YAML form.
pub(crate) fn yaml(comments: &[String], manifest: &Value) -> Result<String, Error> {
    let mut text = String::new();
    for comment in comments {
        let _ = writeln!(text, "# {}", escaped(comment));
    }
    let yaml = serde_saphyr::to_string(manifest);
    let yaml = yaml.map_err(|error| Error::other(format!("failed to write YAML: {error}")))?;
    if yaml.chars().any(|c| c != '\n' && is_dangerous(c)) {
        // JSON is YAML, and in JSON every character can be escaped.
        let _ = writeln!(text, "{}", escaped_json(&format!("{manifest:#}")));
    } else {
        text += yaml.trim_start_matches("---\n");
    }
    Ok(text)
}

/// Rows below a header, in columns that are as wide as they must be.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let shown = |cell: &String| {
        if cell.is_empty() {
            NONE.to_owned()
        } else {
            escaped(cell)
        }
    };
    let rows = rows.iter().map(|row| row.each_ref().map(shown));
    let all: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}{GAP}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The text on one line, with every character escaped that could control the terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same for JSON, where line feeds stand between values, and every other such character inside of a string.
fn escaped_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_dangerous(c) {
            safe.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

/// Control characters, line separators, and characters that are invisible or change the direction of writing.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_cells_are_shown_as_none() {
        let rows = [
            ["pc-1".to_owned(), "VDI-01".to_owned(), String::new()],
            ["pc-22".to_owned(), String::new(), "Blocked".to_owned()],
        ];
        let expected = "DESKTOP   NAME     STATE\npc-1      VDI-01   <none>\npc-22     <none>   Blocked\n";
        assert_eq!(table(["DESKTOP", "NAME", "STATE"], &rows), expected);
    }

    #[test]
    fn control_characters_are_escaped() {
        let name = "a\u{1b}[2J\nb\u{9b}c\u{202e}d\u{200b}\u{e0041}é";
        let safe = "a\\u{1b}[2J\\u{a}b\\u{9b}c\\u{202e}d\\u{200b}\\u{e0041}é";
        assert_eq!(escaped(name), safe);
        assert_eq!(table(["NAME"], &[[name.to_owned()]]), format!("NAME\n{safe}\n"));

        let json = serde_json::to_string_pretty(&json!({"name": name})).unwrap();
        let printed = escaped_json(&json);
        assert!(
            printed.chars().all(|c| c == '\n' || !is_dangerous(c)),
            "{printed:?}"
        );
        let read: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read, json!({"name": name}));

        let manifest = json!({"spec": {"name": name, "a": 1}});
        let text = yaml(&[format!("of {name}")], &manifest).unwrap();
        assert!(text.starts_with(&format!("# of {safe}\n")), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !is_dangerous(c)), "{text:?}");
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, manifest);
    }
}
