//! The `[journal]` table.

use std::path::{Path, PathBuf};

use super::*;

fn journal(lines: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Journal, String> {
    let text = format!("{LEAST}[journal]\n{lines}\n");
    let config = Config::parse(&text, Path::new("/etc/wa-bridge/wa-bridge.toml"), env);
    config.map(|config| config.journal).map_err(|errors| errors.to_string())
}

#[test]
fn the_file_is_where_the_service_may_write() {
    let systemd = |name: &str| match name {
        "STATE_DIRECTORY" => Some("/var/lib/wa-bridge:/var/lib/other".to_owned()),
        other => env(other),
    };
    for (lines, env, path) in [
        ("", &env as &dyn Fn(&str) -> Option<String>, "wa-bridge.redb"),
        ("", &systemd, "/var/lib/wa-bridge/wa-bridge.redb"),
        ("path = \"calls.redb\"", &systemd, "/etc/wa-bridge/calls.redb"),
        ("path = \"/srv/calls.redb\"", &env, "/srv/calls.redb"),
    ] {
        let read = journal(lines, env).expect("good");
        assert_eq!((read.path, read.instance), (Some(PathBuf::from(path)), None), "{lines}");
    }
}

#[test]
fn none_is_kept_where_that_is_said_and_there_is_a_warning() {
    let off = "enabled = false\ninstance = \"bridge-1\"";
    let read = journal(off, &env).expect("good");
    assert_eq!((read.path, read.instance), (None, Some("bridge-1".parse().expect("a name"))));
    let warnings = good(&format!("{LEAST}[journal]\n{off}\n")).warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("journal.enabled"), "{warnings:?}");
}

#[test]
fn what_is_wrong_is_said() {
    for (lines, part) in [
        ("path = \"\"", "journal.enabled = false"),
        ("instance = \"a b\"", "1 to 32 letters"),
        ("instance = \"\"", "1 to 32 letters"),
        ("enabled = \"no\"", "true or false"),
    ] {
        let errors = journal(lines, &env).expect_err(lines);
        assert!(errors.contains(part), "{errors}");
    }
}
