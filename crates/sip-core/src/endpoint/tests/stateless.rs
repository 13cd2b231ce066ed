//! What is answered without the user: refusals, OPTIONS, noise.

use super::bench::*;
use crate::endpoint::*;
use crate::testing::wire;

fn reply(text: &str) -> crate::message::Response {
    let mut bench = Bench::new();
    bench.receive(text);
    assert_eq!(bench.take_events(), [""; 0]);
    let response = bench.last().response();
    assert_eq!(bench.take_sent().len(), 1);
    bench.assert_forgotten();
    response
}

#[test]
fn options_is_answered_the_same_every_time() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.receive(&request("OPTIONS", "o1", ""));
    }
    assert!(bench.sent.iter().all(|sent| sent.bytes == bench.sent[0].bytes));
    let ok = bench.last().response();
    assert_eq!(ok.status, 200);
    assert!(ok.headers.get("Allow").unwrap().contains("INVITE"));
    assert_eq!(ok.headers.get("Accept"), Some("application/sdp"));
    assert_eq!(ok.headers.get("Accept-Encoding"), Some("identity"));
    assert_eq!(ok.headers.get("Supported"), Some("timer, 100rel"));
    assert!(ok.headers.to().unwrap().tag().is_some());
    bench.assert_forgotten();
}

#[test]
fn allow_fits_the_trunk() {
    let both = TrunkProfile { transfer: true, ..super::register::registrar() };
    for (profile, more) in [
        (TrunkProfile::default(), ""),
        (TrunkProfile { transfer: true, ..TrunkProfile::default() }, ", REFER, NOTIFY"),
        (super::register::registrar(), ", REGISTER"),
        (both, ", REFER, NOTIFY, REGISTER"),
    ] {
        let mut bench = Bench::with(profile);
        bench.receive(&request("OPTIONS", "o1", ""));
        let expected = format!("INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO{more}");
        assert_eq!(bench.last().response().headers.get("Allow"), Some(&*expected));
    }
}

#[test]
fn methods_out_of_dialog() {
    for (method, status) in [
        ("BYE", 481),
        ("UPDATE", 481),
        ("INFO", 481),
        ("PRACK", 481),
        ("REGISTER", 405),
        ("SUBSCRIBE", 405),
        ("REFER", 405),
        ("MESSAGE", 405),
        ("PUBLISH", 405),
        ("NOTIFY", 405),
        ("FROB", 501),
    ] {
        let response = reply(&request(method, "m", ""));
        assert_eq!(response.status, status, "{method}");
        assert_eq!(response.headers.get("Allow").is_some(), status != 481, "{method}");
    }
}

#[test]
fn requests_of_unknown_dialogs_are_481_and_never_a_call() {
    for method in ["INVITE", "BYE", "UPDATE", "INFO", "OPTIONS", "REFER"] {
        assert_eq!(reply(&within(method, "m", 5, "unknown", "")).status, 481, "{method}");
    }
}

#[test]
fn invites_that_are_refused() {
    assert_eq!(reply(&request("INVITE", "i", "").replace("Max-Forwards: 70", "Max-Forwards: 0")).status, 483);
    assert_eq!(reply(&request("INVITE", "i", "").replace("Contact:", "X-Contact:")).status, 400);
    let unknown_scheme = request("INVITE", "i", "").replacen("sip:+4930123@192.0.2.2 ", "soap.beep://x ", 1);
    assert_eq!(reply(&unknown_scheme).status, 416);
    let extension = reply(&request("INVITE", "i", "Require: 100rel, nothingSupportsThis\nRequire: x"));
    assert_eq!(extension.status, 420);
    assert_eq!(extension.headers.get("Unsupported"), Some("nothingSupportsThis, x"));
}

#[test]
fn the_same_invite_by_another_way_is_merged() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.receive(&request("INVITE", "i2", ""));
    assert_eq!(bench.take_sent(), ["100 INVITE", "482 INVITE"]);
    assert_eq!(bench.take_events(), ["invite"]);
    // The next attempt of the same caller has another CSeq.
    bench.receive(&request("INVITE", "i3", "").replace("CSeq: 10", "CSeq: 11"));
    assert_eq!(bench.take_events(), ["invite"]);
}

