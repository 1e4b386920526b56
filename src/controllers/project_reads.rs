//! Projects as they were read, and the reads that requests share.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api;
use super::raw::Raw;
use crate::cloud::session::CloudSession;
use crate::cloud::single_flight::{SharedRead, SingleFlight};
use crate::crd::conditions::Reason;
use crate::crd::deletion::ProjectCoordinates;
use crate::crd::project::WorkspaceProjectSpec;
use crate::crd::{WorkspaceProject, WorkspaceProjectStatus};
use crate::expiring::ExpiringMap;
use crate::workspace::endpoint::regions;

/// Projects that were not used for this long are forgotten.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Result of a read of a project. A failure is shared too, or the waiting callers would time out one after the other.
pub(super) type ReadResult = Result<Arc<ProjectRead>, api::Error>;

/// Reads of projects that requests share, by namespace and name.
pub struct ProjectReads(ExpiringMap<(String, String), SingleFlight<ReadResult>>);

impl ProjectReads {
    /// The result of a read that was begun at `since` or later: one in progress, or a new one with `read`.
    pub(super) async fn since<F>(
        &self,
        project: (String, String),
        since: Instant,
        read: impl FnOnce() -> F,
    ) -> SharedRead<ReadResult>
    where
        F: Future<Output = Result<ProjectRead, api::Error>>,
    {
        let flight = self.0.get_or_insert_with(project, SingleFlight::default);
        let shared = || async { Ok(read().await.map(Arc::new)) };
        let Ok(read) = flight.since(since, shared).await;
        read
    }

    /// A project has changed: later callers do not get an earlier read.
    pub fn changed(&self, namespace: &str, name: &str) {
        if let Some(flight) = self.0.get(&(namespace.to_owned(), name.to_owned())) {
            flight.invalidate();
        }
    }
}

impl Default for ProjectReads {
    fn default() -> Self {
        Self(ExpiringMap::new(IDLE_TIMEOUT))
    }
}

/// What a read of a project showed.
pub enum ProjectRead {
    /// It does not exist.
    Missing,
    /// This version cannot decode it, and why.
    Undecodable(String),
    /// The project, and the session created from its Secret.
    Found(Arc<StoredProject>, Result<Arc<CloudSession>, Unavailable>),
}

/// Why there is no session: a reason of the project's `Ready` condition, and cause and remedy.
pub struct Unavailable {
    /// The reason.
    pub reason: Reason,
    /// The message.
    pub message: String,
}

/// A project as it was read live, or returned by a write.
#[derive(Debug, Clone)]
pub struct StoredProject {
    /// The decoded object.
    pub object: WorkspaceProject,
    /// Its status as it was received.
    stored: Value,
}

impl StoredProject {
    /// Of a project as it was received.
    ///
    /// # Errors
    /// This version cannot decode it, not even without the conditions in its status.
    pub fn of(mut project: Raw<WorkspaceProject>) -> Result<Self, String> {
        drop_undecodable_status(&mut project);
        Ok(Self {
            object: project.object.0.map_err(|invalid| invalid.error)?,
            stored: project.json["status"].take(),
        })
    }

    /// Its status as it was received.
    pub(super) fn stored_status(&self) -> &Value {
        &self.stored
    }

    /// Its status, as far as this version knows it.
    pub fn status(&self) -> WorkspaceProjectStatus {
        self.object.status.clone().unwrap_or_default()
    }
}

/// Region, project ID and endpoint of a project.
pub fn coordinates(spec: &WorkspaceProjectSpec) -> ProjectCoordinates {
    let endpoint = spec
        .endpoint
        .clone()
        .unwrap_or_else(|| regions::workspace(&spec.region));
    ProjectCoordinates {
        region: spec.region.clone(),
        project_id: spec.project_id.clone(),
        endpoint: endpoint.trim_end_matches('/').to_owned(),
    }
}

/// If the project's status cannot be decoded, removes everything from it except `dailyUsage`: the next check restores
/// the rest, but nothing can restore that.
pub fn drop_undecodable_status(project: &mut Raw<WorkspaceProject>) {
    if project.object.0.is_ok() {
        return;
    }
    let mut json = project.json.clone();
    let usage = json["status"].get("dailyUsage").cloned();
    json["status"] = usage.map_or(Value::Null, |usage| json!({"dailyUsage": usage}));
    if let Ok(bare) = Raw::of(json)
        && bare.object.0.is_ok()
    {
        let (namespace, name) = (bare.namespace(), bare.name_any());
        tracing::warn!(
            namespace,
            name,
            "the status of a WorkspaceProject cannot be decoded, so the operator replaces the status"
        );
        *project = bare;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(spec: &Value, status: &Value) -> Raw<WorkspaceProject> {
        let spec = if spec.is_null() {
            json!({"region": "r", "projectID": "p", "credentials": {}})
        } else {
            spec.clone()
        };
        Raw::of(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "WorkspaceProject",
            "metadata": {"name": "prod"},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    fn interval(until: &str) -> Value {
        json!({"submitted": [{"countsUntil": until, "desktops": 7}]})
    }

    #[test]
    fn conditions_that_cannot_be_decoded_are_left_out_and_the_daily_usage_stays() {
        let broken = json!([{"type": "Ready", "lastTransitionTime": "yesterday"}]);
        for (usage, desktops) in [(interval("2026-12-01T00:00:00Z"), Some(7)), (Value::Null, None)] {
            let raw = project(&Value::Null, &json!({"conditions": broken, "dailyUsage": usage}));
            assert!(raw.object.0.is_err());
            let status = StoredProject::of(raw).unwrap().status();
            assert!(status.conditions.is_empty());
            assert_eq!(status.daily_usage.map(|usage| usage.desktops()), desktops);
        }
    }

    #[test]
    fn a_project_whose_spec_or_daily_usage_cannot_be_decoded_cannot_be_used() {
        for raw in [
            project(&json!({"region": 7}), &Value::Null),
            project(&Value::Null, &json!({"dailyUsage": interval("yesterday")})),
        ] {
            assert!(StoredProject::of(raw).is_err());
        }
    }
}
