//! Reads a `WorkspaceProject` and its Secret from the API server, and creates a session with the cloud API from them. This
//! is the only file that reads Secrets: by name, in the project's own namespace, and never by list or watch.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::GetParams;
use kube::core::Request;
use kube::{Api, Resource, ResourceExt};
use tokio::time::Instant;

use super::project_reads::{ProjectRead, ReadResult, StoredProject, Unavailable, coordinates};
use super::raw::Raw;
use super::{Context, api};
use crate::cloud::circuit_breaker::SessionKey;
use crate::cloud::session::CloudSession;
use crate::cloud::single_flight::SharedRead;
use crate::crd::WorkspaceProject;
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason};
use crate::crd::project::{DailyUsage, WorkspaceProjectSpec};
use crate::plan::error_policy::ErrorPolicy;
use crate::plan::observed::{ProjectUnavailable, ProjectView};
use crate::workspace::auth;
use crate::workspace::connector::Target;
use crate::workspace::endpoint::regions;

/// The project and its session, as a request uses them.
pub struct ProjectSession {
    /// Plain data for the decision.
    pub view: ProjectView,
    /// The session with the cloud; `None` if it cannot be created.
    pub session: Option<Arc<CloudSession>>,
    /// The project, where there is a session.
    pub project: Option<Arc<StoredProject>>,
    /// Changes when the project or its Secret does: what was wrong may have been corrected.
    pub version: String,
}

/// A read of the project `name` and its Secret, begun at `since` or later.
pub async fn read(context: &Context, namespace: &str, name: &str, since: Instant) -> SharedRead<ReadResult> {
    let read = || async {
        let projects: Api<Raw<WorkspaceProject>> = Api::namespaced(context.kube.client.clone(), namespace);
        let Some(project) = api::call("read the project", projects.get_opt(name)).await? else {
            return Ok(ProjectRead::Missing);
        };
        let project = match StoredProject::of(project) {
            Ok(project) => project,
            Err(error) => return Ok(ProjectRead::Undecodable(error)),
        };
        let access = open_session(context, namespace, &project.object).await?;
        Ok(ProjectRead::Found(Arc::new(project), access))
    };
    let key = (namespace.to_owned(), name.to_owned());
    context.cloud.project_reads.since(key, since, read).await
}

impl ProjectSession {
    /// What a request makes of a read of the project `name`. `may_still_appear`: the request is so young that the project
    /// may still come with the same sync.
    pub fn of(read: &ProjectRead, namespace: &str, name: &str, may_still_appear: bool) -> Self {
        let (stored, access) = match read {
            ProjectRead::Found(project, access) => (project, access),
            ProjectRead::Missing => {
                let message =
                    format!("WorkspaceProject {name} does not exist in namespace {namespace}; create it");
                return Self::new(None, Some(not_ready(message, !may_still_appear)), String::new());
            }
            ProjectRead::Undecodable(error) => {
                let message = format!(
                    "WorkspaceProject {name}: this version of the operator cannot decode it ({error}); correct the field that the error names, or run the version of the operator that wrote it"
                );
                return Self::new(None, Some(not_ready(message, true)), String::new());
            }
        };
        let project = &stored.object;
        let generation = project.metadata.generation.unwrap_or_default();
        match access {
            Err(Unavailable { message, .. }) => {
                let version = format!("{generation}/{message}");
                let message = format!("WorkspaceProject {name}: {message}");
                Self::new(
                    Some(project),
                    Some(not_ready(message, !may_still_appear)),
                    version,
                )
            }
            Ok(session) => {
                let version = format!("{generation}/{}", session.key.credentials);
                let mut this = Self::new(Some(project), unverified(project, may_still_appear), version);
                this.view.usage = stored.status().daily_usage.unwrap_or_default();
                (this.session, this.project) = (Some(session.clone()), Some(stored.clone()));
                this
            }
        }
    }

    /// The obstacle of a project that exists and waits for its check.
    pub fn unchecked(&mut self) -> Option<&mut ProjectUnavailable> {
        self.session.as_ref()?;
        let obstacle = self.view.obstacle.as_mut()?;
        (obstacle.reason == Reason::ProjectNotReady && !obstacle.needs_user).then_some(obstacle)
    }

