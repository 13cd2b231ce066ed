//! Pure modules stay pure: no runtime, no clock, no socket, no random source.
//!
//! Every source file of the four crates of the product is named here, by itself or
//! by its folder, as pure or as IO; the longest name decides. Tests are free: their
//! virtual time has to start somewhere.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// What takes time, randomness, addresses and bytes as arguments.
const PURE: &[&str] = &[
    "sip-core/src/auth",
    "sip-core/src/lib.rs",
    "sip-core/src/message",
    "sip-core/src/profile.rs",
    "sip-core/src/registration",
    "sip-core/src/transaction",
    "sip-core/src/dialog",
    "sip-core/src/endpoint",
    "sip-core/src/transport/elsewhere.rs",
    "sip-core/src/transport/lru.rs",
    "sip-core/src/transport/strangers",
    "wa-signaling/src/lib.rs",
    "wa-signaling/src/graph",
    "wa-signaling/src/webhook",
    "wa-signaling/src/identity.rs",
    "wa-signaling/src/json.rs",
    "wa-signaling/src/permission.rs",
    "wa-signaling/src/permission",
    "wa-signaling/src/secret.rs",
    "wa-signaling/src/wacid.rs",
    "media-relay/src/lib.rs",
    "media-relay/src/sdp",
    "media-relay/src/rtp",
    "media-relay/src/codec",
    "media-relay/src/complexity.rs",
    "media-relay/src/path",
    "media-relay/src/peer",
    "media-relay/src/announcement.rs",
    "media-relay/src/event.rs",
    "media-relay/src/fuzzing.rs",
    "media-relay/src/measuring.rs",
    "media-relay/src/hold.rs",
    "media-relay/src/options.rs",
    "media-relay/src/quality.rs",
    "media-relay/src/quality",
    "media-relay/src/srtp",
    "media-relay/src/tap.rs",
    "media-relay/src/tone.rs",
    "bridge/src/lib.rs",
    "bridge/src/call",
    "bridge/src/capture/message.rs",
    "bridge/src/capture/order.rs",
    "bridge/src/capture/pcap.rs",
    "bridge/src/config",
    "bridge/src/alarm.rs",
    "bridge/src/call_settings",
    "bridge/src/doctor",
    "bridge/src/errors.rs",
    "bridge/src/errors",
    "bridge/src/id.rs",
    "bridge/src/journal/entry.rs",
    "bridge/src/mark.rs",
    "bridge/src/metrics/quality.rs",
    "bridge/src/notices/watch.rs",
    "bridge/src/permissions",
    "bridge/src/permissions.rs",
    "bridge/src/record.rs",
    "bridge/src/record",
    "bridge/src/skew.rs",
    "bridge/src/tombstones.rs",
    "bridge/src/routing",
    "bridge/src/reload/look.rs",
    "bridge/src/trunk",
    "bridge/src/unknown",
    "bridge/src/unknown.rs",
];

