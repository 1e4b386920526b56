//! Layer 2, data: the facts that a plan holds, and its hash.
//!
//! Which facts of a desktop a plan holds, and the hash of a plan. The same facts always give the same hash; it covers
//! neither times of observation, nor the approval, nor the creator of the request. (The page docs/approval.md has a
//! script that computes it.)

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::Timestamp;
use ring::digest;
use serde::Serialize;

use super::observed::{Observed, Request};
use super::views::SortedDesktops;
use crate::crd::deletion::{ApprovedDesktop, MissingFact};
use crate::crd::limits;
use crate::ids::{DesktopID, ProjectKey};
use crate::workspace::api::{AttachedKind, DesktopFacts, DesktopKind, Fact};

/// Version of the hashed document.
const VERSION: &str = "cloud-desktops.dev/plan/v1";

/// A plan as the reads of this reconciliation make it.
pub struct Planned {
    /// Its hash.
    pub hash: String,
    /// The desktops that exist, each with its ID as the request spells it.
    pub desktops: Vec<(DesktopID, PlannedDesktop)>,
}

impl Planned {
    /// The plan for these desktops; `None` if the project is not known.
    pub fn of(observed: &Observed, sorted: &SortedDesktops) -> Option<Self> {
        let project = project_key(observed)?;
        let desktops: Vec<_> = observed
            .request
            .desktop_ids
            .iter()
            .filter(|id| !sorted.absent.contains(id))
            .filter_map(|id| {
                let observed = observed.desktops.get(&id.folded())?;
                Some((id.clone(), PlannedDesktop::of(id, &observed.facts)))
            })
            .collect();
        let facts: Vec<_> = desktops.iter().map(|(_, desktop)| desktop.clone()).collect();
        Some(Self {
            hash: plan_hash(&observed.request, &project, &facts),
            desktops,
        })
    }

    /// The desktops with the facts that the cloud does not report.
    pub fn missing_facts(&self) -> impl Iterator<Item = (&DesktopID, Vec<MissingFact>)> {
        let desktops = self.desktops.iter();
        desktops.map(|(id, desktop)| (id, desktop.missing_facts()))
    }
}

/// The project in the cloud, if it is known.
pub fn project_key(observed: &Observed) -> Option<ProjectKey> {
    Some(observed.project.as_ref()?.coordinates.as_ref()?.key())
}

/// A desktop as a plan names it. What the cloud does not report, or not readably, is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDesktop {
    /// Its ID, in lower case.
    pub id: DesktopID,
    /// Its computer name.
    pub computer_name: Option<String>,
    /// Hash of all users and groups that it is assigned to.
    pub users_hash: Option<String>,
    /// Hash of `user_name`, if the cloud does not report whether it is assigned to others.
    pub user_name_hash: Option<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// It belongs to a pool, so that its users are no part of a plan.
    pub pooled: bool,
}

/// A user or a group that a desktop is assigned to, as a pair of type and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Assignee(&'static str, String);

impl PlannedDesktop {
    /// The planned desktop with those facts.
    pub fn of(id: &DesktopID, facts: &DesktopFacts) -> Self {
        let hash = assigned_unless_pooled(facts).map(|users| sha256(&users));
        let (users_hash, user_name_hash) = match facts.attached {
            Fact::Given(_) => (hash, None),
            Fact::NotGiven | Fact::Unreadable(_) => (None, hash),
        };
        Self {
            id: id.folded(),
            computer_name: name(&facts.computer_name),
            users_hash,
            user_name_hash,
            created: match facts.created {
                Fact::Given(created) => Some(created),
                Fact::NotGiven | Fact::Unreadable(_) => None,
            },
            pooled: facts.kind == Fact::Given(DesktopKind::Pooled),
        }
    }

    /// The facts that are not given.
    pub fn missing_facts(&self) -> Vec<MissingFact> {
        let users = match (&self.users_hash, &self.user_name_hash) {
            _ if self.pooled => None,
            (Some(_), _) => None,
            (None, Some(_)) => Some(MissingFact::AllUsers),
            (None, None) => Some(MissingFact::Users),
        };
        let name = self.computer_name.is_none().then_some(MissingFact::ComputerName);
        let created = self.created.is_none().then_some(MissingFact::Created);
        [name, users, created].into_iter().flatten().collect()
    }
}

