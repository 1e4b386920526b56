//! Sends one request and receives one response. The important cases are distinguished here: a request that was
//! certainly not sent, one that may have been sent, and a response.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use crate::workspace::transport::{Transport, TransportError};

/// A response with its body, with any status.
pub(in crate::workspace) struct ReceivedResponse {
    pub(in crate::workspace) status: StatusCode,
    pub(in crate::workspace) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// There was more than `body` holds.
    truncated: bool,
}

/// Limits of a response: the maximum size of the body that is read, in bytes, and the timeout.
#[derive(Clone, Copy)]
pub(in crate::workspace) struct Limits {
    /// Maximum body of a success response.
    pub(in crate::workspace) max_success_body: usize,
    /// Maximum body of any other response.
    pub(in crate::workspace) max_error_body: usize,
    /// From resolving the name to the last byte of the body.
    pub(in crate::workspace) timeout: Duration,
}

/// Sends once, takes in the head and a bounded body.
pub(super) async fn transfer(
    transport: &dyn Transport,
    call: http::Request<Vec<u8>>,
    limits: Limits,
) -> Result<ReceivedResponse, TransportError> {
    let mut call = reqwest::Request::try_from(call).map_err(|error| TransportError::from_reqwest(&error))?;
    *call.timeout_mut() = Some(limits.timeout);
    let mut response = transport.send(call).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let max = if status.is_success() {
        limits.max_success_body
    } else {
        limits.max_error_body
    };
    let mut received = ReceivedResponse {
        status,
        headers,
        body: Vec::new(),
        truncated: false,
    };
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| TransportError::from_reqwest(&error))?
    {
        let room = max - received.body.len();
        received.body.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room {
            received.truncated = true;
            break;
        }
    }
    Ok(received)
}

impl ReceivedResponse {
    /// Why the body cannot be read at all.
    pub(super) fn defect(&self) -> Option<String> {
        if self.truncated {
            return Some(format!("it is longer than {} bytes", self.body.len()));
        }
        let encoding = self.headers.get(header::CONTENT_ENCODING)?;
        let plain = encoding.as_bytes().eq_ignore_ascii_case(b"identity");
        (!plain).then(|| "unexpected Content-Encoding".to_owned())
    }
}
