//! Requests within a dialog.

use super::bench::*;
use crate::endpoint::*;
use crate::testing::wire;

pub(super) fn last_request(bench: &Bench) -> RequestId {
    match bench.events.last().map(|event| &event.event) {
        Some(Event::Request { id, .. }) => *id,
        other => panic!("{other:?}"),
    }
}

fn answer(bench: &mut Bench, leg: LegId, request: RequestId, status: u16) {
    bench.command(Command::Answer { leg, request, reply: Reply::new(status) });
}

pub(super) fn answer_last(bench: &mut Bench, leg: LegId, status: u16) {
    let request = last_request(bench);
    answer(bench, leg, request, status);
}

pub(super) fn with_body(text: &str) -> Vec<u8> {
    [&wire(text)[..], b"v=0\r\n"].concat()
}

#[test]
fn requests_are_handed_up_and_answered() {
    let mut bench = Bench::with(TrunkProfile { transfer: true, ..TrunkProfile::default() });
    let (leg, tag) = confirmed(&mut bench);
    for (n, method) in (1u32..).zip(["INFO", "UPDATE", "REFER", "NOTIFY", "MESSAGE"]) {
        let more = "Contact: <sip:100@192.0.2.1:5060>\nRefer-To: <sip:200@192.0.2.1>";
        let text = within(method, &format!("m{n}"), 10 + n, &tag, more);
        let text = with_body(&text);
        bench.receive_from(PEER, &text);
        bench.receive_from(PEER, &text);
        assert_eq!(bench.sent.len(), 0, "{method}");
        let id = last_request(&bench);
        answer(&mut bench, leg, id, 202);
        let accepted = bench.last().response();
        assert_eq!(accepted.headers.get("Contact").is_some(), method == "UPDATE");
        bench.receive_from(PEER, &text);
        answer(&mut bench, leg, id, 500);
        assert_eq!(bench.take_sent(), [format!("202 {method}"), format!("202 {method}")]);
        assert_eq!(bench.take_events(), ["request"]);
    }
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn what_the_endpoint_answers_itself() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    for (n, (method, more, status)) in (1u32..).zip([
        ("OPTIONS", "", 200),
        ("PRACK", "", 481),
        ("REGISTER", "", 405),
        ("SUBSCRIBE", "", 405),
        ("REFER", "Refer-To: <sip:200@192.0.2.1>", 405),
        ("FROB", "", 501),
        ("INFO", "Require: x", 420),
        ("INVITE", "Require: x", 420),
    ]) {
        bench.receive(&within(method, &format!("m{n}"), 10 + n, &tag, more));
        assert_eq!(bench.take_sent(), [format!("{status} {method}")]);
    }
    assert_eq!(bench.take_events(), [""; 0]);
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn an_update_without_sdp_refreshes_the_call() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    let update = within(
        "UPDATE",
        "u1",
        11,
        &tag,
        "Contact: <sip:moved@192.0.2.99>\nSession-Expires: 90;refresher=uac",
    );
    bench.receive(&update);
    assert_eq!(bench.last().response().headers.get("Contact"), Some("<sip:192.0.2.2:5060>"));
    bench.receive(&update);
    assert_eq!(bench.take_sent(), ["200 UPDATE", "200 UPDATE"]);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.bye(leg);
    assert_eq!(bench.last().request().uri.to_string(), "sip:moved@192.0.2.99");
    bench.assert_forgotten();
}

#[test]
fn a_reinvite_whose_body_is_no_sdp_is_415() {
    let mut bench = Bench::new();
    let (_, tag) = confirmed(&mut bench);
    let strange = "Content-Type: text/plain";
    bench.receive_from(PEER, &with_body(&within("INVITE", "i2", 11, &tag, strange)));
    bench.receive_from(PEER, &with_body(&within("UPDATE", "u1", 12, &tag, strange)));
    bench.receive_from(PEER, &with_body(&within("INFO", "n1", 13, &tag, strange)));
    assert_eq!(bench.take_sent(), ["415 INVITE", "415 UPDATE"]);
    assert_eq!(bench.take_events(), ["request"], "what an INFO carries is the user's to judge");
}

#[test]
fn a_lower_sequence_number_is_500() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("INFO", "m1", 20, &tag, ""));
    answer_last(&mut bench, leg, 200);
    bench.take_events();
    bench.receive(&within("INFO", "m2", 19, &tag, ""));
    bench.receive(&within("BYE", "m3", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["200 INFO", "500 INFO", "500 BYE"]);
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn a_reinvite_is_answered_and_its_200_sent_until_the_ack() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("INVITE", "i2", 11, &tag, "Contact: <sip:100@192.0.2.1:5060>"));
    assert_eq!(bench.take_sent(), ["100 INVITE"]);
    answer_last(&mut bench, leg, 200);
    assert_eq!(bench.last().response().headers.get("Contact"), Some("<sip:192.0.2.2:5060>"));
    bench.advance(1600);
    assert_eq!(bench.take_sent(), ["200 INVITE", "200 INVITE", "200 INVITE"]);
    bench.receive(&within("INVITE", "i3", 12, &tag, ""));
    assert_eq!(bench.take_sent(), ["100 INVITE", "491 INVITE"], "not before the ACK");
    bench.receive(&within("ACK", "a2", 11, &tag, ""));
    bench.advance(10_000);
    assert_eq!(bench.take_events(), ["request", "acked"]);
    bench.receive(&within("ACK", "i3", 12, &tag, ""));
    bench.bye(leg);
    assert!(bench.take_sent().contains(&"BYE".to_owned()));
    bench.assert_forgotten();
}

