//! Changes of a JSON document: fields that are missing, null, extra, doubled, of another kind, spelled otherwise.

use super::tree::Tree;
use super::words;
use crate::dice::Dice;

/// Keys that the operator reads; they are changed more often than others.
const READ: [&str; 24] = [
    "total_count",
    "desktops",
    "desktop",
    "desktop_id",
    "status",
    "task_status",
    "jobs",
    "id",
    "job_id",
    "entities",
    "error_code",
    "fail_reason",
    "sub_jobs",
    "sub_jobs_total",
    "job_error_code",
    "error_msg",
    "token",
    "expires_at",
    "credential",
    "access",
    "secret",
    "securitytoken",
    "error",
    "message",
];

/// Numbers that no count is.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "-9223372036854775808",
    "1.5",
    "1e3",
    "-0",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "10000",
    "007",
];

/// Texts that are invalid as an identifier, a value or a message.
const TEXTS: [&str; 12] = [
    "",
    " ",
    "null",
    "undefined",
    "None",
    "[object Object]",
    "a\u{0}b\r\nc\u{1b}[31m",
    "\u{202e}reversed\u{202c} zero\u{200b}width",
    "<script>alert(1)</script>",
    "../../v2/other",
    "${jndi:ldap://a.example/x}",
    "\u{e4}\u{f6}\u{fc} \u{65e5}\u{672c} \u{1f4a5}",
];

/// Changes one thing; says what.
pub(super) fn change(tree: &mut Tree, dice: &mut Dice) -> String {
    let entries = tree.entries();
    if entries.is_empty() {
        *tree = Tree::Map(vec![extra(dice)]);
        return "a field is added".to_owned();
    }
    let read: Vec<_> = entries
        .iter()
        .filter(|(_, _, key)| READ.contains(key))
        .copied()
        .collect();
    let (mut map, at, key) = if read.is_empty() || dice.once_in(4) {
        *dice.one_of(&entries)
    } else {
        *dice.one_of(&read)
    };
    let key = key.to_owned();
    let Some(entries) = tree.map_mut(&mut map) else {
        return "nothing is changed".to_owned();
    };
    let how = change_entry(entries, at, dice);
    format!("{key} {how}")
}

fn change_entry(entries: &mut Vec<(String, Tree)>, at: usize, dice: &mut Dice) -> String {
    let word = words::of_field(&entries[at].0, dice);
    match dice.within(0..12) {
        0 => {
            entries.remove(at);
            "is missing".to_owned()
        }
        1 => {
            entries[at].1 = Tree::null();
            "is null".to_owned()
        }
        2 => {
            entries.insert(at, extra(dice));
            "has an extra field before it".to_owned()
        }
        3 => double(entries, at, dice),
        4 => respell(&mut entries[at].0, dice),
        5 | 6 if word.is_some() => {
            let word = word.unwrap_or_default();
            entries[at].1 = Tree::text(word);
            format!("is {word:?}")
        }
        _ => change_value(&mut entries[at].1, dice),
    }
}

/// An undocumented field, perhaps one of an error.
fn extra(dice: &mut Dice) -> (String, Tree) {
    let key = *dice.one_of(&[
        "x_new",
        "error_code",
        "error_msg",
        "code",
        "message",
        "errors",
        "",
        "__proto__",
        "job_id",
        "total_count",
    ]);
    let value = match dice.within(0..4) {
        0 => Tree::text(words::code(dice)),
        1 => Tree::null(),
        2 => Tree::Map(vec![("code".to_owned(), Tree::text(words::code(dice)))]),
        _ => Tree::Word((*dice.one_of(&NUMBERS)).to_owned()),
    };
    (key.to_owned(), value)
}

/// The key comes twice, with another value, before the true one or after it.
fn double(entries: &mut Vec<(String, Tree)>, at: usize, dice: &mut Dice) -> String {
    let (key, mut value) = entries[at].clone();
    let what = match (dice.within(0..3), &value) {
        (0, _) => "the same value".to_owned(),
        (1, Tree::Text(text)) => {
            value = Tree::Text(format!("{text}9"));
            "another text".to_owned()
        }
        _ => change_value(&mut value, dice),
    };
    let after = usize::from(dice.once_in(2));
    entries.insert(at + after, (key, value));
    let place = if after == 1 { "after" } else { "before" };
    format!("comes twice: {what}, {place} the first")
}

