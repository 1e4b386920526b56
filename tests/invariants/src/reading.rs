//! A status as the API server shows it, as plain data. It is read by the names of the API's fields and by nothing of
//! the operator's, so that a mistake there is not made here again.

use serde_json::{Value, json};

use crate::history::{Approved, Attempt, Desktop, Facts, Object, Outcome, State, Status};

/// What must stay as it is once a request is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frozen {
    /// All of the status, as the API server has it.
    Whole,
    /// What it says to people: the conditions, the desktops, the time.
    Verdict,
}

/// Fields of an attempt that become known, or change, after it is written.
const LATER: [&str; 4] = ["id", "outcome", "jobIDs", "error"];

impl Object {
    /// An object as the API server shows it.
    pub fn read(object: &Value, frozen: Frozen) -> Self {
        Self {
            deleting: !object["metadata"]["deletionTimestamp"].is_null(),
            suspended: object["spec"]["suspend"] == true,
            approved_plan: present(&object["spec"]["approvedPlan"]).map(text),
            spec: object["spec"].to_string(),
            status: Status::read(&object["status"], frozen),
        }
    }
}

impl Status {
    /// A status as the API server shows it.
    pub fn read(status: &Value, frozen: Frozen) -> Self {
        // That an edit of `suspend` was noticed may be said after the end.
        let status = &unobserved(status);
        let condition = |kind: &str| items(status, "conditions").iter().find(|c| c["type"] == kind);
        let end = || match frozen {
            Frozen::Whole => status.to_string(),
            Frozen::Verdict => {
                json!([status["completionTime"], status["desktops"], status["conditions"]]).to_string()
            }
        };
        let decided = condition("Succeeded").filter(|c| c["status"] != "Unknown");
        Self {
            attempts: items(status, "attempts").iter().map(Attempt::read).collect(),
            desktops: items(status, "desktops").iter().map(Desktop::read).collect(),
            finished: present(&status["completionTime"]).map(|_| end()),
            verdict: decided.map(|c| format!("{} {}", text(&c["status"]), text(&c["reason"]))),
            project: present(&status["project"]).map(ToString::to_string),
            job: present(&status["jobID"]).map(text),
            job_unknown: condition("Submitted").is_some_and(|c| c["reason"] == "JobUnknown"),
            approved: present(&status["approved"]).map(Approved::read),
        }
    }
}

impl Approved {
    fn read(approved: &Value) -> Self {
        let desktops = items(approved, "desktops").iter();
        Self {
            hash: text(&approved["hash"]),
            desktops: desktops.map(|d| (text(&d["id"]), Facts::read(d))).collect(),
        }
    }
}

impl Facts {
    fn read(desktop: &Value) -> Self {
        let fact = |field: &str| present(&desktop[field]).map(text);
        Self {
            name: fact("name"),
            users: fact("users"),
            created: fact("created"),
        }
    }
}

/// The status without the generation that was seen.
fn unobserved(status: &Value) -> Value {
    let mut status = status.clone();
    let forget = |object: &mut Value| {
        if let Some(fields) = object.as_object_mut() {
            fields.remove("observedGeneration");
        }
    };
    forget(&mut status);
    // A response that is no object has a text as its status.
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    conditions.into_iter().flatten().for_each(forget);
    status
}

impl Attempt {
    fn read(attempt: &Value) -> Self {
        let outcome = match attempt["outcome"].as_str() {
            Some("NotSent") => Outcome::NotSent,
            Some("Rejected") => Outcome::Rejected,
            Some("Accepted") => Outcome::Accepted,
            Some("Adopted") => Outcome::Adopted,
            Some("NoEffect") => Outcome::NoEffect,
            Some("Abandoned") => Outcome::Abandoned,
            _ => Outcome::Pending,
        };
        let mut facts = attempt.clone();
        if let Some(facts) = facts.as_object_mut() {
            facts.retain(|field, _| !LATER.contains(&field.as_str()));
        }
        Self {
            id: text(&attempt["id"]),
            outcome,
            desktops: texts(attempt, "desktopIDs"),
            digest: text(&attempt["bodyDigest"]),
            signature: None,
            not_after: None,
            facts: facts.to_string(),
            jobs: texts(attempt, "jobIDs"),
            given_up: outcome == Outcome::Abandoned,
            plan: present(&attempt["planHash"]).map(text),
        }
    }
}

