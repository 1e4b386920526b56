//! Projects as they were read, and writes of their status. Each write replaces what was read, under compare-and-swap,
//! and keeps the fields of a decodable status that this version does not know.

use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::raw::{Raw, keep_unknown};
use super::{Context, api};
use crate::crd::{WorkspaceProject, WorkspaceProjectStatus};

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

    /// Its status, as far as this version knows it.
    pub fn status(&self) -> WorkspaceProjectStatus {
        self.object.status.clone().unwrap_or_default()
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

/// Replaces the status of a project by a PUT with the resourceVersion of what was read.
///
/// # Errors
/// The project was changed in the meantime, or the call failed.
pub async fn replace(
    project: &StoredProject,
    status: &WorkspaceProjectStatus,
    step: &'static str,
    context: &Context,
) -> Result<Raw<WorkspaceProject>, api::Error> {
    let fault = |_| api::Error::NoResponse {
        action: "write the status of the WorkspaceProject",
        reason: "it cannot be written as JSON".to_owned(),
    };
    let json = |status: &WorkspaceProjectStatus| serde_json::to_value(status).map_err(fault);
    let mut object = serde_json::to_value(&project.object).map_err(fault)?;
    object["status"] = keep_unknown(&project.stored, &json(&project.status())?, json(status)?);
    let next = Raw::of(object).map_err(fault)?;
    let (namespace, name) = (next.namespace().unwrap_or_default(), next.name_any());
    let projects: Api<Raw<WorkspaceProject>> = Api::namespaced(context.kube.client.clone(), &namespace);
    let written = api::call(
        "write the status of the WorkspaceProject",
        projects.replace_status(&name, &PostParams::default(), &next),
    )
    .await?;
    context.process.metrics.api_write("WorkspaceProject", step);
    Ok(written)
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
