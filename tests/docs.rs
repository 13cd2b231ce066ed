//! What the documents say exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The names of all tests and SIPp scenarios.
fn proofs() -> BTreeSet<String> {
    let mut found = Vec::new();
    files(&root().join("crates"), &mut found);
    files(&root().join("tests"), &mut found);
    let mut names = BTreeSet::new();
    for path in found {
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        match (kind, path.file_stem().and_then(|stem| stem.to_str())) {
            ("xml", Some(stem)) => drop(names.insert(stem.to_owned())),
            ("rs", _) => {
                let text = fs::read_to_string(&path).expect("a source file");
                let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
                names.extend(functions.map(str::to_owned));
            }
            _ => {}
        }
    }
    names
}

/// The names in the last column of the tables of a page.
fn named(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let columns = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | ").map(|(_, last)| last));
    columns.flat_map(|last| last.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Fails when the page names fewer proofs than this, or one that does not exist.
fn check(page: &str, at_least: usize) {
    let text = fs::read_to_string(root().join(page)).expect("a page");
    let (named, proofs) = (named(&text), proofs());
    assert!(named.len() > at_least, "only {} proofs are named in {page}", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !proofs.contains(*name)).collect();
    assert!(missing.is_empty(), "{page} names what does not exist: {missing:#?}");
}

#[test]
fn every_proof_that_the_sip_page_names_exists() {
    check("docs/sip.md", 100);
}

#[test]
fn every_proof_that_the_page_of_failures_names_exists() {
    check("docs/failures.md", 70);
}

#[test]
fn the_page_of_failures_has_each_of_the_43() {
    let text = fs::read_to_string(root().join("docs/failures.md")).expect("docs/failures.md");
    let rows: BTreeSet<u32> =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    let missing: Vec<_> = (1..=43).filter(|number| !rows.contains(number) && *number != 36).collect();
    assert!(missing.is_empty(), "not in docs/failures.md: {missing:?}");
}
