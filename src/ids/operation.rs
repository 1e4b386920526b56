//! The calls of the cloud that the operator makes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The calls, by the names that errors, metrics and status use.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `POST …/desktops/batch-delete`.
    BatchDelete,
    /// `GET …/desktops`.
    ListDesktops,
    /// `GET …/desktops/detail`.
    ListDesktopsDetail,
    /// `GET …/desktops/{desktop_id}`.
    ShowDesktop,
    /// `GET …/workspace-sub-jobs`.
    ListSubJobs,
    /// `GET …/workspace-jobs/{job_id}`.
    ShowJob,
    /// `POST /v3/auth/tokens` of IAM: a token for a password.
    CreateToken,
    /// `POST /v3.0/OS-CREDENTIAL/securitytokens` of IAM: a temporary access key for a token.
    CreateTemporaryAccessKey,
    /// `GET /v3/auth/tokens` of IAM: when a token ends.
    ValidateToken,
    /// A value of a newer version of the operator. A status write keeps it.
    #[serde(other)]
    Other,
}

impl Operation {
    /// Every call that this version makes.
    pub const ALL: &'static [Self] = &[
        Self::BatchDelete,
        Self::ListDesktops,
        Self::ListDesktopsDetail,
        Self::ShowDesktop,
        Self::ListSubJobs,
        Self::ShowJob,
        Self::CreateToken,
        Self::CreateTemporaryAccessKey,
        Self::ValidateToken,
    ];

    /// Name in status, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BatchDelete => "batchDelete",
            Self::ListDesktops => "listDesktops",
            Self::ListDesktopsDetail => "listDesktopsDetail",
            Self::ShowDesktop => "showDesktop",
            Self::ListSubJobs => "listSubJobs",
            Self::ShowJob => "showJob",
            Self::CreateToken => "createToken",
            Self::CreateTemporaryAccessKey => "createTemporaryAccessKey",
            Self::ValidateToken => "validateToken",
            Self::Other => "other",
        }
    }

    /// Whether it is a call of IAM rather than of Workspace.
    pub fn is_of_iam(self) -> bool {
        matches!(
            self,
            Self::CreateToken | Self::CreateTemporaryAccessKey | Self::ValidateToken
        )
    }

    /// The permission that an identity policy must allow for it (vendor's API reference, permissions). Calls to IAM
    /// need no permission, only that the account lets the IAM user make them.
    pub fn permission(self) -> &'static str {
        match self {
            Self::BatchDelete => "workspace:desktops:batchDelete",
            Self::ListDesktops => "workspace:desktops:list",
            Self::ListDesktopsDetail => "workspace:desktops:listDetail",
            Self::ShowDesktop => "workspace:desktops:get",
            Self::ListSubJobs => "workspace:jobs:listSubJobs",
            Self::ShowJob => "workspace:jobs:get",
            Self::CreateToken | Self::CreateTemporaryAccessKey | Self::ValidateToken => {
                "for programmatic access to IAM"
            }
            Self::Other => "for this call",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_serialized_by_its_name() {
        for operation in Operation::ALL {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.as_str());
        }
        let newer: Operation = serde_json::from_value("rebootDesktops".into()).unwrap();
        assert_eq!(newer, Operation::Other);
    }
}
