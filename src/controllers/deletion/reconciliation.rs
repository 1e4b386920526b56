//! The state of one reconciliation: what was loaded and read so far. The loop that uses it is `run_steps` in the parent
//! module.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::super::claims::ObjectSource;
use super::super::project_reads::StoredProject;
use super::super::project_session::ProjectSession;
use super::super::{Context, api};
use super::Error;
use crate::cloud::circuit_breaker::CallPermit;
use crate::cloud::circuit_breaker::HalfOpenPermit;
use crate::cloud::rate_limiter::Priority;
use crate::cloud::session::{CloudSession, CredentialsKey};
use crate::controllers::raw::Raw;
use crate::crd::{DesktopDeletion, FINALIZER, RESOLVE_ANNOTATION};
use crate::plan::evidence;
use crate::plan::memory::RequestMemory;
use crate::plan::observed::{Circuit, Observed, ReadTimes, Request, Submission};
use crate::plan::progress::{Progress, Requeue};
use crate::workspace::api::Workspace;

/// State of one reconciliation.
pub struct Reconciliation {
    /// The object as it was last read or written.
    pub object: DesktopDeletion,
    /// Its status as the API server sent it, in a live read or in the response to a write: a write keeps the fields
    /// that this version does not know. `None` for a copy of the watch, which is complete.
    pub stored: Option<Value>,
    /// Its desktops were granted to it by this reconciliation, and not before.
    pub claimed: bool,
    /// The input of the decision.
    pub observed: Observed,
    /// When the reconciliation began: its reads began no earlier. Moments are times since the start of the process.
    pub began: Duration,
    /// When the reads in the input of the decision were made.
    pub reads: ReadTimes,
    /// Reads of the cloud that began earlier are not used in this reconciliation.
    pub reads_since: Duration,
    /// When another request last ceased to hold one of the desktops, as far as this process knows.
    pub released: Option<Duration>,
    /// The project as it was last read.
    pub project_session: Option<ProjectSession>,
    /// When the response to the last read of the project arrived.
    pub project_read: Option<Duration>,
    /// The permit to send, taken before anything is signed.
    pub permit: Option<CallPermit>,
    /// The permit of a half-open circuit breaker, taken before the permit to send.
    pub half_open_permit: Option<HalfOpenPermit>,
    /// When the signature of its submission was made.
    pub signed_uptime: Option<Duration>,
}

impl Reconciliation {
    /// Begins from the watch's copy, for a request that is due `since` then.
    pub fn cached(copy: &DesktopDeletion, since: Duration, context: &Context) -> Self {
        Self::of(copy.clone(), None, since, context)
    }

    /// Begins from a live read; `None` if the object is gone or another one has taken its name.
    ///
    /// # Errors
    /// The API server did not respond.
    pub async fn live(
        object: &DesktopDeletion,
        since: Duration,
        context: &Context,
    ) -> Result<Option<Self>, Error> {
        let requests = requests(object, context);
        let live = api::call("read the DesktopDeletion", requests.get_opt(&object.name_any())).await?;
        let Some(live) = live.filter(|live| live.uid() == object.uid()) else {
            context.requests.cache.mark_not_found(object);
            context.forget(&object.uid().unwrap_or_default());
            return Ok(None);
        };
        let (live, stored) = decoded(live)?;
        context.requests.claims.observe(&live);
        context.requests.cache.record_version(&live);
        Ok(Some(Self::of(live, Some(stored), since, context)))
    }

    fn of(object: DesktopDeletion, stored: Option<Value>, since: Duration, context: &Context) -> Self {
        let uid = object.uid().unwrap_or_default();
        context.requests.memory.change(&uid, |memory| {
            memory.first_seen.get_or_insert(since);
        });
        let submission = if context.requests.submissions.is_in_progress(&uid) {
            Submission::InProgress
        } else {
            Submission::None
        };
        let observed = Observed {
            request: request(&object),
            submission,
            ..Observed::default()
        };
        Self {
            object,
            stored,
            claimed: false,
            observed,
            began: context.process.uptime.now(),
            reads: ReadTimes::default(),
            reads_since: since,
            released: None,
            project_session: None,
            project_read: None,
            permit: None,
            half_open_permit: None,
            signed_uptime: None,
        }
    }

