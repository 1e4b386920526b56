//! The operator of an earlier commit, from the history of this repository, to be upgraded and rolled back to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::images;
use crate::error::{Context, Error};
use crate::go_tools::store;
use crate::paths;

/// The last commit before there were plans and approvals.
const COMMIT: &str = "82b4069897a635e7b5f2e531268a5411a6cfb6d4";

/// Tag of its image.
pub const EARLIER: &str = "earlier";

/// Whether the commit is there: a copy without its history has none.
pub(super) fn available() -> bool {
    let mut git = Command::new("git");
    git.args(["cat-file", "-e", &format!("{COMMIT}^{{commit}}")]);
    let status = git.current_dir(paths::workspace()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Builds it, once, and returns the folder with its `source` and its `image.tar`. Takes minutes.
pub(super) fn provide() -> Result<PathBuf, Error> {
    store("earlier-operator", &COMMIT[..8], |folder| {
        let source = folder.join("source");
        std::fs::create_dir(&source).context(|| format!("create {}", source.display()))?;
        checkout(&source)?;
        // All of its own, and not kept: with other paths and flags nothing could be shared.
        let target = folder.join("target");
        let program = images::build(&source, &target)?;
        images::write_operator(&program, EARLIER, folder)?;
        std::fs::remove_dir_all(&target).context(|| format!("remove {}", target.display()))
    })
}

/// Writes the files of the commit to a folder.
fn checkout(folder: &Path) -> Result<(), Error> {
    let archive = folder.with_extension("tar");
    let mut git = Command::new("git");
    git.args(["archive", "--output"]).arg(&archive).arg(COMMIT);
    let done = git
        .current_dir(paths::workspace())
        .status()
        .context(|| "start git".to_owned())?;
    if !done.success() {
        return Err(Error::Other(format!("git archive {COMMIT} failed")));
    }
    let file = std::fs::File::open(&archive).context(|| format!("read {}", archive.display()))?;
    tar::Archive::new(file)
        .unpack(folder)
        .context(|| format!("unpack {}", archive.display()))?;
    std::fs::remove_file(&archive).context(|| format!("remove {}", archive.display()))
}
