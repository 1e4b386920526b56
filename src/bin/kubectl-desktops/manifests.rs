//! `kubectl desktops retry` and `kubectl desktops split`: manifests to review and to apply.

use std::collections::HashSet;
use std::io::Read;

use desktop_deletion_operator::crd::deletion::DesktopState;
use desktop_deletion_operator::crd::{DesktopDeletion, limits};
use serde_json::{Map, Value, json};

use crate::ExitStatus;
use crate::args::{Retry, Split};
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format};
use crate::request::{Desktop, RequestExt};

const API_VERSION: &str = "cloud-desktops.dev/v1alpha1";
const KIND: &str = "DesktopDeletion";

/// Annotations that belong to one object, and not to a copy of it.
const OWN_ANNOTATIONS: [&str; 3] = [
    "cloud-desktops.dev/created-by",
    "cloud-desktops.dev/resolve",
    "kubectl.kubernetes.io/last-applied-configuration",
];

pub(crate) async fn retry(cluster: &Cluster, args: &Retry, format: Format) -> Result<ExitStatus, Error> {
    let request = cluster.request(&args.request.name).await?;
    let Some((comments, manifest)) = retried(&request, &cluster.namespace, args.new_name.as_deref())? else {
        output::print_to_stderr("every desktop is gone: there is nothing to retry");
        return Ok(ExitStatus::No);
    };
    print(&[(comments, manifest)], format)?;
    Ok(ExitStatus::Yes)
}

pub(crate) fn split(args: &Split, format: Format) -> Result<ExitStatus, Error> {
    let mut text = String::new();
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(&args.file).map(|read| text = read)
    };
    read.map_err(|error| Error::other(format!("failed to read {}: {error}", args.file.display())))?;
    let manifest = parse(&text)
        .map_err(|error| Error::other(format!("failed to parse {}: {error}", args.file.display())))?;
    let parts = parts(&manifest, args.size as usize)?;
    let parts: Vec<_> = parts.into_iter().map(|part| (Vec::new(), part)).collect();
    print(&parts, format)?;
    Ok(ExitStatus::Yes)
}

/// Reads JSON, or YAML, which does not take every character that JSON does.
fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|_| {
        // The lines below the first one show the place, with characters as they are.
        let first = |error: serde_saphyr::Error| error.to_string().lines().next().map(str::to_owned);
        serde_saphyr::from_str(text).map_err(|error| first(error).unwrap_or_default())
    })
}

/// Prints manifests that `kubectl apply --filename -` takes.
fn print(manifests: &[(Vec<String>, Value)], format: Format) -> Result<(), Error> {
    match (format, manifests) {
        (Format::Json, [(_, only)]) => output::print_json(only),
        (Format::Json, all) => {
            let items: Vec<_> = all.iter().map(|(_, manifest)| manifest).collect();
            output::print_json(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
        }
        (Format::Text, all) => {
            let documents: Result<Vec<_>, _> = all
                .iter()
                .map(|(comments, manifest)| output::yaml(comments, manifest))
                .collect();
            output::print(&documents?.join("---\n"));
            Ok(())
        }
    }
}

/// A request for the desktops that are still there, with the result of each as comments; nothing if there are none.
fn retried(
    request: &DesktopDeletion,
    namespace: &str,
    new_name: Option<&str>,
) -> Result<Option<(Vec<String>, Value)>, Error> {
    let (name, _) = request.name_and_uid()?;
    if !request.is_finished() {
        return Err(Error::other(format!(
            "{name} is not finished: the operator is still processing it"
        )));
    }
    let status = request.status.iter().flat_map(|status| &status.desktops);
    let left: Vec<_> = status
        .filter(|desktop| !matches!(desktop.state, DesktopState::Absent | DesktopState::Deleted))
        .collect();
    if left.is_empty() {
        return Ok(None);
    }
    let ids: Vec<_> = left.iter().map(|desktop| &desktop.id).collect();
    let spec = &request.spec;
    let expected: Vec<_> = spec
        .expected
        .iter()
        .filter(|expectation| ids.contains(&&expectation.id))
        .collect();
    let mut manifest = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": new_name.map_or_else(|| retry_name(name), str::to_owned), "namespace": namespace},
        "spec": {
            "projectRef": {"name": spec.project_ref.name},
            "desktopIDs": ids,
            "deleteUsers": spec.delete_users,
            "emailNotification": spec.email_notification,
            "force": spec.force,
        },
    });
    if !expected.is_empty() {
        manifest["spec"]["expected"] = json!(expected);
    }
    let mut comments = vec![format!(
        "Desktops that {name} did not delete. Check those with state Unknown in the console first; they may still be \
         deleted:"
    )];
    comments.extend(left.into_iter().map(|status| {
        let desktop = Desktop::from(status);
        match desktop.problem() {
            problem if problem.is_empty() => format!("  {}: {}", desktop.title(), desktop.state),
            problem => format!("  {}: {problem}", desktop.title()),
        }
    }));
    Ok(Some((comments, manifest)))
}

