//! The calls over HTTPS: what each one sends, and what its answer means.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;

use super::api::{
    Answer, BatchDelete, DesktopPage, Job, Lookup, MAX_BATCH, MAX_OFFSET, MAX_PAGE, Proof, SignedRequest,
    SubJobPage, SubJobQuery, SubJobStatus, Workspace,
};
use super::auth::Credentials;
use super::endpoint::Endpoint;
use super::error::{Error, Operation, Refusal};
use super::exchange::transfer::{Limits, Received};
use super::exchange::{Exchange, not_sent};
use super::signature::{canonical_query, sha256_hex};
use super::text::Sanitizer;
use super::transport::{Clients, Options, Transport};
use super::wire;
use crate::clock::Clock;
use crate::ids::{DesktopID, JobID, ProjectID};

use headers::{Call, headers};

mod headers;

/// Path of batch-delete below the project.
const SUBMIT: &str = "desktops/batch-delete";

/// One project, one login, over HTTPS.
pub(super) struct HttpWorkspace {
    pub(super) endpoint: Endpoint,
    pub(super) project_id: ProjectID,
    pub(super) credentials: Arc<Credentials>,
    /// When the credentials end, by the service's clock, as far as that is known.
    pub(super) ends: Option<Timestamp>,
    pub(super) clients: Clients,
    pub(super) clock: Clock,
    pub(super) options: Options,
}

