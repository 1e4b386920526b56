//! One line of the reference page for each field of a schema.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// A field, and where it stands.
pub(super) struct Field<'a> {
    /// Names from the part of the object (`spec`, `status`) down, with `[]` for "one item of".
    pub(super) path: String,
    schema: &'a JSONSchemaProps,
    required: bool,
}

impl<'a> Field<'a> {
    /// Every field below `schema`, each followed by what it holds.
    pub(super) fn all(schema: &'a JSONSchemaProps) -> Vec<Self> {
        let mut fields = Vec::new();
        Self::collect(&mut fields, "", schema);
        fields
    }

    fn collect(fields: &mut Vec<Self>, parent: &str, schema: &'a JSONSchemaProps) {
        for (name, property) in schema.properties.iter().flatten() {
            let path = if parent.is_empty() {
                name.clone()
            } else {
                format!("{parent}.{name}")
            };
            let required = schema.required.iter().flatten().any(|required| required == name);
            fields.push(Self {
                path: path.clone(),
                schema: property,
                required,
            });
            let (inner, path) = match &property.items {
                Some(JSONSchemaPropsOrArray::Schema(items)) => (&**items, format!("{path}[]")),
                _ => (property, path),
            };
            Self::collect(fields, &path, inner);
        }
    }

    /// Type, bounds, default, and whether it is required.
    pub(super) fn kind(&self) -> String {
        let mut parts = match &self.schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => {
                vec![
                    format!("*list of {}*", name(items)),
                    bounds(self.schema.min_items, self.schema.max_items, "items"),
                ]
            }
            _ => vec![format!("*{}*", name(self.schema)), values(self.schema)],
        };
        if let Some(default) = self
            .schema
            .default
            .as_ref()
            .filter(|default| !default.0.is_object())
        {
            parts.push(format!("default `{}`", default.0));
        }
        if self.required {
            parts.push("required".to_owned());
        }
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }

    /// Its documentation.
    pub(super) fn meaning(&self) -> String {
        cell(self.schema.description.as_deref().unwrap_or_default())
    }
}

fn name(schema: &JSONSchemaProps) -> &str {
    match (schema.type_.as_deref(), schema.format.as_deref()) {
        _ if schema.enum_.is_some() => "enum",
        (_, Some("date-time")) => "time",
        (Some(kind), _) => kind,
        (None, _) => "anything",
    }
}

/// What a single value may be.
fn values(schema: &JSONSchemaProps) -> String {
    if let Some(words) = &schema.enum_ {
        let words: Vec<_> = words.iter().filter_map(|word| word.0.as_str()).collect();
        return words.join(" or ");
    }
    // A time has its format, regardless of its length.
    if schema.format.is_some() {
        return String::new();
    }
    bounds(schema.min_length, schema.max_length, "characters")
}

fn bounds(min: Option<i64>, max: Option<i64>, unit: &str) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max} {unit}"),
        (None, Some(max)) => format!("at most {max} {unit}"),
        (Some(min), None) => format!("at least {min} {unit}"),
        (None, None) => String::new(),
    }
}

/// Text that fits into a cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
