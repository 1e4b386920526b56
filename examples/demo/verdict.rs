//! The closing table, and whether everything ended as it had to.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Submitted};
use desktop_deletion_operator::crd::deletion::{DesktopDeletion, DesktopDeletionStatus, DesktopState};
use workspace_simulator::cloud::LedgerEntry;

use crate::BoxError;
use crate::board::Board;
use crate::cast::{FAILURE, Project, ROLES, Role, condition, is_finished, reason};
use crate::fixture::Fixture;
use crate::screen::columns;

/// `Ok`, or what did not end as it had to.
pub(crate) type Verdict = Result<(), String>;

/// Prints the closing table and pronounces the verdict.
pub(crate) fn pronounce(fixture: &Fixture, board: &mut Board) -> Result<Verdict, BoxError> {
    let header = [
        "REQUEST",
        "EXPECTED",
        "READY",
        "SUBMITTED",
        "JOB",
        "POSTS",
        "WRITES",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut words = Vec::new();
    let mut faults = Vec::new();
    for role in &ROLES {
        let request = board
            .request(role.name)
            .ok_or_else(|| format!("{} was never seen", role.name))?;
        let posts = fixture.posts(role);
        rows.push(row(role, request, &posts, fixture.writes(role)?));
        words.push(format!("  {}  {}", role.letter, message(request)));
        let found = [
            conditions(role, request),
            calls(role, request, &posts),
            desktops(role, request),
        ]
        .concat();
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", role.name)));
    }
    faults.extend(bystanders(fixture));

    let screen = board.close();
    screen.print("");
    for line in columns(&rows) {
        screen.print(&line);
    }
    screen.print("\nPOSTS: delete requests in the cloud's ledger for the desktops of the request. WRITES: writes of the operator");
    screen.print("to the object, from the API server's audit log. The message of each request:\n");
    for line in words {
        screen.print(&line);
    }
    screen.print("");
    if faults.is_empty() {
        screen.say("every request ended as expected, and no other desktop was deleted");
        return Ok(Ok(()));
    }
    Ok(Err(format!(
        "not everything ended as expected:\n  {}",
        faults.join("\n  ")
    )))
}

fn row(role: &Role, request: &DesktopDeletion, posts: &[LedgerEntry], writes: usize) -> Vec<String> {
    let job = status(request)
        .job_id
        .map_or_else(|| "-".to_owned(), |job| job.to_string());
    let accepted = posts.iter().filter(|post| post.took_effect).count();
    let count = match (accepted, posts.len() - accepted) {
        (0, 0) => "0".to_owned(),
        (accepted, 0) => format!("{accepted} accepted"),
        (0, refused) => format!("{refused} rejected"),
        (accepted, refused) => format!("{accepted} accepted, {refused} rejected"),
    };
    vec![
        role.name.to_owned(),
        role.end.ready.to_string(),
        reason(request, Ready).to_owned(),
        reason(request, Submitted).to_owned(),
        job,
        count,
        writes.to_string(),
    ]
}

/// Are the conditions those that had to come?
fn conditions(role: &Role, request: &DesktopDeletion) -> Vec<String> {
    let mut faults = Vec::new();
    for (kind, wanted) in [(Ready, role.end.ready), (Submitted, role.end.submitted)] {
        let found = reason(request, kind);
        if found != wanted.as_str() {
            faults.push(format!("condition {kind} has reason {found}, not {wanted}"));
        }
    }
    if is_finished(request) != role.end.is_final {
        faults.push(format!(
            "finished is {}, not {}",
            is_finished(request),
            role.end.is_final
        ));
    }
    if !message(request).contains(role.end.says) {
        faults.push(format!(
            "its message does not say {:?}: {}",
            role.end.says,
            message(request)
        ));
    }
    faults
}

/// Did the cloud get the calls that it had to get, each as the object has it on record?
fn calls(role: &Role, request: &DesktopDeletion, posts: &[LedgerEntry]) -> Vec<String> {
    let accepted: Vec<_> = posts.iter().filter(|post| post.took_effect).collect();
    let mut faults = Vec::new();
    if accepted.len() != role.end.accepted {
        faults.push(format!(
            "the cloud accepted {} calls, not {}",
            accepted.len(),
            role.end.accepted
        ));
    }
    // Only a request that lacks a permission is retried, until the permission is granted.
    if role.project != Project::ReadOnly && posts.len() != role.end.accepted {
        faults.push(format!(
            "the cloud was called {} times, not {}",
            posts.len(),
            role.end.accepted
        ));
    }
    let status = status(request);
    for post in accepted {
        let job = status.job_id.as_ref().map(ToString::to_string);
        if job != post.job_id {
            faults.push(format!("its job is {job:?}, in the cloud {:?}", post.job_id));
        }
        if !status
            .attempts
            .iter()
            .any(|attempt| attempt.body_digest == post.body_digest)
        {
            faults.push(format!(
                "no attempt has the digest of the call, {}",
                post.body_digest
            ));
        }
    }
    faults
}

/// Does the status tell of each desktop what became of it?
fn desktops(role: &Role, request: &DesktopDeletion) -> Vec<String> {
    let status = status(request);
    let mut faults = Vec::new();
    for desktop in role.desktops {
        let Some(found) = status
            .desktops
            .iter()
            .find(|found| found.id.as_str() == desktop.id)
        else {
            faults.push(format!("its status does not list {}", desktop.id));
            continue;
        };
        if found.state != desktop.ends {
            faults.push(format!(
                "{} is {:?}, not {:?}",
                desktop.id, found.state, desktop.ends
            ));
        }
        let said = (found.code.as_deref(), found.message.as_deref());
        if desktop.ends == DesktopState::Failed && said != (Some(FAILURE.0), Some(FAILURE.1)) {
            faults.push(format!(
                "{} does not give the cloud's reason but {said:?}",
                desktop.id
            ));
        }
    }
    faults
}

/// Are exactly those desktops gone that had to go?
fn bystanders(fixture: &Fixture) -> Vec<String> {
    let cast = ROLES.iter().flat_map(|role| role.desktops);
    let gone = cast
        .filter(|desktop| desktop.ends == DesktopState::Deleted)
        .map(|desktop| desktop.id);
    let gone: BTreeSet<_> = gone.collect();
    let (at_the_start, left) = fixture.desktops();
    let mut wanted = at_the_start.clone();
    wanted.retain(|id| !gone.contains(id.as_str()));
    if left == wanted {
        return Vec::new();
    }
    vec![format!(
        "the cloud has the desktops {left:?} left, not {wanted:?}"
    )]
}

fn status(request: &DesktopDeletion) -> DesktopDeletionStatus {
    request.status.clone().unwrap_or_default()
}

fn message(request: &DesktopDeletion) -> &str {
    condition(request, Ready).map_or("nothing yet", |condition| condition.message.as_str())
}
