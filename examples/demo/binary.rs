//! The programs of this package. `cargo run --example` builds the example alone, so the example has them built.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::BoxError;

/// The operator.
pub(crate) const OPERATOR: &str = env!("CARGO_PKG_NAME");

/// Builds programs with the Cargo that built this example, and says where they are.
///
/// The example is named beside it, and no package: so Cargo resolves the same features as for this example and for
/// `cargo test`, and only the programs themselves are built.
pub(crate) async fn build<const N: usize>(
    example: &str,
    programs: [&str; N],
) -> Result<[PathBuf; N], BoxError> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--example", example])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .arg("--message-format=json-render-diagnostics")
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .current_dir(testkit::workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_run(name)) {
        cargo.env_remove(name);
    }
    let built = cargo
        .output()
        .await
        .map_err(|error| format!("start cargo: {error}"))?;
    if !built.status.success() {
        return Err(format!(
            "cargo build of {} failed: {}",
            programs.join(" and "),
            built.status
        )
        .into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let mut paths = programs.map(|_| PathBuf::new());
    for (path, program) in paths.iter_mut().zip(programs) {
        let built = messages.lines().find_map(|message| executable(program, message));
        *path = built.ok_or_else(|| format!("cargo build named no executable of {program}"))?;
    }
    Ok(paths)
}

/// Is it a variable that Cargo set for the run of this example? The build scripts of some dependencies look at these,
/// so a change of them would rebuild half of the dependencies, now and again with the next command.
fn is_of_this_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// The path in a message of Cargo that reports that program as built or still fresh.
fn executable(program: &str, message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let ours = message["target"]["name"] == program && message["target"]["kind"][0] == "bin";
    message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
}
