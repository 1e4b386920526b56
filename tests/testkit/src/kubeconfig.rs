//! Kubeconfig files, and clients made from them.

use std::path::Path;

use k8s_openapi::ByteString;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::error::{Context, Error};

/// Who the file speaks for.
pub(crate) enum User {
    /// A client certificate with its key, both PEM.
    Certificate { certificate: String, key: String },
    /// A bearer token.
    Token(String),
}

/// Writes a kubeconfig with one cluster, one user and one context. All is embedded, so the file can be copied.
pub(crate) fn write(
    path: &Path,
    url: &str,
    authority: &str,
    user: &User,
    namespace: &str,
) -> Result<(), Error> {
    let user = match user {
        User::Certificate { certificate, key } => {
            json!({"client-certificate-data": base64(certificate), "client-key-data": base64(key)})
        }
        User::Token(token) => json!({"token": token}),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "local",
            "cluster": {"server": url, "certificate-authority-data": base64(authority)},
        }],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user", "namespace": namespace}}],
        "current-context": "local",
    });
    // JSON is YAML.
    std::fs::write(path, format!("{config:#}")).context(|| format!("write {}", path.display()))
}

/// A client for the user of a kubeconfig. It belongs to the runtime that it is made on.
pub(crate) async fn client(path: &Path) -> Result<kube::Client, Error> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let unusable = |error: String| Error::Other(format!("{} is of no use: {error}", path.display()));
    let file = Kubeconfig::read_from(path).map_err(|error| unusable(error.to_string()))?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| unusable(error.to_string()))?;
    kube::Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

fn base64(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}
