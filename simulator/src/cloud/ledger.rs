//! The append-only record of every request.

use jiff::Timestamp;
use serde::Serialize;

use super::Request;
use super::operation::Operation;
use super::signature::signing_time;
use crate::digest::sha256_hex;

/// One request and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// When the request was handled, by the clock of the machine.
    pub time: Timestamp,

    /// The operation.
    pub operation: Operation,

    /// The method.
    pub method: String,

    /// The path as it came in.
    pub path: String,

    /// The query as it came in, without its question mark.
    pub query: String,

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub body: String,

    /// `sha256:` and the SHA-256 of the body's bytes in lower-case hexadecimal digits.
    pub body_digest: String,

    /// Id of the access key that the request names, or the user behind its token; null if neither is known. It is set
    /// for rejected requests too.
    pub caller: Option<String>,

    /// Seconds from `X-Sdk-Date` to the service's clock, negative for a date ahead of it; null without a signature.
    pub signature_age: Option<f64>,

    /// The HTTP status that was sent; null when the connection was reset or never answered.
    pub status: Option<u16>,

    /// Whether the request changed anything: a batch was accepted, a token or key was made.
    pub took_effect: bool,

    /// The job that the request started.
    #[serde(rename = "jobID")]
    pub job_id: Option<String>,
}

impl LedgerEntry {
    /// The part of an entry that depends on the request alone, without its outcome.
    pub(super) fn of(request: &Request, operation: Operation, now: Timestamp, clock: Timestamp) -> Self {
        let signed_at = request.header("x-sdk-date").and_then(signing_time);
        Self {
            time: now,
            operation,
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            query: request.query.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            body_digest: format!("sha256:{}", sha256_hex(&request.body)),
            caller: None,
            signature_age: signed_at.map(|at| milliseconds(at, clock)),
            status: None,
            took_effect: false,
            job_id: None,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ages in milliseconds are far below the 53 bits of a float"
)]
fn milliseconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millisecond() - from.as_millisecond()) as f64 / 1000.0
}
