//! A session with the cloud API, which every call passes through: it suppresses calls that would do harm, counts the
//! others, and notes the service's clock.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::circuit_breaker::{CallPermit, CircuitBreaker, SessionKey};
use super::rate_limiter::Priority;
use crate::clock::Uptime;
use crate::ids::{DesktopID, JobID, Origin, ProjectKey};
use crate::plan::clocks::{DateSample, RemoteClock};
use crate::runtime::metrics::{CallCode, Metrics};
use crate::workspace::api::{
    ApiResponse, BatchDelete, DesktopDetails, DesktopPage, Job, Lookup, SignedRequest, SubJobPage,
    SubJobQuery, Workspace,
};
use crate::workspace::error::{Error, Failure, Operation};
use crate::workspace::iam::CallObserver;

/// The clocks of the services, by endpoint, according to the `Date` of their responses.
#[derive(Debug, Clone)]
pub struct ServiceClocks {
    uptime: Uptime,
    clocks: Arc<Mutex<HashMap<Origin, RemoteClock>>>,
}

impl ServiceClocks {
    /// No clock is known yet.
    pub fn new(uptime: Uptime) -> Self {
        Self {
            uptime,
            clocks: Arc::default(),
        }
    }

    /// The present time of the service's clock; `None` until two of its responses agree.
    pub fn now(&self, endpoint: &str) -> Option<Timestamp> {
        let clocks = self.clocks.lock();
        clocks.get(&Origin::of(endpoint))?.at(self.uptime.now())
    }

    /// Records the `Date` of a response.
    pub fn observe_date(&self, origin: &Origin, date: Timestamp) {
        let at = self.uptime.now();
        let mut clocks = self.clocks.lock();
        let clock = clocks.entry(origin.clone()).or_default();
        clock.observe_date(DateSample { date, at });
    }
}

/// A project with one set of credentials: reads are never shared across credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialsKey {
    /// Which project.
    pub project: ProjectKey,
    /// Version of the project and its credentials.
    pub version: String,
}

/// Clients for calls that may be made now.
pub trait ClientsWithPermit: Send + Sync + 'static {
    /// Waits for a permit, and gives a client whose first call has it.
    fn with_permit(&self) -> impl Future<Output = Arc<dyn Workspace>> + Send;
}

/// A client of the cloud that waits for its permit, and counts.
#[derive(Debug)]
struct RateLimitedClient {
    session: Arc<CloudSession>,
    priority: Priority,
    /// The permit of the next call.
    permit: Mutex<Option<CallPermit>>,
}

/// What the calls with one set of credentials to one project have in common.
#[derive(Debug)]
pub struct CloudSession {
    /// The client.
    pub cloud: Arc<dyn Workspace>,
    /// Credentials and project of a call.
    pub key: SessionKey,
    /// The namespace that makes the calls.
    pub namespace: String,
    /// Suppresses calls that would do harm.
    pub circuit_breaker: CircuitBreaker,
    /// The services' clocks.
    pub service_clocks: ServiceClocks,
    /// What is counted.
    pub metrics: Metrics,
}

impl RateLimitedClient {
    async fn call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<ApiResponse<T>, Error>>,
    ) -> Result<ApiResponse<T>, Error> {
        let session = &*self.session;
        let taken = self.permit.lock().take();
        // A call that is suppressed takes no permit from others.
        session.check(operation)?;
        // A submission has taken its permit before it was signed: a signature must not wait.
        let permit = if operation == Operation::BatchDelete {
            None
        } else {
            let permit = match taken {
                None => session.acquire(self.priority).await,
                taken => taken,
            };
            Some(permit.ok_or_else(|| shutting_down(operation))?)
        };
        // The result of another call may suppress this one since.
        session.check(operation)?;
        let began = Instant::now();
        let result = call.await;
        if let Some(breaker) = session
            .circuit_breaker
            .record(operation, &session.key, began, &result)
        {
            session.metrics.breaker_tripped(breaker);
        }
        drop(permit);
        // IAM's calls are counted where they are made, and have a clock of their own.
        if result.as_ref().is_err_and(|error| error.operation != operation) {
            return result;
        }
        let (code, time) = match &result {
            Ok(answer) => (CallCode::Http(answer.status), answer.service_time),
            Err(error) => (CallCode::from(&error.failure), error.service_time),
        };
        session.metrics.cloud_call(operation, code);
        if let Some(time) = time {
            session
                .service_clocks
                .observe_date(&session.key.project.origin, time);
        }
        result
    }
}

