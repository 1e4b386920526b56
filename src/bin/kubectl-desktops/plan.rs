//! `kubectl desktops plan`: the desktops that a request will delete.

use std::fmt::Write;

use desktop_deletion_operator::crd::DesktopDeletion;
use desktop_deletion_operator::crd::conditions::ConditionType;
use serde::Serialize;

use crate::ExitStatus;
use crate::args::RequestArgs;
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format, escaped, table};
use crate::request::{Desktop, RequestExt};

/// A request and its plan, as they are shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    project: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(rename = "projectID", skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
    delete_users: bool,
    email_notification: bool,
    force: bool,
    pub(crate) plan: Option<Plan>,
    conditions: Conditions,
    pub(crate) desktops: Vec<Desktop>,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) hash: String,
    observed_at: String,
    delete: i32,
    absent: i32,
    pub(crate) blocked: i32,
}

/// The conditions of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Conditions {
    planned: ConditionSummary,
    approved: ConditionSummary,
}

/// Status, reason and message of a condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct ConditionSummary {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

pub(crate) async fn run(cluster: &Cluster, args: &RequestArgs, format: Format) -> Result<ExitStatus, Error> {
    let shown = PlanView::of(&cluster.request(&args.name).await?, &cluster.namespace)?;
    match format {
        Format::Json => output::print_json(&shown)?,
        Format::Text => output::print(&shown.text()),
    }
    Ok(if shown.is_ready() {
        ExitStatus::Yes
    } else {
        ExitStatus::No
    })
}

impl PlanView {
    pub(crate) fn of(request: &DesktopDeletion, namespace: &str) -> Result<Self, Error> {
        let (name, uid) = request.name_and_uid()?;
        let status = request.status.as_ref();
        let plan = status.and_then(|status| status.plan.as_ref()).map(|plan| Plan {
            hash: plan.hash.clone(),
            observed_at: plan.observed_at.0.to_string(),
            delete: plan.delete,
            absent: plan.absent,
            blocked: plan.blocked,
        });
        let project = status.and_then(|status| status.project.as_ref());
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            created_by: request.creator().map(str::to_owned),
            project: request.spec.project_ref.name.clone(),
            region: project.map(|project| project.region.to_string()),
            project_id: project.map(|project| project.project_id.to_string()),
            delete_users: request.spec.delete_users,
            email_notification: request.spec.email_notification,
            force: request.spec.force,
            plan,
            conditions: Conditions {
                planned: ConditionSummary::of(request, ConditionType::Planned),
                approved: ConditionSummary::of(request, ConditionType::Approved),
            },
            desktops: request.desktops(),
        })
    }

    /// Whether there is a plan and nothing blocks it.
    fn is_ready(&self) -> bool {
        let unblocked = self.plan.as_ref().is_some_and(|plan| plan.blocked == 0);
        unblocked && self.conditions.planned.status.as_deref() == Some("True")
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{:15}{}", format!("{name}:"), escaped(value));
        };
        line("Request", &format!("{}/{}", self.namespace, self.name));
        if let Some(creator) = &self.created_by {
            line("Created by", creator);
        }
        let place = [&self.region, &self.project_id];
        let place: Vec<_> = place.into_iter().flatten().map(String::as_str).collect();
        if place.is_empty() {
            line("Project", &self.project);
        } else {
            line("Project", &format!("{} ({})", self.project, place.join(", ")));
        }
        let yes = |flag| if flag { "yes" } else { "no" };
        line("Delete users", yes(self.delete_users));
        line("Email users", yes(self.email_notification));
        line("Force", yes(self.force));
        if let Some(plan) = &self.plan {
            line("Plan", &plan.hash);
            line("Observed", &plan.observed_at);
        }
        line("Planned", &self.conditions.planned.text());
        line("Approved", &self.conditions.approved.text());
        text.push('\n');
        match &self.plan {
            Some(plan) => {
                text += &self.table();
                let (delete, absent, blocked) = (plan.delete, plan.absent, plan.blocked);
                let _ = writeln!(text, "\n{delete} to delete, {absent} absent, {blocked} blocked");
            }
            None => text += NO_PLAN,
        }
        text
    }

    fn table(&self) -> String {
        let rows: Vec<_> = self.desktops.iter().map(row).collect();
        table(["DESKTOP", "NAME", "USER", "STATE", "MESSAGE"], &rows)
    }
}

