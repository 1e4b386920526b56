//! What is compiled into the programs, in `CycloneDX`: the crates of `cargo tree`, with licence, checksum and who uses whom.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Why there is no bill of materials.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// `cargo tree` printed something else than it is known to.
    #[error("cargo tree printed {0:?}, which is not \"DEPTH NAME vVERSION|LICENCE\"")]
    Line(String),
    /// A package URL is none.
    #[error("{0:?} is not pkg:TYPE/NAME@VERSION")]
    Url(String),
    /// The tree is empty.
    #[error("cargo tree printed nothing")]
    Empty,
}

/// A crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
}

impl Package {
    fn url(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// The bill of materials of the first crate of `tree`, which is what `cargo tree --prefix depth --format '{p}|{l}'` prints
/// and may hold the trees of several architectures. `lock` is `Cargo.lock`; `others` are package URLs of what is shipped and
/// not in the tree.
///
/// # Errors
///
/// The tree cannot be read.
pub fn cyclone_dx(tree: &str, lock: &str, others: &[String], created: &str) -> Result<Value, Error> {
    let (root, graph) = read(tree)?;
    let checksums = checksums(lock);
    let crates = graph.keys().filter(|package| **package != root);
    let mut components: Vec<_> = crates
        .map(|package| component("library", package, &checksums))
        .collect();
    let mut dependencies: Vec<_> = graph
        .iter()
        .map(|(package, used)| {
            let below: Vec<_> = used.iter().map(Package::url).collect();
            json!({"ref": package.url(), "dependsOn": below})
        })
        .collect();
    for url in others {
        let (name, version) = named(url).ok_or_else(|| Error::Url(url.clone()))?;
        components.push(json!({
            "type": "library", "bom-ref": url, "name": name, "version": version, "purl": url,
        }));
        dependencies.push(json!({"ref": url, "dependsOn": []}));
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": component("application", &root, &checksums),
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(kind: &str, package: &Package, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": package.url(),
        "name": package.name,
        "version": package.version,
        "purl": package.url(),
    });
    if !package.licence.is_empty() {
        // Some crates still write it as it was before SPDX.
        let expression = package.licence.replace('/', " OR ");
        component["licenses"] = json!([{"expression": expression}]);
    }
    if let Some(checksum) = checksums.get(&(&*package.name, &*package.version)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

/// Name and version in a package URL.
fn named(url: &str) -> Option<(&str, &str)> {
    let (_, package) = url.strip_prefix("pkg:")?.split_once('/')?;
    package.split_once('@')
}

/// The first crate, and for each one those that it uses.
fn read(tree: &str) -> Result<(Package, BTreeMap<Package, BTreeSet<Package>>), Error> {
    let mut uses = BTreeMap::<Package, BTreeSet<Package>>::new();
    // The crates from the root down to the current line.
    let mut path: Vec<Package> = Vec::new();
    let mut root = None;
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, package) = package(line).ok_or_else(|| Error::Line(line.to_owned()))?;
        path.truncate(depth);
        uses.entry(package.clone()).or_default();
        if let Some(user) = path.last() {
            uses.entry(user.clone()).or_default().insert(package.clone());
        }
        root.get_or_insert_with(|| package.clone());
        path.push(package);
    }
    Ok((root.ok_or(Error::Empty)?, uses))
}

/// `12serde v1.0.0 (proc-macro)|MIT OR Apache-2.0 (*)`
fn package(line: &str) -> Option<(usize, Package)> {
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    let depth = line[..digits].parse().ok()?;
    let (package, licence) = line[digits..].split_once('|')?;
    let (name, rest) = package.split_once(" v")?;
    let version = rest.split(' ').next()?;
    let package = Package {
        name: name.to_owned(),
        version: version.to_owned(),
        // Its tree is printed only once.
        licence: licence.trim_end_matches(" (*)").trim().to_owned(),
    };
    Some((depth, package))
}

/// The checksums of `Cargo.lock` by name and version.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut checksums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|value| value.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (value("name"), value("version"), value("checksum"))
        {
            checksums.insert((name, version), checksum);
        }
    }
    checksums
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0own v0.1.0 (/somewhere/own)|Apache-2.0
1serde v1.0.0|MIT/Apache-2.0
2serde_derive v1.0.0 (proc-macro)|MIT OR Apache-2.0
1both v2.0.0|MIT
2serde v1.0.0|MIT/Apache-2.0 (*)

0own v0.1.0 (/somewhere/own)|Apache-2.0
1arm v3.0.0|
";
    const LOCK: &str = "\
version = 4

[[package]]
name = \"own\"
version = \"0.1.0\"

[[package]]
name = \"serde\"
version = \"1.0.0\"
source = \"registry\"
checksum = \"abc\"
";

    #[test]
    fn crates_are_named_once_with_what_is_known_of_them() {
        let others = ["pkg:generic/glibc@2.36".to_owned()];
        let sbom = cyclone_dx(TREE, LOCK, &others, "2026-11-29T00:00:00Z").unwrap();
        let names = sbom["components"].as_array().unwrap().iter();
        let names: Vec<_> = names
            .map(|component| component["purl"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "pkg:cargo/arm@3.0.0",
                "pkg:cargo/both@2.0.0",
                "pkg:cargo/serde@1.0.0",
                "pkg:cargo/serde_derive@1.0.0",
                "pkg:generic/glibc@2.36",
            ]
        );
        let serde = &sbom["components"][2];
        assert_eq!(serde["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
        assert_eq!(serde["hashes"], json!([{"alg": "SHA-256", "content": "abc"}]));
        assert_eq!(sbom["components"][0].get("licenses"), None);
        let own = &sbom["metadata"]["component"];
        assert_eq!(own["purl"], "pkg:cargo/own@0.1.0");
        let glibc = &sbom["components"][4];
        assert_eq!(
            (&glibc["name"], &glibc["version"]),
            (&json!("glibc"), &json!("2.36"))
        );
        assert!(!sbom.to_string().contains("/somewhere"));
    }

    #[test]
    fn each_crate_depends_on_those_below_it() {
        let sbom = cyclone_dx(TREE, LOCK, &[], "").unwrap();
        let of = |name: &str| {
            let all = sbom["dependencies"].as_array().unwrap();
            let own = all.iter().find(|dependency| dependency["ref"] == name).unwrap();
            own["dependsOn"].clone()
        };
        assert_eq!(
            of("pkg:cargo/own@0.1.0"),
            json!([
                "pkg:cargo/arm@3.0.0",
                "pkg:cargo/both@2.0.0",
                "pkg:cargo/serde@1.0.0"
            ])
        );
        assert_eq!(of("pkg:cargo/both@2.0.0"), json!(["pkg:cargo/serde@1.0.0"]));
        assert_eq!(of("pkg:cargo/serde_derive@1.0.0"), json!([]));
    }

    #[test]
    fn another_tree_is_refused() {
        assert_eq!(cyclone_dx("", LOCK, &[], ""), Err(Error::Empty));
        let line = "├── serde v1.0.0".to_owned();
        assert_eq!(cyclone_dx(&line, LOCK, &[], ""), Err(Error::Line(line)));
        let url = "glibc@2.36".to_owned();
        let others = [url.clone()];
        assert_eq!(cyclone_dx(TREE, LOCK, &others, ""), Err(Error::Url(url)));
    }
}
