//! The texts in the code, to compare those with that the pages show.

use std::fs;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

/// Fixed characters that a text needs to be recognised by; shorter ones fit everywhere.
const RECOGNISABLE: usize = 8;

/// The string literals of the Rust code below `path`, each file's inline tests left out.
pub(super) fn literals(path: &Path) -> Vec<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries
            .flat_map(|entry| literals(&entry.unwrap().path()))
            .collect();
    }
    let code = fs::read_to_string(path).unwrap();
    let shipped = code.split("#[cfg(test)]").next().unwrap_or_default();
    // Comments begin a line or follow code; neither holds a quotation mark that would be taken for a string's.
    let bare: Vec<_> = shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    strings(&bare.join("\n"))
}

fn strings(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => found.push(string(&mut rest)),
            // The character '"' opens nothing.
            '\'' if rest.peek() == Some(&'"') => _ = rest.next(),
            _ => {}
        }
    }
    found
}

fn string(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => match rest.next() {
                // A line that goes on.
                Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                Some(c) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

/// The words of `shown` that are in none of the `texts`, in which `{…}` stands for anything. What the cloud said, which
/// stands in brackets, is left out, and so is what has a digit, a dot or the like: names and numbers.
pub(super) fn unknown<'a>(shown: &'a str, texts: &[String]) -> Vec<&'a str> {
    let mut known = vec![false; shown.len()];
    for text in texts {
        let pieces = fixed(text);
        if pieces.iter().map(|piece| piece.len()).sum::<usize>() < RECOGNISABLE {
            continue;
        }
        for range in places(shown, &pieces).into_iter().flatten() {
            known[range].fill(true);
        }
    }
    let mut depth = 0_usize;
    let mut unknown = Vec::new();
    for word in shown.split_whitespace() {
        depth += word.matches('(').count();
        let at = word.as_ptr().addr() - shown.as_ptr().addr();
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let prose = bare.len() > 1 && bare.chars().all(|c| c.is_ascii_lowercase());
        let all_known = known[at..at + word.len()].iter().filter(|known| **known).count() >= bare.len();
        if depth == 0 && prose && !all_known {
            unknown.push(bare);
        }
        depth = depth.saturating_sub(word.matches(')').count());
    }
    unknown
}

/// The fixed parts of a format string.
fn fixed(text: &str) -> Vec<&str> {
    let parts = text.split('{').enumerate();
    let parts = parts.map(|(index, part)| {
        let after = part.split_once('}').map(|(_, after)| after);
        if index == 0 { part } else { after.unwrap_or(part) }
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// Where the pieces stand in `shown`, one after another.
fn places(shown: &str, pieces: &[&str]) -> Option<Vec<std::ops::Range<usize>>> {
    let mut from = 0;
    let mut ranges = Vec::new();
    for piece in pieces {
        let at = from + shown[from..].find(piece)?;
        from = at + piece.len();
        ranges.push(at..from);
    }
    Some(ranges)
}
