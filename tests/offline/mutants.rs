//! The mutants of `tests/mutants` can still be made, and the page about them is up to date.

use std::fs;
use std::path::Path;

use mutants::list::mutants;
use mutants::page;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_text_that_a_mutant_replaces_occurs_exactly_once_in_the_code() {
    let mut lost = Vec::new();
    for mutant in mutants() {
        for edit in mutant.edits {
            let text = read(edit.file);
            match edit.apply(mutant.name, &text) {
                Ok(changed) => assert_ne!(changed, text, "{} changes nothing", mutant.name),
                Err(error) => lost.push(error.to_string()),
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n\n"));
}

#[test]
fn the_page_has_a_row_for_each_mutant_and_no_other() {
    let page = read(page::PATH);
    let rows: Vec<_> = page::rows(&page).collect();
    let begins: Vec<_> = mutants().map(page::row_begins).collect();
    let fitting = rows.len() == begins.len()
        && rows
            .iter()
            .zip(&begins)
            .all(|(row, begin)| row.starts_with(begin));
    assert!(
        fitting,
        "`cargo run -p mutants` writes {}, which has\n{}\nand should have\n{}",
        page::PATH,
        rows.join("\n"),
        begins.join("\n")
    );
    let rows: Vec<_> = rows.into_iter().map(str::to_owned).collect();
    assert_eq!(page, page::page(&rows), "it is not as it was written");
}