    /// Updates the object as the API server sent it, in a live read or in the response to a write.
    ///
    /// # Errors
    /// This version cannot decode it.
    pub fn update(&mut self, object: Raw<DesktopDeletion>, context: &Context) -> Result<(), Error> {
        let (object, stored) = decoded(object)?;
        self.observed.request = request(&object);
        context.requests.cache.record_version(&object);
        context.requests.claims.observe(&object);
        (self.object, self.stored) = (object, Some(stored));
        Ok(())
    }

    /// Updates the project after a reservation.
    pub fn record_reservation(&mut self, written: StoredProject) {
        if let (Some(project_session), Some(view)) = (&mut self.project_session, &mut self.observed.project) {
            view.usage = written.status().daily_usage.unwrap_or_default();
            project_session.project = Some(Arc::new(written));
        }
    }

    /// Whether something may be reserved for the request in its project.
    pub fn may_hold_reservation(&self) -> bool {
        let uid = self.uid();
        let project = self.observed.project.as_ref();
        project.is_some_and(|project| project.usage.reservations.iter().any(|r| r.uid == uid))
    }

    /// Schedules a check of the reservations of the project.
    pub fn schedule_reservation_check(&self, context: &Context) {
        let project = ObjectRef::new(&self.observed.request.project).within(&self.namespace());
        // There is no receiver once the operator stops.
        context.requests.reservations_to_check.send(project).ok();
    }

    /// The reconciliation has ended, or its submission: its desktops stay claimed only if something of it may have reached
    /// the cloud.
    pub fn release_claim(&self, context: &Context) {
        let claimed = self.claimed;
        let known = match self.stored {
            Some(_) => ObjectSource::Live,
            None => ObjectSource::Cached { claimed },
        };
        context
            .requests
            .claims
            .release_unless_in_flight(&self.object, known);
    }

    /// Nothing is left to do for the request: it has its final result, or it is being deleted and released.
    pub fn has_ended(&self) -> bool {
        let request = &self.observed.request;
        request.status.completion_time.is_some() || (request.deleting && !request.finalizer)
    }

    /// Forgets what was read of the cloud before `now`, and what was claimed there.
    pub fn forget_reads(&mut self, now: Duration) {
        self.reads = ReadTimes::default();
        self.reads_since = now;
        self.observed.claim = None;
        self.observed.desktops.clear();
        self.observed.single_reads.clear();
        self.observed.sub_job_list = None;
    }

    /// Changes what is remembered of the request.
    pub fn remember<T>(&self, context: &Context, change: impl FnOnce(&mut RequestMemory) -> T) -> T {
        context.requests.memory.change(&self.uid(), change)
    }

    /// The object's uid.
    pub fn uid(&self) -> String {
        self.object.uid().unwrap_or_default()
    }

    /// The object's namespace.
    pub fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    /// A reference to the object.
    pub fn reference(&self) -> ObjectRef<DesktopDeletion> {
        ObjectRef::from_obj(&self.object)
    }

    /// The requests of the object's namespace.
    pub fn requests(&self, context: &Context) -> Api<Raw<DesktopDeletion>> {
        requests(&self.object, context)
    }

    /// The session with the cloud.
    ///
    /// # Errors
    /// The decision needs the cloud before the project provides credentials: a bug.
    pub fn session(&self) -> Result<&Arc<CloudSession>, Error> {
        self.project_session
            .as_ref()
            .and_then(|project_session| project_session.session.as_ref())
            .ok_or(Error::Fault(
                "a cloud API call was planned before the credentials were read",
            ))
    }

    /// State of the circuit breaker for its submission.
    pub fn circuit(&self) -> Circuit {
        self.session().map_or(Circuit::Closed, |session| {
            session
                .circuit_breaker
                .circuit(&session.key, self.half_open_permit.as_ref())
        })
    }