/// Thin shells around them.
const IO: &[&str] = &[
    "sip-core/src/transport",
    "sip-core/src/driver.rs",
    "sip-core/src/driver",
    "wa-signaling/src/graph/client.rs",
    "wa-signaling/src/webhook/pass_on/delivery.rs",
    "wa-signaling/src/graph/client",
    "wa-signaling/src/webhook/server.rs",
    "media-relay/src/worker",
    "media-relay/src/ports.rs",
    "media-relay/src/relay.rs",
    "media-relay/src/session.rs",
    "media-relay/src/side.rs",
    "bridge/src/app.rs",
    "bridge/src/call/birth.rs",
    "bridge/src/call/execute.rs",
    "bridge/src/call/permission.rs",
    "bridge/src/call/kept.rs",
    "bridge/src/call/on_sip.rs",
    "bridge/src/call/on_whatsapp.rs",
    "bridge/src/call/sip_out.rs",
    "bridge/src/call/task.rs",
    "bridge/src/call_settings.rs",
    "bridge/src/cli.rs",
    "bridge/src/capture",
    "bridge/src/capture.rs",
    "bridge/src/config/announcement.rs",
    "bridge/src/config/capture.rs",
    "bridge/src/config/file.rs",
    "bridge/src/config/secret.rs",
    "bridge/src/directory",
    "bridge/src/dispatch.rs",
    "bridge/src/doctor/ask.rs",
    "bridge/src/doctor/probe.rs",
    "bridge/src/doctor/run.rs",
    "bridge/src/directory.rs",
    "bridge/src/http.rs",
    "bridge/src/http",
    "bridge/src/journal",
    "bridge/src/main.rs",
    "bridge/src/metrics.rs",
    "bridge/src/notices.rs",
    "bridge/src/random.rs",
    "bridge/src/recovery.rs",
    "bridge/src/record/folder.rs",
    "bridge/src/record/writer.rs",
    "bridge/src/record/writer",
    "bridge/src/reload.rs",
    "bridge/src/shared.rs",
    "bridge/src/shutdown.rs",
    "bridge/src/sip.rs",
    "bridge/src/trunks",
    "bridge/src/webhooks.rs",
    "bridge/src/trunk/resolve.rs",
];

/// What no pure module names.
const FORBIDDEN: &[&str] = &[
    "tokio::",
    "Instant::now",
    ".elapsed(",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "rand::",
    "getrandom",
];

/// The WhatsApp side draws its keys and credentials itself.
const MAY_DRAW: &str = "media-relay/src/peer";
const DRAWING: &[&str] = &["rand::", "getrandom"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pure,
    Io,
}

#[test]
fn pure_modules_are_pure() {
    let mut offences = Vec::new();
    for file in sources() {
        if kind(&file) == Some(Kind::Pure) && !is_test(&file) {
            let text = fs::read_to_string(crates().join(&file)).unwrap();
            offences.extend(offending_lines(&file, &text));
        }
    }
    assert!(offences.is_empty(), "pure modules that are not:\n{}", offences.join("\n"));
}

#[test]
fn every_source_file_is_named() {
    let unnamed: Vec<String> =
        sources().into_iter().filter(|file| !is_test(file) && kind(file).is_none()).collect();
    assert!(
        unnamed.is_empty(),
        "say in tests/purity.rs whether these are PURE or IO:\n{}",
        unnamed.join("\n")
    );
}

#[test]
fn every_name_exists() {
    let gone: Vec<&&str> = PURE.iter().chain(IO).filter(|name| !crates().join(name).exists()).collect();
    assert!(gone.is_empty(), "tests/purity.rs names what is not there: {gone:?}");
}

#[test]
fn each_forbidden_token_is_found() {
    for token in FORBIDDEN {
        let text = format!("fn f() {{\n    let x = {token}y();\n}}\n");
        let offences = offending_lines("sip-core/src/dialog/id.rs", &text);
        assert_eq!(offences.len(), 1, "{token}: {offences:?}");
        assert!(offences[0].starts_with("sip-core/src/dialog/id.rs:2: "), "{offences:?}");
    }
}

#[test]
fn comments_strings_and_tests_are_free_and_nothing_else() {
    let free = "//! Takes no Instant::now.\n/* tokio:: /* SystemTime */ rand:: */\nlet a = \"// UdpSocket \\\" rand::\";\n\
        let b = r#\"a \" TcpStream\"#;\nlet c = strand::x;\n#[cfg(test)]\nmod tests {\n    use tokio::x;\n}\n";
    assert_eq!(offending_lines("x.rs", free), Vec::<String>::new());
    let not_free = [
        "let q = '\"'; rand::x(); let r = '\"';",
        "f(\"//\"); tokio::spawn(x);",
        "fn g<'a>(x: &'a str) { y.elapsed() }",
    ];
    for text in not_free {
        assert_eq!(offending_lines("x.rs", text).len(), 1, "{text}");
    }
    let hidden = "#[cfg(test)]\nmod tests {\n}\nfn f() {}\n";
    assert_eq!(offending_lines("x.rs", hidden).len(), 1);
    // A test module in a file of its own is another file; what follows its declaration is not.
    let after = "#[cfg(test)]\nmod tests;\nfn f() { Instant::now() }\n";
    assert_eq!(offending_lines("x.rs", after).len(), 1);
}

