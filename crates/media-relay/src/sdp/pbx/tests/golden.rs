//! Whole dialogs as files: what comes in in the manner of a product, and byte for byte what goes out.
//!
//! A file of `tests/sdp/dialogs` is a list of parts, each under a line `--- NAME`. `offer in` and
//! `answer in` are the far end's; `answer out` and `offer out` ours; `agreed` is what follows, `refused`
//! why nothing does. `# srtp` and `# codecs` before the first part are the trunk's. With the environment
//! variable `SDP_DIALOGS=write` our parts are written instead of compared: read them before they stay.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::super::{Codec, Media, Security};
use crate::sdp::crypto::Crypto;
use crate::sdp::negotiation::Negotiation;
use crate::sdp::{SdpError, whatsapp};

/// One part of a dialog.
struct Part<'a> {
    name: &'a str,
    text: &'a str,
}

fn parts(dialog: &str) -> (&str, Vec<Part<'_>>) {
    let (head, rest) = dialog.split_once("--- ").expect("a part");
    let parts = rest.split("\n--- ").map(|part| {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        Part { name, text }
    });
    (head, parts.collect())
}

fn setting<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
}

fn negotiation(head: &str) -> Negotiation {
    let security = match setting(head, "srtp") {
        None | Some("refuse") => Security::Refuse,
        Some("offer") => Security::Offer,
        Some("require") => Security::Require,
        Some(other) => panic!("{other} is no policy"),
    };
    let codecs = setting(head, "codecs").unwrap_or("opus g722 pcmu pcma");
    let codecs: Vec<Codec> = codecs.split(' ').map(|name| name.parse().expect("a codec")).collect();
    let local = setting(head, "local").unwrap_or("192.0.2.10:40000").parse().expect("an address");
    Negotiation::new(local, 7, codecs).with_srtp(security, [9; 32])
}

/// Our end of the WhatsApp side.
fn local() -> whatsapp::Local {
    whatsapp::Local {
        candidates: vec!["203.0.113.5:30002".parse().expect("an address")],
        ufrag: "Uf4g".into(),
        pwd: "a-password-of-22-chars".into(),
        fingerprint: [0xA5; 32],
        session_id: 1_790_963_543_407,
        ssrc: 613_016_344,
        cname: "wZbT0q7Jp1mUe3Rk".into(),
    }
}

fn with_crlf(text: &str) -> String {
    text.trim_end().lines().fold(String::new(), |text, line| text + line + "\r\n")
}

fn agreed(media: &Media) -> String {
    let Media { remote, codec, payload_type, ptime_ms, direction, .. } = media;
    let mut text = format!("{codec} as {payload_type}, {ptime_ms} ms, {}\n", direction.attribute());
    let mut line = |shown: std::fmt::Arguments<'_>| writeln!(text, "{shown}").expect("a String");
    match (media.rtcp, media.rtcp_mux) {
        (_, true) => line(format_args!("to {remote}, RTCP too")),
        (Some(rtcp), false) => line(format_args!("to {remote}, RTCP to {rtcp}")),
        (None, false) => line(format_args!("to {remote}")),
    }
    if let Some((number, clock)) = media.dtmf {
        line(format_args!("telephone-event/{clock} as {number}"));
    }
    if media.comfort_noise {
        line(format_args!("comfort noise"));
    }
    match &media.secure {
        None => line(format_args!("plain")),
        Some(secure) => {
            for (whose, key) in [("ours", &secure.ours), ("theirs", &secure.theirs)] {
                let mut crypto = String::new();
                Crypto { tag: 0, suite: secure.suite, key: key.clone() }.write(&mut crypto);
                line(format_args!("{whose} {}", crypto.trim_start_matches("0 ")));
            }
        }
    }
    text
}

/// The dialog as it goes: what comes in as it is, what goes out as we say it.
fn played(dialog: &str) -> String {
    let (head, parts) = parts(dialog);
    let mut ours = negotiation(head);
    let mut text = head.to_owned();
    let mut answer = String::new();
    let mut outcome: Result<String, SdpError> = Ok(String::new());
    for Part { name, text: given } in parts {
        let sdp = with_crlf(given);
        let said = match name {
            "offer in" => {
                let answered = ours.answer(sdp.as_bytes());
                outcome = answered.map(|(sdp, media)| {
                    answer = sdp;
                    agreed(&media)
                });
                sdp
            }
            "answer in" => {
                outcome = ours.read_answer(sdp.as_bytes()).map(|media| agreed(&media));
                sdp
            }
            "answer out" => answer.clone(),
            "offer out" => ours.offer(),
            "agreed" => outcome.clone().expect("an agreement"),
            "refused" => format!("{}\n", outcome.clone().expect_err("a refusal")),
            "whatsapp offer in" => {
                answer = whatsapp::answer(&local(), &whatsapp::parse(&sdp).expect("usable"));
                sdp
            }
            "whatsapp answer in" => {
                let remote = whatsapp::parse(&sdp).expect("usable");
                let (opus, dtmf) = (remote.opus_pt, remote.dtmf_pt);
                let setup = remote.setup;
                outcome = Ok(format!(
                    "opus as {opus}, telephone-event/8000 as {dtmf}, {setup:?}\nto {:?}\n",
                    remote.candidates
                ));
                sdp
            }
            "whatsapp offer out" => whatsapp::offer(&local()),
            other => panic!("{other} is no part of a dialog"),
        };
        let gap = if text.ends_with("\n\n") || text.is_empty() { "" } else { "\n" };
        write!(text, "{gap}--- {name}\n{}", said.replace('\r', "")).expect("a String");
    }
    text
}

fn dialogs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdp/dialogs");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn each_dialog_goes_as_it_is_written() {
    let (files, writes) = (dialogs(), env::var_os("SDP_DIALOGS").is_some());
    assert!(files.len() >= 20, "{}", files.len());
    for file in files {
        let written = fs::read_to_string(&file).expect("text");
        let goes = played(&written);
        if writes {
            fs::write(&file, goes).expect("written");
        } else {
            assert_eq!(goes, written, "{}", file.display());
        }
    }
}
