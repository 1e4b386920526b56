//! Writes of the status of a project. Each replaces what was read, under compare-and-swap, and keeps the fields of a
//! decodable status that this version does not know.

use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::project_reads::StoredProject;
use super::raw::{Raw, keep_unknown};
use super::{Context, api};
use crate::crd::{WorkspaceProject, WorkspaceProjectStatus};

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
    object["status"] = keep_unknown(project.stored_status(), &json(&project.status())?, json(status)?);
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
