//! The operator's binary. `cargo run --example` builds the example alone, so the example has the binary built.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::BoxError;

const NAME: &str = env!("CARGO_PKG_NAME");

/// Builds the binary with the Cargo that built this example, and says where it is.
///
/// The example is named beside it, and no package: so Cargo resolves the same features as for this example and for
/// `cargo test`, and only the binary itself is built.
pub(crate) async fn build(example: &str) -> Result<PathBuf, BoxError> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--bin", NAME, "--example", example])
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
        return Err(format!("cargo build of {NAME} failed: {}", built.status).into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().find_map(executable);
    executable.ok_or_else(|| format!("cargo build named no executable of {NAME}").into())
}

/// Is it a variable that Cargo set for the run of this example? The build scripts of some dependencies look at these,
/// so a change of them would have half of the dependencies built anew, now and once more by the next command.
fn is_of_this_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// The path in a message of Cargo that reports the binary as built or still fresh.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let ours = message["target"]["name"] == NAME && message["target"]["kind"][0] == "bin";
    message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
}