impl fmt::Debug for HttpWorkspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWorkspace")
            .field("endpoint", &self.endpoint.to_string())
            .field("project_id", &self.project_id.as_str())
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Workspace for HttpWorkspace {
    async fn list_desktops(&self, ids: &[DesktopID]) -> Result<Answer<DesktopPage>, Error> {
        let limit = ids.len().max(1).to_string();
        self.desktop_page(ids, &[("limit", &limit)]).await
    }

    async fn list_desktops_from(&self, ids: &[DesktopID], offset: u32) -> Result<Answer<DesktopPage>, Error> {
        let (offset, limit) = (offset.to_string(), MAX_PAGE.to_string());
        self.desktop_page(ids, &[("limit", &limit), ("offset", &offset)])
            .await
    }

    async fn show_desktop(&self, id: &DesktopID) -> Result<Answer<Lookup>, Error> {
        let operation = Operation::ShowDesktop;
        let path = format!("desktops/{id}");
        let received = self
            .get(operation, &path, &[], self.options.max_small_answer)
            .await?;
        match self.answer(operation, &received, |body, sanitizer| {
            wire::desktop_detail(body, id, sanitizer)
        }) {
            Ok(answer) => Ok(Answer {
                value: Lookup::Found(answer.value),
                service_time: answer.service_time,
            }),
            Err(error) if error.refusal().is_some_and(is_gone) => Ok(Answer {
                value: Lookup::Gone,
                service_time: error.service_time,
            }),
            Err(error) => Err(error),
        }
    }

    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<Answer<SubJobPage>, Error> {
        let operation = Operation::ListSubJobs;
        if query.offset > MAX_OFFSET || query.limit > MAX_PAGE {
            return Err(not_sent(
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
                .map(|status| ("status", filter_word(*status)))
                .filter(|(_, word)| !word.is_empty()),
        );
        let received = self
            .get(operation, "workspace-sub-jobs", &pairs, self.options.max_answer)
            .await?;
        self.answer(operation, &received, wire::sub_jobs)
    }

    async fn show_job(&self, id: &JobID) -> Result<Answer<Job>, Error> {
        let operation = Operation::ShowJob;
        let path = format!("workspace-jobs/{id}");
        let received = self.get(operation, &path, &[], self.options.max_answer).await?;
        self.answer(operation, &received, |body, sanitizer| {
            wire::job(body, id, sanitizer)
        })
    }

    fn sign_batch_delete(&self, batch: &BatchDelete, now: Timestamp) -> Result<SignedRequest, Error> {
        let operation = Operation::BatchDelete;
        if batch.desktop_ids.is_empty() || batch.desktop_ids.len() > MAX_BATCH {
            return Err(not_sent(
                operation,
                format!("a batch must name 1 to {MAX_BATCH} desktops"),
            ));
        }
        let body = wire::batch_delete(batch).map_err(|error| not_sent(operation, error.to_string()))?;
        let url = self.url(SUBMIT, "");
        let headers = self.headers(
            operation,
            &Call {
                method: &Method::POST,
                url: &url,
                body: &body,
            },
            now,
        )?;
        Ok(SignedRequest {
            url,
            headers,
            digest: format!("sha256:{}", sha256_hex(&body)),
            body,
            signed_at: whole_seconds(now),
            credentials: Arc::clone(&self.credentials),
            proof: match *self.credentials {
                Credentials::AccessKey(_) => Proof::Signature { key_ends: self.ends },
                Credentials::Token(_) => Proof::Token { ends: self.ends },
            },
        })
    }

    async fn send(&self, request: SignedRequest) -> Result<Answer<JobID>, Error> {
        let operation = Operation::BatchDelete;
        // A request that was signed for another project must not travel with this project's connection.
        if request.url != self.url(SUBMIT, "") {
            return Err(not_sent(
                operation,
                "it was signed for another endpoint or project".to_owned(),
            ));
        }
        let received = self
            .exchange(
                operation,
                &*self.clients.submissions,
                Call {
                    method: &Method::POST,
                    url: &request.url,
                    body: &request.body,
                },
                request.headers,
                Limits {
                    good: self.options.max_small_answer,
                    bad: self.options.max_small_answer,
                    timeout: self.options.submission_timeout,
                },
            )
            .await?;
        if received.status.is_success() {
            return self
                .about(operation)
                .readable(&received, |body, _| wire::accepted(body));
        }
        Err(self.about(operation).refused(&received))
    }
}

impl HttpWorkspace {
    async fn desktop_page(
        &self,
        ids: &[DesktopID],
        page: &[(&str, &str)],
    ) -> Result<Answer<DesktopPage>, Error> {
        let operation = Operation::ListDesktops;
        if ids.len() > MAX_BATCH {
            return Err(not_sent(
                operation,
                format!("at most {MAX_BATCH} desktops can be listed in one call"),
            ));
        }
        let mut query: Vec<(&str, &str)> = ids.iter().map(|id| ("desktop_id", id.as_str())).collect();
        query.extend(page);
        let received = self
            .get(operation, "desktops", &query, self.options.max_answer)
            .await?;
        self.answer(operation, &received, wire::desktops)
    }

    fn url(&self, path: &str, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "?" };
        format!(
            "{}/v2/{}/{path}{separator}{query}",
            self.endpoint, self.project_id
        )
    }

    async fn get(
        &self,
        operation: Operation,
        path: &str,
        query: &[(&str, &str)],
        max: usize,
    ) -> Result<Received, Error> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let url = self.url(path, &canonical_query(&query));
        let call = Call {
            method: &Method::GET,
            url: &url,
            body: &[],
        };
        let headers = self.headers(operation, &call, self.clock.now())?;
        let limits = Limits {
            good: max,
            bad: self.options.max_small_answer,
            timeout: self.options.timeout,
        };
        self.exchange(operation, &*self.clients.reads, call, headers, limits)
            .await
    }

    fn headers(&self, operation: Operation, call: &Call<'_>, now: Timestamp) -> Result<HeaderMap, Error> {
        headers(call, &self.project_id, &self.credentials, now).ok_or_else(|| {
            not_sent(
                operation,
                "the credentials contain characters that are not allowed in an HTTP header".to_owned(),
            )
        })
    }

    /// Sends once.
    async fn exchange(
        &self,
        operation: Operation,
        carrier: &dyn Transport,
        call: Call<'_>,
        headers: HeaderMap,
        limits: Limits,
    ) -> Result<Received, Error> {
        let call = call
            .with(headers)
            .map_err(|error| not_sent(operation, error.to_string()))?;
        self.about(operation).exchange(carrier, call, limits).await
    }

    /// The value of an answer with status 200; an error for every other status.
    fn answer<T>(
        &self,
        operation: Operation,
        received: &Received,
        read: impl FnOnce(&[u8], Sanitizer<'_>) -> Result<T, wire::Unreadable>,
    ) -> Result<Answer<T>, Error> {
        if received.status == StatusCode::OK {
            self.about(operation).readable(received, read)
        } else {
            Err(self.about(operation).refused(received))
        }
    }

    fn about(&self, operation: Operation) -> Exchange<'_> {
        Exchange {
            operation,
            endpoint: &self.endpoint,
            sanitizer: Sanitizer(&*self.credentials),
            clock: &self.clock,
        }
    }
}

/// 404 from the service itself. The gateway's own 404 means a wrong address, and a page that is no JSON came from a
/// proxy.
fn is_gone(refusal: &Refusal) -> bool {
    let code = refusal.code.as_deref().unwrap_or_default().to_ascii_uppercase();
    let of_gateway = code.starts_with("APIGW.") || code.starts_with("APIG.");
    refusal.status == StatusCode::NOT_FOUND.as_u16() && refusal.json && !of_gateway
}

fn filter_word(status: SubJobStatus) -> &'static str {
    match status {
        SubJobStatus::Waiting => "WAITING",
        SubJobStatus::Running => "RUNNING",
        SubJobStatus::Success => "SUCCESS",
        SubJobStatus::Failed => "FAILED",
        SubJobStatus::Other => "",
    }
}

/// The signature knows whole seconds only; what it is reckoned from must not be later than what it says.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
