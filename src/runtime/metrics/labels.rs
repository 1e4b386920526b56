//! Labels. Their values come from this program, never from an object, a Secret or a response, so that the number of
//! series stays bounded.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::workspace::error::Failure;

/// The labels of most metrics: names of labels, each with its value.
pub(super) type Labels<const N: usize> = [(&'static str, &'static str); N];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CloudCall {
    pub(super) operation: &'static str,
    pub(super) code: CallCode,
}

/// How a call of the cloud ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallCode {
    /// With a response with this HTTP status.
    Http(u16),
    /// No byte was sent.
    NotSent,
    /// Sent, or perhaps sent, but without a complete response.
    NoResponse,
}

impl From<&Failure> for CallCode {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::NotSent { .. } | Failure::CircuitOpen { .. } => Self::NotSent,
            Failure::NoResponse { .. } => Self::NoResponse,
            Failure::ErrorResponse(response) => Self::Http(response.status),
            Failure::Unreadable { status, .. } => Self::Http(*status),
        }
    }
}

impl EncodeLabelValue for CallCode {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
        match self {
            Self::Http(status) => EncodeLabelValue::encode(status, encoder),
            Self::NotSent => EncodeLabelValue::encode(&"notSent", encoder),
            Self::NoResponse => EncodeLabelValue::encode(&"noResponse", encoder),
        }
    }
}
