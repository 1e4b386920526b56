//! Programs that are not Go modules, from packages of this machine's Debian release, unpacked and not installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::commands;
use crate::error::{Context, Error};
use crate::go_tools::store;

/// Whether packages can be had.
pub(super) fn available() -> bool {
    ["apt-get", "dpkg"]
        .iter()
        .all(|program| commands::find(program).is_some())
}

/// Downloads and unpacks these packages, once, and returns the folder with their files. `complete` does what their scripts would
/// do.
pub(super) fn unpacked(
    name: &str,
    packages: &[&str],
    complete: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    store(name, "debian", |folder| {
        // Lists and packages of its own: those of the machine may be missing, and stay as they are.
        let work = tempfile::tempdir().context(|| "create a temporary folder".to_owned())?;
        let work = work.path();
        apt(work, &["update"])?;
        apt(work, &[&["download"], packages].concat())?;
        let entries = std::fs::read_dir(work).context(|| format!("list {}", work.display()))?;
        for entry in entries {
            let path = entry.context(|| format!("list {}", work.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                commands::run("dpkg", ["-x".as_ref(), path.as_os_str(), folder.as_os_str()])?;
            }
        }
        complete(folder)
    })
}

fn apt(work: &Path, arguments: &[&str]) -> Result<(), Error> {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .arg(format!(
            "--option=Dir::State::Lists={}",
            work.join("lists").display()
        ))
        .arg(format!("--option=Dir::Cache={}", work.join("cache").display()))
        .arg("--option=APT::Sandbox::User=root")
        .args(arguments)
        .current_dir(work)
        .stdin(Stdio::null());
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = work.join(folder);
        std::fs::create_dir_all(&folder).context(|| format!("create {}", folder.display()))?;
    }
    let output = command.output().context(|| "start apt-get".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Other(format!(
        "apt-get {} failed: {said}",
        arguments.join(" ")
    )))
}
