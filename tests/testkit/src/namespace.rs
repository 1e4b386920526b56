//! One namespace per test.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::{Value, json};

use crate::error::{Context, Error};

/// Field manager of what [`Namespace::apply`] sets.
const FIELD_MANAGER: &str = "testkit";

/// A namespace of its own, with the rights of an administrator in it.
///
/// It stays when the value is dropped: without a namespace controller nothing would empty it, and the control
/// plane goes soon.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    client: kube::Client,
}

impl Namespace {
    pub(crate) async fn create(client: kube::Client, name: String) -> Result<Self, Error> {
        let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(client.clone());
        let object = serde_json::from_value(json!({"metadata": {"name": name}}));
        let object = object.map_err(|error| Error::Other(format!("namespace {name}: {error}")))?;
        let created = namespaces
            .create(&kube::api::PostParams::default(), &object)
            .await;
        created.context(|| format!("create namespace {name}"))?;
        Ok(Self { name, client })
    }

    pub(crate) const fn existing(client: kube::Client, name: String) -> Self {
        Self { name, client }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client of the administrator.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Typed access to one kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// The requests for deletion in this namespace, as plain JSON.
    pub fn deletions(&self) -> Api<DynamicObject> {
        self.dynamic(&GroupVersionKind::gvk(
            "cloud-desktops.dev",
            "v1alpha1",
            "DesktopDeletion",
        ))
    }

    /// The cloud projects in this namespace, as plain JSON.
    pub fn projects(&self) -> Api<DynamicObject> {
        self.dynamic(&GroupVersionKind::gvk(
            "cloud-desktops.dev",
            "v1alpha1",
            "WorkspaceProject",
        ))
    }

    /// Applies a manifest (server-side, by force) to this namespace, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    ///
    /// The manifest lacks `apiVersion`, `kind` or a name, or the API server refuses it.
    pub async fn apply(&self, manifest: &Value) -> Result<DynamicObject, Error> {
        let types: TypeMeta = serde_json::from_value(manifest.clone())
            .map_err(|error| Error::Other(format!("a manifest without apiVersion or kind: {error}")))?;
        let kind = GroupVersionKind::try_from(&types).map_err(|error| Error::Other(error.to_string()))?;
        let name = manifest["metadata"]["name"].as_str();
        let name = name.ok_or_else(|| Error::Other(format!("a {} without a name", kind.kind)))?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self
            .dynamic(&kind)
            .patch(name, &parameters, &Patch::Apply(manifest))
            .await;
        applied.context(|| format!("apply {} {}/{name}", kind.kind, self.name))
    }

    /// Access to another kind in this namespace, as plain JSON.
    pub fn dynamic(&self, kind: &GroupVersionKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), &self.name, &ApiResource::from_gvk(kind))
    }
}
