//! As much of Markdown as the project's pages use: headings, links, code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A page. Fenced code is in its text, and in nothing else that is read from it.
pub(super) struct Page {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A heading and the lines below it, up to the next heading of any level.
pub(super) struct Section<'a> {
    pub(super) level: usize,
    pub(super) title: &'a str,
    pub(super) lines: Vec<&'a str>,
}

impl Page {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            path: path.to_owned(),
            text,
        }
    }

    /// The lines outside of fenced code.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }

    pub(super) fn sections(&self) -> Vec<Section<'_>> {
        let mut sections = Vec::new();
        for line in self.lines() {
            let level = line.chars().take_while(|c| *c == '#').count();
            if level > 0 && line[level..].starts_with(' ') {
                sections.push(Section {
                    level,
                    title: line[level..].trim(),
                    lines: Vec::new(),
                });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(line);
            }
        }
        sections
    }

    /// The names by which links reach the headings, as GitHub makes them.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut seen = BTreeMap::<String, usize>::new();
        let mut anchors = Vec::new();
        for section in self.sections() {
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            let name: String = section.title.to_lowercase().chars().filter(kept).collect();
            let name = name.replace(' ', "-");
            let count = seen.entry(name.clone()).or_default();
            anchors.push(if *count == 0 {
                name
            } else {
                format!("{name}-{count}")
            });
            *count += 1;
        }
        anchors
    }

    /// Where the links lead, in the words of the page.
    pub(super) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for line in self.lines() {
            // A link may have code for its text.
            let bare = line.replace('`', "");
            for part in bare.split("](").skip(1) {
                if let Some((target, _)) = part.split_once(')') {
                    links.push(target.to_owned());
                }
            }
        }
        links
    }

    /// What stands between single backticks.
    pub(super) fn code(&self) -> Vec<&str> {
        self.lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2))
            .collect()
    }
}

/// Every page below `folder`, what is built or hidden left out.
pub(super) fn pages(folder: &Path) -> Vec<Page> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(Page::read(&path));
        }
    }
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}
