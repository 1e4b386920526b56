//! Asks the shipped decision. What an operator of the model sees is turned into the [`Observed`] of the product, the
//! step it answers is turned into an [`Act`], and both are remembered: the same view is never decided twice.

use std::collections::{BTreeMap, BTreeSet};

use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{
    Attempt, AuthMethod, CloudError, Outcome, ProjectCoordinates,
};
use desktop_deletion_operator::crd::project::{Approval, DailyUsage, Guardrails, Permission};
use desktop_deletion_operator::ids::{ProjectID, Region};
use desktop_deletion_operator::plan::deadlines;
use desktop_deletion_operator::plan::observed::{
    Claim as ShippedClaim, ConflictingRequest, Facts, Observed, PostResult, ProjectView, ReadFailure,
    ReadTime, ReadTimes, Request, SendPermit, Submission,
};
use desktop_deletion_operator::plan::progress::Requeue;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::{
    DesktopObservation, JobView, Listed, SubJobList as ShippedSubJobList,
};
use desktop_deletion_operator::plan::{self, evidence, status, views};
use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, DesktopFacts, DesktopKind, Fact, SubJob, SubJobStatus,
};
use desktop_deletion_operator::workspace::error::Operation;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::cache::Cache;
use crate::config::Config;
use crate::names::{self, DESKTOPS, JOBS, Set, USERS};
use crate::requests::{RequestId, Requests};
use crate::time::{UPTIME, ago};
use crate::world::{
    Answer, Batch, Claim, DesktopRead, Draft, Evidence, FirstEvidence, Held, Memory, Reconciliation, Row,
    SubJobList, WriteKind,
};

/// All inputs of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools)] // independent of each other
struct View {
    request: RequestId,
    project: bool,
    project_is_fresh: bool,
    permit: SendPermit,
    claim: Option<Claim>,
    desktops: [Option<DesktopRead>; DESKTOPS],
    sub_job_list: Option<SubJobList>,
    asked: Set,
    jobs: [Option<Row>; JOBS],
    read_failure: bool,
    first_evidence: Option<FirstEvidence>,
    held: Held,
    facts: Facts,
}

impl View {
    fn of(reconciliation: &Reconciliation, facts: Facts) -> Self {
        Self {
            request: reconciliation.request,
            project: reconciliation.project,
            project_is_fresh: reconciliation.project_is_fresh,
            permit: reconciliation.permit,
            claim: reconciliation.claim,
            desktops: reconciliation.desktops,
            sub_job_list: reconciliation.sub_job_list,
            asked: reconciliation.asked,
            jobs: reconciliation.jobs,
            read_failure: reconciliation.read_failure,
            first_evidence: reconciliation.first_evidence,
            held: reconciliation.held,
            facts,
        }
    }
}

/// A step of the product, in the numbers of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Read the project.
    ReadProject,
    /// Claim the desktops.
    Claim,
    /// Read these desktops in one list.
    ReadDesktops(Set),
    /// Read one desktop.
    ReadDesktop(usize),
    /// Read the sub-jobs.
    ReadSubJobs,
    /// Ask who has the job.
    ReadOwner(usize),
    /// Ask the poller about the job.
    ReadJob(usize),
    /// Wait for a permit to send.
    AcquirePermit,
    /// Give it back.
    ReleasePermit,
    /// Write, and what is stored then.
    Write(WriteKind, RequestId),
    /// Sign a request.
    Sign(Batch),
    /// Send the request of that attempt.
    Post(u8),
    /// Nothing to do now; what this reconciliation found for the next one.
    Wait(Option<(u8, Evidence)>),
    /// Forget everything.
    StartOver,
    /// Nothing to do.
    Rest,
    /// The move that was decided is not legal: the reconciliation ends with an error.
    Illegal,
}

impl Act {
    /// The cloud answers it, with a date.
    pub fn reads_the_cloud(self) -> bool {
        matches!(
            self,
            Self::ReadDesktops(_) | Self::ReadDesktop(_) | Self::ReadSubJobs | Self::ReadJob(_)
        )
    }
}

/// Decisions that were made already.
pub struct Decisions {
    auth: AuthMethod,
    timing: Timing,
    guardrails: Option<Guardrails>,
    made: Cache<View, Act>,
    fresh: Cache<(View, u8), Option<Set>>,
}

impl Decisions {
    /// None yet.
    pub fn new(config: Config) -> Self {
        Self {
            auth: config.auth,
            timing: config.timing(),
            guardrails: config.requires_approval().then(approval_required),
            made: Cache::default(),
            fresh: Cache::default(),
        }
    }

