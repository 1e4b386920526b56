//! Floor 5, shared by phases.
//!
//! What a request will do, as `status.plan` and `status.desktops` show it before anything is sent.

use super::approval::{self, Judgement};
use super::messages::{desktops as count_of, name_some};
use super::observed::Observed;
use super::plan_hash::{Planned, users_shown};
use super::progress::{PlanContent, Preview, Progress, Requeue};
use super::views::SortedDesktops;
use super::{expectations, guardrails};
use crate::crd::conditions::{Claim, ConditionStatus, ConditionType, Reason};
use crate::crd::deletion::{DesktopState, DesktopStatus};
use crate::crd::limits;
use crate::ids::DesktopID;

/// The plan of this request is shown: it is held on purpose, or somebody relies on what its desktops are.
pub fn is_wanted(seen: &Observed) -> bool {
    let request = &seen.request;
    request.suspend
        || !request.expected.is_empty()
        || request.not_before.is_some()
        || request.approved_plan.is_some()
        // What is shown must not become wrong.
        || request.status.plan.is_some()
        || seen.project.as_ref().is_some_and(|p| p.guardrails.is_some())
}

/// The wait, with the plan if that is shown. Another client is deleting the desktops `deleting`.
pub fn shown(seen: &Observed, sorted: &SortedDesktops, deleting: &[&DesktopID], hold: Progress) -> Progress {
    if !is_wanted(seen) {
        return hold;
    }
    let Some(plan) = Planned::of(seen, sorted) else {
        return hold;
    };
    let desktops: Vec<_> = seen
        .request
        .desktop_ids
        .iter()
        .map(|id| status_of(seen, sorted, deleting, id))
        .collect();
    let judgement = approval::judge(seen, &plan);
    let is_blocked = desktops.iter().any(|d| d.state == DesktopState::Blocked);
    if matches!(judgement, Judgement::Unclear(_)) && seen.request.status.plan.is_some() && !is_blocked {
        return hold_with_the_plan_on_show(seen, &judgement, &plan, hold);
    }
    let count = |wanted: DesktopState| {
        let count = desktops.iter().filter(|d| d.state == wanted).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let content = PlanContent {
        delete: count(DesktopState::Pending),
        absent: count(DesktopState::Absent),
        blocked: count(DesktopState::Blocked),
        missing_facts: i32::try_from(plan.missing_facts()).unwrap_or(i32::MAX),
        hash: plan.hash.clone(),
    };
    let claims = vec![
        planned(seen, sorted, deleting, &plan),
        approval::claim(seen, &judgement, &plan),
    ];
    let mut approved = match judgement {
        Judgement::Approvable(approved) => Some(approved),
        _ => approval::recorded(seen).cloned(),
    };
    // They may have been recorded while they were shown.
    for desktop in approved.iter_mut().flat_map(|approved| &mut approved.desktops) {
        if seen.facts.hide_users {
            desktop.users = None;
        }
    }
    Progress {
        desktops,
        preview: Some(Box::new(Preview {
            claims,
            content: Some(content),
            approved,
        })),
        ..hold
    }
}

/// The wait while a read says less than the plan on show, which stays until one says everything again.
fn hold_with_the_plan_on_show(
    seen: &Observed,
    judgement: &Judgement,
    plan: &Planned,
    hold: Progress,
) -> Progress {
    let is_approved = approval::recorded(seen).is_some() && !approval::is_void(seen);
    let claims = is_approved.then(|| approval::claim(seen, judgement, plan));
    Progress {
        preview: Some(Box::new(Preview {
            claims: claims.into_iter().collect(),
            content: None,
            approved: None,
        })),
        ..hold
    }
}

/// The wait while the plan cannot be read, for what is named. A plan that is shown stays.
pub fn unread(seen: &Observed, obstacle: &Progress, hold: Progress) -> Progress {
    if seen.request.status.plan.is_some() {
        return hold;
    }
    let planning = Claim {
        kind: ConditionType::Planned,
        status: ConditionStatus::Unknown,
        reason: Reason::Planning,
        message: format!("the plan is not known yet: {}", obstacle.message),
    };
    // Nothing else would have the plan read soon; a time that is waited for comes first.
    let wake = match hold.wake {
        Requeue::Plan | Requeue::Change => obstacle.wake,
        wake => wake,
    };
    Progress {
        wake,
        preview: Some(Box::new(Preview {
            claims: vec![planning],
            content: None,
            approved: None,
        })),
        ..hold
    }
}

/// One desktop, before anything is sent.
fn status_of(
    seen: &Observed,
    sorted: &SortedDesktops,
    deleting: &[&DesktopID],
    id: &DesktopID,
) -> DesktopStatus {
    let observation = seen.desktops.get(&id.folded());
    let blocked = blocked(seen, deleting, id);
    let state = if sorted.absent.contains(id) {
        DesktopState::Absent
    } else if blocked.is_some() {
        DesktopState::Blocked
    } else {
        DesktopState::Pending
    };
    let (code, message) = blocked.filter(|_| state == DesktopState::Blocked).unzip();
    DesktopStatus {
        name: observation.and_then(|seen| seen.name.clone()),
        user: observation
            .filter(|_| !seen.facts.hide_users && state != DesktopState::Absent)
            .and_then(|seen| users_shown(&seen.facts)),
        code: code.map(|code| code.as_str().to_owned()),
        message: message.map(|message| limits::cut(&message, limits::DESKTOP_MESSAGE)),
        ..DesktopStatus::new(id, state)
    }
}

/// Why a desktop that exists may not be deleted now.
fn blocked(seen: &Observed, deleting: &[&DesktopID], id: &DesktopID) -> Option<(Reason, String)> {
    if deleting.contains(&id) {
        let message = "another client is deleting it".to_owned();
        return Some((Reason::DeletionInProgress, message));
    }
    let different = expectations::differing(seen, id).map(|message| (Reason::ExpectationFailed, message));
    different.or_else(|| Some((Reason::GuardrailViolated, guardrails::violation(seen, id)?)))
}

/// What condition `Planned` says.
fn planned(seen: &Observed, sorted: &SortedDesktops, deleting: &[&DesktopID], plan: &Planned) -> Claim {
    let claim = |status, reason, message| Claim {
        kind: ConditionType::Planned,
        status,
        reason,
        message,
    };
    let judged: Vec<_> = sorted
        .present
        .iter()
        .filter(|id| !deleting.contains(id))
        .cloned()
        .collect();
    let hold = guardrails::violated(seen)
        .or_else(|| expectations::failed(seen, &judged))
        .or_else(|| guardrails::blocked(seen, &judged));
    if let Some(hold) = hold {
        return claim(ConditionStatus::False, hold.reason, hold.message);
    }
    if !deleting.is_empty() {
        let message = format!(
            "another client is deleting {} of this request ({}), which blocks the whole request",
            count_of(deleting.len()),
            name_some(deleting.iter().copied())
        );
        return claim(ConditionStatus::False, Reason::DesktopBlocked, message);
    }
    let mut message = format!("deletes {}", count_of(sorted.present.len()));
    match sorted.absent.len() {
        0 => {}
        1 => message.push_str("; 1 desktop does not exist"),
        many => {
            message.push_str("; ");
            message.push_str(&count_of(many));
            message.push_str(" do not exist");
        }
    }
    message.push_str(&left_out(plan));
    claim(ConditionStatus::True, Reason::PlanReady, message)
}

/// Which facts are no part of the plan.
fn left_out(plan: &Planned) -> String {
    let pooled = match plan.desktops.iter().filter(|(_, desktop)| desktop.pooled).count() {
        0 => String::new(),
        count => format!(
            "; the approval does not cover the users of {} of a desktop pool",
            count_of(count)
        ),
    };
    let incomplete = match plan.incomplete().count() {
        0 => String::new(),
        count => format!(
            "; the approval does not cover facts of {} that the cloud does not report (computer name, users or creation)",
            count_of(count)
        ),
    };
    pooled + &incomplete
}