#[test]
fn broken_requests_get_400_to_where_they_came_from() {
    let mut bench = Bench::new();
    let broken = request("INVITE", "i1", "Content-Length: 9999");
    bench.receive_from("198.51.100.1:40000", &wire(&broken));
    assert_eq!(bench.last().to, "198.51.100.1:40000");
    let response = bench.last().response();
    assert_eq!((response.status, response.reason.as_str()), (400, "Content-Length Too Large"));
    assert!(response.headers.get("Via").unwrap().contains("received=198.51.100.1"));
    assert_eq!(bench.endpoint.counters().bad_requests, 1);
    let version = reply(&request("OPTIONS", "o", "").replacen("SIP/2.0", "SIP/7.0", 1));
    assert_eq!(version.status, 505);
}

#[test]
fn noise_is_silence() {
    let mut bench = Bench::new();
    for noise in [&b"\r\n\r\n"[..], b"", b"\0", b"hello world\n", b"\xff\xfe\n\n", b"SIP/2.0 200 OK\r\n\r\n"]
    {
        bench.receive_from(PEER, noise);
    }
    bench.receive(&request("ACK", "a1", ""));
    bench.receive(&within("ACK", "a1", 10, "unknown", ""));
    bench.receive(
        "SIP/2.0 200 OK
         Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKstray
         From: <sip:a@h>;tag=1
         To: <sip:b@h>;tag=2
         Call-ID: x
         CSeq: 1 INVITE",
    );
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.take_events(), [""; 0]);
    let counters = bench.endpoint.counters();
    assert_eq!((counters.keep_alives, counters.unparsable), (3, 3));
    assert_eq!((counters.stray_acks, counters.stray_responses), (2, 1));
}

#[test]
fn beyond_the_cap_new_calls_get_503_and_calls_can_still_end() {
    let mut bench = Bench::new();
    let (_, tag) = confirmed(&mut bench);
    let invite = |n: usize| request("INVITE", &format!("x{n}"), "").replace("call-1", &format!("call-x{n}"));
    for n in 1..MAX_LEGS {
        bench.receive(&invite(n));
        bench.sent.clear();
        bench.events.clear();
    }
    bench.receive(&invite(MAX_LEGS));
    let refused = bench.last().response();
    assert_eq!((refused.status, refused.headers.get("Retry-After")), (503, Some("10")));
    bench.command(Command::Invite { leg: LegId(2), invite: super::uac::outgoing() });
    assert_eq!(bench.take_events(), ["transport", "ended"]);
    bench.take_sent();
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["200 BYE"]);
    assert_eq!(bench.take_events(), ["bye", "ended"]);
    assert_eq!(bench.endpoint.counters().overload, 2);
}

#[test]
fn a_body_that_is_no_sdp_is_415() {
    for (fields, status) in [
        ("Content-Type: text/plain", "415 INVITE"),
        ("c: application/SDP ;charset=utf-8", "100 INVITE"),
        ("Content-Type: multipart/mixed;boundary=b", "100 INVITE"),
        ("Content-Type: text/plain\nContent-Disposition: render;handling=optional", "100 INVITE"),
        ("Content-Type: application/sdp\nContent-Encoding: gzip", "415 INVITE"),
        ("Subject: no type", "100 INVITE"),
    ] {
        let mut bench = Bench::new();
        let invite = [&wire(&request("INVITE", "i1", fields))[..], b"v=0\r\n"].concat();
        bench.receive_from(PEER, &invite);
        assert_eq!(bench.last().name(), status, "{fields}");
        let accept =
            ["Accept", "Accept-Encoding"].map(|name| bench.last().response().headers.get(name).is_some());
        assert_eq!(accept.contains(&true), status.starts_with("415"), "{fields}");
    }
}
