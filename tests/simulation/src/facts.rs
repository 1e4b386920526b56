//! What happened, for the judge.

use std::collections::{BTreeMap, BTreeSet};

use invariants::history::IntentBasis;
use jiff::Timestamp;

use crate::calls::Call;

/// Who wrote an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The operator of that number.
    Operator(usize),
    /// A person.
    Person,
}

/// A submission that arrived in the cloud.
#[derive(Debug, Clone)]
pub struct Post {
    /// By which operator.
    pub who: usize,
    /// When it left, in milliseconds after the begin.
    pub left: u64,
    /// When.
    pub arrived: Timestamp,
    /// The newest resource version at that time.
    pub revision: u64,
    /// Its `X-Sdk-Date`.
    pub signed_at: String,
    /// The attempt that it is of. Two requests may have the same desktops, one after the other, and be signed within one
    /// second: the attempt is the one with its signature and desktops whose intent was stored last before it left.
    pub intent: Option<String>,
    /// `sha256:` and the digest of its body.
    pub digest: String,
    /// The desktops that it names.
    pub desktops: Vec<String>,
    /// The job that it started, if it took effect.
    pub job: Option<String>,
}

/// A write that was carried out and changed nothing.
#[derive(Debug, Clone)]
pub struct IdleWrite {
    /// To which object.
    pub uid: String,
    /// What it was.
    pub what: String,
}

/// An approval of the plan that an object showed.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Name of the object.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Hash of the plan.
    pub plan: String,
}

/// All of it. The versions of the objects are in the history of the API server.
#[derive(Debug, Default)]
pub struct Facts {
    /// Who made which resource version.
    pub authors: BTreeMap<u64, Author>,
    /// Every submission that arrived.
    pub posts: Vec<Post>,
    /// Every call of the cloud, and how many milliseconds after the begin it was made.
    pub cloud_calls: Vec<(u64, Call)>,
    /// Where calls of the cloud went that an access key signed.
    pub signed_calls: Vec<invariants::history::Call>,
    /// Writes of the operator that changed nothing.
    pub idle_writes: Vec<IdleWrite>,
    /// Jobs that a person began in the console.
    pub foreign_jobs: BTreeSet<String>,
    /// All that the operators logged, warnings and worse.
    pub log: String,
    /// Responses of the cloud that were replaced.
    pub replaced: u64,
    /// Objects that were without conditions for too long.
    pub blank: Vec<String>,
    /// When an operator first stored conditions of a request, by its name, in milliseconds after the begin.
    pub first_conditions: BTreeMap<String, u64>,
    /// Requests that had not ended and did not say why.
    pub unnamed: Vec<String>,
    /// Two operators worked at one time.
    pub two_leaders: bool,
    /// What intents rest on, by the uid of the object and the id of the attempt, where the project has guardrails.
    pub grounds: BTreeMap<String, BTreeMap<String, IntentBasis>>,
    /// How many approvals that were given to an object were set in another one.
    pub carried: u64,
    /// Every approval that a person gave to the plan that the object showed.
    pub approvals: Vec<Approval>,
    /// Desktops that did not exist for a while.
    pub away: BTreeSet<String>,
}
