//! One run over one object: what was loaded and read so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::super::project_session::Login;
use super::super::{Context, api};
use super::Error;
use crate::cloud::circuit_breaker::HalfOpenPermit;
use crate::cloud::rate_limiter::{Permit, Priority};
use crate::cloud::session::{CloudSession, CredentialsKey};
use crate::controllers::raw::Raw;
use crate::crd::{DesktopDeletion, FINALIZER, RESOLVE_ANNOTATION};
use crate::plan::evidence;
use crate::plan::observed::{Circuit, Facts, Observed, ReadTimes, Request, Submission};
use crate::plan::progress::{Progress, Requeue};
use crate::workspace::api::{SignedRequest, Workspace};

/// What one run holds.
pub struct Reconciliation {
    /// The object as it was last read or written.
    pub object: DesktopDeletion,
    /// Its status as it was received: a write keeps what this version does not know of it.
    pub stored: Value,
    /// What the decision looks at.
    pub seen: Observed,
    /// When the pass began: its reads began no earlier. Moments are times since the start of the process.
    pub began: Duration,
    /// When the reads that the decision looks at were made.
    pub reads: ReadTimes,
    /// Reads of the cloud that began earlier say nothing to this pass.
    pub reads_since: Duration,
    /// When another request last ceased to hold one of the desktops, as far as this process knows.
    pub released: Option<Duration>,
    /// The project as it was last looked at.
    pub login: Option<Login>,
    /// The permit to send, taken before anything is signed.
    pub permit: Option<Permit>,
    /// The permit of a half-open circuit breaker, taken before the permit to send.
    pub half_open_permit: Option<HalfOpenPermit>,
    /// It had a permit before, and gave it back to read again.
    pub had_permit: bool,
    /// The signed request, if one is ready to go, and since when.
    pub armed: Option<(SignedRequest, Duration)>,
}

impl Reconciliation {
    /// Reads the live object, for a pass that has waited since `asked`; `None` if it is gone or another one has taken
    /// its name.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn load(
        object: &DesktopDeletion,
        asked: Duration,
        context: &Context,
    ) -> Result<Option<Self>, Error> {
        let began = context.uptime.now();
        let requests = requests(object, context);
        let live = api::call("read the DesktopDeletion", requests.get_opt(&object.name_any())).await?;
        let Some(live) = live.filter(|live| live.uid() == object.uid()) else {
            return Ok(None);
        };
        let (live, stored) = decoded(live)?;
        context.claims.observe(&live);
        let underway = context.submissions.is_underway(&live.uid().unwrap_or_default());
        let seen = Observed {
            request: request(&live),
            project: None,
            last_look: false,
            claim: None,
            desktops: BTreeMap::new(),
            single_reads: BTreeMap::new(),
            sweep: None,
            owned_elsewhere: BTreeMap::new(),
            jobs: BTreeMap::new(),
            read_failure: None,
            earlier_evidence: None,
            submission: if underway {
                Submission::Underway
            } else {
                Submission::None
            },
            facts: Facts::default(),
        };
        Ok(Some(Self {
            object: live,
            stored,
            seen,
            began,
            reads: ReadTimes::default(),
            reads_since: asked,
            released: None,
            login: None,
            permit: None,
            half_open_permit: None,
            had_permit: false,
            armed: None,
        }))
    }

    /// Takes in a newer copy of the object.
    ///
    /// # Errors
    /// This version cannot decode it.
    pub fn update(&mut self, object: Raw<DesktopDeletion>) -> Result<(), Error> {
        let (object, stored) = decoded(object)?;
        self.seen.request = request(&object);
        (self.object, self.stored) = (object, stored);
        Ok(())
    }

    /// Forgets what was read of the cloud before `now`, and what was claimed there.
    pub fn forget_reads(&mut self, now: Duration) {
        self.reads = ReadTimes::default();
        self.reads_since = now;
        self.seen.claim = None;
        self.seen.desktops.clear();
        self.seen.single_reads.clear();
        self.seen.sweep = None;
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

    /// The line to the cloud.
    ///
    /// # Errors
    /// The decision asked for the cloud before the project gave a login: a fault.
    pub fn line(&self) -> Result<&Arc<CloudSession>, Error> {
        self.login
            .as_ref()
            .and_then(|login| login.line.as_ref())
            .ok_or(Error::Fault("a step in the cloud without credentials"))
    }

    /// How the circuit breaker for its submission stands.
    pub fn circuit(&self) -> Circuit {
        self.line().map_or(Circuit::Closed, |line| {
            line.circuit_breaker
                .circuit(&line.caller, self.half_open_permit.as_ref())
        })
    }

    /// Takes the permit of a half-open circuit breaker; says whether a submission may be made.
    ///
    /// # Errors
    /// As [`Reconciliation::line`].
    pub fn admit(&mut self) -> Result<bool, Error> {
        let line = self.line()?.clone();
        let admitted = line
            .circuit_breaker
            .admit(&line.caller, self.half_open_permit.take());
        let may = admitted.is_ok();
        self.half_open_permit = admitted.unwrap_or_default();
        Ok(may)
    }

    /// The client of the cloud.
    ///
    /// # Errors
    /// As [`Reconciliation::line`].
    pub fn cloud(&self) -> Result<Arc<dyn Workspace>, Error> {
        let right = Priority::of(&self.object);
        Ok(self.line()?.client(right))
    }

    /// Where the project is now, as its login sees it.
    ///
    /// # Errors
    /// The decision asked for the cloud before the project was looked at: a fault.
    pub fn home(&self) -> Result<CredentialsKey, Error> {
        let fault = Error::Fault("a step in the cloud before the project was read");
        let login = self.login.as_ref().ok_or(fault)?;
        let project = login.view.coordinates.as_ref();
        let project = project.ok_or(Error::Fault("a step in the cloud without a project"))?;
        Ok(CredentialsKey {
            project: project.key(),
            version: login.version.clone(),
        })
    }

    /// With whom it shares its reads of the cloud.
    ///
    /// # Errors
    /// As [`Reconciliation::home`].
    pub fn shared(&self) -> Result<(CredentialsKey, Priority), Error> {
        Ok((self.home()?, Priority::of(&self.object)))
    }

    /// The host that the request talks to, once known.
    pub fn endpoint(&self) -> Option<&str> {
        let current = self.login.as_ref().and_then(|l| l.view.coordinates.as_ref());
        current
            .or(self.seen.request.status.project.as_ref())
            .map(|p| p.endpoint.as_str())
    }

    /// Remembers what the next pass needs of this one.
    pub fn note_wait(&self, hold: &Progress, context: &Context) {
        let Some(attempt) = self
            .seen
            .request
            .pending()
            .filter(|_| hold.wake == Requeue::SecondLook)
        else {
            return;
        };
        let Some(evidence) = evidence::evidence(&self.seen, attempt) else {
            return;
        };
        context.memory.change(&self.uid(), |memory| {
            memory.looked(&attempt.id, self.began, evidence);
        });
    }
}

fn requests(object: &DesktopDeletion, context: &Context) -> Api<Raw<DesktopDeletion>> {
    Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default())
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
