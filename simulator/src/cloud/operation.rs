//! Which operation a method and path mean.

use http::Method;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::Request;

/// The operations of the simulated cloud, by the names that the ledger and the faults use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `POST /v2/{project_id}/desktops/batch-delete`
    BatchDelete,
    /// `GET /v2/{project_id}/desktops`
    ListDesktops,
    /// `GET /v2/{project_id}/desktops/detail`
    ListDesktopsDetail,
    /// `GET /v2/{project_id}/desktops/{desktop_id}`
    ShowDesktop,
    /// `GET /v2/{project_id}/workspace-jobs/{job_id}`
    ShowJob,
    /// `GET /v2/{project_id}/workspace-sub-jobs`
    ListSubJobs,
    /// `POST /v3/auth/tokens`
    CreateToken,
    /// `GET /v3/auth/tokens`
    ValidateToken,
    /// `POST /v3.0/OS-CREDENTIAL/securitytokens`
    CreateTemporaryAccessKey,
    /// `GET /v3/projects`
    ListProjects,
    /// Anything else.
    Unknown,
}

impl Operation {
    /// Whether the operation belongs to IAM rather than to Workspace.
    pub(super) fn of_iam(self) -> bool {
        matches!(
            self,
            Self::CreateToken | Self::ValidateToken | Self::CreateTemporaryAccessKey | Self::ListProjects
        )
    }

    /// Whether the operation changes something.
    pub(super) fn writes(self) -> bool {
        matches!(
            self,
            Self::BatchDelete | Self::CreateToken | Self::CreateTemporaryAccessKey
        )
    }

    /// The action that the caller of Workspace needs permission for.
    pub(super) fn action(self) -> Option<&'static str> {
        match self {
            Self::BatchDelete => Some("workspace:desktops:batchDelete"),
            Self::ListDesktops => Some("workspace:desktops:list"),
            Self::ListDesktopsDetail => Some("workspace:desktops:listDetail"),
            Self::ShowDesktop => Some("workspace:desktops:get"),
            Self::ShowJob => Some("workspace:jobs:get"),
            Self::ListSubJobs => Some("workspace:jobs:listSubJobs"),
            Self::CreateToken
            | Self::ValidateToken
            | Self::CreateTemporaryAccessKey
            | Self::ListProjects
            | Self::Unknown => None,
        }
    }
}

/// A request with its operation and the names in its path and query decoded.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: Operation,
    /// Project id in the path.
    pub(super) project: String,
    /// Id of the desktop or job in the path; empty if the path has none.
    pub(super) target: String,
    /// Pairs of the query, decoded.
    pub(super) query: Vec<(String, String)>,
}

impl Call {
    pub(super) fn of(request: &Request) -> Self {
        let segments: Vec<String> = request
            .path
            .trim_end_matches('/')
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (operation, project, target) = route(&request.method, &path);
        let query =
            form_urlencoded::parse(request.query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned()));
        Self {
            operation,
            project: project.to_owned(),
            target: target.to_owned(),
            query: query.collect(),
        }
    }

    /// All values of a repeated query parameter.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the call names this desktop, in its path, query or body.
    pub(super) fn names_desktop(&self, desktop: &str, request: &Request) -> bool {
        match self.operation {
            Operation::ShowDesktop => self.target == desktop,
            Operation::BatchDelete => body_names(request, desktop),
            _ => self.values("desktop_id").any(|id| id == desktop),
        }
    }
}

fn body_names(request: &Request, desktop: &str) -> bool {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    body["desktop_ids"]
        .as_array()
        .is_some_and(|ids| ids.iter().any(|id| id == desktop))
}

fn route<'a>(method: &Method, path: &[&'a str]) -> (Operation, &'a str, &'a str) {
    let get = method == Method::GET;
    let post = method == Method::POST;
    match *path {
        ["v2", project, "desktops", "batch-delete"] if post => (Operation::BatchDelete, project, ""),
        ["v2", project, "desktops"] if get => (Operation::ListDesktops, project, ""),
        ["v2", project, "desktops", "detail"] if get => (Operation::ListDesktopsDetail, project, ""),
        ["v2", project, "desktops", desktop] if get => (Operation::ShowDesktop, project, desktop),
        ["v2", project, "workspace-jobs", job] if get => (Operation::ShowJob, project, job),
        ["v2", project, "workspace-sub-jobs"] if get => (Operation::ListSubJobs, project, ""),
        ["v3", "auth", "tokens"] if post => (Operation::CreateToken, "", ""),
        ["v3", "auth", "tokens"] if get => (Operation::ValidateToken, "", ""),
        ["v3.0", "OS-CREDENTIAL", "securitytokens"] if post => (Operation::CreateTemporaryAccessKey, "", ""),
        ["v3", "projects"] if get => (Operation::ListProjects, "", ""),
        _ => (Operation::Unknown, "", ""),
    }
}
