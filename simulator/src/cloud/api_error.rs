//! Error responses, in the four formats that the gateway, Workspace and IAM use.

use http::{StatusCode, header};
use serde_json::json;

use super::Response;

/// Why a request was rejected, before it is rendered as a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    envelope: Envelope,
    code: String,
    message: String,
    detail: String,
    authorization_message: Option<String>,
    retry_after: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Envelope {
    /// `{"error_code": "APIGW.0301", "error_msg", "request_id"}`
    Gateway,
    /// `{"error_code": "WKS.…", "error_msg", "error_detail", "encoded_authorization_message"}`
    Workspace,
    /// `{"error": {"code", "message", "title"}}`, paths under `/v3/`
    Keystone,
    /// `{"error_code": "IAM.…", "error_msg"}`, paths under `/v3.0/`
    Iam,
}

impl ApiError {
    fn new(envelope: Envelope, status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            envelope,
            code: code.to_owned(),
            message: message.into(),
            detail: String::new(),
            authorization_message: None,
            retry_after: None,
        }
    }

    /// An error of the gateway in front of the service; `number` is the code without its prefix.
    pub(super) fn gateway(status: StatusCode, number: &str, message: impl Into<String>) -> Self {
        Self::new(Envelope::Gateway, status, number, message)
    }

    /// The gateway could not authenticate the caller.
    pub(super) fn unauthenticated(why: &str) -> Self {
        Self::gateway(
            StatusCode::UNAUTHORIZED,
            "0301",
            format!("Incorrect IAM authentication information: {why}"),
        )
    }

    /// An error of Workspace.
    pub(super) fn workspace(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::new(Envelope::Workspace, status, code, message)
    }

    /// Workspace finds a field of the request wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::workspace(StatusCode::BAD_REQUEST, "WKS.00010001", message)
    }

    /// An error of IAM on one of its Keystone-style paths.
    pub(super) fn keystone(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(Envelope::Keystone, status, "", message)
    }

    /// An error of IAM on one of its own paths.
    pub(super) fn iam(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::new(Envelope::Iam, status, code, message)
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub(super) fn with_authorization_message(mut self, message: Option<String>) -> Self {
        self.authorization_message = message;
        self
    }

    pub(super) fn with_retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// The error as a response; `prefix` is that of the gateway, `APIGW` or `APIG`.
    pub(super) fn response(&self, prefix: &str, request_id: &str) -> Response {
        let body = match self.envelope {
            Envelope::Gateway => json!({
                "error_code": format!("{prefix}.{}", self.code),
                "error_msg": self.message,
                "request_id": request_id,
            }),
            Envelope::Workspace => {
                let mut body = json!({"error_code": self.code, "error_msg": self.message});
                if !self.detail.is_empty() {
                    body["error_detail"] = self.detail.as_str().into();
                }
                if let Some(message) = &self.authorization_message {
                    body["encoded_authorization_message"] = message.as_str().into();
                }
                body
            }
            Envelope::Keystone => json!({"error": {
                "code": self.status.as_u16(),
                "message": self.message,
                "title": self.status.canonical_reason(),
            }}),
            Envelope::Iam => json!({"error_code": self.code, "error_msg": self.message}),
        };
        let mut response = Response::json(self.status, &body);
        if let Some(seconds) = self.retry_after {
            response.set(header::RETRY_AFTER, &seconds.to_string());
        }
        response
    }
}
