//! Minimal manifests as JSON; a test sets further fields with `manifest["spec"]["force"] = json!(true)`.

use serde_json::{Map, Value, json};

use crate::canary;

/// Keys of credentials that are secret; the others are names.
const SECRET_KEYS: [&str; 4] = ["secretKey", "securityToken", "token", "password"];

/// A Secret with these values, not yet encoded.
///
/// The keys of credentials are `accessKey` and `secretKey`, and optionally `securityToken`; or `token`; or
/// `domainName`, `userName` and `password`. The secret ones are searched for in all output of an operator.
pub fn secret(name: &str, values: &[(&str, &str)]) -> Value {
    let secrets = values.iter().filter(|(key, _)| SECRET_KEYS.contains(key));
    secrets.for_each(|(_, value)| canary::guard(value));
    let values: Map<_, _> = values
        .iter()
        .map(|&(key, value)| (key.to_owned(), json!(value)))
        .collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})
}

/// A `WorkspaceProject` that logs in with the access key of a Secret.
pub fn workspace_project(name: &str, region: &str, project_id: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "WorkspaceProject",
        "metadata": {"name": name},
        "spec": {
            "region": region,
            "projectID": project_id,
            "credentials": {"accessKey": {"secretRef": {"name": secret}}},
        },
    })
}

/// A `DesktopDeletion` of these desktops, all else left to its defaults.
pub fn desktop_deletion<I: AsRef<str>>(
    name: &str,
    project: &str,
    desktop_ids: impl IntoIterator<Item = I>,
) -> Value {
    let ids: Vec<_> = desktop_ids.into_iter().map(|id| json!(id.as_ref())).collect();
    json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "metadata": {"name": name},
        "spec": {"projectRef": {"name": project}, "desktopIDs": ids},
    })
}
