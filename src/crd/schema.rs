//! Schemas of types that are not ours, with the bounds that the API server's rules need.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{limits, rules};

/// A condition of the object, as defined by Kubernetes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ConditionSchema {
    /// Type of the condition, in CamelCase.
    #[schemars(length(min = 1, max = limits::CONDITION_TYPE))]
    r#type: String,
    /// Status of the condition: True, False or Unknown.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    status: String,
    /// Machine-readable reason of the status, in CamelCase.
    #[schemars(length(min = 1, max = limits::CONDITION_REASON), regex(pattern = REASON))]
    reason: String,
    /// Human-readable details: the cause and the remedy.
    #[schemars(length(max = limits::CONDITION_MESSAGE))]
    message: String,
    /// The metadata.generation that the condition is based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0))]
    observed_generation: Option<i64>,
    /// When the status last changed.
    #[schemars(length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[schemars(extend("x-kubernetes-validations" = readable()))]
    last_transition_time: Time,
}

const REASON: &str = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

fn readable() -> Value {
    json!([{"rule": rules::READABLE_TIME, "message": rules::UNREADABLE_TIME}])
}

/// What the derived schema of a kind lacks.
pub(super) fn finish(mut kind: CustomResourceDefinition) -> CustomResourceDefinition {
    let versions = kind.spec.versions.iter_mut();
    for schema in versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        schema.title = None;
        // A status of null would be one that has vanished: the rules on its fields do not run on it.
        let properties = schema.properties.as_mut();
        if let Some(status) = properties.and_then(|all| all.get_mut("status")) {
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
        max_length: Some(i64::from(limits::OWN_OBJECT_NAME)),
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