fn respell(key: &mut String, dice: &mut Dice) -> String {
    *key = match dice.within(0..4) {
        0 => key.to_ascii_uppercase(),
        1 => camel_case(key),
        2 => format!(" {key}"),
        _ => key.replace('_', "-"),
    };
    format!("is spelled {key:?}")
}

fn camel_case(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |so_far, part| {
        let mut letters = part.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        so_far + &first.into_iter().chain(letters).collect::<String>()
    })
}

fn change_value(value: &mut Tree, dice: &mut Dice) -> String {
    if let Tree::List(values) = value
        && dice.within(0..3) > 0
    {
        return change_list(values, dice);
    }
    let before = std::mem::replace(value, Tree::null());
    let (changed, how) = match dice.within(0..9) {
        0 => {
            let number = *dice.one_of(&NUMBERS);
            (Tree::Word(number.to_owned()), format!("is {number}"))
        }
        1 => {
            let text = *dice.one_of(&TEXTS);
            (Tree::text(text), format!("is {text:?}"))
        }
        2 => (Tree::List(vec![before]), "is an array of it".to_owned()),
        3 => (Tree::List(vec![]), "is []".to_owned()),
        4 => (Tree::Map(vec![]), "is {}".to_owned()),
        5 => nested(before, dice),
        6 => {
            let word = *dice.one_of(&["true", "false"]);
            (Tree::Word(word.to_owned()), format!("is {word}"))
        }
        7 => {
            let length = *dice.one_of(&[65, 256, 1_001, 5_000]);
            (
                Tree::Text("long ".repeat(length)),
                format!("is a text of {} characters", 5 * length),
            )
        }
        _ => other_kind(before),
    };
    *value = changed;
    how
}

/// The same content as another kind of value.
fn other_kind(value: Tree) -> (Tree, String) {
    match value {
        Tree::Text(text) if text.parse::<u64>().is_ok() => (Tree::Word(text), "is a number".to_owned()),
        Tree::Text(text) => (
            Tree::Map(vec![("value".to_owned(), Tree::Text(text))]),
            "is an object".to_owned(),
        ),
        Tree::Word(word) => (Tree::Text(word), "is a text".to_owned()),
        Tree::List(values) => {
            let entries = values.into_iter().enumerate();
            let entries = entries.map(|(n, value)| (n.to_string(), value)).collect();
            (Tree::Map(entries), "is an object".to_owned())
        }
        Tree::Map(entries) => {
            let values = entries.into_iter().map(|(_, value)| value).collect();
            (Tree::List(values), "is an array".to_owned())
        }
    }
}

fn nested(value: Tree, dice: &mut Dice) -> (Tree, String) {
    // serde_json reads up to 128.
    let depth = *dice.one_of(&[2, 100, 126, 127, 128, 129, 400]);
    let deep = (0..depth).fold(value, |inner, _| Tree::List(vec![inner]));
    (deep, format!("is nested {depth} deep"))
}

fn change_list(values: &mut Vec<Tree>, dice: &mut Dice) -> String {
    let junk = match dice.within(0..5) {
        0 => Tree::null(),
        1 => Tree::Map(vec![]),
        2 => Tree::text("junk"),
        3 => Tree::List(vec![]),
        _ => Tree::Word("7".to_owned()),
    };
    match dice.within(0..7) {
        0 if !values.is_empty() => {
            values.pop();
            "lacks its last row".to_owned()
        }
        1 if !values.is_empty() => {
            values.remove(0);
            "lacks its first row".to_owned()
        }
        2 => {
            values.clear();
            "has no row".to_owned()
        }
        3 if !values.is_empty() => {
            values.push(values[0].clone());
            "has its first row twice".to_owned()
        }
        4 if !values.is_empty() => {
            values[0] = junk;
            "has junk in place of its first row".to_owned()
        }
        5 => {
            values.reverse();
            "is in another order".to_owned()
        }
        _ => {
            values.push(junk);
            "has a row of junk".to_owned()
        }
    }
}
