//! How a situation differs from the normal state.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, CloudError, DesktopState, DesktopStatus};
use desktop_deletion_operator::crd::project::DailyUsage;
use desktop_deletion_operator::ids::{DesktopID, Operation};
use desktop_deletion_operator::plan::observed::{
    Circuit, Claim, ClockSkew, ConflictingRequest, Deadline, NotBefore, Observed, PostResult,
    ProjectUnavailable, ProjectView, ReadFailure, SendPermit, SingleRead, Submission,
};
use desktop_deletion_operator::plan::views::Evidence;
use desktop_deletion_operator::plan::views::{
    DesktopObservation, DesktopView, JobView, Listed, SubJobList, SubJobResult,
};
use desktop_deletion_operator::workspace::api::{
    Billing, DetailFacts, Fact, LoginStatus, SubJob, SubJobStatus,
};

use super::{Seen, coordinates, failure, here, id, ids, job, jobs, minute, nonce};

impl Seen {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self.0);
        self
    }

    // The object.

    pub(crate) fn suspended(self) -> Self {
        self.with(|o| o.request.suspend = true)
    }

    pub(crate) fn deleting(self) -> Self {
        self.with(|o| o.request.deleting = true)
    }

    pub(crate) fn finalizer(self) -> Self {
        self.with(|o| o.request.finalizer = true)
    }

    pub(crate) fn no_finalizer(self) -> Self {
        self.with(|o| o.request.finalizer = false)
    }

    /// One more attempt in the status.
    pub(crate) fn attempt(self, attempt: Attempt) -> Self {
        self.with(|o| o.request.status.attempts.push(attempt))
    }

    /// So many attempts were refused or not sent.
    pub(crate) fn refusals(self, count: i32) -> Self {
        self.with(|o| o.request.status.refused_attempts = count)
    }

    /// The first intent was stored: the request lives somewhere and lists its desktops.
    pub(crate) fn begun(self) -> Self {
        self.with(|o| {
            o.request.status.project = Some(here());
            o.request.status.start_time = Some(minute(0));
            if o.request.status.desktops.is_empty() {
                o.request.status.desktops = o
                    .request
                    .desktop_ids
                    .iter()
                    .map(|id| DesktopStatus::new(id, DesktopState::Pending))
                    .collect();
            }
        })
    }

    pub(crate) fn job_id(self, text: &str) -> Self {
        self.with(|o| o.request.status.job_id = Some(job(text)))
    }

    /// `"a Deleted b Failed"`: what the status says of desktops.
    pub(crate) fn states(self, text: &str) -> Self {
        self.with(|o| {
            for (name, state) in pairs(text) {
                let state = state_named(state);
                let known = o.request.status.desktops.iter_mut().find(|d| d.id == id(name));
                let told = DesktopStatus {
                    message: (state == DesktopState::Failed).then(|| "so it is".to_owned()),
                    ..DesktopStatus::new(&id(name), state)
                };
                *known.unwrap() = told;
            }
        })
    }

    pub(crate) fn finished(self) -> Self {
        self.with(|o| o.request.status.completion_time = Some(minute(60)))
    }

    // What this reconciliation has read.

    /// The project is there, may be used and points here.
    pub(crate) fn project(self) -> Self {
        self.project_at("project")
    }

    pub(crate) fn project_at(self, project: &str) -> Self {
        self.with(|o| {
            o.project = Some(ProjectView {
                coordinates: Some(coordinates(project)),
                obstacle: None,
                suspended: false,
                guardrails: None,
                usage: DailyUsage::default(),
            });
        })
    }

    pub(crate) fn project_suspended(self) -> Self {
        let mut seen = self.project();
        seen.0.project.as_mut().unwrap().suspended = true;
        seen
    }

    /// The project cannot be used; whether a user must fix it.
    pub(crate) fn obstacle(self, reason: Reason, person: bool) -> Self {
        self.with(|o| {
            o.project = Some(ProjectView {
                coordinates: None,
                obstacle: Some(ProjectUnavailable {
                    reason,
                    message: "the project says why".to_owned(),
                    needs_user: person,
                }),
                suspended: false,
                guardrails: None,
                usage: DailyUsage::default(),
            });
        })
    }

    pub(crate) fn project_is_fresh(self) -> Self {
        self.with(|o| o.project_is_fresh = true)
    }

    pub(crate) fn project_not_rechecked(self) -> Self {
        self.with(|o| o.project_is_fresh = false)
    }

    pub(crate) fn permit(self, permit: SendPermit) -> Self {
        self.with(|o| o.permit = permit)
    }

    pub(crate) fn claimed(self) -> Self {
        self.with(|o| o.claim = Some(Claim::Granted))
    }

    /// A request of that name, or of another namespace, comes first for desktop `a`.
    pub(crate) fn conflicting_request(self, name: Option<&str>) -> Self {
        self.with(|o| {
            o.claim = Some(Claim::Reserved(ConflictingRequest {
                desktop: id("a"),
                name: name.map(ToOwned::to_owned),
            }));
        })
    }

    /// Every desktop was read so.
    pub(crate) fn all(self, view: DesktopView) -> Self {
        let every = self.0.request.desktop_ids.clone();
        self.with(|o| {
            for id in every {
                o.desktops.insert(id.folded(), observation(view));
            }
        })
    }

    /// `"a Gone b Idle"`: what reads said.
    pub(crate) fn desktop_views(self, text: &str) -> Self {
        self.with(|o| {
            for (name, view) in pairs(text) {
                o.desktops
                    .insert(id(name).folded(), observation(view_named(view)));
            }
        })
    }

    pub(crate) fn unread(self) -> Self {
        self.with(|o| o.desktops.clear())
    }

    /// These desktops were idle a job visibility timeout ago too.
    pub(crate) fn idle_twice(self, text: &str) -> Self {
        self.with(|o| {
            for id in ids(text) {
                o.desktops.get_mut(&id.folded()).unwrap().idle_twice = true;
            }
        })
    }

    /// `"j1/a Running j2/b Failed"`: the sub-jobs of the project, all of them; no other request has these jobs.
    pub(crate) fn sub_job_list(self, text: &str) -> Self {
        let row = |(name, status): (&str, &str)| {
            let (parent, desktop) = name.split_once('/').unwrap();
            SubJob {
                id: format!("sub-{parent}-{desktop}"),
                job: job(parent),
                desktop: id(desktop),
                status: sub_job_status(status),
                code: None,
                reason: None,
            }
        };
        let sub_jobs: Vec<_> = pairs(text).map(row).collect();
        let complete = true;
        self.with(|o| {
            o.owned_by_other_request = sub_jobs.iter().map(|s| (s.job.clone(), false)).collect();
            o.sub_job_list = Some(SubJobList { sub_jobs, complete });
        })
    }

    /// Whose these jobs are was not asked in this reconciliation.
    pub(crate) fn unasked(self, text: &str) -> Self {
        self.with(|o| {
            o.owned_by_other_request
                .retain(|job, _| !jobs(text).contains(job));
        })
    }

    /// Another request has these jobs.
    pub(crate) fn of_another(self, text: &str) -> Self {
        self.with(|o| {
            let others = jobs(text).into_iter().map(|job| (job, true));
            o.owned_by_other_request.extend(others);
        })
    }

    pub(crate) fn no_sub_job_list(self) -> Self {
        self.with(|o| o.sub_job_list = None)
    }

    pub(crate) fn incomplete(self) -> Self {
        self.with(|o| o.sub_job_list.as_mut().unwrap().complete = false)
    }

    /// `"a Success b Failed"`: what a running job has said.
    pub(crate) fn job(self, name: &str, text: &str) -> Self {
        let results = pairs(text).map(|(name, word)| (id(name).folded(), sub_job_result_named(word)));
        let view = JobView {
            results: results.collect(),
            ..JobView::default()
        };
        self.with(|o| {
            o.jobs.insert(job(name), view);
        })
    }

    /// That job's parent has ended, and gave this reason.
    pub(crate) fn parent_ended(self, name: &str, reason: Option<&str>) -> Self {
        self.with(|o| {
            let view = o.jobs.get_mut(&job(name)).unwrap();
            view.finished = true;
            view.complete = true;
            view.parent_reason = reason.map(ToOwned::to_owned);
        })
    }

    /// That job has ended, and not all of its sub-jobs were read.
    pub(crate) fn parent_ended_cut(self, name: &str) -> Self {
        self.parent_ended(name, None)
            .with(|o| o.jobs.get_mut(&job(name)).unwrap().complete = false)
    }

    /// That job's parent has neither a status nor sub-jobs.
    pub(crate) fn parent_unclear(self, name: &str) -> Self {
        self.with(|o| o.jobs.get_mut(&job(name)).unwrap().end_unknown = true)
    }

    /// A read failed.
    pub(crate) fn read_failure(self, class: ErrorClass) -> Self {
        self.read_failure_of(Operation::ListDesktops, class)
    }

    /// That read failed.
    pub(crate) fn read_failure_of(self, operation: Operation, class: ErrorClass) -> Self {
        let error = CloudError {
            operation,
            ..failure(class)
        };
        self.with(|o| {
            o.read_failure = Some(ReadFailure {
                error,
                suppressed: false,
            });
        })
    }

    /// These desktops were asked for in this reconciliation by a GET of their own.
    pub(crate) fn asked_singly(self, text: &str) -> Self {
        self.with(|o| {
            let answered = |id: DesktopID| (id.folded(), SingleRead::Succeeded);
            o.single_reads.extend(ids(text).into_iter().map(answered));
        })
    }

    /// The GET of that desktop failed, so often in a row.
    pub(crate) fn unreadable(self, name: &str, class: ErrorClass, in_a_row: u32) -> Self {
        let error = CloudError {
            operation: Operation::ShowDesktop,
            ..failure(class)
        };
        let read_failure = ReadFailure {
            error,
            suppressed: false,
        };
        self.with(|o| {
            let read_failure = Box::new(read_failure);
            let failed = SingleRead::Failed {
                read_failure,
                in_a_row,
            };
            o.single_reads.insert(id(name).folded(), failed);
        })
    }

    pub(crate) fn earlier(self, evidence: Evidence) -> Self {
        self.with(|o| o.earlier_evidence = Some(evidence))
    }

    /// A person wrote that into the annotation.
    pub(crate) fn resolve(self, value: &str) -> Self {
        self.with(|o| o.request.resolve = Some(value.to_owned()))
    }

    // What the process holds in memory.

    pub(crate) fn with_signed_call(self, attempt: Attempt) -> Self {
        let fresh = true;
        self.with(|o| o.submission = Submission::Signed { attempt, fresh })
    }

    pub(crate) fn with_old_signed_call(self, attempt: Attempt) -> Self {
        let fresh = false;
        self.with(|o| o.submission = Submission::Signed { attempt, fresh })
    }

    pub(crate) fn answered(self, result: PostResult) -> Self {
        let attempt = nonce("n1");
        self.with(|o| o.submission = Submission::Responded { attempt, result })
    }

    pub(crate) fn underway(self) -> Self {
        self.with(|o| o.submission = Submission::InProgress)
    }

    // Facts.

    /// How the circuit breaker for submissions stands.
    pub(crate) fn circuit(self, circuit: Circuit) -> Self {
        self.with(|o| o.facts.circuit = circuit)
    }

    pub(crate) fn stopping(self) -> Self {
        self.with(|o| o.facts.stopping = true)
    }

    /// It is held until a time that is ahead, or passed by our clock alone.
    pub(crate) fn scheduled(self, start: NotBefore) -> Self {
        self.with(|o| {
            o.request.not_before = Some(minute(60).0);
            o.facts.start = start;
        })
    }

    /// The deadline passed by both clocks.
    pub(crate) fn too_late(self) -> Self {
        self.with(|o| o.facts.deadline = Deadline::Passed)
    }

    /// The deadline passed by one clock.
    pub(crate) fn late_by_one_clock(self) -> Self {
        self.with(|o| o.facts.deadline = Deadline::ClocksDisagree)
    }

    /// This process does not know the time of the service.
    pub(crate) fn service_clock_unknown(self) -> Self {
        self.with(|o| o.facts.service_clock_known = false)
    }

    /// The conditions said nothing new lately.
    pub(crate) fn progress_due(self) -> Self {
        self.with(|o| o.facts.progress_due = true)
    }

    pub(crate) fn retry_due(self) -> Self {
        self.with(|o| o.facts.retry_due = true)
    }

    /// The service's clock is 25 minutes ahead.
    pub(crate) fn clock_skewed(self) -> Self {
        self.with(|o| {
            o.facts.clock_skew = Some(ClockSkew {
                ahead: jiff::SignedDuration::from_mins(25),
                of_service: true,
            });
        })
    }

    /// The finalizer was removed while a call may take effect.
    pub(crate) fn finalizer_missing(self) -> Self {
        self.with(|o| {
            o.request.finalizer = false;
            o.facts.finalizer_missing = true;
        })
    }

    /// The finalizer was put on again and again.
    pub(crate) fn finalizer_not_due(self) -> Self {
        self.with(|o| o.facts.finalizer_due = false)
    }

    pub(crate) fn settled(self) -> Self {
        self.with(|o| o.facts.job_visibility_timeout_over = true)
    }

    pub(crate) fn overdue(self) -> Self {
        self.with(|o| o.facts.overdue = true)
    }

    pub(crate) fn undocumented_for_long(self) -> Self {
        self.with(|o| o.facts.undocumented_for_long = true)
    }

    /// The newest attempt was signed a moment ago.
    pub(crate) fn before_initial_poll(self) -> Self {
        self.with(|o| o.facts.before_initial_poll = true)
    }

    pub(crate) fn expired(self) -> Self {
        self.with(|o| o.facts.call_expired = true)
    }

    pub(crate) fn recovery_timed_out(self) -> Self {
        self.expired().with(|o| o.facts.recovery_timed_out = true)
    }
}

