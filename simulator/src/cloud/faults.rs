//! Faults: responses other than the one that a request would have received.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::operation::{Call, Operation};
use super::{Request, Response};
use crate::world::Span;

/// One fault: which requests it strikes, and what happens to them.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only requests of this operation; null for every operation.
    #[serde(default)]
    pub operation: Option<Operation>,

    /// Only the n-th request (from 1) that otherwise matches, counted from the moment the fault was added; null for
    /// every one.
    #[serde(default)]
    pub nth: Option<u32>,

    /// Only requests that name this desktop in path, query or body; null for all.
    #[serde(default)]
    pub desktop: Option<String>,

    /// Whether the request is carried out before the fault shows.
    #[serde(default)]
    pub effect_first: bool,

    /// What the caller gets.
    pub answer: FaultEffect,
}

/// What a fault does to the response.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = r#"an answer must be "reset", "timeout", "endless", {"status": 504}, {"delay": "3s"}, {"cutAfter": 12}, {"drip": "1s"}, {"dateAhead": "25m"} or {"dateBehind": "25m"}"#
)]
pub enum FaultEffect {
    /// `"reset"`, `"timeout"` or `"endless"`.
    Connection(ConnectionFault),
    /// `{"status": 504, "headers": {…}, "body": …}`, or `bodyHex` in place of `body`
    Status(StatusFault),
    /// `{"delay": "3s"}`
    Delay(DelayFault),
    /// `{"cutAfter": 12}`
    Cut(CutFault),
    /// `{"drip": "1s"}`
    Drip(DripFault),
    /// `{"dateAhead": "25m"}`
    DateAhead(DateAheadFault),
    /// `{"dateBehind": "25m"}`
    DateBehind(DateBehindFault),
}

/// What happens to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ConnectionFault {
    /// It is reset.
    Reset,
    /// It stays open and no response is sent.
    Timeout,
    /// It stays open, and blanks without end follow the body. The request is carried out in any case.
    Endless,
}

/// Another response.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusFault {
    /// The HTTP status, 200 to 999.
    pub status: u16,

    /// Headers; null takes one away that the service would send, such as `Date`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,

    /// The body: a text is sent as it is, anything else as JSON; empty by default.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,

    /// In place of `body`: the bytes of one that is no text, two hexadecimal digits each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hex: Option<String>,
}

/// A late response. With `effectFirst` the request is executed immediately and the response is late; without, it is
/// executed late, even if the caller has timed out in the meantime.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DelayFault {
    /// How late.
    pub delay: Span,
}

/// A response that is cut off. The request is executed in any case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CutFault {
    /// How many bytes of the body still come.
    pub cut_after: usize,
}

/// A slow response. The request is executed in any case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DripFault {
    /// The pause before each byte of the body.
    pub drip: Span,
}

/// The regular response with a `Date` that is ahead. The request is executed in any case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DateAheadFault {
    /// How far.
    pub date_ahead: Span,
}

/// The regular response with a `Date` that is behind. The request is executed in any case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DateBehindFault {
    /// How far.
    pub date_behind: Span,
}

/// A fault with the count of requests that matched it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmedFault {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many requests matched operation and desktop so far.
    pub matched: u32,
    /// How many of them the fault was applied to.
    pub struck: u32,
}

/// The faults that wait for requests, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Vec<ArmedFault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> Result<(), String> {
        fault.check()?;
        self.0.push(ArmedFault {
            fault,
            matched: 0,
            struck: 0,
        });
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn list(&self) -> &[ArmedFault] {
        &self.0
    }

    /// The fault that applies to this request. If several match, it is the oldest; each of them counts the request.
    pub(super) fn matching(&mut self, call: &Call, request: &Request) -> Option<Fault> {
        let mut striking = None;
        for armed in &mut self.0 {
            if !armed.fault.matches(call, request) {
                continue;
            }
            armed.matched += 1;
            let due = armed.fault.nth.is_none_or(|nth| nth == armed.matched);
            if due && striking.is_none() {
                armed.struck += 1;
                striking = Some(armed.fault.clone());
            }
        }
        striking
    }
}

impl Fault {
    fn matches(&self, call: &Call, request: &Request) -> bool {
        self.operation.is_none_or(|operation| operation == call.operation)
            && self
                .desktop
                .as_ref()
                .is_none_or(|desktop| call.names_desktop(desktop, request))
    }

    fn check(&self) -> Result<(), String> {
        if self.nth == Some(0) {
            return Err("nth counts from 1".to_owned());
        }
        let FaultEffect::Status(fault) = &self.answer else {
            return Ok(());
        };
        if !(200..=999).contains(&fault.status) {
            return Err(format!("the status {} is not within 200 and 999", fault.status));
        }
        if let Some(hex) = &fault.body_hex {
            if !fault.body.is_null() {
                return Err("there are both body and bodyHex".to_owned());
            }
            bytes_of(hex).ok_or("bodyHex must be pairs of hexadecimal digits")?;
        }
        for (name, value) in &fault.headers {
            let named = HeaderName::from_bytes(name.as_bytes()).is_ok();
            let valued = value
                .as_ref()
                .is_none_or(|value| HeaderValue::from_str(value).is_ok());
            if !named || !valued {
                return Err(format!("the header {name} cannot be sent"));
            }
        }
        Ok(())
    }
}

impl StatusFault {
    /// The response of this fault; `service` contains the headers that the service sends with every response.
    pub(super) fn response(&self, service: HeaderMap) -> Response {
        let mut headers = service;
        // Faults are checked when they are added, so that digits, names and values are legal here.
        let bytes = self.body_hex.as_deref().and_then(bytes_of).unwrap_or_default();
        let body = match &self.body {
            Value::Null => Bytes::from(bytes),
            Value::String(text) => Bytes::from(text.clone()),
            json => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Bytes::from(json.to_string())
            }
        };
        for (name, value) in &self.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            match value.as_deref().map(HeaderValue::from_str) {
                Some(Ok(value)) => drop(headers.insert(name, value)),
                _ => drop(headers.remove(name)),
            }
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Response {
            status,
            headers,
            body,
        }
    }
}

/// The bytes of hexadecimal digits.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| match std::str::from_utf8(pair) {
            Ok(digits) if pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit) => {
                u8::from_str_radix(digits, 16).ok()
            }
            _ => None,
        })
        .collect()
}