/// A call that is not made any more.
fn shutting_down(operation: Operation) -> Error {
    Error {
        operation,
        failure: Failure::NotSent {
            reason: "the operator is shutting down".to_owned(),
        },
        service_time: None,
    }
}

impl CloudSession {
    /// Whether a call may be made now; one that is suppressed is counted.
    fn check(&self, operation: Operation) -> Result<(), Error> {
        let checked = self.circuit_breaker.check(operation, &self.key);
        if let Err(Error {
            failure: Failure::CircuitOpen { breaker, .. },
            ..
        }) = &checked
        {
            self.metrics.suppressed(operation, *breaker);
        }
        checked
    }

    /// A client whose calls have this priority.
    pub fn client(self: &Arc<Self>, priority: Priority) -> Arc<dyn Workspace> {
        self.client_with(None, priority)
    }

    fn client_with(self: &Arc<Self>, permit: Option<CallPermit>, priority: Priority) -> Arc<dyn Workspace> {
        Arc::new(RateLimitedClient {
            session: self.clone(),
            priority,
            permit: Mutex::new(permit),
        })
    }

    /// Waits for a permit; `None` if the operator is shutting down first.
    pub async fn acquire(&self, priority: Priority) -> Option<CallPermit> {
        let permit = self
            .circuit_breaker
            .acquire(&self.key, priority, &self.namespace)
            .await;
        let waited = permit.as_ref().and_then(CallPermit::waited);
        self.metrics
            .permit_wait(priority.as_str(), waited.unwrap_or_default());
        permit
    }
}

impl ClientsWithPermit for (Arc<CloudSession>, Priority) {
    async fn with_permit(&self) -> Arc<dyn Workspace> {
        let (session, priority) = self;
        // A call that is suppressed takes no permit from others; it fails by itself.
        let is_suppressed = session
            .circuit_breaker
            .check(Operation::ListDesktops, &session.key)
            .is_err();
        let permit = if is_suppressed {
            None
        } else {
            session.acquire(*priority).await
        };
        session.client_with(permit, *priority)
    }
}

impl CallObserver for Metrics {
    fn call_ended(&self, operation: Operation, outcome: Result<u16, &Failure>) {
        self.cloud_call(operation, outcome.map_or_else(CallCode::from, CallCode::Http));
    }
}

#[async_trait]
impl Workspace for RateLimitedClient {
    async fn list_desktops_from(
        &self,
        ids: &[DesktopID],
        offset: u32,
    ) -> Result<ApiResponse<DesktopPage>, Error> {
        let call = self.session.cloud.list_desktops_from(ids, offset);
        self.call(Operation::ListDesktops, call).await
    }

    async fn list_desktop_details(
        &self,
        ids: &[DesktopID],
    ) -> Result<ApiResponse<Vec<DesktopDetails>>, Error> {
        let call = self.session.cloud.list_desktop_details(ids);
        self.call(Operation::ListDesktopsDetail, call).await
    }

    async fn show_desktop(&self, id: &DesktopID) -> Result<ApiResponse<Lookup>, Error> {
        let call = self.session.cloud.show_desktop(id);
        self.call(Operation::ShowDesktop, call).await
    }

    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<ApiResponse<SubJobPage>, Error> {
        let call = self.session.cloud.list_sub_jobs(query);
        self.call(Operation::ListSubJobs, call).await
    }

    async fn show_job(&self, id: &JobID) -> Result<ApiResponse<Job>, Error> {
        let call = self.session.cloud.show_job(id);
        self.call(Operation::ShowJob, call).await
    }

    fn sign_batch_delete(&self, body: &BatchDelete, now: Timestamp) -> Result<SignedRequest, Error> {
        self.session.cloud.sign_batch_delete(body, now)
    }

    async fn send(&self, request: SignedRequest) -> Result<ApiResponse<JobID>, Error> {
        let call = self.session.cloud.send(request);
        self.call(Operation::BatchDelete, call).await
    }
}
