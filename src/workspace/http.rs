//! The calls over HTTPS: what each one sends, and how its response is interpreted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use jiff::Timestamp;

use super::api::{
    ApiResponse, Authentication, BatchDelete, DesktopDetails, DesktopPage, Job, Lookup, MAX_BATCH,
    MAX_OFFSET, MAX_PAGE, SignedRequest, SubJobPage, SubJobQuery, SubJobStatus, Workspace,
};
use super::auth::Credentials;
use super::error::{Error, ErrorResponse, Operation};
use super::exchange::transfer::Limits;
use super::exchange::{Exchange, Service};
use super::iam::{CredentialsProvider, IssuedCredentials};
use super::signature::{canonical_query, sha256_hex};
use super::text::Sanitizer;
use super::wire;
use crate::ids::{DesktopID, JobID, ProjectID};

use headers::signed;

mod headers;

/// Path of batch-delete below the project.
const BATCH_DELETE_PATH: &str = "desktops/batch-delete";

/// One project, one set of credentials, over HTTPS.
pub(super) struct HttpWorkspace {
    pub(super) service: Service,
    pub(super) project_id: ProjectID,
    /// The credentials of the calls, which may change over time.
    pub(super) credentials_provider: Arc<dyn CredentialsProvider>,
}

impl fmt::Debug for HttpWorkspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWorkspace")
            .field("endpoint", &self.service.endpoint.to_string())
            .field("project_id", &self.project_id.as_str())
            .field("credentials_provider", &self.credentials_provider)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Workspace for HttpWorkspace {
    async fn list_desktops_from(
        &self,
        ids: &[DesktopID],
        offset: u32,
    ) -> Result<ApiResponse<DesktopPage>, Error> {
        let operation = Operation::ListDesktops;
        if ids.len() > MAX_BATCH {
            return Err(Error::not_sent(
                operation,
                format!("at most {MAX_BATCH} desktops can be listed in one call"),
            ));
        }
        let mut query: Vec<(&str, &str)> = ids.iter().map(|id| ("desktop_id", id.as_str())).collect();
        let (limit, from) = (ids.len().max(1).to_string(), offset.to_string());
        let page = MAX_PAGE.to_string();
        if offset == 0 {
            query.push(("limit", &limit));
        } else {
            query.extend([("limit", page.as_str()), ("offset", &from)]);
        }
        self.get(operation, "desktops", &query, wire::desktops).await
    }

    async fn list_desktop_details(
        &self,
        ids: &[DesktopID],
    ) -> Result<ApiResponse<Vec<DesktopDetails>>, Error> {
        let operation = Operation::ListDesktopsDetail;
        if ids.is_empty() || ids.len() > MAX_BATCH {
            return Err(Error::not_sent(
                operation,
                format!("the details of 1 to {MAX_BATCH} desktops can be listed in one call"),
            ));
        }
        let limit = ids.len().to_string();
        let mut query: Vec<(&str, &str)> = ids.iter().map(|id| ("desktop_id", id.as_str())).collect();
        query.push(("limit", &limit));
        self.get(operation, "desktops/detail", &query, wire::desktop_details)
            .await
    }

    async fn show_desktop(&self, id: &DesktopID) -> Result<ApiResponse<Lookup>, Error> {
        let path = format!("desktops/{id}");
        let read = |body: &[u8], sanitizer: Sanitizer<'_>| {
            wire::desktop_detail(body, id, sanitizer).map(Lookup::Found)
        };
        match self.get(Operation::ShowDesktop, &path, &[], read).await {
            Err(error) if error.error_response().is_some_and(is_gone) => Ok(ApiResponse {
                value: Lookup::Gone,
                status: StatusCode::NOT_FOUND.as_u16(),
                service_time: error.service_time,
            }),
            result => result,
        }
    }

    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<ApiResponse<SubJobPage>, Error> {
        let operation = Operation::ListSubJobs;
        if query.offset > MAX_OFFSET || query.limit > MAX_PAGE {
            return Err(Error::not_sent(
                operation,
                format!("sub-jobs can be listed up to offset {MAX_OFFSET} and {MAX_PAGE} at a time"),
            ));
        }
        let (offset, limit) = (query.offset.to_string(), query.limit.to_string());
        let mut pairs = vec![
            ("job_type", "deleteDesktops"),
            ("offset", &offset),
            ("limit", &limit),
        ];
        pairs.extend(query.job.as_ref().map(|job| ("job_id", job.as_str())));
        pairs.extend(
            query
                .statuses
                .iter()
                .map(|status| ("status", status_filter(*status)))
                .filter(|(_, word)| !word.is_empty()),
        );
        self.get(operation, "workspace-sub-jobs", &pairs, wire::sub_jobs)
            .await
    }

    async fn show_job(&self, id: &JobID) -> Result<ApiResponse<Job>, Error> {
        let path = format!("workspace-jobs/{id}");
        let read = |body: &[u8], sanitizer: Sanitizer<'_>| wire::job(body, id, sanitizer);
        self.get(Operation::ShowJob, &path, &[], read).await
    }

    fn sign_batch_delete(&self, batch: &BatchDelete, now: Timestamp) -> Result<SignedRequest, Error> {
        let not_sent = |reason: String| Error::not_sent(Operation::BatchDelete, reason);
        let IssuedCredentials {
            credentials,
            expires_at,
        } = self.credentials_provider.cached().ok_or_else(|| {
            not_sent("the credentials must be renewed first; the next read renews them".to_owned())
        })?;
        if batch.desktop_ids.is_empty() || batch.desktop_ids.len() > MAX_BATCH {
            return Err(not_sent(format!("a batch must name 1 to {MAX_BATCH} desktops")));
        }
        let body = serde_json::to_vec(batch).map_err(|error| not_sent(error.to_string()))?;
        Ok(SignedRequest {
            digest: format!("sha256:{}", sha256_hex(&body)),
            call: signed(
                Method::POST,
                &self.url(BATCH_DELETE_PATH, ""),
                body,
                &self.project_id,
                &credentials,
                now,
            )
            .map_err(not_sent)?,
            signed_at: whole_seconds(now),
            authentication: match *credentials {
                Credentials::AccessKey(_) => Authentication::Signature { key_ends: expires_at },
                Credentials::Token(_) => Authentication::Token { ends: expires_at },
            },
            credentials,
        })
    }

    /// Uses the credentials that it was signed with; IAM is not called here, so that an error is always about this
    /// call.
    async fn send(&self, request: SignedRequest) -> Result<ApiResponse<JobID>, Error> {
        let operation = Operation::BatchDelete;
        // A request that was signed for another project must not travel with this project's connection.
        if *request.call.uri() != *self.url(BATCH_DELETE_PATH, "") {
            return Err(Error::not_sent(
                operation,
                "it was signed for another endpoint or project",
            ));
        }
        let exchange = self.exchange_for(operation, &request.credentials);
        let limits = Limits {
            timeout: self.service.options.submission_timeout,
            ..self.service.limits(self.service.options.max_small_body)
        };
        let received = exchange
            .exchange(&*self.service.clients.submissions, request.call, limits)
            .await?;
        if received.status == StatusCode::UNAUTHORIZED {
            self.credentials_provider.invalidate(&request.credentials);
        }
        exchange.decode(&received, received.status.is_success(), |body, _| {
            wire::accepted(body)
        })
    }
}

