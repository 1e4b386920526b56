//! Where the parts of the project and of its build lie.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    // This crate is tests/testkit, two levels below it.
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// Cargo's target folder: the one that this very binary was built into, else the one of `CARGO_TARGET_DIR`,
/// else `target` of the workspace.
pub fn target() -> PathBuf {
    // Cargo marks its target folder with this file, wherever a flag or a configuration file puts it.
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    let own = std::env::current_exe().ok();
    if let Some(folder) = own.as_deref().and_then(|path| path.ancestors().find(marked)) {
        return folder.to_path_buf();
    }
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// The variable that names another folder than the target folder for temporary ones, of a process that cannot remove its own if it
/// is killed.
pub(crate) const TEMPORARY: &str = "TESTKIT_TEMPORARY";

/// Makes a new folder below the target folder, which goes when the value is dropped.
pub(crate) fn temporary_folder(prefix: &str) -> Result<tempfile::TempDir, Error> {
    let parent = std::env::var_os(TEMPORARY).map_or_else(|| target().join("tmp"), PathBuf::from);
    std::fs::create_dir_all(&parent).context(|| format!("create {}", parent.display()))?;
    tempfile::Builder::new()
        .prefix(&format!("{prefix}-"))
        .tempdir_in(&parent)
        .context(|| format!("create a temporary folder in {}", parent.display()))
}