    /// Takes the permit of a half-open circuit breaker; returns whether a submission may be made.
    ///
    /// # Errors
    /// As [`Reconciliation::session`].
    pub fn admit(&mut self) -> Result<bool, Error> {
        let session = self.session()?.clone();
        let admitted = session
            .circuit_breaker
            .admit(&session.key, self.half_open_permit.take());
        let may = admitted.is_ok();
        self.half_open_permit = admitted.unwrap_or_default();
        Ok(may)
    }

    /// The client of the cloud.
    ///
    /// # Errors
    /// As [`Reconciliation::session`].
    pub fn cloud(&self) -> Result<Arc<dyn Workspace>, Error> {
        let priority = Priority::of(&self.object);
        Ok(self.session()?.client(priority))
    }

    /// The project and the version of its credentials, as last read.
    ///
    /// # Errors
    /// The decision needs the cloud before the project was read: a bug.
    pub fn credentials_key(&self) -> Result<CredentialsKey, Error> {
        let fault = Error::Fault("a cloud API call was planned before the project was read");
        let project_session = self.project_session.as_ref().ok_or(fault)?;
        let project = project_session.view.coordinates.as_ref();
        let project = project.ok_or(Error::Fault("a cloud API call was planned without a project"))?;
        Ok(CredentialsKey {
            project: project.key(),
            version: project_session.version.clone(),
        })
    }

    /// The key under which it shares its reads of the cloud.
    ///
    /// # Errors
    /// As [`Reconciliation::credentials_key`].
    pub fn batch_key(&self) -> Result<(CredentialsKey, Priority), Error> {
        Ok((self.credentials_key()?, Priority::of(&self.object)))
    }

    /// The host that the request talks to, once known.
    pub fn endpoint(&self) -> Option<&str> {
        let current = self
            .project_session
            .as_ref()
            .and_then(|l| l.view.coordinates.as_ref());
        current
            .or(self.observed.request.status.project.as_ref())
            .map(|p| p.endpoint.as_str())
    }

    /// Remembers what the next reconciliation needs of this one.
    pub fn remember_wait(&self, progress: &Progress, context: &Context) {
        if let Some(preview) = &progress.preview {
            let note =
                |memory: &mut RequestMemory| memory.record_missing_facts(preview.lacks_facts, self.began);
            self.remember(context, note);
        }
        if progress.requeue == Requeue::SecondRead
            && let Some(attempt) = self.observed.request.pending()
            && let Some(evidence) = evidence::evidence(&self.observed, attempt)
        {
            let note = |memory: &mut RequestMemory| memory.record_evidence(&attempt.id, self.began, evidence);
            self.remember(context, note);
        }
    }
}

fn requests(object: &DesktopDeletion, context: &Context) -> Api<Raw<DesktopDeletion>> {
    Api::namespaced(
        context.kube.client.clone(),
        &object.namespace().unwrap_or_default(),
    )
}

/// The object, and its status as it was received.
fn decoded(mut raw: Raw<DesktopDeletion>) -> Result<(DesktopDeletion, Value), Error> {
    let object = raw
        .object
        .0
        .map_err(|invalid| Error::Undecodable(invalid.error))?;
    Ok((object, raw.json["status"].take()))
}

fn request(object: &DesktopDeletion) -> Request {
    Request {
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        project: object.spec.project_ref.name.clone(),
        desktop_ids: object.spec.desktop_ids.clone(),
        expected: object.spec.expected.clone(),
        delete_users: object.spec.delete_users,
        email_notification: object.spec.email_notification,
        force: object.spec.force,
        suspend: object.spec.suspend,
        approved_plan: object.spec.approved_plan.clone(),
        resolve: object.annotations().get(RESOLVE_ANNOTATION).cloned(),
        generation: object.metadata.generation.unwrap_or_default(),
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
        not_before: object.spec.not_before.as_ref().map(|time| time.0),
        not_after: object.spec.not_after.as_ref().map(|time| time.0),
        deleting: object.metadata.deletion_timestamp.is_some(),
        finalizer: object.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
        status: object.status.clone().unwrap_or_default(),
    }
}
