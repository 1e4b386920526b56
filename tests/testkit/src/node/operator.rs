//! The operator as a Deployment of the cluster, by the manifests that `deploy/` ships.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::earlier::EARLIER;
use crate::error::Error;
use crate::{deploy, paths};

/// The namespace that `deploy/` makes for the operator.
pub const NAMESPACE: &str = "desktop-deletion";

/// A version of the operator.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its source, with `deploy/` and `crds/`.
    pub source: PathBuf,
    /// Tag of its image.
    pub tag: &'static str,
}

impl Version {
    /// The one that is tested.
    pub fn current() -> Self {
        Self {
            source: paths::workspace(),
            tag: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl Cluster {
    /// The operator of an earlier commit, in a test that [needs](super::Need) it.
    ///
    /// # Errors
    ///
    /// The test does not say so.
    pub fn earlier(&self) -> Result<Version, Error> {
        let folder = self.programs().earlier.as_ref();
        let folder =
            folder.ok_or_else(|| Error::Other("the test does not say that it needs it".to_owned()))?;
        Ok(Version {
            source: folder.join("source"),
            tag: EARLIER,
        })
    }

    /// Applies a kustomization of a version, such as `deploy`, as it is, but with the image of that version, and with more
    /// variables of the operator's environment.
    ///
    /// # Errors
    ///
    /// The kustomization cannot be rendered, or the API server refuses a part of it.
    pub async fn deploy(
        &self,
        version: &Version,
        folder: &str,
        environment: &[(&str, &str)],
    ) -> Result<(), Error> {
        let mut manifests = self.rendered(&version.source.join(folder)).await?;
        for manifest in &mut manifests {
            adapt(manifest, version.tag, environment);
        }
        self.apply(manifests).await
    }

    /// The objects of a kustomization.
    ///
    /// # Errors
    ///
    /// It cannot be rendered.
    pub async fn rendered(&self, folder: &Path) -> Result<Vec<Value>, Error> {
        let arguments = ["kustomize".as_ref(), folder.as_os_str()];
        let rendered = self.control_plane().kubectl(arguments).await?.stdout()?;
        deploy::parse(&rendered).map_err(|error| Error::Other(format!("{}: {error}", folder.display())))
    }

    /// Applies objects as the documentation says it.
    ///
    /// # Errors
    ///
    /// The API server refuses one of them.
    pub async fn apply(&self, manifests: Vec<Value>) -> Result<(), Error> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        let apply = ["apply", "--server-side", "--filename=-"];
        let list = list.to_string();
        let output = self.control_plane().kubectl_with_input(apply, &list);
        output.await?.stdout().map(drop)
    }
}

/// Sets the tag of the image of a Deployment, and adds variables to its containers.
fn adapt(manifest: &mut Value, tag: &str, environment: &[(&str, &str)]) {
    if manifest["kind"] != "Deployment" {
        return;
    }
    let more = environment
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    let containers = manifest.pointer_mut("/spec/template/spec/containers");
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some((image, _)) = container["image"]
            .as_str()
            .and_then(|image| image.rsplit_once(':'))
        {
            container["image"] = json!(format!("{image}:{tag}"));
        }
        if let Some(variables) = container["env"].as_array_mut() {
            variables.extend(more.clone());
        }
    }
}
