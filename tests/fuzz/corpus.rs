//! The corpus of every target, replayed: what once was found, or led to something new, stays found.

use std::path::{Path, PathBuf};

#[test]
fn the_corpus_of_every_target_passes() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for target in fuzzing::TARGETS {
        let mut files = Vec::new();
        files_of(&project.join("tests/fuzz/corpus").join(target.name), &mut files);
        if let Some(seeds) = target.seeds {
            files_of(&project.join(seeds), &mut files);
        }
        files.sort();
        assert!(files.len() >= 10, "{} has a corpus of {} files only", target.name, files.len());
        for file in files {
            let data = std::fs::read(&file).expect("it can be read");
            let passed = std::panic::catch_unwind(|| (target.body)(&data));
            assert!(passed.is_ok(), "{} fails on {}", target.name, file.display());
        }
    }
}

/// All files of a folder and of those in it.
fn files_of(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a file").path();
        if path.is_dir() { files_of(&path, files) } else { files.push(path) }
    }
}
