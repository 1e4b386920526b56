//! The users of a desktop, and other facts that decide about its deletion, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Desktop;

/// A fact that the service may leave out, or give in a form that is not documented. Nothing is guessed: what is empty was
/// given as empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fact<T> {
    /// The field is missing or null.
    #[default]
    NotGiven,
    /// The field has an undocumented value: this value, or its type, at most 64 characters.
    Unreadable(String),
    /// The value of the field.
    Given(T),
}

/// Facts that both forms of a desktop contain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesktopFacts {
    /// `computer_name`.
    pub computer_name: Fact<String>,
    /// `user_name`: the user it is assigned to. The documentation does not specify it for a pooled or shared desktop.
    pub user_name: Fact<String>,
    /// `attach_user_infos`: all users and groups that it is assigned to.
    pub attached: Fact<BTreeSet<AttachedUser>>,
    /// `created`, truncated to whole seconds, the precision of the short form. A time without a zone is taken as UTC.
    pub created: Fact<Timestamp>,
    /// `tags`.
    pub tags: Fact<BTreeMap<String, String>>,
    /// `in_maintenance_mode`.
    pub maintenance: Fact<bool>,
    /// `desktop_type`.
    pub kind: Fact<DesktopKind>,
    /// `pool_id`, which only newer services give, and only in the short form.
    pub pool: Fact<String>,
}

/// A user, or a group of users, whom a desktop is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttachedUser {
    /// `user_name`: name of the user or of the group.
    pub name: String,
    /// `type`; a user by default.
    pub kind: AttachedKind,
}

/// Whether a desktop is assigned to a user or to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachedKind {
    /// `USER`.
    User,
    /// `GROUP`.
    Group,
}

/// Kind of desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesktopKind {
    /// `DEDICATED`: of its own user.
    Dedicated,
    /// `SHARED`: of several users.
    Shared,
    /// `POOLED`: of a desktop pool.
    Pooled,
}

/// A desktop with the facts of the detailed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopDetails {
    /// The facts of both forms.
    pub desktop: Desktop,
    /// The facts of this form only.
    pub facts: DetailFacts,
}

/// Facts that only the detailed form of a desktop contains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DetailFacts {
    /// `login_status`.
    pub login_status: Fact<LoginStatus>,
    /// `product.charge_mode`, where `0` is prepaid.
    pub charge_mode: Fact<Billing>,
    /// `metadata.charging_mode`, where `1` is prepaid. Newer documents no longer name it.
    pub charging_mode: Fact<Billing>,
    /// `order_id` of a prepaid desktop; one that has none may give it as empty, or not at all.
    pub order_id: Fact<String>,
}

/// The login status of a desktop, that is, of the session on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStatus {
    /// `UNREGISTER`: it starts, or is shut down.
    Unregistered,
    /// `REGISTERED`: it waits for its user.
    Registered,
    /// `CONNECTED`: a user works on it.
    Connected,
    /// `DISCONNECTED`: a user has left, but the session may go on.
    Disconnected,
    /// `OFFLINE`, which only the user guide names.
    Offline,
}

/// How a desktop is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Yearly or monthly.
    Prepaid,
    /// By use.
    PayPerUse,
}
