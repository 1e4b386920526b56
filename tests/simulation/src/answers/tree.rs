//! JSON as it is written: one key may come twice, and a number may be any text.

use std::fmt;

use serde_json::Value;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// A text.
    Text(String),
    /// Written as it stands: a number, `true`, `false`, `null`.
    Word(String),
    /// An array.
    List(Vec<Tree>),
    /// An object.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    pub(super) fn null() -> Self {
        Self::Word("null".to_owned())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A JSON object or array.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        (value.is_object() || value.is_array()).then(|| Self::of(value))
    }

    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::List(values.into_iter().map(Self::of).collect()),
            Value::Object(map) => Self::Map(map.into_iter().map(|(key, v)| (key, Self::of(v))).collect()),
            word => Self::Word(word.to_string()),
        }
    }

    /// The value of a key that occurs once: of two, it is not defined which one counts.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        let mut found = entries.iter().filter(|(own, _)| own == key);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A count, which may be written as a text.
    pub(super) fn as_count(&self) -> Option<u64> {
        match self {
            Self::Text(text) | Self::Word(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// Where every entry of every object stands: which object, counted in order, which entry, and its key.
    pub(super) fn entries(&self) -> Vec<(usize, usize, &str)> {
        let mut found = Vec::new();
        self.collect(&mut 0, &mut found);
        found
    }

    fn collect<'a>(&'a self, maps: &mut usize, found: &mut Vec<(usize, usize, &'a str)>) {
        match self {
            Self::Text(_) | Self::Word(_) => {}
            Self::List(values) => {
                for value in values {
                    value.collect(maps, found);
                }
            }
            Self::Map(entries) => {
                let map = *maps;
                *maps += 1;
                found.extend(entries.iter().enumerate().map(|(n, (key, _))| (map, n, &**key)));
                for (_, value) in entries {
                    value.collect(maps, found);
                }
            }
        }
    }

    /// The nth object, counted in that order.
    pub(super) fn map_mut(&mut self, nth: &mut usize) -> Option<&mut Vec<(String, Self)>> {
        match self {
            Self::Text(_) | Self::Word(_) => None,
            Self::List(values) => values.iter_mut().find_map(|value| value.map_mut(nth)),
            Self::Map(entries) => {
                if *nth == 0 {
                    return Some(entries);
                }
                *nth -= 1;
                entries.iter_mut().find_map(|(_, value)| value.map_mut(nth))
            }
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| Value::from(text).to_string();
        match self {
            Self::Text(own) => f.write_str(&text(own)),
            Self::Word(word) => f.write_str(word),
            Self::List(values) => {
                f.write_str("[")?;
                for (n, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if n == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (n, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}:{value}", if n == 0 { "" } else { "," }, text(key))?;
                }
                f.write_str("}")
            }
        }
    }
}
