//! The operator's calls of the API server, and how each is recognised in transit: its writes, in the order of an
//! undisturbed run, and its reads.

use std::sync::atomic::{AtomicBool, Ordering};

use desktop_deletion_operator::crd::FINALIZER;
use serde_json::Value;
use testkit::{ApiRequest, ApiServerProxy, Moment, Trap};

/// A write to a request. (The POST goes to the cloud: see [`crate::kill`].)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The first plan is shown.
    ShowPlan,
    /// What was approved is put on record.
    RecordApproval,
    /// Our finalizer is put on it.
    AddFinalizer,
    /// The intent to send the POST is stored.
    RecordIntent,
    /// The outcome of the POST, with this value, is stored.
    RecordOutcome(&'static str),
    /// That the response to the POST was lost is stored.
    RecordDoubt,
    /// An annotation is refused.
    RefuseResolve,
    /// One of two desktops is gone, and the other one is read once more.
    RecordProgress,
    /// Our finalizer is taken off.
    DropFinalizer,
    /// The final result is stored.
    Finish,
}

impl Effect {
    /// All writes of an undisturbed run.
    pub(crate) const CALM: [Self; 6] = [
        Self::AddFinalizer,
        Self::RecordIntent,
        Self::RecordOutcome("Accepted"),
        Self::RecordProgress,
        Self::DropFinalizer,
        Self::Finish,
    ];

    /// Lays a trap for the first such write to a request.
    pub(crate) fn trap(self, proxy: &ApiServerProxy, moment: Moment, request: &str) -> Trap {
        let name = request.to_owned();
        proxy.trap(moment, 1, move |asked| self.is(asked, &name))
    }

    /// Whether a request is this write to the request of that name.
    pub(crate) fn is(self, asked: &ApiRequest, name: &str) -> bool {
        let finalizers = || {
            let list = asked.body["metadata"]["finalizers"].as_array();
            let ours = asked.writes("desktopdeletions", "", name);
            list.filter(|_| ours)
                .map(|list| list.iter().any(|finalizer| finalizer == FINALIZER))
        };
        let status = || {
            let ours = asked.writes("desktopdeletions", "status", name);
            if ours {
                asked.body["status"].clone()
            } else {
                Value::Null
            }
        };
        match self {
            Self::AddFinalizer => finalizers() == Some(true),
            Self::DropFinalizer => finalizers() == Some(false),
            Self::ShowPlan => {
                let status = status();
                status["plan"].is_object() && status["approved"].is_null()
            }
            Self::RecordApproval => status()["approved"].is_object(),
            Self::RecordIntent => {
                let pending = last_attempt(&status());
                pending["outcome"] == "Pending" && pending["error"].is_null()
            }
            Self::RecordDoubt => {
                let doubtful = last_attempt(&status());
                doubtful["outcome"] == "Pending" && doubtful["error"].is_object()
            }
            Self::RecordOutcome(outcome) => last_attempt(&status())["outcome"] == outcome,
            Self::RecordProgress => {
                let status = status();
                status["summary"]["deleted"] == 1 && status["completionTime"].is_null()
            }
            Self::RefuseResolve => status()["lastHandledResolve"].is_string(),
            Self::Finish => status()["completionTime"].is_string(),
        }
    }
}

/// A read of something that belongs to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Its project, with which a reconciliation begins: the request itself is in the watch.
    Project,
    /// The Secret of its project.
    Secret,
}

impl Read {
    /// Lays a trap for the first such read once a reconciliation has begun.
    pub(crate) fn trap(self, proxy: &ApiServerProxy, moment: Moment, request: &str) -> Trap {
        let name = request.to_owned();
        let begun = AtomicBool::new(false);
        proxy.trap(moment, 1, move |asked| {
            if Self::Project.is(asked, &name) {
                begun.store(true, Ordering::Relaxed);
            }
            begun.load(Ordering::Relaxed) && self.is(asked, &name)
        })
    }

    fn is(self, asked: &ApiRequest, name: &str) -> bool {
        match self {
            Self::Project => is_get(asked, "workspaceprojects", name),
            Self::Secret => is_get(asked, "secrets", name),
        }
    }
}

/// Lays a trap for the question whether another request has the job.
pub(crate) fn owner_trap(proxy: &ApiServerProxy, job: &str) -> Trap {
    let job = job.to_owned();
    proxy.trap(Moment::After, 1, move |asked| {
        asked.verb == "list" && asked.query.contains("status.jobID") && asked.query.contains(&job)
    })
}

/// Whether an object is read by its name.
pub(crate) fn is_get(asked: &ApiRequest, resource: &str, name: &str) -> bool {
    asked.verb == "get" && asked.resource == resource && asked.name == name
}

fn last_attempt(status: &Value) -> Value {
    let attempts = status["attempts"].as_array();
    attempts.and_then(|all| all.last()).cloned().unwrap_or_default()
}
