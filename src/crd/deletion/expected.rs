//! What the author of a request expects of its desktops.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::crd::limits;
use crate::ids::DesktopID;

/// What a desktop is expected to be. At least one of `computerName` and `userName` is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.computerName) || has(self.userName)")
        .message("an expectation requires computerName, userName or both")
)]
pub struct Expectation {
    /// ID of the desktop, spelled as in `desktopIDs`.
    pub id: DesktopID,

    /// Computer name of the desktop, ignoring case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = limits::EXPECTED_NAME))]
    pub computer_name: Option<String>,

    /// Name of the only user that the desktop is assigned to, ignoring case. The expectation fails for a desktop that is
    /// also assigned to another user or to a group, and for one that is not assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = limits::EXPECTED_NAME))]
    pub user_name: Option<String>,
}
