//! What is known of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use testkit::{AuditEvent, ControlPlane, SERVICE_ACCOUNT, eventually};
use workspace_simulator::cloud::LedgerEntry;

use super::Run;
use crate::scene::BOUND;

/// The facts about one request.
pub(super) struct Record {
    /// Desktops that the request names.
    pub(super) admitted: Vec<String>,
    /// Every batch-delete of the operator that arrived in the cloud, oldest first.
    pub(super) posts: Vec<Post>,
    /// Every write of the operator to the object, in any outcome, oldest first.
    pub(super) writes: Vec<Change>,
    /// What the object was after each write that went through, by anybody, oldest first.
    pub(super) versions: Vec<Version>,
    /// All that the operators have logged.
    pub(super) log: String,
}

/// A batch-delete in the ledger.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) arrived: Timestamp,
    pub(super) desktops: Vec<Value>,
    pub(super) digest: String,
    /// The job that it started, if it took effect.
    pub(super) job: Option<String>,
}

/// A write by the operator.
#[derive(Debug)]
pub(super) struct Change {
    /// `update` or `patch`.
    pub(super) verb: String,
    /// The version that it was made from.
    pub(super) from: String,
    /// The version that it made, if it went through.
    pub(super) to: Option<String>,
    /// The status that it would store; null for a patch of the finalizers.
    pub(super) status: Value,
    /// It let the object go.
    pub(super) last: bool,
}

/// The object at one time; its name is the resourceVersion.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) name: String,
    /// Stored no later than this.
    pub(super) stored: Timestamp,
    pub(super) status: Value,
    /// Nothing may be submitted for it: it was being deleted, or `spec.suspend` was set.
    pub(super) called_off: bool,
    /// The object was gone with this.
    pub(super) gone: bool,
}

impl Record {
    /// The facts about a run in a part of the audit log.
    pub(super) fn of(run: &Run, events: &[Arc<AuditEvent>]) -> Self {
        let namespace = run.scene.namespace.name();
        let account = format!("system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}");
        let own: Vec<_> = events
            .iter()
            .filter(|e| e.is_write() && e.concerns("desktopdeletions", namespace, &run.scene.name))
            .collect();
        Self {
            admitted: run.scene.desktops().to_vec(),
            posts: run.scene.own_posts().iter().map(Post::of).collect(),
            writes: own
                .iter()
                .filter(|e| e.user.username == account)
                .map(|e| Change::of(e))
                .collect(),
            versions: own.iter().filter_map(|e| Version::of(e)).collect(),
            log: run.operators.iter().map(testkit::Operator::log).collect(),
        }
    }

    /// Whether the object has not changed since that version.
    pub(super) fn is_newest(&self, version: &str) -> bool {
        self.versions.last().is_some_and(|newest| newest.name == version)
    }

    /// The status in a version.
    pub(super) fn status_in(&self, version: &str) -> Option<&Value> {
        self.versions
            .iter()
            .find(|v| v.name == version)
            .map(|v| &v.status)
    }
}

impl Post {
    fn of(entry: &LedgerEntry) -> Self {
        let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        Self {
            arrived: entry.time,
            desktops: body["desktop_ids"].as_array().cloned().unwrap_or_default(),
            digest: entry.body_digest.clone(),
            job: entry.job_id.clone().filter(|_| entry.took_effect),
        }
    }
}

impl Change {
    fn of(event: &AuditEvent) -> Self {
        let sent = event.request_object.as_ref();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let made = Version::of(event);
        Self {
            last: made.as_ref().is_some_and(|made| made.gone),
            verb: event.verb.clone(),
            from: sent
                .map(|sent| text(&sent["metadata"]["resourceVersion"]))
                .unwrap_or_default(),
            to: made.map(|made| made.name),
            status: sent.map(|sent| sent["status"].clone()).unwrap_or_default(),
        }
    }
}

impl Version {
    fn of(event: &AuditEvent) -> Option<Self> {
        let object = event
            .response_object
            .as_ref()
            .filter(|_| (200..300).contains(&event.code()))?;
        let metadata = &object["metadata"];
        let deleting = !metadata["deletionTimestamp"].is_null();
        let held = metadata["finalizers"]
            .as_array()
            .is_some_and(|held| !held.is_empty());
        // A deletion without delay is answered by the word that it is done.
        let done = event.verb == "delete" && object["kind"] == "Status";
        Some(Self {
            name: metadata["resourceVersion"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            stored: event.stage_timestamp,
            status: object["status"].clone(),
            called_off: deleting || object["spec"]["suspend"] == true,
            gone: done || (deleting && !held),
        })
    }
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
