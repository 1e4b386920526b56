//! Responses that the grammar excludes. Each is well-formed, documented and false, and the operator has no second
//! source to detect it: `docs/assumptions.md` and `docs/crash-safety.md` describe the consequences. Everything else is
//! generated, also what is false but contradicts itself or another response.

use std::fmt;

use serde_json::Value;

use super::{Body, Draft, Original, Tree, words};
use crate::calls::Call;

/// What would be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A submission that was carried out is answered with an error: a 4xx, or a code by which the gateway or the
    /// service rejects a call, except 408 and 499. After a definite rejection the protocol submits again.
    FalseRefusal,
    /// A submission is answered with the id of another job. The id is the only evidence.
    ForeignJob,
    /// A desktop that is there is said to be gone by the call that asks for it alone: 404 of the service, or `DELETED`.
    /// "One GET that says it is gone" is what ends a request. That a list lacks the desktop is no lie in this sense.
    FalselyGone,
    /// A row of a list of sub-jobs, or of a job, names another desktop or another job than it is about.
    FalseName,
    /// A list of sub-jobs lacks a row, and its count is right about what is left. This is A3.
    WholeListLacksRow,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The lie that a response would be, if any.
pub(super) fn told(truth: &Original<'_>, draft: &Draft) -> Option<Lie> {
    let told = match &draft.body {
        Body::Json(tree) => Some(tree),
        // Its content does not matter: it is not JSON, or the true content with something around it.
        Body::Bytes(_) => None,
    };
    match truth.call {
        Call::BatchDelete if !(200..300).contains(&draft.status) => {
            (truth.carried_out && refuses(draft)).then_some(Lie::FalseRefusal)
        }
        Call::BatchDelete => foreign_job(truth, told?),
        Call::ShowDesktop => falsely_gone(truth, draft, told?),
        Call::ListSubJobs if draft.status == 200 => false_list(truth, told?),
        Call::ShowJob if draft.status == 200 => false_name(truth, told?, "sub_jobs"),
        _ => None,
    }
}

fn refuses(draft: &Draft) -> bool {
    let text = match &draft.body {
        Body::Json(tree) => tree.to_string(),
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let speaks_for_itself = (400..500).contains(&draft.status) && ![408, 499].contains(&draft.status);
    speaks_for_itself || (draft.status >= 400 && words::holds_refusing_code(&text))
}

fn foreign_job(truth: &Original<'_>, told: &Tree) -> Option<Lie> {
    let real = real(truth);
    let job = told.get("job_id")?.as_text()?;
    let own = truth.carried_out && real["job_id"] == job;
    (is_id(job) && !own).then_some(Lie::ForeignJob)
}

fn falsely_gone(truth: &Original<'_>, draft: &Draft, told: &Tree) -> Option<Lie> {
    let real = real(truth);
    let desktop = match &real["desktop"] {
        Value::Array(rows) => rows.first().cloned().unwrap_or_default(),
        other => other.clone(),
    };
    let is_deleted = |word: &str| word.eq_ignore_ascii_case("DELETED");
    let there = truth.answer.status == 200 && !desktop["status"].as_str().is_some_and(is_deleted);
    // Of the two values of a key that comes twice any may be taken.
    let says_deleted = draft.status == 200 && told.to_string().to_ascii_uppercase().contains("\"DELETED\"");
    let says_gone = draft.status == 404 && matches!(told, Tree::Map(_));
    (there && (says_deleted || says_gone)).then_some(Lie::FalselyGone)
}

fn false_list(truth: &Original<'_>, told: &Tree) -> Option<Lie> {
    if let Some(lie) = false_name(truth, told, "jobs") {
        return Some(lie);
    }
    let rows = told.get("jobs")?.as_list()?.len();
    let real = real(truth)["jobs"].as_array().map_or(0, Vec::len);
    let whole = told.get("total_count")?.as_count()? == rows as u64;
    (whole && rows < real).then_some(Lie::WholeListLacksRow)
}

fn false_name(truth: &Original<'_>, told: &Tree, list: &str) -> Option<Lie> {
    let real = real(truth);
    let known: Vec<_> = real[list].as_array().into_iter().flatten().collect();
    let told = told.get(list)?.as_list()?;
    let is_false = |row: &&Tree| {
        let desktop = row
            .get("entities")
            .and_then(|entities| entities.get("desktop_id"));
        let desktop = desktop.and_then(Tree::as_text).filter(|id| is_id(id));
        let job = row.get("job_id").and_then(Tree::as_text).filter(|id| is_id(id));
        desktop.is_some_and(|desktop| {
            let about = |real: &&&Value| real["entities"]["desktop_id"] == desktop;
            !known
                .iter()
                .filter(about)
                .any(|real| job.is_none_or(|job| real["job_id"] == job))
        })
    };
    told.iter().find(is_false).map(|_| Lie::FalseName)
}

fn real(truth: &Original<'_>) -> Value {
    serde_json::from_slice(&truth.answer.body).unwrap_or_default()
}

/// Anything else is taken for no id by anybody.
fn is_id(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.chars().all(is_part)
}
