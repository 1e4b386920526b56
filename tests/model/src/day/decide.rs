//! Asks the shipped decision, and the shipped rules of reservations.

use std::collections::BTreeMap;

use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, DesktopDeletionStatus};
use desktop_deletion_operator::crd::project::{
    DailyUsage, Guardrails, Permission, Reservation, SubmittedDesktops,
};
use desktop_deletion_operator::ids::{AttemptID, DesktopID};
use desktop_deletion_operator::plan::daily_usage::{self, ReservationOwner};
use desktop_deletion_operator::plan::observed::{
    self, Claim, Facts, Observed, ProjectView, SendPermit, Submission,
};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::{DesktopObservation, DesktopView, Listed, SubJobList};
use desktop_deletion_operator::workspace::api::DesktopFacts;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::world::{DESKTOPS, LIMIT, Outcome, Project, Reconciliation, Request, Reserved};
use crate::decide::{epoch, home};

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Read the project.
    Look,
    /// Take the permit to send, or give it back.
    Permit(bool),
    /// Reserve desktops.
    Reserve,
    /// Sign.
    Sign,
    /// Store the intent.
    Intend,
    /// Make the call.
    Post,
    /// Store that the call was not made.
    NotSent,
    /// Say this, and do nothing.
    Wait(String),
    /// Begin again.
    StartOver,
}

/// The next step of a reconciliation.
///
/// # Panics
/// It is one that this world does not have.
pub fn next(reconciliation: &Reconciliation, number: usize) -> Act {
    let Some(project) = &reconciliation.project else {
        return Act::Look;
    };
    match plan(&observed(reconciliation, project, number)) {
        Step::ReadProject => Act::Look,
        Step::AcquirePermit => Act::Permit(true),
        Step::ReleasePermit => Act::Permit(false),
        Step::ReserveDesktops(_) => Act::Reserve,
        Step::Sign(_) => Act::Sign,
        Step::RecordIntent(_) => Act::Intend,
        Step::Post => Act::Post,
        Step::RecordOutcome(_) => Act::NotSent,
        // What the conditions report already is known to every reconciliation.
        Step::Wait(progress) | Step::RecordProgress(progress) => Act::Wait(progress.message),
        Step::StartOver | Step::Done => Act::StartOver,
        other => unreachable!("{other:?}"),
    }
}

fn observed(reconciliation: &Reconciliation, project: &Project, number: usize) -> Observed {
    let guardrails = Guardrails {
        max_desktops_per_day: Some(LIMIT.into()),
        prepaid_desktops: Permission::Allow,
        ..Guardrails::default()
    };
    let idle = || DesktopObservation {
        view: DesktopView::Idle,
        idle_twice: true,
        name: None,
        facts: Box::new(DesktopFacts::default()),
        listed: Listed::Yes,
        details: None,
    };
    let submission = match reconciliation.armed {
        None => Submission::None,
        Some((attempt, fresh)) => Submission::Signed {
            attempt: record(number, attempt, Outcome::Pending),
            fresh,
        },
    };
    Observed {
        request: request(&reconciliation.request, number),
        project: Some(ProjectView {
            coordinates: Some(home()),
            obstacle: None,
            suspended: false,
            guardrails: Some(guardrails),
            usage: usage(project),
        }),
        project_is_fresh: true,
        permit: if reconciliation.permit {
            SendPermit::Held
        } else {
            SendPermit::None
        },
        reserved: reconciliation.reserved.map(id),
        claim: Some(Claim::Granted),
        desktops: desktops(number).into_iter().map(|id| (id, idle())).collect(),
        single_reads: BTreeMap::new(),
        sub_job_list: Some(SubJobList {
            sub_jobs: vec![],
            complete: true,
        }),
        owned_by_other_request: BTreeMap::new(),
        jobs: BTreeMap::new(),
        read_failure: None,
        earlier_evidence: None,
        submission,
        facts: Facts {
            retry_due: true,
            ..Facts::default()
        },
    }
}

