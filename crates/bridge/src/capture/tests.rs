//! A call on order, read again by a program that we did not write.
#![expect(clippy::disallowed_methods, reason = "the writer is IO, with a thread and a clock")]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::id::CallId;
use crate::mark::{Instance, Mark};
use crate::record::Direction;

fn settings(folder: &Path) -> config::Capture {
    config::Capture { folder: Some(folder.to_owned()), most_bytes: 1_000_000, max_calls: 2, max_files: 3 }
}

fn facts(number: u8, trunk: &str) -> Facts {
    let mark = Mark {
        call: CallId::from_bytes([number; 16]),
        instance: Instance::from_bytes([1; 4]),
        sip_call_id: Some(format!("call-{number}@pbx")),
    };
    let mut facts = Facts::new(mark, Direction::SipToWa, Duration::ZERO, Instant::now());
    facts.trunk = Some(trunk.to_owned());
    facts.dialled = Some("+49 170 1".to_owned());
    facts
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn message(first: &str, call_id: &str) -> Vec<u8> {
    format!(
        "{first}\r\nVia: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1\r\nFrom: <sip:1@a>;tag=1\r\nTo: <sip:2@b>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nAuthorization: Digest response=\"feed\"\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn order(calls: u32, trunk: Option<&str>, number: Option<&str>) -> Order {
    Order { calls, trunk: trunk.map(ToOwned::to_owned), number: number.map(ToOwned::to_owned) }
}

/// Gives a whole file, as soon as it is closed.
fn written(captures: Arc<Captures>, path: &Path) -> Vec<u8> {
    // The writer ends with the last who may send to it.
    drop(captures);
    let end = Instant::now() + Duration::from_secs(20);
    let mut before = Vec::new();
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(300));
        let bytes = std::fs::read(path).unwrap_or_default();
        if bytes.len() > 24 && bytes == before {
            return bytes;
        }
        before = bytes;
    }
    panic!("{} is not written", path.display());
}

#[test]
fn a_captured_call_has_its_sip_without_secrets_and_the_sound_of_both_sides() {
    let folder = tempfile::tempdir().expect("a folder");
    let captures = Captures::new(settings(folder.path())).expect("a thread");
    let now = Instant::now();
    captures.order(order(1, Some("office"), None)).expect("possible");
    captures.sip(now, at(5070), at(5060), &message("INVITE sip:2@b SIP/2.0", "call-7@pbx"));
    captures.sip(now, at(5070), at(5060), &message("INVITE sip:2@b SIP/2.0", "call-8@pbx"));
    assert!(captures.begin(now, &facts(8, "other")).is_none(), "not of this trunk");
    let recording = captures.begin(now, &facts(7, "office")).expect("ordered");
    assert!(captures.begin(now, &facts(8, "office")).is_none(), "one alone was ordered");
    captures.sip(now, at(5060), at(5070), &message("SIP/2.0 200 OK", "call-7@pbx"));
    captures.sip(now, at(5060), at(5070), &message("SIP/2.0 200 OK", "call-8@pbx"));
    let source = recording.source.clone();
    for (sequence, (from, to)) in [(20_000, 40_000), (40_000, 20_000), (30_000, 3480)].into_iter().enumerate()
    {
        let mut rtp = vec![0x80, 0, 0, sequence as u8, 0, 0, 0, 0, 0, 0, 0, 9];
        rtp.extend([0x55; 160]);
        source.give(now + Duration::from_millis(20), at(from), at(to), rtp);
    }
    drop(recording);
    captures.sip(
        now,
        at(5060),
        at(5070),
        &message("SIP/2.0 487 Gone", &format!("{}-2", facts(7, "").mark.call)),
    );
    drop(source);
    let path = folder.path().join(format!("{}.pcap", facts(7, "").mark.call));
    let bytes = written(captures, &path);
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("feed") && !text.contains("call-8") && text.contains("487 Gone"));
    // Six records behind the header: 16 octets each, and their packets.
    let mut rest = &bytes[24..];
    let mut count = 0;
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().expect("four")) as usize;
        rest = &rest[16 + length..];
        count += 1;
    }
    assert_eq!((count, rest.len()), (6, 0));
    wireshark_reads(&path);
}

/// Where tshark is installed: it is on no list of what the tests need.
fn wireshark_reads(path: &Path) {
    let run = |decode: &[&str], filter: &str, field: &str| {
        let output = Command::new("tshark")
            .arg("-r")
            .arg(path)
            .args(decode)
            .args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"])
            .args(["-Y", filter, "-T", "fields", "-e", field])
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(sip) = run(&[], "sip && udp.checksum.status == 1 && ip.checksum.status == 1", "sip.Call-ID")
    else {
        return;
    };
    assert_eq!(sip.lines().count(), 3, "{sip}");
    let rtp = run(
        &["-d", "udp.port==40000,rtp", "-d", "udp.port==3480,rtp"],
        "rtp && udp.checksum.status == 1",
        "rtp.seq",
    );
    assert_eq!(rtp.as_deref(), Some("0\n1\n2"));
}

#[test]
fn nothing_is_captured_without_a_folder_an_order_and_room() {
    let off = config::Capture { folder: None, ..settings(Path::new("")) };
    let captures = Captures::new(off).expect("nothing to start");
    assert!(captures.sip_tap().is_none());
    assert!(captures.order(order(1, None, None)).expect_err("off").contains("[capture]"));
    let folder = tempfile::tempdir().expect("a folder");
    let captures = Captures::new(settings(folder.path())).expect("a thread");
    let now = Instant::now();
    assert!(captures.begin(now, &facts(1, "office")).is_none(), "nobody has ordered");
    assert!(captures.order(order(4, None, None)).is_err(), "more than files");
    captures.order(order(3, None, Some("49170 1"))).expect("possible");
    let first = captures.begin(now, &facts(1, "office")).expect("ordered");
    let second = captures.begin(now, &facts(2, "office"));
    assert!(second.is_some());
    assert!(captures.begin(now, &facts(3, "office")).is_none(), "two at a time");
    drop(first);
    for name in ["a.pcap", "b.pcap", "c.pcap"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    assert!(captures.begin(now, &facts(4, "office")).is_none(), "the folder is full");
    assert_eq!((captures.status().0.calls, captures.status().1), (1, 1));
    captures.order(order(0, None, None)).expect("possible");
    assert!(captures.begin(now, &facts(5, "office")).is_none(), "taken back");
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let (items, queue) = sync_channel(2);
    let source = Source { id: 1, items, dropped: Arc::default() };
    for _ in 0..5 {
        source.give(Instant::now(), at(1), at(2), vec![1]);
    }
    assert_eq!(source.dropped.load(Relaxed), 3);
    drop(queue);
    let folder = tempfile::tempdir().expect("a folder");
    let (items, queue) = sync_channel(100);
    let path = folder.path().join("short.pcap");
    let dropped: Arc<AtomicU64> = Arc::default();
    let writer = std::thread::spawn(move || writer::run(&queue, 200));
    items.send(Item::Begin { id: 1, path: path.clone(), dropped: Arc::clone(&dropped) }).expect("taken");
    let source = Source { id: 1, items, dropped };
    (0..5).for_each(|_| source.give(Instant::now(), at(1), at(2), vec![1; 20]));
    let dropped = Arc::clone(&source.dropped);
    drop(source);
    writer.join().expect("no panic");
    let length = std::fs::metadata(&path).expect("a file").len();
    assert!(length <= 200 && dropped.load(Relaxed) == 3, "{length} {dropped:?}");
}
