//! `desktop-deletion-operator crds`: the `CustomResourceDefinition`s, from the types this binary was built with.

use std::path::PathBuf;

use clap::Args;

/// Flags of `crds`.
#[derive(Debug, Args)]
pub struct CrdsArgs {
    /// Write one file a kind into this folder instead of printing; the folder is made if it is missing
    #[arg(long, value_name = "DIR", env = "DESKTOP_DELETION_OUTPUT")]
    pub output: Option<PathBuf>,
}
