//! Short commands of the system.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::error::{Context, Error};

/// Where programs such as `ip` lie, if `PATH` does not say so.
const SYSTEM: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";

/// `PATH` of this process, and the folders of the system.
pub(super) fn path() -> String {
    match std::env::var("PATH") {
        Ok(path) => format!("{path}:{SYSTEM}"),
        Err(_) => SYSTEM.to_owned(),
    }
}

/// Runs a command, and gives what it printed.
pub(super) fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path()).stdin(Stdio::null());
    let shown = format!("{command:?}");
    let output = command.output().context(|| format!("start {shown}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::Other(format!("{shown} failed: {}", stderr.trim())))
}

/// Where a program lies.
pub(super) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = path();
    let mut places = path
        .split(':')
        .map(|folder| std::path::Path::new(folder).join(program));
    places.find(|place| place.is_file())
}