impl HttpWorkspace {
    fn url(&self, path: &str, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "?" };
        format!(
            "{}/v2/{}/{path}{separator}{query}",
            self.service.endpoint, self.project_id
        )
    }

    /// Reads this path below the project. If the cloud does not accept the credentials and there are others, the read
    /// is repeated once with these; a second rejection is returned.
    async fn get<T>(
        &self,
        operation: Operation,
        path: &str,
        query: &[(&str, &str)],
        read: impl Fn(&[u8], Sanitizer<'_>) -> Result<T, wire::Unreadable>,
    ) -> Result<ApiResponse<T>, Error> {
        let credentials = self.credentials_provider.current().await?.credentials;
        let result = self.get_as(&credentials, operation, path, query, &read).await;
        let refused = result.as_ref().is_err_and(|error| error.has_status(&[401]));
        if !refused || !self.credentials_provider.invalidate(&credentials) {
            return result;
        }
        let others = self.credentials_provider.current().await?.credentials;
        self.get_as(&others, operation, path, query, read).await
    }

    async fn get_as<T>(
        &self,
        credentials: &Credentials,
        operation: Operation,
        path: &str,
        query: &[(&str, &str)],
        read: impl FnOnce(&[u8], Sanitizer<'_>) -> Result<T, wire::Unreadable>,
    ) -> Result<ApiResponse<T>, Error> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let url = self.url(path, &canonical_query(&query));
        let max = match operation {
            Operation::ShowDesktop => self.service.options.max_small_body,
            _ => self.service.options.max_body,
        };
        let now = self.service.clock.now();
        let call = signed(Method::GET, &url, Vec::new(), &self.project_id, credentials, now)
            .map_err(|reason| Error::not_sent(operation, reason))?;
        let exchange = self.exchange_for(operation, credentials);
        let received = exchange
            .exchange(&*self.service.clients.reads, call, self.service.limits(max))
            .await?;
        exchange.decode(&received, received.status == StatusCode::OK, read)
    }

    fn exchange_for<'a>(&'a self, operation: Operation, credentials: &'a Credentials) -> Exchange<'a> {
        Exchange {
            operation,
            service: &self.service,
            sanitizer: Sanitizer(credentials),
        }
    }
}

/// 404 from the service itself. The gateway's own 404 means a wrong address, and a page that is no JSON came from a
/// proxy.
fn is_gone(response: &ErrorResponse) -> bool {
    response.status == StatusCode::NOT_FOUND.as_u16() && response.json && response.is_of_workspace()
}

fn status_filter(status: SubJobStatus) -> &'static str {
    match status {
        SubJobStatus::Waiting => "WAITING",
        SubJobStatus::Running => "RUNNING",
        SubJobStatus::Success => "SUCCESS",
        SubJobStatus::Failed => "FAILED",
        SubJobStatus::Other => "",
    }
}

/// The signature has whole seconds only; the recorded time must not be later than the time in the signature.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