    /// How many different views were decided.
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// None was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next step of the reconciliation.
    pub fn next(&self, requests: &Requests, reconciliation: &Reconciliation, facts: Facts) -> Act {
        let view = View::of(reconciliation, facts);
        self.made.get(&view, || self.decide(requests, &view))
    }

    fn decide(&self, requests: &Requests, view: &View) -> Act {
        let mut seen = self.observed(requests, view);
        if let Held::Armed(draft) = view.held {
            let reads = ReadTimes::default();
            deadlines::drop_stale(&mut seen, Some(ago(draft.age)), &reads, UPTIME, &self.timing);
        }
        let request = &seen.request;
        let (now, finalizer) = (epoch(), |kind| {
            let edit = match kind {
                WriteKind::AddFinalizer => crate::requests::Edit::AddFinalizer,
                _ => crate::requests::Edit::DropFinalizer,
            };
            Act::Write(kind, requests.edit(view.request, edit))
        });
        let store = |kind, status| Act::Write(kind, requests.with_status(view.request, status));
        match plan::plan(&seen) {
            Step::ReadProject => Act::ReadProject,
            Step::ClaimDesktops => Act::Claim,
            Step::ReadDesktops(ids) => Act::ReadDesktops(names::desktop_set(&ids)),
            Step::ReadDesktop(id) => Act::ReadDesktop(number(names::desktop_set([&id]))),
            Step::ReadDetails(_) | Step::ReserveDesktops(_) => {
                unreachable!("no project of the model asks for details, or has a limit of a day")
            }
            Step::ReadSubJobs => Act::ReadSubJobs,
            Step::ReadOwner(job) => Act::ReadOwner(number(names::job_set([&job]))),
            Step::ReadJob(job) => Act::ReadJob(number(names::job_set([&job]))),
            Step::AddFinalizer => finalizer(WriteKind::AddFinalizer),
            Step::DropFinalizer => finalizer(WriteKind::DropFinalizer),
            Step::AcquirePermit => Act::AcquirePermit,
            Step::ReleasePermit => Act::ReleasePermit,
            Step::Sign(batch) => Act::Sign(Batch {
                body: names::desktop_set(&batch.desktop_ids),
                baseline_jobs: names::job_set(&batch.baseline_job_ids),
                baseline_failed: names::desktop_set(&batch.baseline_failed_ids),
                baseline_incomplete: batch.baseline_incomplete,
                plan: batch.plan_hash.map(|hash| requests.plan(&hash)),
            }),
            Step::RecordIntent(intent) => {
                let Held::Armed(draft) = view.held else {
                    return Act::Illegal;
                };
                match status::record_intent(request, &intent, &now) {
                    Ok(status) => store(WriteKind::Intent(draft.attempt), status),
                    Err(_) => Act::Illegal,
                }
            }
            Step::Post => match view.held {
                Held::Armed(draft) => Act::Post(draft.attempt),
                _ => Act::Illegal,
            },
            Step::RecordOutcome(outcome_update) => {
                match status::record_outcome(request, &outcome_update, &now) {
                    Ok(status) => store(WriteKind::Outcome, status),
                    Err(_) => Act::Illegal,
                }
            }
            Step::RefuseResolve(refusal) => {
                store(WriteKind::Refusal, status::refuse_resolve(request, &refusal))
            }
            Step::RecordProgress(progress) => store(
                WriteKind::Progress,
                status::with_progress(request, &progress, &now),
            ),
            Step::RecordApproval(progress) => store(
                WriteKind::Approval,
                status::with_progress(request, &progress, &now),
            ),
            Step::Finish(ending) => store(WriteKind::Finish, status::finish(request, &ending, &now)),
            Step::Wait(progress) => Act::Wait(
                (progress.requeue == Requeue::SecondRead)
                    .then(|| noted(&seen))
                    .flatten(),
            ),
            Step::StartOver => Act::StartOver,
            Step::Done => Act::Rest,
        }
    }

    /// Forgets reads that are too old to act upon.
    pub fn drop_stale(&self, requests: &Requests, reconciliation: &mut Reconciliation) {
        let Some(read) = reconciliation.read.filter(|read| *read > 0) else {
            return;
        };
        let view = View::of(reconciliation, Facts::default());
        let kept = self.fresh.get(&(view, read), || self.kept(requests, &view, read));
        if let Some(kept) = kept {
            for (number, read) in reconciliation.desktops.iter_mut().enumerate() {
                *read = read.filter(|_| names::has(kept, number));
            }
            reconciliation.sub_job_list = None;
            reconciliation.read = None;
        }
    }