/// `leavers` becomes `leavers-retry`, and that `leavers-retry-2`.
fn retry_name(name: &str) -> String {
    const SUFFIX: &str = "-retry";
    let (stem, number) = match name.rsplit_once(SUFFIX) {
        Some((stem, "")) => (stem, Some(2)),
        Some((stem, number)) => match number.strip_prefix('-').map(str::parse::<u32>) {
            Some(Ok(number)) => (stem, number.checked_add(1)),
            _ => (name, None),
        },
        None => (name, None),
    };
    let suffix = number.map_or_else(|| SUFFIX.to_owned(), |number| format!("{SUFFIX}-{number}"));
    with_suffix(stem, &suffix)
}

/// A name that is not too long for one of our objects.
fn with_suffix(stem: &str, suffix: &str) -> String {
    let room = (limits::OWN_OBJECT_NAME as usize).saturating_sub(suffix.len());
    let stem: String = stem.chars().take(room).collect();
    // A part of a name between dots ends with a letter or a digit.
    format!("{}{suffix}", stem.trim_end_matches(['-', '.']))
}

/// The manifest with at most `size` desktops each, named `NAME-1` and so on.
fn parts(manifest: &Value, size: usize) -> Result<Vec<Value>, Error> {
    let invalid = |what: &str| Error::other(format!("not a DesktopDeletion manifest: {what}"));
    if manifest["apiVersion"] != API_VERSION || manifest["kind"] != KIND {
        return Err(invalid(&format!(
            "apiVersion must be {API_VERSION} and kind {KIND}"
        )));
    }
    let name = manifest["metadata"]["name"].as_str().map(str::to_owned);
    let name = name.ok_or_else(|| invalid("metadata.name is missing"))?;
    let ids: Option<Vec<String>> = manifest["spec"]["desktopIDs"]
        .as_array()
        .and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect());
    let ids = ids.filter(|ids| !ids.is_empty());
    let ids = ids.ok_or_else(|| invalid("spec.desktopIDs must be a list of strings"))?;
    let mut known = HashSet::new();
    if let Some(twice) = ids.iter().find(|id| !known.insert(id.to_ascii_lowercase())) {
        return Err(Error::other(format!(
            "spec.desktopIDs names desktop {twice} twice; list each one once"
        )));
    }
    let expected = match &manifest["spec"]["expected"] {
        Value::Null => Vec::new(),
        Value::Array(expected) => expected.clone(),
        _ => return Err(invalid("spec.expected must be a list")),
    };
    let unknown = expected
        .iter()
        .find(|entry| !entry["id"].as_str().is_some_and(|id| ids.iter().any(|i| i == id)));
    if let Some(entry) = unknown {
        let message = format!(
            "spec.expected names desktop {} that spec.desktopIDs does not",
            entry["id"]
        );
        return Err(Error::other(message));
    }
    let several = ids.len() > size;
    let chunks = ids.chunks(size).enumerate();
    Ok(chunks
        .map(|(index, ids)| {
            let mut part = copy(manifest);
            if several {
                part["metadata"]["name"] = json!(with_suffix(&name, &format!("-{}", index + 1)));
            }
            part["spec"]["desktopIDs"] = json!(ids);
            let of_part = |entry: &&Value| ids.iter().any(|id| entry["id"] == **id);
            let expected: Vec<_> = expected.iter().filter(of_part).collect();
            if !expected.is_empty() {
                part["spec"]["expected"] = json!(expected);
            }
            part
        })
        .collect())
}