#[test]
fn only_the_whatsapp_side_draws_keys() {
    let text = "let key = aws_lc_rs::rand::fill(&mut bytes);\n";
    assert_eq!(offending_lines("media-relay/src/peer/dtls.rs", text), Vec::<String>::new());
    assert_eq!(offending_lines("media-relay/src/path/mod.rs", text).len(), 1);
    assert_eq!(offending_lines("media-relay/src/peer/ice.rs", "Instant::now()").len(), 1);
}

#[test]
fn the_longest_name_decides() {
    assert_eq!(kind("wa-signaling/src/graph/error.rs"), Some(Kind::Pure));
    assert_eq!(kind("wa-signaling/src/graph/client.rs"), Some(Kind::Io));
    assert_eq!(kind("wa-signaling/src/graphs.rs"), None);
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// Source files of the product's crates, relative to `crates/`.
fn sources() -> Vec<String> {
    let mut files = Vec::new();
    for package in ["sip-core", "wa-signaling", "media-relay", "bridge"] {
        walk(&crates().join(package).join("src"), &mut files).unwrap();
    }
    assert!(files.len() > 50, "only {} source files found", files.len());
    files
}

fn walk(folder: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(crates()).expect("under crates/");
            files.push(name.to_str().expect("ASCII names").to_owned());
        }
    }
    Ok(())
}

fn kind(file: &str) -> Option<Kind> {
    let pure = PURE.iter().map(|name| (*name, Kind::Pure));
    let io = IO.iter().map(|name| (*name, Kind::Io));
    pure.chain(io)
        .filter(|(name, _)| covers(name, file))
        .max_by_key(|(name, _)| name.len())
        .map(|(_, kind)| kind)
}

fn covers(name: &str, file: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `tests.rs`, `testing.rs` and what lies in a folder `tests`.
fn is_test(file: &str) -> bool {
    file.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing.rs"))
}

/// Lines of code with a forbidden token, each with its place.
fn offending_lines(file: &str, text: &str) -> Vec<String> {
    let may_draw = covers(MAY_DRAW, file);
    let code = code_only(text);
    let (code, tests) = code.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&code, ""));
    let mut offences = Vec::new();
    if tests.lines().skip_while(|line| *line != "}").nth(1).is_some() {
        offences.push(format!("{file}: code after the tests is not looked at; put the tests last"));
    }
    for (index, (line, shown)) in code.lines().zip(text.lines()).enumerate() {
        let found = FORBIDDEN
            .iter()
            .filter(|token| !(may_draw && DRAWING.contains(token)))
            .find(|token| names(line, token));
        if let Some(token) = found {
            offences.push(format!("{file}:{}: {token} in `{}`", index + 1, shown.trim()));
        }
    }
    offences
}

/// Does the line have the token, and not only as the end of a longer word?
fn names(line: &str, token: &str) -> bool {
    line.match_indices(token).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        token.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The text with comments and string contents left out; line breaks stay.
fn code_only(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest));
        let length = skipped.unwrap_or(next.len_utf8());
        match skipped {
            Some(_) => code.extend(rest[..length].chars().filter(|c| *c == '\n')),
            None => code.push(next),
        }
        rest = &rest[length..];
    }
    code
}

/// Length of the comment that starts here. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// Length of the string or of the quote character that starts here.
fn string(text: &str) -> Option<usize> {
    for quote in ["'\"'", "'\\\"'"] {
        if text.starts_with(quote) {
            return Some(quote.len());
        }
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = 1 + hashes + 1;
            return text[start..].find(&end).map(|at| start + at + end.len());
        }
    }
    let body = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            '"' if !escaped => return Some(1 + at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}
