//! Situations in a short notation: everything that is not specified is in its normal state.

use clap::Parser;
use desktop_deletion_operator::cli::{Cli, Command};
use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{
    Attempt, AuthMethod, CloudError, DesktopDeletionStatus, Outcome, ProjectCoordinates,
};
use desktop_deletion_operator::ids::{AttemptID, DesktopID, JobID, Operation};
use desktop_deletion_operator::plan::observed::{Facts, Observed, Request, SendPermit, Submission};
use desktop_deletion_operator::plan::progress::{Progress, Requeue};
use desktop_deletion_operator::plan::step::{Completion, OutcomeUpdate};
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::plan::views::Evidence;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::ProptestConfig;

mod seen;

pub(crate) use seen::{observation, pay_per_use};

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

/// The durations that the operator has without flags.
pub(crate) fn timing() -> Timing {
    static TIMING: std::sync::LazyLock<Timing> = std::sync::LazyLock::new(|| {
        let cli = Cli::try_parse_from(["desktop-deletion-operator", "run", "--identity=operator"]).unwrap();
        let Command::Run(arguments) = cli.command else {
            panic!("`run` is the subcommand")
        };
        arguments.config().unwrap().timing
    });
    TIMING.clone()
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
pub(crate) fn failure(class: ErrorClass) -> CloudError {
    CloudError {
        time: minute(1),
        operation: Operation::BatchDelete,
        class,
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
        plan_hash: None,
        signed_at: minute(0),
        not_after: Some(minute(15)),
        outcome: Outcome::Pending,
        job_ids: vec![],
        error: None,
    }
}

/// That attempt, refused or not sent for that reason.
pub(crate) fn refused(body: &str, outcome: Outcome, class: ErrorClass) -> Attempt {
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

/// The attempt `n1` has this outcome.
pub(crate) fn outcome_update(outcome: Outcome, job_ids: &str) -> OutcomeUpdate {
    OutcomeUpdate {
        attempt: nonce("n1"),
        outcome,
        jobs: jobs(job_ids),
        job: jobs(job_ids)
            .into_iter()
            .next()
            .filter(|_| jobs(job_ids).len() == 1),
        error: None,
        handled_annotation: None,
        progress: Progress::reconciling(Reason::Submitting, "so it is".to_owned(), Requeue::JobChange),
    }
}

/// The end of a request, regardless of its desktops.
pub(crate) fn ending(verdict: Reason) -> Completion {
    Completion {
        succeeded: verdict,
        submitted: verdict,
        message: "so it is".to_owned(),
        project: None,
        desktops: vec![],
        error: None,
        handled_annotation: None,
    }
}

/// The result of an evidence check: jobs, and the affected desktops.
pub(crate) fn evidence(job_ids: &str, affected: &str) -> Evidence {
    Evidence {
        jobs: jobs(job_ids).into_iter().collect(),
        affected: ids(affected).into_iter().collect(),
        complete: true,
    }
}

/// A situation, built by specifying how it differs from the normal state.
#[derive(Debug, Clone)]
pub(crate) struct Seen(pub(crate) Observed);

/// A new request for these desktops, in a reconciliation that has read nothing yet.
pub(crate) fn untouched(desktop_ids: &str) -> Seen {
    Seen(Observed {
        request: Request {
            project: "prod".to_owned(),
            desktop_ids: ids(desktop_ids),
            uid: "request-1".to_owned(),
            resource_version: "7".to_owned(),
            delete_users: false,
            email_notification: true,
            force: false,
            suspend: false,
            approved_plan: None,
            resolve: None,
            generation: GENERATION,
            created: Some(minute(0).0),
            expected: vec![],
            not_before: None,
            not_after: None,
            deleting: false,
            finalizer: false,
            status: DesktopDeletionStatus {
                observed_generation: Some(-1),
                ..DesktopDeletionStatus::default()
            },
        },
        project: None,
        project_is_fresh: false,
        permit: SendPermit::None,
        reserved: None,
        claim: None,
        desktops: std::collections::BTreeMap::new(),
        single_reads: std::collections::BTreeMap::new(),
        sub_job_list: None,
        owned_by_other_request: std::collections::BTreeMap::new(),
        jobs: std::collections::BTreeMap::new(),
        read_failure: None,
        earlier_evidence: None,
        submission: Submission::None,
        facts: Facts {
            service_clock_known: true,
            finalizer_due: true,
            ..Facts::default()
        },
    })
}

/// A request whose desktops are all idle, with everything read and in place: ready to be signed.
pub(crate) fn ready(desktop_ids: &str) -> Seen {
    untouched(desktop_ids)
        .project()
        .claimed()
        .all(DesktopView::Idle)
        .sub_job_list("")
        .finalizer()
        .project_is_fresh()
}

/// A request with that attempt open, whose project was read in this reconciliation.
pub(crate) fn in_doubt(desktop_ids: &str, attempt: Attempt) -> Seen {
    untouched(desktop_ids)
        .attempt(attempt)
        .begun()
        .project()
        .finalizer()
}

/// A request for `a b` whose batch was accepted as job `j1`, both desktops `Deleting`, project read.
pub(crate) fn accepted() -> Seen {
    untouched("a b")
        .attempt(effective("a b", Outcome::Accepted, "j1"))
        .begun()
        .job_id("j1")
        .states("a Deleting b Deleting")
        .project()
        .finalizer()
}