impl Desktop {
    fn read(desktop: &Value) -> Self {
        let state = match desktop["state"].as_str() {
            Some("Absent") => State::Absent,
            Some("Deleting") => State::Deleting,
            Some("Deleted") => State::Deleted,
            Some("Failed") => State::Failed,
            Some("Unknown") => State::Unknown,
            _ => State::Pending,
        };
        Self {
            id: text(&desktop["id"]),
            state,
        }
    }
}

/// The items of a list; none if there is no list.
pub fn items<'a>(of: &'a Value, list: &str) -> &'a [Value] {
    of[list].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The texts in a list.
pub fn texts(of: &Value, list: &str) -> Vec<String> {
    items(of, list).iter().map(text).collect()
}

fn present(value: &Value) -> Option<&Value> {
    Some(value).filter(|value| !value.is_null())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_decoded_by_the_field_names_of_the_api() {
        let status = json!({
            "completionTime": "2026-01-15T08:00:00Z",
            "jobID": "j1",
            "project": {"region": "r"},
            "conditions": [
                {"type": "Submitted", "status": "True", "reason": "JobUnknown"},
                {"type": "Succeeded", "status": "False", "reason": "AllFailed"},
            ],
            "desktops": [{"id": "a", "state": "Failed"}],
            "attempts": [{"id": "n1", "outcome": "Adopted", "desktopIDs": ["a"], "bodyDigest": "d", "writer": "w",
                "jobIDs": ["j1"], "error": {"code": "X"}}],
        });
        let read = Status::read(&status, Frozen::Verdict);
        let attempt = &read.attempts[0];
        assert_eq!((attempt.outcome, attempt.jobs.len()), (Outcome::Adopted, 1));
        assert_eq!(
            attempt.facts,
            r#"{"bodyDigest":"d","desktopIDs":["a"],"writer":"w"}"#
        );
        assert_eq!(read.desktops[0].state, State::Failed);
        assert_eq!(read.verdict.as_deref(), Some("False AllFailed"));
        assert!(read.job_unknown && read.finished.is_some());
        assert_eq!(read.job.as_deref(), Some("j1"));
    }

    #[test]
    fn an_approval_is_decoded_with_the_facts_of_each_desktop() {
        let object = json!({
            "spec": {"approvedPlan": "sha256:1"},
            "status": {
                "approved": {"hash": "sha256:1", "desktops": [{"id": "a", "name": "pc", "users": "alice", "created": "t"}]},
                "attempts": [{"id": "n1", "planHash": "sha256:1"}],
            },
        });
        let read = Object::read(&object, Frozen::Whole);
        let plan = Some("sha256:1".to_owned());
        assert_eq!(
            (&read.approved_plan, &read.status.attempts[0].plan),
            (&plan, &plan)
        );
        let facts = Facts {
            name: Some("pc".to_owned()),
            users: Some("alice".to_owned()),
            created: Some("t".to_owned()),
        };
        let approved = Approved {
            hash: "sha256:1".to_owned(),
            desktops: [("a".to_owned(), facts)].into(),
        };
        assert_eq!(read.status.approved, Some(approved));
    }

    #[test]
    fn a_job_that_was_added_later_changes_only_the_complete_frozen_status() {
        let end = |jobs: Value, frozen| {
            let status = json!({"completionTime": "t", "attempts": [{"id": "n1", "jobIDs": jobs, "outcome": "Abandoned"}]});
            Status::read(&status, frozen).finished
        };
        let same = |frozen| end(json!([]), frozen) == end(json!(["j1"]), frozen);
        assert!(same(Frozen::Verdict) && !same(Frozen::Whole));
    }
}
