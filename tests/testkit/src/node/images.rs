//! Images, as archives that containerd imports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use release::archive::{self, File};
use release::image::{self, Description};
use release::sha256;
use serde_json::json;

use super::commands;
use crate::binaries::build::say;
use crate::error::{Context, Error};
use crate::go_tools::{prune, store};
use crate::paths;

/// Name of the image that holds the namespaces of a pod, which does nothing but wait.
pub const PAUSE: &str = "localhost/pause:1";

/// Its file in the folder of the images that nodes import.
pub(super) const PAUSE_FILE: &str = "pause.tar";

/// Its name in the store of tools.
const OPERATOR_IMAGE: &str = "operator-image";

/// How many images of the operator stay beside one that is made: that of a test in progress must, and one may be wanted again.
const KEPT: usize = 2;

/// The image of the operator as it stands here, under the name that `deploy/` has for it.
pub(super) fn operator() -> Result<PathBuf, Error> {
    let program = build(&paths::workspace(), &paths::target())?;
    operator_image(&program, env!("CARGO_PKG_VERSION"))
}

/// Builds the operator as one static binary from the source in a folder. Cargo knows whether it has to.
pub(super) fn build(source: &Path, target: &Path) -> Result<PathBuf, Error> {
    if !target
        .join(format!("{}-unknown-linux-gnu/debug", std::env::consts::ARCH))
        .is_dir()
    {
        say("building the operator as a static binary; first time only, takes some minutes");
    }
    let mut build = Command::new(source.join("deploy/build-static"));
    build
        .arg("dev")
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    // Build scripts depend on these variables of a running test, and would be run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    let output = build
        .output()
        .context(|| "start deploy/build-static".to_owned())?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Other(format!("deploy/build-static failed: {said}")))
}

fn operator_image(program: &Path, version: &str) -> Result<PathBuf, Error> {
    let digest = sha256(&read(program)?);
    let key = format!("{version}-{}", &digest[..16]);
    prune(OPERATOR_IMAGE, KEPT)?;
    let folder = store(OPERATOR_IMAGE, &key, |folder| {
        write_operator(program, version, folder)
    })?;
    Ok(folder.join("image.tar"))
}

/// Writes `image.tar`, the image of a release, of this program. Symbols are left out: they are most of it, and containerd would
/// unpack them.
pub(super) fn write_operator(program: &Path, version: &str, folder: &Path) -> Result<(), Error> {
    let stripped = folder.join("program");
    let arguments = ["-o".as_ref(), stripped.as_os_str(), program.as_os_str()];
    commands::run("strip", arguments)?;
    let description = Description {
        version,
        revision: "unknown",
        source: "https://example.com/desktop-deletion-operator",
        created: "1970-01-01T00:00:00Z",
        epoch: 0,
    };
    let programs = BTreeMap::from([(architecture().to_owned(), read(&stripped)?)]);
    let image = image::make(description, programs).context(|| "make the image".to_owned())?;
    write(&folder.join("image.tar"), &image.archive)?;
    std::fs::remove_file(&stripped).context(|| format!("remove {}", stripped.display()))
}

/// The image of the program `pause` in a folder.
pub(super) fn pause(folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join("pause");
    let program = read(&path)?;
    let digest = sha256(&program);
    let folder = store("pause-image", &digest[..8], |folder| {
        let failed = || "make the pause image".to_owned();
        let layer = archive::tar(vec![File::program("pause", program)], 0).context(failed)?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"User": "65535:65535", "Entrypoint": ["/pause"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
        });
        let manifest = json!([{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]);
        let files = vec![
            File::new("config.json", config.to_string()),
            File::new("layer.tar", layer),
            File::new("manifest.json", manifest.to_string()),
        ];
        write(
            &folder.join("image.tar"),
            &archive::tar(files, 0).context(failed)?,
        )
    })?;
    Ok(folder.join("image.tar"))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).context(|| format!("read {}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content).context(|| format!("write {}", path.display()))
}

/// This machine, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
