//! Every object that the API server ever held in this search, kept once and named by a number, so that a state of the
//! world stays small. Times are left out of objects: the model keeps ages beside them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use desktop_deletion_operator::crd::deletion::{DesktopDeletionStatus, DesktopState, Outcome};
use desktop_deletion_operator::plan::observed::Request;
use invariants::history::{Object, Status};
use invariants::reading::Frozen;

use crate::names::{self, ATTEMPTS, Set};

/// Number of an object's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u32);

/// Number of a plan, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanNumber(u16);

/// The content of an object, and what the model asks of it often.
#[derive(Debug)]
pub struct Known {
    /// The content.
    pub request: Request,
    /// The same as the invariants see it.
    pub object: Object,
    /// Outcome of each attempt in the status.
    pub outcomes: [Option<Outcome>; ATTEMPTS],
    /// Attempts that took effect.
    pub effective: Set,
    /// Jobs in the status.
    pub jobs: Set,
    /// The last attempt.
    pub last: Option<usize>,
    /// The last attempt ended with an error.
    pub last_failed: bool,
    /// `status.completionTime` is set.
    pub finished: bool,
    /// The plan that `spec.approvedPlan` names.
    pub approved: Option<PlanNumber>,
    /// The plan that `status.plan` shows.
    pub shown: Option<PlanNumber>,
}

impl Known {
    fn of(request: Request, number: impl Fn(&str) -> PlanNumber) -> Self {
        let mut outcomes = [None; ATTEMPTS];
        let (mut effective, mut jobs, mut last) = (0, 0, None);
        for attempt in &request.status.attempts {
            let Some(number) = names::attempt_number(&attempt.id) else {
                continue;
            };
            outcomes[number] = Some(attempt.outcome);
            effective |= if attempt.took_effect() {
                names::only(number)
            } else {
                0
            };
            jobs |= names::job_set(&attempt.job_ids);
            last = Some(number);
        }
        Self {
            object: object(&request),
            outcomes,
            effective,
            jobs,
            last,
            last_failed: request.status.attempts.last().is_some_and(|a| a.error.is_some()),
            finished: request.status.completion_time.is_some(),
            approved: request.approved_plan.as_deref().map(&number),
            shown: request.status.plan.as_ref().map(|plan| number(&plan.hash)),
            request,
        }
    }

    /// The attempts of which it is not known whether they will have an effect.
    pub fn doubtful(&self) -> Set {
        self.with(|o| matches!(o, Outcome::Pending | Outcome::Abandoned))
    }

    /// The attempts with such an outcome.
    pub fn with(&self, wanted: impl Fn(Outcome) -> bool) -> Set {
        names::set((0..ATTEMPTS).filter(|a| self.outcomes[*a].is_some_and(&wanted)))
    }

    /// The desktops that the status says to be in that state.
    pub fn desktops(&self, state: DesktopState) -> Set {
        let status = &self.request.status;
        names::desktop_set(status.desktops.iter().filter(|d| d.state == state).map(|d| &d.id))
    }
}

/// Times are no part of an object here: what is final is what it says to people.
fn object(request: &Request) -> Object {
    let status = serde_json::to_value(&request.status).unwrap_or_default();
    Object {
        deleting: request.deleting,
        suspended: request.suspend,
        approved_plan: request.approved_plan.clone(),
        spec: format!("generation {}", request.generation),
        status: Status::read(&status, Frozen::Verdict),
    }
}

/// A change of an object that is no write of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edit {
    /// Our finalizer is put on.
    AddFinalizer,
    /// Our finalizer is taken off.
    DropFinalizer,
    /// `spec.suspend`.
    Suspend(bool),
    /// `metadata.deletionTimestamp`.
    Delete,
    /// Annotated to abandon the attempt.
    Abandon(usize),
    /// `spec.approvedPlan`.
    Approve(Option<PlanNumber>),
    /// The status becomes that of the other object.
    StatusOf(RequestId),
}

/// Every object of this search.
#[derive(Default)]
pub struct Requests {
    // Nothing is ever dropped: a search ends with its process.
    known: RwLock<Vec<&'static Known>>,
    numbers: RwLock<HashMap<String, RequestId>>,
    edits: RwLock<HashMap<(RequestId, Edit), RequestId>>,
    plans: RwLock<Vec<String>>,
}

impl Requests {
    /// The number of that content.
    pub fn number(&self, request: Request) -> RequestId {
        let text = format!("{request:?}");
        if let Some(number) = read(&self.numbers, |numbers| numbers.get(&text).copied()) {
            return number;
        }
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        *numbers.entry(text).or_insert_with(|| {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.push(Box::leak(Box::new(Known::of(request, |hash| self.plan(hash)))));
            RequestId(u32::try_from(known.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// The content of that number.
    pub fn get(&self, number: RequestId) -> &'static Known {
        read(&self.known, |known| known[number.0 as usize])
    }

    /// The number of the plan of that hash.
    pub fn plan(&self, hash: &str) -> PlanNumber {
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        let known = plans.iter().position(|plan| plan == hash);
        let number = known.unwrap_or_else(|| {
            plans.push(hash.to_owned());
            plans.len() - 1
        });
        // A few facts of a few desktops make a few plans.
        PlanNumber(u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// The hash of the plan of that number.
    pub fn plan_hash(&self, plan: PlanNumber) -> String {
        read(&self.plans, |plans| plans[usize::from(plan.0)].clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        read(&self.known, Vec::len)
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object with another status.
    pub fn with_status(&self, number: RequestId, status: DesktopDeletionStatus) -> RequestId {
        let request = self.get(number).request.clone();
        self.number(Request { status, ..request })
    }

    /// The object after a change.
    pub fn edit(&self, number: RequestId, edit: Edit) -> RequestId {
        if let Some(edited) = read(&self.edits, |edits| edits.get(&(number, edit)).copied()) {
            return edited;
        }
        let mut request = self.get(number).request.clone();
        match edit {
            Edit::AddFinalizer => request.finalizer = true,
            Edit::DropFinalizer => request.finalizer = false,
            Edit::Suspend(suspend) => {
                request.suspend = suspend;
                request.generation += 1;
            }
            Edit::Delete => request.deleting = true,
            Edit::Abandon(attempt) => {
                request.resolve = Some(format!("{}=abandon", names::attempt(attempt)));
            }
            Edit::Approve(plan) => {
                request.approved_plan = plan.map(|plan| self.plan_hash(plan));
                request.generation += 1;
            }
            Edit::StatusOf(other) => request.status = self.get(other).request.status.clone(),
        }
        let edited = self.number(request);
        self.edits
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((number, edit), edited);
        edited
    }
}

fn read<T, U>(lock: &RwLock<T>, take: impl FnOnce(&T) -> U) -> U {
    take(&lock.read().unwrap_or_else(PoisonError::into_inner))
}
