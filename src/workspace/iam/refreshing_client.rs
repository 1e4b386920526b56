//! A client of the cloud that renews its credentials: in time, and once more when the cloud does not accept them.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{CredentialsProvider, IssuedCredentials, is_refused};
use crate::clock::Clock;
use crate::ids::{DesktopID, JobID, ProjectID};
use crate::workspace::api::{
    Answer, BatchDelete, DesktopPage, Job, Lookup, SignedRequest, SubJobPage, SubJobQuery, Workspace,
};
use crate::workspace::endpoint::Endpoint;
use crate::workspace::error::{Error, Operation};
use crate::workspace::exchange::not_sent;
use crate::workspace::http::HttpWorkspace;
use crate::workspace::transport::{Clients, Options};

/// One project of the cloud, as somebody whose credentials change.
#[derive(Debug)]
pub(in crate::workspace) struct RefreshingClient {
    pub(in crate::workspace) identity: Arc<dyn CredentialsProvider>,
    pub(in crate::workspace) door: Connection,
}

/// What stays the same.
#[derive(Debug)]
pub(in crate::workspace) struct Connection {
    pub(in crate::workspace) endpoint: Endpoint,
    pub(in crate::workspace) project_id: ProjectID,
    pub(in crate::workspace) clients: Clients,
    pub(in crate::workspace) clock: Clock,
    pub(in crate::workspace) options: Options,
}

impl Connection {
    /// A client with these credentials.
    pub(in crate::workspace) fn open(&self, grant: &IssuedCredentials) -> HttpWorkspace {
        HttpWorkspace {
            endpoint: self.endpoint.clone(),
            project_id: self.project_id.clone(),
            credentials: Arc::clone(&grant.credentials),
            ends: grant.ends,
            clients: self.clients.clone(),
            clock: Arc::clone(&self.clock),
            options: self.options.clone(),
        }
    }
}

impl RefreshingClient {
    async fn enter(&self) -> Result<(IssuedCredentials, HttpWorkspace), Error> {
        let grant = self.identity.current().await?;
        let cloud = self.door.open(&grant);
        Ok((grant, cloud))
    }

    /// A client with other credentials, if these were refused and there are any. It is asked once: what is refused then
    /// stays refused.
    async fn again<T>(
        &self,
        grant: &IssuedCredentials,
        result: &Result<Answer<T>, Error>,
    ) -> Result<Option<HttpWorkspace>, Error> {
        let refused = result.as_ref().is_err_and(|error| is_refused(error, &[401]));
        if !refused || !self.identity.dismiss(&grant.credentials) {
            return Ok(None);
        }
        let other = self.identity.current().await?;
        Ok(Some(self.door.open(&other)))
    }
}

#[async_trait]
impl Workspace for RefreshingClient {
    async fn list_desktops(&self, ids: &[DesktopID]) -> Result<Answer<DesktopPage>, Error> {
        let (grant, cloud) = self.enter().await?;
        let result = cloud.list_desktops(ids).await;
        match self.again(&grant, &result).await? {
            Some(cloud) => cloud.list_desktops(ids).await,
            None => result,
        }
    }

    async fn list_desktops_from(&self, ids: &[DesktopID], offset: u32) -> Result<Answer<DesktopPage>, Error> {
        let (grant, cloud) = self.enter().await?;
        let result = cloud.list_desktops_from(ids, offset).await;
        match self.again(&grant, &result).await? {
            Some(cloud) => cloud.list_desktops_from(ids, offset).await,
            None => result,
        }
    }

    async fn show_desktop(&self, id: &DesktopID) -> Result<Answer<Lookup>, Error> {
        let (grant, cloud) = self.enter().await?;
        let result = cloud.show_desktop(id).await;
        match self.again(&grant, &result).await? {
            Some(cloud) => cloud.show_desktop(id).await,
            None => result,
        }
    }

    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<Answer<SubJobPage>, Error> {
        let (grant, cloud) = self.enter().await?;
        let result = cloud.list_sub_jobs(query).await;
        match self.again(&grant, &result).await? {
            Some(cloud) => cloud.list_sub_jobs(query).await,
            None => result,
        }
    }

    async fn show_job(&self, id: &JobID) -> Result<Answer<Job>, Error> {
        let (grant, cloud) = self.enter().await?;
        let result = cloud.show_job(id).await;
        match self.again(&grant, &result).await? {
            Some(cloud) => cloud.show_job(id).await,
            None => result,
        }
    }

    fn sign_batch_delete(&self, batch: &BatchDelete, now: Timestamp) -> Result<SignedRequest, Error> {
        let grant = self.identity.held().ok_or_else(|| {
            let reason = "the credentials must be renewed first, as the next read does".to_owned();
            not_sent(Operation::BatchDelete, reason)
        })?;
        self.door.open(&grant).sign_batch_delete(batch, now)
    }

    /// With what it was signed with; nothing is asked of IAM here, so that what goes wrong is about this one call.
    async fn send(&self, request: SignedRequest) -> Result<Answer<JobID>, Error> {
        let grant = IssuedCredentials {
            credentials: Arc::clone(&request.credentials),
            ends: None,
        };
        let result = self.door.open(&grant).send(request).await;
        if result.as_ref().is_err_and(|error| is_refused(error, &[401])) {
            self.identity.dismiss(&grant.credentials);
        }
        result
    }
}
