//! No dependency cycles between files: files in a cycle can only be read, tested and changed together. A file and those
//! below it count as one, since the lower ones are its parts.

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
    let mut wrong = Vec::new();
    for (module, used) in uses(&code) {
        for (other, path) in used {
            if let (Some(own), Some(below)) = (layers.get(&module), layers.get(&other))
                && (below > own || (*own == PHASES && below == own))
            {
                wrong.push(format!("{module} (layer {own}) uses {path} (layer {below})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_dependency_cycle_is_detected_and_reported_with_its_uses() {
    let told = |files: &[(&str, &str)]| shortest_circle(&uses(files)).join("\n");
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
        told(&files),
        "a uses crate::b::x::Y\nb::x uses crate::c::LONG\nc uses crate::a::Z"
    );
    // The parts of a file may use it, and it them.
    assert_eq!(
        told(&[
            ("a", "mod b; use b::B; use self::b::c::C;"),
            ("a::b", "mod c; use super::A;"),
            ("a::b::c", "use super::super::A; use crate::a::b::B;"),
        ]),
        ""
    );
    // Tests may use everything.
    assert_eq!(
        told(&[
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
        told(&[("a", "use crate::b::B;"), ("b", hidden)]),
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

/// Who uses whom among files with the names of their modules and their code.
fn uses<T: AsRef<str>>(files: &[(T, T)]) -> Uses {
    let modules: BTreeSet<&str> = files.iter().map(|(module, _)| module.as_ref()).collect();
    let mut all = Uses::new();
    for (module, code) in files {
        let (module, code) = (module.as_ref(), code.as_ref());
        let names: Vec<_> = module.split("::").collect();
        let used = all.entry(module.to_owned()).or_default();
        for path in source::paths(code, &names) {
            let Some(inner) = path.strip_prefix("crate::") else {
                continue;
            };
            if let Some(other) = file_of(inner, &modules).filter(|other| !are_related(module, other)) {
                used.entry(other.to_owned()).or_insert(path);
            }
        }
    }
    all
}

/// The file that holds what a path from the root of the crate names.
fn file_of<'a>(path: &'a str, modules: &BTreeSet<&str>) -> Option<&'a str> {
    let mut candidate = path;
    loop {
        if modules.contains(candidate) {
            return Some(candidate);
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
