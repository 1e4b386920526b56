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

    /// Whether the API server would refuse the same call again. It may be restarting or overloaded otherwise, or the load
    /// balancer before it has answered.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused(status) if (400..500).contains(&status.code) && status.code != 429)
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

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_a_refusal_of_the_call_itself_is_permanent() {
        let refused = |code| Error::Refused(Box::new(Status::failure("", "").with_code(code)));
        for code in [400, 401, 403, 404, 422] {
            assert!(refused(code).is_permanent(), "{code}");
        }
        for code in [429, 500, 502, 503, 504] {
            assert!(!refused(code).is_permanent(), "{code}");
        }
        assert!(!Error::other("connection refused").is_permanent());
    }
}
