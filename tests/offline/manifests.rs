//! The files in `crds/` match the types of the kinds, and their schemas follow the conventions of the API server and
//! `kubectl explain`.

use std::path::Path;

use desktop_deletion_operator::crd;
use serde_json::Value;

#[test]
fn the_generated_files_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (name, content) in crd::files().unwrap() {
        let stored = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            stored == content,
            "crds/{name} is not what src/crd/ says; run `cargo run -p desktop-deletion-operator -- crds --output crds` and commit the result"
        );
    }
}

#[test]
fn the_stream_for_kubectl_holds_the_same_as_the_files() {
    let files: Vec<_> = crd::files()
        .unwrap()
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    assert_eq!(files.len(), 2);
    assert_eq!(crd::yaml().unwrap(), files.join("---\n"));
}

#[test]
fn every_field_is_explained_and_bounded() {
    let mut faults = Vec::new();
    for kind in crd::all() {
        let mut schema = serde_json::to_value(&kind.spec.versions[0].schema).unwrap();
        // Kubernetes explains the metadata itself.
        let fields = schema["openAPIV3Schema"]["properties"].as_object_mut().unwrap();
        fields.remove("metadata");
        inspect(&kind.spec.names.kind, &schema["openAPIV3Schema"], &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn inspect(path: &str, schema: &Value, faults: &mut Vec<String>) {
    let item = path.ends_with(']');
    let mut fault = |holds: bool, what: &str| {
        if holds {
            faults.push(format!("{path}: {what}"));
        }
    };
    let kind = schema["type"].as_str().unwrap_or_default();
    let format = schema["format"].as_str().unwrap_or_default();
    let absent = |key: &str| schema[key].is_null();
    fault(
        absent("description") && !item,
        "has no doc comment for kubectl explain",
    );
    fault(
        !absent("nullable"),
        "is nullable, but null means the same as leaving a field out",
    );
    let open = absent("maxLength") && absent("enum") && format != "date-time";
    fault(
        kind == "string" && open,
        "has no longest length, so rules about it cost too much",
    );
    fault(
        kind == "array" && absent("maxItems"),
        "has no largest size, so rules about it cost too much",
    );
    fault(
        kind == "array" && absent("x-kubernetes-list-type"),
        "does not say how server-side apply merges it",
    );
    fault(
        kind == "integer" && !["int32", "int64"].contains(&format),
        "has a format that kubectl warns about",
    );
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        fault(
            rule["message"].is_null(),
            &format!("has a rule without a message: {}", rule["rule"]),
        );
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        inspect(&format!("{path}.{name}"), property, faults);
    }
    if !absent("items") {
        inspect(&format!("{path}[]"), &schema["items"], faults);
    }
}

/// What the API server checks of a time, and the operator relies on.
const TIME_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
const TIME_RULE: &str =
    "self >= timestamp('1970-01-01T00:00:00Z') && self < timestamp('9999-01-01T00:00:00Z')";

#[test]
fn every_time_has_the_pattern_and_the_rule_of_one_that_can_be_read_back() {
    for (name, expected) in [("desktopdeletions.yaml", 9), ("workspaceprojects.yaml", 3)] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(name);
        let kind: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut times = Vec::new();
        let schema = &kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        find_times("status", &schema["properties"]["status"], &mut times);
        assert_eq!(times.len(), expected, "{name}: {times:?}");
        for (path, schema) in times {
            assert_eq!(schema["pattern"], TIME_PATTERN, "{name}: {path}");
            let rules = schema["x-kubernetes-validations"].as_array().unwrap();
            let has_rule = rules.iter().any(|rule| rule["rule"] == TIME_RULE);
            assert!(has_rule, "{name}: {path}: {rules:?}");
        }
    }
}

/// All times below a schema, by their paths.
fn find_times<'a>(path: &str, schema: &'a Value, times: &mut Vec<(String, &'a Value)>) {
    if schema["format"] == "date-time" {
        times.push((path.to_owned(), schema));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        find_times(&format!("{path}.{name}"), property, times);
    }
    if !schema["items"].is_null() {
        find_times(&format!("{path}[]"), &schema["items"], times);
    }
}
