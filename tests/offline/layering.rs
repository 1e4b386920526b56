//! Which module may use which. The decision stays pure, the cloud client does not depend on Kubernetes, and the CRD
//! types do not depend on the cloud; each of these can then be read, tested and searched alone. Files have no
//! dependency cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::source;

mod circles;

/// What one module of `src/` may do, with all that is below it and has no layer of its own.
struct Layer {
    /// Path below `src/`, without the extension.
    module: &'static str,
    /// Other modules of this crate that it may use.
    uses: &'static [&'static str],
    /// Paths and words that must not occur in it.
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        module: "ids",
        uses: &[],
        never: &["kube", "k8s_openapi", "tokio", "reqwest", "async"],
    },
    Layer {
        module: "clock",
        uses: &[],
        never: &["kube", "k8s_openapi", "reqwest", "async"],
    },
    Layer {
        module: "expiring",
        uses: &[],
        never: &["kube", "k8s_openapi", "reqwest", "async"],
    },
    Layer {
        module: "config",
        uses: &[],
        never: &["kube", "k8s_openapi", "tokio", "reqwest", "async"],
    },
    Layer {
        module: "crd",
        uses: &["ids"],
        never: &[
            "kube::Client",
            "kube::Api",
            "kube::api",
            "kube::runtime",
            "tokio",
            "reqwest",
            "async",
        ],
    },
    Layer {
        module: "workspace",
        uses: &["ids", "clock", "config", "expiring"],
        never: &["kube", "k8s_openapi"],
    },
    Layer {
        module: "plan",
        // Of the cloud only its plain data: what was asked, answered and refused.
        uses: &["ids", "crd", "config", "workspace::api", "workspace::error"],
        never: &[
            "kube",
            "tokio",
            "reqwest",
            "axum",
            "async",
            "await",
            "Clock",
            "SystemTime",
            "Instant",
            "Timestamp::now",
            "crate::workspace::api::Workspace",
        ],
    },
    Layer {
        module: "runtime",
        uses: &["clock", "config", "crd", "workspace::error"],
        never: &[],
    },
    Layer {
        // Where everything is put together.
        module: "process",
        uses: &["clock", "config", "controllers", "runtime", "workspace"],
        never: &["clap"],
    },
    Layer {
        module: "cli",
        uses: &["config", "crd", "runtime"],
        never: &["kube", "k8s_openapi", "reqwest"],
    },
    Layer {
        module: "cloud",
        uses: &[
            "clock",
            "config",
            "crd",
            "expiring",
            "ids",
            "plan",
            "runtime",
            "workspace",
        ],
        never: &["clap", "kube"],
    },
    Layer {
        module: "controllers",
        uses: CONTROLLERS,
        never: &["clap"],
    },
    Layer {
        // What a moment means for a request is decided by `plan`; here it is only measured and handed on.
        module: "controllers/deletion",
        uses: CONTROLLERS,
        never: CLOCK_ARITHMETIC,
    },
    Layer {
        module: "controllers/claims",
        uses: CONTROLLERS,
        never: CLOCK_ARITHMETIC,
    },
];

const CONTROLLERS: &[&str] = &[
    "clock",
    "cloud",
    "config",
    "crd",
    "expiring",
    "ids",
    "plan",
    "runtime",
    "workspace",
];

const CLOCK_ARITHMETIC: &[&str] = &[
    "clap",
    "SignedDuration",
    "checked_add",
    "checked_sub",
    "duration_since",
    "duration_until",
    "saturating_duration_since",
];

