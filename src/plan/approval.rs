//! Layer 5, shared by phases: do the desktops match the approved plan.
//!
//! If any desktop has changed since its approval, nothing is submitted: an approval covers the facts of each desktop that
//! were shown.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::messages::describe_some;
use super::observed::Observed;
use super::plan_hash::{Planned, PlannedDesktop, plan_hash, project_key, users_shown};
use super::progress::{Progress, Requeue};
use crate::crd::conditions::{ConditionStatus, ConditionType, ConditionUpdate, Reason, find};
use crate::crd::deletion::{ApprovedDesktop, ApprovedPlan, DesktopState, DesktopStatus, MissingFact};
use crate::crd::project::Approval;
use crate::ids::DesktopID;
use crate::workspace::api::Fact;

/// The state of the approval for the present desktops.
#[derive(Debug, Clone, PartialEq)]
pub enum ApprovalState {
    /// None is needed, and none was given.
    NotRequired,
    /// These desktops were approved in their present state.
    Approved,
    /// The shown plan was approved, which is not recorded yet.
    Approvable(ApprovedPlan),
    /// The project requires one, and none was given.
    Missing,
    /// The approved plan is not the one that is shown.
    PlanMismatch,
    /// Desktops have changed since they were approved, with the differences.
    Changed(Vec<String>),
    /// A read lacks facts that were approved, with these facts.
    FactsMissing(Vec<String>),
}

/// The project requires an approval of this request.
fn is_required(observed: &Observed) -> bool {
    let guardrails = observed
        .project
        .as_ref()
        .and_then(|project| project.guardrails.as_ref());
    guardrails.is_some_and(|guardrails| {
        let above = guardrails.approval_above.unwrap_or_default() as usize;
        guardrails.approval == Approval::Required && observed.request.desktop_ids.len() > above
    })
}

/// The record of the approved plan, if the request names this plan, and the plan is for this object and this project.
pub fn recorded(observed: &Observed) -> Option<&ApprovedPlan> {
    let named = observed.request.approved_plan.as_ref()?;
    let approved = observed.request.status.approved.as_ref()?;
    let is_ours = || match project_key(observed) {
        Some(project) => {
            let desktops: Vec<_> = approved.desktops.iter().map(PlannedDesktop::from).collect();
            plan_hash(&observed.request, &project, &desktops) == approved.hash
        }
        // Nothing is submitted either.
        None => true,
    };
    (approved.hash == *named && is_ours()).then_some(approved)
}

/// An approval is needed, or was given.
pub fn is_needed(observed: &Observed) -> bool {
    is_required(observed) || observed.request.approved_plan.is_some()
}

/// An approval is needed, or was given, and is not recorded.
pub fn is_missing(observed: &Observed) -> bool {
    is_needed(observed) && recorded(observed).is_none()
}

/// The approved desktops had changed when they were last read.
pub fn is_invalidated(observed: &Observed) -> bool {
    let approved = find(&observed.request.status.conditions, ConditionType::Approved);
    recorded(observed).is_some() && approved.is_some_and(|c| c.reason == Reason::PlanChanged)
}

/// The state of the approval for this plan.
pub fn evaluate(observed: &Observed, plan: &Planned) -> ApprovalState {
    let Some(named) = &observed.request.approved_plan else {
        return if is_required(observed) {
            ApprovalState::Missing
        } else {
            ApprovalState::NotRequired
        };
    };
    let Some(approved) = recorded(observed) else {
        if !was_shown(observed, named) {
            return ApprovalState::PlanMismatch;
        }
        if plan.hash == *named {
            return ApprovalState::Approvable(record(observed, plan));
        }
        let missing = missing_since_shown(observed, plan);
        return if missing.is_empty() {
            ApprovalState::PlanMismatch
        } else {
            ApprovalState::FactsMissing(missing)
        };
    };
    let (mut changed, mut unclear) = (vec![], vec![]);
    for (id, desktop) in &plan.desktops {
        let Some(then) = approved
            .desktops
            .iter()
            .find(|then| then.id.folded() == desktop.id)
        else {
            changed.push(format!(
                "desktop {id}: it did not exist when the plan was approved"
            ));
            continue;
        };
        let differences = differences(then, desktop, observed);
        changed.extend(describe(id, &differences.changed));
        unclear.extend(describe(id, &differences.missing));
    }
    if !changed.is_empty() {
        ApprovalState::Changed(changed)
    } else if !unclear.is_empty() {
        ApprovalState::FactsMissing(unclear)
    } else {
        ApprovalState::Approved
    }
}

/// The approval was given while the plan was shown, not before.
fn was_shown(observed: &Observed, named: &str) -> bool {
    let status = &observed.request.status;
    // Edits of other fields do not change an approval that was not accepted.
    let is_refused = status.refused_plan.as_deref() == Some(named);
    status.plan.as_ref().is_some_and(|shown| shown.hash == named) && !is_refused
}

