//! `deploy/samples`: the demo plays on the shipped projects and Secret, so that the samples can be applied to it as
//! they are.

use std::path::PathBuf;

use serde_json::Value;

use crate::BoxError;

/// What the simulated cloud and the demo need to know of the samples.
pub(crate) struct Samples {
    /// The `WorkspaceProject` without guardrails.
    pub(crate) open: Value,
    /// The `WorkspaceProject` with guardrails, which requires approvals.
    pub(crate) guarded: Value,
    /// Their Secret: placeholders, which the simulated cloud takes for a key.
    pub(crate) secret: Value,
    /// The requests.
    pub(crate) requests: Vec<Value>,
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
        let one = |what: &str, is: &dyn Fn(&Value) -> bool| {
            let found = manifests.iter().find(|manifest| is(manifest)).cloned();
            found.ok_or_else(|| format!("deploy/samples has no {what}"))
        };
        let is_project = |manifest: &Value| manifest["kind"] == "WorkspaceProject";
        let is_guarded = |manifest: &Value| !manifest["spec"]["guardrails"].is_null();
        Ok(Self {
            open: one("project without guardrails", &|it| {
                is_project(it) && !is_guarded(it)
            })?,
            guarded: one("project with guardrails", &|it| is_project(it) && is_guarded(it))?,
            secret: one("Secret", &|it| it["kind"] == "Secret")?,
            requests: manifests
                .iter()
                .filter(|manifest| manifest["kind"] == "DesktopDeletion")
                .cloned()
                .collect(),
        })
    }

    /// Region of the sample projects.
    pub(crate) fn region(&self) -> &str {
        text(&self.open["spec"]["region"])
    }
}

/// Name of an object.
pub(crate) fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
