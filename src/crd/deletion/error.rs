//! Errors of the cloud in status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::crd::conditions::api_enum;
use crate::crd::{limits, rules};
use crate::ids::Operation;

/// An error response of the cloud, or the failure to get a response.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CloudError {
    /// When the error occurred, by the operator's clock.
    #[schemars(with = "Time", length(max = limits::TIME), regex(pattern = rules::TIME))]
    #[x_kube(validation = rules::recorded_time())]
    pub time: Time,

    /// Operation that failed, such as `batchDelete`.
    #[schemars(with = "String", length(max = limits::ERROR_CODE))]
    pub operation: Operation,

    /// Class of the error, which decides how the operator handles it, such as `Throttled`.
    #[schemars(with = "String", length(max = limits::ERROR_CODE))]
    pub class: ErrorClass,

    /// HTTP status of the response. Absent if there was no response.
    #[serde(default, rename = "httpStatus", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 100, max = 999))]
    pub http_status: Option<i32>,

    /// Error code of the cloud, such as `WKS.00010099`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::ERROR_CODE))]
    pub code: Option<String>,

    /// Error message of the cloud, or the reason why there was no response. Truncated to 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::ERROR_TEXT))]
    pub message: Option<String>,

    /// Detailed error message of the cloud. Truncated to 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::ERROR_TEXT))]
    pub detail: Option<String>,

    /// Request ID of the call, which the cloud's support asks for.
    #[serde(default, rename = "requestID", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::REQUEST_ID))]
    pub request_id: Option<String>,

    /// Encoded reason of a denial. It can be decoded with the permission `sts::decodeAuthorizationMessage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = limits::AUTHORIZATION_MESSAGE))]
    pub encoded_authorization_message: Option<String>,
}

api_enum! {
    /// What kind of failure it is.
    #[derive(Serialize, Deserialize)]
    ErrorClass {
        /// The content of the request is rejected, by a code that is known to mean that.
        InvalidRequest,
        /// The request is rejected, and the meaning of the code is not known.
        UnknownRefusal,
        /// The credentials are rejected.
        Authentication,
        /// The credentials lack a permission.
        Permission,
        /// The address is not that of the service.
        WrongEndpoint,
        /// The service is not enabled for the account.
        ServiceDisabled,
        /// Something named in the request does not exist.
        NotFound,
        /// A desktop cannot be deleted in its current state.
        Conflict,
        /// Too many requests.
        Throttled,
        /// The service reported that it is unavailable, so the request certainly had no effect.
        Unavailable,
        /// The request did not leave this process.
        Unreachable,
        /// It may have been carried out.
        InDoubt,
    }
    or
    /// A value of a newer version. A status write keeps it.
    #[serde(other)]
    Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_stored_by_its_name() {
        for class in ErrorClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(
                serde_json::from_value::<ErrorClass>(class.as_str().into()).unwrap(),
                *class
            );
        }
    }

    #[test]
    fn a_class_that_only_a_newer_version_knows_can_be_read() {
        let class: ErrorClass = serde_json::from_value("QuotaExceeded".into()).unwrap();
        assert_eq!(class, ErrorClass::Other);
    }
}
