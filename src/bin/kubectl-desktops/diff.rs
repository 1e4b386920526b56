//! `kubectl desktops diff`: how the plan differs from the one that was approved.

use std::fmt::Write;

use desktop_deletion_operator::crd::DesktopDeletion;
use desktop_deletion_operator::crd::conditions::ConditionType;
use desktop_deletion_operator::crd::deletion::ApprovedDesktop;
use serde::Serialize;

use crate::ExitStatus;
use crate::args::RequestArgs;
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format, escaped, table};
use crate::request::{Desktop, RequestExt};

/// The difference between the approved plan and the current one.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    approved_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_hash: Option<String>,
    /// The operator's message about the approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    changes: Vec<Change>,
}

/// What changed of one desktop.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    id: String,
    #[serde(rename = "change")]
    kind: Kind,
    approved: String,
    current: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Kind {
    /// It was approved and no longer exists, so it is no longer part of the plan.
    Removed,
    /// It was not part of the approved plan.
    Added,
    Name,
    User,
}

pub(crate) async fn run(cluster: &Cluster, args: &RequestArgs, format: Format) -> Result<ExitStatus, Error> {
    let difference = Difference::of(&cluster.request(&args.name).await?)?;
    match format {
        Format::Json => output::print_json(&difference)?,
        Format::Text => output::print(&difference.text()),
    }
    Ok(if difference.is_none() {
        ExitStatus::Yes
    } else {
        ExitStatus::No
    })
}

impl Difference {
    fn of(request: &DesktopDeletion) -> Result<Self, Error> {
        let status = request.status.as_ref();
        let approved = status.and_then(|status| status.approved.as_ref());
        let approved = approved.ok_or_else(|| {
            Error::other("no plan of this request has been approved: there is nothing to compare with")
        })?;
        let current_hash = status
            .and_then(|status| status.plan.as_ref())
            .map(|plan| plan.hash.clone());
        // Plans with the same hash are equal, even if the status shows users only in one of them.
        let changes = if current_hash.as_ref() == Some(&approved.hash) {
            Vec::new()
        } else {
            changes(&approved.desktops, &request.desktops())
        };
        Ok(Self {
            approved_hash: approved.hash.clone(),
            current_hash,
            message: request
                .condition(ConditionType::Approved)
                .map(|approved| approved.message.clone()),
            changes,
        })
    }

    fn is_none(&self) -> bool {
        self.current_hash.as_ref() == Some(&self.approved_hash)
    }

    fn text(&self) -> String {
        let current = self.current_hash.as_deref().unwrap_or(output::NONE);
        let mut text = format!(
            "Approved plan:   {}\nCurrent plan:    {current}\n",
            self.approved_hash
        );
        if let Some(message) = self.message.as_deref().filter(|message| !message.is_empty()) {
            let _ = writeln!(text, "Message:         {}", escaped(message));
        }
        text.push('\n');
        if self.is_none() {
            text += "No differences.\n";
        } else if self.changes.is_empty() {
            text += HIDDEN;
        } else {
            let row = |change: &Change| {
                let kind = format!("{:?}", change.kind);
                [
                    change.id.clone(),
                    kind,
                    change.approved.clone(),
                    change.current.clone(),
                ]
            };
            let rows: Vec<_> = self.changes.iter().map(row).collect();
            text += &table(["DESKTOP", "CHANGE", "APPROVED", "CURRENT"], &rows);
        }
        text
    }
}

const HIDDEN: &str = "\
The plans differ in facts that the status does not show: the creation time of a desktop, or users that the status omits or truncates.
";

/// Whether the desktop is, or will be, part of what is deleted.
fn is_planned(desktop: &Desktop) -> bool {
    desktop.state != "Absent"
}

fn changes(approved: &[ApprovedDesktop], current: &[Desktop]) -> Vec<Change> {
    let mut changes = Vec::new();
    for was in approved {
        let is = current
            .iter()
            .find(|desktop| desktop.id.eq_ignore_ascii_case(was.id.as_str()));
        changes.extend(of_desktop(was, is));
    }
    for is in current.iter().filter(|desktop| is_planned(desktop)) {
        let known = |was: &ApprovedDesktop| is.id.eq_ignore_ascii_case(was.id.as_str());
        if !approved.iter().any(known) {
            changes.push(change(&is.id, Kind::Added, None, Some(&is.title())));
        }
    }
    changes
}

