//! What happened in a run, as the invariants want it. Times of the audit log and of the ledger are of one clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use invariants::History;
use invariants::history::{
    BaseVersion, Call, IntentBasis, Login, Object, Outcome, Post, Request, Status, Termination, Version,
    Write, WriteResult,
};
use invariants::reading::{Frozen, items, texts};
use jiff::Timestamp;
use serde_json::Value;
use testkit::{AuditEvent, ControlPlane, Operator, SERVICE_ACCOUNT, eventually};
use workspace_simulator::cloud::LedgerEntry;

use super::Run;
use crate::trial::{BOUND, CONSOLE};

/// The history of a run in the audit log; from that event on it was over.
pub(super) fn of(run: &Run, events: &[Arc<AuditEvent>], over: usize) -> History {
    let log: String = run.operators.iter().map(Operator::log).collect();
    let posts = run.trial.own_posts();
    let lost = |job: &&String| {
        let said =
            |line: &str| line.contains(job.as_str()) && line.contains("but this could not be recorded");
        log.lines().any(said)
    };
    History {
        requests: vec![request(run, events, over)],
        posts: posts.iter().map(post).collect(),
        declared: posts
            .iter()
            .filter_map(|post| post.job_id.as_ref())
            .filter(lost)
            .cloned()
            .collect(),
        calls: calls(run),
        logins: logins(run),
        ..History::default()
    }
}

fn request(run: &Run, events: &[Arc<AuditEvent>], over: usize) -> Request {
    let namespace = run.trial.namespace.name();
    let account = format!("system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}");
    let concerns = |e: &Arc<AuditEvent>| {
        let ours = e.is_write() && e.concerns("desktopdeletions", namespace, &run.trial.name);
        ours.then(|| e.clone())
    };
    // A write that broke off before its body was read could change nothing.
    let was_read = |e: &AuditEvent| e.request_object.is_some() || answered(e).is_some();
    let by_operator = |e: &&Arc<AuditEvent>| e.user.username == account && was_read(e);
    let all = as_stored(events.iter().filter_map(concerns).collect());
    let versions = versions(&all, &account);
    let operators: Vec<_> = all.iter().filter(by_operator).collect();
    // The response to a write can be seen before its event: the write that finished the request may be logged after the
    // end was observed.
    let ended = |e: &AuditEvent| answered(e).map(|object| &object["status"]) == run.ended.as_ref().ok();
    let bases = bases(run, &versions);
    let logged = |e: &Arc<AuditEvent>| events[..over].iter().any(|logged| Arc::ptr_eq(logged, e));
    let until_end = operators.iter().rposition(|e| logged(e)).into_iter();
    let until_end = until_end.chain(operators.iter().position(|e| ended(e)));
    Request {
        name: run.trial.name.clone(),
        admitted: run.trial.desktops().to_vec(),
        writes: operators.iter().map(|e| write(e, &versions)).collect(),
        versions: versions.into_iter().map(|stored| stored.version).collect(),
        termination: match &run.ended {
            Ok(_) => Termination::Reached,
            Err(why) => Termination::Not(format!("{why}\n{}", super::log_of(run))),
        },
        quiet_from: Some(until_end.max().map_or(0, |last| last + 1)),
        bases,
        approvals: None,
    }
}

/// What each attempt rests on, by when it was stored.
fn bases(run: &Run, versions: &[Stored]) -> BTreeMap<String, IntentBasis> {
    let mut bases = BTreeMap::new();
    for stored in versions {
        for attempt in &stored.version.object.status.attempts {
            if let Some(own) = run.trial.bases(stored.version.at) {
                bases.entry(attempt.id.clone()).or_insert(own);
            }
        }
    }
    bases
}

/// The writes to one object in the order in which they were carried out. They are logged when their responses end, and
/// the response to a later one may end first; a resourceVersion only grows. One without a response keeps its place in
/// the log.
fn as_stored(logged: Vec<Arc<AuditEvent>>) -> Vec<Arc<AuditEvent>> {
    let mut last = 0_u64;
    let with_version = |event: Arc<AuditEvent>| {
        let stored = answered(&event).and_then(|object| object["metadata"]["resourceVersion"].as_str());
        last = stored.and_then(|version| version.parse().ok()).unwrap_or(last);
        (last, event)
    };
    let mut writes: Vec<_> = logged.into_iter().map(with_version).collect();
    writes.sort_by_key(|(version, _)| *version);
    writes.into_iter().map(|(_, event)| event).collect()
}

/// A version and its resourceVersion.
struct Stored {
    name: String,
    version: Version,
}

