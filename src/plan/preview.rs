//! Layer 5, shared by phases: the plan that is shown before the submission.
//!
//! What a request will do, as `status.plan` and `status.desktops` show it before anything is sent.

use super::approval::{self, ApprovalState};
use super::messages::{describe_some, desktops as count_of, name_some};
use super::observed::Observed;
use super::plan_hash::{Planned, users_shown};
use super::progress::{PlanSummary, Preview, Progress, Requeue};
use super::views::SortedDesktops;
use super::{expectations, guardrails};
use crate::crd::conditions::{ConditionStatus, ConditionType, ConditionUpdate, Reason};
use crate::crd::deletion::{DesktopState, DesktopStatus, MissingFact, Plan};
use crate::crd::limits;
use crate::ids::DesktopID;

/// The plan of this request is shown: it is paused, or its approval or expectations depend on what its desktops are.
pub fn must_show_plan(observed: &Observed) -> bool {
    let request = &observed.request;
    request.suspend
        || !request.expected.is_empty()
        || request.not_before.is_some()
        || request.approved_plan.is_some()
        // A plan that is shown must stay current.
        || request.status.plan.is_some()
        || observed.project.as_ref().is_some_and(|p| p.guardrails.is_some())
}

/// The wait, with the plan if it is shown. `deleting`: desktops that another client is deleting.
pub fn with_plan(
    observed: &Observed,
    sorted: &SortedDesktops,
    deleting: &[&DesktopID],
    progress: Progress,
) -> Progress {
    if !must_show_plan(observed) {
        return progress;
    }
    let Some(plan) = Planned::of(observed, sorted) else {
        return progress;
    };
    let desktops: Vec<_> = observed
        .request
        .desktop_ids
        .iter()
        .map(|id| status_of(observed, sorted, deleting, &plan, id))
        .collect();
    let approval_state = approval::evaluate(observed, &plan);
    let is_blocked = desktops.iter().any(|d| d.state == DesktopState::Blocked);
    let missing = approval::missing_since_shown(observed, &plan);
    if let Some(shown) = &observed.request.status.plan
        && !is_blocked
        && keeps_current_plan(observed, &approval_state, &missing)
    {
        let planned = planned(observed, sorted, deleting, &plan);
        let planned = match planned.status {
            ConditionStatus::True => still_planned(shown, &missing),
            _ => planned,
        };
        return keep_current_plan(observed, shown, &approval_state, planned, progress);
    }
    let count = |wanted: DesktopState| {
        let count = desktops.iter().filter(|d| d.state == wanted).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let content = PlanSummary {
        delete: count(DesktopState::Pending),
        absent: count(DesktopState::Absent),
        blocked: count(DesktopState::Blocked),
        hash: plan.hash.clone(),
    };
    let updates = vec![
        planned(observed, sorted, deleting, &plan),
        approval::update(observed, &approval_state, &plan.hash),
    ];
    let refused = approval::refused(observed, &approval_state);
    let mut approved = match approval_state {
        ApprovalState::Approvable(approved) => Some(approved),
        _ => approval::recorded(observed).cloned(),
    };
    // They may have been recorded while they were shown.
    for desktop in approved.iter_mut().flat_map(|approved| &mut approved.desktops) {
        if observed.facts.hide_users {
            desktop.users = None;
        }
    }
    Progress {
        desktops,
        preview: Some(Box::new(Preview {
            updates,
            summary: Some(content),
            approved,
            refused,
            lacks_facts: !missing.is_empty(),
        })),
        ..progress
    }
}

/// Whether the shown plan is kept although this read gives another one, because the read only lacks facts for now.
fn keeps_current_plan(observed: &Observed, approval_state: &ApprovalState, missing: &[String]) -> bool {
    let lacks_facts = !missing.is_empty() && !observed.facts.facts_missing_for_long;
    match approval_state {
        ApprovalState::FactsMissing(_) => true,
        ApprovalState::Approved | ApprovalState::Approvable(_) => false,
        ApprovalState::Changed(_) => lacks_facts && approval::is_invalidated(observed),
        ApprovalState::NotRequired | ApprovalState::Missing | ApprovalState::PlanMismatch => lacks_facts,
    }
}

/// The wait while a read lacks facts of the shown plan, which is kept until a read has all of them again.
fn keep_current_plan(
    observed: &Observed,
    shown: &Plan,
    approval_state: &ApprovalState,
    planned: ConditionUpdate,
    progress: Progress,
) -> Progress {
    let (mut progress, mut updates) = (progress, Vec::new());
    if matches!(approval_state, ApprovalState::FactsMissing(_)) {
        if approval::recorded(observed).is_some() && !approval::is_invalidated(observed) {
            updates.push(approval::update(observed, approval_state, &shown.hash));
        }
    } else {
        updates.push(planned);
        let approved = approval::update(observed, approval_state, &shown.hash);
        if progress.reason == approved.reason {
            progress.message.clone_from(&approved.message);
        }
        updates.push(approved);
        // It is read again soon.
        if matches!(progress.requeue, Requeue::Plan | Requeue::Change) {
            progress.requeue = Requeue::PollInterval;
        }
    }
    Progress {
        preview: Some(Box::new(Preview {
            updates,
            refused: approval::refused(observed, approval_state),
            lacks_facts: true,
            ..Preview::default()
        })),
        ..progress
    }
}

/// Condition `Planned` for a plan that is kept.
fn still_planned(shown: &Plan, missing: &[String]) -> ConditionUpdate {
    let count = |count: i32| usize::try_from(count).unwrap_or_default();
    let message = format!(
        "{}; the last read lacks facts of the plan: {}; reading again",
        summary(count(shown.delete), count(shown.absent)),
        describe_some(missing)
    );
    planned_condition(ConditionStatus::True, Reason::PlanReady, message)
}

/// The wait while the plan cannot be read, for what is named. A plan that is shown stays.
pub fn with_unknown_plan(observed: &Observed, obstacle: &Progress, progress: Progress) -> Progress {
    if observed.request.status.plan.is_some() {
        return progress;
    }
    let message = format!("the plan is not known yet: {}", obstacle.message);
    // Nothing else would cause the plan to be read soon, unless the request waits for a time.
    let requeue = match progress.requeue {
        Requeue::Plan | Requeue::Change => obstacle.requeue,
        requeue => requeue,
    };
    Progress {
        requeue,
        preview: Some(Box::new(Preview {
            updates: vec![planned_condition(
                ConditionStatus::Unknown,
                Reason::Planning,
                message,
            )],
            refused: observed.request.status.refused_plan.clone(),
            ..Preview::default()
        })),
        ..progress
    }
}

/// One desktop, before anything is sent.
fn status_of(
    observed: &Observed,
    sorted: &SortedDesktops,
    deleting: &[&DesktopID],
    plan: &Planned,
    id: &DesktopID,
) -> DesktopStatus {
    let observation = observed.desktops.get(&id.folded());
    let blocked = blocked(observed, deleting, id);
    let state = if sorted.absent.contains(id) {
        DesktopState::Absent
    } else if blocked.is_some() {
        DesktopState::Blocked
    } else {
        DesktopState::Pending
    };
    let (code, message) = blocked.filter(|_| state == DesktopState::Blocked).unzip();
    DesktopStatus {
        name: observation.and_then(|observed| observed.name.clone()),
        user: observation
            .filter(|_| !observed.facts.hide_users && state != DesktopState::Absent)
            .and_then(|observed| users_shown(&observed.facts)),
        missing_facts: plan
            .desktops
            .iter()
            .find(|(planned, _)| planned == id)
            .map(|(_, desktop)| desktop.missing_facts())
            .unwrap_or_default(),
        code: code.map(|code| code.as_str().to_owned()),
        message: message.map(|message| limits::cut(&message, limits::DESKTOP_MESSAGE)),
        ..DesktopStatus::new(id, state)
    }
}

/// Why a desktop that exists cannot be deleted at the moment.
fn blocked(observed: &Observed, deleting: &[&DesktopID], id: &DesktopID) -> Option<(Reason, String)> {
    if deleting.contains(&id) {
        let message = "another client or request is deleting it".to_owned();
        return Some((Reason::DeletionInProgress, message));
    }
    let different = expectations::differing(observed, id).map(|message| (Reason::ExpectationFailed, message));
    different.or_else(|| Some((Reason::GuardrailViolated, guardrails::violation(observed, id)?)))
}

/// Condition `Planned`.
fn planned(
    observed: &Observed,
    sorted: &SortedDesktops,
    deleting: &[&DesktopID],
    plan: &Planned,
) -> ConditionUpdate {
    let checked: Vec<_> = sorted
        .present
        .iter()
        .filter(|id| !deleting.contains(id))
        .cloned()
        .collect();
    let progress = guardrails::violated(observed)
        .or_else(|| expectations::failed(observed, &checked))
        .or_else(|| guardrails::blocked(observed, &checked));
    if let Some(progress) = progress {
        return planned_condition(ConditionStatus::False, progress.reason, progress.message);
    }
    if !deleting.is_empty() {
        let message = format!(
            "another client or another request is deleting {} of this request ({}), which blocks the whole request",
            count_of(deleting.len()),
            name_some(deleting.iter().copied())
        );
        return planned_condition(ConditionStatus::False, Reason::DesktopBlocked, message);
    }
    let mut message = summary(sorted.present.len(), sorted.absent.len());
    message.push_str(&left_out(plan));
    planned_condition(ConditionStatus::True, Reason::PlanReady, message)
}

fn planned_condition(status: ConditionStatus, reason: Reason, message: String) -> ConditionUpdate {
    ConditionUpdate::new(ConditionType::Planned, status, reason, message)
}

fn summary(present: usize, absent: usize) -> String {
    let deletes = format!("deletes {}", count_of(present));
    match absent {
        0 => deletes,
        1 => format!("{deletes}; 1 desktop does not exist"),
        many => format!("{deletes}; {} do not exist", count_of(many)),
    }
}

/// Which facts are no part of the plan.
fn left_out(plan: &Planned) -> String {
    let pooled = match plan.desktops.iter().filter(|(_, desktop)| desktop.pooled).count() {
        0 => String::new(),
        count => format!(
            "; an approval does not cover the users of {} in a desktop pool",
            count_of(count)
        ),
    };
    let incomplete: Vec<_> = plan
        .missing_facts()
        .filter_map(|(id, mut facts)| {
            // If one user is reported, that user is approved; status.desktops shows that there may be others.
            facts.retain(|fact| *fact != MissingFact::AllUsers);
            let words: Vec<_> = facts.into_iter().map(MissingFact::description).collect();
            (!words.is_empty()).then(|| format!("desktop {id}: {}", words.join(", ")))
        })
        .collect();
    if incomplete.is_empty() {
        return pooled;
    }
    format!(
        "{pooled}; an approval does not cover facts that the cloud does not report: {}",
        describe_some(&incomplete)
    )
}
