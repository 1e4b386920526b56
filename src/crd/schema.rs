//! Schemas of types that are not ours, with the bounds that the API server's rules need.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{limits, rules};

/// Conditions as Kubernetes has them (`metav1.Condition`), with its bounds.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": limits::CONDITIONS,
        "items": {
            "description": "A condition of the object, as defined by Kubernetes.",
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "description": "Type of the condition, in CamelCase.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": limits::CONDITION_TYPE,
                },
                "status": {
                    "description": "Status of the condition: True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "Machine-readable reason of the status, in CamelCase.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": limits::CONDITION_REASON,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Human-readable details: the cause and the remedy.",
                    "type": "string",
                    "maxLength": limits::CONDITION_MESSAGE,
                },
                "observedGeneration": {
                    "description": "The metadata.generation that the condition is based on.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string",
                    "format": "date-time",
                    "maxLength": limits::TIME,
                    "pattern": rules::TIME,
                    "x-kubernetes-validations": [
                        {"rule": rules::READABLE_TIME, "message": rules::UNREADABLE_TIME},
                    ],
                },
            },
        },
    })
}

/// What the derived schema of a kind lacks.
pub(super) fn finish(mut kind: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut kind.spec.versions {
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        schema.title = None;
        // A status of null would be one that has vanished: the rules on its fields do not run on it.
        if let Some(status) = schema
            .properties
            .as_mut()
            .and_then(|properties| properties.get_mut("status"))
        {
            status.nullable = None;
        }
        bound_name(schema);
        flow(schema);
    }
    kind
}

/// Bounds the name of the objects: the name of an Event is made of it and of a time.
fn bound_name(schema: &mut JSONSchemaProps) {
    let name = JSONSchemaProps {
        type_: Some("string".to_owned()),
        max_length: Some(i64::from(limits::EVENTFUL_NAME)),
        ..JSONSchemaProps::default()
    };
    let metadata = JSONSchemaProps {
        type_: Some("object".to_owned()),
        properties: Some([("name".to_owned(), name)].into()),
        ..JSONSchemaProps::default()
    };
    let fields = schema.properties.get_or_insert_default();
    fields.insert("metadata".to_owned(), metadata);
}

/// Joins the lines of each paragraph of every description: the line breaks are those of the source code, and
/// `kubectl explain` would keep them.
fn flow(schema: &mut JSONSchemaProps) {
    if let Some(description) = &mut schema.description {
        let paragraphs = description
            .split("\n\n")
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        *description = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        flow(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        flow(items);
    }
}
