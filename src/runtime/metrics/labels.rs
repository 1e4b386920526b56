//! Labels. Their values come from this program, never from an object, a Secret or an answer, so that the number of
//! series stays bounded.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::workspace::error::Failure;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Submission {
    pub(super) outcome: &'static str,
    pub(super) class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct State {
    pub(super) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Condition {
    pub(super) condition: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CloudCall {
    pub(super) operation: &'static str,
    pub(super) code: CallCode,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SuppressedRequest {
    pub(super) operation: &'static str,
    pub(super) breaker: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BreakerLabel {
    pub(super) breaker: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Right {
    pub(super) priority: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reconcile {
    pub(super) kind: &'static str,
    pub(super) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ApiWrite {
    pub(super) kind: &'static str,
    pub(super) step: &'static str,
}

/// A part of the operator by its name in `/livez`, which holds at most the namespace that it watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Task {
    pub(super) task: String,
}

/// How a call of the cloud ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallCode {
    /// With an answer of this HTTP status.
    Http(u16),
    /// No byte was sent.
    NotSent,
    /// Sent, or perhaps sent, but without a whole answer.
    NoAnswer,
}

impl From<&Failure> for CallCode {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::NotSent { .. } | Failure::CircuitOpen { .. } => Self::NotSent,
            Failure::NoAnswer { .. } => Self::NoAnswer,
            Failure::Refused(refusal) => Self::Http(refusal.status),
            Failure::Unreadable { status, .. } => Self::Http(*status),
        }
    }
}

impl EncodeLabelValue for CallCode {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
        match self {
            Self::Http(status) => EncodeLabelValue::encode(status, encoder),
            Self::NotSent => EncodeLabelValue::encode(&"notSent", encoder),
            Self::NoAnswer => EncodeLabelValue::encode(&"noResponse", encoder),
        }
    }
}
