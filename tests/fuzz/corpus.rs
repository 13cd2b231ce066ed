//! The corpus of every target, replayed: what once was found, or led to something new, stays found.

use std::path::Path;

#[test]
fn the_corpus_of_every_target_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in fuzzing::TARGETS {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(target.name))
            .unwrap_or_else(|error| panic!("the corpus of {}: {error}", target.name))
            .map(|entry| entry.expect("a file").path())
            .collect();
        files.sort();
        assert!(files.len() >= 10, "{} has a corpus of {} files only", target.name, files.len());
        for file in files {
            let data = std::fs::read(&file).expect("it can be read");
            let passed = std::panic::catch_unwind(|| (target.body)(&data));
            assert!(passed.is_ok(), "{} fails on {}", target.name, file.display());
        }
    }
}
