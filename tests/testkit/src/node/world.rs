//! Namespaces of a test's own, in which the test is played.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::cgroups::Cgroups;
use super::programs::{Need, Programs};
use super::{commands, requirements};
use crate::binaries::Binaries;
use crate::binaries::build::say;
use crate::error::{Context, Error};
use crate::paths;
use crate::supervised::{Options, Supervised};

/// The variable by which the test knows that it is in its namespaces: a file with a [`World`].
const VARIABLE: &str = "TESTKIT_WORLD";

/// The variable that names a file to which a line is added for every skipped test, for callers that do not see standard
/// error of tests.
const SKIPPED: &str = "TESTKIT_SKIPPED";

/// Moves itself to the cgroups that end with an empty argument, and enters fresh namespaces, whose first process is the rest.
/// It ends if it cannot: otherwise its processes would stay on the machine.
const ENTER: &str = r#"
set -e
while [ -n "$1" ]; do echo $$ >"$1"; shift; done
shift
exec unshare --mount --net --pid --cgroup --uts --ipc --fork --kill-child --mount-proc "$@"
"#;

/// The first process: what of the file system is replaced, and then the test.
const SCRIPT: &str = concat!(include_str!("filesystem.sh"), include_str!("world.sh"));

/// A cluster takes almost a gigabyte of memory.
static PLACES: Semaphore = Semaphore::const_new(2);

/// What was made for the test outside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct World {
    pub(super) programs: Programs,
}

impl World {
    /// The world of this process, if it is in namespaces of its own.
    pub(super) fn own() -> Result<Option<Self>, Error> {
        let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
        let world = serde_json::from_str(&text);
        world.map_err(|error| Error::Other(format!("{}: {error}", path.display())))
    }
}

/// Plays a test of this binary, by its full name, in namespaces of its own. On a machine that cannot run nodes it says so on
/// standard error and in the file that `TESTKIT_SKIPPED` names, and does nothing else.
///
/// # Errors
///
/// Something that the nodes need cannot be built, or the namespaces cannot be made.
///
/// # Panics
///
/// When the test failed in its namespaces.
pub async fn in_own_namespaces(
    test: &str,
    needs: &'static [Need],
    body: impl AsyncFnOnce(),
) -> Result<(), Error> {
    if World::own()?.is_some() {
        body().await;
        return Ok(());
    }
    let missing = || requirements::missing().or_else(|| needs.iter().find_map(|need| need.missing()));
    let missing = tokio::task::spawn_blocking(missing).await;
    if let Some(missing) = missing.map_err(|error| Error::Other(error.to_string()))? {
        return skip(test, missing);
    }
    // The lock of the store lets one test build, and the others wait.
    let programs = tokio::task::spawn_blocking(|| {
        Binaries::provide()?;
        Programs::provide(needs)
    });
    let programs = programs
        .await
        .map_err(|error| Error::Other(format!("provide the programs of nodes: {error}")))??;
    let place = PLACES.acquire().await;
    let _place = place.map_err(|error| Error::Other(error.to_string()))?;
    play(test, &World { programs }).await
}

/// Says that a test is not played here, and why.
fn skip(test: &str, missing: &str) -> Result<(), Error> {
    say(&format!("skipped {test}: {missing}"));
    match std::env::var_os(SKIPPED) {
        Some(file) => note_skip(Path::new(&file), test, missing),
        None => Ok(()),
    }
}

/// Adds a line to the file of the tests that were skipped.
fn note_skip(file: &Path, test: &str, missing: &str) -> Result<(), Error> {
    let line = format!("{test}: {missing}\n");
    let mut open = File::options();
    let opened = open.append(true).create(true).open(file);
    // In one write, so that tests which run side by side do not mix their lines.
    let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
    written.context(|| format!("write {}", file.display()))
}

async fn play(test: &str, world: &World) -> Result<(), Error> {
    // The cgroups take the folder with them.
    let folder = paths::temporary_folder("namespaces")?.keep();
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let cgroups = Cgroups::make(&format!("testkit-{name}"), &folder)?;
    let (status, log) = run(test, world, &folder, &cgroups).await?;
    cgroups.remove()?;
    // A test with another name would never be run.
    let passed = status == 0 && log.contains("1 passed");
    assert!(
        passed,
        "{test} failed in its namespaces, with exit status {status}:\n{log}"
    );
    Ok(())
}

async fn run(test: &str, world: &World, folder: &Path, cgroups: &Cgroups) -> Result<(i32, String), Error> {
    let file = folder.join("world.json");
    let written = serde_json::to_string(world).map_err(|error| Error::Other(error.to_string()))?;
    std::fs::write(&file, written).context(|| format!("write {}", file.display()))?;
    let own = std::env::current_exe().context(|| "find this program".to_owned())?;
    let mut arguments = vec!["-c".to_owned(), ENTER.to_owned(), "sh".to_owned()];
    arguments.extend(cgroups.procs_files().map(|path| path.display().to_string()));
    arguments.extend(["", "sh", "-c", SCRIPT, "world"].map(str::to_owned));
    arguments.push(own.display().to_string());
    arguments.extend(["--exact", test, "--nocapture", "--include-ignored"].map(str::to_owned));
    let variable = |name: &str| std::env::var(name).ok().map(|value| (name.to_owned(), value));
    let mut environment = vec![
        ("PATH".to_owned(), commands::path()),
        (VARIABLE.to_owned(), file.display().to_string()),
        (paths::TEMPORARY.to_owned(), folder.display().to_string()),
        // Without it, kubectl and Helm keep their caches in the folder they are started in.
        ("HOME".to_owned(), folder.display().to_string()),
    ];
    environment.extend(
        ["KUBEBUILDER_ASSETS", "CARGO_TARGET_DIR"]
            .into_iter()
            .filter_map(variable),
    );
    let options = Options {
        name: "the namespaces of a test",
        log: folder.join("log"),
        folder: None,
    };
    let mut process = Supervised::spawn(options, Path::new("sh"), arguments, &environment)?;
    let status = process.wait().await?;
    Ok((status, process.stop()?))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    fn enter(procs_files: &[&Path]) -> Output {
        let mut enter = Command::new("sh");
        // It enters nothing, but says how that is done.
        enter
            .args(["-c", ENTER, "sh"])
            .args(procs_files)
            .args(["", "--help"]);
        enter.output().unwrap()
    }

    #[test]
    fn without_one_of_its_cgroups_nothing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let [file, missing] =
            ["there/cgroup.procs", "missing/cgroup.procs"].map(|path| folder.path().join(path));
        std::fs::create_dir(folder.path().join("there")).unwrap();
        let entered = enter(&[&file]);
        assert!(
            entered.status.success() && !entered.stdout.is_empty(),
            "{entered:?}"
        );
        let refused = enter(&[&missing, &file]);
        assert!(
            !refused.status.success() && refused.stdout.is_empty(),
            "{refused:?}"
        );
    }

    #[test]
    fn each_test_that_is_skipped_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("skipped");
        for test in ["install::one", "away::two"] {
            note_skip(&file, test, "it needs Linux").unwrap();
        }
        let noted = std::fs::read_to_string(&file).unwrap();
        assert_eq!(noted, "install::one: it needs Linux\naway::two: it needs Linux\n");
    }
}