pub(crate) fn observation(view: DesktopView) -> DesktopObservation {
    DesktopObservation {
        view,
        idle_twice: false,
        name: None,
        facts: Box::default(),
        listed: Listed::Yes,
        details: Some(Box::new(pay_per_use())),
    }
}

/// What the detailed list says of a desktop that nothing speaks against.
pub(crate) fn pay_per_use() -> DetailFacts {
    DetailFacts {
        login_status: Fact::Given(LoginStatus::Registered),
        charge_mode: Fact::Given(Billing::PayPerUse),
        ..DetailFacts::default()
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words: Vec<_> = text.split_whitespace().collect();
    assert!(words.len().is_multiple_of(2), "not in pairs: {text}");
    let pairs: Vec<_> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter()
}

fn view_named(name: &str) -> DesktopView {
    match name {
        "Idle" => DesktopView::Idle,
        "Busy" => DesktopView::Busy,
        "Deleting" => DesktopView::Deleting,
        "DeleteFailed" => DesktopView::DeleteFailed,
        "Missing" => DesktopView::Missing,
        "Unlisted" => DesktopView::Unlisted,
        "Gone" => DesktopView::Gone,
        _ => panic!("no view is called {name}"),
    }
}

fn state_named(name: &str) -> DesktopState {
    match name {
        "Pending" => DesktopState::Pending,
        "Absent" => DesktopState::Absent,
        "Deleting" => DesktopState::Deleting,
        "Deleted" => DesktopState::Deleted,
        "Failed" => DesktopState::Failed,
        "Unknown" => DesktopState::Unknown,
        _ => panic!("no state is called {name}"),
    }
}

fn sub_job_status(name: &str) -> SubJobStatus {
    match name {
        "Waiting" => SubJobStatus::Waiting,
        "Running" => SubJobStatus::Running,
        "Success" => SubJobStatus::Success,
        "Failed" => SubJobStatus::Failed,
        "Other" => SubJobStatus::Other,
        _ => panic!("no sub-job status is called {name}"),
    }
}

fn sub_job_result_named(name: &str) -> SubJobResult {
    match name {
        "Open" => SubJobResult::Open,
        "Success" => SubJobResult::Success,
        "Failed" => SubJobResult::Failed {
            code: Some("WKS.1".to_owned()),
            reason: Some("so it is".to_owned()),
        },
        "FailedSilently" => SubJobResult::Failed {
            code: None,
            reason: None,
        },
        "Other" => SubJobResult::Other {
            code: Some("SKIPPED".to_owned()),
        },
        _ => panic!("no word is called {name}"),
    }
}