#[test]
fn a_reinvite_without_ack_times_out() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("INVITE", "i2", 11, &tag, ""));
    answer_last(&mut bench, leg, 200);
    bench.advance(32_000);
    assert_eq!(bench.take_events(), ["request", "ack timeout"]);
}

#[test]
fn a_refused_reinvite_leaves_the_call_as_it_was() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("INVITE", "i2", 11, &tag, "Contact: <sip:moved@192.0.2.99>"));
    answer_last(&mut bench, leg, 488);
    bench.receive(&within("ACK", "i2", 11, &tag, ""));
    bench.take_sent();
    bench.bye(leg);
    assert_eq!(bench.last().request().uri.to_string(), "sip:100@192.0.2.1:5060");
    assert_eq!(bench.take_sent(), ["BYE"]);
}

#[test]
fn overlapping_invites() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("INVITE", "i2", 11, &tag, ""));
    bench.receive(&within("INVITE", "i3", 12, &tag, ""));
    let refused = bench.last().response();
    let seconds: u64 = refused.headers.get("Retry-After").unwrap().parse().unwrap();
    assert!(refused.status == 500 && seconds <= 10);
    assert_eq!(bench.take_events(), ["request"]);
    bench.bye(leg);
    assert_eq!(bench.take_sent(), ["100 INVITE", "100 INVITE", "500 INVITE", "487 INVITE", "BYE"]);
    bench.assert_forgotten();
}

#[test]
fn an_invite_before_the_first_one_is_answered() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(LegId(1), 180);
    let tag = to_tag(&bench.last().response());
    bench.take_sent();
    bench.receive(&within("INVITE", "i2", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["100 INVITE", "500 INVITE"]);
    assert_eq!(bench.take_events(), ["invite"]);
}

#[test]
fn an_update_before_the_answer_does_not_lose_the_ack() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let leg = LegId(1);
    bench.respond(leg, 180);
    let tag = to_tag(&bench.last().response());
    bench.receive_from(PEER, &with_body(&within("UPDATE", "u1", 11, &tag, "")));
    answer_last(&mut bench, leg, 200);
    bench.respond(leg, 200);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    assert_eq!(bench.take_events(), ["invite", "request", "acked"]);
}

#[test]
fn cancel_of_a_reinvite() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("INVITE", "i2", 11, &tag, ""));
    let id = last_request(&bench);
    bench.receive(&within("CANCEL", "i2", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(bench.take_events(), ["request"], "the call goes on");
    answer(&mut bench, leg, id, 200);
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn unanswered_requests_are_bounded_and_end_with_the_call() {
    let mut bench = Bench::new();
    let (_, tag) = confirmed(&mut bench);
    for n in 0..9 {
        bench.receive(&within("INFO", &format!("m{n}"), 11 + n, &tag, ""));
    }
    assert_eq!(bench.take_sent(), ["500 INFO"]);
    assert_eq!(bench.take_events().len(), 8);
    bench.receive(&within("BYE", "b1", 30, &tag, ""));
    let sent = bench.take_sent();
    assert_eq!((sent[0].as_str(), sent.len()), ("200 BYE", 9));
    assert!(sent[1..].iter().all(|name| name == "487 INFO"));
    assert_eq!(bench.take_events(), ["bye", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn after_our_bye_only_theirs_is_welcome() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.bye(leg);
    bench.receive(&within("INVITE", "i2", 11, &tag, ""));
    bench.receive(&within("INFO", "m1", 12, &tag, ""));
    assert_eq!(bench.take_sent(), ["BYE", "100 INVITE", "481 INVITE", "481 INFO"]);
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn a_refer_names_exactly_one_target() {
    let mut bench = Bench::with(TrunkProfile { transfer: true, ..TrunkProfile::default() });
    let (_, tag) = confirmed(&mut bench);
    let twice = "Refer-To: <sip:200@192.0.2.1>\nr: <sip:201@192.0.2.1>";
    for (n, more) in (1u32..).zip(["", twice, "Refer-To: <sip:a@h>, <sip:b@h>"]) {
        bench.receive(&within("REFER", &format!("m{n}"), 10 + n, &tag, more));
        assert_eq!(bench.take_sent(), ["400 REFER"], "{more}");
    }
    bench.receive(&within("REFER", "m9", 20, &tag, "Refer-To: \"a, b\" <sip:200@192.0.2.1>"));
    assert_eq!(bench.take_events(), ["request"]);
}
