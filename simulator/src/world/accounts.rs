//! Accounts with their credentials, and the permissions of each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One account (domain) of the cloud: owner of projects, with its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// Name of the account; a password login names it.
    pub name: String,

    /// Id of the account, the value of `X-Domain-Id`; by default 32 digits made from the name.
    #[serde(default)]
    pub id: String,

    /// Access keys of the account.
    #[serde(default)]
    pub access_keys: Vec<AccessKey>,

    /// IAM users, who log in with a password.
    #[serde(default)]
    pub users: Vec<User>,

    /// Tokens that exist from the start.
    #[serde(default)]
    pub tokens: Vec<StaticToken>,
}

/// One access key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessKey {
    /// The access key's id (AK).
    pub id: String,

    /// The secret (SK).
    pub secret: String,

    /// Set for a temporary key: it must come along as `X-Security-Token`.
    #[serde(default)]
    pub security_token: Option<String>,

    /// When the key ends. Default: never.
    #[serde(default)]
    pub expires: Option<Timestamp>,

    /// Name of the key's user in error responses; by default the key's ID.
    #[serde(default)]
    pub user: Option<String>,

    /// What the key may do. Default: what its user may do if that is a user of the account, else everything.
    #[serde(default)]
    pub permissions: Option<Vec<Permission>>,
}

/// One IAM user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// Login name.
    pub name: String,

    /// Password.
    pub password: String,

    /// What the user may do. Default: everything.
    #[serde(default)]
    pub permissions: Option<Vec<Permission>>,
}

/// A token that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticToken {
    /// The text of `X-Auth-Token`.
    pub token: String,

    /// Name of the user whose token it is; it may be one of the account's users.
    pub user: String,

    /// Id of the project that the token is for. Default: all projects of the account.
    #[serde(default)]
    pub project: Option<String>,

    /// When the token ends. Default: never.
    #[serde(default)]
    pub expires: Option<Timestamp>,

    /// What the token may do. Default: what its user may do if that is a user of the account, else everything.
    #[serde(default)]
    pub permissions: Option<Vec<Permission>>,
}

/// One allowed action: a bare text, or a mapping that ties it to desktops with certain tags.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "PermissionForm", into = "PermissionForm")]
pub struct Permission {
    /// An action such as `workspace:desktops:batchDelete`; a `*` at the end stands for anything.
    pub action: String,

    /// The desktop must carry all of these tags.
    pub tags: BTreeMap<String, String>,
}

impl Permission {
    /// Whether this permission is about `action`, regardless of the desktop.
    pub fn covers(&self, action: &str) -> bool {
        match self.action.strip_suffix('*') {
            Some(prefix) => action.starts_with(prefix),
            None => self.action == action,
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "a permission must be an action, or a mapping of action and tags"
)]
enum PermissionForm {
    Action(String),
    Tied(TiedPermission),
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TiedPermission {
    action: String,
    tags: BTreeMap<String, String>,
}

impl From<PermissionForm> for Permission {
    fn from(form: PermissionForm) -> Self {
        match form {
            PermissionForm::Action(action) => Self {
                action,
                tags: BTreeMap::new(),
            },
            PermissionForm::Tied(TiedPermission { action, tags }) => Self { action, tags },
        }
    }
}

impl From<Permission> for PermissionForm {
    fn from(permission: Permission) -> Self {
        let Permission { action, tags } = permission;
        if tags.is_empty() {
            Self::Action(action)
        } else {
            Self::Tied(TiedPermission { action, tags })
        }
    }
}
