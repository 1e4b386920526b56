//! Whether a change of a project is relevant for the requests that wait for it: a change of its spec, its conditions, or
//! the room under its daily limit. Reservations alone are not.

use std::collections::{HashMap, HashSet};

use kube::ResourceExt;

use super::relaxed::relaxed;
use crate::crd::conditions::Reason;
use crate::crd::project::DailyUsage;
use crate::crd::{DesktopDeletion, WorkspaceProject};

/// The projects of a watch as they were when requests were last requeued, by uid.
#[derive(Default)]
pub(super) struct Changes(HashMap<String, WorkspaceProject>);

/// Which requests a change of a project affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AffectedRequests {
    /// No request.
    NoRequest,
    /// Requests that wait for room under the daily limit.
    WaitingForDailyLimit,
    /// Every request.
    All,
}

impl AffectedRequests {
    /// Whether that request is one of them.
    pub(super) fn include(self, request: &DesktopDeletion) -> bool {
        let mut conditions = request.status.iter().flat_map(|status| &status.conditions);
        match self {
            Self::NoRequest => false,
            Self::WaitingForDailyLimit => conditions.any(|c| c.reason == Reason::DailyLimitReached),
            Self::All => true,
        }
    }
}

/// What is new in a project.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProjectChange {
    /// The requests to requeue.
    pub(super) affected: AffectedRequests,
    /// The guardrails that were relaxed.
    pub(super) relaxed: Vec<&'static str>,
}

impl Changes {
    /// Stores a project as the watch shows it, and returns what is new.
    pub(super) fn update(&mut self, project: &WorkspaceProject) -> ProjectChange {
        let previous = self.0.insert(project.uid().unwrap_or_default(), project.clone());
        let affected = previous.as_ref().map_or(AffectedRequests::All, |previous| {
            affected_requests(previous, project)
        });
        let before = previous.and_then(|previous| previous.spec.guardrails);
        let now = project.spec.guardrails.as_ref();
        let relaxed = before.map_or_else(Vec::new, |before| relaxed(&before, now));
        ProjectChange { affected, relaxed }
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Projects were listed: what is not among them is gone.
    pub(super) fn keep(&mut self, listed: &HashSet<String>) {
        self.0.retain(|uid, _| listed.contains(uid));
    }
}

fn affected_requests(previous: &WorkspaceProject, now: &WorkspaceProject) -> AffectedRequests {
    let status = |project: &WorkspaceProject| project.status.clone().unwrap_or_default();
    let (before, after) = (status(previous), status(now));
    let used = |usage: Option<DailyUsage>| usage.map_or((0, 0), |u| (u.desktops(), u.reservations.len()));
    let (was_used, is_used) = (used(before.daily_usage), used(after.daily_usage));
    if previous.metadata.generation != now.metadata.generation || before.conditions != after.conditions {
        AffectedRequests::All
    } else if is_used.0 < was_used.0 || is_used.1 < was_used.1 {
        AffectedRequests::WaitingForDailyLimit
    } else {
        AffectedRequests::NoRequest
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn project(generation: i64, reason: &str, usage: &Value) -> WorkspaceProject {
        serde_json::from_value(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "WorkspaceProject",
            "metadata": {"name": "prod", "uid": "u1", "generation": generation, "labels": {"any": reason}},
            "spec": {"region": "r", "projectID": "p", "credentials": {}},
            "status": {
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": reason, "message": "",
                    "lastTransitionTime": "2026-12-01T00:00:00Z",
                }],
                "dailyUsage": usage,
            },
        }))
        .unwrap()
    }

    fn used(desktops: i32) -> Value {
        json!({"submitted": [{"countsUntil": "2026-12-01T00:00:00Z", "desktops": desktops}]})
    }

    #[test]
    fn changes_of_spec_and_conditions_affect_all_requests_and_free_capacity_only_waiting_ones() {
        use AffectedRequests::{All, NoRequest, WaitingForDailyLimit};
        let mut changes = Changes::default();
        let reserved = json!({"reservations": [{
            "attemptID": "n1", "request": "leaver", "uid": "u2", "resourceVersion": "7", "desktops": 5,
            "reservedAt": "2026-12-01T00:00:00Z",
        }]});
        for (what, generation, reason, usage, affected) in [
            ("it is new", 1, "Valid", Value::Null, All),
            ("nothing", 1, "Valid", Value::Null, NoRequest),
            ("less room", 1, "Valid", reserved, NoRequest),
            ("fewer reservations", 1, "Valid", used(5), WaitingForDailyLimit),
            ("less room", 1, "Valid", used(7), NoRequest),
            ("more room", 1, "Valid", used(6), WaitingForDailyLimit),
            ("another spec", 2, "Valid", used(6), All),
            ("another condition", 2, "Invalid", used(6), All),
        ] {
            let shown = changes.update(&project(generation, reason, &usage));
            assert_eq!(shown.affected, affected, "{what}");
        }
        let last = project(2, "Invalid", &used(6));
        changes.forget("u1");
        assert_eq!(
            changes.update(&last).affected,
            All,
            "it was deleted and created again"
        );
        changes.keep(&HashSet::new());
        assert_eq!(
            changes.update(&last).affected,
            All,
            "it was deleted and created again"
        );
    }
}
