//! Stands before every call of the cloud: holds back what would do harm, counts the others, and notes what the
//! service's clock says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::brakes::Brakes;
use crate::clock::Clock;
use crate::ids::{DesktopID, JobID};
use crate::operator::metrics::{CallCode, Metrics};
use crate::workspace::api::{
    Answer, BatchDelete, DesktopPage, Job, Lookup, SignedRequest, SubJobPage, SubJobQuery, Workspace,
};
use crate::workspace::error::{Error, Failure, Operation};
use crate::workspace::iam::Witness;

/// How far the clocks of the services are ahead of ours, by endpoint, from the `Date` of their last answers.
#[derive(Debug, Clone, Default)]
pub struct ServiceClocks(Arc<Mutex<HashMap<String, SignedDuration>>>);

impl ServiceClocks {
    /// How far the service's clock is ahead of ours (negative: behind); `None` before its first answer.
    pub fn ahead(&self, endpoint: &str) -> Option<SignedDuration> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(endpoint)
            .copied()
    }

    fn note(&self, endpoint: &str, ahead: SignedDuration) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(endpoint.to_owned(), ahead);
    }
}

/// A client of the cloud that counts.
#[derive(Debug)]
pub struct Metered {
    /// The client.
    pub cloud: Arc<dyn Workspace>,
    /// Where it goes.
    pub endpoint: String,
    /// Our clock.
    pub clock: Clock,
    /// Which project.
    pub project: String,
    /// Fingerprint of the login.
    pub login: String,
    /// What holds calls back.
    pub brakes: Brakes,
    /// The services' clocks.
    pub service_clocks: ServiceClocks,
    /// What is counted.
    pub metrics: Metrics,
}

impl Metered {
    async fn call<T>(
        &self,
        operation: Operation,
        good: impl FnOnce(&T) -> u16,
        call: impl Future<Output = Result<Answer<T>, Error>>,
    ) -> Result<Answer<T>, Error> {
        // A submission has taken its permit before it was signed: a signature must not wait.
        let submission = operation == Operation::BatchDelete;
        let permit = if submission {
            None
        } else {
            Some(self.brakes.enter(&self.login).await)
        };
        self.brakes.check(operation, &self.login, &self.project)?;
        let result = call.await;
        drop(permit);
        self.brakes.note(&self.login, &self.project, &result);
        // IAM's calls are counted where they are made, and have a clock of their own.
        if result.as_ref().is_err_and(|error| error.operation != operation) {
            return result;
        }
        let (code, time) = match &result {
            Ok(answer) => (CallCode::Http(good(&answer.value)), answer.service_time),
            Err(error) => (CallCode::from(&error.failure), error.service_time),
        };
        self.metrics.cloud_call(operation, code);
        if let Some(time) = time {
            self.service_clocks
                .note(&self.endpoint, time.duration_since(self.clock.now()));
        }
        result
    }
}

impl Witness for Metrics {
    fn note(&self, operation: Operation, outcome: Result<u16, &Failure>) {
        self.cloud_call(operation, outcome.map_or_else(CallCode::from, CallCode::Http));
    }
}

#[async_trait]
impl Workspace for Metered {
    async fn list_desktops(&self, ids: &[DesktopID]) -> Result<Answer<DesktopPage>, Error> {
        self.call(Operation::ListDesktops, |_| 200, self.cloud.list_desktops(ids))
            .await
    }

    async fn show_desktop(&self, id: &DesktopID) -> Result<Answer<Lookup>, Error> {
        let code = |found: &Lookup| if *found == Lookup::Gone { 404 } else { 200 };
        self.call(Operation::ShowDesktop, code, self.cloud.show_desktop(id))
            .await
    }

    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<Answer<SubJobPage>, Error> {
        self.call(Operation::ListSubJobs, |_| 200, self.cloud.list_sub_jobs(query))
            .await
    }

    async fn show_job(&self, id: &JobID) -> Result<Answer<Job>, Error> {
        self.call(Operation::ShowJob, |_| 200, self.cloud.show_job(id))
            .await
    }

    fn sign_batch_delete(&self, body: &BatchDelete, now: Timestamp) -> Result<SignedRequest, Error> {
        self.cloud.sign_batch_delete(body, now)
    }

    async fn send(&self, request: SignedRequest) -> Result<Answer<JobID>, Error> {
        self.call(Operation::BatchDelete, |_| 202, self.cloud.send(request))
            .await
    }
}