#[test]
fn every_module_uses_only_what_it_may() {
    let mut wrong = BTreeSet::new();
    for layer in LAYERS {
        for (file, paths) in paths_of(layer) {
            wrong.extend(violations(layer, &paths).map(|violation| format!("{file} uses {violation}")));
        }
    }
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(
        wrong.is_empty(),
        "the layers of tests/offline/layering.rs do not allow it:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_module_has_a_layer() {
    let lib = fs::read_to_string(sources().join("lib.rs")).unwrap();
    let declared: BTreeSet<_> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let layered: BTreeSet<_> = modules().collect();
    assert_eq!(
        declared, layered,
        "src/lib.rs and the table of this test name different modules"
    );
}

#[test]
fn the_table_of_the_crate_documentation_lists_what_each_module_may_use() {
    let lib = fs::read_to_string(sources().join("lib.rs")).unwrap();
    let mut documented = BTreeMap::new();
    for row in lib.lines().filter_map(|line| line.strip_prefix("//! | [")) {
        let cells: Vec<_> = row.split(" | ").collect();
        let uses = in_backticks(cells[2]);
        documented.extend(
            in_backticks(cells[0])
                .into_iter()
                .map(|module| (module, uses.clone())),
        );
    }
    let layers = LAYERS.iter().filter(|layer| !layer.module.contains('/'));
    let allowed: BTreeMap<_, BTreeSet<_>> = layers
        .map(|layer| (layer.module, layer.uses.iter().copied().collect()))
        .collect();
    assert_eq!(documented, allowed);
}

#[test]
fn every_module_uses_all_that_it_may() {
    let mut unused = Vec::new();
    for layer in LAYERS.iter().filter(|layer| !layer.module.contains('/')) {
        let inside =
            |file: &PathBuf| layer_of(file).is_some_and(|of| of.split('/').next() == Some(layer.module));
        let files = source::files(&sources()).into_iter().filter(inside);
        let paths: BTreeSet<_> = files
            .flat_map(|file| source::paths_of(&file, &sources()))
            .collect();
        let is_used = |used: &str| {
            paths
                .iter()
                .any(|path| format!("{path}::").starts_with(&format!("crate::{used}::")))
        };
        unused.extend(
            layer
                .uses
                .iter()
                .filter(|used| !is_used(used))
                .map(|used| format!("{}: {used}", layer.module)),
        );
    }
    assert!(unused.is_empty(), "remove from the layers: {unused:?}");
}

#[test]
fn forbidden_uses_are_detected() {
    let plan = LAYERS.iter().find(|layer| layer.module == "plan").unwrap();
    for (code, found) in [
        ("use crate::controllers::Context;", "crate::controllers::Context"),
        ("use crate::{ids::JobID, clock::Clock};", "crate::clock::Clock"),
        ("use super::super::clock as c;", "crate::clock"),
        (
            "fn f() { let x = crate::workspace::http::Connector; }",
            "crate::workspace::http::Connector",
        ),
        (
            "use crate::workspace::api::{Desktop, Workspace};",
            "crate::workspace::api::Workspace",
        ),
        ("async fn f() {}", "async"),
        ("use kube::Client;", "kube::Client"),
        ("let now = jiff::Timestamp::now();", "jiff::Timestamp::now"),
        ("fn f(at: std::time::Instant) {}", "std::time::Instant"),
        ("log!(\"{}\", '\"', crate::cli::Cli)", "crate::cli::Cli"),
    ] {
        let found_here: Vec<_> = violations(plan, &source::paths(code, &["plan", "record"])).collect();
        assert!(found_here.contains(&found.to_owned()), "{code}: {found_here:?}");
    }
    let deletion = LAYERS
        .iter()
        .find(|layer| layer.module == "controllers/deletion")
        .unwrap();
    let code = "fn over(at: Timestamp) -> bool { at.checked_add(timing.job_visibility_timeout).is_ok_and(|end| end < now) }";
    let found: Vec<_> = violations(deletion, &source::paths(code, &["controllers", "deletion"])).collect();
    assert_eq!(found, ["checked_add"]);
    for code in [
        "use crate::workspace::api::Desktop; // not crate::cli",
        "use super::status; use crate::crd::conditions::{Reason, ConditionStatus};",
        "/* crate::clock */ const TEXT: &str = \"use crate::clock and async\";",
        "const RAW: &str = r#\"crate::clock \"quoted\" \"#; fn f<'a>(x: &'a str) -> char { '\\'' }",
        "use crate::config::Timing;\n#[cfg(test)]\nmod tests { use crate::cli::Cli; }",
    ] {
        let none: Vec<_> = violations(plan, &source::paths(code, &["plan", "record"])).collect();
        assert!(none.is_empty(), "{code}: {none:?}");
    }
}

/// What stands between backticks.
fn in_backticks(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The modules of `src/lib.rs`.
fn modules() -> impl Iterator<Item = &'static str> {
    let all = LAYERS.iter().map(|layer| layer.module);
    all.filter(|module| !module.contains('/'))
}

/// The paths of a file that its layer does not allow.
fn violations<'a>(layer: &'a Layer, paths: &'a BTreeSet<String>) -> impl Iterator<Item = String> + 'a {
    paths
        .iter()
        .filter(|path| is_forbidden(layer, path) || layer.never.iter().any(|word| names(path, word)))
        .cloned()
}

/// Whether a path leads to a module of this crate that the layer may not use.
fn is_forbidden(layer: &Layer, path: &str) -> bool {
    let Some(inner) = path.strip_prefix("crate::") else {
        return false;
    };
    let module = inner.split("::").next().unwrap_or_default();
    let begins = |allowed: &&str| inner == *allowed || inner.starts_with(&format!("{allowed}::"));
    // The way to an allowed part of a module (`workspace` on the way to `workspace::api`) is no use of the whole.
    let on_the_way = |allowed: &&str| allowed.starts_with(&format!("{inner}::"));
    modules().any(|known| known == module)
        && Some(module) != layer.module.split('/').next()
        && !layer
            .uses
            .iter()
            .any(|allowed| begins(allowed) || on_the_way(allowed))
}

/// Whether `word` (a name, or several joined by `::`) occurs in a path as whole names.
fn names(path: &str, word: &str) -> bool {
    format!("::{path}::").contains(&format!("::{word}::"))
}

/// Every file of a layer by its path below the project, with the paths that its code names.
fn paths_of(layer: &Layer) -> BTreeMap<String, BTreeSet<String>> {
    source::files(&sources())
        .into_iter()
        .filter(|file| layer_of(file) == Some(layer.module))
        .map(|file| (name_of(&file), source::paths_of(&file, &sources())))
        .collect()
}

/// The layer that a Rust file belongs to: the longest that its path begins with.
fn layer_of(file: &Path) -> Option<&'static str> {
    let inside = file.strip_prefix(sources()).unwrap();
    let module = inside.to_str().unwrap().strip_suffix(".rs")?;
    let begins = |layer: &&str| module == *layer || module.starts_with(&format!("{layer}/"));
    LAYERS
        .iter()
        .map(|layer| layer.module)
        .filter(begins)
        .max_by_key(|layer| layer.len())
}

fn name_of(file: &Path) -> String {
    file.strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap()
        .display()
        .to_string()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