    fn new(
        project: Option<&WorkspaceProject>,
        obstacle: Option<ProjectUnavailable>,
        version: String,
    ) -> Self {
        Self {
            view: ProjectView {
                coordinates: project.map(|project| coordinates(&project.spec)),
                obstacle,
                suspended: project.is_some_and(|project| project.spec.suspend),
                guardrails: project.and_then(|project| project.spec.guardrails.clone()),
                usage: DailyUsage::default(),
            },
            session: None,
            project: None,
            version,
        }
    }
}

/// The identity service of a project; `None` if the project sets `endpoint` without `iamEndpoint`.
fn iam_endpoint(spec: &WorkspaceProjectSpec) -> Option<String> {
    let public = || match spec.endpoint {
        None => regions::iam(&spec.region),
        Some(_) => None,
    };
    spec.iam_endpoint.clone().or_else(public)
}

/// The error for an unknown region, if the project does not name its hosts.
fn unknown_region(spec: &WorkspaceProjectSpec) -> Option<Unavailable> {
    let named = spec.endpoint.is_some() || regions::is_known(&spec.region);
    (!named).then(|| Unavailable {
        reason: Reason::UnknownRegion,
        message: format!(
            "the hosts of region {} are not known. Create a new WorkspaceProject with a valid spec.region, or with \
             spec.endpoint and spec.iamEndpoint",
            spec.region
        ),
    })
}

/// Reads the Secret of a project and makes a session with the cloud of it.
///
/// # Errors
/// The API server did not respond. The inner error is why no session can be created.
pub async fn open_session(
    context: &Context,
    namespace: &str,
    project: &WorkspaceProject,
) -> Result<Result<Arc<CloudSession>, Unavailable>, api::Error> {
    if let Some(unknown) = unknown_region(&project.spec) {
        return Ok(Err(unknown));
    }
    let unavailable = |reason, message| Ok(Err(Unavailable { reason, message }));
    let credentials = &project.spec.credentials;
    let sources: [(_, CredentialsParser); 3] = [
        (&credentials.access_key, auth::SecretCredentials::access_key),
        (&credentials.token, auth::SecretCredentials::token),
        (&credentials.password, auth::SecretCredentials::password),
    ];
    let mut given = sources
        .into_iter()
        .filter_map(|(source, read)| Some((source.as_ref()?, read)));
    let Some((source, read)) = given.next() else {
        let message = "spec.credentials has no source that this version of the operator supports; set accessKey, password or token, or upgrade the operator".to_owned();
        return unavailable(Reason::SecretInvalid, message);
    };
    let name = &source.secret_ref.name;
    let secret = match read_secret(context, namespace, name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let message = format!("Secret {name} cannot be decoded; create it again");
            return unavailable(Reason::SecretInvalid, message);
        }
        Err(api::Error::NotFound) => {
            let message = format!("Secret {name} does not exist in namespace {namespace}; create it");
            return unavailable(Reason::SecretNotFound, message);
        }
        Err(api::Error::Refused { reason, .. }) => {
            let message = format!("the operator lacks permission to get Secret {name} ({reason}); grant it");
            return unavailable(Reason::SecretNotFound, message);
        }
        Err(error) => return Err(error),
    };
    Ok(connect(context, namespace, project, read, name, secret))
}