/// What the object was after each write that went through, by anybody.
fn versions(events: &[Arc<AuditEvent>], operator: &str) -> Vec<Stored> {
    let mut versions: Vec<Stored> = Vec::new();
    for event in events {
        let Some(object) = answered(event) else { continue };
        let uid = text(&object["metadata"]["uid"]);
        let before = versions.last();
        let mut status = status(&object["status"]);
        // A client that removes the finalizer and deletes the object abandons its call.
        let stripped = event.user.username != operator && items(&object["metadata"], "finalizers").is_empty();
        for attempt in &mut status.attempts {
            attempt.given_up = stripped && attempt.outcome == Outcome::Pending;
        }
        let stored = Stored {
            name: text(&object["metadata"]["resourceVersion"]),
            version: Version {
                at: event.stage_timestamp.as_microsecond(),
                // The response to a completed deletion names no object.
                uid: match before {
                    Some(before) if uid.is_empty() => before.version.uid.clone(),
                    _ => uid,
                },
                object: Object {
                    status,
                    ..Object::read(object, Frozen::Whole)
                },
                gone: lets_go(event, object),
            },
        };
        versions.push(stored);
    }
    versions
}

/// The object in the response to a write that went through.
fn answered(event: &AuditEvent) -> Option<&Value> {
    let done = (200..300).contains(&event.code());
    event.response_object.as_ref().filter(|_| done)
}

/// With this write the object is gone.
fn lets_go(event: &AuditEvent, object: &Value) -> bool {
    let deleting = !object["metadata"]["deletionTimestamp"].is_null();
    let held = !items(&object["metadata"], "finalizers").is_empty();
    // A deletion without delay returns a Status and not the object.
    let done = event.verb == "delete" && object["kind"] == "Status";
    done || (deleting && !held)
}

fn status(shown: &Value) -> Status {
    let mut status = Status::read(shown, Frozen::Whole);
    // Every job of these trials can be found, and a call that a user abandons in them can no longer take effect.
    status.job_unknown = false;
    for (attempt, shown) in status.attempts.iter_mut().zip(items(shown, "attempts")) {
        let end = shown["notAfter"].as_str();
        let end = end.and_then(|text| text.parse::<Timestamp>().ok());
        attempt.not_after = end.map(Timestamp::as_microsecond);
        attempt.given_up = false;
    }
    status
}

fn write(event: &AuditEvent, versions: &[Stored]) -> Write {
    let sent = event.request_object.as_ref();
    let from = sent.map(|sent| text(&sent["metadata"]["resourceVersion"]));
    let from = from.filter(|from| !from.is_empty());
    let made = answered(event);
    let to = made.map(|object| text(&object["metadata"]["resourceVersion"]));
    // What lets the object go makes no version of it.
    let last = made.is_some_and(|object| lets_go(event, object));
    let updates = event.verb == "update";
    Write {
        name: format!(
            "{} of {from:?}, by {}: {} {to:?}",
            event.verb,
            event.user.username,
            event.code()
        ),
        by_operator: true,
        from: match &from {
            None => BaseVersion::Any,
            Some(from) => {
                let at = versions.iter().rposition(|stored| stored.name == *from);
                at.map_or(BaseVersion::Unheard, BaseVersion::Version)
            }
        },
        status: sent.filter(|_| updates).map(|sent| status(&sent["status"])),
        result: match &to {
            None => WriteResult::Refused,
            Some(_) if to == from && !last => WriteResult::Unchanged,
            Some(_) => WriteResult::Stored,
        },
    }
}

fn post(entry: &LedgerEntry) -> Post {
    let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
    Post {
        at: entry.time.as_microsecond(),
        digest: entry.body_digest.clone(),
        desktops: texts(&body, "desktop_ids"),
        // The ledger does not show it.
        signature: None,
        left: Some(entry.time.as_millisecond()),
        job: entry.job_id.clone().filter(|_| entry.took_effect),
    }
}

/// Every call of the trial's cloud except those of other clients. Each trial has its own cloud and credentials.
fn calls(run: &Run) -> Vec<Call> {
    let entries = run.trial.cloud.ledger().into_iter();
    let own = entries.filter(|entry| entry.caller.as_deref() != Some(CONSOLE));
    own.map(|entry| {
        let mut parts = entry.path.split('/').skip_while(|part| part.is_empty());
        let workspace = parts.next().is_some_and(|version| version.starts_with("v2"));
        Call {
            endpoint: run.trial.name.clone(),
            project: parts.next().filter(|_| workspace).map(str::to_owned),
            credential: entry.caller,
        }
    })
    .collect()
}

fn logins(run: &Run) -> Vec<Login> {
    let own = run.trial.callers().map(|credential| Login {
        credential,
        endpoint: run.trial.name.clone(),
        project: run.trial.cloud.project_id().to_owned(),
    });
    own.to_vec()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The audit log up to now.
pub(super) async fn audit_so_far(control_plane: &ControlPlane) -> Vec<Arc<AuditEvent>> {
    static MARKS: AtomicUsize = AtomicUsize::new(0);
    // The log is in order: once it shows this read, it shows what came before.
    let mark = format!("mark-of-the-oracle-{}", MARKS.fetch_add(1, Ordering::Relaxed));
    let kinds = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(
        control_plane.admin_client().await.unwrap(),
        "default",
    );
    kinds.get_opt(&mark).await.unwrap();
    let look = async || {
        let events = control_plane.audit().events().unwrap();
        let shows = events
            .iter()
            .rev()
            .any(|e| e.concerns("configmaps", "default", &mark));
        if shows { Ok(events) } else { Err("it is not there") }
    };
    eventually("a read shows in the audit log", BOUND, look)
        .await
        .unwrap()
}