/// What of a manifest can be used for another object. An approval cannot: it is one of a single object.
fn copy(manifest: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = manifest["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
    }
    let mut spec = manifest["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("approvedPlan");
        fields.remove("expected");
    }
    json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::request;

    #[test]
    fn desktops_that_failed_become_a_new_request_with_the_same_flags() {
        let mut status = json!({
            "completionTime": "2026-12-01T08:00:00Z",
            "desktops": [
                {"id": "pc-1", "state": "Deleted"},
                {"id": "pc-2", "state": "Failed", "name": "VDI-02", "code": "WKS.1", "message": "quota"},
            ],
        });
        let (comments, manifest) = retried(&request(&status), "vdi-prod", None).unwrap().unwrap();
        assert_eq!(
            comments,
            [
                "Desktops that leavers did not delete. Check those with state Unknown in the console first; they may \
                 still be deleted:",
                "  pc-2 (VDI-02): WKS.1: quota"
            ]
        );
        let expected = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "leavers-retry", "namespace": "vdi-prod"},
            "spec": {
                "projectRef": {"name": "prod"},
                "desktopIDs": ["pc-2"],
                "expected": [{"id": "pc-2", "userName": "ben"}],
                "deleteUsers": false,
                "emailNotification": true,
                "force": true,
            },
        });
        assert_eq!(manifest, expected);
        let (_, named) = retried(&request(&status), "vdi-prod", Some("again"))
            .unwrap()
            .unwrap();
        assert_eq!(named["metadata"]["name"], "again");

        status["desktops"][1] = json!({"id": "pc-2", "state": "Absent"});
        assert_eq!(retried(&request(&status), "vdi-prod", None).unwrap(), None);
        let unfinished = retried(&request(&json!({})), "vdi-prod", None).unwrap_err();
        assert!(
            unfinished.to_string().contains("leavers is not finished"),
            "{unfinished}"
        );
    }

    #[test]
    fn names_of_retries_are_numbered_and_never_too_long() {
        for (name, expected) in [
            ("leavers", "leavers-retry"),
            ("leavers-retry", "leavers-retry-2"),
            ("leavers-retry-2", "leavers-retry-3"),
            ("leavers-retry-x", "leavers-retry-x-retry"),
            ("leavers-retry-4294967295", "leavers-retry"),
        ] {
            assert_eq!(retry_name(name), expected);
        }
        let long = retry_name(&format!("{}.{}", "a".repeat(229), "b".repeat(6)));
        assert_eq!(long, format!("{}-retry", "a".repeat(229)));
        assert!(long.len() <= limits::OWN_OBJECT_NAME as usize);
    }

    fn long(count: usize) -> Value {
        let ids: Vec<_> = (1..=count).map(|number| format!("pc-{number}")).collect();
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": "leavers",
                "uid": "1",
                "labels": {"team": "vdi"},
                "annotations": {"cloud-desktops.dev/created-by": "zoe", "example.com/ticket": "4711"},
            },
            "spec": {
                "projectRef": {"name": "prod"},
                "desktopIDs": ids,
                "expected": [{"id": "pc-1", "userName": "anna"}, {"id": format!("pc-{count}"), "userName": "ben"}],
                "approvedPlan": "sha256:0",
                "suspend": true,
            },
            "status": {},
        })
    }

    #[test]
    fn a_long_list_becomes_several_requests_that_name_each_desktop_once() {
        let parts = parts(&long(5), 2).unwrap();
        let names: Vec<_> = parts
            .iter()
            .map(|part| part["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["leavers-1", "leavers-2", "leavers-3"]);
        let ids: Vec<_> = parts.iter().map(|part| &part["spec"]["desktopIDs"]).collect();
        assert_eq!(
            ids,
            [
                &json!(["pc-1", "pc-2"]),
                &json!(["pc-3", "pc-4"]),
                &json!(["pc-5"])
            ]
        );
        let expected: Vec<_> = parts.iter().map(|part| &part["spec"]["expected"]).collect();
        assert_eq!(*expected[0], json!([{"id": "pc-1", "userName": "anna"}]));
        assert_eq!(*expected[1], Value::Null);
        assert_eq!(*expected[2], json!([{"id": "pc-5", "userName": "ben"}]));
        let whole = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": "leavers-2",
                "labels": {"team": "vdi"},
                "annotations": {"example.com/ticket": "4711"},
            },
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-3", "pc-4"], "suspend": true},
        });
        assert_eq!(parts[1], whole);
    }

    #[test]
    fn a_short_list_keeps_its_name() {
        let parts = parts(&long(2), 2).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0]["metadata"]["name"], "leavers");
    }

    #[test]
    fn a_manifest_that_is_not_a_request_is_refused() {
        let edited = |path: &str, value: Value| {
            let mut manifest = long(3);
            *manifest.pointer_mut(path).unwrap() = value;
            parts(&manifest, 2).unwrap_err().to_string()
        };
        for (path, value, says) in [
            ("/kind", json!("Pod"), "apiVersion must be"),
            ("/metadata/name", json!(1), "metadata.name is missing"),
            ("/spec/desktopIDs", json!([]), "spec.desktopIDs must be a list"),
            (
                "/spec/desktopIDs",
                json!(["a", 1]),
                "spec.desktopIDs must be a list",
            ),
            ("/spec/desktopIDs", json!(["a", "A"]), "names desktop A twice"),
            ("/spec/expected", json!("a"), "spec.expected must be a list"),
            (
                "/spec/expected",
                json!([{"id": "z"}]),
                "spec.expected names desktop \"z\"",
            ),
        ] {
            let error = edited(path, value);
            assert!(error.contains(says), "{path}: {error}");
        }
    }
}
