//! The binaries of the operator and of its kubectl plugin. `cargo run --example` builds the example alone, so the
//! example has the binaries built.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::BoxError;

const OPERATOR: &str = env!("CARGO_PKG_NAME");
const PLUGIN: &str = "kubectl-desktops";

/// Where they are.
pub(crate) struct Binaries {
    pub(crate) operator: PathBuf,
    /// `kubectl-desktops`.
    pub(crate) plugin: PathBuf,
}

/// Builds the binaries with the Cargo that built this example, and says where they are.
///
/// The example is named beside it, and no package: so Cargo resolves the same features as for this example and for
/// `cargo test`, and only the binaries themselves are built.
pub(crate) async fn build(example: &str) -> Result<Binaries, BoxError> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--bin", OPERATOR, "--bin", PLUGIN])
        .args(["--example", example])
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
        return Err(format!("cargo build of {OPERATOR} and {PLUGIN} failed: {}", built.status).into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let built = |name: &str| {
        let path = messages.lines().find_map(|message| executable(name, message));
        path.ok_or_else(|| format!("cargo build named no executable of {name}"))
    };
    Ok(Binaries {
        operator: built(OPERATOR)?,
        plugin: built(PLUGIN)?,
    })
}

/// Is it a variable that Cargo set for the run of this example? The build scripts of some dependencies look at these,
/// so a change of them would have half of the dependencies built anew, now and once more by the next command.
fn is_of_this_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// The path in a message of Cargo that reports that binary as built or still fresh.
fn executable(name: &str, message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let ours = message["target"]["name"] == name && message["target"]["kind"][0] == "bin";
    message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
}