fn of_desktop(was: &ApprovedDesktop, is: Option<&Desktop>) -> Vec<Change> {
    let id = was.id.as_str();
    let Some(is) = is.filter(|is| is_planned(is)) else {
        let title = was.name.as_deref().or(Some(id));
        return vec![change(id, Kind::Removed, title, None)];
    };
    let mut changes = Vec::new();
    if was.name != is.name {
        changes.push(change(id, Kind::Name, was.name.as_deref(), is.name.as_deref()));
    }
    // Absent on one side means that the operator was configured not to show users then, or that there are none.
    if was.users != is.user {
        changes.push(change(id, Kind::User, was.users.as_deref(), is.user.as_deref()));
    }
    changes
}

fn change(id: &str, kind: Kind, approved: Option<&str>, current: Option<&str>) -> Change {
    let text = |side: Option<&str>| side.unwrap_or_default().to_owned();
    Change {
        id: id.to_owned(),
        kind,
        approved: text(approved),
        current: text(current),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::tests::{condition, hash, request};

    fn difference(current: char, desktops: &serde_json::Value) -> Difference {
        let status = json!({
            "conditions": [condition(ConditionType::Approved, "False", "PlanChanged", "pc-1 has another user")],
            "plan": {"hash": hash(current), "observedAt": "2026-12-01T08:00:00Z", "delete": 2, "absent": 0, "blocked": 0},
            "approved": {"hash": hash('a'), "desktops": [
                {"id": "pc-1", "name": "VDI-01", "users": "anna"},
                {"id": "PC-2", "name": "VDI-02", "users": "ben"},
            ]},
            "desktops": desktops,
        });
        Difference::of(&request(&status)).unwrap()
    }

    #[test]
    fn each_change_of_a_desktop_is_a_row() {
        let difference = difference(
            'b',
            &json!([
                {"id": "pc-1", "state": "Pending", "name": "VDI-1", "user": "zoe"},
                {"id": "pc-2", "state": "Absent"},
                {"id": "pc-3", "state": "Blocked", "name": "VDI-03"},
                {"id": "pc-4", "state": "Absent"},
            ]),
        );
        let a = "a".repeat(64);
        let b = "b".repeat(64);
        let expected = format!(
            "\
Approved plan:   sha256:{a}
Current plan:    sha256:{b}
Message:         pc-1 has another user

DESKTOP   CHANGE    APPROVED   CURRENT
pc-1      Name      VDI-01     VDI-1
pc-1      User      anna       zoe
PC-2      Removed   VDI-02     <none>
pc-3      Added     <none>     pc-3 (VDI-03)
"
        );
        assert_eq!(difference.text(), expected);
        assert!(!difference.is_none());
    }

    #[test]
    fn equal_plans_have_no_differences_and_different_hashes_always_have_one() {
        let desktops = json!([
            {"id": "pc-1", "state": "Pending", "name": "VDI-01", "user": "anna"},
            {"id": "pc-2", "state": "Pending", "name": "VDI-02", "user": "ben"},
        ]);
        let equal = difference('a', &desktops);
        assert!(equal.is_none() && equal.text().ends_with("No differences.\n"));
        // The operator was configured not to show users when one of the plans was stored.
        let without_users = json!([
            {"id": "pc-1", "state": "Pending", "name": "VDI-01"},
            {"id": "pc-2", "state": "Pending", "name": "VDI-02"},
        ]);
        let equal = difference('a', &without_users);
        assert!(equal.is_none() && equal.changes.is_empty());
        assert!(equal.text().ends_with("No differences.\n"));
        let hidden = difference('b', &desktops);
        assert!(!hidden.is_none() && hidden.text().ends_with(HIDDEN));
    }

    #[test]
    fn without_an_approved_plan_there_is_nothing_to_compare() {
        let error = Difference::of(&request(&json!({}))).unwrap_err().to_string();
        assert!(
            error.contains("no plan of this request has been approved"),
            "{error}"
        );
    }
}
