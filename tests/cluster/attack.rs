//! The API server as the last line of defence: an administrator, who has every permission, tries to rewrite what is
//! recorded about a request. Each row is one forged value, tried with every kind of write; the API server refuses it,
//! so that a faulty operator could not write it either.
//!
//! | file | what |
//! | --- | --- |
//! | [`victims`] | the requests that are attacked: with unknown outcome, followed, finished |
//! | [`forged_edits`] | an edit of a status, and the kinds of write with which it is tried |
//! | [`log`] | attempts removed, exchanged, put in another order, invented |
//! | [`record`] | one attempt: its outcome, jobs, error and facts |
//! | [`verdict`] | the final result, and what is reported about it |
//! | [`powers`] | what an administrator can still do, since nothing in the object shows that it is forged |
//! | [`reach`] | what the rights of the operator and the roles for people do not reach |
//! | [`approval`] | who approves, and who does not, while the policies are installed |
//! | [`finalizer`] | who removes the operator's finalizer while the policy is installed |
//! | [`secrets`] | a cloud that repeats every secret in its responses |

use serde_json::Value;
use testkit::{ControlPlane, Output};

mod approval;
mod finalizer;
mod forged_edits;
mod log;
mod powers;
mod reach;
mod record;
mod secrets;
mod verdict;
mod victims;

use forged_edits::ForgedEdit;

/// What kubectl printed to standard error. That it waited before a request only shows that the machine is busy.
fn errors(output: &Output) -> String {
    let lines = output.stderr.lines();
    let others: Vec<_> = lines.filter(|line| !line.contains("Waited ")).collect();
    others.join("\n")
}

/// The refused edits, as a table: the request, the edit, and the error of the API server.
fn table() -> Vec<ForgedEdit> {
    [
        log::removed(),
        log::invented(),
        record::settled_again(),
        record::jobs_and_errors(),
        record::facts(),
        record::baselines(),
        verdict::taken_back(),
        verdict::desktops_taken_back(),
        verdict::made_up(),
        verdict::approvals(),
        verdict::after_the_end(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The errors of the API server for these edits, to check that each of its rules has a case.
pub(crate) fn refusals() -> Vec<&'static str> {
    table().into_iter().map(|edit| edit.refusal).collect()
}

#[tokio::test]
async fn recorded_facts_cannot_be_rewritten_even_by_an_administrator() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("attack").await.unwrap();
    let edits = table();
    let mut wrong = Vec::new();
    for (number, edit) in edits.iter().enumerate() {
        wrong.extend(edit.try_all(&namespace, &format!("victim-{number}")).await);
    }
    assert!(
        wrong.is_empty(),
        "of {} forged edits:\n{}",
        edits.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_field_of_the_status_is_attacked_or_known_to_be_free() {
    let mut leaves = Vec::new();
    let kinds = desktop_deletion_operator::crd::all();
    let schema = serde_json::to_value(&kinds[0].spec.versions[0].schema).unwrap();
    collect_leaves(
        &schema["openAPIV3Schema"]["properties"]["status"],
        String::new(),
        &mut leaves,
    );
    assert!(leaves.len() > 40, "{leaves:?}");
    let attacked: Vec<_> = table().iter().flat_map(ForgedEdit::fields).collect();
    let free = powers::fields();
    let missing: Vec<_> = leaves
        .iter()
        .filter(|leaf| !attacked.iter().chain(&free).any(|field| is_part(leaf, field)))
        .collect();
    assert!(missing.is_empty(), "nobody attacks {missing:?}");
}

/// Is the leaf the field, or a part of it?
fn is_part(leaf: &str, field: &str) -> bool {
    let rest = leaf.strip_prefix(field);
    // A write that removes an item of a list has not tried to change its content.
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && !field.ends_with('*')))
}

/// Paths of the fields that hold a value, such as `/attempts/*/outcome`.
fn collect_leaves(schema: &Value, path: String, leaves: &mut Vec<String>) {
    if let Some(fields) = schema["properties"].as_object() {
        for (name, field) in fields {
            collect_leaves(field, format!("{path}/{name}"), leaves);
        }
    } else if schema["items"]["properties"].is_object() {
        collect_leaves(&schema["items"], format!("{path}/*"), leaves);
    } else {
        leaves.push(path);
    }
}
