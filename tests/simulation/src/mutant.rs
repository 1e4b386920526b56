//! Ways to break the world on purpose, each of which must be noticed: what the simulation cannot see, it cannot vouch
//! for.

use clap::ValueEnum;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// The HTTP client sends a submission again when its answer is lost.
    ClientRetries,
    /// The API server takes a write of the status whatever its resource version.
    StatusWithoutResourceVersion,
    /// The API server takes a write of the status of a project whatever its resource version.
    ProjectStatusWithoutResourceVersion,
    /// The API server answers a read of a Secret with another one.
    SecretOfAnother,
    /// The API server lets a deleted object go although it has a finalizer.
    FinalizersIgnored,
    /// The gateway honours signatures for two hours.
    SignaturesLiveLong,
    /// An accepted submission shows after an hour only.
    JobsShowLate,
}

impl Mutant {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ClientRetries => "the HTTP client sends a submission again when its answer is lost",
            Self::StatusWithoutResourceVersion => {
                "the API server takes a write of the status whatever its resource version"
            }
            Self::ProjectStatusWithoutResourceVersion => {
                "the API server takes a write of the status of a project whatever its resource version"
            }
            Self::SecretOfAnother => "the API server answers a read of a Secret with another one",
            Self::FinalizersIgnored => "the API server lets a deleted object go although it has a finalizer",
            Self::SignaturesLiveLong => "the gateway honours signatures for two hours",
            Self::JobsShowLate => "an accepted submission shows after an hour only",
        }
    }
}
