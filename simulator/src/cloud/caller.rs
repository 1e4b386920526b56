//! The caller of a request, and its permissions.

use std::collections::BTreeMap;

use crate::world::Permission;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Name in the ledger: the id of the access key, or the user behind the token.
    pub(super) name: String,
    /// Name of the user in error responses.
    pub(super) user: String,
    /// Name of the account.
    pub(super) account: String,
    /// Id of the account.
    pub(super) account_id: String,
    /// The only project that the credentials are for; `None` for all of the account.
    pub(super) project: Option<String>,
    /// What the caller may do; `None` for everything.
    pub(super) permissions: Option<Vec<Permission>>,
}

impl Caller {
    /// Whether the caller may do `action`, to a desktop with these tags where one is meant.
    pub(super) fn is_allowed(&self, action: &str, tags: Option<&BTreeMap<String, String>>) -> bool {
        let Some(permissions) = &self.permissions else {
            return true;
        };
        permissions
            .iter()
            .filter(|permission| permission.covers(action))
            .any(|permission| match tags {
                None => true,
                Some(tags) => permission
                    .tags
                    .iter()
                    .all(|(key, value)| tags.get(key) == Some(value)),
            })
    }

    /// The caller as error responses name it.
    pub(super) fn principal(&self) -> String {
        format!("iam::{}:user:{}", self.account_id, self.user)
    }
}
