//! The documentation as a book of `mdBook`: the pages that `docs/SUMMARY.md` lists, which are not only those of `docs/`.
//! A link to another file of the project leads to the source repository.

/// Where the pictures are.
pub const PICTURES: &str = "docs/pictures";

/// The paths of the pages that the summary lists, from the root of the project.
pub fn pages(summary: &str) -> Vec<String> {
    let targets = summary.split("](").skip(1);
    let targets = targets.filter_map(|part| part.split_once(')'));
    targets
        .filter_map(|(target, _)| resolve("docs/SUMMARY.md", target))
        .collect()
}

/// The summary as the book has it, which lies in the root.
pub fn summary(summary: &str) -> String {
    links(summary, |target| resolve("docs/SUMMARY.md", target))
}

/// The text of a page as the book has it. `path` and `pages` are seen from the root of the project; `sources` is where its
/// files can be read, such as `https://example.com/project/blob/v1`.
pub fn page(path: &str, text: &str, pages: &[String], sources: &str) -> String {
    links(text, |target| {
        let (file, anchor) = target.split_at(target.find('#').unwrap_or(target.len()));
        if file.is_empty() || file.contains(':') {
            return None;
        }
        let path = resolve(path, file)?;
        if pages.contains(&path) {
            // The book renders it as index.html.
            let folder = file.strip_suffix("README.md")?;
            return Some(format!("{folder}index.md{anchor}"));
        }
        (!path.starts_with(PICTURES)).then(|| format!("{sources}/{path}{anchor}"))
    })
}

/// Replaces the targets of links outside of fenced code.
fn links(text: &str, replaced: impl Fn(&str) -> Option<String>) -> String {
    let mut fenced = false;
    let mut result = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if fenced || fence {
            result += line;
            continue;
        }
        let mut parts = line.split("](");
        result += parts.next().unwrap_or_default();
        for part in parts {
            result += "](";
            match part.split_once(')') {
                Some((target, rest)) => {
                    result += &replaced(target).unwrap_or_else(|| target.to_owned());
                    result += ")";
                    result += rest;
                }
                None => result += part,
            }
        }
    }
    result
}

/// The path of a link's target from the root, where the page with the link has the path `page`; `None` if it leads out of
/// the project.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut path: Vec<_> = page.split('/').collect();
    path.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            name => path.push(name),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_seen_from_the_root() {
        let text = "# Summary\n\n[Overview](../README.md)\n\n- [Install](install.md)\n";
        assert_eq!(pages(text), ["README.md", "docs/install.md"]);
        assert_eq!(
            summary(text),
            "# Summary\n\n[Overview](README.md)\n\n- [Install](docs/install.md)\n"
        );
    }

    #[test]
    fn links_lead_to_pages_of_the_book_or_to_the_source() {
        let pages = ["docs/a.md", "crds/README.md"].map(str::to_owned);
        let page = |text| page("docs/a.md", text, &pages, "https://example.com/blob/v1");
        for same in [
            "[b](a.md#x) [d](#z) [e](https://example.com/f)",
            "![picture](pictures/life.svg)",
            "```sh\n[a](../src/lib.rs)\n```\n",
            "not closed [a](b",
        ] {
            assert_eq!(page(same), same);
        }
        assert_eq!(page("[c](../crds/README.md#y)"), "[c](../crds/index.md#y)");
        assert_eq!(
            page("See [a](../src/lib.rs), [b](../deploy/README.md#two-replicas).\n"),
            "See [a](https://example.com/blob/v1/src/lib.rs), \
             [b](https://example.com/blob/v1/deploy/README.md#two-replicas).\n"
        );
    }

    #[test]
    fn a_path_out_of_the_project_is_none() {
        assert_eq!(resolve("docs/a.md", "../../b"), None);
        assert_eq!(resolve("README.md", "./docs//a.md"), Some("docs/a.md".to_owned()));
    }
}
