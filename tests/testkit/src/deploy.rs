//! Installing the operator the way `deploy/` ships it, short of its Pod.

use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::error::{Context, Error};
use crate::{kubeconfig, paths};

/// The service account that `deploy/` makes for the operator.
pub const SERVICE_ACCOUNT: &str = "desktop-deletion-operator";

/// A token for a day: longer than any test or demo.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

impl ControlPlane {
    /// Installs the CRDs and applies a kustomization of the project, such as `deploy/base`, to a namespace.
    ///
    /// Returns a kubeconfig for the operator's service account there, which has the shipped rights and no more;
    /// its current namespace is `namespace`. No Pod runs: start the binary with [`crate::Operator`].
    ///
    /// # Errors
    ///
    /// The kustomization cannot be rendered, the API server refuses a part of it, or it has no such account.
    pub async fn deploy(&self, kustomization: &str, namespace: &str) -> Result<PathBuf, Error> {
        self.install_crds().await?;
        let folder = paths::workspace().join(kustomization);
        let rendered = self
            .kubectl(["kustomize".as_ref(), folder.as_os_str()])
            .await?
            .stdout()?;
        let manifests =
            parse(&rendered).map_err(|error| Error::Other(format!("{kustomization}: {error}")))?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": moved(manifests, namespace)});
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--namespace",
            namespace,
            "--filename=-",
        ];
        self.kubectl_with_input(apply, &list.to_string())
            .await?
            .stdout()?;
        self.service_account_kubeconfig(namespace, SERVICE_ACCOUNT).await
    }

    /// Writes a kubeconfig that speaks for a service account, by a token of its own.
    ///
    /// # Errors
    ///
    /// There is no such account.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf, Error> {
        let token = self.service_account_token(namespace, name).await?;
        let path = self.folder().join(format!("{namespace}-{name}.kubeconfig"));
        let user = kubeconfig::User::Token(token);
        kubeconfig::write(&path, self.url(), self.authority(), &user, namespace)?;
        Ok(path)
    }

    /// A token for a service account.
    pub(crate) async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String, Error> {
        let accounts = Api::<ServiceAccount>::namespaced(self.admin_client().await?, namespace);
        let spec = TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let answer = answer.context(|| format!("request a token for service account {namespace}/{name}"))?;
        Ok(answer.status.and_then(|status| status.token).unwrap_or_default())
    }
}

/// The documents of a YAML stream.
pub(crate) fn parse(rendered: &str) -> Result<Vec<Value>, String> {
    serde_saphyr::from_multiple(rendered).map_err(|error| error.to_string())
}

/// The manifests for another namespace than their own.
///
/// What all namespaces share is left out (CRDs, the namespace itself) or, where it differs by namespace, renamed
/// (cluster role bindings), so that several tests can deploy to one control plane.
fn moved(manifests: Vec<Value>, namespace: &str) -> Vec<Value> {
    let shared = ["CustomResourceDefinition", "Namespace"];
    let own = manifests
        .into_iter()
        .filter(|manifest| !shared.iter().any(|&kind| manifest["kind"] == kind));
    own.map(|mut manifest| {
        if let Some(field) = manifest.pointer_mut("/metadata/namespace") {
            *field = json!(namespace);
        }
        if manifest["kind"] == "ClusterRoleBinding" {
            let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
            manifest["metadata"]["name"] = json!(format!("{name}-{namespace}"));
        }
        let subjects = manifest.get_mut("subjects").and_then(Value::as_array_mut);
        for subject in subjects
            .into_iter()
            .flatten()
            .filter(|subject| subject["kind"] == "ServiceAccount")
        {
            subject["namespace"] = json!(namespace);
        }
        manifest
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shipped}
---
kind: ServiceAccount
metadata: {name: operator, namespace: shipped}
---
kind: ClusterRole
metadata: {name: viewer}
---
kind: ClusterRoleBinding
metadata: {name: operator}
subjects:
- {kind: ServiceAccount, name: operator, namespace: shipped}
- {kind: Group, name: people}
";

    #[test]
    fn manifests_move_to_another_namespace() {
        let moved = moved(parse(RENDERED).unwrap(), "test-1");
        let expected = [
            json!({"kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": "test-1"}}),
            json!({"kind": "ClusterRole", "metadata": {"name": "viewer"}}),
            json!({
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "operator-test-1"},
                "subjects": [
                    {"kind": "ServiceAccount", "name": "operator", "namespace": "test-1"},
                    {"kind": "Group", "name": "people"},
                ],
            }),
        ];
        assert_eq!(moved, expected);
    }
}
