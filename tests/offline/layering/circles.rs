//! No dependency cycles between files: files in a cycle can only be read, tested and changed together. A file and its
//! parts, the files below it, may use each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::source;

/// The files of a crate by the names of their modules, each with those that it uses and one path that names each.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn the_files_of_the_operator_have_no_dependency_cycle() {
    no_circle("src");
}

#[test]
fn the_files_of_the_simulator_have_no_dependency_cycle() {
    no_circle("simulator/src");
}

/// The first line of each file of the decision names its layer: a file uses files of its own layer and of those below, and a
/// phase uses no other phase.
#[test]
fn the_files_of_plan_use_only_their_own_layer_and_lower_ones() {
    const PHASES: u32 = 6;
    let code = code_below("src");
    let layers: BTreeMap<_, u32> = code
        .iter()
        .filter_map(|(module, text)| {
            let file = module
                .strip_prefix("plan::")
                .filter(|file| !file.contains("::"))?;
            let number = text
                .strip_prefix("//! Layer ")
                .and_then(|line| line.split(',').next());
            let layer = number.and_then(|number| number.parse().ok());
            let layer = layer.unwrap_or_else(|| panic!("src/plan/{file}.rs names no layer"));
            Some((module.clone(), layer))
        })
        .collect();
    assert!(layers.len() > 20, "{layers:?}");
    // The parts of a file belong to its layer.
    let whole = |module: &'_ str| -> String {
        let names: Vec<_> = module.splitn(3, "::").take(2).collect();
        names.join("::")
    };
    let mut wrong = Vec::new();
    for (module, used) in uses(&code) {
        for (other, path) in used {
            if let (Some(own), Some(below)) = (layers.get(&whole(&module)), layers.get(&whole(&other)))
                && (below > own || (*own == PHASES && below == own && whole(&module) != whole(&other)))
            {
                wrong.push(format!("{module} (layer {own}) uses {path} (layer {below})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_dependency_cycle_is_detected_and_reported_with_its_uses() {
    let cycle = |files: &[(&str, &str)]| shortest_circle(&uses(files)).join("\n");
    let files = [
        ("a", "use super::b::x::Y;"),
        ("b", "mod x;"),
        (
            "b::x",
            "fn f() { g(crate::c::LONG, |it| super::super::d::go(it)) }",
        ),
        ("c", "use crate::{d, a::{self as other, Z}};"),
        ("d", "// crate::a::Z"),
    ];
    assert_eq!(
        cycle(&files),
        "a uses crate::b::x::Y\nb::x uses crate::c::LONG\nc uses crate::a::Z"
    );
    // The parts of a file may use it, and it them.
    assert_eq!(
        cycle(&[
            ("a", "mod b; use b::B; use self::b::c::C;"),
            ("a::b", "mod c; use super::A;"),
            ("a::b::c", "use super::super::A; use crate::a::b::B;"),
        ]),
        ""
    );
    // What a file passes on is used where it is defined, by whichever way it is named.
    assert_eq!(
        cycle(&[
            ("a", "mod b; mod c; mod d; use d::D;"),
            ("a::b", "use super::c::C;"),
            ("a::c", "mod e; pub use e::C;"),
            ("a::c::e", "use super::super::D;"),
            ("a::d", "use super::b::B;"),
        ]),
        "a::b uses crate::a::c::C\na::c::e uses crate::a::D\na::d uses crate::a::b::B"
    );
    // The file that passes it on is used as well, and a path may begin with a module that was imported.
    assert_eq!(
        cycle(&[
            ("a", "mod b; pub use b::B; use crate::c::C;"),
            ("a::b", "struct B;"),
            ("c", "use crate::a; fn f(b: a::B) {}"),
        ]),
        "a uses crate::c::C\nc uses crate::a"
    );
    assert_eq!(
        cycle(&[
            ("a", "use crate::b; fn f() { b::c::go() }"),
            ("b", "mod c;"),
            ("b::c", "use crate::a::f;"),
        ]),
        "a uses crate::b::c::go\nb::c uses crate::a::f"
    );
    // What a file defines is its own, whatever it names besides.
    assert_eq!(
        cycle(&[
            ("a", "mod b; fn run() { b::run() }"),
            ("a::b", "use crate::c::C; fn run() {}"),
            ("c", "fn f() { crate::a::run() } struct C;"),
        ]),
        ""
    );
    // Tests may use everything.
    assert_eq!(
        cycle(&[
            ("a", "use crate::b::B;"),
            (
                "b",
                "#[cfg(test)] use crate::a::A; fn f() {} #[cfg(test)] mod tests { use crate::a::{A}; fn t() {} }"
            ),
        ]),
        ""
    );
    let hidden = "#[cfg(test)] mod tests { fn t() {} } fn f() { crate::a::go() }";
    assert_eq!(
        cycle(&[("a", "use crate::b::B;"), ("b", hidden)]),
        "a uses crate::b::B\nb uses crate::a::go"
    );
}

/// The files of a crate: names of their modules, and their code.
fn code_below(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let of = |file: &PathBuf| {
        let module = source::module_of(file, &root).join("::");
        (module, std::fs::read_to_string(file).unwrap())
    };
    source::files(&root).iter().map(of).collect()
}

fn no_circle(folder: &str) {
    let code = code_below(folder);
    let circle = shortest_circle(&uses(&code));
    assert!(
        circle.is_empty(),
        "files of {folder} use each other in a circle:\n{}",
        circle.join("\n")
    );
}

/// Who uses whom among files with the names of their modules and their code. Who uses a name that a file passes on uses that
/// file, and the one in which the name is defined.
fn uses<T: AsRef<str>>(files: &[(T, T)]) -> Uses {
    let modules: BTreeSet<&str> = files.iter().map(|(module, _)| module.as_ref()).collect();
    let named: BTreeMap<&str, BTreeSet<String>> = files
        .iter()
        .map(|(module, code)| {
            let names: Vec<_> = module.as_ref().split("::").collect();
            let paths = source::paths(code.as_ref(), &names);
            let inner = paths
                .iter()
                .filter_map(|path| from_the_root(path, module.as_ref(), &modules, &paths));
            (module.as_ref(), inner.collect())
        })
        .collect();
    let defined: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|(module, code)| (module.as_ref(), defined(code.as_ref())))
        .collect();
    let mut all = Uses::new();
    for (module, paths) in &named {
        let used = all.entry((*module).to_owned()).or_default();
        for path in paths {
            let files = [file_of(path, &modules), origin(path, &named, &defined, &modules)];
            for other in files.into_iter().flatten() {
                if !are_related(module, other) {
                    used.entry(other.to_owned()).or_insert(format!("crate::{path}"));
                }
            }
        }
    }
    all
}

/// The path from the root of the crate, without `crate::`, of one among the `paths` that a module names; `None` if it leads out
/// of the crate or is no path.
fn from_the_root(
    path: &str,
    module: &str,
    modules: &BTreeSet<&str>,
    paths: &BTreeSet<String>,
) -> Option<String> {
    if let Some(inner) = path.strip_prefix("crate::") {
        return Some(inner.to_owned());
    }
    let (first, rest) = path.split_once("::")?;
    let child = format!("{module}::{first}");
    if modules.contains(&*child) {
        return Some(format!("{module}::{path}"));
    }
    let mut imports = paths.iter().filter_map(|path| path.strip_prefix("crate::"));
    let import = imports.find(|import| import.rsplit("::").next() == Some(first))?;
    Some(format!("{import}::{rest}"))
}

/// The names that are defined in code.
fn defined(code: &str) -> BTreeSet<&str> {
    const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<_> = code
        .split(|c| !is_part(c))
        .filter(|word| !word.is_empty())
        .collect();
    let pairs = words.windows(2).filter(|pair| KEYWORDS.contains(&pair[0]));
    pairs.map(|pair| pair[1]).collect()
}

/// The file in which what a path names is defined, as far as that can be found.
fn origin<'a>(
    path: &str,
    named: &BTreeMap<&str, BTreeSet<String>>,
    defined: &BTreeMap<&str, BTreeSet<&str>>,
    modules: &BTreeSet<&'a str>,
) -> Option<&'a str> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        let file = file_of(&path, modules)?;
        let name = path.strip_prefix(file)?.strip_prefix("::").unwrap_or_default();
        let name = name.split("::").next().unwrap_or_default();
        if name.is_empty() || defined[file].contains(name) {
            return Some(file);
        }
        let mut taken = named[file].iter();
        let taken_from = taken.find(|taken| taken.ends_with(&format!("::{name}")));
        match taken_from.filter(|taken| file_of(taken, modules).is_some_and(|other| other != file)) {
            Some(taken) => path = taken.clone(),
            None => return Some(file),
        }
    }
    panic!("the name at the end of {path} is passed on too often")
}

/// The file that a path from the root of the crate leads into.
fn file_of<'a>(path: &str, modules: &BTreeSet<&'a str>) -> Option<&'a str> {
    let mut candidate = path;
    loop {
        if let Some(file) = modules.get(candidate) {
            return Some(file);
        }
        candidate = candidate.rsplit_once("::")?.0;
    }
}

/// Whether one is the other or a part of it.
fn are_related(one: &str, other: &str) -> bool {
    let is_part = |part: &str, whole: &str| format!("{part}::").starts_with(&format!("{whole}::"));
    is_part(one, other) || is_part(other, one)
}

/// The uses that make a shortest circle, if there is one.
fn shortest_circle(uses: &Uses) -> Vec<String> {
    let circles = uses.keys().filter_map(|start| way_back(uses, start));
    let shortest = circles.min_by_key(Vec::len).unwrap_or_default();
    let steps = shortest.iter().zip(shortest.iter().cycle().skip(1));
    steps
        .map(|(file, next)| format!("{file} uses {}", uses[*file][*next]))
        .collect()
}

/// The files on a shortest way from `start` back to it.
fn way_back<'a>(uses: &'a Uses, start: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in uses[file].keys().map(String::as_str) {
            if next == start {
                let mut way = vec![file];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}
