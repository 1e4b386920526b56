//! What a layer saw of a run, as plain data.

use std::collections::{BTreeMap, BTreeSet};

/// A point in time, on a scale of the layer's own: only which of two is earlier counts.
pub type Moment = i64;

/// Everything that is known of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The requests.
    pub requests: Vec<Request>,
    /// Every submission by an operator that arrived in the cloud, oldest first.
    pub posts: Vec<Post>,
    /// Jobs and attempts that an operator said, outside of the status, to be lost; each by its id.
    pub declared: BTreeSet<String>,
    /// Accepted jobs that the cloud never shows: its assumption A2 is false of them.
    pub unseen: BTreeSet<String>,
    /// Jobs that others began, such as a person in the console.
    pub foreign: BTreeSet<String>,
    /// Desktops that the cloud has in the end; `None` if the layer did not check.
    pub there: Option<BTreeSet<String>>,
    /// Two operators worked at one time.
    pub two_leaders: bool,
    /// Every call of the cloud by an operator.
    pub calls: Vec<Call>,
    /// What each credential is for.
    pub logins: Vec<Login>,
}

/// One request, from its creation to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// The desktops that it names.
    pub admitted: Vec<String>,
    /// As it was stored, oldest first, by whomever.
    pub versions: Vec<Version>,
    /// Writes to it, oldest first, also those that were refused where the layer sees them.
    pub writes: Vec<Write>,
    /// How it stands once faults have stopped.
    pub termination: Termination,
    /// Writes from this one on came after its end was seen.
    pub quiet_from: Option<usize>,
    /// What its intents rest on, by the id of the attempt; nothing where the layer does not see it.
    pub bases: BTreeMap<String, IntentBasis>,
    /// The plans that people approved as this very object showed them; `None` where the layer does not see that.
    pub approvals: Option<BTreeSet<String>>,
}

/// What an intent rests on besides the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntentBasis {
    /// Every possible last read of the project before it showed that an approval was required.
    pub approval_required: bool,
    /// Every possible last read of the project before it showed that no more desktops than these may be submitted
    /// within a day.
    pub daily_limit: Option<u32>,
    /// The facts of a desktop in the reads that may have been the last ones before it, by its id; a desktop without any
    /// is unknown.
    pub shown: BTreeMap<String, Vec<Facts>>,
}

/// What a plan says of a desktop; what the cloud does not report is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its computer name.
    pub name: Option<String>,
    /// Users and groups whom it is assigned to, as people are shown them.
    pub users: Option<String>,
    /// When it was created.
    pub created: Option<String>,
}

/// A request at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Since when; no later than this.
    pub at: Moment,
    /// Which of the objects of that name it is.
    pub uid: String,
    /// The object.
    pub object: Object,
    /// With this the object was gone.
    pub gone: bool,
}

/// An object as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// It is being deleted.
    pub deleting: bool,
    /// `spec.suspend` is set.
    pub suspended: bool,
    /// `spec.approvedPlan`.
    pub approved_plan: Option<String>,
    /// All of its spec, as text.
    pub spec: String,
    /// Its status.
    pub status: Status,
}

/// A status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// The desktops.
    pub desktops: Vec<Desktop>,
    /// Once it is finished: all that must stay as it is, as text.
    pub finished: Option<String>,
    /// Once it is decided: whether it succeeded, and the reason.
    pub verdict: Option<String>,
    /// Where the request lives.
    pub project: Option<String>,
    /// The job of the request.
    pub job: Option<String>,
    /// It says that the POST took effect, and that its job cannot be named.
    pub job_unknown: bool,
    /// The plan that is on record as approved.
    pub approved: Option<Approved>,
}

/// A plan that was approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approved {
    /// Its hash.
    pub hash: String,
    /// What it says of each of its desktops, by id.
    pub desktops: BTreeMap<String, Facts>,
}

/// What is recorded of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// The desktops in its body.
    pub desktops: Vec<String>,
    /// Digest of its body.
    pub digest: String,
    /// What distinguishes its signature from every other; `None` where the layer does not see signatures.
    pub signature: Option<String>,
    /// Until when the cloud accepts it; `None` if that is not known, or moments are no times.
    pub not_after: Option<Moment>,
    /// Everything that was known of it when it was written, as text.
    pub facts: String,
    /// Its jobs.
    pub jobs: Vec<String>,
    /// A person gave it up, and with it the wait until it can no longer take effect.
    pub given_up: bool,
    /// Hash of the approved plan that it carries out, if it says one.
    pub plan: Option<String>,
}

/// The outcome of an attempt, in the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Outcome {
    Pending,
    NotSent,
    Rejected,
    Accepted,
    Adopted,
    NoEffect,
    Abandoned,
}

/// What is said of a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desktop {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: State,
}

/// State of a desktop, in the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    Pending,
    Absent,
    Deleting,
    Deleted,
    Failed,
    Unknown,
}

/// A write to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which, for people.
    pub name: String,
    /// An operator made it.
    pub by_operator: bool,
    /// The version that it was made from.
    pub from: BaseVersion,
    /// The status that it would store; `None` if it is about something else.
    pub status: Option<Status>,
    /// The result.
    pub result: WriteResult,
}

/// What a write was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseVersion {
    /// That version of the request, by its place.
    Version(usize),
    /// A version that was never stored.
    Unheard,
    /// It does not say.
    Any,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteResult {
    /// A new version.
    Stored,
    /// It was carried out, and nothing changed.
    Unchanged,
    /// It was refused.
    Refused,
}