/// The value of `spec.approvedPlan`, if it is not accepted as an approval: it is not accepted until it changes.
pub fn refused(observed: &Observed, approval_state: &ApprovalState) -> Option<String> {
    let named = observed.request.approved_plan.clone();
    named.filter(|_| *approval_state == ApprovalState::PlanMismatch)
}

/// Facts of desktops that the shown plan has and this read lacks. Such a fact is read again; it does not count as a
/// change.
pub fn missing_since_shown(observed: &Observed, plan: &Planned) -> Vec<String> {
    let status = &observed.request.status;
    let since_shown = |(id, missing): (&DesktopID, Vec<MissingFact>)| {
        let was_planned = |shown: &&DesktopStatus| shown.id == *id && shown.state != DesktopState::Absent;
        let shown = status.desktops.iter().find(was_planned)?;
        let new = missing.into_iter().filter(|fact| !lacks(shown, *fact));
        describe(
            id,
            &new.map(|fact| fact.description().to_owned()).collect::<Vec<_>>(),
        )
    };
    let all = plan.missing_facts().filter_map(since_shown);
    all.filter(|_| status.plan.is_some()).collect()
}

/// Whether the shown plan lacks this fact of the desktop as well.
fn lacks(shown: &DesktopStatus, fact: MissingFact) -> bool {
    let missing = &shown.missing_facts;
    missing.contains(&fact) || (fact == MissingFact::AllUsers && missing.contains(&MissingFact::Users))
}

/// Why a request is not submitted, if an approval is missing.
pub fn obstacle(observed: &Observed, plan: &Planned) -> Option<Progress> {
    let approval_state = evaluate(observed, plan);
    let condition = update(observed, &approval_state, &plan.hash);
    match approval_state {
        ApprovalState::NotRequired | ApprovalState::Approved => None,
        ApprovalState::Approvable(_) => {
            let message = "the plan is approved; checking the desktops before the submission".to_owned();
            Some(Progress::reconciling(
                Reason::CheckingDesktops,
                message,
                Requeue::PollInterval,
            ))
        }
        ApprovalState::FactsMissing(missing) => {
            let message = format!(
                "the cloud does not report these facts of the approved plan: {}. If this persists, set spec.suspend to true, remove spec.approvedPlan, and approve the plan that is then shown; retrying",
                describe_some(&missing)
            );
            Some(Progress::retrying(
                Reason::CheckingDesktops,
                message,
                Requeue::PollInterval,
            ))
        }
        ApprovalState::Missing | ApprovalState::PlanMismatch | ApprovalState::Changed(_) => Some(
            Progress::paused(condition.reason, condition.message, Requeue::Plan),
        ),
    }
}

/// Condition `Approved`, while the plan with that hash is shown.
pub fn update(observed: &Observed, approval_state: &ApprovalState, hash: &str) -> ConditionUpdate {
    let (reason, message) = match approval_state {
        ApprovalState::NotRequired => (
            Reason::NotRequired,
            "no approval is needed".to_owned(),
        ),
        ApprovalState::Approved | ApprovalState::Approvable(_) | ApprovalState::FactsMissing(_) => {
            let named = observed.request.approved_plan.as_deref().unwrap_or(hash);
            (
                Reason::PlanApproved,
                format!("plan {named} is approved"),
            )
        }
        ApprovalState::Missing => (
            Reason::AwaitingApproval,
            format!(
                "WorkspaceProject {} requires an approval: check status.plan and status.desktops, then set spec.approvedPlan to {hash}",
                observed.request.project
            ),
        ),
        ApprovalState::PlanMismatch if observed.request.approved_plan.as_deref() == Some(hash) => (
            Reason::PlanChanged,
            "spec.approvedPlan was set while its plan was not shown. Check status.plan and status.desktops; then set \
             spec.suspend to true, remove spec.approvedPlan, wait until status.refusedPlan is gone, and approve the \
             plan again"
                .to_owned(),
        ),
        ApprovalState::PlanMismatch => (
            Reason::PlanChanged,
            format!(
                "spec.approvedPlan does not match the plan of this request: the approved plan was never shown, was replaced before the operator processed the approval, or belongs to another cloud project or object. An approval is valid for one object only, not for a copy or an object that was created again. Check status.plan and status.desktops, then set spec.approvedPlan to {hash}"
            ),
        ),
        ApprovalState::Changed(changed) => (
            Reason::PlanChanged,
            format!(
                "the desktops have changed since they were approved, so nothing is submitted: {}. Check status.plan and status.desktops, then set spec.approvedPlan to {hash}",
                describe_some(changed)
            ),
        ),
    };
    let status = match reason {
        Reason::NotRequired | Reason::PlanApproved => ConditionStatus::True,
        _ => ConditionStatus::False,
    };
    ConditionUpdate::new(ConditionType::Approved, status, reason, message)
}

