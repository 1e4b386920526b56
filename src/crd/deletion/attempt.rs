//! The write-ahead log of submissions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CloudError;
use crate::crd::{limits, rules};
use crate::ids::{AttemptID, DesktopID, JobID};

/// One entry of the write-ahead log: an intent to send one batch-delete call, stored before the call is sent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::forbidden(
        FACTS_ARE_FINAL,
        "the facts of an attempt are final; only its outcome, jobIDs and error are written later"
    ),
    validation = rules::forbidden(
        "oldSelf.outcome == 'Pending' || self.outcome == oldSelf.outcome",
        "the outcome of an attempt is decided once: it leaves Pending and never changes again"
    )
    .field_path(".outcome"),
    validation = rules::forbidden(
        ERROR_IS_FINAL,
        "the error of an attempt is written until its outcome is decided, and never again"
    )
    .field_path(".error"),
    validation = rules::forbidden(
        "self.outcome != 'Accepted' || has(self.jobIDs)",
        "an attempt that the cloud accepted names its job"
    )
    .field_path(".jobIDs"),
    validation = rules::forbidden(
        "!has(oldSelf.jobIDs) || (has(self.jobIDs) && oldSelf.jobIDs.all(job, job in self.jobIDs))",
        "a job that was recorded stays recorded; jobIDs may only grow"
    )
    .field_path(".jobIDs")
)]
pub struct Attempt {
    /// Name of the attempt: a random word made by the operator. The annotation `cloud-desktops.dev/resolve` refers
    /// to it.
    pub id: AttemptID,

    /// Name of the operator's pod that wrote the intent; its log tells more.
    #[schemars(length(max = limits::OBJECT_NAME))]
    pub writer: String,

    /// How the call proves who it is, hence how long it can take effect: `Signature` (access key; refused 15 minutes
    /// after it was signed) or `Token` (good until the token expires).
    pub auth: AuthMethod,

    /// The desktops in the body of the call: those of the spec that existed and that nothing else was deleting.
    #[serde(rename = "desktopIDs")]
    #[schemars(length(min = 1, max = limits::DESKTOPS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub desktop_ids: Vec<DesktopID>,

    /// Deletion jobs that named any of these desktops before the call. They prove nothing about the call.
    #[serde(default, rename = "baselineJobIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::BASELINE_JOBS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub baseline_job_ids: Vec<JobID>,

    /// Desktops that were in a failed state before the call. That state proves nothing about the call.
    #[serde(default, rename = "baselineFailedIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::DESKTOPS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub baseline_failed_ids: Vec<DesktopID>,

    /// Whether there were more earlier jobs than could be read or stored, so that a job outside `baselineJobIDs`
    /// may still be an earlier one. Absent means false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline_incomplete: bool,

    /// SHA-256 of the body of the call: sha256: and 64 hexadecimal digits.
    #[schemars(length(max = 71), regex(pattern = rules::DIGEST))]
    pub body_digest: String,

    /// When the call was signed, by the operator's clock.
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub signed_at: Time,

    /// When the call can take effect at the latest, by its signature or token, without allowance for clocks. Absent
    /// means that it is not known; then it is taken to be 24 hours after `signedAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub not_after: Option<Time>,

    /// What became of the call. `Pending`: it may be on its way, or its answer was lost and evidence is awaited.
    /// `NotSent`: no byte of it left the operator. `Rejected`: the cloud refused it and did nothing. `Accepted`: the
    /// cloud answered with a job. `Adopted`: the answer was lost, and the job was found afterwards. `NoEffect`: the
    /// answer was lost, and it is proven that nothing came of it. `Abandoned`: a person gave it up. It leaves
    /// `Pending` once and never changes again.
    pub outcome: Outcome,

    /// The jobs in the cloud that came of the call. One at most, unless evidence found others. May grow late.
    #[serde(default, rename = "jobIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::JOBS_PER_ATTEMPT))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub job_ids: Vec<JobID>,

    /// The error by which the call ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CloudError")]
    pub error: Option<CloudError>,
}

impl Attempt {
    /// Something came of it in the cloud: a job is known, or it was proven by other evidence.
    pub fn took_effect(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted | Outcome::Adopted) || !self.job_ids.is_empty()
    }

    /// It may still take effect, or its effect may not be known yet.
    pub fn is_open(&self) -> bool {
        let undecided = matches!(
            self.outcome,
            Outcome::Pending | Outcome::Abandoned | Outcome::Other
        );
        undecided && !self.took_effect()
    }
}

const ERROR_IS_FINAL: &str = "oldSelf.outcome == 'Pending' \
    || (has(self.error) == has(oldSelf.error) && (!has(self.error) || self.error == oldSelf.error))";

/// Everything of an attempt that is known when it is written.
const FACTS_ARE_FINAL: &str = "self.writer == oldSelf.writer && self.auth == oldSelf.auth \
    && self.desktopIDs == oldSelf.desktopIDs \
    && self.bodyDigest == oldSelf.bodyDigest && self.signedAt == oldSelf.signedAt \
    && has(self.notAfter) == has(oldSelf.notAfter) \
    && (!has(self.notAfter) || self.notAfter == oldSelf.notAfter) \
    && has(self.baselineJobIDs) == has(oldSelf.baselineJobIDs) \
    && (!has(self.baselineJobIDs) || self.baselineJobIDs == oldSelf.baselineJobIDs) \
    && has(self.baselineFailedIDs) == has(oldSelf.baselineFailedIDs) \
    && (!has(self.baselineFailedIDs) || self.baselineFailedIDs == oldSelf.baselineFailedIDs) \
    && (has(self.baselineIncomplete) && self.baselineIncomplete) \
    == (has(oldSelf.baselineIncomplete) && oldSelf.baselineIncomplete)";

/// How the request of an attempt proved who it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// An AK/SK signature, which the gateway refuses 15 minutes after it was made.
    Signature,
    /// An `X-Auth-Token`, good until the token expires.
    Token,
    /// A word of a newer version. A status write leaves it as it stands.
    #[serde(other)]
    #[schemars(skip)]
    Other,
}

/// What became of an attempt.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No byte of the request left the operator.
    NotSent,
    /// The cloud refused it and did nothing.
    Rejected,
    /// The cloud answered 202 with a job.
    Accepted,
    /// The answer was lost; the job was found afterwards.
    Adopted,
    /// The answer was lost; it is proven that the request had no effect.
    NoEffect,
    /// A person gave the attempt up.
    Abandoned,
    /// The request may be on its way, or its answer was lost.
    Pending,
    /// A word of a newer version: it may have reached the cloud. A status write leaves the word as it stands.
    #[serde(other)]
    #[schemars(skip)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_only_a_newer_version_knows_can_be_read() {
        let auth: AuthMethod = serde_json::from_value("Certificate".into()).unwrap();
        assert_eq!(auth, AuthMethod::Other);
        let outcome: Outcome = serde_json::from_value("Superseded".into()).unwrap();
        assert_eq!(outcome, Outcome::Other);
    }
}