/// A submission that arrived in the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// When.
    pub at: Moment,
    /// Digest of its body.
    pub digest: String,
    /// The desktops in its body.
    pub desktops: Vec<String>,
    /// What distinguishes its signature from every other; `None` where the layer does not see signatures.
    pub signature: Option<String>,
    /// When it left its operator, in milliseconds; `None` where the layer does not see it, or moments are no times.
    pub left: Option<Moment>,
    /// The job that it started, if it took effect.
    pub job: Option<String>,
}

/// A submission that takes effect, or did and has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Of which request.
    pub request: &'a str,
    /// Of which attempt.
    pub attempt: &'a str,
    /// Its desktops.
    pub desktops: &'a [String],
    /// A person gave it up.
    pub given_up: bool,
}

/// How a request stands once faults have stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Termination {
    /// It has ended, is gone, or waits for a person or a named condition.
    Reached,
    /// It has not come to rest; how it stands.
    Not(String),
}

/// A call of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where it went to.
    pub endpoint: String,
    /// The project in its path, if it names one.
    pub project: Option<String>,
    /// The id of the credential that it carried, if it carried one.
    pub credential: Option<String>,
}

/// A credential and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Its id.
    pub credential: String,
    /// Its endpoint.
    pub endpoint: String,
    /// Its project.
    pub project: String,
}

impl<'a> Effect<'a> {
    /// The effect of a submission of a request.
    pub fn of(request: &'a Request, post: &'a Post, attempt: Option<&'a Attempt>) -> Self {
        Self {
            request: &request.name,
            attempt: attempt.map_or("of nobody", |attempt| &attempt.id),
            desktops: &post.desktops,
            given_up: attempt.is_some_and(|attempt| attempt.given_up),
        }
    }

    /// A desktop that both name.
    pub fn shares(&self, other: &Effect<'_>) -> Option<&'a str> {
        let shared = self.desktops.iter().find(|id| other.desktops.contains(id));
        shared.map(String::as_str)
    }
}

impl Outcome {
    /// The attempt is settled as one without effect.
    pub fn is_without_effect(self) -> bool {
        matches!(self, Self::Rejected | Self::NotSent | Self::NoEffect)
    }

    /// The cloud was not reached or did nothing, so that the record may be replaced.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Rejected | Self::NotSent)
    }
}

impl Attempt {
    /// It is settled as one without effect, and no job says otherwise.
    pub fn is_over(&self) -> bool {
        self.outcome.is_without_effect() && self.jobs.is_empty()
    }

    /// Whether that submission may be the one that it records.
    pub fn may_be(&self, post: &Post) -> bool {
        let signed = match (&self.signature, &post.signature) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        self.digest == post.digest && signed
    }
}

impl Status {
    /// The attempt of that id.
    pub fn attempt(&self, id: &str) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.id == id)
    }
}

impl Request {
    /// As it was at that time.
    pub fn at(&self, moment: Moment) -> Option<&Version> {
        self.stored_by(moment).last()
    }

    /// The versions that were stored by then.
    pub fn stored_by(&self, moment: Moment) -> impl Iterator<Item = &Version> {
        self.versions
            .iter()
            .take_while(move |version| version.at <= moment)
    }

    /// Each version of one object and the next.
    pub fn changes(&self) -> impl Iterator<Item = (&Object, &Object)> {
        let pairs = self.versions.windows(2).filter(|pair| pair[0].uid == pair[1].uid);
        pairs.map(|pair| (&pair[0].object, &pair[1].object))
    }

    /// Every attempt that was ever stored, as it was last seen.
    pub fn attempts(&self) -> BTreeMap<&str, &Attempt> {
        let all = self.versions.iter().flat_map(|v| &v.object.status.attempts);
        all.map(|attempt| (attempt.id.as_str(), attempt)).collect()
    }

    /// The attempt that this is the submission of, as it was last seen. Where several may be, the one that was open
    /// when it arrived.
    pub fn attempt_of(&self, post: &Post) -> Option<&Attempt> {
        let all = self.attempts();
        let then = self
            .at(post.at)
            .into_iter()
            .flat_map(|v| &v.object.status.attempts);
        let open = then
            .filter(|a| a.may_be(post) && a.outcome == Outcome::Pending)
            .find_map(|a| all.get(a.id.as_str()).copied());
        let candidates = || all.values().copied().filter(|a| a.may_be(post));
        open.or_else(|| candidates().find(|a| !a.is_over()))
            .or_else(|| candidates().next())
    }

    /// The object is gone in the end.
    pub fn is_gone(&self) -> bool {
        self.versions.last().is_some_and(|last| last.gone)
    }
}

impl History {
    /// The request whose submission this is, and its attempt.
    pub fn owner(&self, post: &Post) -> Option<(&Request, &Attempt)> {
        self.requests
            .iter()
            .find_map(|request| Some((request, request.attempt_of(post)?)))
    }

    /// The submissions of a request, each with its attempt. One that belongs to no attempt counts for every request.
    pub fn posts_of<'a>(
        &'a self,
        request: &'a Request,
    ) -> impl Iterator<Item = (&'a Post, Option<&'a Attempt>)> {
        self.posts.iter().filter_map(move |post| {
            let own = request.attempt_of(post);
            (own.is_some() || self.owner(post).is_none()).then_some((post, own))
        })
    }
}
