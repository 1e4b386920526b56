//! `WorkspaceProject`: one Huawei Cloud project and how to log in to it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::ids::{ProjectID, Region};

#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "cloud-desktops.dev",
    version = "v1alpha1",
    kind = "WorkspaceProject",
    plural = "workspaceprojects",
    shortname = "wsp",
    category = "cloud-desktops",
    namespaced,
    status = "WorkspaceProjectStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
/// Which project, where, and with which login.
pub struct WorkspaceProjectSpec {
    pub region: Region,
    #[serde(rename = "projectID")]
    pub project_id: ProjectID,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    pub credentials: Credentials,
    #[serde(default)]
    pub suspend: bool,
}

/// Exactly one login.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
}

/// Where the login is kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    pub secret_ref: SecretRef,
}

/// Reference to a Secret of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    pub name: String,
}

/// What the operator knows of the project.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceProjectStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
