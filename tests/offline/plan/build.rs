//! Situations in few words: what is not said is as it is on a good day.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::{
    Attempt, AuthMethod, CloudError, DesktopDeletionStatus, DesktopState, DesktopStatus, Outcome,
    ProjectCoordinates,
};
use desktop_deletion_operator::ids::{AttemptID, DesktopID, JobID};
use desktop_deletion_operator::plan::classify::Class;
use desktop_deletion_operator::plan::observed::{
    Claim, Facts, JobView, Observed, Obstacle, PostAnswer, ProjectView, Request, Rival, Sight, Sighting,
    Submission, Sweep, Trouble, Word,
};
use desktop_deletion_operator::plan::record::{Ending, Settlement, desktop};
use desktop_deletion_operator::plan::recovery::Evidence;
use desktop_deletion_operator::plan::standing::{Hold, Wake};
use desktop_deletion_operator::workspace::api::{SubJob, SubJobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::ProptestConfig;

/// Generation of every request here.
pub(crate) const GENERATION: i64 = 3;

/// So many cases of a property, or as many as `PROPTEST_CASES` says. A case that fails is shown and not stored.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = count;
    }
    config.failure_persistence = None;
    config
}

/// A moment, in minutes after the hour at which every story here begins.
pub(crate) fn minute(minutes: i64) -> Time {
    let begin: jiff::Timestamp = "2026-01-15T08:00:00Z".parse().unwrap();
    Time(begin + jiff::SignedDuration::from_mins(minutes))
}

pub(crate) fn id(text: &str) -> DesktopID {
    DesktopID::try_from(text).unwrap()
}

/// `"a b"`: two desktops.
pub(crate) fn ids(text: &str) -> Vec<DesktopID> {
    text.split_whitespace().map(id).collect()
}

pub(crate) fn job(text: &str) -> JobID {
    JobID::try_from(text).unwrap()
}

pub(crate) fn jobs(text: &str) -> Vec<JobID> {
    text.split_whitespace().map(job).collect()
}

pub(crate) fn nonce(text: &str) -> AttemptID {
    AttemptID::try_from(text).unwrap()
}

/// The place that requests live in.
pub(crate) fn here() -> ProjectCoordinates {
    coordinates("project")
}

pub(crate) fn coordinates(project: &str) -> ProjectCoordinates {
    ProjectCoordinates {
        region: "ap-southeast-1".to_owned().try_into().unwrap(),
        project_id: project.to_owned().try_into().unwrap(),
        endpoint: "https://workspace.ap-southeast-1.myhuaweicloud.com".to_owned(),
    }
}

/// What the status stores of a failed call of that class.
pub(crate) fn failure(class: Class) -> CloudError {
    CloudError {
        time: minute(1),
        operation: "batchDelete".to_owned(),
        class: class.as_str().to_owned(),
        http_status: Some(499),
        code: Some("X.1".to_owned()),
        message: Some("so it is".to_owned()),
        detail: None,
        request_id: None,
        encoded_authorization_message: None,
    }
}

/// An attempt called `n1` whose outcome is open.
pub(crate) fn attempt(body: &str) -> Attempt {
    Attempt {
        id: nonce("n1"),
        writer: "operator-0".to_owned(),
        auth: AuthMethod::Signature,
        desktop_ids: ids(body),
        baseline_job_ids: vec![],
        baseline_failed_ids: vec![],
        baseline_incomplete: false,
        body_digest: format!("sha256:{}", "0".repeat(64)),
        signed_at: minute(0),
        not_after: Some(minute(15)),
        outcome: Outcome::Pending,
        job_ids: vec![],
        error: None,
    }
}

/// That attempt, refused or not sent for that reason.
pub(crate) fn refused(body: &str, outcome: Outcome, class: Class) -> Attempt {
    Attempt {
        outcome,
        error: Some(failure(class)),
        ..attempt(body)
    }
}

/// That attempt, effective with these jobs.
pub(crate) fn effective(body: &str, outcome: Outcome, job_ids: &str) -> Attempt {
    Attempt {
        outcome,
        job_ids: jobs(job_ids),
        ..attempt(body)
    }
}

/// An attempt of another name without effect.
pub(crate) fn no_effect(name: &str, body: &str) -> Attempt {
    Attempt {
        id: nonce(name),
        outcome: Outcome::NoEffect,
        ..attempt(body)
    }
}

/// Something came of the attempt `n1`.
pub(crate) fn settlement(outcome: Outcome, job_ids: &str) -> Settlement {
    Settlement {
        attempt: nonce("n1"),
        outcome,
        jobs: jobs(job_ids),
        error: None,
        answers: None,
        hold: Hold::moving(Reason::Submitting, "so it is".to_owned(), Wake::Poll),
    }
}

/// The end of a request, whatever became of its desktops.
pub(crate) fn ending(verdict: Reason) -> Ending {
    Ending {
        verdict,
        submitted: verdict,
        message: "so it is".to_owned(),
        project: None,
        desktops: vec![],
        error: None,
        answers: None,
    }
}