impl From<&ApprovedDesktop> for PlannedDesktop {
    fn from(approved: &ApprovedDesktop) -> Self {
        Self {
            id: approved.id.folded(),
            computer_name: approved.name.clone(),
            users_hash: approved.users_hash.clone(),
            user_name_hash: approved.user_name_hash.clone(),
            created: approved.created.as_ref().map(|time| time.0),
            pooled: approved.pooled,
        }
    }
}

/// The users and groups that the desktop is assigned to, as text for users; `None` also if it is not assigned, or if
/// they are not part of a plan.
pub fn users_shown(facts: &DesktopFacts) -> Option<String> {
    let users = assigned_unless_pooled(facts).filter(|users| !users.is_empty())?;
    Some(limits::cut(&shown(&users), limits::DESKTOP_USER))
}

/// The users and groups that the desktop is assigned to, unless it belongs to a pool: there the service assigns it for
/// each session.
fn assigned_unless_pooled(facts: &DesktopFacts) -> Option<BTreeSet<Assignee>> {
    assigned(facts).filter(|_| facts.kind != Fact::Given(DesktopKind::Pooled))
}

/// A longer name than is documented could not be shown and stored as it is.
fn name(given: &Fact<String>) -> Option<String> {
    match given {
        Fact::Given(name) if name.chars().count() <= limits::DESKTOP_NAME as usize => Some(name.clone()),
        Fact::Given(_) | Fact::NotGiven | Fact::Unreadable(_) => None,
    }
}

/// Users and groups that the desktop is assigned to, as far as the cloud reports them; `None` if that is unknown.
pub fn assigned(facts: &DesktopFacts) -> Option<BTreeSet<Assignee>> {
    let user = match &facts.user_name {
        Fact::Given(name) => Some(name.clone()).filter(|name| !name.is_empty()),
        Fact::NotGiven => None,
        Fact::Unreadable(_) => return None,
    };
    let attached = match &facts.attached {
        Fact::Given(attached) => attached.iter().cloned().collect(),
        Fact::NotGiven if facts.user_name == Fact::NotGiven => return None,
        Fact::NotGiven => vec![],
        Fact::Unreadable(_) => return None,
    };
    let attached = attached.into_iter().map(|attached| match attached.kind {
        AttachedKind::User => Assignee(USER, attached.name),
        AttachedKind::Group => Assignee("GROUP", attached.name),
    });
    Some(attached.chain(user.map(|name| Assignee(USER, name))).collect())
}

const USER: &str = "USER";

impl Assignee {
    /// The name, if it is a user.
    pub fn user(&self) -> Option<&str> {
        (self.0 == USER).then_some(&*self.1)
    }
}

/// Users and groups, as text for users. A group is distinguished from a user of the same name.
pub fn shown(assigned: &BTreeSet<Assignee>) -> String {
    let name = |assignee: &Assignee| match assignee.user() {
        Some(name) => name.to_owned(),
        None => format!("group {}", assignee.1),
    };
    let names: BTreeSet<_> = assigned.iter().map(name).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// What is hashed, in this order of fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: &'static str,
    uid: &'a str,
    endpoint: &'a str,
    #[serde(rename = "projectID")]
    project_id: &'a str,
    delete_users: bool,
    email_notification: bool,
    force: bool,
    desktops: Vec<&'a PlannedDesktop>,
}

/// The hash of the plan to delete these desktops of a project.
pub fn plan_hash(request: &Request, project: &ProjectKey, desktops: &[PlannedDesktop]) -> String {
    let mut desktops: Vec<_> = desktops.iter().collect();
    desktops.sort_by(|a, b| a.id.cmp(&b.id));
    sha256(&Document {
        version: VERSION,
        uid: &request.uid,
        endpoint: project.origin.as_str(),
        project_id: project.project_id.as_str(),
        delete_users: request.delete_users,
        email_notification: request.email_notification,
        force: request.force,
        desktops,
    })
}

fn sha256(value: &impl Serialize) -> String {
    // Texts, flags and lists of them are always JSON.
    #[allow(clippy::expect_used)]
    let json = serde_json::to_vec(value).expect("texts are JSON");
    let digest = digest::digest(&digest::SHA256, &json);
    digest
        .as_ref()
        .iter()
        .fold("sha256:".to_owned(), |mut hex, byte| {
            // Writing to a text never fails.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
