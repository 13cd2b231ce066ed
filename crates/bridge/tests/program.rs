//! The program itself: what it says, how it exits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SECRET: &str = "a-secret-that-must-not-show";

fn program(command: &str, config: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wa-bridge"));
    program.arg(command).arg("--config").arg(config).env_remove("RUST_LOG");
    for name in ["WA_APP_SECRET", "WA_VERIFY_TOKEN", "WA_TOKEN"] {
        program.env(name, SECRET);
    }
    program
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/wa-bridge.example.toml")
}

/// The example on loopback, on any free ports.
fn on_loopback(folder: &Path, sip: &str) -> PathBuf {
    let text = fs::read_to_string(example()).expect("the example");
    let text = text
        .replace("[sip]", &format!("[sip]\nbind = \"{sip}\""))
        .replace("advertised = \"10.0.0.2\"", "advertised = \"127.0.0.1\"")
        // Clear of the ports the system gives out, one of which SIP may be told to take.
        .replace("# ports = \"30000-39999\"", "ports = \"10000-10999\"")
        .replace("[webhook]", "[webhook]\nlisten = \"127.0.0.1:0\"")
        .replace("[admin]", "[admin]\nlisten = \"127.0.0.1:0\"")
        .replace("[journal]", "[journal]\npath = \"calls.redb\"")
        .replace("# level = \"info\"", "level = \"trace\"");
    let file = folder.join("wa-bridge.toml");
    fs::write(&file, text).expect("written");
    file
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[test]
fn check_passes_the_example_and_explains_what_is_missing() {
    let good = program("check", &example()).output().expect("it runs");
    assert!(good.status.success() && text(&good).contains("is good"), "{}", text(&good));
    assert!(!text(&good).contains(SECRET));
    assert!(text(&good).contains("trunk \"office\": calls go to sip:10.0.0.5:5060"), "{}", text(&good));

    let bad = program("check", &example()).env_remove("WA_TOKEN").output().expect("it runs");
    assert_eq!(bad.status.code(), Some(2));
    let said = text(&bad);
    assert!(said.contains("number.token: environment variable WA_TOKEN is not set"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn it_runs_until_it_is_told_to_stop_and_shows_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = on_loopback(folder.path(), "127.0.0.1:0");
    let mut bridge = program("run", &config).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(bridge.stdout.take().expect("its log")).lines();
    let mut said = Vec::new();
    for line in log.by_ref().map_while(Result::ok) {
        let ready = line.contains("ready");
        said.push(line);
        if ready {
            break;
        }
    }
    assert!(said.last().is_some_and(|line| line.contains("ready")), "{said:?}");
    let pid = bridge.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    said.extend(log.map_while(Result::ok));
    assert!(bridge.wait().expect("it ends").success());
    assert!(!said.concat().contains(SECRET));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let output = program("run", &on_loopback(folder.path(), &address)).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("sip.bind") && said.contains(&address), "{said}");
}
