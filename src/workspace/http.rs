//! The calls over HTTPS. What matters most is told apart here: a request that was surely not sent, one that may have
//! been, and an answer.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::api::{
    Answer, BatchDelete, DesktopPage, Job, Lookup, MAX_BATCH, SignedRequest, SubJobPage, SubJobQuery,
    SubJobStatus, Workspace,
};
use super::auth::Credentials;
use super::connector::{Clients, Options, root_cause};
use super::endpoint::Endpoint;
use super::error::{Error, Failure, Operation, Refusal};
use super::signature::{Request, canonical_query, sha256_hex, sign};
use super::text::Tidy;
use super::{refusal, wire};
use crate::clock::Clock;
use crate::ids::{DesktopID, JobID, ProjectID};

/// Furthest offset and largest page of the sub-job list (limits of the API definition).
const MAX_OFFSET: u32 = 10_000;
const MAX_PAGE: u32 = 1_000;

const AUTH_TOKEN: &str = "X-Auth-Token";

/// One project, one login, over HTTPS.
pub(super) struct HttpWorkspace {
    pub(super) endpoint: Endpoint,
    pub(super) project_id: ProjectID,
    pub(super) credentials: Arc<Credentials>,
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

/// An answer with its body, whatever its status.
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// There was more than `body` holds.
    truncated: bool,
}

/// A request that is ready to go.
struct Prepared {
    url: String,
    headers: HeaderMap,
}

#[async_trait]
impl Workspace for HttpWorkspace {
    async fn list_desktops(&self, ids: &[DesktopID]) -> Result<Answer<DesktopPage>, Error> {
        let operation = Operation::ListDesktops;
        if ids.len() > MAX_BATCH {
            return Err(not_sent(
                operation,
                format!("at most {MAX_BATCH} desktops can be listed in one call"),
            ));
        }
        let mut query: Vec<(&str, &str)> = ids.iter().map(|id| ("desktop_id", id.as_str())).collect();
        let limit = ids.len().max(1).to_string();
        query.push(("limit", &limit));
        let received = self
            .get(operation, "desktops", &query, self.options.max_answer)
            .await?;
        self.answer(operation, &received, wire::desktops)
    }