    /// The desktops whose reads are kept, if others are dropped and the sub-jobs with them.
    fn kept(&self, requests: &Requests, view: &View, read: u8) -> Option<Set> {
        let mut seen = self.observed(requests, view);
        // The model knows the age of the oldest read only, so that all grow old with it.
        let read = ReadTime {
            began: ago(read),
            ..ReadTime::default()
        };
        let reads = ReadTimes {
            desktops: seen.desktops.keys().map(|id| (id.clone(), read)).collect(),
            sub_jobs: Some(read),
            ..ReadTimes::default()
        };
        let dropped = deadlines::drop_stale(&mut seen, Some(UPTIME), &reads, UPTIME, &self.timing);
        dropped.then(|| names::desktop_set(seen.desktops.keys()))
    }

    fn observed(&self, requests: &Requests, view: &View) -> Observed {
        let request = &requests.get(view.request).request;
        Observed {
            request: request.clone(),
            project: view.project.then(|| ProjectView {
                coordinates: Some(home()),
                obstacle: None,
                suspended: false,
                guardrails: self.guardrails.clone(),
                usage: DailyUsage::default(),
            }),
            project_is_fresh: view.project_is_fresh,
            permit: view.permit,
            reserved: None,
            claim: view.claim.map(|claim| shipped_claim(claim, request)),
            desktops: observations(view.desktops),
            single_reads: BTreeMap::new(),
            sub_job_list: view.sub_job_list.map(|sub_job_list| ShippedSubJobList {
                sub_jobs: (0..JOBS)
                    .flat_map(|job| sub_jobs(job, sub_job_list.rows[job]))
                    .collect(),
                complete: sub_job_list.complete,
            }),
            owned_by_other_request: names::jobs(view.asked)
                .into_iter()
                .map(|job| (job, false))
                .collect(),
            jobs: (0..JOBS)
                .filter_map(|job| Some((names::job(job).clone(), job_view(job, view.jobs[job]?))))
                .collect(),
            read_failure: view.read_failure.then(|| ReadFailure {
                error: error(Operation::ListDesktops, ErrorClass::Unavailable),
                suppressed: false,
            }),
            earlier_evidence: self.earlier(request, view),
            submission: self.submission(requests, view.held),
            facts: view.facts,
        }
    }

    fn earlier(&self, request: &Request, view: &View) -> Option<views::Evidence> {
        let memory = Memory {
            first_evidence: Some(view.first_evidence?),
            ..Memory::default()
        };
        let remembered = memory.remembered(request);
        remembered
            .earlier_evidence(request, UPTIME, self.timing.job_visibility_timeout)
            .cloned()
    }

    fn submission(&self, requests: &Requests, held: Held) -> Submission {
        match held {
            Held::Nothing => Submission::None,
            Held::Armed(draft) => Submission::Signed {
                attempt: self.attempt(requests, draft),
                fresh: true,
            },
            Held::Waiting(_) => Submission::InProgress,
            Held::Answered(attempt, answer) => Submission::Responded {
                attempt: names::attempt(usize::from(attempt)).clone(),
                result: shipped_answer(usize::from(attempt), answer),
            },
        }
    }

    fn attempt(&self, requests: &Requests, draft: Draft) -> Attempt {
        let expires = deadlines::end_of_signature(epoch().0, None, &self.timing);
        Attempt {
            id: names::attempt(usize::from(draft.attempt)).clone(),
            writer: "operator".to_owned(),
            auth: self.auth,
            desktop_ids: names::desktops(draft.batch.body),
            baseline_job_ids: names::jobs(draft.batch.baseline_jobs),
            baseline_failed_ids: names::desktops(draft.batch.baseline_failed),
            baseline_incomplete: draft.batch.baseline_incomplete,
            body_digest: format!("sha256:{:064x}", draft.batch.body),
            plan_hash: draft.batch.plan.map(|plan| requests.plan_hash(plan)),
            signed_at: epoch(),
            not_after: (self.auth == AuthMethod::Signature).then_some(Time(expires)),
            outcome: Outcome::Pending,
            job_ids: vec![],
            error: None,
        }
    }
}

