//! Requests and responses as plain data: no sockets, no clock.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::world::Span;

/// One request as it came in, nothing decoded.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,

    /// The path, still percent-encoded, without the query.
    pub path: String,

    /// The query without its question mark, still percent-encoded; empty if there is none.
    pub query: String,

    /// The headers.
    pub headers: HeaderMap,

    /// The body; empty if there is none.
    pub body: Bytes,
}

impl Request {
    /// The first value of a header, without surrounding whitespace; `None` if absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    }
}

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,

    /// The headers, without `Content-Length`, which the sender adds.
    pub headers: HeaderMap,

    /// The body.
    pub body: Bytes,
}

impl Response {
    /// A response with a JSON body.
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            status,
            headers,
            // Every key is text, so that nothing can go wrong.
            body: Bytes::from(serde_json::to_vec(body).unwrap_or_default()),
        }
    }

    /// Sets a header whose value the simulator made itself; an invalid header value is omitted.
    pub(super) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

/// How the connection handles the response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Send this response.
    Complete(Response),

    /// Wait, then send this response.
    Delayed {
        /// How long to wait.
        delay: Span,
        /// What to send then.
        response: Response,
    },

    /// Announce the whole response, send only the first bytes of its body, then close the connection.
    Cut {
        /// How many bytes of the body to send.
        after: usize,
        /// The response.
        response: Response,
    },

    /// Announce the whole response, then send its body byte by byte.
    Dripping {
        /// The pause before each byte.
        pause: Span,
        /// The response.
        response: Response,
    },

    /// Send this response without a length, and spaces after it until the client disconnects.
    Endless(Response),

    /// Wait, then pass the same request to [`Cloud::resume`](super::Cloud::resume): it is still in transit. It arrives
    /// even if the client has timed out.
    Held {
        /// How long to wait.
        delay: Span,
    },

    /// Reset the connection.
    Reset,

    /// Keep the connection open and never respond.
    Timeout,
}
