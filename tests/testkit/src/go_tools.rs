//! Programs for tests that are built once from the Go modules below `tests/`, each pinned by `go.mod` and `go.sum`.

use std::path::{Path, PathBuf};

use crate::binaries::{build, lock, source};
use crate::error::{Context, Error};
use crate::places;

/// Builds the program of the module `tests/NAME`, by one process at a time, and returns its path. Blocks, the first time
/// for minutes.
///
/// The module either names the program in a `tool` line, or is the program itself.
///
/// # Errors
///
/// There is no such module, no Go, or the build fails.
pub fn go_tool(name: &str) -> Result<PathBuf, Error> {
    let module = places::workspace().join("tests").join(name);
    let sources = read(&module)?;
    let arguments = [
        "build",
        "-v",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags=-s -w",
        // Prometheus without its service discovery: the SDKs of two dozen clouds take most of the time and 2 GB of memory.
        "-tags=remove_all_sd",
    ]
    .map(str::to_owned);
    let texts: Vec<_> = sources.iter().map(|(_, text)| text.as_str()).collect();
    let digest = source::digest(&[&texts.concat(), &arguments.join(" ")]);
    let store = places::target().join("go-tools");
    std::fs::create_dir_all(&store).context(|| format!("create {}", store.display()))?;
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let folder = store.join(format!("{name}-{os}-{arch}-{digest}"));
    if !folder.is_dir() {
        let _alone = lock(&store)?;
        // Another process may have built it while this one waited.
        if !folder.is_dir() {
            let unfinished = store.join("unfinished");
            std::fs::remove_dir_all(&unfinished).ok();
            std::fs::create_dir_all(&unfinished).context(|| format!("create {}", unfinished.display()))?;
            build::run_go(&module, &arguments, package(&sources), &unfinished, name)?;
            build::rename(&unfinished, &folder)?;
        }
    }
    Ok(folder.join(name))
}

/// `go.mod`, `go.sum` and the Go files of a module, by name.
fn read(module: &Path) -> Result<Vec<(String, String)>, Error> {
    let failed = || format!("read {}", module.display());
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(module).context(failed)? {
        let entry = entry.context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("go.")
            || Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "go")
        {
            sources.push((name, std::fs::read_to_string(entry.path()).context(failed)?));
        }
    }
    sources.sort();
    Ok(sources)
}

/// What `go build` is to build.
fn package(sources: &[(String, String)]) -> &'static str {
    let own = |(name, _): &(String, String)| name == "main.go";
    if sources.iter().any(own) { "." } else { "tool" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_program_of_its_own_is_built_by_its_tool_line() {
        for (name, expected) in [("helm", "tool"), ("promtool", "tool"), ("proxy", ".")] {
            let sources = read(&places::workspace().join("tests").join(name)).unwrap();
            assert_eq!(package(&sources), expected, "{name}");
            assert!(sources.iter().any(|(file, _)| file == "go.sum"), "{name}");
        }
    }
}
