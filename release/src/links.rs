//! Links of a rendered site that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

/// Each link of the pages that leads to no file or to no place in a page, in words. `files` are all files of the site, and `pages`
/// the texts of those that are HTML, both by their paths in it. Links out of the site are not followed.
pub fn broken(files: &BTreeSet<String>, pages: &BTreeMap<String, String>) -> Vec<String> {
    let anchors: BTreeMap<_, BTreeSet<_>> = pages
        .iter()
        .map(|(path, text)| (path.as_str(), values(text, " id=\"").collect()))
        .collect();
    let mut broken = Vec::new();
    for (page, text) in pages {
        let links = values(text, " href=\"").chain(values(text, " src=\""));
        for link in links.filter(|link| !leads_out(link)) {
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = resolve(page, target);
            let known = path.as_deref().is_some_and(|path| {
                let places = anchors.get(path);
                files.contains(path)
                    && (anchor.is_empty() || places.is_some_and(|places| places.contains(anchor)))
            });
            if !known {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    broken
}

/// The values of an attribute, which is given with what stands before the value.
fn values<'a>(text: &'a str, attribute: &str) -> impl Iterator<Item = String> + 'a {
    let parts: Vec<_> = text.split(attribute).skip(1).collect();
    let values = parts.into_iter().filter_map(|part| part.split('"').next());
    values.map(|value| value.replace("&amp;", "&").replace("&#39;", "'"))
}

/// Whether a link has a scheme or a host.
fn leads_out(link: &str) -> bool {
    let before_path = link.split(['/', '#', '?']).next().unwrap_or_default();
    before_path.contains(':') || link.starts_with("//")
}

/// The file that a link of a page leads to; `None` if that is outside of the site.
fn resolve(page: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(page.to_owned());
    }
    let mut path: Vec<_> = page.split('/').collect();
    path.pop();
    // Seen from the root of the site, whose own path is not known.
    if target.starts_with('/') {
        path.clear();
    }
    for part in target.trim_start_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                path.pop()?;
            }
            name => path.push(name),
        }
    }
    let path = path.join("/");
    Some(if path.is_empty() || path.ends_with('/') {
        path + "index.html"
    } else {
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_of(pages: &[(&str, &str)]) -> Vec<String> {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        let pages: BTreeMap<_, _> = pages.iter().map(owned).collect();
        let files = pages.keys().cloned().chain(["css/book.css".to_owned()]).collect();
        broken(&files, &pages)
    }

    #[test]
    fn links_to_files_places_and_other_sites_are_fine() {
        let found = broken_of(&[
            (
                "index.html",
                r##"<link href="css/book.css"><a href="docs/a.html#b&amp;c"><a href="#"><a href="."><base href="/">"##,
            ),
            (
                "docs/a.html",
                r#"<h1 id="b&amp;c"><a href="../index.html"><a href="../"><a href="https://example.com/x"><a href="mailto:a@b">"#,
            ),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn links_to_nothing_are_named_with_their_page() {
        let found = broken_of(&[
            ("index.html", r#"<a href="docs/a.html#c"><img src="picture.svg">"#),
            (
                "docs/a.html",
                r#"<h1 id="b"><a href="index.html"><a href="../../x.html">"#,
            ),
        ]);
        assert_eq!(
            found,
            [
                "docs/a.html: index.html",
                "docs/a.html: ../../x.html",
                "index.html: docs/a.html#c",
                "index.html: picture.svg",
            ]
        );
    }
}