/// What a look for evidence found: jobs, and the desktops touched.
pub(crate) fn evidence(job_ids: &str, touched: &str) -> Evidence {
    Evidence {
        jobs: jobs(job_ids).into_iter().collect(),
        touched: ids(touched).into_iter().collect(),
        complete: true,
    }
}

/// A situation, built by saying how it differs from a good day.
#[derive(Debug, Clone)]
pub(crate) struct Seen(pub(crate) Observed);

/// A request for these desktops that nobody has looked at yet, in a pass that has looked at nothing yet.
pub(crate) fn untouched(desktop_ids: &str) -> Seen {
    Seen(Observed {
        request: Request {
            project: "prod".to_owned(),
            desktop_ids: ids(desktop_ids),
            suspend: false,
            resolve: None,
            generation: GENERATION,
            deleting: false,
            finalizer: false,
            status: DesktopDeletionStatus {
                observed_generation: Some(-1),
                ..DesktopDeletionStatus::default()
            },
        },
        project: None,
        last_look: false,
        claim: None,
        desktops: std::collections::BTreeMap::new(),
        sweep: None,
        owned_elsewhere: std::collections::BTreeMap::new(),
        jobs: std::collections::BTreeMap::new(),
        trouble: None,
        earlier_evidence: None,
        submission: Submission::None,
        facts: Facts::default(),
    })
}

/// A request whose desktops are all idle, with everything looked at and in place: ready to be signed.
pub(crate) fn ready(desktop_ids: &str) -> Seen {
    untouched(desktop_ids)
        .project()
        .claimed()
        .all(Sight::Idle)
        .sweep("")
        .finalizer()
        .last_look()
}

/// A request with that attempt open, whose project was looked at in this pass.
pub(crate) fn in_doubt(desktop_ids: &str, attempt: Attempt) -> Seen {
    untouched(desktop_ids)
        .attempt(attempt)
        .begun()
        .project()
        .finalizer()
}

/// A request for `a b` whose batch was accepted as job `j1`, both desktops `Deleting`, project looked at.
pub(crate) fn accepted() -> Seen {
    untouched("a b")
        .attempt(effective("a b", Outcome::Accepted, "j1"))
        .begun()
        .job_id("j1")
        .states("a Deleting b Deleting")
        .project()
        .finalizer()
}

