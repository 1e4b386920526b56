//! Mutants of the world, each of which must be detected: they show which faults of the world the simulation can see.

use clap::ValueEnum;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// The HTTP client sends a submission again when its response is lost.
    ClientRetries,
    /// The API server accepts a write of the status regardless of its resource version.
    StatusWithoutResourceVersion,
    /// The API server accepts a write of the status of a project regardless of its resource version.
    ProjectStatusWithoutResourceVersion,
    /// The API server answers a read of a Secret with another Secret.
    SecretOfAnother,
    /// The API server removes a deleted object although it has a finalizer.
    FinalizersIgnored,
    /// The gateway honours signatures for two hours.
    SignaturesLiveLong,
    /// An accepted submission becomes visible only after an hour.
    JobsShowLate,
}

impl Mutant {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ClientRetries => "the HTTP client sends a submission again when its response is lost",
            Self::StatusWithoutResourceVersion => {
                "the API server accepts a write of the status regardless of its resource version"
            }
            Self::ProjectStatusWithoutResourceVersion => {
                "the API server accepts a write of the status of a project regardless of its resource version"
            }
            Self::SecretOfAnother => "the API server answers a read of a Secret with another one",
            Self::FinalizersIgnored => "the API server removes a deleted object although it has a finalizer",
            Self::SignaturesLiveLong => "the gateway honours signatures for two hours",
            Self::JobsShowLate => "an accepted submission becomes visible only after an hour",
        }
    }
}