    async fn show_desktop(&self, id: &DesktopID) -> Result<Answer<Lookup>, Error> {
        let operation = Operation::ShowDesktop;
        let path = format!("desktops/{id}");
        let received = self
            .get(operation, &path, &[], self.options.max_small_answer)
            .await?;
        match self.answer(operation, &received, |body, tidy| {
            wire::desktop_detail(body, id, tidy)
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
                .map(|status| ("status", filter_word(*status))),
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
        self.answer(operation, &received, |body, tidy| wire::job(body, id, tidy))
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
        let prepared = self.prepare(operation, &Method::POST, "desktops/batch-delete", "", &body, now)?;
        Ok(SignedRequest {
            url: prepared.url,
            headers: prepared.headers,
            digest: format!("sha256:{}", sha256_hex(&body)),
            body,
            signed_at: whole_seconds(now),
        })
    }

    async fn send(&self, request: SignedRequest) -> Result<Answer<JobID>, Error> {
        let operation = Operation::BatchDelete;
        // A request that was signed for another project must not travel with this project's connection.
        if request.url != self.url("desktops/batch-delete", "") {
            return Err(not_sent(
                operation,
                "it was signed for another endpoint or project".to_owned(),
            ));
        }
        let call = self
            .clients
            .submissions
            .post(request.url)
            .headers(request.headers)
            .body(request.body);
        let received = self
            .exchange(operation, call, self.options.max_small_answer)
            .await?;
        if received.status.is_success() {
            return self.readable(operation, &received, |body, _| wire::accepted(body));
        }
        Err(self.refused(operation, &received))
    }
}

impl HttpWorkspace {
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
        let prepared = self.prepare(operation, &Method::GET, path, &query, &[], self.clock.now())?;
        let call = self.clients.reads.get(prepared.url).headers(prepared.headers);
        self.exchange(operation, call, max).await
    }

    /// URL and headers of a call, signed or with the token.
    fn prepare(
        &self,
        operation: Operation,
        method: &Method,
        path: &str,
        query: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Prepared, Error> {
        let url = self.url(path, &canonical_query(query));
        // Signed is what the service acts on; nothing that a proxy may touch.
        let mut covered = vec![
            ("Content-Type", "application/json"),
            ("X-Project-Id", self.project_id.as_str()),
        ];
        let mut headers: Vec<(String, String)> = match &*self.credentials {
            Credentials::AccessKey(key) => {
                covered.extend(key.security_token().map(|token| ("X-Security-Token", token)));
                let request = Request {
                    method: method.as_str(),
                    url: &url,
                    headers: &covered,
                    body,
                };
                sign(&request, key.id(), key.secret(), &sdk_date(now)).headers
            }
            Credentials::Token(token) => {
                covered.push((AUTH_TOKEN, token.expose_secret()));
                covered
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect()
            }
        };
        headers.push(("X-Language".to_owned(), "en-us".to_owned()));
        let headers = headers
            .iter()
            .map(|(name, value)| header(name, value))
            .collect::<Option<HeaderMap>>();
        let headers = headers.ok_or_else(|| {
            not_sent(
                operation,
                "the login holds characters that no header may have".to_owned(),
            )
        })?;
        Ok(Prepared { url, headers })
    }

    /// Sends once and takes in the head and at most `max` bytes of the body.
    async fn exchange(
        &self,
        operation: Operation,
        call: reqwest::RequestBuilder,
        max: usize,
    ) -> Result<Received, Error> {
        let mut response = call
            .send()
            .await
            .map_err(|error| self.unanswered(operation, &error, None))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let service_time = refusal::service_time(&headers);
        let max = if status.is_success() {
            max
        } else {
            self.options.max_small_answer
        };
        let mut body = Vec::new();
        let mut truncated = false;
        while let Some(part) = response
            .chunk()
            .await
            .map_err(|error| self.unanswered(operation, &error, service_time))?
        {
            let room = max - body.len();
            body.extend_from_slice(&part[..part.len().min(room)]);
            if part.len() > room {
                truncated = true;
                break;
            }
        }
        let received = Received {
            status,
            headers,
            body,
            truncated,
        };
        tracing::debug!(
            operation = %operation,
            status = status.as_u16(),
            request_id = refusal::request_id(&received.headers, self.tidy()),
            "the cloud answered"
        );
        Ok(received)
    }

    /// The value of an answer with status 200; an error for every other status.
    fn answer<T>(
        &self,
        operation: Operation,
        received: &Received,
        read: impl FnOnce(&[u8], Tidy<'_>) -> Result<T, wire::Unreadable>,
    ) -> Result<Answer<T>, Error> {
        if received.status == StatusCode::OK {
            self.readable(operation, received, read)
        } else {
            Err(self.refused(operation, received))
        }
    }

    fn readable<T>(
        &self,
        operation: Operation,
        received: &Received,
        read: impl FnOnce(&[u8], Tidy<'_>) -> Result<T, wire::Unreadable>,
    ) -> Result<Answer<T>, Error> {
        let service_time = refusal::service_time(&received.headers);
        let value = match received.defect() {
            Some(reason) => Err(reason),
            None => read(&received.body, self.tidy()),
        };
        value
            .map(|value| Answer { value, service_time })
            .map_err(|reason| Error {
                operation,
                failure: Failure::Unreadable {
                    status: received.status.as_u16(),
                    request_id: refusal::request_id(&received.headers, self.tidy()),
                    reason: self.tidy().sentence(&reason),
                },
                service_time,
            })
    }

    fn refused(&self, operation: Operation, received: &Received) -> Error {
        let service_time = refusal::service_time(&received.headers);
        // A compressed or truncated text is not quoted.
        let body = if received.defect().is_some() {
            &[][..]
        } else {
            &received.body
        };
        let now = service_time.unwrap_or_else(|| self.clock.now());
        let refusal = refusal::read(
            received.status.as_u16(),
            &received.headers,
            body,
            now,
            self.tidy(),
        );
        Error {
            operation,
            failure: Failure::Refused(Box::new(refusal)),
            service_time,
        }
    }

    /// `is_connect` covers the name, the connection and the TLS handshake; a builder error comes before them. Whatever
    /// else goes wrong may have gone wrong after the first byte.
    fn unanswered(
        &self,
        operation: Operation,
        error: &reqwest::Error,
        service_time: Option<Timestamp>,
    ) -> Error {
        let cause = self.tidy().sentence(&root_cause(error));
        let failure = if error.is_builder() {
            Failure::NotSent {
                reason: format!("it could not be built: {cause}"),
            }
        } else if error.is_connect() {
            Failure::NotSent {
                reason: format!("no connection to {}: {cause}", self.endpoint),
            }
        } else if error.is_timeout() {
            Failure::NoAnswer {
                reason: format!("{} did not answer in time", self.endpoint),
            }
        } else {
            Failure::NoAnswer {
                reason: format!("the connection to {} failed: {cause}", self.endpoint),
            }
        };
        Error {
            operation,
            failure,
            service_time,
        }
    }

    fn tidy(&self) -> Tidy<'_> {
        Tidy(&self.credentials)
    }
}

impl Received {
    /// Why the body cannot be read at all.
    fn defect(&self) -> Option<String> {
        if self.truncated {
            return Some(format!("it is longer than {} bytes", self.body.len()));
        }
        let encoding = self.headers.get(header::CONTENT_ENCODING)?;
        let plain = encoding.as_bytes().eq_ignore_ascii_case(b"identity");
        (!plain).then(|| "it is compressed although that was not asked for".to_owned())
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
    }
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value).ok()?;
    let secret = ["authorization", "x-auth-token", "x-security-token"].contains(&name.as_str());
    value.set_sensitive(secret);
    Some((name, value))
}

fn not_sent(operation: Operation, reason: String) -> Error {
    Error {
        operation,
        failure: Failure::NotSent { reason },
        service_time: None,
    }
}

/// `X-Sdk-Date`: UTC to the second.
fn sdk_date(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The signature knows whole seconds only; what it is reckoned from must not be later than what it says.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
