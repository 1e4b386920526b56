//! Errors, worded like those of kubectl.

use std::fmt;

/// Why a command could not be carried out.
#[derive(Debug)]
pub(crate) enum Error {
    /// The API server refused a call.
    Refused(Box<kube::core::Status>),
    /// Something else, in a sentence.
    Other(String),
}

impl Error {
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    /// Whether the object was changed by another client since it was read.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409)
    }

    /// Whether the object does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) if status.reason.is_empty() => {
                write!(f, "Error from server: {}", status.message)
            }
            Self::Refused(status) => {
                write!(f, "Error from server ({}): {}", status.reason, status.message)
            }
            Self::Other(message) => write!(f, "error: {message}"),
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status),
            error => Self::Other(error.to_string()),
        }
    }
}
