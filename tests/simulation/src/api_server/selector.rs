//! Field selectors: `a.b=c,d!=e`.

use serde_json::Value;

use super::Refusal;
use super::resource::Resource;

/// What an object must be like to be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// Reads a selector for a kind.
    ///
    /// # Errors
    /// It names a field by which the kind cannot be selected, or has no such form.
    pub fn parse(resource: Resource, text: &str) -> Result<Self, Refusal> {
        let terms = text.split(',').filter(|term| !term.is_empty());
        terms
            .map(|term| Term::parse(resource, term))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether an object is like that.
    pub fn admits(&self, object: &Value) -> bool {
        self.0.iter().all(|term| term.admits(object))
    }
}

impl Term {
    fn parse(resource: Resource, text: &str) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal::new(400, "BadRequest", message);
        let (field, value, equal) = if let Some((field, value)) = text.split_once("!=") {
            (field, value, false)
        } else if let Some((field, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            (field, value, true)
        } else {
            return Err(bad(format!("invalid selector: {text:?}")));
        };
        let known = ["metadata.name", "metadata.namespace"];
        if !known.contains(&field) && !resource.selectable().contains(&field) {
            return Err(bad(format!("field label not supported: {field}")));
        }
        Ok(Self {
            field: field.to_owned(),
            value: value.to_owned(),
            equal,
        })
    }

    fn admits(&self, object: &Value) -> bool {
        let mut found = object;
        for part in self.field.split('.') {
            found = &found[part];
        }
        // What an object does not have counts as empty.
        (found.as_str().unwrap_or_default() == self.value) == self.equal
    }
}
