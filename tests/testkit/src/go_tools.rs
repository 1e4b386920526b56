//! Programs for tests that are built once from the Go modules below `tests/`, each pinned by `go.mod` and `go.sum`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binaries::build::go;
use crate::binaries::source::Source;
use crate::binaries::{Binaries, build, lock, source};
use crate::connect_proxy;
use crate::error::{Context, Error};
use crate::paths;

/// Modules of programs that tests start.
const TOOLS: [&str; 7] = [
    "argocd",
    "gitops-rules",
    "helm",
    "kube-score",
    "kustomize-controller",
    "miniredis",
    "olm-bundle",
];

/// Builds the program of the module `tests/NAME`, by one process at a time, and returns its path. Blocks, the first time
/// for minutes.
///
/// The module either names the program in a `tool` line, or is the program itself.
///
/// # Errors
///
/// There is no such module, no Go, or the build fails.
pub fn go_tool(name: &str) -> Result<PathBuf, Error> {
    let module = module(name);
    let sources = read(&module)?;
    let arguments = [
        "build",
        "-v",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags=-s -w",
    ]
    .map(str::to_owned);
    let texts: Vec<_> = sources.iter().map(|(_, text)| text.as_str()).collect();
    let digest = source::digest(&[&texts.concat(), &arguments.join(" ")]);
    provide(name, &digest, &module, &arguments, package(&sources))
}

/// Builds the programs of Prometheus, and returns the path of `prometheus` or `promtool`, as [`go_tool`] does.
///
/// # Errors
///
/// There is no Go, or the build fails.
pub fn prometheus_tool(program: &str) -> Result<PathBuf, Error> {
    // Without its service discovery: the SDKs of two dozen clouds take most of the time and 2 GB of memory.
    let folder = go_programs("prometheus", &[], "remove_all_sd")?;
    Ok(folder.join(program))
}

/// Builds the control plane and the programs that tests start, except those of the nodes. Blocks, the first time for many
/// minutes. What is missing is otherwise built by the first test that needs it, beside tests that run slowly meanwhile.
///
/// # Errors
///
/// There is no Go, or a build fails.
pub fn provide_programs() -> Result<(), Error> {
    Binaries::provide()?;
    connect_proxy::provide()?;
    prometheus_tool("prometheus")?;
    control_plane_program("garbage-collector")?;
    for tool in TOOLS {
        go_tool(tool)?;
    }
    Ok(())
}

/// Builds all programs of the module `tests/NAME`, those of its `tool` lines and those in its folders, with these build tags,
/// and returns the folder that holds them, as [`go_tool`] does.
///
/// Programs of Kubernetes learn their version as those of the control plane do.
pub(crate) fn go_programs(name: &str, folders: &[&str], tags: &str) -> Result<PathBuf, Error> {
    let module = module(name);
    let mut sources = read(&module)?;
    let kubernetes = sources
        .iter()
        .find_map(|(_, text)| source::required_version(text, "k8s.io/kubernetes").ok());
    for folder in folders {
        sources.extend(read(&module.join(folder))?);
    }
    let mut arguments = match kubernetes {
        Some(version) => source::arguments(&version),
        None => source::go_build("-s -w"),
    };
    arguments.push(format!("-tags={tags}"));
    let texts: Vec<_> = sources.iter().map(|(_, text)| text.as_str()).collect();
    let digest = source::digest(&[&texts.concat(), &arguments.join(" ")]);
    let packages: Vec<_> = std::iter::once("tool".to_owned())
        .chain(folders.iter().map(|folder| format!("./{folder}")))
        .collect();
    store(name, &digest, |unfinished| {
        build::run_go(&module, &arguments, &packages, unfinished, name)
    })
}

/// Builds the program in the folder NAME of the module of the control plane, so that it has its version, and returns its
/// path, as [`go_tool`] does.
///
/// # Errors
///
/// There is no such program, no Go, or the build fails.
pub fn control_plane_program(name: &str) -> Result<PathBuf, Error> {
    let source = Source::read(&module("control-plane"))?;
    let own = read(&source.module.join(name))?;
    let texts: Vec<_> = own.iter().map(|(_, text)| text.as_str()).collect();
    let digest = source::digest(&[&source.digest, &texts.concat()]);
    provide(
        name,
        &digest,
        &source.module,
        &source.arguments,
        &format!("./{name}"),
    )
}

/// The folder of a module that the module `tests/NAME` requires, for files that come with it, such as CRDs. Blocks while it
/// is downloaded.
///
/// # Errors
///
/// There is no Go, or the module cannot be downloaded.
pub fn go_module_folder(name: &str, required: &str) -> Result<PathBuf, Error> {
    let module = module(name);
    let failed = |what: String| Error::Other(format!("download {required}: {what}"));
    let output = go(&module, &["mod", "download", "-json", required]).output();
    let output = output.context(|| "start go".to_owned())?;
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    match answer["Dir"].as_str() {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => Err(failed(answer["Error"].to_string())),
    }
}

