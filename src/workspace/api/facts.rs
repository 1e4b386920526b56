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
    /// The field holds something else than is documented: this word, or what kind of value it is, at most 64 characters.
    Unreadable(String),
    /// What the field says.
    Given(T),
}

/// What both forms of a desktop say of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesktopFacts {
    /// `computer_name`.
    pub computer_name: Fact<String>,
    /// `user_name`: the user it is assigned to. The documents do not say what it is for a pooled or shared desktop.
    pub user_name: Fact<String>,
    /// `attach_user_infos`: all whom it is assigned to.
    pub attached: Fact<BTreeSet<AttachedUser>>,
    /// `created`, cut to whole seconds, which is all that the short form gives. A time without a zone is taken as UTC.
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
    /// `type`; a user unless it says otherwise.
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

/// A desktop with what only the detailed form says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopDetails {
    /// What both forms say.
    pub desktop: Desktop,
    /// What only this form says.
    pub facts: DetailFacts,
}

/// What only the detailed form of a desktop says.
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

/// The session on a desktop.
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
