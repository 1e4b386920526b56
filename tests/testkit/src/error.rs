//! What can go wrong while the local world is built or used.

use std::fmt;
use std::path::PathBuf;

/// Why a part of the local world could not be built, started or asked.
///
/// `Debug` prints what `Display` prints, so that `unwrap()` in a test shows a sentence.
#[derive(thiserror::Error)]
pub enum Error {
    /// There is no Go, and so no means to build what tests need.
    #[error(
        "go is missing: install it (https://go.dev/dl/); what tests need is then built once. For a control plane \
         alone, KUBEBUILDER_ASSETS may name a folder with etcd, kube-apiserver and kubectl"
    )]
    NoGo,

    /// `KUBEBUILDER_ASSETS` is set, but a binary is not there.
    #[error("KUBEBUILDER_ASSETS names {folder}, where {binary} is missing: correct it, or unset it to build from source", folder = .folder.display())]
    MissingAsset {
        /// The folder that the variable names.
        folder: PathBuf,
        /// The file that is not in it.
        binary: &'static str,
    },

    /// `go build` failed.
    #[error("go build failed in {module}:\n{output}", module = .module.display())]
    Build {
        /// The folder of the Go module.
        module: PathBuf,
        /// The last lines that the tool chain printed.
        output: String,
    },

    /// A process of the local world could not be started, or ended before it was ready.
    #[error("{what} did not start: {reason}\n{log}")]
    Start {
        /// The process.
        what: String,
        /// What happened instead.
        reason: String,
        /// The end of its log.
        log: String,
    },

    /// The API server is older than the operator supports.
    #[error(
        "the API server is Kubernetes {found}, the tests need 1.32 or newer (selectable fields of custom resources)"
    )]
    TooOld {
        /// The version that it reports.
        found: String,
    },

    /// A condition did not come true within its bound.
    #[error("not within {bound:?}: {what}; seen last: {seen}")]
    Never {
        /// The condition, in words.
        what: String,
        /// How long it was waited for.
        bound: std::time::Duration,
        /// What was observed instead.
        seen: String,
    },

    /// kubectl ended with an error.
    #[error("kubectl {arguments} failed: {stderr}")]
    Kubectl {
        /// Its arguments.
        arguments: String,
        /// What it said.
        stderr: String,
    },

    /// The API server refused a request or could not be reached.
    #[error("{context}: {source}")]
    Kube {
        /// What was asked.
        context: String,
        /// The response.
        source: Box<kube::Error>,
    },

    /// A file, pipe or process could not be handled.
    #[error("{context}: {source}")]
    Io {
        /// What was done.
        context: String,
        /// The reason.
        source: std::io::Error,
    },

    /// Anything else, said in one sentence.
    #[error("{0}")]
    Other(String),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what was being done when an error came up.
pub(crate) trait Context<T> {
    /// Turns the error into an [`Error`] that begins with `context`.
    fn context(self, context: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, std::io::Error> {
    fn context(self, context: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            context: context(),
            source,
        })
    }
}

impl<T> Context<T> for Result<T, kube::Error> {
    fn context(self, context: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Kube {
            context: context(),
            source: Box::new(source),
        })
    }
}