fn module(name: &str) -> PathBuf {
    paths::workspace().join("tests").join(name)
}

/// Builds `package` of a module into the store, unless it is there already.
fn provide(
    name: &str,
    digest: &str,
    module: &Path,
    arguments: &[String],
    package: &str,
) -> Result<PathBuf, Error> {
    let folder = store(name, digest, |unfinished| {
        build::run_go(module, arguments, &[package], unfinished, name)?;
        rename_program(name, unfinished)
    })?;
    Ok(folder.join(name))
}

/// Makes a folder of the store by filling it, unless it is there already, and returns its path.
pub(crate) fn store(
    name: &str,
    digest: &str,
    fill: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let store = paths::target().join("go-tools");
    std::fs::create_dir_all(&store).context(|| format!("create {}", store.display()))?;
    let folder = store.join(format!("{}{digest}", prefix(name)));
    if !folder.is_dir() {
        let _alone = lock(&store)?;
        // Another process may have built it while this one waited.
        if !folder.is_dir() {
            let unfinished = store.join("unfinished");
            std::fs::remove_dir_all(&unfinished).ok();
            std::fs::create_dir_all(&unfinished).context(|| format!("create {}", unfinished.display()))?;
            fill(&unfinished)?;
            build::rename(&unfinished, &folder)?;
        }
    }
    Ok(folder)
}

/// Removes all but the newest folders of the store that were made under a name. For what is made after each change of the project:
/// of other tools, a version is made once.
pub(crate) fn prune(name: &str, keep: usize) -> Result<(), Error> {
    let store = paths::target().join("go-tools");
    let _alone = lock(&store)?;
    remove_oldest(&store, &prefix(name), keep)
        .context(|| format!("remove old folders of {}", store.display()))
}

fn remove_oldest(store: &Path, prefix: &str, keep: usize) -> std::io::Result<()> {
    let mut folders = Vec::new();
    for entry in store.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            folders.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    folders.sort();
    let old = folders.len().saturating_sub(keep);
    folders[..old]
        .iter()
        .try_for_each(|(_, folder)| std::fs::remove_dir_all(folder))
}

/// How the names of folders in the store begin that were made under a name, before the digest.
fn prefix(name: &str) -> String {
    format!("{name}-{}-{}-", std::env::consts::OS, std::env::consts::ARCH)
}

/// Gives the one program in a folder this name: Go calls it after its package, such as `cmd`.
fn rename_program(name: &str, folder: &Path) -> Result<(), Error> {
    let entries =
        || -> std::io::Result<Vec<_>> { folder.read_dir()?.map(|entry| Ok(entry?.path())).collect() };
    let built = entries().context(|| format!("list {}", folder.display()))?;
    match &built[..] {
        [program] => build::rename(program, &folder.join(name)),
        _ => Err(Error::Other(format!(
            "go built no single program {name}: {built:?}"
        ))),
    }
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
    fn each_module_is_provided_before_the_tests_or_belongs_to_the_node_tests() {
        let of_nodes = ["kube-router", "node-kubernetes", "node-runtime"];
        // [`provide_programs`] has a function of its own for each.
        let special = ["control-plane", "prometheus", "proxy"];
        let mut known: Vec<_> = TOOLS.into_iter().chain(of_nodes).chain(special).collect();
        known.sort_unstable();
        let folders = paths::workspace().join("tests").read_dir().unwrap();
        let folders = folders.map(|folder| folder.unwrap().path());
        let modules = folders.filter(|folder| folder.join("go.mod").exists());
        let mut found: Vec<_> = modules
            .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        found.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn a_module_without_a_program_of_its_own_is_built_by_its_tool_line() {
        for (name, expected) in [
            ("helm", "tool"),
            ("kube-score", "tool"),
            ("proxy", "."),
            ("miniredis", "."),
        ] {
            let sources = read(&paths::workspace().join("tests").join(name)).unwrap();
            assert_eq!(package(&sources), expected, "{name}");
            assert!(sources.iter().any(|(file, _)| file == "go.sum"), "{name}");
        }
    }

    #[test]
    fn only_the_newest_folders_of_a_tool_are_kept() {
        let store = tempfile::tempdir().unwrap();
        let path = |name: &str| store.path().join(name);
        for (name, age) in [("image-1", 40), ("image-2", 30), ("image-3", 20), ("tool-1", 90)] {
            std::fs::create_dir(path(name)).unwrap();
            let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 - age);
            std::fs::File::open(path(name))
                .unwrap()
                .set_modified(modified)
                .unwrap();
        }
        for keep in [3, 2] {
            remove_oldest(store.path(), "image-", keep).unwrap();
            assert_eq!(path("image-1").exists(), keep == 3);
        }
        assert!(
            ["image-2", "image-3", "tool-1"]
                .iter()
                .all(|name| path(name).exists())
        );
    }
}
