//! The calls that an operator makes, by what they are for.

use std::fmt;

use http::Method;
use workspace_simulator::cloud;

use crate::api_server::resource::Resource;
use crate::api_server::{self, Target};

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Reads one `DesktopDeletion`.
    GetRequest,
    /// Lists them.
    ListRequests,
    /// Watches them.
    WatchRequests,
    /// Changes the finalizers of one.
    PatchRequest,
    /// Writes the status of one.
    WriteStatus,
    /// Reads one `WorkspaceProject`.
    GetProject,
    /// Lists them.
    ListProjects,
    /// Watches them.
    WatchProjects,
    /// Writes the status of one.
    WriteProjectStatus,
    /// Reads a Secret.
    GetSecret,
    /// Publishes an Event.
    PublishEvent,
    /// Lists desktops in the cloud.
    ListDesktops,
    /// Reads one desktop.
    ShowDesktop,
    /// Lists sub-jobs.
    ListSubJobs,
    /// Reads one job.
    ShowJob,
    /// The submission.
    BatchDelete,
    /// Logs in at IAM.
    CreateToken,
    /// Exchanges a token for an access key.
    CreateKey,
    /// Asks IAM when a token ends.
    ValidateToken,
    /// Anything else, which the operator is not known to do.
    Other,
}

impl Call {
    /// Those of the API server.
    pub const OF_API: [Self; 11] = [
        Self::GetRequest,
        Self::ListRequests,
        Self::WatchRequests,
        Self::PatchRequest,
        Self::WriteStatus,
        Self::GetProject,
        Self::ListProjects,
        Self::WatchProjects,
        Self::WriteProjectStatus,
        Self::GetSecret,
        Self::PublishEvent,
    ];

    /// Those of the cloud.
    pub const OF_CLOUD: [Self; 5] = [
        Self::ListDesktops,
        Self::ShowDesktop,
        Self::ListSubJobs,
        Self::ShowJob,
        Self::BatchDelete,
    ];

    /// Those of the cloud's identity service.
    pub const OF_IAM: [Self; 3] = [Self::CreateToken, Self::CreateKey, Self::ValidateToken];

    /// Of a request to the API server.
    pub fn of_api(request: &api_server::Request) -> Self {
        let Some(target) = Target::of(&request.path) else {
            return Self::Other;
        };
        let one = target.name.is_some();
        match (target.resource, &request.method) {
            (Resource::Deletions, &Method::GET) if one => Self::GetRequest,
            (Resource::Deletions, &Method::GET) if request.is_watch() => Self::WatchRequests,
            (Resource::Deletions, &Method::GET) => Self::ListRequests,
            (Resource::Deletions, &Method::PATCH) => Self::PatchRequest,
            (Resource::Deletions, &Method::PUT) if target.status => Self::WriteStatus,
            (Resource::Projects, &Method::GET) if one => Self::GetProject,
            (Resource::Projects, &Method::GET) if request.is_watch() => Self::WatchProjects,
            (Resource::Projects, &Method::GET) => Self::ListProjects,
            (Resource::Projects, &Method::PUT) if target.status => Self::WriteProjectStatus,
            (Resource::Secrets, &Method::GET) if one => Self::GetSecret,
            (Resource::Events, &Method::POST | &Method::PATCH) => Self::PublishEvent,
            _ => Self::Other,
        }
    }

    /// Of a request to the cloud.
    pub fn of_cloud(request: &cloud::Request) -> Self {
        match (&*request.path, &request.method) {
            ("/v3/auth/tokens", &Method::POST) => return Self::CreateToken,
            ("/v3/auth/tokens", &Method::GET) => return Self::ValidateToken,
            ("/v3.0/OS-CREDENTIAL/securitytokens", _) => return Self::CreateKey,
            _ => {}
        }
        let path: Vec<_> = request.path.trim_matches('/').split('/').skip(2).collect();
        match *path.as_slice() {
            ["desktops", "batch-delete"] => Self::BatchDelete,
            ["desktops"] | ["desktops", "detail"] => Self::ListDesktops,
            ["desktops", _] => Self::ShowDesktop,
            ["workspace-sub-jobs"] => Self::ListSubJobs,
            ["workspace-jobs", _] => Self::ShowJob,
            _ => Self::Other,
        }
    }

    /// Whether it is made of the cloud.
    pub fn is_of_cloud(self) -> bool {
        Self::OF_CLOUD.contains(&self)
    }

    /// Whether it is made of the cloud's identity service.
    pub fn is_of_iam(self) -> bool {
        Self::OF_IAM.contains(&self)
    }

    /// In words.
    fn words(self) -> &'static str {
        match self {
            Self::GetRequest => "reading the DesktopDeletion",
            Self::ListRequests => "listing DesktopDeletions",
            Self::WatchRequests => "watching DesktopDeletions",
            Self::PatchRequest => "patching the finalizers",
            Self::WriteStatus => "writing the status",
            Self::GetProject => "reading the WorkspaceProject",
            Self::ListProjects => "listing WorkspaceProjects",
            Self::WatchProjects => "watching WorkspaceProjects",
            Self::WriteProjectStatus => "writing the status of the WorkspaceProject",
            Self::GetSecret => "reading the Secret",
            Self::PublishEvent => "publishing an Event",
            Self::ListDesktops => "listing desktops",
            Self::ShowDesktop => "reading a desktop",
            Self::ListSubJobs => "listing sub-jobs",
            Self::ShowJob => "reading a job",
            Self::BatchDelete => "batch-delete",
            Self::CreateToken => "logging in",
            Self::CreateKey => "exchanging the token",
            Self::ValidateToken => "asking for the end of the token",
            Self::Other => "an unknown call",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
