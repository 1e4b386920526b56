//! Layer 5, shared by phases: another request has reserved a desktop.
//!
//! A request that still exists reserves its desktops until it has finished. One that was deleted reserves them while
//! its call may take effect or its job may not be visible yet, unless a read shows the result earlier.

use super::observed::{Claim, ConflictingRequest, DeletedRequest, Observed};
use super::progress::{Progress, Requeue};
use super::step::Step;
use super::views::{DesktopView, SubJobList};
use super::{blockers, unreadable};
use crate::crd::conditions::Reason;
use crate::ids::DesktopID;

/// The next step of a request that was not granted its desktops.
pub fn next(observed: &Observed, claim: &Claim) -> Step {
    match claim {
        Claim::ReservedByDeleted(holder) => read(observed, holder).unwrap_or_else(|| wait(deleted(holder))),
        Claim::Reserved(conflict) => wait(reserved(conflict)),
        Claim::ReservedByUndecodable(conflict) => wait(undecodable(conflict)),
        Claim::OlderProjectUnchecked(conflict) => wait(unchecked(conflict)),
        Claim::WatchesNotSynced => wait(unlisted()),
        Claim::Unreadable(namespace) => Step::Wait(unreadable::requests(namespace)),
        Claim::Granted => Step::StartOver,
    }
}

/// Desktops on which the claim of a deleted request has ended, according to reads since the claim was checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleasedDesktops {
    /// According to a single GET these are gone, so nothing can happen to them any more.
    pub gone: Vec<DesktopID>,
    /// The job of the accepted call names these, so reads from now on show it.
    pub shown: Vec<DesktopID>,
}

/// Which desktops that `holder` has reserved are released, according to the reads of this reconciliation.
pub fn released(observed: &Observed, holder: &DeletedRequest) -> ReleasedDesktops {
    let ids = &observed.request.desktop_ids;
    let of = |wanted: &dyn Fn(&DesktopID) -> bool| ids.iter().filter(|id| wanted(id)).cloned().collect();
    ReleasedDesktops {
        gone: of(&|id| is_gone(observed, id)),
        shown: of(&|id| shows(observed, holder, id)),
    }
}

fn is_gone(observed: &Observed, id: &DesktopID) -> bool {
    observed
        .desktops
        .get(&id.folded())
        .is_some_and(|s| s.view == DesktopView::Gone)
}

fn shows(observed: &Observed, holder: &DeletedRequest, id: &DesktopID) -> bool {
    let named = |sub_job_list: &SubJobList| {
        holder
            .jobs
            .iter()
            .any(|job| sub_job_list.named_by(job).any(|named| named == id.folded()))
    };
    observed.sub_job_list.as_ref().is_some_and(named)
}

/// The read that may end the claim of a deleted request, and then the step that claims the desktops again. For a call
/// with unknown outcome no job is known, and one that looks like its own may belong to another client.
fn read(observed: &Observed, holder: &DeletedRequest) -> Option<Step> {
    let id = &holder.desktop;
    if is_gone(observed, id) || shows(observed, holder, id) {
        return Some(Step::ClaimDesktops);
    }
    if blockers::read_failure(observed).is_some() {
        return None;
    }
    match observed.desktops.get(&id.folded()) {
        None => Some(Step::ReadDesktops(unread(observed))),
        Some(observation) if observation.view.needs_lookup() => Some(Step::ReadDesktop(id.clone())),
        Some(_) => (!holder.jobs.is_empty() && observed.sub_job_list.is_none()).then_some(Step::ReadSubJobs),
    }
}

fn unread(observed: &Observed) -> Vec<DesktopID> {
    let unread = |id: &&DesktopID| !observed.desktops.contains_key(&id.folded());
    observed
        .request
        .desktop_ids
        .iter()
        .filter(unread)
        .cloned()
        .collect()
}

fn wait(message: String) -> Step {
    Step::Wait(Progress::retrying(
        Reason::Overlap,
        message,
        Requeue::PollInterval,
    ))
}

/// Names of other namespaces are not shown.
fn request(name: Option<&String>, nameless: &str, named: &str) -> String {
    name.map_or_else(
        || format!("{nameless} in another namespace"),
        |name| format!("{named} {name}"),
    )
}

fn unlisted() -> String {
    "the watched namespaces are still being listed; one of them may have another request for these desktops. If this persists, check /readyz of the operator"
        .to_owned()
}

fn reserved(conflict: &ConflictingRequest) -> String {
    let holder = request(conflict.name.as_ref(), "a DesktopDeletion", "DesktopDeletion");
    format!(
        "desktop {} is reserved by {holder}; waiting for it to finish",
        conflict.desktop
    )
}

fn undecodable(conflict: &ConflictingRequest) -> String {
    let holder = request(conflict.name.as_ref(), "a DesktopDeletion", "DesktopDeletion");
    format!(
        "desktop {} is reserved by {holder}, which this version of the operator cannot decode and which may have been submitted. Fix it (see its condition Stalled and the operator's log), or delete it and wait until it is removed",
        conflict.desktop
    )
}

fn unchecked(conflict: &ConflictingRequest) -> String {
    let name = conflict.name.as_ref();
    let older = request(name, "an older DesktopDeletion", "the older DesktopDeletion");
    format!(
        "desktop {} is also requested by {older}, whose WorkspaceProject has not been checked yet; waiting for that check, for at most one minute",
        conflict.desktop
    )
}

fn deleted(holder: &DeletedRequest) -> String {
    let name = holder.name.as_ref();
    let who = request(name, "a deleted DesktopDeletion", "the deleted DesktopDeletion");
    let why = if holder.jobs.is_empty() {
        "its delete request can take effect until about"
    } else {
        "the job of its delete request may not be visible until about"
    };
    format!(
        "desktop {} is reserved by {who}: {why} {}; waiting",
        holder.desktop, holder.until
    )
}
