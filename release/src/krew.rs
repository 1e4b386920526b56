//! The manifest by which krew, the plugin manager of kubectl, installs `kubectl desktops`.

use serde_json::{Value, json};

/// An archive of the plugin.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Architecture as Go names it.
    pub architecture: String,
    /// Name of its file.
    pub name: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// The manifest, as JSON, which is YAML. `downloads` is where the files of the release will be.
pub fn manifest(version: &str, homepage: &str, downloads: &str, archives: &[Archive]) -> Value {
    let platform = |archive: &Archive| {
        json!({
            "selector": {"matchLabels": {"os": "linux", "arch": archive.architecture}},
            "uri": format!("{downloads}/{}", archive.name),
            "sha256": archive.sha256,
            "bin": "kubectl-desktops",
            "files": [
                {"from": "kubectl-desktops", "to": "."},
                {"from": "LICENSE", "to": "."},
            ],
        })
    };
    json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "desktops"},
        "spec": {
            "version": format!("v{version}"),
            "homepage": homepage,
            "shortDescription": "Approve and follow deletions of cloud desktops",
            "description": "Shows the plan of a DesktopDeletion, approves it, and waits until the request is finished.",
            "platforms": archives.iter().map(platform).collect::<Vec<_>>(),
        },
    })
}