fn request(request: &Request, number: usize) -> observed::Request {
    let attempts = request.attempts.iter();
    observed::Request {
        uid: uid(number),
        resource_version: request.version.to_string(),
        project: "project".to_owned(),
        desktop_ids: desktops(number),
        expected: vec![],
        delete_users: false,
        email_notification: true,
        force: false,
        suspend: false,
        approved_plan: None,
        resolve: None,
        generation: 1,
        created: None,
        not_before: None,
        not_after: None,
        deleting: false,
        finalizer: true,
        status: DesktopDeletionStatus {
            attempts: attempts
                .map(|(attempt, outcome)| record(number, *attempt, *outcome))
                .collect(),
            ..DesktopDeletionStatus::default()
        },
    }
}

fn record(number: usize, attempt: u8, outcome: Outcome) -> Attempt {
    Attempt {
        id: id(attempt),
        writer: "operator".to_owned(),
        auth: AuthMethod::Signature,
        desktop_ids: desktops(number),
        baseline_job_ids: vec![],
        baseline_failed_ids: vec![],
        baseline_incomplete: false,
        body_digest: String::new(),
        plan_hash: None,
        signed_at: epoch(),
        not_after: None,
        outcome: outcome.shipped(),
        job_ids: vec![],
        error: None,
    }
}

/// The project with that reservation, made by the shipped rule.
pub fn reserve(project: &Project, reserved: Reserved) -> Project {
    of(
        project.version + 1,
        &daily_usage::reserve(&usage(project), reservation(&reserved)),
    )
}

/// The project once what can be settled is settled, by the shipped rule. `None` if nothing changes.
pub fn settle(project: &Project, now: Vec<ReservationOwner>, timing: &Timing) -> Option<Project> {
    let settled = of(
        project.version,
        &daily_usage::settle_reservations(&usage(project), now, timing),
    );
    (settled != *project).then_some(Project {
        version: project.version + 1,
        ..settled
    })
}

/// A request as the settlement of reservations reads it.
pub fn found(found: &Request, number: usize) -> ReservationOwner {
    if found.gone {
        return ReservationOwner::Gone;
    }
    let attempts = found.attempts.iter();
    ReservationOwner::Found {
        resource_version: found.version.to_string(),
        attempts: attempts
            .map(|(attempt, outcome)| record(number, *attempt, *outcome))
            .collect(),
    }
}

fn usage(project: &Project) -> DailyUsage {
    let submitted = SubmittedDesktops {
        counts_until: epoch(),
        desktops: project.submitted.into(),
    };
    DailyUsage {
        submitted: vec![submitted],
        reservations: project.reservations.iter().map(reservation).collect(),
    }
}

fn reservation(reserved: &Reserved) -> Reservation {
    Reservation {
        attempt_id: id(reserved.attempt),
        request: uid(reserved.request),
        uid: uid(reserved.request),
        resource_version: reserved.version.to_string(),
        desktops: reserved.desktops.into(),
        reserved_at: Time(epoch().0),
    }
}

fn of(version: u8, usage: &DailyUsage) -> Project {
    let submitted: i32 = usage.submitted.iter().map(|interval| interval.desktops).sum();
    let reservations = usage.reservations.iter().filter_map(|r| {
        Some(Reserved {
            request: (0..DESKTOPS.len()).find(|number| uid(*number) == r.uid)?,
            version: r.resource_version.parse().ok()?,
            attempt: r.attempt_id.as_str().parse().ok()?,
            desktops: u8::try_from(r.desktops).ok()?,
        })
    });
    Project {
        version,
        submitted: u8::try_from(submitted).unwrap_or(u8::MAX),
        reservations: reservations.collect(),
    }
}

fn uid(number: usize) -> String {
    format!("request-{number}")
}

fn id(attempt: u8) -> AttemptID {
    // Digits are always an identifier.
    #[allow(clippy::expect_used)]
    AttemptID::try_from(&*attempt.to_string()).expect("an identifier")
}

fn desktops(number: usize) -> Vec<DesktopID> {
    let names = (0..DESKTOPS[number]).map(|desktop| format!("pc-{number}-{desktop}"));
    // Letters, digits and hyphens are always an identifier.
    #[allow(clippy::expect_used)]
    names
        .map(|name| DesktopID::try_from(&*name).expect("an identifier"))
        .collect()
}
