//! The scenarios themselves: each is played, and each names its rule.

use std::fs;
use std::path::Path;

/// The names of the files with this ending.
fn files(ending: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp");
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let wanted = files.filter(|path| path.extension().is_some_and(|found| found == ending));
    wanted
        .map(|path| {
            let text = fs::read_to_string(&path).expect("its text");
            (path.file_stem().expect("its name").to_string_lossy().into_owned(), text)
        })
        .collect()
}

#[test]
fn every_scenario_is_played_and_tells_its_rule() {
    let tests: String = files("rs").into_iter().map(|(_, text)| text).collect();
    let scenarios = files("xml");
    assert!(scenarios.len() > 60, "only {} scenarios", scenarios.len());
    for (name, text) in scenarios {
        assert!(tests.contains(&format!("\"{name}\"")), "nobody plays {name}.xml");
        assert!(text.contains(&format!("<scenario name=\"{name}\">")), "{name}.xml has another name inside");
        let comment = text.split("-->").next().unwrap_or_default();
        assert!(comment.contains("<!--") && !comment.contains("<scenario"), "{name}.xml tells no rule");
    }
}
