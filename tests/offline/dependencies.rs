//! Every dependency of every crate is used by its code, and dependencies that only tests use are dev-dependencies:
//! unused ones cost build time, and a review of each of their releases. Their versions are in one place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source;

#[test]
fn every_version_of_a_dependency_is_in_the_workspace_manifest() {
    let mut elsewhere = Vec::new();
    for folder in folders() {
        let manifest = manifest(&folder);
        for of in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let lines = table(&manifest, of).filter(|line| line.contains('='));
            let versions =
                lines.filter(|line| !line.contains("workspace = true") && !line.contains("path = "));
            elsewhere.extend(versions.map(|line| format!("{}: {line}", folder.display())));
        }
    }
    assert!(
        elsewhere.is_empty(),
        "move the version to [workspace.dependencies]:\n{}",
        elsewhere.join("\n")
    );
}

#[test]
fn every_dependency_is_used() {
    let workspace = manifest(root());
    let mut unused = Vec::new();
    let mut wanted = BTreeSet::new();
    for folder in folders() {
        let manifest = manifest(&folder);
        let shipped = crates(&source::files(&folder.join("src")), |code| code);
        let tested = crates(&code(&folder), |code| code.replace("#[cfg(test)]", ""));
        for name in names(&manifest, "dependencies") {
            if !shipped.contains(&name.replace('-', "_")) {
                unused.push(format!("{}: {name}", folder.display()));
            }
            wanted.insert(name.to_owned());
        }
        for name in names(&manifest, "dev-dependencies") {
            if !tested.contains(&name.replace('-', "_")) {
                unused.push(format!("{}: {name}, for tests", folder.display()));
            }
            wanted.insert(name.to_owned());
        }
    }
    let of_nobody = names(&workspace, "workspace.dependencies").filter(|name| !wanted.contains(*name));
    unused.extend(of_nobody.map(|name| format!("no crate: {name}")));
    assert!(unused.is_empty(), "not used by its code:\n{}", unused.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folders of all crates.
fn folders() -> Vec<PathBuf> {
    let workspace = manifest(root());
    let members = table(&workspace, "workspace").find_map(|line| line.strip_prefix("members = "));
    let members = members.unwrap().split('"').skip(1).step_by(2);
    let mut folders = vec![root().to_owned()];
    folders.extend(members.map(|member| root().join(member)));
    folders
}

fn manifest(folder: &Path) -> String {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap()
}

/// The lines of a table of a manifest.
fn table<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("[{name}]");
    let lines = manifest.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with('['))
}

/// The crates that a table names.
fn names<'a>(manifest: &'a str, of: &str) -> impl Iterator<Item = &'a str> {
    table(manifest, of)
        .map(|line| line.split([' ', '.', '=', '#']).next().unwrap_or_default())
        .filter(|name| !name.is_empty())
}

/// The names that paths in the code begin with, those of crates among them; `seen` is what is looked at of a file.
fn crates(files: &[PathBuf], seen: impl Fn(String) -> String) -> BTreeSet<String> {
    let code = files.iter().map(|file| seen(fs::read_to_string(file).unwrap()));
    code.flat_map(|code| source::paths(&code, &[]))
        .filter_map(|path| Some(path.split_once("::")?.0.to_owned()))
        .collect()
}

/// The files of code of a crate.
fn code(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_other = path.join("Cargo.toml").exists() || path.ends_with("target");
        if path.is_dir() && !is_other {
            files.extend(code(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