fn record(observed: &Observed, plan: &Planned) -> ApprovedPlan {
    let desktop = |(id, desktop): &(DesktopID, PlannedDesktop)| ApprovedDesktop {
        id: id.clone(),
        name: desktop.computer_name.clone(),
        users: shown_users(observed, id).filter(|_| !observed.facts.hide_users),
        users_hash: desktop.users_hash.clone(),
        user_name_hash: desktop.user_name_hash.clone(),
        pooled: desktop.pooled,
        created: desktop.created.map(Time),
    };
    ApprovedPlan {
        hash: plan.hash.clone(),
        desktops: plan.desktops.iter().map(desktop).collect(),
    }
}

/// How a desktop differs from what was approved.
#[derive(Default)]
struct Differences {
    changed: Vec<String>,
    missing: Vec<String>,
}

impl Differences {
    /// Adds the difference that the desktop now belongs, or no longer belongs, to a pool.
    fn compare_pool(&mut self, pooled: bool, given: bool) {
        let (list, what) = match (given, pooled) {
            (false, _) => (&mut self.missing, "whether it belongs to a desktop pool"),
            (true, true) => (&mut self.changed, "it now belongs to a desktop pool"),
            (true, false) => (&mut self.changed, "it no longer belongs to a desktop pool"),
        };
        list.push(what.to_owned());
    }

    fn compare<T: PartialEq>(
        &mut self,
        what: &str,
        then: Option<&T>,
        now: Option<&T>,
        changed: impl FnOnce() -> String,
    ) {
        match (then, now) {
            (Some(_), None) => self.missing.push(what.to_owned()),
            (then, now) if then != now => self.changed.push(changed()),
            _ => {}
        }
    }
}

fn kind_is_given(observed: &Observed, id: &DesktopID) -> bool {
    let desktop = observed.desktops.get(&id.folded());
    desktop.is_some_and(|desktop| matches!(desktop.facts.kind, Fact::Given(_)))
}

fn differences(then: &ApprovedDesktop, now: &PlannedDesktop, observed: &Observed) -> Differences {
    let mut all = Differences::default();
    let text = |text: Option<&String>| text.map_or_else(|| "not known".to_owned(), Clone::clone);
    all.compare(
        "the computer name",
        then.name.as_ref(),
        now.computer_name.as_ref(),
        || {
            let (now, then) = (text(now.computer_name.as_ref()), text(then.name.as_ref()));
            format!("the computer name is {now} (approved: {then})")
        },
    );
    if then.pooled == now.pooled {
        compare_users(&mut all, then, now, observed);
    } else {
        all.compare_pool(now.pooled, kind_is_given(observed, &then.id));
    }
    let created = then.created.as_ref().map(|time| time.0);
    all.compare(
        "the creation time",
        created.as_ref(),
        now.created.as_ref(),
        || {
            let text = |time: Option<Timestamp>| {
                time.map_or_else(|| "not known".to_owned(), |time| time.to_string())
            };
            format!(
                "it was created at {} (approved: {})",
                text(now.created),
                text(created)
            )
        },
    );
    all
}

fn compare_users(all: &mut Differences, then: &ApprovedDesktop, now: &PlannedDesktop, observed: &Observed) {
    // A single reported user says nothing about the complete list.
    let (was, is) = match (&then.users_hash, &now.users_hash) {
        (None, None) => (&then.user_name_hash, &now.user_name_hash),
        lists => lists,
    };
    all.compare("the users", was.as_ref(), is.as_ref(), || {
        if observed.facts.hide_users {
            return "its users differ from the approved ones".to_owned();
        }
        let is = match shown_users(observed, &then.id) {
            Some(users) => users,
            None if is.is_some() => "no user".to_owned(),
            None => "not known".to_owned(),
        };
        match &then.users {
            None if was.is_some() => format!("it is assigned to {is}, which was not approved"),
            None => format!("it is assigned to {is} (approved: not known)"),
            Some(users) if was.is_none() => {
                format!("the cloud now lists all users: {is} (approved: {users})")
            }
            Some(users) => format!("it is assigned to {is} (approved: {users})"),
        }
    });
}

fn shown_users(observed: &Observed, id: &DesktopID) -> Option<String> {
    users_shown(&observed.desktops.get(&id.folded())?.facts)
}

fn describe(id: &DesktopID, facts: &[String]) -> Option<String> {
    (!facts.is_empty()).then(|| format!("desktop {id}: {}", facts.join(", ")))
}