/// Reads a Secret; `None` if it cannot be decoded. It is decoded here, since the Kubernetes client logs what it cannot
/// decode.
async fn read_secret(context: &Context, namespace: &str, name: &str) -> Result<Option<Secret>, api::Error> {
    let url = Secret::url_path(&(), Some(namespace));
    let read = async {
        let request = Request::new(url).get(name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        context.kube.client.request_text(request).await
    };
    let text = api::call("read the Secret of the project", read).await?;
    Ok(decode_secret(&text))
}

fn decode_secret(text: &str) -> Option<Secret> {
    serde_json::from_str(text).ok()
}

/// Reads credentials from the content of a Secret.
type CredentialsParser = fn(&auth::SecretData) -> Result<auth::SecretCredentials, auth::InvalidSecret>;

fn connect(
    context: &Context,
    namespace: &str,
    project: &WorkspaceProject,
    read: CredentialsParser,
    name: &str,
    secret: Secret,
) -> Result<Arc<CloudSession>, Unavailable> {
    let data = secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect();
    let credentials = read(&data).map_err(|error| Unavailable {
        reason: Reason::SecretInvalid,
        message: format!("Secret {name}: {error}"),
    })?;
    let fingerprint = credentials.fingerprint();
    let target = Target {
        endpoint: coordinates(&project.spec).endpoint,
        project_id: project.spec.project_id.clone(),
        ca_bundle: project.spec.ca_bundle.clone(),
        iam_endpoint: iam_endpoint(&project.spec),
    };
    let cloud = context
        .cloud
        .connector
        .connect(&target, credentials)
        .map_err(|error| Unavailable {
            reason: Reason::EndpointNotAllowed,
            message: error.to_string(),
        })?;
    Ok(Arc::new(CloudSession {
        cloud,
        key: SessionKey {
            project: coordinates(&project.spec).key(),
            credentials: fingerprint,
        },
        namespace: namespace.to_owned(),
        circuit_breaker: context.cloud.circuit_breaker.clone(),
        service_clocks: context.process.clock_sources.services.clone(),
        metrics: context.process.metrics.clone(),
    }))
}

fn not_ready(message: String, needs_user: bool) -> ProjectUnavailable {
    ProjectUnavailable {
        reason: Reason::ProjectNotReady,
        message,
        needs_user,
    }
}

/// Why the project cannot be used, by its own `Ready` condition.
fn unverified(project: &WorkspaceProject, may_still_appear: bool) -> Option<ProjectUnavailable> {
    let name = project.name_any();
    let ready = project.condition(ConditionType::Ready);
    let Some(ready) = ready.filter(|c| c.status != ConditionStatus::Unknown) else {
        let message = format!("the credentials of WorkspaceProject {name} are being verified");
        return Some(not_ready(message, false));
    };
    if ready.status == ConditionStatus::True {
        return None;
    }
    let message = format!("WorkspaceProject {name} is not ready: {}", ready.message);
    let (reason, needs_user) = if ready.reason == Reason::ClockSkew {
        (Reason::ClockSkew, true)
    } else if ready.reason == Reason::EndpointUnreachable {
        // It may have persisted so long that user action is required.
        let stalled = project.condition(ConditionType::Stalled);
        let needs_user = stalled.is_some_and(|c| c.status == ConditionStatus::True);
        (Reason::ServiceUnavailable, needs_user)
    } else if let Some(error_policy) = ErrorPolicy::because_of(&ready.reason) {
        (error_policy.reason, error_policy.needs_user)
    } else {
        (Reason::ProjectNotReady, !may_still_appear)
    };
    Some(ProjectUnavailable {
        reason,
        message,
        needs_user,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> WorkspaceProjectSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_region_that_is_not_known_needs_hosts_in_the_project() {
        for region in ["obs", "ap-southeast-9", "local-1"] {
            let project = |more: Value| {
                let mut project = json!({"region": region, "projectID": "p1", "credentials": {}});
                project
                    .as_object_mut()
                    .unwrap()
                    .extend(more.as_object().unwrap().clone());
                unknown_region(&spec(project))
            };
            let message = project(json!({})).unwrap().message;
            for part in [region, "spec.endpoint", "spec.iamEndpoint"] {
                assert!(message.contains(part), "{message}");
            }
            assert!(project(json!({"iamEndpoint": "https://iam.example"})).is_some());
            assert!(project(json!({"endpoint": "https://workspace.example"})).is_none());
        }
        let known = json!({"region": "eu-west-101", "projectID": "p1", "credentials": {}});
        assert!(unknown_region(&spec(known)).is_none());
    }

    #[test]
    fn credentials_are_sent_to_the_iam_of_the_region_or_to_spec_iam_endpoint() {
        let iam = |more: Value| {
            let mut project = json!({"region": "eu-west-101", "projectID": "p1", "credentials": {}});
            project
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            iam_endpoint(&spec(project))
        };
        let public = Some("https://iam.eu-west-101.myhuaweicloud.eu".to_owned());
        assert_eq!(iam(json!({})), public);
        assert_eq!(iam(json!({"endpoint": "https://workspace.example"})), None);
        let both = json!({"endpoint": "https://workspace.example", "iamEndpoint": "https://iam.example"});
        assert_eq!(iam(both), Some("https://iam.example".to_owned()));
    }
}
