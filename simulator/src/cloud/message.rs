//! Requests and answers as plain data: no sockets, no clock.

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
    /// The first value of a header, without blanks at both ends; `None` if absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,

    /// The headers, `Content-Length` left to whoever sends it.
    pub headers: HeaderMap,

    /// The body.
    pub body: Bytes,
}

impl Response {
    /// An answer with a JSON body.
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

    /// Sets a header whose value the simulator made itself; a value that is no legal header is left out.
    pub(super) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

/// What becomes of a request, for whoever holds the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this answer.
    Complete(Response),

    /// Wait, then send this answer.
    Delayed {
        /// How long to wait.
        delay: Span,
        /// What to send then.
        response: Response,
    },

    /// Announce the whole answer, send only the first bytes of its body, then close the connection.
    Cut {
        /// How many bytes of the body to send.
        after: usize,
        /// The answer that is begun.
        response: Response,
    },

    /// Announce the whole answer, then send its body byte by byte.
    Dripping {
        /// The pause before each byte.
        pause: Span,
        /// The answer.
        response: Response,
    },

    /// Send this answer without a length, and blanks after it until the client goes away.
    Endless(Response),

    /// Wait, then hand the same request to [`Cloud::resume`](super::Cloud::resume): it is still on its way.
    /// It arrives even when the client has given up.
    Held {
        /// How long to wait.
        delay: Span,
    },

    /// Reset the connection.
    Reset,

    /// Keep the connection open and never answer.
    Timeout,
}