const NO_PLAN: &str = "\
There is no plan. The operator shows one before the submission of a request that is suspended, that has expected,
notBefore or approvedPlan, or whose WorkspaceProject has guardrails. To see what a request would do, set spec.suspend to true.
";

fn row(desktop: &Desktop) -> [String; 5] {
    [
        desktop.id.clone(),
        desktop.name.clone().unwrap_or_default(),
        desktop.user.clone().unwrap_or_default(),
        desktop.state.clone(),
        desktop.problem(),
    ]
}

impl ConditionSummary {
    fn of(request: &DesktopDeletion, kind: ConditionType) -> Self {
        request
            .condition(kind)
            .map_or_else(Self::default, |condition| Self {
                status: Some(condition.status.clone()),
                reason: Some(condition.reason.clone()),
                message: Some(condition.message.clone()),
            })
    }

    fn text(&self) -> String {
        let (Some(status), Some(reason)) = (&self.status, &self.reason) else {
            return output::NONE.to_owned();
        };
        match self.message.as_deref() {
            None | Some("") => format!("{status} ({reason})"),
            Some(message) => format!("{status} ({reason}): {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::tests::{condition, hash, request};

    fn shown(status: &serde_json::Value) -> PlanView {
        PlanView::of(&request(status), "vdi-prod").unwrap()
    }

    #[test]
    fn a_plan_is_printed_as_a_summary_and_a_table() {
        let shown = shown(&json!({
            "conditions": [
                condition(ConditionType::Planned, "False", "DesktopBlocked", "1 of 2 desktops is blocked"),
                condition(ConditionType::Approved, "False", "AwaitingApproval", ""),
            ],
            "plan": {"hash": hash('a'), "observedAt": "2026-12-01T08:00:00Z", "delete": 1, "absent": 0, "blocked": 1},
            "desktops": [
                {"id": "pc-1", "state": "Pending", "name": "VDI-\u{1b}[31m01", "user": "anna"},
                {"id": "pc-2", "state": "Blocked", "name": "VDI-02", "code": "SessionConnected", "message": "in use"},
            ],
        }));
        let expected = "\
Request:       vdi-prod/leavers
Created by:    alice
Project:       prod
Delete users:  no
Email users:   yes
Force:         yes
Plan:          sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
Observed:      2026-12-01T08:00:00Z
Planned:       False (DesktopBlocked): 1 of 2 desktops is blocked
Approved:      False (AwaitingApproval)

DESKTOP   NAME               USER     STATE     MESSAGE
pc-1      VDI-\\u{1b}[31m01   anna     Pending   <none>
pc-2      VDI-02             <none>   Blocked   SessionConnected: in use

1 to delete, 0 absent, 1 blocked
";
        assert_eq!(shown.text(), expected);
        assert!(!shown.is_ready());
    }

    #[test]
    fn a_plan_is_ready_if_it_exists_and_no_desktop_is_blocked() {
        let plan = |blocked: u32| json!({"hash": hash('a'), "observedAt": "2026-12-01T08:00:00Z", "delete": 2, "absent": 0, "blocked": blocked});
        let planned = |status| json!([condition(ConditionType::Planned, status, "PlanReady", "")]);
        for (status, ready) in [
            (json!({"plan": plan(0), "conditions": planned("True")}), true),
            (json!({"plan": plan(1), "conditions": planned("True")}), false),
            (json!({"plan": plan(0), "conditions": planned("Unknown")}), false),
            (json!({"plan": plan(0)}), false),
            (json!({"conditions": planned("True")}), false),
            (json!({"observedGeneration": -1}), false),
        ] {
            assert_eq!(shown(&status).is_ready(), ready, "{status}");
        }
        let place =
            json!({"region": "ap-southeast-1", "projectID": "0123", "endpoint": "https://workspace.example"});
        let submitted = shown(&json!({"project": place})).text();
        assert!(
            submitted.contains("Project:       prod (ap-southeast-1, 0123)\n"),
            "{submitted}"
        );
        let text = shown(&json!({})).text();
        assert!(
            text.contains("Planned:       <none>") && text.ends_with(NO_PLAN),
            "{text}"
        );
    }
}
