//! The paths that Rust code names, found by reading tokens: enough for `use` trees, for paths in the middle of code
//! and for those in the arguments of macros, which a parser of items would not see.

use std::collections::BTreeSet;
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

/// Every file of code below `root`, those of unit tests left out.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The paths that a file below `root` names, its tests left out.
pub(super) fn paths_of(file: &Path, root: &Path) -> BTreeSet<String> {
    let code = fs::read_to_string(file).unwrap();
    paths(&code, &module_of(file, root))
}

/// The names of the module that a file below `root` holds, from the root of the crate.
pub(super) fn module_of<'a>(file: &'a Path, root: &Path) -> Vec<&'a str> {
    let inside = file.strip_prefix(root).unwrap().to_str().unwrap();
    let inside = inside.strip_suffix(".rs").unwrap();
    inside.split('/').filter(|name| *name != "lib").collect()
}

/// The paths that `code` names, as the file of `module` (its names from the root of the crate). `super` is resolved; what
/// is compiled for tests only is left out.
pub(super) fn paths(code: &str, module: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut goes_on = false;
    let tokens = tokens(code);
    let mut rest = &tokens[..];
    while let Some((token, after)) = rest.split_first() {
        if is_for_tests(rest) {
            rest = after_item(&rest[FOR_TESTS.len()..]);
            continue;
        }
        rest = after;
        match token {
            Token::Name(name) => {
                if !goes_on {
                    path = groups.last().cloned().unwrap_or_default();
                }
                path.push(name.clone());
                goes_on = false;
                // What is on the way to more is not named for itself.
                if rest.first() != Some(&Token::Colons) {
                    found.insert(resolve(&path, module));
                }
            }
            Token::Colons => goes_on = true,
            Token::Open => {
                groups.push(if goes_on { path.clone() } else { Vec::new() });
                goes_on = false;
            }
            Token::Close => {
                groups.pop();
                goes_on = false;
            }
            Token::Other(_) => goes_on = false,
        }
    }
    found
}

/// The tokens of `#[cfg(test)]`.
const FOR_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn is_for_tests(tokens: &[Token]) -> bool {
    tokens.len() >= FOR_TESTS.len()
        && tokens.iter().zip(FOR_TESTS).all(|(token, text)| match token {
            Token::Name(name) => name == text,
            Token::Other(c) => text.chars().eq([*c]),
            _ => false,
        })
}

/// What follows the item that `tokens` begin with.
fn after_item(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (position, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close if depth <= 1 => return &tokens[position + depth..],
            Token::Close => depth -= 1,
            Token::Other(';') if depth == 0 => return &tokens[position + 1..],
            _ => {}
        }
    }
    &[]
}

/// The path from the root of the crate, if it begins with `self` or `super`.
fn resolve(path: &[String], module: &[&str]) -> String {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let stays = path.first().is_some_and(|name| name == "self");
    if ups == 0 && !stays {
        return path.join("::");
    }
    let kept = module
        .iter()
        .take(module.len().saturating_sub(ups))
        .map(|name| (*name).to_owned());
    let rest = path.iter().skip(ups + usize::from(stays)).cloned();
    ["crate".to_owned()]
        .into_iter()
        .chain(kept)
        .chain(rest)
        .collect::<Vec<_>>()
        .join("::")
}

#[derive(Debug, PartialEq)]
enum Token {
    Name(String),
    Colons,
    Open,
    Close,
    Other(char),
}

/// The tokens of the code, without comments, spaces, strings and characters.
fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek().copied()) {
            ('/', Some('/')) => skip_until(&mut rest, "\n"),
            ('/', Some('*')) => skip_until(&mut rest, "*/"),
            ('"', _) => skip_string(&mut rest),
            ('r', Some('"' | '#')) => skip_raw_string(&mut rest),
            ('\'', Some(next)) => skip_character(&mut rest, next),
            (':', Some(':')) => {
                rest.next();
                tokens.push(Token::Colons);
            }
            ('{', _) => tokens.push(Token::Open),
            ('}', _) => tokens.push(Token::Close),
            _ if is_name(c) => {
                let mut name = String::from(c);
                while let Some(c) = rest.next_if(|c| is_name(*c)) {
                    name.push(c);
                }
                tokens.push(Token::Name(name));
            }
            _ if c.is_whitespace() => {}
            _ => tokens.push(Token::Other(c)),
        }
    }
    tokens
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip_until(rest: &mut Peekable<Chars<'_>>, end: &str) {
    let mut seen = String::new();
    for c in rest {
        seen.push(c);
        if seen.ends_with(end) {
            return;
        }
    }
}

fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(c) = rest.next() {
        match c {
            '\\' => _ = rest.next(),
            '"' => return,
            _ => {}
        }
    }
}

/// What follows an `r`: a raw string, or a raw name such as `r#type`, of which only the mark is skipped.
fn skip_raw_string(rest: &mut Peekable<Chars<'_>>) {
    let mut end = String::from("\"");
    while rest.next_if_eq(&'#').is_some() {
        end.push('#');
    }
    if rest.next_if_eq(&'"').is_some() {
        skip_until(rest, &end);
    }
}

/// What follows a `'`: a character, or a lifetime, of which nothing is skipped.
fn skip_character(rest: &mut Peekable<Chars<'_>>, next: char) {
    if next == '\\' {
        rest.next();
        rest.next();
        skip_until(rest, "'");
    } else if rest.clone().nth(1) == Some('\'') {
        rest.next();
        rest.next();
    }
}
