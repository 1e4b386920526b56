//! What the commands read of a request.

use desktop_deletion_operator::crd::DesktopDeletion;
use desktop_deletion_operator::crd::conditions::{self, ConditionType};
use desktop_deletion_operator::crd::deletion::{Attempt, DesktopState, DesktopStatus};
use desktop_deletion_operator::plan::attempts;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use crate::error::Error;

/// The annotation by which the policies of `deploy/self-approval` say who created a request.
const CREATOR: &str = "cloud-desktops.dev/created-by";

/// A desktop, as a table shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Desktop {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl From<&DesktopStatus> for Desktop {
    fn from(status: &DesktopStatus) -> Self {
        Self {
            id: status.id.to_string(),
            name: status.name.clone(),
            user: status.user.clone(),
            state: state(status.state),
            code: status.code.clone(),
            message: status.message.clone(),
        }
    }
}

impl Desktop {
    /// What is wrong with it, on one line.
    pub(crate) fn problem(&self) -> String {
        let parts = [&self.code, &self.message];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        parts.join(": ")
    }

    /// Its ID, and its computer name if that is known.
    pub(crate) fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.clone(),
        }
    }
}

/// The name of a state.
fn state(state: DesktopState) -> String {
    if state == DesktopState::Other {
        // This program is older than the operator.
        return "Unknown".to_owned();
    }
    format!("{state:?}")
}

/// Reading a request.
pub(crate) trait RequestExt {
    /// Name and uid, which every object of the API server has.
    fn name_and_uid(&self) -> Result<(&str, &str), Error>;
    /// The desktops of the status.
    fn desktops(&self) -> Vec<Desktop>;
    /// A condition of the status.
    fn condition(&self, kind: ConditionType) -> Option<&Condition>;
    /// Who created it, if a policy recorded that.
    fn creator(&self) -> Option<&str>;
    /// Whether it has ended.
    fn is_finished(&self) -> bool;
    /// The attempts of the status, oldest first.
    fn attempts(&self) -> &[Attempt];
    /// Whether a delete request of it may have had an effect.
    fn is_submitted(&self) -> bool;
}

impl RequestExt for DesktopDeletion {
    fn name_and_uid(&self) -> Result<(&str, &str), Error> {
        let name = self.metadata.name.as_deref();
        let identity = name.zip(self.metadata.uid.as_deref());
        identity.ok_or_else(|| Error::other("the API server returned an object without name or uid"))
    }

    fn desktops(&self) -> Vec<Desktop> {
        let desktops = self.status.iter().flat_map(|status| &status.desktops);
        desktops.map(Desktop::from).collect()
    }

    fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        conditions::find(&self.status.as_ref()?.conditions, kind)
    }

    fn creator(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(CREATOR).map(String::as_str)
    }

    fn is_finished(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(|status| status.completion_time.is_some())
    }

    fn attempts(&self) -> &[Attempt] {
        self.status.as_ref().map_or(&[], |status| &status.attempts)
    }

    fn is_submitted(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| attempts::unsettled(status).is_some())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A request for two desktops, with that status.
    pub(crate) fn request(status: &Value) -> DesktopDeletion {
        serde_json::from_value(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {
                "name": "leavers",
                "namespace": "vdi-prod",
                "uid": "7d8e9cf8-4f2d-45ea-b5a7-6f1d8360621b",
                "annotations": {CREATOR: "alice"},
            },
            "spec": {
                "projectRef": {"name": "prod"},
                "desktopIDs": ["pc-1", "pc-2"],
                "expected": [{"id": "pc-2", "userName": "ben"}],
                "force": true,
            },
            "status": status,
        }))
        .unwrap()
    }

    pub(crate) fn condition(kind: ConditionType, status: &str, reason: &str, message: &str) -> Value {
        json!({
            "type": kind.as_str(),
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": "2026-12-01T00:00:00Z",
        })
    }

    pub(crate) fn hash(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn a_request_is_submitted_once_an_attempt_may_have_had_an_effect() {
        let without_job = json!([]);
        for (outcome, jobs, submitted) in [
            ("Rejected", &without_job, false),
            ("NotSent", &without_job, false),
            ("NoEffect", &without_job, false),
            // Its job became visible later.
            ("NoEffect", &json!(["job-1"]), true),
            ("Pending", &without_job, true),
            ("Accepted", &without_job, true),
            ("Adopted", &without_job, true),
            ("Abandoned", &without_job, true),
            ("AWordOfANewerVersion", &without_job, true),
        ] {
            let attempt = json!({
                "id": "a1", "writer": "operator-1", "auth": "Signature", "desktopIDs": ["pc-1"],
                "bodyDigest": hash('0'), "signedAt": "2026-12-01T00:00:00Z", "outcome": outcome,
                "jobIDs": jobs,
            });
            let request = request(&json!({"attempts": [attempt]}));
            assert_eq!(request.is_submitted(), submitted, "{outcome}, {jobs}");
        }
    }

    #[test]
    fn a_desktop_says_what_is_wrong_with_it() {
        let status = json!({"desktops": [
            {"id": "pc-1", "state": "Failed", "name": "VDI-1", "code": "WKS.1", "message": "quota"},
            {"id": "pc-2", "state": "AWordOfANewerVersion"},
        ]});
        let desktops = request(&status).desktops();
        assert_eq!(desktops[0].title(), "pc-1 (VDI-1)");
        assert_eq!(desktops[0].problem(), "WKS.1: quota");
        assert_eq!(
            (desktops[1].title().as_str(), desktops[1].state.as_str()),
            ("pc-2", "Unknown")
        );
        assert_eq!(desktops[1].problem(), "");
    }
}
