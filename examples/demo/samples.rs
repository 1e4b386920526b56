//! `deploy/samples`: the demo plays on the shipped project and Secret, so that the samples can be applied to it as
//! they are.

use std::path::PathBuf;

use serde_json::Value;

use crate::BoxError;

/// What the simulated cloud and the demo need to know of the samples.
pub(crate) struct Samples {
    /// The manifest of the `WorkspaceProject`.
    pub(crate) project: Value,
    /// The manifest of its Secret: placeholders, which the simulated cloud takes for a key.
    pub(crate) secret: Value,
    /// The desktops that the sample requests name.
    pub(crate) desktops: Vec<String>,
}

/// The folder.
pub(crate) fn folder() -> PathBuf {
    testkit::workspace().join("deploy/samples")
}

impl Samples {
    /// Reads the folder.
    pub(crate) fn read() -> Result<Self, BoxError> {
        let mut manifests = Vec::new();
        for entry in std::fs::read_dir(folder())? {
            let path = entry?.path();
            let text = std::fs::read_to_string(&path)?;
            let manifest: Value =
                serde_saphyr::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            manifests.push(manifest);
        }
        let one = |kind: &str| {
            let found = manifests
                .iter()
                .find(|manifest| manifest["kind"] == kind)
                .cloned();
            found.ok_or_else(|| format!("deploy/samples has no {kind}"))
        };
        let requests = manifests
            .iter()
            .filter(|manifest| manifest["kind"] == "DesktopDeletion");
        let ids = requests.filter_map(|request| request["spec"]["desktopIDs"].as_array());
        Ok(Self {
            project: one("WorkspaceProject")?,
            secret: one("Secret")?,
            desktops: ids
                .flatten()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// Name of the sample project.
    pub(crate) fn project_name(&self) -> &str {
        text(&self.project["metadata"]["name"])
    }

    /// Region of the sample project.
    pub(crate) fn region(&self) -> &str {
        text(&self.project["spec"]["region"])
    }

    /// ID of the sample project in the cloud.
    pub(crate) fn project_id(&self) -> &str {
        text(&self.project["spec"]["projectID"])
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