impl Seen {
    fn with(mut self, change: impl FnOnce(&mut Observed)) -> Self {
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
                    .map(|id| desktop(id, DesktopState::Pending))
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
                    ..desktop(&id(name), state)
                };
                *known.unwrap() = told;
            }
        })
    }

    pub(crate) fn finished(self) -> Self {
        self.with(|o| o.request.status.completion_time = Some(minute(60)))
    }

    // What this pass has looked at.

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
            });
        })
    }

    pub(crate) fn project_suspended(self) -> Self {
        let mut seen = self.project();
        seen.0.project.as_mut().unwrap().suspended = true;
        seen
    }

    /// The project cannot be used; whether a person must mend it.
    pub(crate) fn obstacle(self, reason: Reason, person: bool) -> Self {
        self.with(|o| {
            o.project = Some(ProjectView {
                coordinates: None,
                obstacle: Some(Obstacle {
                    reason,
                    message: "the project says why".to_owned(),
                    person,
                }),
                suspended: false,
            });
        })
    }

    pub(crate) fn last_look(self) -> Self {
        self.with(|o| o.last_look = true)
    }

    pub(crate) fn no_last_look(self) -> Self {
        self.with(|o| o.last_look = false)
    }

    pub(crate) fn claimed(self) -> Self {
        self.with(|o| o.claim = Some(Claim::Granted))
    }

    /// A request of that name, or of another namespace, comes first for desktop `a`.
    pub(crate) fn rival(self, name: Option<&str>) -> Self {
        self.with(|o| {
            o.claim = Some(Claim::Held(Rival {
                desktop: id("a"),
                name: name.map(ToOwned::to_owned),
            }));
        })
    }

    /// Every desktop was read so.
    pub(crate) fn all(self, sight: Sight) -> Self {
        let every = self.0.request.desktop_ids.clone();
        self.with(|o| {
            for id in every {
                o.desktops.insert(id.folded(), sighting(sight));
            }
        })
    }

    /// `"a Gone b Idle"`: what reads said.
    pub(crate) fn sights(self, text: &str) -> Self {
        self.with(|o| {
            for (name, sight) in pairs(text) {
                o.desktops.insert(id(name).folded(), sighting(sight_named(sight)));
            }
        })
    }

    pub(crate) fn unread(self) -> Self {
        self.with(|o| o.desktops.clear())
    }

    /// These desktops were idle a settle time ago too.
    pub(crate) fn idle_twice(self, text: &str) -> Self {
        self.with(|o| {
            for id in ids(text) {
                o.desktops.get_mut(&id.folded()).unwrap().idle_twice = true;
            }
        })
    }

    /// `"j1/a Running j2/b Failed"`: the sub-jobs of the project, all of them; no other request has these jobs.
    pub(crate) fn sweep(self, text: &str) -> Self {
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
            o.owned_elsewhere = sub_jobs.iter().map(|s| (s.job.clone(), false)).collect();
            o.sweep = Some(Sweep { sub_jobs, complete });
        })
    }

    /// Whose these jobs are was not asked in this pass.
    pub(crate) fn unasked(self, text: &str) -> Self {
        self.with(|o| o.owned_elsewhere.retain(|job, _| !jobs(text).contains(job)))
    }

    /// Another request has these jobs.
    pub(crate) fn of_another(self, text: &str) -> Self {
        self.with(|o| {
            o.owned_elsewhere
                .extend(jobs(text).into_iter().map(|job| (job, true)))
        })
    }

    pub(crate) fn no_sweep(self) -> Self {
        self.with(|o| o.sweep = None)
    }

    pub(crate) fn incomplete(self) -> Self {
        self.with(|o| o.sweep.as_mut().unwrap().complete = false)
    }

    /// `"a Success b Failed"`: what a running job has said.
    pub(crate) fn job(self, name: &str, text: &str) -> Self {
        let words = pairs(text).map(|(name, word)| (id(name).folded(), word_named(word)));
        let view = JobView {
            seen: true,
            words: words.collect(),
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
            view.parent_reason = reason.map(ToOwned::to_owned);
        })
    }

    /// A read failed.
    pub(crate) fn trouble(self, class: Class) -> Self {
        let error = CloudError {
            operation: "listDesktops".to_owned(),
            ..failure(class)
        };
        self.with(|o| {
            o.trouble = Some(Trouble {
                class,
                error,
                withheld: false,
            })
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

    pub(crate) fn armed(self, attempt: Attempt) -> Self {
        let fresh = true;
        self.with(|o| o.submission = Submission::Armed { attempt, fresh })
    }

    pub(crate) fn armed_long_ago(self, attempt: Attempt) -> Self {
        let fresh = false;
        self.with(|o| o.submission = Submission::Armed { attempt, fresh })
    }

    pub(crate) fn answered(self, answer: PostAnswer) -> Self {
        let attempt = nonce("n1");
        self.with(|o| o.submission = Submission::Answered { attempt, answer })
    }

    pub(crate) fn underway(self) -> Self {
        self.with(|o| o.submission = Submission::Underway)
    }

    // Facts.

    pub(crate) fn stopping(self) -> Self {
        self.with(|o| o.facts.stopping = true)
    }

    pub(crate) fn too_late(self) -> Self {
        self.with(|o| o.facts.deadline_passed = true)
    }

    pub(crate) fn retry_due(self) -> Self {
        self.with(|o| o.facts.retry_due = true)
    }

    pub(crate) fn clock_skewed(self) -> Self {
        self.with(|o| o.facts.clock_skewed = true)
    }

    pub(crate) fn settled(self) -> Self {
        self.with(|o| o.facts.settled = true)
    }

    pub(crate) fn overdue(self) -> Self {
        self.with(|o| o.facts.overdue = true)
    }

    pub(crate) fn surely_dead(self) -> Self {
        self.with(|o| o.facts.surely_dead = true)
    }

    pub(crate) fn evidence_overdue(self) -> Self {
        self.surely_dead().with(|o| o.facts.evidence_overdue = true)
    }
}

pub(crate) fn sighting(sight: Sight) -> Sighting {
    Sighting {
        sight,
        idle_twice: false,
        name: None,
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words: Vec<_> = text.split_whitespace().collect();
    assert!(words.len().is_multiple_of(2), "not in pairs: {text}");
    let pairs: Vec<_> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter()
}

fn sight_named(name: &str) -> Sight {
    match name {
        "Idle" => Sight::Idle,
        "Busy" => Sight::Busy,
        "Deleting" => Sight::Deleting,
        "DeleteFailed" => Sight::DeleteFailed,
        "Missing" => Sight::Missing,
        "Unlisted" => Sight::Unlisted,
        "Gone" => Sight::Gone,
        _ => panic!("no sight is called {name}"),
    }
}

fn state_named(name: &str) -> DesktopState {
    match name {
        "Pending" => DesktopState::Pending,
        "Absent" => DesktopState::Absent,
        "Deleting" => DesktopState::Deleting,
        "Deleted" => DesktopState::Deleted,
        "Failed" => DesktopState::Failed,
        _ => panic!("no state is called {name}"),
    }
}

fn sub_job_status(name: &str) -> SubJobStatus {
    match name {
        "Waiting" => SubJobStatus::Waiting,
        "Running" => SubJobStatus::Running,
        "Success" => SubJobStatus::Success,
        "Failed" => SubJobStatus::Failed,
        _ => panic!("no sub-job status is called {name}"),
    }
}

fn word_named(name: &str) -> Word {
    match name {
        "Open" => Word::Open,
        "Success" => Word::Success,
        "Failed" => Word::Failed {
            code: Some("WKS.1".to_owned()),
            reason: Some("so it is".to_owned()),
        },
        "FailedSilently" => Word::Failed {
            code: None,
            reason: None,
        },
        _ => panic!("no word is called {name}"),
    }
}