/// What this reconciliation found, for the second evidence check of the next one.
fn noted(seen: &Observed) -> Option<(u8, Evidence)> {
    let attempt = seen.request.pending()?;
    let found = evidence::evidence(seen, attempt)?;
    let number = u8::try_from(names::attempt_number(&attempt.id)?).ok()?;
    Some((number, Evidence::of(&found)))
}

/// What is said of a claim that a deleted object holds.
fn shipped_claim(claim: Claim, request: &Request) -> ShippedClaim {
    match (claim, request.desktop_ids.first()) {
        (Claim::Reserved, Some(desktop)) => ShippedClaim::Reserved(ConflictingRequest {
            desktop: desktop.clone(),
            name: None,
        }),
        _ => ShippedClaim::Granted,
    }
}

fn observations(
    desktops: [Option<DesktopRead>; DESKTOPS],
) -> BTreeMap<desktop_deletion_operator::ids::DesktopID, DesktopObservation> {
    let observation = |desktop: usize, read: DesktopRead| DesktopObservation {
        view: read.state.shipped(),
        idle_twice: read.idle_twice,
        name: None,
        facts: Box::new(facts(desktop, read)),
        listed: Listed::Yes,
        details: None,
    };
    (0..DESKTOPS)
        .filter_map(|desktop| {
            Some((
                names::desktop(desktop).clone(),
                observation(desktop, desktops[desktop]?),
            ))
        })
        .collect()
}

fn facts(desktop: usize, read: DesktopRead) -> DesktopFacts {
    let user = USERS[usize::from(read.reassigned)].to_owned();
    let attached = AttachedUser {
        name: user.clone(),
        kind: AttachedKind::User,
    };
    DesktopFacts {
        computer_name: Fact::Given(names::desktop(desktop).to_string()),
        user_name: Fact::Given(user),
        attached: Fact::Given(BTreeSet::from([attached])),
        created: Fact::Given(epoch().0),
        kind: Fact::Given(DesktopKind::Dedicated),
        ..DesktopFacts::default()
    }
}

fn approval_required() -> Guardrails {
    Guardrails {
        approval: Approval::Required,
        prepaid_desktops: Permission::Allow,
        ..Guardrails::default()
    }
}

fn sub_jobs(job: usize, row: Row) -> Vec<SubJob> {
    let of = |set: Set, status: SubJobStatus| {
        names::desktops(set).into_iter().map(move |desktop| SubJob {
            id: "sub-job".to_owned(),
            job: names::job(job).clone(),
            desktop,
            status,
            code: None,
            reason: None,
        })
    };
    of(row.open, SubJobStatus::Running)
        .chain(of(row.deleted, SubJobStatus::Success))
        .chain(of(row.failed, SubJobStatus::Failed))
        .collect()
}

fn job_view(job: usize, row: Row) -> JobView {
    let mut view = JobView::default();
    view.merge_sub_jobs(&sub_jobs(job, row));
    view.finished = !view.results.is_empty() && row.open == 0;
    view.complete = view.finished;
    view
}

fn shipped_answer(attempt: usize, answer: Answer) -> PostResult {
    let error = |class| error(Operation::BatchDelete, class);
    match answer {
        Answer::Accepted => PostResult::Accepted(names::job(attempt).clone()),
        Answer::NotSent => PostResult::NotSent(error(ErrorClass::Unreachable)),
        Answer::Throttled => PostResult::Rejected(error(ErrorClass::Throttled)),
        Answer::Invalid => PostResult::Rejected(error(ErrorClass::InvalidRequest)),
        Answer::Expired => PostResult::Rejected(error(ErrorClass::Authentication)),
        Answer::Doubt => PostResult::OutcomeUnknown(error(ErrorClass::InDoubt)),
    }
}

fn error(operation: Operation, class: ErrorClass) -> CloudError {
    CloudError {
        time: epoch(),
        operation,
        class,
        http_status: None,
        code: None,
        message: None,
        detail: None,
        request_id: None,
        encoded_authorization_message: None,
    }
}

/// The only time that stands in an object of the model.
pub fn epoch() -> Time {
    Time(Timestamp::UNIX_EPOCH)
}

/// Where every request of the model lives.
pub(crate) fn home() -> ProjectCoordinates {
    // Letters, digits and hyphens are always an identifier.
    #[allow(clippy::expect_used)]
    ProjectCoordinates {
        region: Region::try_from("region".to_owned()).expect("an identifier"),
        project_id: ProjectID::try_from("project".to_owned()).expect("an identifier"),
        endpoint: "https://workspace.region.example".to_owned(),
    }
}

fn number(set: Set) -> usize {
    set.trailing_zeros() as usize
}
